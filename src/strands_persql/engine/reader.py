"""Makes agents of the rows of a restore, page by page. Pure: no I/O, no agent.

A restore is one request, but where an agent has thousands of messages in its live window, or long ones. Then more pages
follow: first the rest of the messages, then the parts of those that are stored in parts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from ..database.decoding import AgentRecord, FoundParts, Part, RestorePage, StoredMessage, is_in_parts, number, shown
from ..database.encoding import LEAVES, Message, copied, decode_all
from ..database.live_window import LiveWindow, removed_by_rule
from ..database.query import Query, each
from ..database.retention import NO_FACTS, SessionFacts
from ..database.tables import CHUNKS_AT_ONCE, MESSAGES_AT_ONCE, Tables
from .entries import UNKNOWN, Entry

if TYPE_CHECKING:
    from ..database.query import Row, Rows
    from .outgoing import Key

_STATEMENTS_AT_ONCE = 50
_DECODED_AT_ONCE = 100_000
"""Characters of messages. A text that fits into the processor's cache is decoded fastest: at 500,000 it takes a fifth
longer, as each message by itself does."""


@dataclass(slots=True)
class StoredAgent:
    """One agent as it is stored.

    Attributes:
        agent_id: Its id within the session.
        revision: Goes up with each write of its row.
        window: Its live window's JSON; None where a repository wrote the row, which knows no window.
        document: The fields of Strands' `SessionAgent`.
        messages: The messages of its live window, by position, as entries of the window to come.
        next_id: The position after the transcript's last message.
        in_parts: The rows of which parts are stored: of messages, and its own.
        facts: What is known of its session.
    """

    agent_id: str
    revision: int
    window: str | None
    document: dict[str, Any]
    messages: dict[int, Entry] = field(default_factory=lambda: {})
    next_id: int = 0
    in_parts: set[Key] = field(default_factory=lambda: set())
    facts: SessionFacts = NO_FACTS

    @property
    def last_active(self) -> str:
        """When its session was last active, as far as this agent's rows and its session's tell: ISO 8601, or empty."""
        last = self.messages.get(self.next_id - 1)
        own = self.document.get("updated_at")
        return max(self.facts.noted, "" if last is None else last.created_at, own if isinstance(own, str) else "")

    @classmethod
    def of(cls, row: AgentRecord) -> StoredAgent:
        """The agent in a row, as yet without messages.

        Raises:
            SessionDataError: The row can't be read.
        """
        what, last = row.document.what, row.last_message_id
        return cls(
            row.agent_id,
            number(row.revision, what, "revision", least=1),
            row.window,
            row.document.fields(),
            next_id=0 if last is None else number(last, what, "last message_id") + 1,
            in_parts={("agent", row.agent_id, 0)} if row.document.in_parts else set(),
            facts=row.facts,
        )


@dataclass(slots=True)
class _Rest:
    """Messages of an agent that are still to be read.

    Attributes:
        agent: The agent.
        low: The first position.
        high: The last.
    """

    agent: StoredAgent
    low: int
    high: int


class Restoration:
    """The agents of a session, as the pages of a restore arrive.

    Args:
        page: The first page.

    Raises:
        SessionDataError: A row can't be read; the error names it.
    """

    def __init__(self, page: RestorePage) -> None:
        self.agents = {row.agent_id: StoredAgent.of(row) for row in page.agents}
        self._parts = page.parts
        self._has_all_parts = page.has_all_parts
        self._knows_parts = page.has_all_parts
        self._long: list[tuple[StoredAgent, StoredMessage]] = []  # messages of which parts are still to be read
        self._skipped: dict[str, int] = {}  # by agent without a window: messages before those that come next
        self._unread: list[_Rest] = []
        for rows, windowed in ((page.windowed, True), (page.unwindowed, False)):
            for agent, own in self._by_agent(rows):
                if (agent.window is not None) is windowed:
                    if len(rows) >= MESSAGES_AT_ONCE:
                        seen = [row["message_id"] for row in own]
                        self._unread += [_Rest(agent, *ends) for ends in _unread(agent, seen)]
                    self._take_rows(agent, own)
        self._note_parts(page.parts.messages())

    def next_page(self, tables: Tables, session_id: str) -> Query[None] | None:
        """What to read next, as one request, whose reader takes it in; None where all is there.

        The reader raises `SessionDataError` for a row that can't be read.
        """
        if self._unread:
            return self._more_messages(tables, session_id)
        if not self._knows_parts:
            only = next(iter(self.agents)) if len(self.agents) == 1 else None
            query = tables.restore.positions_in_parts(session_id, only)
            return Query(query.statements, lambda answers: self._take_positions(query.read(answers)))
        return self._more_parts(tables, session_id) if self._long else None

    def _more_messages(self, tables: Tables, session_id: str) -> Query[None]:
        asked: list[tuple[_Rest, int]] = []
        left = MESSAGES_AT_ONCE
        for rest in self._unread[:_STATEMENTS_AT_ONCE]:
            limit = min(left, rest.high - rest.low + 1)
            if limit > 0:
                asked.append((rest, limit))
                left -= limit
        query = each(
            [
                tables.restore.messages_between(session_id, rest.agent.agent_id, rest.low, rest.high, limit=limit)
                for rest, limit in asked
            ]
        )
        return Query(query.statements, lambda answers: self._take_messages(asked, query.read(answers)))

    def _take_messages(self, asked: list[tuple[_Rest, int]], pages: Sequence[Rows]) -> None:
        unread = self._unread[len(asked) :]
        for (rest, limit), rows in zip(asked, pages, strict=True):
            if len(rows) >= limit and rest.low + limit <= rest.high:
                unread.insert(0, _Rest(rest.agent, rows[-1]["message_id"] + 1, rest.high))
            self._take_rows(rest.agent, rows)
        self._unread = [rest for rest in unread if rest.low <= rest.high]

    def _more_parts(self, tables: Tables, session_id: str) -> Query[None]:
        asked: list[tuple[StoredAgent, StoredMessage]] = []
        queries: list[Query[list[Part]]] = []
        left = CHUNKS_AT_ONCE
        for agent, message in self._long:
            if not left:
                break
            numbers = message.missing(left)
            asked.append((agent, message))
            queries.append(tables.parts.some(session_id, agent.agent_id, message, numbers))
            left -= len(numbers)
        query = each(queries)
        return Query(query.statements, lambda answers: self._take_parts(asked, query.read(answers)))

    def _take_parts(self, asked: list[tuple[StoredAgent, StoredMessage]], found: list[list[Part]]) -> None:
        waiting = self._long[len(asked) :]
        for (agent, message), parts in zip(reversed(asked), reversed(found), strict=True):
            longer = message.with_parts(parts)
            lacks = longer.missing(1)
            # A part that was asked for and didn't come won't come: the error says so.
            if lacks and lacks != message.missing(1):
                waiting.insert(0, (agent, longer))
            else:
                agent.messages[message.position] = _entry(agent, longer)
        self._long = waiting

    def _take_positions(self, positions: list[tuple[str, int]]) -> None:
        self._knows_parts = True
        self._note_parts(positions)

    def _note_parts(self, positions: Iterable[tuple[str, int]]) -> None:
        for agent_id, position in positions:  # also parts that no row names: a process died before their row
            agent = self.agents.get(agent_id)  # None: it was added meanwhile, by another writer
            if agent is not None:
                agent.in_parts.add(("message", agent_id, position))

    def _by_agent(self, rows: Rows) -> list[tuple[StoredAgent, Rows]]:
        own: dict[str, list[Row]] = {agent_id: [] for agent_id in self.agents}
        for row in rows:
            own[row["agent_id"]].append(row)
        return [(self.agents[agent_id], rows) for agent_id, rows in own.items()]

    def _take_rows(self, agent: StoredAgent, rows: Rows) -> None:
        if agent.window is None:
            rows = self._unskipped(agent, rows)
        if not self._has_all_parts:
            whole: list[Row] = []
            for row in rows:
                message = StoredMessage.of(row, agent.agent_id, self._parts) if is_in_parts(row["data"]) else None
                if message is not None and message.missing(1):
                    self._long.append((agent, message))
                else:
                    whole.append(row)
            rows = whole
        for together in _decoded_at_once(rows):
            _take(agent, together, self._parts)

    def _unskipped(self, agent: StoredAgent, rows: Rows) -> Rows:
        """The rows of an agent without a window, less those removed that SQLite could not tell (a long document)."""
        if not rows:
            return rows
        before = self._skipped.get(agent.agent_id, int(rows[0].get("removed", 0)))
        self._skipped[agent.agent_id] = before + len(rows)
        rows = sorted(rows, key=lambda row: row["message_id"])
        return rows[max(0, removed_by_rule(agent.document) - before) :]


def restoring(tables: Tables, session_id: str, agent_id: str | None = None) -> Query[Restoration]:
    """The first page of a restore, of one agent or of all of a session.

    The reader raises `SessionDataError` for a row that can't be read.
    """
    query = tables.restore.agents(session_id, agent_id)
    return Query(query.statements, lambda answers: Restoration(query.read(answers)))


def _unread(agent: StoredAgent, seen: list[int]) -> list[tuple[int, int]]:
    """The ranges of an agent's window that a first page of its rows has left out, each with both ends."""
    try:
        live = LiveWindow() if agent.window is None else LiveWindow.parse(agent.window)
    except ValueError:
        return []  # whoever makes a history of it says so
    ranges = live.unread(seen, last=agent.next_id - 1)
    return [(low, high) for low, high in ranges if high is not None]


def _decoded_at_once(rows: Rows) -> Iterator[Rows]:
    """The rows in their order, in pieces of at most so many characters, or of one row."""
    ends = list(accumulate([len(row["data"]) for row in rows]))
    start = before = 0
    while start < len(rows):
        end = max(start + 1, bisect_right(ends, before + _DECODED_AT_ONCE))
        yield rows[start:end]
        start, before = end, ends[end - 1]


def _take(agent: StoredAgent, rows: Rows, parts: FoundParts) -> None:
    """Decode rows of messages into their agent."""
    messages = agent.messages
    documents = decode_all([row["data"] for row in rows])
    if documents is not None:
        try:
            for row, document in zip(rows, documents, strict=True):
                message: Message = document["redact_message"] or document["message"]
                position: int = row["message_id"]
                created_at: str = document["created_at"]
                content = _copied_message(message)
                # Rows that are JSON together need not be JSON each: what they hold then has other positions.
                if content is None or document["message_id"] != position or type(created_at) is not str:
                    break
                entry = messages[position] = Entry(message, content, position, created_at)
                if "live" in document:
                    _note_live(agent, entry)
            else:
                return
        except (TypeError, KeyError, RecursionError):
            pass
    for row in rows:
        messages[row["message_id"]] = _entry(agent, StoredMessage.of(row, agent.agent_id, parts))


def _note_live(agent: StoredAgent, entry: Entry) -> None:
    """The model sees something else of a message than what was said, which was not read, and may be in parts."""
    entry.said = UNKNOWN
    agent.in_parts.add(("message", agent.agent_id, entry.message_id or 0))


def _entry(agent: StoredAgent, message: StoredMessage) -> Entry:
    """One message by itself: what Strands' `SessionMessage.to_message` gives, at a tenth of its cost.

    Raises:
        SessionDataError: It can't be read.
    """
    record = message.record()
    entry = Entry.stored(shown(record), message.position, str(record.get("created_at", "")))
    if "live" in record:
        _note_live(agent, entry)
    return entry


def _copied_message(message: Any) -> Message | None:
    """A structural copy of something decoded, if it `is_message`; else None.

    A check and a copy in one pass: a restore needs both of each message, and one after the other they take half as long
    again.
    """
    if type(message) is not dict:
        return None
    copy = cast("Message", message).copy()
    if type(copy.get("role")) is not str or type(copy.get("content")) is not list:
        return None
    for key, value in copy.items():
        if key == "content":
            blocks: list[dict[str, Any]] = []
            for block in value:
                if type(block) is not dict:
                    return None
                own = cast("dict[str, Any]", block).copy()
                for name, item in own.items():
                    if type(item) not in LEAVES:
                        own[name] = copied(item)
                blocks.append(own)
            copy[key] = blocks
        elif type(value) not in LEAVES:
            copy[key] = copied(value)
    return copy
