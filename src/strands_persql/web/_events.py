"""A session's new messages as they come in: server-sent events, fed by asking the database again and again.

Each question is one request, for the position of the agent's newest message; only where that has moved are messages
read. Whose the session is gets asked along with it, so a stream ends as soon as the session is somebody else's.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any

import anyio
from starlette.responses import Response, StreamingResponse
from strands.types.exceptions import SessionException

from ..administration.records import FAR, MediaLink, MessageRecord, ToolCallPart
from ..client import logger_of
from ..errors import PerSQLError, SessionDataError
from ._answers import HEADERS, json_of
from ._parameters import choice, text
from ._problems import BAD_PARAMETER, Problem
from ._reading import media_link
from ._router import Exchange
from ._streams import Streams

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ..database.tables import Newest

logger = logger_of(__name__)

MOST_BEHIND = 200
"""New messages that are sent one by one; whoever has missed more is told to read the session anew."""

HEARTBEAT_SECONDS = 15
"""How long a stream is silent at most: what stands between ends those that say nothing."""

LONGEST_SECONDS = 3600
"""How long a stream lasts; the client then opens another, and is asked again who it is."""

_ID = re.compile(r"(-1|0|[1-9][0-9]{0,14})(?:\.([0-9]{1,16}))?")
"""A position and, in the ids of events, the agent's revision: what tells after a gap whether older things changed."""


_STATE = re.compile(r"[0-9a-f]{32}")
"""The id of an event of a stream of all agents."""


class EventStream(StreamingResponse):
    """An answer that counts as an open stream for as long as it is being sent."""

    def __init__(self, events: AsyncGenerator[str, None], streams: Streams, caller: object) -> None:
        headers = {**HEADERS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, 200, headers, "text/event-stream")
        self._streams = streams
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until it ends or the client leaves."""
        self._streams.begin(self._caller)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.end(self._caller)


async def stream_events(exchange: Exchange) -> Response:
    """A session's new messages, as they come in."""
    request, service = exchange.request, exchange.service
    agent_id = text(request, "agent_id")
    given = request.headers.get("last-event-id") or text(request, "after")
    if choice(request, "agents", ("one", "all")) == "all":
        return await _stream_of_all(exchange, given)
    place = None if given is None else _ID.fullmatch(given)
    if given is not None and place is None:
        raise Problem(BAD_PARAMETER, "after and Last-Event-ID must be the position of a message, such as 12.")
    found = await service.run(exchange.sessions.newest, exchange.session_id, agent_id=agent_id)
    known = found
    if place is not None:
        known = found._replace(last=int(place[1]), revision=found.revision if place[2] is None else int(place[2]))
    caller = exchange.sessions.user
    service.streams.check(caller)
    return EventStream(Watch(exchange, known, found).events(), service.streams, caller)


async def _stream_of_all(exchange: Exchange, known: str | None) -> Response:
    """A stream that tells of all agents of a session, and of each no more than that something has changed."""
    service, sessions, session_id = exchange.service, exchange.sessions, exchange.session_id
    found = await service.run(sessions.newest_of_all, session_id)
    service.streams.check(sessions.user)

    async def events() -> AsyncGenerator[str, None]:
        began = spoke = time.monotonic()
        state = known if known is not None and _STATE.fullmatch(known) else state_of(found)
        yield f"retry: {round(service.poll_seconds * 1000)}\nid: {state}\n\n"
        now = found
        try:
            while time.monotonic() - began < LONGEST_SECONDS:
                if state_of(now) != state:
                    state, spoke = state_of(now), time.monotonic()
                    yield f"id: {state}\n{_event('changed', {})}"
                elif time.monotonic() - spoke >= HEARTBEAT_SECONDS:
                    spoke = time.monotonic()
                    yield ": still here\n\n"
                await anyio.sleep(service.poll_seconds)
                now = await service.run(sessions.newest_of_all, session_id)
        except SessionException:
            yield _event("end", {})
        except PerSQLError:
            logger.warning("session_id=<%s> | a stream ended: the database can't be reached", session_id)

    return EventStream(events(), service.streams, sessions.user)


def state_of(agents: Iterable[Newest]) -> str:
    """What changes with every write to one of some agents: the id of an event of a stream of all agents."""
    return hashlib.sha256(json.dumps(list(agents)).encode()).hexdigest()[:32]


class Watch:
    """One stream.

    Args:
        exchange: The request.
        known: What the client knows of.
        found: What the database has answered.
    """

    def __init__(self, exchange: Exchange, known: Newest, found: Newest) -> None:
        self._exchange = exchange
        self._link: MediaLink = media_link(exchange)
        self._known = known
        self._found = found

    async def events(self) -> AsyncGenerator[str, None]:
        """What is sent, until the session is gone, or the stream has lasted long enough."""
        service, sessions, session_id = self._exchange.service, self._exchange.sessions, self._exchange.session_id
        began = spoke = time.monotonic()
        yield f"retry: {round(service.poll_seconds * 1000)}\nid: {id_of(self._known)}\n\n"
        try:
            found = self._found
            while time.monotonic() - began < LONGEST_SECONDS:
                async for event in self._changes(found):
                    spoke = time.monotonic()
                    yield event
                if time.monotonic() - spoke >= HEARTBEAT_SECONDS:
                    spoke = time.monotonic()
                    yield ": still here\n\n"
                await anyio.sleep(service.poll_seconds)
                found = await service.run(sessions.newest, session_id, agent_id=found.agent_id)
        except SessionException:
            yield _event("end", {})
        except PerSQLError:  # the client opens another, and goes on where this one ended
            logger.warning("session_id=<%s> | a stream ended: the database can't be reached", session_id)

    async def _changes(self, found: Newest) -> AsyncGenerator[str, None]:
        known = self._known
        messages = [] if found.last == known.last else await self._exchange.service.run(self._messages, found)
        for position, event in messages or ():
            self._known = known._replace(last=position)
            yield event
        last = found.last if messages is None else max(found.last, self._known.last)
        self._known = found._replace(last=last)
        if messages is None or found.revision != known.revision:
            yield _event("changed", {"last": last}, self._known)

    def _messages(self, found: Newest) -> list[tuple[int, str]] | None:
        """The new messages, and those before them whose calls have got their results by now: positions and events.

        None where that is more than a page, where messages are gone, or one can't be read.
        """
        known = self._known
        behind = found.last - known.last
        if not 0 < behind <= MOST_BEHIND:
            return None
        session_id = self._exchange.session_id
        try:
            page = self._exchange.sessions.messages(
                session_id, agent_id=found.agent_id, limit=behind + FAR, media=self._link
            )
        except SessionDataError:
            logger.exception("session_id=<%s> | a stream leaves out messages that can't be read", session_id)
            return None
        placed = [(each.message_id, each) for each in page.messages if each.message_id is not None]
        if page.before is not None and not any(position <= known.last for position, _ in placed):
            return None
        events: list[tuple[int, str]] = []
        for position, record in placed:
            if position > known.last or any(place > known.last for place in _results(record)):
                reached = max(position, known.last)
                events.append((reached, _event("message", json_of(record), known._replace(last=reached))))
        return events


def _results(record: MessageRecord) -> Iterable[int]:
    """The positions of the messages that hold the results of a message's calls."""
    results = (part.result for part in record.parts if isinstance(part, ToolCallPart))
    return (each.message_id for each in results if each is not None and each.message_id is not None)


def id_of(known: Newest) -> str:
    """The id of an event after which a client knows so much."""
    return f"{known.last}.{known.revision}"


def _event(kind: str, data: Any, known: Newest | None = None) -> str:
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    own = "" if known is None else f"id: {id_of(known)}\n"
    return f"{own}event: {kind}\ndata: {text}\n\n"
