"""Pages over databases with sessions in them, a server for browsers, and one browser for all tests."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from strands_persql import PerSQLSessionManager, PerSQLSessions
from strands_persql.web.pages import pages_app

from ...agents.agents import agent_of
from ...agents.scripted import Reply, ScriptedModel
from ...databases import local

ORIGIN = "http://127.0.0.1:8765"
CHROMIUM = Path("/usr/bin/chromium")


class Site:
    """A database, and the pages over it.

    Attributes:
        database: The database.
        sessions: Its administrative face.
        client: A browser's requests, without a browser.
    """

    def __init__(self, database: Any, **options: Any) -> None:
        self.database = database
        self.sessions = PerSQLSessions(database)
        self.client = self.open(**options)

    def open(self, **options: Any) -> httpx.AsyncClient:
        """Another browser, with an app of its own."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(pages_app(self.database, **options)), base_url=ORIGIN)

    def agent(self, session_id: str, *script: Reply, user: str | None = "ada", **options: Any) -> Any:
        """An agent of a session."""
        return agent_of(ScriptedModel(list(script)), **options)(
            PerSQLSessionManager(session_id, self.database, user=user)
        )

    async def text(self, path: str, status: int = 200, **names: Any) -> str:
        """A page."""
        answer = await self.client.get(path, params=names)
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(self, path: str, status: int = 303, **fields: Any) -> httpx.Response:
        """Send a form with what a page's form has in it."""
        fields.setdefault("csrf", csrf_of(await self.text("/confirm", action="delete", id=fields["id"])))
        answer = await self.client.post(path, data=fields, headers={"origin": ORIGIN})
        assert answer.status_code == status, answer.text
        return answer


def csrf_of(text: str) -> str:
    """The token of a page's forms."""
    found = re.search(r'name="csrf" value="(\w+)"', text)
    assert found is not None
    return found[1]


@pytest.fixture(params=["local", "remote"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """Pages over a local file, and over the service."""
    database = local() if request.param == "local" else request.getfixturevalue("emulator").database()
    site = Site(database)
    yield site
    await site.client.aclose()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """A server on loopback, as its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            server.force_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, where Debian's is there; no longer than its module, as an event loop runs along with it."""
    if not CHROMIUM.exists():
        pytest.skip("no chromium here")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()
