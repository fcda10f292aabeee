"""Reads agents' messages in pages, a request each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ..database.decoding import StoredMessage, shown
from ..database.encoding import REDACTED
from ..database.live_window import LiveWindow, Range
from ..database.query import each, together
from ..database.tables import MessagePage, Reading
from .agents import Agent, groups_of, in_order
from .missing import missing, no_agent, no_session
from .results import TranscriptMessage

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables


def read_transcript(
    store: Connector[Tables], session_id: str, agent_id: str | None, *, live: bool, page_size: int
) -> Iterator[list[TranscriptMessage]]:
    """An agent's messages, or those of all agents, in pages; see `PerSQLSessions.transcript`."""
    session, rows, groups = store.ask(
        together(
            store.tables.sessions.read(session_id),
            Reading(store.tables).agents(session_id, agent_id),
            each([groups_of(store.tables, session_id)] if agent_id is None else []),
        ),
        versioned=True,
    )
    if session is None:
        raise no_session(session_id)
    if agent_id is not None and not rows:
        raise no_agent(session_id, agent_id)
    agents = {row.agent_id: Agent.of(row) for row in rows}
    order = in_order(agents, chain.from_iterable(groups))
    return _pages(store, session_id, [agents[name] for name in order], live=live, page_size=page_size)


def _pages(
    store: Connector[Tables], session_id: str, agents: list[Agent], *, live: bool, page_size: int
) -> Iterator[list[TranscriptMessage]]:
    for agent in agents:
        yield from _Transcript(store, session_id, agent, page_size, live=live).pages()


class _Transcript:
    """The messages of one agent."""

    def __init__(self, store: Connector[Tables], session_id: str, agent: Agent, page_size: int, *, live: bool) -> None:
        self._store = store
        self._reading = Reading(store.tables)
        self._session_id = session_id
        self._agent = agent
        self._page_size = page_size
        self._live = live
        self._end = -1  # the last message that was read

    def pages(self) -> Iterator[list[TranscriptMessage]]:
        self._find_first()
        if self._live:
            yield from self._window()
        elif self._agent.row.last >= 0:
            yield from self._ranges([Range(0, self._agent.row.last)])
            self._check_end()

    def _check_end(self) -> None:
        """Tell a transcript that was deleted while it was read from one that has come to its end."""
        agent_id, last = self._agent.agent_id, self._agent.row.last
        if self._end < last and (absent := missing(self._store, self._session_id, agent_id, last)) is not None:
            raise absent

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
            if page.messages:
                self._end = page.messages[-1].position
                yield [transcript_message(message, self._agent, live=self._live) for message in page.messages]
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
        is_whole = len(page.messages) == page.found
        if is_whole and (len(chosen) > 1 or page.found < self._page_size):
            return []
        following = Range(page.messages[-1].position + 1, chosen[page.place].high)
        rest = LiveWindow((following, *chosen[page.place + 1 :]))
        return rest.closed(self._agent.row.last).ranges


def transcript_message(stored: StoredMessage, agent: Agent, *, live: bool = False) -> TranscriptMessage:
    """A stored message of an agent: as it was said, or with `live` as the model sees it now.

    Raises:
        SessionDataError: It can't be read.
    """
    record = stored.record()
    seen = None if stored.live is None else shown(stored.live.record())
    return TranscriptMessage(
        agent_id=agent.agent_id,
        message_id=stored.position,
        message=seen if seen is not None and live else shown(record),
        created_at=str(record.get("created_at", "")),
        updated_at=str(record.get("updated_at", "")),
        live=agent.window.holds(stored.position),
        seen=seen,
        redacted=record.get(REDACTED) is True or record.get("redact_message") is not None,
        taken_back=agent.has_taken_back(stored.position),
    )
