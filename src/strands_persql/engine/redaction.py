"""Finds the rows that hold what is to be redacted, and puts their new contents among the rows being sent."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..database.decoding import rewritten
from ..database.encoding import now
from ..database.tables import Document
from .planner import Key, MessageRow, Redaction

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.connector import Row as StoredRow
    from ..database.tables import Tables
    from .outgoing import Outgoing

__all__ = ["search"]


def search(out: Outgoing, redaction: Redaction, connector: Connector[Tables], lock: threading.RLock) -> None:
    """Put the rows that hold what is to be redacted among those being sent, in the place of the redaction."""
    agent_id, sid = redaction.agent_id, out.session_id
    rows: list[StoredRow] = []
    chunks: list[StoredRow] = []
    if out.known.agents.get(agent_id):
        tables = connector.tables
        found = [
            tables.messages.find_copies(sid, agent_id, redaction.role, len(redaction.raw), before=redaction.before)
        ]
        if redaction.may_be_in_parts:
            found += tables.messages.find_in_parts(sid, agent_id, before=redaction.before)
        with out.span("persql.redact", found, [redaction]) as span:
            rows, *others = connector.read(*found)
            span.rows(len(rows) + sum(map(len, others)))
        if others:
            in_parts, chunks = others
            rows = [*rows, *in_parts]
    with lock:
        del out.rows[redaction.key]
        for row in rows:
            position: int = row["message_id"]
            own = [chunk for chunk in chunks if chunk["message_id"] == position]
            text = rewritten(
                row["data"], own, agent_id, position, (redaction.role, redaction.raw, redaction.redacted), now()
            )
            key: Key = ("message", agent_id, position)
            if text is not None and key not in out.rows:
                out.rows[key] = MessageRow(agent_id, position, Document.of(text), new=False)
                if own:
                    out.known.in_parts.add(key)
