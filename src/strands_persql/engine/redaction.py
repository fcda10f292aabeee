"""Finds the rows that hold what is to be redacted, and puts their new contents among the rows being sent."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .outgoing import Redaction
from .tracing import BatchSpan

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.decoding import StoredMessage
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
        for stored in found:
            row = redaction.rewritten(stored)
            if row is not None and row.key not in out.rows:
                out.rows[row.key] = row
                if stored.in_parts:
                    out.known.in_parts.add(row.key)
