"""Finds the rows that hold what is to be redacted, and puts their new contents among the rows being sent."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ..database.decoding import Part, StoredMessage
from .outgoing import MessageRow, Redaction
from .tracing import BatchSpan

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables
    from .outgoing import Outgoing

__all__ = ["search"]


def search(out: Outgoing, redaction: Redaction, connector: Connector[Tables], lock: threading.RLock) -> None:
    """Put the rows that hold what is to be redacted among those being sent, in the place of the redaction."""
    agent_id = redaction.agent_id
    found: list[StoredMessage] = []
    if out.known.agents.get(agent_id):
        query = connector.tables.messages.find_copies(
            out.session_id, agent_id, redaction.role, redaction.raw, before=redaction.before
        )
        with BatchSpan.of(out, "persql.redact", query.statements, [redaction]) as span:
            found = connector.ask(span.counted(query))
    with lock:
        del out.rows[redaction.key]
        for row in list(out.rows.values()):  # earlier copies that are yet to be stored
            if isinstance(row, MessageRow) and row.agent_id == agent_id and row.message_id < redaction.before:
                document = row.document
                parts = [Part(document.generation, number, text) for number, text in enumerate(document.parts)]
                copy = StoredMessage(f"message {row.message_id}", document.data, parts, row.message_id)
                redacted = redaction.rewritten(copy)
                if redacted is not None:
                    out.rows[row.key] = replace(redacted, new=row.new)
        for stored in found:
            rewritten = redaction.rewritten(stored)
            if rewritten is not None and rewritten.key not in out.rows:
                out.rows[rewritten.key] = rewritten
                if stored.in_parts:
                    out.known.in_parts.add(rewritten.key)
