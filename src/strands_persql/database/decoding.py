"""What a session restores from: the rows of a restore, decoded. Pure: no I/O, no agent."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from ..engine.window import Entry
from ..errors import SessionDataError
from .encoding import (
    LARGEST_NUMBER,
    LEAVES,
    Message,
    copied,
    decode,
    decode_all,
    encode,
    is_message,
)
from .tables import (
    CHUNKS_AT_ONCE,
    MESSAGES_AT_ONCE,
    Marker,
    Tables,
    is_in_parts,
    joined,
    marker_of,
)

if TYPE_CHECKING:
    from ..client import Statement

__all__ = [
    "Restoration",
    "StoredAgent",
    "StoredMultiAgent",
    "copied_message",
    "is_message",
    "rewritten",
    "stored_document",
    "stored_multi_agents",
    "unreadable",
]

_STATEMENTS_AT_ONCE = 50
_DECODED_AT_ONCE = 100_000
"""Characters of messages. A text that fits into the processor's cache is decoded fastest: at 500,000 it takes a fifth
longer, as each message by itself does."""

Row = Mapping[str, Any]
Rows = Sequence[Row]
Answers = list[list[Row]]
Chunks = dict[tuple[str, int], list[tuple[str, int, str]]]


@dataclass(slots=True)
class StoredAgent:
    """One agent as it is stored.

    Attributes:
        agent_id: Its id within the session.
        revision: Counts the writes to its row.
        window: Its live window; None where a repository wrote the row, which knows no window.
        document: The fields of Strands' `SessionAgent`.
        messages: The messages of its live window, by position, as entries of the window to come.
        next_id: The position after the transcript's last message.
        in_parts: The positions of messages stored in parts.
        document_in_parts: Whether its own document is.
    """

    agent_id: str
    revision: int
    window: str | None
    document: dict[str, Any]
    messages: dict[int, Entry] = field(default_factory=lambda: {})
    next_id: int = 0
    in_parts: list[int] = field(default_factory=lambda: [])
    document_in_parts: bool = False


@dataclass(slots=True)
class StoredMultiAgent:
    """A Graph's or Swarm's state as it is stored."""

    revision: int
    state: dict[str, Any]
    text: str
    in_parts: bool


class Restoration:
    """The agents of a session, as the rows of a restore arrive: one page of them, and more where that was not all.

    Args:
        answers: The answers to `Tables.restore`, less the first, the version. The list is emptied, so that the memory
            of these rows is free for the next page.

    Raises:
        SessionDataError: A row can't be read; the error names it.
    """

    def __init__(self, answers: Answers) -> None:
        agent_rows, window_rows, unwindowed_rows, agent_chunks, message_chunks = answers
        answers.clear()
        own_chunks = _by_document(agent_chunks)
        self.agents = {row["agent_id"]: _stored_agent(row, own_chunks) for row in agent_rows}
        self._chunks = _by_document(message_chunks)
        self._has_all_chunks = len(message_chunks) < CHUNKS_AT_ONCE
        self._knows_chunks = self._has_all_chunks
        self._waiting: list[tuple[StoredAgent, Row]] = []  # rows of which parts are still to be read
        self._places: dict[str, int] = {}
        self._unread: list[tuple[str, int, int]] = []  # ranges of messages: agent, low, high
        self._asked: list[Any] = []
        self._take_next = self._take_messages
        for rows, windowed in ((window_rows, True), (unwindowed_rows, False)):
            for agent, own in self._by_agent(rows):
                if (agent.window is not None) is windowed:
                    if len(rows) >= MESSAGES_AT_ONCE:
                        seen = [row["message_id"] for row in own]
                        self._unread += [
                            (agent.agent_id, low, high) for low, high in _unread(agent, seen) if low <= high
                        ]
                    self._take_rows(agent, own)
        self._note_parts()

    def wanted(self, tables: Tables, session_id: str) -> list[Statement]:
        """What to read next, as one request; nothing where all is there."""
        if self._unread:
            self._take_next, self._asked, left = self._take_messages, [], MESSAGES_AT_ONCE
            statements: list[Statement] = []
            for agent_id, low, high in self._unread[:_STATEMENTS_AT_ONCE]:
                limit = min(left, high - low + 1)
                if limit > 0:
                    self._asked.append(limit)
                    statements.append(tables.restore.messages_between(session_id, agent_id, low, high, limit=limit))
                    left -= limit
            return statements
        if not self._knows_chunks:
            self._take_next = self._take_places_of_chunks
            only = next(iter(self.agents)) if len(self.agents) == 1 else None
            return [tables.restore.chunks_in_windows(session_id, only)]
        self._take_next, self._asked, left = self._take_chunks, [], CHUNKS_AT_ONCE
        statements = []
        for agent, row in self._waiting:
            position, marker = row["message_id"], _marker(agent, row)
            first = self._parts_present(agent, row, marker)
            last = min(marker.count, first + left) - 1
            if last >= first:
                self._asked.append((agent, row))
                ends = (first, last)
                statements.append(
                    tables.restore.chunks_between(session_id, agent.agent_id, position, marker.generation, *ends)
                )
                left -= last - first + 1
        return statements

    def take(self, answers: Answers) -> None:
        """Take in the answers to what was `wanted`, and empty their list.

        Raises:
            SessionDataError: A row can't be read; the error names it.
        """
        self._take_next(answers)
        answers.clear()

    def _take_messages(self, answers: Sequence[Rows]) -> None:
        unread = self._unread[len(answers) :]
        for (agent_id, low, high), limit, rows in zip(self._unread, self._asked, answers, strict=False):
            if len(rows) >= limit and low + limit <= high:
                unread.insert(0, (agent_id, rows[-1]["message_id"] + 1, high))
            self._take_rows(self.agents[agent_id], rows)
        self._unread = [(agent_id, low, high) for agent_id, low, high in unread if low <= high]

    def _take_places_of_chunks(self, answers: Sequence[Rows]) -> None:
        self._knows_chunks = True
        for row in answers[0]:
            if row["owner"] in self.agents:  # else it was added meanwhile, by another writer
                self._chunks.setdefault((row["owner"], row["message_id"]), [])
        self._note_parts()

    def _take_chunks(self, answers: Sequence[Rows]) -> None:
        for (agent, row), rows in zip(self._asked, answers, strict=True):
            marker = _marker(agent, row)
            present = self._parts_present(agent, row, marker)
            parts = self._chunks.setdefault((agent.agent_id, row["message_id"]), [])
            parts += [(chunk["generation"], chunk["part"], chunk["data"]) for chunk in rows]
            # A part that was asked for and didn't come won't come: the error says so.
            if self._parts_present(agent, row, marker) in (present, marker.count):
                self._waiting = [other for other in self._waiting if other[1] is not row]
                _take(agent, [row], self._chunks)

    def _by_agent(self, rows: Rows) -> list[tuple[StoredAgent, Rows]]:
        own: dict[str, list[Row]] = {agent_id: [] for agent_id in self.agents}
        for row in rows:
            own[row["agent_id"]].append(row)
        return [(self.agents[agent_id], rows) for agent_id, rows in own.items()]

    def _take_rows(self, agent: StoredAgent, rows: Rows) -> None:
        if agent.window is None:
            rows = self._unskipped(agent, rows)
        if not self._has_all_chunks:
            self._waiting += [(agent, row) for row in rows if self._lacks_parts(agent, row)]
            rows = [row for row in rows if not self._lacks_parts(agent, row)]
        for together in _decoded_at_once(rows):
            _take(agent, together, self._chunks)

    def _lacks_parts(self, agent: StoredAgent, row: Row) -> bool:
        if not is_in_parts(row["data"]):
            return False
        marker = _marker(agent, row)
        return self._parts_present(agent, row, marker) < marker.count

    def _parts_present(self, agent: StoredAgent, row: Row, marker: Marker) -> int:
        """How many parts of a document are there, from the first on without a gap."""
        chunks = self._chunks.get((agent.agent_id, row["message_id"]), ())
        parts = {part for generation, part, _ in chunks if generation == marker.generation}
        return next(part for part in range(len(parts) + 1) if part not in parts)

    def _note_parts(self) -> None:
        for agent_id, position in self._chunks:  # also parts that no row names: a process died before their row
            in_parts = self.agents[agent_id].in_parts
            if position not in in_parts:
                in_parts.append(position)

    def _unskipped(self, agent: StoredAgent, rows: Rows) -> Rows:
        """The rows of an agent without a window, less those removed that SQLite could not tell (a long document)."""
        if not rows:
            return rows
        before = self._places.get(agent.agent_id, int(rows[0].get("removed", 0)))
        self._places[agent.agent_id] = before + len(rows)
        rows = sorted(rows, key=lambda row: row["message_id"])
        state = agent.document.get("conversation_manager_state")
        removed = cast("dict[str, Any]", state).get("removed_message_count", 0) if isinstance(state, dict) else 0
        return rows[max(0, removed - before) :] if isinstance(removed, int) else rows


def _stored_agent(row: Mapping[str, Any], chunks: Chunks) -> StoredAgent:
    agent_id: str = row["agent_id"]
    what = f"The row of agent {agent_id!r}"
    last = row["last_message_id"]
    return StoredAgent(
        agent_id,
        _number(row["revision"], what, "revision", least=1),
        row["live_window"],
        _object(joined(row["data"], chunks.get((agent_id, 0), ()), what=what), what),
        next_id=0 if last is None else _number(last, what, "last message_id") + 1,
        document_in_parts=(agent_id, 0) in chunks,
    )


def _unread(agent: StoredAgent, seen: list[int]) -> list[tuple[int, int]]:
    """The ranges of an agent's window that a first page of its rows has left out, each with both ends."""
    last = agent.next_id - 1
    ranges = [(0, last)]
    if agent.window is not None:
        try:
            items = [cast("list[Any]", item) for item in json.loads(agent.window) if isinstance(item, list)]
            ranges = [(int(low), last if high is None else min(int(high), last)) for low, high in items]
        except (ValueError, TypeError, OverflowError, RecursionError):
            return []  # no live window: what makes one of it says so
    if not seen:
        return ranges
    # The database answers range after range, each in order. Should it ever not, all is read once more.
    places = [next((number for number, (low, high) in enumerate(ranges) if low <= seen_ <= high), -1) for seen_ in seen]
    if -1 in places or list(zip(places, seen, strict=True)) != sorted(zip(places, seen, strict=True)):
        return ranges
    return [(seen[-1] + 1, ranges[places[-1]][1]), *ranges[places[-1] + 1 :]]


def _marker(agent: StoredAgent, row: Row) -> Marker:
    return marker_of(row["data"], what=f"Message {row['message_id']} of agent {agent.agent_id!r}")


def _decoded_at_once(rows: Rows) -> Iterator[Rows]:
    """The rows in their order, in pieces of at most so many characters, or of one row."""
    ends = list(accumulate([len(row["data"]) for row in rows]))
    start = before = 0
    while start < len(rows):
        end = max(start + 1, bisect_right(ends, before + _DECODED_AT_ONCE))
        yield rows[start:end]
        start, before = end, ends[end - 1]


def _take(agent: StoredAgent, rows: Rows, chunks: Chunks) -> None:
    """Decode rows of messages into their agent."""
    messages = agent.messages
    documents = decode_all([row["data"] for row in rows])
    if documents is not None:
        try:
            for row, document in zip(rows, documents, strict=True):
                message: Message = document["redact_message"] or document["message"]
                position: int = row["message_id"]
                created_at: str = document["created_at"]
                content = copied_message(message)
                # Rows that are JSON together need not be JSON each: what they hold then has other positions.
                if content is None or document["message_id"] != position or type(created_at) is not str:
                    break
                messages[position] = Entry(message, content, position, created_at)
            else:
                return
        except (TypeError, KeyError, RecursionError):
            pass
    for row in rows:
        position = row["message_id"]
        own = chunks.get((agent.agent_id, position), ())
        messages[position] = stored_message(row["data"], own, agent.agent_id, position)


def stored_multi_agents(answers: Sequence[Rows]) -> dict[str, StoredMultiAgent]:
    """The Graphs and Swarms in the answers to `Tables.restore_multi_agents`.

    Raises:
        SessionDataError: A row can't be read; the error names it.
    """
    rows, chunk_rows = answers
    chunks = _by_document(chunk_rows)
    found: dict[str, StoredMultiAgent] = {}
    for row in rows:
        multi_agent_id: str = row["multi_agent_id"]
        what = f"The row of multi-agent {multi_agent_id!r}"
        text = joined(row["data"], chunks.get((multi_agent_id, 0), ()), what=what)
        in_parts = (multi_agent_id, 0) in chunks
        revision = _number(row["revision"], what, "revision", least=1)
        found[multi_agent_id] = StoredMultiAgent(revision, _object(text, what), text, in_parts)
    return found


def _number(value: object, what: str, name: str, *, least: int = 0) -> int:
    """A count that is exact in JSON, with room to go up: a number changed by hand could never be written again."""
    if isinstance(value, int) and least <= value < LARGEST_NUMBER:
        return value
    raise SessionDataError(unreadable(what, f"its {name} is {value!r}", column=name))


def stored_document(data: str, chunks: Rows, *, what: str) -> dict[str, Any]:
    """One row's document, from its `data` and its parts.

    Raises:
        SessionDataError: It can't be read.
    """
    document = _object(joined(data, [(row["generation"], row["part"], row["data"]) for row in chunks], what=what), what)
    if is_in_parts(data):  # an update keeps the marker's, as it keeps a whole document's
        document["created_at"] = marker_of(data, what=what).created_at or document.get("created_at", "")
    return document


def rewritten(
    data: str, chunks: Rows, agent_id: str, position: int, redaction: tuple[str, str, str], updated_at: str
) -> str | None:
    """A message row's new text, if its content is exactly what is to be redacted; else None.

    Args:
        data: The row's `data`.
        chunks: Its parts.
        agent_id: Whose message it is.
        position: Its `message_id`.
        redaction: The role, the raw content as JSON, and the redacted content as JSON.
        updated_at: The time.
    """
    role, raw, redacted = redaction
    document = stored_document(data, chunks, what=f"Message {position} of agent {agent_id!r}")
    if not is_message(document.get("message")):
        return None
    message: Message = document["message"]
    if message["role"] != role or encode(message["content"], what="a message") != raw:
        return None
    message["content"] = decode(redacted)
    return encode({**document, "message": message, "updated_at": updated_at}, what="a message")


def stored_message(data: str, chunks: Sequence[tuple[str, int, str]], agent_id: str, position: int) -> Entry:
    """One row of the transcript: what Strands' `SessionMessage.to_message` gives, at a tenth of its cost.

    Raises:
        SessionDataError: It can't be read.
    """
    what = f"Message {position} of agent {agent_id!r}"
    document = _object(joined(data, chunks, what=what), what)
    message = document.get("redact_message") or document.get("message")
    if not is_message(message):
        raise SessionDataError(unreadable(what, "it holds no message with a role and a list of content blocks"))
    return Entry.stored(message, position, str(document.get("created_at", "")))


def copied_message(message: Any) -> Message | None:
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


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = decode(text)
    except (ValueError, RecursionError) as error:
        raise SessionDataError(unreadable(what, "it is no JSON")) from error
    if not isinstance(value, dict):
        raise SessionDataError(unreadable(what, "it is no JSON object"))
    return cast("dict[str, Any]", value)


def unreadable(what: str, why: str, *, column: str = "data") -> str:
    """The words for a row that can't be read."""
    return (
        f"{what} can't be read: {why}. Nothing was changed. Look at the column {column} of that row, and mend it, "
        "delete it, or use another session id."
    )


def _by_document(rows: Rows) -> Chunks:
    chunks: Chunks = {}
    for row in rows:
        chunks.setdefault((row["owner"], row["message_id"]), []).append((row["generation"], row["part"], row["data"]))
    return chunks
