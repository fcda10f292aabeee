"""Reads an agent's messages backwards, a page in a request, as the records that people see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from strands.types.exceptions import SessionException

from ..database.decoding import shown
from ..database.encoding import LARGEST_NUMBER, decode, is_message, mapping
from ..database.live_window import Range
from ..database.query import together
from ..database.tables import History, Reading
from ..errors import named
from .agents import Agent
from .missing import no_agent, no_session, several_agents
from .records import (
    FAR,
    ConversationPage,
    MediaLink,
    MediaPart,
    Said,
    joined,
    media_in,
    records_of,
)
from .results import TranscriptMessage
from .transcripts import transcript_message

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import HistoryPage, Neighbour, Tables
    from .records import Joined

_ID = re.compile(r"(0|[1-9][0-9]{0,15})(?:\.(0|[1-9][0-9]{0,8}))?")
_ITSELF = 1 << 62
"""The second number of a message of the transcript: it comes after those of the window that precede it."""


class RecordPlace(NamedTuple):
    """Where a message stands among an agent's.

    Attributes:
        position: Its position in the transcript, or of what it precedes.
        number: Of those that stand in the live window alone, and precede the same message, which one it is.
    """

    position: int
    number: int = _ITSELF

    @classmethod
    def of(cls, name: str, value: str) -> RecordPlace:
        """The place that the id of a record names.

        Raises:
            ValueError: It is no such id.
        """
        found = _ID.fullmatch(value)
        if found is None or int(found[1]) >= LARGEST_NUMBER:
            raise ValueError(f"{name} must be the id of a message's record, such as '12' or '12.0', got {named(value)}")
        return cls(int(found[1])) if found[2] is None else cls(int(found[1]), int(found[2]))

    @property
    def id(self) -> str:
        """The record's id."""
        return str(self.position) if self.number == _ITSELF else f"{self.position}.{self.number}"


_END = RecordPlace(LARGEST_NUMBER)


class Backwards:
    """The messages of one session's agent, from the newest to the oldest.

    Args:
        store: The database.
        session_id: The session.
        agent_id: The agent; None for the only one of the session.
        link: Makes the addresses of bytes.
    """

    def __init__(self, store: Connector[Tables], session_id: str, agent_id: str | None, link: MediaLink) -> None:
        self._store = store
        self._session_id = session_id
        self._agent_id = agent_id
        self._link = link

    def page(self, before: str | None, limit: int) -> ConversationPage:
        """See `PerSQLSessions.messages`."""
        end = _END if before is None else RecordPlace.of("before", before)
        agent, found = self._read(end, limit)
        page = _Page(agent, found, end, limit)
        messages = page.joined(self._link)
        unread = sorted({position for each in messages for position in each.unread})
        if unread:
            page.take(message for position in unread for message in self._whole(agent, position))
            messages = page.joined(self._link)
        records = tuple(each.record(self._link) for each in messages)
        return ConversationPage(records, records[0].id if page.has_older else None)

    def media(self, record_id: str, place: str) -> MediaPart:
        """See `PerSQLSessions.media`."""
        wanted = RecordPlace.of("record_id", record_id)
        end = wanted._replace(number=wanted.number + 1)  # the place after it
        agent, found = self._read(end, 1)
        for said in _Page(agent, found, end, 1).chosen():
            if said.id == wanted.id:
                # By itself, so that its results stand in it.
                (record,) = records_of([said], self._link)
                parts = [*record.parts, *(() if record.live is None else record.live.parts)]
                for part in media_in(parts):
                    if part.place == place and part.data is not None:
                        return part
        raise SessionException(
            f"Message {named(record_id)} of agent {named(agent.agent_id)} in session {named(self._session_id)} has no "
            f"bytes at {named(place)}."
        )

    def _read(self, end: RecordPlace, limit: int) -> tuple[Agent, HistoryPage]:
        tables, session_id, agent_id = self._store.tables, self._session_id, self._agent_id
        # A message at the end's own position belongs to the page where the end is after it.
        below = end.position + (end.number > _ITSELF)
        session, rows, found = self._store.ask(
            together(
                tables.sessions.read(session_id),
                Reading(tables).agents(session_id, agent_id),
                History(tables, FAR).page(session_id, agent_id, below, limit),
            ),
            versioned=True,
        )
        if session is None:
            raise no_session(session_id)
        if agent_id is not None and not rows:
            raise no_agent(session_id, agent_id)
        if len(rows) != 1:
            raise several_agents(session_id, [row.agent_id for row in rows])
        return Agent.of(rows[0]), found

    def _whole(self, agent: Agent, position: int) -> list[TranscriptMessage]:
        """A message that is stored in parts, and was not read with the page; empty where it was deleted meanwhile."""
        page = Reading(self._store.tables).page(self._session_id, agent.agent_id, [Range(position, position)], 1)
        return [transcript_message(stored, agent) for stored in self._store.ask(page).messages]


class _Page:
    """Messages as they were read, on their way to records. It does no I/O."""

    def __init__(self, agent: Agent, found: HistoryPage, end: RecordPlace, limit: int) -> None:
        lowest = found.messages[-1].position if found.messages and found.older else 0
        said: dict[RecordPlace, TranscriptMessage | None] = {
            RecordPlace(stored.position): transcript_message(stored, agent) for stored in found.messages
        }
        inline = _inline(agent)
        inside = sorted(
            place for place in {*said, *(each for each in inline if each < end)} if place >= RecordPlace(lowest, 0)
        )
        self._chosen = inside[-limit:]
        self.has_older = bool(found.older) or len(inside) > limit
        """Whether messages come before the page."""
        for neighbour in (*found.older, *found.newer):
            said[RecordPlace(neighbour.position)] = _outlined(neighbour, agent)
        # Of the window's own messages those between messages that were read: they end what is joined among them.
        low = min(said, default=RecordPlace(0)).position if found.older else 0
        high = self._chosen[-1].position if self._chosen else -1
        self._read = said | {place: message for place, message in inline.items() if low <= place.position <= high}

    def chosen(self) -> list[Said]:
        """The messages of the page."""
        return [self._said(place) for place in self._chosen]

    def joined(self, link: MediaLink) -> list[Joined]:
        """The same, with the results of their calls."""
        chosen = {place.id for place in self._chosen}
        return [each for each in joined(map(self._said, sorted(self._read)), link) if each.said.id in chosen]

    def take(self, messages: Iterable[TranscriptMessage]) -> None:
        """Take in messages that had not been read."""
        self._read.update({RecordPlace(cast("int", message.message_id)): message for message in messages})

    def _said(self, place: RecordPlace) -> Said:
        return Said(place.id, place.position if place.number == _ITSELF else None, self._read[place])


def _inline(agent: Agent) -> dict[RecordPlace, TranscriptMessage]:
    """The messages that stand in an agent's live window alone: each before the one that follows it there."""
    found: dict[RecordPlace, TranscriptMessage] = {}
    waiting: list[TranscriptMessage] = []
    count: dict[int, int] = {}
    for item in (*agent.window.items, Range(agent.row.last + 1, None)):
        if not isinstance(item, Range):
            waiting.append(TranscriptMessage(agent.agent_id, None, item, "", "", live=True))
            continue
        for message in waiting:
            number = count.get(item.low, 0)
            found[RecordPlace(item.low, number)] = message
            count[item.low] = number + 1
        waiting = []
    return found


def _outlined(neighbour: Neighbour, agent: Agent) -> TranscriptMessage | None:
    if neighbour.data is None:
        return None
    record: dict[str, Any] = {}
    with suppress(ValueError, RecursionError):  # one that can't be read has no call and no result
        record = mapping(decode(neighbour.data))
    message = shown(record)
    return TranscriptMessage(
        agent_id=agent.agent_id,
        message_id=neighbour.position,
        message=message if is_message(message) else {"role": "", "content": []},
        created_at=str(record.get("created_at", "")),
        updated_at="",
        live=agent.window.holds(neighbour.position),
    )
