"""Sends the rows that a writer's turn has taken: plans them, sends batch after batch, and settles what is refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from strands.types.session import Session, SessionType

from ..client import AT_ONCE_STATEMENTS
from ..database.encoding import encode, now
from ..database.faults import GUARDS, fault_of
from ..errors import named
from .activity import Activity
from .outgoing import Batch, Joined, Outgoing, Redaction, only_new_messages
from .planner import plan
from .redaction import search
from .refusal import settle
from .tracing import BatchSpan, spans_are_recorded

if TYPE_CHECKING:
    from ..database.about import About
    from ..database.connector import Connector
    from ..database.tables import Tables

_SETTLEMENTS = 3
"""How often a refused batch is read back and sent anew: earlier attempts of ours may still arrive meanwhile."""


class Sender:
    """Sends the rows of one session. One thread at a time.

    Args:
        connector: The database and its tables.
        out: The rows that a turn has taken, and what is known to be stored.
        about: What its session is begun with.

    Attributes:
        session: The session's own row, written with the first agent, Graph or Swarm.
        lock: The writer's, held while what is known changes.
    """

    def __init__(self, connector: Connector[Tables], out: Outgoing, about: About) -> None:
        self._connector = connector
        self._out = out
        self._about = about = replace(about, keeping=about.keeping.begun(now()))
        self._activity = Activity(out)
        out.known.has_user, out.known.keeping = about.user is not None, about.keeping
        self.session = Session(session_id=out.session_id, session_type=SessionType.AGENT)
        self.lock = threading.RLock()

    def send(
        self, joined: Joined | None = None, refusal: BaseException | None = None, after: BaseException | None = None
    ) -> None:
        """Send all of it. Blocks.

        Args:
            joined: What a leader's request has failed to store; sent as it was, the service knows it again.
            refusal: How that request was refused, where it is known.
            after: How an attempt to send that by itself has failed: the next one waits as long as a retry does.

        Raises:
            Exception: What the database's handle raises; or `SessionConflictError`. What is stored has left the rows.
        """
        for row in list(self._out.rows.values()):
            if isinstance(row, Redaction):
                search(self._out, row, self._connector, self.lock)
        if refusal is None and joined is not None:
            refusal = self._send_batch(joined.batch, joined.span, after)
        elif refusal is None:
            refusal = self._send_batches()
        for _ in range(_SETTLEMENTS):
            if refusal is None or not settle(self._out, self._connector, self.lock):
                break
            refusal = self._send_batches()
        if refusal is not None:
            raise refusal
        attempts = self._out.attempts
        if attempts.rows or attempts.agents or attempts.multi_agents:
            attempts.clear()

    def send_now(self) -> Joined | None:
        """Send all of it on an event loop's own thread, if it is one small transaction that can't wait for anything.

        Returns:
            What was stored; None where nothing was done.
        """
        rows = self._out.rows
        # Asked first: planning a long history takes a worker's time.
        if len(rows) > AT_ONCE_STATEMENTS or any(isinstance(row, Redaction) for row in rows.values()):
            return None
        batches = self.planned()
        if len(batches) != 1 or batches[0].has_parts:
            return None
        joined = self.joined(batches[0])
        try:
            if not self._connector.commit_now(joined.batch.statements):
                return None
            self.note(joined.batch)
        except BaseException:  # Ctrl-C, too: it may be stored all the same
            self._out.attempts.add(joined.rows, joined.batch)
            raise
        return joined

    def joined(self, batch: Batch) -> Joined:
        """A batch that stores all of it."""
        return Joined(batch, list(self._out.rows.values()))

    def _send_batches(self) -> BaseException | None:
        """Plan and send all batches; the refusal of one that was built on something no longer stored."""
        batches = self.planned()
        if any(batch.has_parts for batch in batches):
            self._out.sends_parts()
        for batch in batches:
            refusal = self._send_batch(batch)
            if refusal is not None:
                return refusal
        return None

    def _send_batch(
        self, batch: Batch, span: BatchSpan | None = None, after: BaseException | None = None
    ) -> BaseException | None:
        try:
            if span is not None or spans_are_recorded():
                with span or self.span(batch) as span:
                    self._connector.commit(batch.statements, after=after)
                    span.rows(len(batch.completes))
            else:
                self._connector.commit(batch.statements, after=after)
        except Exception as error:
            if getattr(error, "sent", True):  # a refused connection has carried nothing
                self._out.attempted(batch)
            if fault_of(error) in GUARDS:
                return error
            raise
        self.note(batch)
        return None

    def planned(self) -> list[Batch]:
        """All of it, as batches."""
        rows = list(self._out.rows.values())
        tables = self._connector.tables
        batch = only_new_messages(rows, tables, self._out.session_id, self._out.known)
        if batch is not None:
            batches = [batch]
        else:
            session_id = self._out.session_id
            text = encode(self.session.to_dict(), what=f"session {named(session_id)}")
            session = tables.sessions.ensure(session_id, text, self._about)
            batches = plan(rows, tables, session_id, session, self._out.known)
        if batches:
            self._activity.joins(batches[0], tables)
        return batches

    def span(self, sent: Batch | Joined) -> BatchSpan:
        """A span round a request with a batch, from now on; or from when it was joined."""
        if isinstance(sent, Batch):
            return BatchSpan.of(self._out, "persql.write", sent.statements)
        return BatchSpan.of(self._out, "persql.write", sent.batch.statements, sent.rows, since=sent.since)

    def note(self, batch: Batch) -> None:
        """A batch was carried out."""
        with self.lock:
            self._out.noted(batch)
            self._activity.noted(batch)
