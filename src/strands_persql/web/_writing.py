"""Operations that change something."""

from __future__ import annotations

from starlette.responses import Response

from ._answers import HEADERS, answer
from ._parameters import body, told_as, unchanged
from ._problems import BAD_BODY, Problem
from ._router import Exchange

_NOTHING = type(None)


async def update_session(exchange: Exchange) -> Response:
    """Change what a session is called."""
    fields = await body(
        exchange.request, {"title": (str, _NOTHING), "tags": (list, _NOTHING), "metadata": (dict, _NOTHING)}
    )
    version = await unchanged(exchange, writes=bool(fields))
    with told_as(BAD_BODY):
        changed = await exchange.service.run(exchange.sessions.update, exchange.session_id, **fields, unchanged=version)
    return await exchange.service.run(answer, exchange.request, changed)


async def fork_session(exchange: Exchange) -> Response:
    """Copy a session."""
    fields = await body(exchange.request, {"at": (int, _NOTHING), "agent_id": (str, _NOTHING)})
    version = await unchanged(exchange)
    with told_as(BAD_BODY):
        copy = await exchange.service.run(exchange.sessions.fork, exchange.session_id, **fields, unchanged=version)
    address = exchange.address("sessions", copy.session_id)
    return await exchange.service.run(answer, exchange.request, copy, status=201, headers={"Location": address})


async def rewind_session(exchange: Exchange) -> Response:
    """Set an agent's history back."""
    fields = await body(exchange.request, {"to": int, "before": int, "agent_id": (str, _NOTHING)})
    end = {name: fields[name] for name in ("to", "before") if name in fields}
    if len(end) != 1:
        raise Problem(BAD_BODY, 'It must name the last message, {"to": 4}, or the first that goes, {"before": 5}.')
    version = await unchanged(exchange)
    with told_as(BAD_BODY):
        await exchange.service.run(
            exchange.sessions.rewind, exchange.session_id, fields.get("agent_id"), **end, unchanged=version
        )
    return Response(None, 204, HEADERS)


async def delete_session(exchange: Exchange) -> Response:
    """Delete a session."""
    version = await unchanged(exchange)
    await exchange.service.run(exchange.sessions.delete, exchange.session_id, unchanged=version)
    return Response(None, 204, HEADERS)
