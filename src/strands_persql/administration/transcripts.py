"""Reads agents' messages in pages, a request each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..database.decoding import stored_document, unreadable
from ..database.encoding import is_message
from ..database.live_window import LiveWindow, Range
from ..database.query import Query, together
from ..database.tables import MessagePage, Reading
from ..errors import SessionDataError
from .agents import Agent
from .missing import no_agent, no_session
from .results import TranscriptMessage

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.query import Rows
    from ..database.tables import Tables

__all__ = ["read_transcript", "session_message"]


def read_transcript(
    store: Connector[Tables], session_id: str, agent_id: str | None, *, live: bool, page_size: int
) -> Iterator[list[TranscriptMessage]]:
    """An agent's messages, or those of all agents, in pages; see `PerSQLSessions.transcript`."""
    sessions, rows = store.ask(
        together(
            Query([store.tables.sessions.read(session_id)], lambda answers: answers[0]),
            Reading(store.tables).agents(session_id, agent_id),
        ),
        versioned=True,
    )
    if not sessions:
        raise no_session(session_id)
    if agent_id is not None and not rows:
        raise no_agent(session_id, agent_id)
    return _pages(store, session_id, [Agent.of(row) for row in rows], live=live, page_size=page_size)


def _pages(
    store: Connector[Tables], session_id: str, agents: list[Agent], *, live: bool, page_size: int
) -> Iterator[list[TranscriptMessage]]:
    for agent in agents:
        yield from _Transcript(store, session_id, agent, page_size).pages(live=live)


class _Transcript:
    """The messages of one agent."""

    def __init__(self, store: Connector[Tables], session_id: str, agent: Agent, page_size: int) -> None:
        self._store = store
        self._reading = Reading(store.tables)
        self._session_id = session_id
        self._agent = agent
        self._page_size = page_size

    def pages(self, *, live: bool) -> Iterator[list[TranscriptMessage]]:
        self._find_first()
        if live:
            yield from self._window()
        elif self._agent.row.last >= 0:
            yield from self._ranges([Range(0, self._agent.row.last)])

    def _find_first(self) -> None:
        """Strands' own rule skips a number of messages, whatever their positions are."""
        agent = self._agent
        if agent.skipped:
            first = self._store.ask(self._reading.nth_message(self._session_id, agent.agent_id, agent.skipped))
            rest = () if first is None else (Range(first, agent.row.last),)
            agent.window = LiveWindow((*agent.window.inline, *rest))

    def _window(self) -> Iterator[list[TranscriptMessage]]:
        inline: list[TranscriptMessage] = []
        ranges: list[Range] = []
        for item in self._agent.window.items:
            if isinstance(item, Range):
                if inline:
                    yield inline
                    inline = []
                ranges.append(item)
                continue
            if ranges:
                yield from self._ranges(ranges)
                ranges = []
            inline.append(TranscriptMessage(self._agent.agent_id, None, item, "", "", live=True))
            if len(inline) == self._page_size:
                yield inline
                inline = []
        if inline:
            yield inline
        if ranges:
            yield from self._ranges(ranges)

    def _ranges(self, ranges: Sequence[Range]) -> Iterator[list[TranscriptMessage]]:
        todo = list(ranges)
        while todo:
            chosen = self._next(todo)
            page = self._store.ask(self._reading.page(self._session_id, self._agent.agent_id, chosen, self._page_size))
            if page.rows:
                yield [self._message(row["message_id"], row["data"], page.parts) for row in page.rows]
            todo = self._rest(chosen, page) + todo[len(chosen) :]

    def _next(self, ranges: list[Range]) -> list[Range]:
        """As many ranges as go into one page whole, or the first of them."""
        total, count = 0, 0
        for range_ in ranges:
            total += LiveWindow((range_,)).size
            if total > self._page_size:
                break
            count += 1
        return ranges[: max(count, 1)]

    def _rest(self, chosen: list[Range], page: MessagePage) -> list[Range]:
        """What a page has left of its ranges: all after its last message, unless it came to the end of them."""
        is_whole = len(page.rows) == page.found
        if is_whole and (len(chosen) > 1 or page.found < self._page_size):
            return []
        place, last = int(page.rows[-1]["place"]), int(page.rows[-1]["message_id"])
        rest = LiveWindow((Range(last + 1, chosen[place].high), *chosen[place + 1 :]))
        return rest.closed(self._agent.row.last).ranges

    def _message(self, position: int, data: str, parts: Rows) -> TranscriptMessage:
        document = session_message(data, parts, self._agent.agent_id, position)
        return TranscriptMessage(
            agent_id=self._agent.agent_id,
            message_id=position,
            message=document["message"],
            created_at=str(document.get("created_at", "")),
            updated_at=str(document.get("updated_at", "")),
            live=self._agent.window.holds(position),
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
