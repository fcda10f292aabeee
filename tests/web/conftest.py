"""Where these tests store, and clients of the app: users who are who they say they are in a header."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.requests import Request

from strands_persql import PerSQLSessionManager, PerSQLSessions
from strands_persql.web import EVERYONE, Everyone, sessions_app

from ..agents.agents import agent_of
from ..agents.scripted import Reply, ScriptedModel
from ..databases import local
from ..emulator import Emulator


def header(request: Request) -> str | Everyone | None:
    """Who sends a request."""
    name = request.headers.get("x-user")
    return EVERYONE if name == "*" else name


class Web:
    """A database, the app over it, and what agents leave in it.

    Attributes:
        database: The database.
        is_local: Whether it is no database of the service.
        sessions: Its administrative face.
        emulator: The service, where it is a database of that.
    """

    emulator: Emulator

    def __init__(self, database: Any, **options: Any) -> None:
        self.database = database
        self.is_local = not getattr(database, "loses_answers", False)
        self.sessions = PerSQLSessions(database)
        self.app = sessions_app(database, **{"user": header, **options})
        self._clients: list[httpx.AsyncClient] = []

    def agent(
        self, session_id: str, *script: Reply, user: str | None = "ada", agent_id: str = "default", **about: Any
    ) -> Any:
        """An agent of a session that is a user's."""
        manager = PerSQLSessionManager(session_id, self.database, user=user, **about)
        return agent_of(ScriptedModel(list(script)), agent_id=agent_id)(manager)

    def as_user(self, name: str | None, app: Any = None) -> httpx.AsyncClient:
        """A client of a user's; None for somebody who is not logged in."""
        headers = {} if name is None else {"x-user": name}
        transport = httpx.ASGITransport(app or self.app)
        client = httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients:
            await client.aclose()


def remotely(emulator: Emulator) -> Web:
    """A database of the service."""
    web = Web(emulator.database())
    web.emulator = emulator
    return web


@pytest.fixture(params=["local", "remote"])
async def web(request: pytest.FixtureRequest) -> AsyncIterator[Web]:
    """A local database, and one of the service."""
    web = Web(local()) if request.param == "local" else remotely(request.getfixturevalue("emulator"))
    yield web
    await web.close()


@pytest.fixture
async def remote(emulator: Emulator) -> AsyncIterator[Web]:
    """A database of the service."""
    web = remotely(emulator)
    yield web
    await web.close()


class WebServer:
    """A real server on a free loopback port, for what a test can't see without one.

    Attributes:
        url: Its address.
        apps: Its apps, by the names that they are mounted under.
    """

    def __init__(self) -> None:
        self.apps: dict[str, Any] = {}
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._app, interface="asgi3", http="h11", ws="none", lifespan="off", log_config=None, log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].split("/")[1]
        await self.apps[name]({**scope, "root_path": f"/{name}"}, receive, send)

    def close(self) -> None:
        """Close the port and all connections."""
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="session")
def server() -> Iterator[WebServer]:
    """A real server, for all tests."""
    server = WebServer()
    yield server
    server.close()
