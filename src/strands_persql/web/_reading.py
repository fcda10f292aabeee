"""Operations that read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from ..administration.records import MediaLink, MediaPart
from ._answers import HEADERS, answer, tagged
from ._parameters import choice, number, text, told_as
from ._problems import BAD_PARAMETER, NOT_FOUND, Problem
from ._router import Exchange

PIECE = 64 * 1024
"""Characters that one trip to a thread brings of an export."""


async def list_sessions(exchange: Exchange) -> Response:
    """A page of the caller's sessions."""
    request = exchange.request
    with told_as(BAD_PARAMETER):
        page = await exchange.service.run(
            exchange.sessions.list,
            tag=text(request, "tag"),
            copy_of=text(request, "copy_of"),
            order=None if text(request, "order") is None else choice(request, "order", ("recent", "id")),
            after=text(request, "after"),
            limit=number(request, "limit", 20, most=100),
            user=text(request, "user"),
        )
    return await exchange.service.run(answer, request, page)


async def search_messages(exchange: Exchange) -> Response:
    """Messages of all the caller's sessions that hold all words of a text."""
    return await _search(exchange, None)


async def search_session(exchange: Exchange) -> Response:
    """Messages of one session that hold all words of a text."""
    return await _search(exchange, exchange.session_id)


async def _search(exchange: Exchange, session_id: str | None) -> Response:
    request = exchange.request
    with told_as(BAD_PARAMETER):
        found = await exchange.service.run(
            exchange.sessions.search,
            text(request, "q") or "",
            session_id=session_id,
            limit=number(request, "limit", 20, most=100),
        )
    return await exchange.service.run(answer, request, found)


async def get_session(exchange: Exchange) -> Response:
    """All of a session but its messages."""
    found = await exchange.service.run(exchange.sessions.get, exchange.session_id)
    return await exchange.service.run(answer, exchange.request, found.detail, tag=found.version)


async def get_usage(exchange: Exchange) -> Response:
    """What a session has used."""
    used = await exchange.service.run(exchange.sessions.usage, exchange.session_id)
    return await exchange.service.run(answer, exchange.request, used)


async def list_messages(exchange: Exchange) -> Response:
    """A page of an agent's messages, from the newest backwards."""
    request = exchange.request
    with told_as(BAD_PARAMETER):
        page = await exchange.service.run(
            exchange.sessions.messages,
            exchange.session_id,
            agent_id=text(request, "agent_id"),
            before=text(request, "before"),
            limit=number(request, "limit", 50, most=200),
            media=media_link(exchange),
        )
    return await exchange.service.run(answer, request, page)


def media_link(exchange: Exchange) -> MediaLink:
    """Makes the addresses of bytes, in this app, wherever that is mounted."""
    agent_id = text(exchange.request, "agent_id")
    query = "" if agent_id is None else f"?agent_id={quote(agent_id, safe='')}"
    own = exchange.address("sessions", exchange.session_id, "messages")

    def link(record_id: str, part: MediaPart) -> str:
        return f"{own}/{record_id}/media/{part.place}{query}"

    return link


async def get_media(exchange: Exchange) -> Response:
    """The bytes of an image, a document, a video or a sound."""
    request = exchange.request
    try:
        part = await exchange.service.run(
            exchange.sessions.media,
            exchange.session_id,
            exchange.names["record_id"],
            exchange.names["place"],
            agent_id=text(request, "agent_id"),
        )
    except ValueError:
        raise Problem(NOT_FOUND) from None
    data = part.data or b""
    # Documents are saved, not shown: a browser would give them this app's own rights.
    shown = part.type != "document" and part.mime_type != "application/octet-stream"
    name, ending = (_escaped(each) for each in (part.name or part.type, part.format or "bin"))
    named = f"; filename*=UTF-8''{name}.{ending}"
    headers = {
        "Content-Disposition": "inline" if shown else f"attachment{named}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return await exchange.service.run(tagged, request, data, None, part.mime_type, headers)


def _escaped(name: str) -> str:
    return quote(name, safe="", errors="replace")  # a message may hold a lone surrogate


async def export_session(exchange: Exchange) -> Response:
    """All of a session, line by line."""
    lines = exchange.sessions.export(exchange.session_id)
    first = await exchange.service.run(_piece, lines)

    async def pieces() -> AsyncGenerator[str, None]:
        piece = first
        while piece:
            yield piece
            piece = await exchange.service.run(_piece, lines)

    named = f"filename=\"session.jsonl\"; filename*=UTF-8''{_escaped(exchange.session_id)}.jsonl"
    headers = {**HEADERS, "Content-Disposition": f"attachment; {named}"}
    return StreamingResponse(pieces(), 200, headers, "application/jsonl")


def _piece(lines: Iterator[str]) -> str:
    """The next lines; empty where there are no more."""
    piece: list[str] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= PIECE:
            break
    return "".join(piece)
