"""One session's writes: pending rows, sent in order, off the event loop, each exactly once.

What is to be written stands here by its key until it is stored, so that a newer content replaces an older one that was
not sent yet, and a failed write goes along with the next. A batch is one transaction: all of it or none. Each carries
the revisions it was built on, so one that was carried out although its answer was lost, or that a rival has overtaken,
is refused by the database; reading the rows back then tells the two apart.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

from .errors import SessionConflictError
from .store import Row as StoredRow
from .store import Store, fault_of
from .tables import Document
from .workers import Lane

if TYPE_CHECKING:
    from .client import Statement

__all__ = ["AgentRow", "MessageRow", "MultiAgentRow", "Redaction", "Row", "Writer", "document"]

logger = logging.getLogger(__name__)

MAX_STATEMENTS = 100
"""Statements in one batch (PerSQL, "Platform limits")."""

MAX_BODY_BYTES = 4_000_000
"""Characters of parameters in one batch. PerSQL names no limit for a request's body; its public endpoints take 1 MB."""

_GUARDS = ("unique_violation", "not_null_violation")

Key: TypeAlias = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message of the transcript; `new` where no row stands at its position yet."""

    agent_id: str
    message_id: int
    document: Document
    new: bool

    @property
    def key(self) -> Key:
        """What a newer content replaces."""
        return ("message", self.agent_id, self.message_id)


@dataclass(frozen=True, slots=True)
class AgentRow:
    """An agent's state and live window."""

    agent_id: str
    window: str | None
    document: Document

    @property
    def key(self) -> Key:
        """What a newer content replaces."""
        return ("agent", self.agent_id, 0)


@dataclass(frozen=True, slots=True)
class MultiAgentRow:
    """A Graph's or Swarm's state."""

    multi_agent_id: str
    document: Document

    @property
    def key(self) -> Key:
        """What a newer content replaces."""
        return ("multi_agent", self.multi_agent_id, 0)


@dataclass(frozen=True, slots=True)
class Redaction:
    """Content to be overwritten wherever an agent's transcript holds it: `raw` and `redacted` are content as JSON."""

    agent_id: str
    role: str
    raw: str
    redacted: str

    @property
    def key(self) -> Key:
        """What a newer content replaces."""
        return ("redaction", self.agent_id, hash((self.role, self.raw)))


Row: TypeAlias = MessageRow | AgentRow | MultiAgentRow | Redaction
Rows: TypeAlias = dict[Key, Row]


def document(text: str) -> Document:
    """Lay out a document's text, under a generation of its own."""
    return Document.of(text, generation=uuid4().hex)


@dataclass(slots=True)
class _Batch:
    statements: list[Statement]
    completes: list[Key]
    agents_raised: list[str]
    multi_agents_raised: list[str]


@dataclass(slots=True)
class _Attempt:
    rows: Rows
    agents_raised: set[str]


class Writer:
    """The pending rows of one session and the lane that writes them.

    Args:
        store: Where to.
        session_id: Whose.
        session: The session's own row, written with the first agent.
    """

    def __init__(self, store: Store, session_id: str, session: str) -> None:
        self._store = store
        self._tables = store.tables
        self._session_id = session_id
        self._session = session
        self._lock = threading.Lock()
        self._pending: Rows = {}
        self._sending: Rows = {}
        self._attempts: list[_Attempt] = []  # sent since the last success, each refused or unanswered
        self._agents: dict[str, int] = {}  # the revision of each agent's stored row; 0: there is none
        self._multi_agents: dict[str, int] = {}
        self._in_parts: set[Key] = set()  # rows whose documents are stored in parts
        self._lost: SessionConflictError | None = None
        self._lane = Lane(self._drain)

    @property
    def pending(self) -> int:
        """How many rows are not stored yet."""
        with self._lock:
            return len(self._pending.keys() | self._sending.keys())

    def is_unsent(self, agent_id: str, message_id: int) -> bool:
        """Whether a message's content has never left this process."""
        key: Key = ("message", agent_id, message_id)
        with self._lock:
            row = self._pending.get(key)
            sent = key in self._sending or any(key in attempt.rows for attempt in self._attempts)
            return isinstance(row, MessageRow) and row.new and not sent

    @property
    def has_rewrites(self) -> bool:
        """Whether something pending replaces what is stored, or may be, as a redaction does."""
        with self._lock:
            return any(
                isinstance(row, Redaction) or (isinstance(row, MessageRow) and not row.new)
                for row in self._pending.values()
            )

    def know_agent(self, agent_id: str, revision: int, in_parts: Iterable[Key] = ()) -> None:
        """Go on from an agent's stored row (0: none), of whose rows some are stored in parts."""
        with self._lock:
            self._agents[agent_id] = revision
            self._in_parts.update(in_parts)

    def know_multi_agent(self, multi_agent_id: str, revision: int, *, in_parts: bool) -> None:
        """Go on from a Graph's or Swarm's stored row (0: none)."""
        with self._lock:
            self._multi_agents[multi_agent_id] = revision
            if in_parts:
                self._in_parts.add(("multi_agent", multi_agent_id, 0))

    def put(self, rows: Iterable[Row]) -> None:
        """Add rows to what is pending; nothing is sent.

        Raises:
            SessionConflictError: This writer has lost its session to another.
        """
        with self._lock:
            if self._lost is not None:
                raise _again(self._lost)
            for row in rows:
                self._pending[row.key] = _merged(self._pending.get(row.key), row)

    def drain(self) -> Future[None]:
        """Send all that is pending, on a worker thread.

        The future raises what the database's handle raised, with the rows still pending; or `SessionConflictError`,
        after which this writer takes no more.
        """
        return self._lane.run()

    def _drain(self) -> None:
        with self._lock:
            if self._lost is not None:
                raise _again(self._lost)
            self._sending, self._pending = self._pending, {}
        try:
            self._send()
        except SessionConflictError as error:
            with self._lock:
                self._lost = error
            raise
        finally:
            with self._lock:
                unsent, self._sending = self._sending, {}
                for key, row in self._pending.items():
                    unsent[key] = _merged(unsent.get(key), row)
                self._pending = unsent

    def _send(self) -> None:
        settled = 0
        while self._sending:
            for batch in self._plan(list(self._sending.values())):
                try:
                    self._store.write(batch.statements, key=_key_of(batch.statements))
                except Exception as error:
                    self._attempts.append(
                        _Attempt({key: self._sending[key] for key in batch.completes}, set(batch.agents_raised))
                    )
                    if fault_of(error) not in _GUARDS or settled == 3:
                        raise
                    settled += 1
                    if not self._settle():
                        raise
                    break
                self._completed(batch)
            else:
                self._attempts.clear()

    def _completed(self, batch: _Batch) -> None:
        with self._lock:
            for key in batch.completes:
                row = self._sending.pop(key)
                if not isinstance(row, Redaction):
                    (self._in_parts.add if row.document.parts else self._in_parts.discard)(key)
            for agent_id in batch.agents_raised:
                self._agents[agent_id] = self._agents.get(agent_id, 0) + 1
            for multi_agent_id in batch.multi_agents_raised:
                self._multi_agents[multi_agent_id] = self._multi_agents.get(multi_agent_id, 0) + 1

    # From rows to statements

    def _plan(self, rows: Sequence[Row]) -> list[_Batch]:
        """The batches to send, in an order in which every one alone leaves a session that can be restored.

        A row's parts come before it, messages in their order, and an agent's state after the messages it belongs to.
        """
        tables, sid = self._tables, self._session_id
        plan = _Plan()
        agents: dict[str, AgentRow] = {row.agent_id: row for row in rows if isinstance(row, AgentRow)}
        multi_agents = [row for row in rows if isinstance(row, MultiAgentRow)]
        if any(not self._agents.get(agent_id) for agent_id in agents) or any(
            not self._multi_agents.get(row.multi_agent_id) for row in multi_agents
        ):
            plan.add(tables.ensure_session(sid, self._session))
        known: dict[str, int] = {}
        for agent_id, row in agents.items():
            if not self._agents.get(agent_id):
                plan.extend(tables.add_chunks(sid, "agent", agent_id, 0, row.document))
                plan.add(
                    tables.create_agent(sid, agent_id, row.window, row.document.data), completes=row.key, agent=agent_id
                )
                known[agent_id] = 1
        rewritten: set[str] = set()
        messages = sorted((row for row in rows if isinstance(row, MessageRow)), key=lambda row: (row.agent_id, row.message_id))
        for message in messages:
            agent_id, message_id = message.agent_id, message.message_id
            revision = known.get(agent_id) or self._agents.get(agent_id, 0)
            write = tables.add_message if message.new else tables.put_message
            plan.extend(tables.add_chunks(sid, "message", agent_id, message_id, message.document))
            plan.add(write(sid, agent_id, message_id, message.document.data, revision=revision))
            if message.key in self._in_parts:
                plan.add(tables.drop_chunks(sid, "message", agent_id, message_id, but=message.document.generation))
            plan.complete(message.key)
            if not message.new:
                rewritten.add(agent_id)
        for redaction in (row for row in rows if isinstance(row, Redaction)):
            plan.add(
                tables.redact_copies(sid, redaction.agent_id, redaction.role, redaction.raw, redaction.redacted),
                completes=redaction.key,
            )
            rewritten.add(redaction.agent_id)
        for agent_id, row in agents.items():
            if agent_id not in known:
                revision = self._agents[agent_id]
                plan.extend(tables.add_chunks(sid, "agent", agent_id, 0, row.document))
                plan.add(
                    tables.update_agent(sid, agent_id, row.window, row.document.data, revision=revision),
                    agent=agent_id,
                )
                if row.key in self._in_parts:
                    plan.add(tables.drop_chunks(sid, "agent", agent_id, 0, but=row.document.generation))
                plan.complete(row.key)
        for agent_id in sorted(rewritten - agents.keys()):
            plan.add(tables.touch_agent(sid, agent_id, revision=self._agents.get(agent_id, 0)), agent=agent_id)
        for row in multi_agents:
            multi_id, text = row.multi_agent_id, row.document.data
            revision = self._multi_agents.get(multi_id, 0)
            plan.extend(tables.add_chunks(sid, "multi_agent", multi_id, 0, row.document))
            plan.add(
                tables.update_multi_agent(sid, multi_id, text, revision=revision)
                if revision
                else tables.create_multi_agent(sid, multi_id, text),
                multi_agent=multi_id,
            )
            if row.key in self._in_parts:
                plan.add(tables.drop_chunks(sid, "multi_agent", multi_id, 0, but=row.document.generation))
            plan.complete(row.key)
        return plan.batches

    # After a refusal

    def _settle(self) -> bool:
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
        answers = self._store.read(
            tables.read_agents(sid, agent_ids),
            tables.read_multi_agents(sid, multi_ids),
            *(tables.read_messages(sid, agent_id, ids) for agent_id, ids in wanted.items()),
        )
        agents = {row["agent_id"]: row for row in answers[0]}
        multi_agents = {row["multi_agent_id"]: row for row in answers[1]}
        found: dict[Key, StoredRow] = {
            ("message", agent_id, row["message_id"]): row
            for agent_id, answer in zip(wanted, answers[2:], strict=True)
            for row in answer
        }
        found.update({("agent", agent_id, 0): row for agent_id, row in agents.items()})
        found.update({("multi_agent", multi_id, 0): row for multi_id, row in multi_agents.items()})
        progress = False
        for row in rows:
            progress = self._settle_row(row, found) or progress
        for agent_id in agent_ids:
            progress = self._settle_revision(agent_id, agents.get(agent_id), found) or progress
        for multi_id in multi_ids:
            progress = self._settle_multi_agent(multi_id, multi_agents.get(multi_id)) or progress
        return progress

    def _settle_row(self, row: Row, found: dict[Key, StoredRow]) -> bool:
        if not isinstance(row, MessageRow) or row.key not in found:
            return False
        stored = found[row.key]["data"]
        if stored == row.document.data:
            self._stored(row.key)
            return True
        if not row.new:
            return False
        if not self._is_ours(row.key, stored):
            raise self._conflict(row.agent_id, found, message_id=row.message_id)
        self._sending[row.key] = MessageRow(row.agent_id, row.message_id, row.document, new=False)
        return True

    def _settle_revision(self, agent_id: str, stored: StoredRow | None, found: dict[Key, StoredRow]) -> bool:
        known = self._agents.get(agent_id, 0)
        revision = stored["revision"] if stored is not None else 0
        if revision == known:
            return False
        if stored is None or revision != known + 1 or not self._raised_by_us(agent_id, stored, found):
            raise self._conflict(agent_id, found)
        self._agents[agent_id] = revision
        wanted = self._sending.get(("agent", agent_id, 0))
        if isinstance(wanted, AgentRow) and (wanted.window, wanted.document.data) == (stored["live_window"], stored["data"]):
            self._stored(wanted.key)
        return True

    def _raised_by_us(self, agent_id: str, stored: StoredRow, found: dict[Key, StoredRow]) -> bool:
        """Whether an attempt of ours explains that an agent's revision is one higher than we know."""
        for attempt in self._attempts:
            if agent_id not in attempt.agents_raised:
                continue
            row = attempt.rows.get(("agent", agent_id, 0))
            if isinstance(row, AgentRow):
                if (row.window, row.document.data) == (stored["live_window"], stored["data"]):
                    return True
                continue
            messages = [row for row in attempt.rows.values() if isinstance(row, MessageRow) and row.agent_id == agent_id]
            if all(found.get(row.key, {}).get("data") == row.document.data for row in messages):
                return True
        return False

    def _settle_multi_agent(self, multi_agent_id: str, stored: StoredRow | None) -> bool:
        known = self._multi_agents.get(multi_agent_id, 0)
        revision = stored["revision"] if stored is not None else 0
        if revision == known:
            return False
        key: Key = ("multi_agent", multi_agent_id, 0)
        if stored is None or revision != known + 1 or not self._is_ours(key, stored["data"]):
            raise self._conflict(multi_agent_id, {key: stored} if stored else {}, kind="multi_agent")
        self._multi_agents[multi_agent_id] = revision
        row = self._sending[key]
        if isinstance(row, MultiAgentRow) and row.document.data == stored["data"]:
            self._stored(key)
        return True

    def _stored(self, key: Key) -> None:
        with self._lock:
            del self._sending[key]

    def _is_ours(self, key: Key, stored: str) -> bool:
        for attempt in self._attempts:
            row = attempt.rows.get(key)
            if row is not None and not isinstance(row, Redaction) and row.document.data == stored:
                return True
        return False

    def _conflict(
        self, owner: str, found: dict[Key, StoredRow], *, message_id: int | None = None, kind: str = "agent"
    ) -> SessionConflictError:
        known = (self._agents if kind == "agent" else self._multi_agents).get(owner, 0)
        row = found.get((kind, owner, 0))
        stored = None if row is None else row["revision"]
        what = f"message {message_id} of agent {owner!r}" if message_id is not None else f"{kind.replace('_', '-')} {owner!r}"
        happened = "was deleted" if stored is None and known else "was changed by another writer"
        return SessionConflictError(
            f"Session {self._session_id!r}: {what} {happened} (revision {known} expected, {stored or 'none'} stored). "
            "Nothing of it was overwritten, and this session manager writes no more; what it could not store is still in "
            "the agent's messages. Keep one writer per session: build a new agent with a new PerSQLSessionManager to go "
            "on from what is stored, or fork the session to go on separately.",
            session_id=self._session_id,
            agent_id=owner,
            message_id=message_id,
            expected_revision=known,
            stored_revision=stored,
        )


class _Plan:
    """Statements gathered into batches inside the limits of one request."""

    def __init__(self) -> None:
        self.batches: list[_Batch] = []
        self._size = 0

    def add(
        self,
        statement: Statement,
        *,
        completes: Key | None = None,
        agent: str | None = None,
        multi_agent: str | None = None,
    ) -> None:
        size = sum(len(value) if isinstance(value, str) else 8 for value in statement.get("params", ()))
        last = self.batches[-1] if self.batches else None
        if last is None or len(last.statements) == MAX_STATEMENTS or self._size + size > MAX_BODY_BYTES:
            last = _Batch([], [], [], [])
            self.batches.append(last)
            self._size = 0
        self._size += size
        last.statements.append(statement)
        if completes is not None:
            last.completes.append(completes)
        if agent is not None:
            last.agents_raised.append(agent)
        if multi_agent is not None:
            last.multi_agents_raised.append(multi_agent)

    def extend(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            self.add(statement)

    def complete(self, key: Key) -> None:
        self.batches[-1].completes.append(key)


def _merged(older: Row | None, newer: Row) -> Row:
    """The newer of two rows of one key, which is still new if the older was not stored."""
    if isinstance(older, MessageRow) and isinstance(newer, MessageRow) and older.new and not newer.new:
        return MessageRow(newer.agent_id, newer.message_id, newer.document, new=True)
    return newer


def _key_of(statements: Sequence[Statement]) -> str:
    digest = hashlib.sha256()
    for statement in statements:
        digest.update(statement["sql"].encode())
        for value in statement.get("params", ()):
            digest.update(b"\0" + str(value).encode("utf-8", "surrogatepass"))
    return f"strands-persql-{digest.hexdigest()}"


def _again(error: SessionConflictError) -> SessionConflictError:
    return SessionConflictError(
        str(error),
        session_id=error.session_id,
        agent_id=error.agent_id,
        message_id=error.message_id,
        expected_revision=error.expected_revision,
        stored_revision=error.stored_revision,
    )
