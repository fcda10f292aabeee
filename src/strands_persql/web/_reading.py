"""Operations that read."""

from __future__ import annotations

from starlette.responses import Response

from ._answers import answer
from ._parameters import choice, number, text, told_as
from ._problems import BAD_PARAMETER
from ._router import Exchange


async def list_sessions(exchange: Exchange) -> Response:
    """A page of the caller's sessions."""
    request = exchange.request
    with told_as(BAD_PARAMETER):
        page = await exchange.service.run(
            exchange.sessions.list,
            tag=text(request, "tag"),
            order=choice(request, "order", ("recent", "id")),
            after=text(request, "after"),
            limit=number(request, "limit", 20, most=100),
            user=text(request, "user"),
        )
    return answer(request, page)


async def get_session(exchange: Exchange) -> Response:
    """All of a session but its messages."""
    found = await exchange.service.run(exchange.sessions.get, exchange.session_id)
    return answer(exchange.request, found.detail, tag=found.version)


async def get_usage(exchange: Exchange) -> Response:
    """What a session has used."""
    return answer(exchange.request, await exchange.service.run(exchange.sessions.usage, exchange.session_id))
