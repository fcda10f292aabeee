"""One session's writes: pending rows, sent in order, off the event loop, each exactly once.

A row stays pending, by its key, until it is stored: a newer content replaces an older one that was not sent yet, and
what a failed write left goes along with the next. A batch is one transaction: all of it or none. It carries the
revisions it was built on, so the database refuses a batch that a rival has overtaken, or that was carried out before
although its answer was lost; reading the rows back then tells the two apart (see `refusal`).

`send` decides by the durability when a write begins, and what the agent waits for. `write` is the whole way of a write,
a blocking call: plan, send, note what is stored. A leader may take its first step for several sessions at once (see
`strands_persql.database.sharing`): then it is planned by `joins`, and noted by `stored`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ..client import logger_of, survive_forks
from ..database.about import About
from ..database.faults import GUARDS, fault_of
from ..errors import SessionConflictError
from .leftovers import tell_lost, watch
from .options import Durability, Written
from .outgoing import Batch, Joined, MessageRow, Outgoing, Redaction, Row, Rows, merged
from .refusal import conflict_again
from .sender import Sender
from .succession import Owner, Succession, owner_of
from .threads import Turns, handed_over, submit
from .tracing import current_context, spans_are_recorded

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from ..client import Statement
    from ..database.connector import Connector
    from ..database.tables import Tables

logger = logger_of(__name__)


class Writer:
    """The pending rows of one session, and the turns in which they are written: never two at once.

    Args:
        connector: The database and its tables.
        session_id: The session.
        durability: When messages are stored.
        about: What its session is begun with.

    Attributes:
        lock: Held while an event is recorded.
        known: What is stored, as far as it knows.
        session: Its own row, written with the first agent, Graph or Swarm.
        succession: What it may write, beside the other writers of its session in this process.
        has_failed: What is pending could not be stored.
        is_watched, is_abandoned: See `strands_persql.engine.leftovers`.
    """

    def __init__(
        self,
        connector: Connector[Tables],
        session_id: str,
        durability: Durability = "message",
        about: About | None = None,
    ) -> None:
        self.connector = connector
        self.session_id = session_id
        self.durability = durability
        self._pending: Rows = {}
        self._out = Outgoing(session_id, connector.system)
        self._sender = Sender(connector, self._out, about or About())
        self.session = self._sender.session
        self.known = self._out.known
        self._lost: SessionConflictError | None = None
        self.has_failed = self.is_abandoned = False
        self._context: Context | None = None  # of the event that asked for the next turn
        self._turns = Turns(self._hand_over)
        self.succession = Succession(self, (connector.identity, connector.tables.prefix, session_id))
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin anew in a child process: what was being sent is the parent's to finish, and is recognised if it did."""
        self.lock = threading.RLock()
        self._lock = self._sender.lock = threading.RLock()
        self._behind: Written = None  # the write of what was handed over last
        self._fresh = False  # something was put since
        self._at_once = False
        self.is_watched = False
        self.succession.after_fork()
        self._joined: Joined | None = None  # what a leader has taken along
        self._alone = False  # it was refused by itself: it would spoil the requests of others
        self._out.attempts.add(self._out.rows.values(), Batch())  # in a child process: its parent may have sent them
        self._take_back()

    # What is pending

    @property
    def pending(self) -> int:
        """How many rows are not stored yet."""
        with self._lock:
            return len(self._pending.keys() | self._out.rows.keys())

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for its turn; takes no lock."""
        return bool(self._pending)

    @property
    def has_rewrites(self) -> bool:
        """Whether something pending replaces what is stored, or may be."""
        with self._lock:
            return any(isinstance(row, MessageRow) and not row.new for row in self._pending.values())

    def holds(self, owner: Owner | None = None) -> bool:
        """Whether something of an agent, Graph or Swarm is not stored yet, or of the whole session."""
        with self._lock:
            rows = [*self._pending.values(), *self._out.rows.values()]
        return bool(rows) if owner is None else any(owner_of(row) == owner for row in rows)

    def put(self, rows: Iterable[Row]) -> None:
        """Add rows to what is pending; nothing is sent.

        Raises:
            SessionConflictError: This writer has lost its session to another.
        """
        with self._lock:
            if self._lost is not None:
                raise conflict_again(self._lost)
            if not self.is_watched:
                watch(self)
            for row in self.succession.admitted(rows):
                self._fresh = True
                self._pending[row.key] = merged(self._pending.get(row.key), row)

    # When a write begins, and what the agent waits for

    def send(self, *, last: bool = False) -> Written:
        """Send what is pending as the durability asks; what to wait for now.

        Args:
            last: The agent waits for all of it, whatever the durability.
        """
        if self.durability == "invocation" and not last:
            return None
        behind, written = self._behind, self._handed_over()
        if last or self.durability == "message" or written is behind:
            return written
        if behind is None or (behind.done() and behind.exception() is None):
            return None
        return written if behind.done() else behind

    def _handed_over(self) -> Written:
        """Have all that is pending sent; what ends with that. What is being sent already is not asked for twice."""
        behind = self._behind
        if behind is not None and behind.done():
            behind = self._behind = None
        if (self._fresh or self._at_once or behind is None) and self.holds():
            self._fresh = False
            if behind is None and self.connector.is_local and self._written_now():
                return None
            behind = self._behind = self.drain(at_once=self._at_once)
        return behind

    def _written_now(self) -> bool:
        """Store all that is pending at once, on this thread, where that can't wait for anything.

        Where it can't be, or fails, or Ctrl-C comes amid it, everything is pending as before: a worker does it, with
        all that may be needed.
        """
        joined: Joined | None = None
        here = threading.get_ident()
        try:
            if self._turns.begin_now(here):
                self._take()
                joined = self._sender.send_now() if self._lost is None else None
                if joined is not None:
                    self._is_stored(joined)
        except Exception as error:
            logger.debug("session_id=<%s>, error=<%s> | a worker writes", self.session_id, type(error).__name__)
        finally:
            if self._turns.here == here:
                try:
                    with self._lock:
                        self._take_back()
                        self.has_failed = self.has_failed and joined is None
                finally:
                    try:
                        self._turns.end_now(here)
                    except BaseException:
                        self._turns.end_now(here)
                        raise
        return joined is not None

    def block(self, record: Callable[[], Written]) -> None:
        """Record something, and block until it is stored: it waits for no request of other sessions."""
        with self.lock:
            self._at_once = True
            try:
                written = record()
            finally:
                self._at_once = False
        if written is not None:
            written.result()

    def drain(self, *, at_once: bool = False) -> Future[None]:
        """Store all that is pending, on a worker thread.

        The future ends with a turn that began after this call. It raises what the database's handle raised, with the
        rows still pending; or `SessionConflictError`, after which this writer takes no more.

        Args:
            at_once: Somebody blocks until it is done: it waits for no request that others share.
        """
        self._context = current_context()
        return self._turns.ask(at_once=at_once)

    # Turns

    def _hand_over(self, at_once: bool) -> None:
        shared = None if at_once or self._alone else self.connector.shared
        if shared is None:
            submit(self.write)
        elif shared.add(self):
            try:
                submit(partial(shared.serve, handed_over))
            except BaseException:
                shared.retract()
                raise

    def write(self) -> None:
        """Take a turn: store all that is pending, and tell those who wait. Blocks, raises nothing."""
        if self._begins():
            self._finish()

    def _begins(self) -> bool:
        """Take what is pending; False where another turn does that, or has."""
        if not self._turns.begin():
            return False
        self._take()
        return True

    def _take(self) -> None:
        with self._lock:
            self._take_back()  # what the turn before has left, should it have been interrupted
            self._out.rows, self._pending = self._pending, {}
            self._out.parent, self._context = self._context, None

    def _finish(
        self, joined: Joined | None = None, *, refusal: BaseException | None = None, after: BaseException | None = None
    ) -> None:
        """Send all that this turn has taken, by itself.

        Args:
            joined: What a leader's request has failed to store; sent as it was, the service knows it again.
            refusal: How that request was refused, where it is known.
            after: How an attempt to send that by itself has failed: the next one waits as long as a retry does.
        """
        error: BaseException | None = None
        try:
            if self._lost is not None:
                raise conflict_again(self._lost)
            self._sender.send(joined, refusal, after)
        except BaseException as caught:
            error = caught
        self._alone = error is not None
        self._ends(error)

    def _ends(self, error: BaseException | None) -> None:
        """Tell those who wait; what is not stored is pending again."""
        with self._lock:
            if isinstance(error, SessionConflictError):
                self._lost = self._lost or error
            self._take_back()
            self.has_failed = error is not None
        if self.has_failed and self.is_abandoned:
            tell_lost(self)
        self._turns.end(error)

    def _take_back(self) -> None:
        self._out.parent = None  # a span that has ended is not to be kept
        unsent = dict(self._out.rows)
        for key, row in self._pending.items():
            unsent[key] = merged(unsent.get(key), row)
        self._pending, self._out.rows = unsent, {}

    # With others, by a leader

    def joins(self) -> Sequence[Statement]:
        """Take a turn with a leader's request; nothing where there is nothing to do, or more than one batch."""
        if not self._begins():
            return ()
        try:
            whole = self._lost is None and not any(isinstance(row, Redaction) for row in self._out.rows.values())
            batches = self._sender.planned() if whole else []
            if len(batches) == 1:
                if batches[0].has_parts:
                    self._out.sends_parts()
                self._joined = self._sender.joined(batches[0])
                return batches[0].statements
        except BaseException as error:
            self._ends(error)
            return ()
        submit(self._finish)
        return ()

    @contextmanager
    def in_span(self) -> Generator[None, None, None]:
        """Inside it, a request is sent that is this session's alone."""
        joined = self._joined
        if joined is None or not spans_are_recorded():
            yield
        else:
            joined.span = joined.span or self._sender.span(joined)
            with joined.span.current():
                yield

    def stored(self) -> None:
        """The leader's request was carried out."""
        joined = self._left()
        try:
            self._sender.note(joined.batch)
            self._is_stored(joined)
        finally:
            self._ends(None)

    def _is_stored(self, joined: Joined) -> None:
        """All that the turn has taken is stored."""
        self._out.attempts.clear()
        self._tell(joined, None)

    def failed(self, error: BaseException, *, alone: bool, sent: bool) -> None:
        """The leader's request failed in a way that this session would meet by itself."""
        joined = self._left()
        self._alone = alone
        try:
            if sent:
                self._out.attempted(joined.batch)
            self._tell(joined, error)
        finally:
            if fault_of(error) in GUARDS:
                submit(lambda: self._finish(refusal=error))
            else:
                self._ends(error)

    def goes_alone(self, error: BaseException | None = None, *, sent: bool = False) -> None:
        """The leader's request failed, perhaps because of another session, or after an `error` of its own."""
        if self._joined is not None:
            joined = self._left()
            if sent:
                self._out.attempted(joined.batch)
            submit(lambda: self._finish(joined, after=error))

    def _left(self) -> Joined:
        assert self._joined is not None
        joined, self._joined = self._joined, None
        return joined

    def _tell(self, joined: Joined, error: BaseException | None) -> None:
        """Have the request that this session has joined recorded as a span of its own."""
        if spans_are_recorded():
            span = joined.span or self._sender.span(joined)
            if error is None:
                span.rows(len(joined.batch.completes))
            span.end(error)
