"""Where these tests store, and clients of the app: users who are who they say they are in a header."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
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
    """

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


@pytest.fixture(params=["local", "remote"])
async def web(request: pytest.FixtureRequest) -> AsyncIterator[Web]:
    """A local database, and one of the service."""
    database = local() if request.param == "local" else request.getfixturevalue("emulator").database()
    web = Web(database)
    yield web
    await web.close()


@pytest.fixture
async def remote(emulator: Emulator) -> AsyncIterator[Web]:
    """A database of the service."""
    web = Web(emulator.database())
    yield web
    await web.close()
