"""Reads sessions for the people who run them: lists, details, transcripts, usage. A call is a request, or a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from strands.types.exceptions import SessionException

from ..database.decoding import (
    is_message,
    stored_document,
    stored_multi_agents,
    unreadable,
)
from ..database.encoding import LARGEST_NUMBER, decode
from ..errors import SessionDataError
from .results import (
    AgentSummary,
    MultiAgentSummary,
    SessionDetail,
    SessionPage,
    SessionSummary,
    TranscriptMessage,
    Usage,
)

if TYPE_CHECKING:
    from ..database.connector import Row, Store
    from ..database.encoding import Message
    from ..database.tables import Administration, Tables

__all__ = [
    "list_sessions",
    "missing",
    "moment",
    "no_agent",
    "no_session",
    "read_detail",
    "read_transcript",
    "read_usage",
    "session_message",
    "summary_of",
]

LOOKED_AT = 1000
"""The most sessions that a page with `since` or `until` looks at."""

Rows = Sequence[Mapping[str, Any]]


# Lists


def list_sessions(
    store: Store[Tables],
    administration: Administration,
    *,
    prefix: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    after: str | None,
    sizes: bool,
) -> SessionPage:
    """A page of sessions; see `PerSQLSessions.list`."""
    looked_at = limit if since is None and until is None else max(limit, LOOKED_AT)
    above, inclusive = (after, False) if after is not None and after >= prefix else (prefix, True)
    statement = administration.list_sessions(
        above=above,
        inclusive=inclusive,
        below=_successor(prefix),
        limit=looked_at + 1,  # one more tells whether another page follows
        sizes=sizes,
    )
    (rows,) = store.read_versioned([store.tables.read_version(), statement])
    found: list[SessionSummary] = []
    for row in rows[:looked_at]:
        summary = summary_of(row)
        if _is_between(summary.last_active, since, until):
            if len(found) == limit:
                return SessionPage(tuple(found), found[-1].session_id)
            found.append(summary)
    more = len(rows) > looked_at
    return SessionPage(tuple(found), rows[looked_at - 1]["session_id"] if more else None)


def summary_of(row: Mapping[str, Any]) -> SessionSummary:
    """A row of `Administration.list_sessions`."""
    return SessionSummary(
        session_id=row["session_id"],
        created_at=str(row["created_at"]),
        last_active=str(row["last_active"]),
        agents=row["agents"],
        messages=row["messages"],
        multi_agents=row["multi_agents"],
        bytes=row["bytes"],
    )


def moment(text: str) -> datetime | None:
    """A stored time; None for what is none. One without a zone is taken as UTC."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)


def _is_between(text: str, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    time = moment(text)
    return time is not None and (since is None or time >= since) and (until is None or time < until)


def _successor(prefix: str) -> str | None:
    """The first text after all that begin with a prefix, in the order of code points, which is SQLite's of UTF-8."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1]) + 1
        if code == 0xD800:  # surrogates are no characters
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[: end - 1] + chr(code)
    return None


# One session


def missing(
    store: Store[Tables], session_id: str, agent_id: str | None = None, message_id: int | None = None
) -> SessionException | None:
    """What is not there of a session, an agent of it and a message of that; None where all are."""
    tables = store.tables
    reads = [tables.sessions.read(session_id)]
    if agent_id is not None:
        reads.append(tables.agents.read_some(session_id, [agent_id]))
    if agent_id is not None and message_id is not None:
        reads.append(tables.messages.read_some(session_id, agent_id, [message_id]))
    answers = store.read_versioned([tables.read_version(), *reads])
    if not answers[0]:
        return no_session(session_id)
    if agent_id is not None and not answers[1]:
        return no_agent(session_id, agent_id)
    if message_id is not None and not answers[-1]:
        last = answers[1][0]["last_message_id"] if agent_id is not None else None
        holds = "it has none yet" if last is None else f"its messages are 0 to {last}"
        return SessionException(
            f"Message {message_id} of agent {agent_id!r} does not exist in session {session_id!r}: {holds}."
        )
    return None


def no_session(session_id: str) -> SessionException:
    """The error for a session that does not exist."""
    return SessionException(
        f"Session {session_id!r} does not exist in this database. List the sessions to see which do, and check the "
        "database and the table_prefix."
    )


def no_agent(session_id: str, agent_id: str) -> SessionException:
    """The error for an agent that does not exist."""
    return SessionException(
        f"Agent {agent_id!r} does not exist in session {session_id!r}. Get the session to see which do."
    )


def read_detail(store: Store[Tables], administration: Administration, session_id: str, *, sizes: bool) -> SessionDetail:
    """All of a session but its messages; see `PerSQLSessions.get`."""
    tables = store.tables
    reads = [
        tables.read_version(),
        administration.summary(session_id),
        *administration.read_agents(session_id),
        *tables.multi_agents.read(session_id),
    ]
    if sizes:
        reads.append(administration.read_sizes(session_id))
    summaries, agents, chunks, multi_rows, multi_chunks, *sums = store.read_versioned(reads)
    if not summaries:
        raise no_session(session_id)
    summary = summary_of(summaries[0])
    stored = stored_multi_agents([multi_rows, multi_chunks])
    return SessionDetail(
        session_id=session_id,
        created_at=summary.created_at,
        last_active=summary.last_active,
        agents=tuple(_agent_of(row, chunks).summary for row in agents),
        multi_agents=tuple(_multi_agent(owner, stored[owner].state) for owner in sorted(stored)),
        bytes=sums[0][0]["bytes"] if sizes else None,
    )


def _multi_agent(multi_agent_id: str, state: dict[str, Any]) -> MultiAgentSummary:
    order: Any = state.get("execution_order") or state.get("node_history") or state.get("completed_nodes")
    nodes = cast("list[Any]", order) if isinstance(order, list) else []
    return MultiAgentSummary(multi_agent_id, str(state.get("status", "")), tuple(str(node) for node in nodes), state)


@dataclass
class _Agent:
    """An agent as it is stored, and what its history consists of.

    Attributes:
        agent_id: Its id.
        document: The fields of Strands' `SessionAgent`.
        last: The position of its last message; -1 where it has none.
        last_time: When that was written.
        items: Its live window: messages that stand in it alone, and ranges of positions, no longer than the transcript.
        skipped: Where it has no live window: how many messages Strands' own rule skips. The ranges are then as though
            the positions counted 0, 1, 2 …
    """

    agent_id: str
    document: dict[str, Any]
    last: int
    last_time: str
    items: list[Message | tuple[int, int]] = field(default_factory=lambda: [])
    skipped: int = 0

    @property
    def summary(self) -> AgentSummary:
        live = sum(1 if isinstance(item, dict) else item[1] - item[0] + 1 for item in self.items)
        state = self.document.get("state")
        updated_at = str(self.document.get("updated_at", ""))
        return AgentSummary(
            agent_id=self.agent_id,
            created_at=str(self.document.get("created_at", "")),
            last_active=max(updated_at, self.last_time),
            messages=self.last + 1,
            live=live,
            state=cast("dict[str, Any]", state) if isinstance(state, dict) else {},
        )

    def is_live(self, position: int) -> bool:
        return any(not isinstance(item, dict) and item[0] <= position <= item[1] for item in self.items)


def _agent_of(row: Mapping[str, Any], chunks: Rows) -> _Agent:
    agent_id: str = row["agent_id"]
    own = [chunk for chunk in chunks if chunk["owner"] == agent_id]
    document = stored_document(row["data"], own, what=f"The row of agent {agent_id!r}")
    last = -1 if row["last_message_id"] is None else int(row["last_message_id"])
    agent = _Agent(agent_id, document, last, str(row["last_time"] or ""))
    text: str | None = row["live_window"]
    if text is not None:
        agent.items = [
            item if isinstance(item, dict) else (item[0], min(item[1], last))
            for item in _window_items(text, agent_id)
            if isinstance(item, dict) or item[0] <= last
        ]
        return agent
    state = document.get("conversation_manager_state")
    manager = cast("dict[str, Any]", state) if isinstance(state, dict) else {}
    removed = manager.get("removed_message_count", 0)
    agent.skipped = removed if isinstance(removed, int) and removed > 0 else 0
    if is_message(manager.get("summary_message")):
        agent.items.append(manager["summary_message"])
    if agent.skipped <= last:
        agent.items.append((agent.skipped, last))
    return agent


def _window_items(text: str, agent_id: str) -> list[Message | tuple[int, int]]:
    try:
        items = decode(text)
        if not isinstance(items, list):
            raise TypeError("it is no list")
        return [_window_item(item) for item in cast("list[Any]", items)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        what = f"The live window of agent {agent_id!r}"
        raise SessionDataError(unreadable(what, str(error), column="live_window")) from error


def _window_item(item: Any) -> Message | tuple[int, int]:
    if isinstance(item, dict):
        inline = cast("dict[str, Any]", item)
        message = inline["message"] if "message" in inline else decode(inline["encoded"])
        if not is_message(message):
            raise TypeError("an inline message is none")
        return message
    low, high = item
    return int(low), LARGEST_NUMBER if high is None else int(high)


# Transcripts


def read_transcript(
    store: Store[Tables],
    administration: Administration,
    session_id: str,
    agent_id: str | None,
    *,
    live: bool,
    page_size: int,
) -> Iterator[list[TranscriptMessage]]:
    """An agent's messages, or those of all agents, in pages; see `PerSQLSessions.transcript`."""
    tables = store.tables
    sessions, rows, chunks = store.read_versioned(
        [tables.read_version(), tables.sessions.read(session_id), *administration.read_agents(session_id, agent_id)]
    )
    if not sessions:
        raise no_session(session_id)
    if agent_id is not None and not rows:
        raise no_agent(session_id, agent_id)
    agents = [_agent_of(row, chunks) for row in rows]
    return _Transcript(store, administration, session_id, page_size).pages(agents, live=live)


class _Transcript:
    def __init__(self, store: Store[Tables], administration: Administration, session_id: str, page_size: int) -> None:
        self._store = store
        self._administration = administration
        self._session_id = session_id
        self._page_size = page_size

    def pages(self, agents: list[_Agent], *, live: bool) -> Iterator[list[TranscriptMessage]]:
        for agent in agents:
            self._find_first(agent)
            if live:
                yield from self._window(agent)
            elif agent.last >= 0:
                yield from self._ranges(agent, [(0, agent.last)])

    def _find_first(self, agent: _Agent) -> None:
        """Strands' own rule skips a number of messages, whatever their positions are."""
        if not agent.skipped:
            return
        (rows,) = self._store.read(self._administration.nth_message(self._session_id, agent.agent_id, agent.skipped))
        agent.items = [item for item in agent.items if isinstance(item, dict)]
        if rows:
            agent.items.append((rows[0]["message_id"], agent.last))

    def _window(self, agent: _Agent) -> Iterator[list[TranscriptMessage]]:
        inline: list[TranscriptMessage] = []
        ranges: list[tuple[int, int]] = []
        for item in agent.items:
            if isinstance(item, dict):
                if ranges:
                    yield from self._ranges(agent, ranges)
                    ranges = []
                inline.append(TranscriptMessage(agent.agent_id, None, item, "", "", live=True))
                if len(inline) == self._page_size:
                    yield inline
                    inline = []
            else:
                if inline:
                    yield inline
                    inline = []
                ranges.append(item)
        if inline:
            yield inline
        if ranges:
            yield from self._ranges(agent, ranges)

    def _ranges(self, agent: _Agent, ranges: Sequence[tuple[int, int]]) -> Iterator[list[TranscriptMessage]]:
        todo = list(ranges)
        while todo:
            chosen = self._next(todo)
            rows, chunks = self._store.read(
                *self._administration.read_page(self._session_id, agent.agent_id, chosen, self._page_size)
            )
            if rows:
                yield [_transcript_message(row, chunks, agent) for row in rows]
            todo = self._rest(chosen, rows) + todo[len(chosen) :]

    def _next(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """As many ranges as go into one page whole, or the first of them."""
        total, count = 0, 0
        for low, high in ranges:
            total += high - low + 1
            if total > self._page_size:
                break
            count += 1
        return ranges[: max(count, 1)]

    def _rest(self, chosen: list[tuple[int, int]], rows: Sequence[Row]) -> list[tuple[int, int]]:
        """What a page has left of its ranges: all after its last message, unless it came to the end of them."""
        whole = len(rows) == (rows[0]["found"] if rows else 0)
        if whole and (len(chosen) > 1 or len(rows) < self._page_size):
            return []
        place, last = int(rows[-1]["place"]), int(rows[-1]["message_id"])
        rest = [(last + 1, chosen[place][1]), *chosen[place + 1 :]]
        return [(low, high) for low, high in rest if low <= high]


def _transcript_message(row: Row, chunks: Rows, agent: _Agent) -> TranscriptMessage:
    position = int(row["message_id"])
    document = session_message(row["data"], chunks, agent.agent_id, position)
    return TranscriptMessage(
        agent_id=agent.agent_id,
        message_id=position,
        message=document["message"],
        created_at=str(document.get("created_at", "")),
        updated_at=str(document.get("updated_at", "")),
        live=agent.is_live(position),
    )


def session_message(data: str, chunks: Rows, agent_id: str, position: int) -> dict[str, Any]:
    """The fields of a stored `SessionMessage`, of which `message` is what the model sees.

    Args:
        data: The row's `data`.
        chunks: Parts, of this message and perhaps others.
        agent_id: Whose message it is.
        position: Its position in the transcript.

    Raises:
        SessionDataError: It can't be read.
    """
    what = f"Message {position} of agent {agent_id!r}"
    document = stored_document(data, [chunk for chunk in chunks if chunk["message_id"] == position], what=what)
    message = document.get("redact_message") or document.get("message")
    if not is_message(message):
        raise SessionDataError(unreadable(what, "it holds no message with a role and a list of content blocks"))
    return {**document, "message": message}


# Usage

_COUNTS = (
    "messages", "reported", "model_calls", "tool_calls", "tool_errors", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "latency_ms", "unread",
)  # fmt: skip


def read_usage(store: Store[Tables], administration: Administration, session_id: str) -> Usage:
    """What a session has used; see `PerSQLSessions.usage`."""
    tables = store.tables
    sessions, agents, rows, long, chunks = store.read_versioned(
        [
            tables.read_version(),
            tables.sessions.read(session_id),
            administration.list_agents(session_id),
            *administration.usage(session_id),
        ]
    )
    if not sessions:
        raise no_session(session_id)
    counts: dict[str, dict[str, int]] = {row["agent_id"]: _zeros() for row in (*agents, *rows)}
    for row in rows:
        own = counts[row["agent_id"]]
        for name in _COUNTS:
            own[name] += int(row[name])
        own["unread"] += int(row["in_parts"])
    for row in long:
        if row["agent_id"] in counts:
            parts = [chunk for chunk in chunks if chunk["owner"] == row["agent_id"]]
            _count_in(counts[row["agent_id"]], row, parts)
    total = _zeros()
    for own in counts.values():
        for name in _COUNTS:
            total[name] += own[name]
    return _usage_of(total, {agent_id: _usage_of(counts[agent_id], {}) for agent_id in sorted(counts)})


def _zeros() -> dict[str, int]:
    return {name: 0 for name in _COUNTS}


def _usage_of(counts: dict[str, int], agents: dict[str, Usage]) -> Usage:
    fields: dict[str, Any] = {**counts, "agents": agents}
    return Usage(**fields)


def _count_in(own: dict[str, int], row: Row, parts: Rows) -> None:
    """Add one message that stands in parts."""
    try:
        message = session_message(row["data"], parts, row["agent_id"], row["message_id"])["message"]
    except SessionDataError:
        return
    own["unread"] -= 1
    own["model_calls"] += message["role"] == "assistant"
    for block in message["content"]:
        own["tool_calls"] += "toolUse" in block
        result = block.get("toolResult")
        own["tool_errors"] += isinstance(result, dict) and cast("dict[str, Any]", result).get("status") == "error"
    metadata = _mapping(message.get("metadata"))
    usage, metrics = _mapping(metadata.get("usage")), _mapping(metadata.get("metrics"))
    own["reported"] += isinstance(metadata.get("usage"), dict)
    for name, value in (
        ("input_tokens", usage.get("inputTokens")),
        ("output_tokens", usage.get("outputTokens")),
        ("cache_read_tokens", usage.get("cacheReadInputTokens")),
        ("cache_write_tokens", usage.get("cacheWriteInputTokens")),
        ("latency_ms", metrics.get("latencyMs")),
    ):
        if isinstance(value, (int, float)) and abs(value) < LARGEST_NUMBER:  # NaN and the infinities are no count
            own[name] += int(value)


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
