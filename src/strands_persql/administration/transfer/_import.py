"""Sessions brought into the tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from ...database.connector import fault_of
from ...database.encoding import encode
from ...database.tables import Document as Laid
from ...engine.options import checked_session_id
from ...engine.outgoing import MAX_STATEMENTS
from ...errors import SessionConflictError
from ..results import Transfer
from ._items import (
    AgentItem,
    Checksum,
    Document,
    HeadItem,
    MessageItem,
    Progress,
    SourceSession,
    canonical,
    checked_id,
)
from ._progress import Reporter
from ._sources import Importable, opened
from ._tables import START, Connection, Head

if TYPE_CHECKING:
    from ...client import Statement
    from ...database.connector import Store
    from ...database.tables import Tables

__all__ = ["import_from"]

BATCH_BYTES = 3_000_000
"""Bytes of parameters in a request. PerSQL names no limit for a request's body; escapes make it longer on the way."""

GROUP_BYTES = 1_000_000
"""Bytes of the one parameter that carries many messages; the service takes 2 MB."""

LARGE_BYTES = 100_000
"""A document this long goes in a statement of its own: among others it would be escaped twice."""


def import_from(
    store: Store[Tables],
    source: Importable,
    *,
    session_id: str | None = None,
    new_id: str | None = None,
    agent_ids: Sequence[str] | None = None,
    multi_agent_ids: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> tuple[Transfer, ...]:
    """Bring sessions in, documents as they are, whatever fields they have.

    It reads and writes a few megabytes at a time. A session's agents get their rows in the last transaction, so
    nothing restores from half of it; run again after a failure, it compares what stands there with the source, and goes
    on behind it. What was written is read back, and compared by its checksum.

    Args:
        store: Where to.
        source: Where from: the folder of Strands' `FileSessionManager` (its `storage_dir`, or the folder of one
            session), a `.jsonl` file that `export` wrote or its lines, one of Strands' session managers (files, S3, or
            over a repository), or any `SessionRepository`.
        session_id: The session to bring in; None for all that the source has, or that a manager is for.
        new_id: What to call it here; for one session alone.
        agent_ids: Its agents, for a repository that can't list them.
        multi_agent_ids: Its Graphs and Swarms, for a repository that can't list them.
        progress: Called with the messages done and how many there are, where that is known.

    Returns:
        What was brought in, session by session; the first that can't be ends the call.

    Raises:
        SessionConflictError: Under this id something else is stored, or somebody is writing to it. Nothing of it was
            changed.
        SessionDataError: The source has no such session, or something in it can't be read: the error names the file or
            line.
        PerSQLError: The database refused, or could not be reached; run it again.
        TypeError: An argument is of the wrong type.
        ValueError: An argument can't be used.
    """
    listing, own = opened(source, agent_ids=agent_ids, multi_agent_ids=multi_agent_ids)
    session_id = own if session_id is None else session_id
    if new_id is not None:
        checked_session_id(new_id)
    known = [session_id] if session_id is not None else listing.session_ids()
    if new_id is not None and known is not None and len(known) > 1:
        raise ValueError(_ONE_ID.format(len(known)))
    counted = Reporter(progress)
    if progress is not None and known is not None:
        counted.total = listing.count(known)
    transfers: list[Transfer] = []
    for session in listing.sessions(session_id):
        if new_id is not None and transfers:
            raise ValueError(_ONE_ID.format("several"))
        target = checked_session_id(session.session_id if new_id is None else new_id)
        transfers.append(_Import(Connection(store), target, counted).run(session))
    return tuple(transfers)


_ONE_ID = "new_id is for one session, and the source has {}. Name the one: session_id=…"


class _Import:
    """One session's import: the source goes by once, beside what stands in the tables."""

    def __init__(self, connection: Connection, session_id: str, progress: Reporter) -> None:
        self._connection = connection
        self._session_id = session_id
        self._progress = progress
        self._batch = _Batch(connection, session_id, progress)
        self._head = Head.read(connection, session_id)
        self._standing = self._head.messages(connection)
        self._checksum = Checksum()
        self._session: Document = {}
        self._agents: dict[str, AgentItem] = {}
        self._last: dict[str, int] = {}
        self._multi_agents: dict[str, Document] = {}
        self._messages = 0
        # Where what stood there ends, and the checksum up to it; from there on it is read back.
        self._end = START
        self._up_to_end: Checksum | None = None

    def run(self, session: SourceSession) -> Transfer:
        for item in session.items():
            if isinstance(item, MessageItem):
                self._message(item)
            elif isinstance(item, HeadItem):
                self._add_session(item.data)
            elif isinstance(item, AgentItem):
                checked_id(item, self._session_id)
                stored = self._head.agents.get(item.agent_id)
                if stored is not None and not _same_agent(stored, item):
                    raise self._conflict(f"agent {item.agent_id!r} has another state", agent_id=item.agent_id)
                self._agents[item.agent_id] = item
                self._checksum.add(item)
            else:
                checked_id(item, self._session_id)
                owner = item.multi_agent_id
                state = self._head.multi_agents.get(owner)
                if state is not None and canonical(state) != canonical(item.data):
                    raise self._conflict(f"multi-agent {owner!r} has another state", agent_id=owner)
                self._multi_agents[owner] = item.data
                self._checksum.add(item)
        self._finish()
        self._progress.tell()
        return Transfer(
            session_id=self._session_id,
            agents=len(self._agents),
            messages=self._messages,
            multi_agents=len(self._multi_agents),
            written=self._batch.written,
            requests=self._connection.requests,
            checksum=self._checksum.hexdigest(),
        )

    def _add_session(self, document: Document) -> None:
        self._session = {**document, "session_id": self._session_id}
        if self._head.session is None:
            if not self._head.is_empty:
                raise self._conflict("it has rows, but none of its own in the table of sessions")
            self._batch.session(self._session)
        elif canonical(self._head.session) != canonical(self._session):
            raise self._conflict("it was begun at another time, or by another program")

    def _message(self, item: MessageItem) -> None:
        text = canonical(item.data)
        stored = next(self._standing, None)
        if stored is not None:
            found = (stored.agent_id, stored.message_id)
            if found != (item.agent_id, item.message_id) or canonical(stored.data) != text:
                raise self._conflict(
                    f"message {stored.message_id} of agent {stored.agent_id!r} is another one",
                    agent_id=stored.agent_id,
                    message_id=stored.message_id,
                )
            self._end = found
            self._progress.add(1)
        else:
            if self._head.is_restorable:
                raise self._conflict(
                    f"message {item.message_id} of agent {item.agent_id!r} is not there",
                    agent_id=item.agent_id,
                    message_id=item.message_id,
                )
            self._up_to_end = self._up_to_end or self._checksum.of_messages()
            self._batch.message(item)
        self._last[item.agent_id] = item.message_id
        self._messages += 1
        self._checksum.message(item.agent_id, item.message_id, text)

    def _finish(self) -> None:
        more = next(self._standing, None)
        if more is not None:
            raise self._conflict(
                f"it has a message {more.message_id} of agent {more.agent_id!r}, and the source has none",
                agent_id=more.agent_id,
                message_id=more.message_id,
            )
        for owner in [
            *(self._head.agents.keys() - self._agents.keys()),
            *(self._head.multi_agents.keys() - self._multi_agents.keys()),
        ]:
            raise self._conflict(f"it has {owner!r}, and the source has not", agent_id=owner)
        fault: SessionConflictError | None = None
        try:
            for agent_id, agent in self._agents.items():
                if agent_id not in self._head.agents:
                    self._batch.agent(agent, self._last.get(agent_id))
            for multi_agent_id, state in self._multi_agents.items():
                if multi_agent_id not in self._head.multi_agents:
                    self._batch.multi_agent(multi_agent_id, state)
            self._batch.send()
        except SessionConflictError as error:
            fault = error  # unless it was our own attempt, of which the answer was lost: reading back tells
        if self._batch.sent or fault is not None:
            self._read_back(fault)
            self._batch.confirm()

    def _read_back(self, fault: SessionConflictError | None) -> None:
        """Prove that source and target hold the same, where anything was written."""
        now = Head.read(self._connection, self._session_id)
        checksum = self._up_to_end or self._checksum.of_messages()
        for message in now.messages(self._connection, after=self._end):
            checksum.add(message)
        for agent in now.agents.values():
            checksum.add(agent)
        for multi_agent_id, state in now.multi_agents.items():
            checksum.multi_agent(multi_agent_id, canonical(state))
        same = (
            now.session is not None
            and canonical(now.session) == canonical(self._session)
            and now.agents.keys() == self._agents.keys()
            and all(_same_agent(agent, self._agents[agent_id]) for agent_id, agent in now.agents.items())
            and checksum.hexdigest() == self._checksum.hexdigest()
        )
        if not same:
            raise fault or SessionConflictError(
                f"What was read back of session {self._session_id!r} is not what the source holds: its checksum is "
                f"{checksum.hexdigest()}, the source's {self._checksum.hexdigest()}. Somebody else wrote to the "
                "session meanwhile, or to the source. See what it holds, and delete it or import under another name "
                "(new_id=…).",
                session_id=self._session_id,
                agent_id=next(iter(self._agents), ""),
            )

    def _conflict(self, why: str, *, agent_id: str = "", message_id: int | None = None) -> SessionConflictError:
        return SessionConflictError(
            f"Session {self._session_id!r} is stored here already, and it is no earlier import of this source: {why}. "
            "Nothing of it was changed. Import under another name (new_id=…), or delete it first.",
            session_id=self._session_id,
            agent_id=agent_id,
            message_id=message_id,
        )


@dataclass
class _Batch:
    """The statements of the next request, inside its limits, rows in their order."""

    connection: Connection
    session_id: str
    progress: Reporter
    written: int = 0
    sent: bool = False
    _statements: list[Statement] = field(default_factory=lambda: [])
    _size: int = 0
    _group: list[tuple[int, str]] = field(default_factory=lambda: [])
    _group_of: str = ""
    _group_size: int = 0
    _messages: int = 0

    def session(self, document: Document) -> None:
        """The session's own row."""
        data = encode(document, what=f"session {self.session_id!r}")
        self._add(self.connection.store.tables.sessions.ensure(self.session_id, data))

    def message(self, item: MessageItem) -> None:
        """A message: its parts, then its row, among others where it is short."""
        laid = _laid_out(item.data, f"message {item.message_id} of agent {item.agent_id!r}")
        tables, owner = self.connection.store.tables, item.agent_id
        for statement in tables.parts.add(self.session_id, "message", owner, item.message_id, laid):
            self._add(statement)
        if len(laid.data) > LARGE_BYTES:
            self._close_group()
            self._add(
                self.connection.tables.import_message(self.session_id, owner, item.message_id, laid.data), messages=1
            )
            return
        text = json.dumps(laid.data, ensure_ascii=False)
        size = _size(text) + 20
        if owner != self._group_of or self._group_size + size > GROUP_BYTES:
            self._close_group()
        self._group_of = owner
        self._group.append((item.message_id, text))
        self._group_size += size

    def agent(self, item: AgentItem, last_message_id: int | None) -> None:
        """An agent's row, after its messages."""
        self._close_group()
        owner = item.agent_id
        laid = _laid_out(item.data, f"agent {owner!r}")
        for statement in self.connection.store.tables.parts.add(self.session_id, "agent", owner, 0, laid):
            self._add(statement)
        window = None if item.window is None else encode(item.window, what=f"the live window of agent {owner!r}")
        self._add(
            self.connection.tables.import_agent(
                self.session_id, owner, window, laid.data, last_message_id=last_message_id
            )
        )

    def multi_agent(self, multi_agent_id: str, state: Document) -> None:
        """A Graph's or Swarm's row."""
        self._close_group()
        laid = _laid_out(state, f"the state of multi-agent {multi_agent_id!r}")
        for statement in self.connection.store.tables.parts.add(
            self.session_id, "multi_agent", multi_agent_id, 0, laid
        ):
            self._add(statement)
        self._add(self.connection.tables.import_multi_agent(self.session_id, multi_agent_id, laid.data))

    def send(self) -> None:
        """Send what is left.

        Raises:
            SessionConflictError: Somebody else writes to the session.
        """
        self._close_group()
        self._send()

    def _close_group(self) -> None:
        if not self._group:
            return
        group, self._group, self._group_size = self._group, [], 0
        self._add(self.connection.tables.import_messages(self.session_id, self._group_of, group), messages=len(group))

    def _add(self, statement: Statement, *, messages: int = 0) -> None:
        size = sum(_size(value) if isinstance(value, str) else 8 for value in statement.get("params", ()))
        if len(self._statements) >= MAX_STATEMENTS or self._size + size > BATCH_BYTES:
            self._send()
        self._statements.append(statement)
        self._size += size
        self._messages += messages

    def _send(self) -> None:
        if not self._statements:
            return
        try:
            # Sent again, it changes nothing: each row may stand there already, if it is the same.
            self.connection.write(self._statements, key=uuid4().hex)
        except Exception as error:
            if fault_of(error) not in ("not_null_violation", "unique_violation"):
                raise
            raise SessionConflictError(
                f"Session {self.session_id!r} is being written to, or was deleted, while it is imported. Nothing of "
                "the other writer's was changed. Import under another name (new_id=…), or delete the session first.",
                session_id=self.session_id,
                agent_id=self._group_of,
            ) from error
        self.confirm()

    def confirm(self) -> None:
        """What was sent last is stored."""
        self.sent = True
        self.written += self._messages
        self.progress.add(self._messages)
        self._statements, self._size, self._messages = [], 0, 0


def _laid_out(document: Document, what: str) -> Laid:
    """How a document stands in its rows; the same whenever it is imported again, the names of its parts included."""
    text = encode(document, what=what)
    created_at = document.get("created_at")
    return Laid.of(
        text,
        generation=hashlib.sha256(text.encode()).hexdigest()[:32],
        created_at=created_at if isinstance(created_at, str) else "",
    )


def _same_agent(one: AgentItem, other: AgentItem) -> bool:
    return canonical(one.data) == canonical(other.data) and canonical(one.window) == canonical(other.window)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
