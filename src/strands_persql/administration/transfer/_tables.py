"""A stored session as imports and exports read it: first all but its messages, then these page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ...database.about import About
from ...database.connector import Connector
from ...database.decoding import unreadable
from ...database.live_window import LiveWindow
from ...database.query import each, together
from ...database.rewinds import Rewinds
from ...database.tables import Kind, SessionObjects, StoredState, Tables, TransferTables
from ...engine.opening import whole_message
from ...errors import SessionConflictError, SessionDataError, named
from ...stores import UnreadableError, objects_beside
from ..agents import in_order, multi_agent_of
from ._items import Document, HeadItem, Item, MessageItem, ObjectItem, Source, SourceSession, StateItem

if TYPE_CHECKING:
    from ...database.decoding import StoredMessage
    from ...database.query import Query

T = TypeVar("T")

PAGE_CHARACTERS = 2_000_000
"""About as many characters of documents are asked for at a time."""

SMALLEST_PAGE, LARGEST_PAGE = 50, 2_000
"""Messages in a page: more as pages come in whole, fewer as their size cuts them."""

SESSIONS = 1_000
"""Sessions whose ids are asked for at a time."""

START = ("", -1)
"""The place before the first message: no agent's id sorts before the empty one."""


@dataclass
class Connection:
    """A store, and how many requests were made over it."""

    store: Connector[Tables]
    requests: int = 0
    tables: TransferTables = field(init=False)

    def __post_init__(self) -> None:
        self.tables = TransferTables(self.store.tables)

    def ask(self, query: Query[T], *, versioned: bool = False) -> T:
        """As the store's `ask`."""
        self.requests += 1
        return self.store.ask(query, versioned=versioned)

    def carry_out(self, query: Query[T]) -> T:
        """As the store's `carry_out`."""
        self.requests += 1
        return self.store.carry_out(query)


def mixed(store: Connector[Tables]) -> Connector[Tables]:
    """The same database; where a key was given, its sessions in clear are read, too."""
    tables = store.tables
    if tables.encryption is None:
        return store
    return Connector(store.database, Tables(tables.prefix, tables.encryption, mixed=True), create_tables=False)


@dataclass(frozen=True)
class Head:
    """All of a stored session but its messages.

    Attributes:
        session_id: The session.
        session: Its document; None where it has no row.
        about: Whose it is, and what people call it.
        states: Its agents by their ids, then its Graphs and Swarms.
        last: The position of each agent's last message, also of agents without a row.
        revisions: The revision of each row in `states`.
        count: How many messages there are; None where that was not asked for.
    """

    session_id: str
    session: Document | None
    about: About
    states: dict[tuple[Kind, str], StateItem]
    last: dict[str, int]
    revisions: dict[tuple[Kind, str], int]
    count: int | None = None

    @classmethod
    def read(cls, connection: Connection, session_id: str, *, counted: bool = False) -> Head:
        """Read it, in one request; with `counted` the number of its messages, too.

        Raises:
            SessionDataError: A row can't be read.
        """
        tables = connection.tables
        count = each([tables.count_messages(session_id)] if counted else [])
        found, counts = connection.ask(together(tables.read_head(session_id), count), versioned=True)
        return cls(
            session_id,
            None if found.session is None else found.session.fields(with_bytes=False),
            found.about,
            {(kind, owner): _state_item(kind, owner, state) for (kind, owner), state in found.states.items()},
            found.last,
            {key: state.revision for key, state in found.states.items()},
            counts[0] if counts else None,
        )

    def messages(
        self, connection: Connection, *, after: tuple[str, int] = START, end: tuple[str, int] | None = None
    ) -> Iterator[MessageItem]:
        """The session's messages up to the last, or another, without those that were added since this was read.

        Raises:
            SessionDataError: A row can't be read.
        """
        end = max(self.last.items(), default=START) if end is None else end
        limit = SMALLEST_PAGE
        while after < end:
            page = connection.ask(connection.tables.page(self.session_id, after, limit=limit, size=PAGE_CHARACTERS))
            if not page:
                return
            for paged in page:
                after = (paged.agent_id, paged.message.position)
                if after > end:
                    return
                if paged.message.position <= self.last.get(paged.agent_id, -1):
                    yield self._item(connection, *paged)
            limit = min(2 * limit, LARGEST_PAGE) if len(page) == limit else max(len(page), SMALLEST_PAGE)

    def as_people_look(self) -> list[StateItem]:
        """Its agents, in the order of `in_order`, then its Graphs and Swarms."""
        agents = {owner: state for (kind, owner), state in self.states.items() if kind == "agent"}
        groups = [state for (kind, _), state in self.states.items() if kind != "agent"]
        order = in_order(agents, [multi_agent_of(each.owner, each.data) for each in groups])
        return [*(agents[agent_id] for agent_id in order), *groups]

    def _item(self, connection: Connection, agent_id: str, message: StoredMessage) -> MessageItem:
        def whole(version: StoredMessage) -> Document:
            tables = connection.store.tables
            return whole_message(connection.ask, tables, self.session_id, agent_id, version).record(with_bytes=False)

        said = {name: value for name, value in whole(message).items() if name != "live"}
        return MessageItem(agent_id, message.position, said, None if message.live is None else whole(message.live))


class StoredSource(Source):
    """The sessions of a database.

    Args:
        connection: To it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def session_ids(self) -> list[str]:
        found: list[str] = []
        while True:
            after = found[-1] if found else ""
            page = self._connection.ask(self._connection.tables.list_sessions(after=after, limit=SESSIONS))
            if not page:
                return found
            found += page

    def count(self, session_ids: Iterable[str]) -> int:
        tables = self._connection.tables
        return sum(self._connection.ask(tables.count_messages(session_id)) for session_id in session_ids)

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
        for name in self.session_ids() if session_id is None else [session_id]:
            yield SourceSession(name, self.items(name))

    def items(self, session_id: str, *, counted: bool = False) -> Iterator[Item]:
        """All of one session, as it was at the first request; with `counted` its head has the number of messages.

        Raises:
            SessionConflictError: It was written to meanwhile.
            SessionDataError: There is none, or a row can't be read.
        """
        return self._items(session_id, _by_id, counted)

    def items_for_people(self, session_id: str, *, counted: bool = False) -> Iterator[Item]:
        """The same, with the agents in the order in which people look at them; raises as `items` does."""
        return self._items(session_id, _as_people_look, counted)

    def _items(
        self, session_id: str, ordered: Callable[[Head, Connection], Iterator[Item]], counted: bool
    ) -> Iterator[Item]:
        head = Head.read(self._connection, session_id, counted=counted)
        if head.session is None:
            raise SessionDataError(
                f"Session {named(session_id)} does not exist in this database, so there is nothing to bring over."
            )
        strays = [agent_id for agent_id in head.last if ("agent", agent_id) not in head.states]
        if strays:
            raise SessionDataError(
                f"Session {named(session_id)} has messages of {_listed(strays)} but no row of that agent's: an import "
                "of it has not come to its end. Run that again, or delete the session."
            )
        yield HeadItem(head.session, head.about, head.count)
        yield from ordered(head, self._connection)
        yield from self._objects(session_id)
        now = Head.read(self._connection, session_id).revisions
        changed = sorted(owner for (kind, owner), known in head.revisions.items() if now.get((kind, owner)) != known)
        if changed:
            raise SessionConflictError(
                f"Session {named(session_id)} was written to while it was read ({_listed(changed)} changed). Nothing "
                "was changed by this. Try again when its agents are at rest.",
                session_id=session_id,
                agent_id=changed[0],
            )

    def _objects(self, session_id: str) -> Iterator[ObjectItem]:
        store = self._connection.store
        of_session, objects = SessionObjects(store.tables.prefix, session_id), objects_beside(store)
        for key in self._connection.ask(of_session.keys()):
            self._connection.requests += 1
            try:
                value = objects.read(key)
            except UnreadableError as error:
                raise SessionDataError(
                    f"Object {named(key)} of session {named(session_id)} can't be read: {error}"
                ) from error
            if value is not None:
                yield ObjectItem(of_session.relative(key), value)


def _by_id(head: Head, connection: Connection) -> Iterator[Item]:
    """A session's agents with their messages by their ids, then its Graphs and Swarms."""
    messages = head.messages(connection)
    message = next(messages, None)
    for state in head.states.values():
        yield state
        while message is not None and (state.kind, state.owner) == ("agent", message.agent_id):
            yield message
            message = next(messages, None)


def _as_people_look(head: Head, connection: Connection) -> Iterator[Item]:
    """The same in another order; it reads the messages agent by agent."""
    for state in head.as_people_look():
        yield state
        if state.kind == "agent" and state.owner in head.last:
            start, end = (state.owner, -1), (state.owner, head.last[state.owner])
            yield from head.messages(connection, after=start, end=end)


def _state_item(kind: Kind, owner: str, stored: StoredState) -> StateItem:
    document = stored.document
    try:
        window = None if stored.window is None else LiveWindow.parse(stored.window)
    except ValueError as error:
        raise SessionDataError(
            unreadable(document.what, f"its live window is none ({error})", column="live_window")
        ) from error
    rewinds = Rewinds.of_row(stored.rewinds)
    return StateItem(kind, owner, document.fields(with_bytes=False), window, stored.updated_at, rewinds)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
