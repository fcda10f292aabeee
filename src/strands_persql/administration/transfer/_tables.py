"""A session as it is read from its tables, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ...database.decoding import FoundParts, StoredDocument, StoredMessage, unreadable
from ...database.live_window import LiveWindow
from ...database.tables import Tables, TransferTables
from ...errors import SessionConflictError, SessionDataError
from ._items import (
    AgentItem,
    Document,
    HeadItem,
    Item,
    MessageItem,
    MultiAgentItem,
)

if TYPE_CHECKING:
    from ...client import Statement
    from ...database.connector import Row, Store
    from ...database.query import Query

__all__ = ["Connection", "Head", "StoredSource"]

T = TypeVar("T")

PAGE_CHARACTERS = 2_000_000
"""About as many characters of documents are asked for at a time."""

SMALLEST_PAGE, LARGEST_PAGE = 50, 2_000
"""Messages in a page: more as pages come in whole, fewer as their size cuts them."""

PARTS = 4
"""Parts of a long document that are asked for at a time, 1 MB each."""

START = ("", -1)
"""The place before the first message: no agent's id sorts before the empty one."""


@dataclass
class Connection:
    """A store, the statements of this package, and a count of the requests made."""

    store: Store[Tables]
    requests: int = 0
    tables: TransferTables = field(init=False)

    def __post_init__(self) -> None:
        self.tables = TransferTables(self.store.tables)

    def read(self, *statements: Statement) -> list[list[Row]]:
        """As `Store.read`."""
        self.requests += 1
        return self.store.read(*statements)

    def read_versioned(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """As `Store.read_versioned`."""
        self.requests += 1
        return self.store.read_versioned(statements)

    def ask(self, query: Query[T]) -> T:
        """As `Store.ask`."""
        self.requests += 1
        return self.store.ask(query)

    def write(self, statements: Sequence[Statement], *, key: str) -> None:
        """As `Store.write`."""
        self.requests += 1
        self.store.write(statements, key=key)


@dataclass(frozen=True)
class Head:
    """All of a stored session but its messages.

    Attributes:
        session_id: The session.
        session: Its document; None where it has no row.
        agents: Its agents, by id.
        owners: The position of each one's last message, also of those with no row.
        multi_agents: The documents of its Graphs and Swarms.
        revisions: The revision of each row, by kind and id.
    """

    session_id: str
    session: Document | None
    agents: dict[str, AgentItem]
    owners: dict[str, int]
    multi_agents: dict[str, Document]
    revisions: dict[tuple[str, str], int]

    @classmethod
    def read(cls, connection: Connection, session_id: str) -> Head:
        """Read it, in one request.

        Raises:
            SessionDataError: A row can't be read.
        """
        return cls.of(connection.read_versioned(connection.tables.read_head(session_id)), session_id)

    @classmethod
    def of(cls, answers: Sequence[Sequence[Row]], session_id: str) -> Head:
        """Decode the answers to `TransferTables.read_head`, less the first."""
        sessions, agents, agent_chunks, owners, multi_agents, multi_chunks = answers
        what = f"The row of session {session_id!r}"
        session = StoredDocument(what, sessions[0]["data"]).fields(with_bytes=False) if sessions else None
        own, multi_parts = FoundParts(agent_chunks), FoundParts(multi_chunks)
        return cls(
            session_id,
            session,
            {row["agent_id"]: _agent(row, own) for row in agents},
            {row["agent_id"]: row["last_message_id"] for row in owners},
            {
                row["multi_agent_id"]: StoredDocument(
                    f"The row of multi-agent {row['multi_agent_id']!r}",
                    row["data"],
                    multi_parts.of(row["multi_agent_id"]),
                ).fields(with_bytes=False)
                for row in multi_agents
            },
            {("agent", row["agent_id"]): row["revision"] for row in agents}
            | {("multi_agent", row["multi_agent_id"]): row["revision"] for row in multi_agents},
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the session is stored."""
        return self.session is None and not (self.agents or self.owners or self.multi_agents)

    @property
    def is_restorable(self) -> bool:
        """Whether anything can be restored from it."""
        return bool(self.agents or self.multi_agents)

    def messages(self, connection: Connection, *, after: tuple[str, int] = START) -> Iterator[MessageItem]:
        """The session's messages up to those that were there when the head was read.

        Raises:
            SessionDataError: A row can't be read.
        """
        last = max(self.owners.items(), default=START)
        limit = SMALLEST_PAGE
        while after < last:
            page = connection.tables.page(self.session_id, after, limit=limit, size=PAGE_CHARACTERS)
            (rows,) = connection.read(page)
            if not rows:
                return
            for row in rows:
                after = (row["agent_id"], row["message_id"])
                if after[1] <= self.owners.get(after[0], -1):
                    yield MessageItem(*after, self._message(connection, row))
            limit = min(2 * limit, LARGEST_PAGE) if len(rows) == limit else max(len(rows), SMALLEST_PAGE)

    def _message(self, connection: Connection, row: Row) -> Document:
        agent_id: str = row["agent_id"]
        message = StoredMessage.of(row, agent_id, FoundParts())
        while numbers := message.missing(PARTS):
            found = connection.ask(connection.store.tables.parts.some(self.session_id, agent_id, message, numbers))
            message = message.with_parts(found)
            if message.missing(1) == numbers[:1]:  # it lacks this part: the error says so
                break
        return message.record(with_bytes=False)


class StoredSource:
    """The sessions of a database.

    Args:
        connection: To it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def session_ids(self) -> list[str]:
        """Which sessions it has."""
        found: list[str] = []
        while True:
            after = found[-1] if found else None
            (rows,) = self._connection.read(self._connection.tables.list_sessions(after=after, limit=1000))
            if not rows:
                return found
            found += [row["session_id"] for row in rows]

    def count(self, session_ids: Iterable[str]) -> int:
        """How many messages these sessions have."""
        tables = self._connection.tables
        return sum(
            self._connection.read(tables.count_messages(session_id))[0][0]["messages"] for session_id in session_ids
        )

    def sessions(self, session_id: str | None) -> Iterator[StoredSession]:
        """One session, or all of them."""
        for each in self.session_ids() if session_id is None else [session_id]:
            yield StoredSession(self._connection, each)


@dataclass
class StoredSession:
    """One session of a database."""

    connection: Connection
    session_id: str

    def items(self) -> Iterator[Item]:
        """All of it, as it was at the first request.

        Raises:
            SessionConflictError: It was rewritten meanwhile.
            SessionDataError: There is none, or a row can't be read.
        """
        head = Head.read(self.connection, self.session_id)
        if head.session is None:
            raise SessionDataError(
                f"Session {self.session_id!r} does not exist in this database, so there is nothing to bring over."
            )
        strays = head.owners.keys() - head.agents.keys()
        if strays:
            raise SessionDataError(
                f"Session {self.session_id!r} has messages of {_listed(strays)} but no row of that agent's: an import "
                "of it has not come to its end. Run that again, or delete the session."
            )
        yield HeadItem(head.session)
        messages = head.messages(self.connection)
        message = next(messages, None)
        for agent_id, agent in head.agents.items():
            yield agent
            while message is not None and message.agent_id == agent_id:
                yield message
                message = next(messages, None)
        for multi_agent_id, data in head.multi_agents.items():
            yield MultiAgentItem(multi_agent_id, data)
        now = Head.read(self.connection, self.session_id)
        changed = sorted(
            owner for (kind, owner), revision in head.revisions.items() if now.revisions.get((kind, owner)) != revision
        )
        if changed:
            raise SessionConflictError(
                f"Session {self.session_id!r} was written to while it was read ({_listed(changed)} changed). Nothing "
                "was changed by this. Try again when its agents are at rest.",
                session_id=self.session_id,
                agent_id=changed[0],
            )


def _agent(row: Row, parts: FoundParts) -> AgentItem:
    agent_id, window = row["agent_id"], row["live_window"]
    what = f"The row of agent {agent_id!r}"
    try:
        items = None if window is None else json.loads(window)
    except (ValueError, RecursionError) as error:
        raise SessionDataError(unreadable(what, "its live window is no JSON", column="live_window")) from error
    if items is not None:
        try:
            LiveWindow.parse(items)
        except ValueError as error:
            raise SessionDataError(
                unreadable(what, f"its live window is none ({error})", column="live_window")
            ) from error
    document = StoredDocument(what, row["data"], parts.of(agent_id)).fields(with_bytes=False)
    return AgentItem(agent_id, document, cast("list[Any]", items))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
