"""Pages over databases with sessions in them, a server for browsers, and one browser for all tests."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
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
        """Send a form with what a page's form has in it; what it is about goes into its address."""
        fields.setdefault("csrf", csrf_of(await self.text("/confirm", action="delete", id=fields["id"])))
        about: dict[str, Any] = {name: fields.pop(name) for name in ("id", "agent", "message") if name in fields}
        answer = await self.client.post(path, params=about, data=fields, headers={"origin": ORIGIN})
        assert answer.status_code == status, answer.text
        return answer


class Page(HTMLParser):
    """What a browser makes of a page.

    Attributes:
        links: Addresses by the text of their links.
        forms: The fields of forms by their addresses.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.forms: dict[str, dict[str, str]] = {}
        self._link = self._form = self._area = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A link, a form, or a field of the last form; a field of one line has no line ends."""
        has = {name: value or "" for name, value in attrs}
        if tag == "a":
            self._link = has["href"]
        elif tag == "form":
            self._form = has["action"]
            self.forms[self._form] = {}
        elif tag == "input":
            value = has.get("value", "")
            self.forms[self._form][has["name"]] = value if has.get("type") == "hidden" else re.sub("[\r\n]", "", value)
        elif tag == "textarea":
            self._area = has["name"]
            self.forms[self._form][self._area] = ""

    def handle_data(self, data: str) -> None:
        """The text of a link, or of a field."""
        if self._area:
            self.forms[self._form][self._area] += data.replace("\n", "\r\n")
        elif self._link:
            self.links.setdefault(data, self._link)

    def handle_endtag(self, tag: str) -> None:
        """The end of a link or a field."""
        if tag == "a":
            self._link = ""
        elif tag == "textarea":
            self._area = ""

    def form(self, path: str) -> tuple[str, dict[str, str]]:
        """The address and the fields of the first form with this path."""
        return next((action, fields) for action, fields in self.forms.items() if action.partition("?")[0] == path)


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
