"""The app: a request comes in, its sender is told, the operation answers, and what goes wrong becomes a problem."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from ..client import logger_of
from ._answers import answer
from ._openapi import document
from ._operations import OPERATIONS
from ._problems import INTERNAL, Problem, problem_of
from ._router import Exchange, Operation, found
from ._service import Service, UserOf

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ..client import Database
    from ..encryption import Encryption

logger = logger_of(__name__)


def sessions_app(
    database: Database,
    *,
    user: UserOf,
    read_only: bool = False,
    without: Collection[str] = (),
    table_prefix: str = "strands_",
    max_threads: int = 8,
    max_streams: int = 100,
    poll_seconds: float = 2.0,
    encryption: Encryption | None = None,
) -> ASGIApp:
    """An ASGI app through which users reach their sessions, and nobody else's; mount it in FastAPI or Starlette.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        user: Called with each request (`starlette.requests.Request`), as a function or a coroutine function: answers
            the id of the user who sends it, None where nobody is logged in, or `EVERYONE` for somebody who may see all
            sessions. It is the app's only guard: it has to check what it is told by.
        read_only: Leave out all operations that change something.
        without: Leave out these operations, by the names (`operationId`) of the OpenAPI document.
        table_prefix: Starts the name of each table, as the session managers have it.
        max_threads: How many calls to the database are under way at once, each on a thread of its own; others wait.
        max_streams: How many streams of new messages are open at once.
        poll_seconds: How often such a stream asks the database, in seconds.
        encryption: The keys of sessions that are encrypted.

    Raises:
        TypeError: `database` is no synchronous handle, or `user` can't be called.
        ValueError: `without` names no operation, or a number is too small.
    """
    if not callable(user):
        raise TypeError("user must be a function that tells who sends a request, such as lambda request: 'ada'")
    unknown = set(without) - {operation.name for operation in OPERATIONS}
    if unknown:
        names = ", ".join(operation.name for operation in OPERATIONS)
        raise ValueError(f"without must name operations ({names}), got {', '.join(sorted(unknown))}")
    if max_threads < 1 or max_streams < 0 or poll_seconds <= 0:
        raise ValueError("max_threads must be 1 or more, max_streams 0 or more, poll_seconds more than 0")
    service = Service(
        database,
        user,
        table_prefix=table_prefix,
        max_threads=max_threads,
        max_streams=max_streams,
        poll_seconds=poll_seconds,
        encryption=encryption,
    )
    service.check()
    offered = [each for each in OPERATIONS if each.name not in without and not (read_only and each.writes)]
    return App(service, offered)


class App:
    """An ASGI app.

    Args:
        service: What its requests share.
        operations: What can be asked for.
    """

    def __init__(self, service: Service, operations: Sequence[Operation]) -> None:
        self._service = service
        self._told = tuple(operations)
        self._operations = (*operations, Operation("GET", "/openapi.json", self._openapi))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            request = Request(scope, receive)
            response = await self._response(request)
            if request.method == "HEAD":
                response = await _without_body(response)
            with suppress(ClientDisconnect):
                await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        try:
            # Asked first: to somebody who is not logged in, all addresses are alike.
            sessions = await self._service.sessions_of(request)
            operation, names = found(self._operations, request.method, request.scope)
            return await operation.answer(Exchange(request, sessions, self._service, names))
        except ClientDisconnect:
            return Response(None, 400)
        except Exception as error:
            problem = problem_of(error)
            if problem is None or problem.kind.status >= 500:
                logger.exception("method=<%s> | a request failed", request.method)
            return (problem or Problem(INTERNAL)).response()

    async def _openapi(self, exchange: Exchange) -> Response:
        servers = [{"url": exchange.root or "/"}]
        return answer(exchange.request, {**self._document, "servers": servers})

    @cached_property
    def _document(self) -> dict[str, Any]:
        return document(self._told)


async def _live(receive: Receive, send: Send) -> None:
    """Begin and end with the server, where the app is not mounted in another."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _without_body(response: Response) -> Response:
    """What HEAD is answered with: all that GET is, but for the body."""
    if isinstance(response, StreamingResponse):
        close = getattr(response.body_iterator, "aclose", None)
        if close is not None:
            await close()
    head = Response(None, response.status_code)
    head.raw_headers = list(response.raw_headers)
    return head
