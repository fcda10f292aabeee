"""Notes now and then that a session with a user is active: it then stands before the others of that user's."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ..database.encoding import now
from .outgoing import MAX_STATEMENTS, Batch, Outgoing

if TYPE_CHECKING:
    from ..database.tables import Tables

NOTED_EVERY = timedelta(minutes=5)
"""How far apart the times that are noted of a session are at least. Noting one writes two rows: the session's, and that
of its place among its user's."""


class Activity:
    """When a session's activity is noted next: with a write that is made anyway, and never by one of its own.

    A session that is nobody's is left alone. Whether another process has noted it meanwhile is the database's to tell:
    the statement then changes nothing.

    Args:
        out: The rows that a turn has taken, and what is known to be stored.
    """

    def __init__(self, out: Outgoing) -> None:
        self._out = out
        self._due = 0.0  # of `time.monotonic`
        self._time = ""  # what is noted, the same in each attempt, so that the service knows a repeated request

    def joins(self, batch: Batch, tables: Tables) -> None:
        """Add to a batch what notes it, if that is due."""
        known = self._out.known
        if not known.has_user or time.monotonic() < self._due or len(batch.statements) >= MAX_STATEMENTS:
            return
        if any(known.agents.values()) or any(known.multi_agents.values()):  # else the session begins now
            self._time = self._time or now()
            before = (datetime.fromisoformat(self._time) - NOTED_EVERY).isoformat()
            batch.statements.append(tables.sessions.touch(self._out.session_id, self._time, before=before))
        batch.notes_activity = True

    def noted(self, batch: Batch) -> None:
        """A batch was carried out."""
        if batch.notes_activity:
            self._due = time.monotonic() + NOTED_EVERY.total_seconds()
            self._time = ""
