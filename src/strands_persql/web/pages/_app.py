"""The app: pages, forms, and the REST app of `strands_persql.web` below `/api`, behind one guard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from strands.types.exceptions import SessionException

from ...administration.sessions import PerSQLSessions
from ...administration.users import EVERYONE
from ...administration.values import many
from ...client import logger_of
from ...errors import PerSQLError, SessionConflictError, SessionDataError
from .._app import sessions_app
from .._parameters import media_type, received
from ._changes import Changes, Form
from ._guard import LOGIN, Guard
from ._inner import Inner, events_path, export_path, media_path
from ._render import page
from ._views import Views, given
from ._words import in_pages

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ...client import Database
    from ...encryption import Encryption

logger = logger_of(__name__)

LARGEST_FORM = 64 * 1024
"""Bytes of a form."""


def pages_app(
    database: Database,
    *,
    auth_token: str | None = None,
    hosts: Collection[str] = (),
    table_prefix: str = "strands_",
    encryption: Encryption | None = None,
) -> ASGIApp:
    """An ASGI app with pages over all sessions of a database, to be served by itself on a port of its own.

    It shows and changes every session. Without `auth_token` serve it on a loopback address only.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        auth_token: What a browser must send before it is shown anything, 16 characters or more; None for nothing.
        hosts: The names, without a port, under which browsers reach it, besides those of this computer.
        table_prefix: Starts the name of each table, as the session managers have it.
        encryption: The keys of sessions that are encrypted.

    Raises:
        TypeError: `database` is no synchronous handle.
        ValueError: The token is too short, or `table_prefix` not safe inside SQL.
    """
    return _Pages(database, table_prefix, encryption).guarded(auth_token, hosts)


class _Pages:
    """The pages over one database, behind their guard."""

    def __init__(self, database: Database, table_prefix: str, encryption: Encryption | None) -> None:
        sessions = PerSQLSessions(database, table_prefix=table_prefix, create_tables=False, encryption=encryption)
        self._views = Views(database, table_prefix, encryption)
        self._changes = Changes(sessions)
        self._rest = sessions_app(database, user=lambda _: EVERYONE, table_prefix=table_prefix, encryption=encryption)

    def guarded(self, auth_token: str | None, hosts: Collection[str]) -> Guard:
        """The app."""
        views = self._views
        routes = [
            Route("/", views.sessions),
            Route("/session", views.session),
            Route("/usage", views.usage),
            Route("/doctor", views.doctor),
            Route("/confirm", views.confirm),
            Route("/export", Inner(self._rest, export_path), methods=["GET"]),
            Route("/media", Inner(self._rest, media_path), methods=["GET"]),
            Route("/events", Inner(self._rest, events_path), methods=["GET"]),
            Route("/static/{name}", views.static),
            Route(LOGIN, self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            *(Route(path, self._changing(change), methods=["POST"]) for path, change in self._changes.all.items()),
            Mount("/api", self._rest),
        ]
        kinds = (SessionException, PerSQLError, ValueError, KeyError, 403, 404, 405, Exception)
        app = Starlette(routes=routes, exception_handlers=dict.fromkeys(kinds, _problem))
        self._guard = Guard(app, auth_token, hosts)
        return self._guard

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return page(request, "login.html.jinja", problem="")
        token, scope = (await _form(request)).get("token", ""), request.scope
        wait = self._guard.wait(scope)
        if not wait and self._guard.is_token(scope, token):
            return RedirectResponse("/", 303, {"Set-Cookie": self._guard.new_session(scope)[1]})
        if not wait:
            return page(request, "login.html.jinja", 403, problem="That is not the token.")
        answer = page(request, "login.html.jinja", 429, problem=f"Too many wrong tokens. Wait {many(wait, 'second')}.")
        answer.headers["Retry-After"] = str(wait)
        return answer

    async def _logout(self, request: Request) -> Response:
        await self._sent(request)
        return RedirectResponse(LOGIN, 303, {"Set-Cookie": self._guard.end_session(request.scope)})

    def _changing(self, change: Callable[[Form], str]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return RedirectResponse(await run_in_threadpool(change, await self._sent(request)), 303)

        return endpoint

    async def _sent(self, request: Request) -> Form:
        """What a form of this browser's pages sends.

        Raises:
            HTTPException: It is none of these pages', or of others that the browser has had.
        """
        form = await _form(request)
        if not self._guard.is_from_form(request.scope, form.get("csrf", "")):
            raise HTTPException(403)
        return {**form, **{name: given(request, name) for name in request.query_params}}


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; each once.

    Raises:
        ValueError: It is none, or too long.
    """
    if media_type(request) != "application/x-www-form-urlencoded":
        raise ValueError("That is no form.")
    body = await received(request, LARGEST_FORM)
    if body is None:
        raise ValueError("That form is too long.")
    return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20))


def _problem(request: Request, error: Exception) -> Response:
    """What went wrong, as a page."""
    title, words, status = "There is no such page", "", 404
    if isinstance(error, HTTPException) and error.status_code == 403:
        title, words, status = "That form is too old", "Go back, open the page anew, and send it again.", 403
    elif isinstance(error, SessionConflictError):
        title, words, status = "An agent wrote at the same time", str(error), 409
    elif isinstance(error, SessionDataError):
        title, words, status = "A stored row can't be read", str(error), 500
    elif isinstance(error, SessionException):
        title, words = "There is no such session", str(error)
    elif isinstance(error, PerSQLError) and error.kind == "unknown_table":
        title, words = "There are no sessions yet", "The first agent that stores one makes its tables in this database."
        status = 200 if request.url.path == "/" else 404
    elif isinstance(error, PerSQLError):
        logger.warning("kind=<%s> | the database refused, or can't be reached", error.kind)
        title, words, status = "The database can't be reached, or refused", str(error), 503
    elif isinstance(error, (ValueError, KeyError)):
        words = "A field is missing." if isinstance(error, KeyError) else str(error)
        title, status = "That can't be done", 400
    elif not isinstance(error, HTTPException):
        logger.error("method=<%s> | a request failed", request.method, exc_info=error)
        title, words, status = "Something is wrong in this server", "Its log says what.", 500
    return page(request, "problem.html.jinja", status, title=title, words=in_pages(words))
