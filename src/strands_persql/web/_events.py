"""A session's new messages as they come in: server-sent events, fed by asking the database again and again.

Each question is one request, for the position of the agent's newest message; only where that has moved are messages
read. Whose the session is gets asked along with it, so a stream ends as soon as the session is somebody else's.
"""

from __future__ import annotations

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
from ..errors import PerSQLError
from ._answers import HEADERS, json_of
from ._parameters import text
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

_POSITION = re.compile(r"0|[1-9][0-9]{0,14}")


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
    after = request.headers.get("last-event-id") or text(request, "after")
    if after is not None and not _POSITION.fullmatch(after):
        raise Problem(BAD_PARAMETER, "after and Last-Event-ID must be the position of a message, such as 12.")
    found = await service.run(exchange.sessions.newest, exchange.session_id, agent_id=agent_id)
    watch = Watch(exchange, found, found.last if after is None else min(int(after), found.last))
    caller = exchange.sessions.user
    service.streams.check(caller)
    return EventStream(watch.events(), service.streams, caller)


class Watch:
    """One stream.

    Args:
        exchange: The request.
        found: What the database answered last.
        seen: The position of the last message that the client has.
    """

    def __init__(self, exchange: Exchange, found: Newest, seen: int) -> None:
        self._exchange = exchange
        self._link: MediaLink = media_link(exchange)
        self._found = found
        self._seen = seen

    async def events(self) -> AsyncGenerator[str, None]:
        """What is sent, until the session is gone, or the stream has lasted long enough."""
        service, sessions = self._exchange.service, self._exchange.sessions
        began = spoke = time.monotonic()
        yield f"retry: {round(service.poll_seconds * 1000)}\n\n"
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
                found = await service.run(sessions.newest, self._exchange.session_id, agent_id=found.agent_id)
        except SessionException:
            yield _event("end", {})
        except PerSQLError:  # the client opens another, and goes on where this one ended
            logger.warning("session_id=<%s> | a stream ended: the database can't be reached", self._exchange.session_id)

    async def _changes(self, found: Newest) -> AsyncGenerator[str, None]:
        known, self._found = self._found, found
        behind = found.last - self._seen
        if behind < 0 or behind > MOST_BEHIND:
            self._seen = found.last
            yield _event("changed", {"last": found.last}, found.last)
        elif behind:
            for record in await self._new_records(found.agent_id, behind):
                yield _event("message", json_of(record), record.message_id)
            self._seen = found.last
        if found.revision != known.revision:
            yield _event("changed", {"last": found.last})

    async def _new_records(self, agent_id: str, behind: int) -> list[MessageRecord]:
        """The new messages, and those before them whose calls have got their results by now."""
        records: list[MessageRecord] = []
        before: str | None = None
        while True:
            page = await self._exchange.service.run(
                self._exchange.sessions.messages,
                self._exchange.session_id,
                agent_id=agent_id,
                before=before,
                limit=behind + FAR,
                media=self._link,
            )
            records = [*page.messages, *records]
            before = page.before
            first = next((each.message_id for each in records if each.message_id is not None), -1)
            if before is None or first <= self._seen:
                return [each for each in records if self._is_new(each)]

    def _is_new(self, record: MessageRecord) -> bool:
        if record.message_id is None:
            return False
        return record.message_id > self._seen or any(place > self._seen for place in _results(record))


def _results(record: MessageRecord) -> Iterable[int]:
    """The positions of the messages that hold the results of a message's calls."""
    results = (part.result for part in record.parts if isinstance(part, ToolCallPart))
    return (each.message_id for each in results if each is not None and each.message_id is not None)


def _event(kind: str, data: Any, position: int | None = None) -> str:
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    own = "" if position is None else f"id: {position}\n"
    return f"{own}event: {kind}\ndata: {text}\n\n"
