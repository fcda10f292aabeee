"""One session's writes: pending rows, sent in order, off the event loop, each exactly once.

What is to be written stands here by its key until it is stored, so that a newer content replaces an older one that was
not sent yet, and a failed write goes along with the next. A batch is one transaction: all of it or none. Each carries
the revisions it was built on, so one that was carried out although its answer was lost, or that a rival has overtaken,
is refused by the database; reading the rows back then tells the two apart.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..database.connector import Row as StoredRow
from ..database.connector import Store, fault_of
from ..database.decoding import rewritten
from ..database.encoding import now
from ..database.tables import Document, Tables
from ..errors import SessionConflictError
from .group_commit import (
    Answers,
    Request,
    Steps,
    carrier,
)
from .planner import (
    AgentRow,
    Batch,
    Key,
    MessageRow,
    MultiAgentRow,
    Redaction,
    Row,
    Stored,
    merged,
    plan,
)
from .threads import Lane, survive_forks
from .tracing import BatchSpan, Start, current_context

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from ..client import Statement

__all__ = ["Writer"]

logger = logging.getLogger(__name__)

_GUARDS = ("unique_violation", "not_null_violation")
"""How the database refuses a write that was built on a stale revision, or in a place that is taken."""

_SETTLEMENTS = 3
"""How often a refused batch is read back and sent anew: earlier attempts of ours may still arrive meanwhile."""

Rows: TypeAlias = dict[Key, Row]
Owner: TypeAlias = Literal["agent", "multi_agent"]


@dataclass(slots=True)
class _Attempts:
    """What was sent since the last success, refused or unanswered: it may be stored all the same, or yet be.

    A row that is sent again and again, while the store is away, stands here once.
    """

    rows: dict[Key, list[Row]] = field(default_factory=lambda: {})
    agents: set[tuple[str, int]] = field(default_factory=lambda: set())
    multi_agents: set[tuple[str, int]] = field(default_factory=lambda: set())

    def add(self, rows: Iterable[Row], batch: Batch) -> None:
        """A batch was sent, with these rows."""
        for row in rows:
            contents = self.rows.setdefault(row.key, [])
            if not any(row is content for content in contents):
                contents.append(row)
        self.agents.update(batch.agents.items())
        self.multi_agents.update(batch.multi_agents.items())

    def clear(self) -> None:
        """All that is pending was stored."""
        self.rows.clear()
        self.agents.clear()
        self.multi_agents.clear()


class Writer:
    """The pending rows of one session and the lane that writes them.

    Args:
        store: Where to.
        session_id: Whose.
        session: The session's own row, written with the first agent.
    """

    def __init__(self, store: Store[Tables], session_id: str, session: str) -> None:
        self._store = store
        self._tables = store.tables
        self._session_id = session_id
        self._session = session
        self._lock = threading.Lock()
        self._pending: Rows = {}
        self._sending: Rows = {}
        self._attempts = _Attempts()
        self._known = Stored()
        self._lost: SessionConflictError | None = None
        self._context: Context | None = None  # of the event that asked for the next run
        self._parent: Context | None = None  # of the one under way
        self._lane = Lane(self._drain, carrier(store))
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin anew in a child process: what was being sent is the parent's to finish, and is recognised if it did."""
        self._lock = threading.Lock()

    @property
    def pending(self) -> int:
        """How many rows are not stored yet."""
        with self._lock:
            return len(self._pending.keys() | self._sending.keys())

    @property
    def has_pending(self) -> bool:
        """Whether something is not stored yet."""
        with self._lock:
            return bool(self._pending or self._sending)

    def is_unsent(self, agent_id: str, message_id: int) -> bool:
        """Whether a message's content has never left this process."""
        key: Key = ("message", agent_id, message_id)
        with self._lock:
            row = self._pending.get(key)
            sent = key in self._sending or key in self._attempts.rows
            return isinstance(row, MessageRow) and row.new and not sent

    @property
    def has_rewrites(self) -> bool:
        """Whether something pending replaces what is stored, or may be, as a redaction does."""
        with self._lock:
            return any(
                (isinstance(row, Redaction) and row.sent) or (isinstance(row, MessageRow) and not row.new)
                for row in self._pending.values()
            )

    def know_agent(self, agent_id: str, revision: int, next_id: int = 0, in_parts: Iterable[Key] = ()) -> None:
        """Go on from an agent's stored row (0: none) and transcript, some of which is stored in parts."""
        with self._lock:
            self._known.agents[agent_id] = revision
            self._known.next_ids[agent_id] = next_id
            self._known.in_parts.update(in_parts)

    def know_multi_agent(self, multi_agent_id: str, revision: int, *, in_parts: bool) -> None:
        """Go on from a Graph's or Swarm's stored row (0: none)."""
        with self._lock:
            self._known.multi_agents[multi_agent_id] = revision
            if in_parts:
                self._known.in_parts.add(("multi_agent", multi_agent_id, 0))

    def put(self, rows: Iterable[Row]) -> None:
        """Add rows to what is pending; nothing is sent.

        Raises:
            SessionConflictError: This writer has lost its session to another.
        """
        with self._lock:
            if self._lost is not None:
                raise _again(self._lost)
            for row in rows:
                self._pending[row.key] = merged(self._pending.get(row.key), row)

    def drain(self, *, at_once: bool = False) -> Future[None]:
        """Send all that is pending, on a worker thread; with `at_once`, in no request that others share.

        The future raises what the database's handle raised, with the rows still pending; or `SessionConflictError`,
        after which this writer takes no more.
        """
        self._context = current_context()
        return self._lane.run(at_once=at_once)

    def _drain(self) -> Steps:
        with self._lock:
            if self._lost is not None:
                raise _again(self._lost)
            for key, row in self._pending.items():
                self._sending[key] = merged(self._sending.get(key), row)
            self._pending = {}
            self._parent, self._context = self._context, None
        try:
            yield from self._send()
        except SessionConflictError as error:
            with self._lock:
                self._lost = error
            raise
        finally:
            with self._lock:
                self._parent = None  # a span that has ended is not to be kept
                unsent, self._sending = self._sending, {}
                for key, row in self._pending.items():
                    unsent[key] = merged(unsent.get(key), row)
                self._pending = unsent

    def _send(self) -> Steps:
        for row in list(self._sending.values()):
            if isinstance(row, Redaction) and not row.by_statement:
                yield from self._search(row)
        refusal = yield from self._send_batches()
        for _ in range(_SETTLEMENTS):
            if refusal is None or not (yield from self._settle()):
                break
            refusal = yield from self._send_batches()
        if refusal is not None:
            raise refusal
        self._attempts.clear()

    def _send_batches(self) -> Generator[Request, Answers, Exception | None]:
        """Send all that is being sent; the refusal of a batch that was built on something no longer stored."""
        rows = list(self._sending.values())
        batches = plan(rows, self._tables, self._session_id, self._session, self._known)
        # Parts are sent before the row they belong to: should that never be written, the next writing drops them.
        self._known.in_parts.update(row.key for row in rows if not isinstance(row, Redaction) and row.document.parts)
        for batch in batches:
            request = self._request("persql.write", batch.statements, rows, count=len(batch.completes))
            try:
                yield request
            except Exception as error:
                if request.attempted or getattr(error, "sent", True):  # a refused connection has carried nothing
                    self._attempts.add([self._sending[key] for key in batch.completes], batch)
                if fault_of(error) in _GUARDS:
                    return error
                raise
            self._completed(batch)
        return None

    def _request(
        self, name: str, statements: Sequence[Statement], rows: Sequence[Row], *, count: int | None = None
    ) -> Request:
        parent = self._parent

        def span(start: Start | None) -> BatchSpan:
            owners = (row.multi_agent_id if isinstance(row, MultiAgentRow) else row.agent_id for row in rows)
            sid = self._session_id
            return BatchSpan(name, statements, session_id=sid, agent_ids=owners, parent=parent, start=start)

        return Request(statements, span, written=count)

    def _search(self, redaction: Redaction) -> Steps:
        """Put the rows that hold what is to be redacted among those being sent, in the place of the redaction."""
        agent_id, sid = redaction.agent_id, self._session_id
        rows: list[StoredRow] = []
        chunks: list[StoredRow] = []
        if self._known.agents.get(agent_id):
            copies = self._tables.messages.find_copies(
                sid, agent_id, redaction.role, len(redaction.raw), before=redaction.before
            )
            found = [copies]
            if redaction.may_be_in_parts:
                found += self._tables.messages.find_in_parts(sid, agent_id, before=redaction.before)
            rows, *others = yield self._request("persql.redact", found, [redaction])
            if others:
                in_parts, chunks = others
                rows = [*rows, *in_parts]
        with self._lock:
            del self._sending[redaction.key]
            for row in rows:
                position: int = row["message_id"]
                own = [chunk for chunk in chunks if chunk["message_id"] == position]
                text = rewritten(
                    row["data"], own, agent_id, position, (redaction.role, redaction.raw, redaction.redacted), now()
                )
                key: Key = ("message", agent_id, position)
                if text is not None and key not in self._sending:
                    self._sending[key] = MessageRow(agent_id, position, Document.of(text), new=False)
                    if own:
                        self._known.in_parts.add(key)

    def _completed(self, batch: Batch) -> None:
        with self._lock:
            for key in batch.completes:
                self._is_stored(key)
            self._known.agents.update(batch.agents)
            self._known.multi_agents.update(batch.multi_agents)

    def _is_stored(self, key: Key) -> None:
        row = self._sending.pop(key)
        if isinstance(row, MessageRow):
            self._known.pass_message(row.agent_id, row.message_id)
        if not isinstance(row, Redaction):
            (self._known.in_parts.add if row.document.parts else self._known.in_parts.discard)(key)

    # After a refusal

    def _settle(self) -> Generator[Request, Answers, bool]:
        """Read back what a refused batch ran into: our own earlier attempt, or a rival's write.

        Returns:
            Whether some of what was being sent turned out to be stored already.

        Raises:
            SessionConflictError: A rival's.
        """
        rows = list(self._sending.values())
        agent_ids = sorted({row.agent_id for row in rows if not isinstance(row, MultiAgentRow)})
        multi_ids = [row.multi_agent_id for row in rows if isinstance(row, MultiAgentRow)]
        wanted = {
            agent_id: [row.message_id for row in rows if isinstance(row, MessageRow) and row.agent_id == agent_id]
            for agent_id in agent_ids
        }
        tables, sid = self._tables, self._session_id
        statements = [
            tables.agents.read_some(sid, agent_ids),
            tables.multi_agents.read_some(sid, multi_ids),
            tables.sessions.read(sid),
            *(tables.messages.read_some(sid, agent_id, ids) for agent_id, ids in wanted.items()),
        ]
        answers = yield self._request("persql.settle", statements, rows)
        agents = {row["agent_id"]: row for row in answers[0]}
        multi_agents = {row["multi_agent_id"]: row for row in answers[1]}
        found: dict[Key, StoredRow] = {
            ("message", agent_id, row["message_id"]): row
            for agent_id, answer in zip(wanted, answers[3:], strict=True)
            for row in answer
        }
        found.update({("agent", agent_id, 0): row for agent_id, row in agents.items()})
        found.update({("multi_agent", multi_id, 0): row for multi_id, row in multi_agents.items()})
        progress = False
        for row in rows:
            progress = self._settle_message(row, found) or progress
        for agent_id in agent_ids:
            progress = self._settle_revision("agent", agent_id, found) or progress
        for multi_id in multi_ids:
            progress = self._settle_revision("multi_agent", multi_id, found) or progress
        if not progress and not answers[2]:  # the session went between the requests that were to begin an owner in it
            first: tuple[Owner, str] = ("agent", agent_ids[0]) if agent_ids else ("multi_agent", multi_ids[0])
            raise self._conflict(*first, found, deleted=True)
        return progress

    def _settle_message(self, row: Row, found: dict[Key, StoredRow]) -> bool:
        if not isinstance(row, MessageRow) or row.key not in found:
            return False
        stored = found[row.key]["data"]
        if stored == row.document.data:
            with self._lock:
                self._is_stored(row.key)
            return True
        if not row.new:
            return False
        if not self._is_ours(row.key, stored):
            raise self._conflict("agent", row.agent_id, found, message_id=row.message_id)
        with self._lock:
            self._known.pass_message(row.agent_id, row.message_id)
            self._sending[row.key] = MessageRow(row.agent_id, row.message_id, row.document, new=False)
        return True

    def _settle_revision(self, kind: Owner, owner: str, found: dict[Key, StoredRow]) -> bool:
        known = self._known.agents if kind == "agent" else self._known.multi_agents
        key: Key = (kind, owner, 0)
        stored = found.get(key)
        revision = stored["revision"] if stored is not None else 0
        wanted = self._sending.get(key)
        last = stored["last_message_id"] if isinstance(wanted, AgentRow) and stored is not None else None
        if last is not None and last >= self._known.next_ids.get(owner, 0):
            raise self._conflict(kind, owner, found, message_id=last)
        if revision == known.get(owner, 0):
            return False
        attempts = self._attempts.agents if kind == "agent" else self._attempts.multi_agents
        if stored is None or (owner, revision) not in attempts:
            raise self._conflict(kind, owner, found)
        known[owner] = revision
        if (
            isinstance(wanted, AgentRow)
            and (wanted.window, wanted.document.data) == (stored["live_window"], stored["data"])
        ) or (isinstance(wanted, MultiAgentRow) and wanted.document.data == stored["data"]):
            with self._lock:
                self._is_stored(key)
        return True

    def _is_ours(self, key: Key, stored: str) -> bool:
        contents = self._attempts.rows.get(key, ())
        return any(not isinstance(row, Redaction) and row.document.data == stored for row in contents)

    def _conflict(
        self,
        kind: Owner,
        owner: str,
        found: dict[Key, StoredRow],
        *,
        message_id: int | None = None,
        deleted: bool = False,
    ) -> SessionConflictError:
        known = (self._known.agents if kind == "agent" else self._known.multi_agents).get(owner, 0)
        row = found.get((kind, owner, 0))
        stored = None if row is None else row["revision"]
        what = (
            f"message {message_id} of agent {owner!r}"
            if message_id is not None
            else f"{kind.replace('_', '-')} {owner!r}"
        )
        happened = "was deleted" if stored is None and (known or deleted) else "was changed by another writer"
        return SessionConflictError(
            f"Session {self._session_id!r}: {what} {happened} (revision {known} expected, {stored or 'none'} stored). "
            "Nothing of it was overwritten, and this writer writes no more; what it could not store is still in the "
            "agent's messages. Keep one writer per session: build a new agent with a new PerSQLSessionManager to go on "
            "from what is stored, or fork the session to go on separately.",
            session_id=self._session_id,
            agent_id=owner,
            message_id=message_id,
            expected_revision=known,
            stored_revision=stored,
        )


def _again(error: SessionConflictError) -> SessionConflictError:
    return SessionConflictError(
        str(error),
        session_id=error.session_id,
        agent_id=error.agent_id,
        message_id=error.message_id,
        expected_revision=error.expected_revision,
        stored_revision=error.stored_revision,
    )
