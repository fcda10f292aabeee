"""The web service and the pages over sessions that are encrypted with a key of the operator's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from strands.multiagent import GraphBuilder

from strands_persql import Encryption, PerSQLSessionManager, PerSQLSessions
from strands_persql.administration.viewer import session_html
from strands_persql.encryption import generate_key
from strands_persql.web import sessions_app
from strands_persql.web.pages import pages_app

from ..agents.agents import agent_of
from ..agents.scripted import ScriptedModel
from .conftest import Web, header

pytest.importorskip("cryptography")
KEY = Encryption(generate_key())


@pytest.fixture
async def sealed(web: Web) -> AsyncIterator[Web]:
    """A session of Ada's, under the key."""
    manager = PerSQLSessionManager("s", web.database, user="ada", encryption=KEY)
    agent = agent_of(ScriptedModel(["The answer is canary.", "Again."]))(manager)
    agent("What is the canary?")
    web.app = sessions_app(web.database, user=header, encryption=KEY)
    yield web


def browser(app: Any) -> httpx.AsyncClient:
    """On loopback, as pages want it."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8765")


async def test_the_service_reads_and_changes_with_the_key(sealed: Web) -> None:
    """All that users do works as it does in clear; what is stored is not in clear."""
    ada = sealed.as_user("ada")
    listed = (await ada.get("/sessions")).json()["sessions"]
    assert [(each["title"], each["preview"]) for each in listed] == [("What is the canary?", "The answer is canary.")]
    page = (await ada.get("/sessions/s/messages")).json()
    assert [each["text"] for each in page["messages"]] == ["What is the canary?", "The answer is canary."]
    assert (await ada.patch("/sessions/s", json={"title": "Mine"})).json()["title"] == "Mine"
    forked = await ada.post("/sessions/s/fork", json={})
    assert forked.status_code == 201, forked.text
    copied = (await ada.get(f"{forked.headers['location']}/messages")).json()
    assert [each["text"] for each in copied["messages"]] == ["What is the canary?", "The answer is canary."]
    assert "canary" in (await ada.get("/sessions/s/export")).text
    assert (await sealed.as_user("bob").get("/sessions/s")).status_code == 404
    assert (await ada.delete(forked.headers["location"])).status_code == 204
    rows: Any = sealed.database.query("SELECT data FROM strands_messages")["data"]
    assert rows and not any("canary" in row["data"] for row in rows)


async def test_the_service_without_the_key_tells_nothing(sealed: Web) -> None:
    """It refuses, and says neither content nor which key."""
    ada = sealed.as_user("ada", sessions_app(sealed.database, user=header))
    answer = await ada.get("/sessions/s/messages")
    assert answer.status_code >= 400 and "canary" not in answer.text


async def test_pages_with_and_without_the_key(sealed: Web) -> None:
    """With the key they show the session; without it they say that it is encrypted."""
    with_key = browser(pages_app(sealed.database, encryption=KEY))
    assert "The answer is canary." in (await with_key.get("/")).text
    for path in ("/session?id=s", "/usage", "/usage?id=s", "/doctor"):
        shown = await with_key.get(path)
        assert shown.status_code == 200, path
    assert "The answer is canary." in (await with_key.get("/session?id=s")).text
    without = browser(pages_app(sealed.database))
    assert "canary" not in (await without.get("/")).text
    refused = await without.get("/session?id=s")
    assert "canary" not in refused.text and "encrypted" in refused.text


def test_the_viewer_with_the_key(sealed: Web) -> None:
    """The page of a session shows it."""
    assert "The answer is canary." in session_html(PerSQLSessions(sealed.database, encryption=KEY), "s")


def test_a_graph_goes_on_with_the_key(web: Web) -> None:
    """Its nodes' results are sealed, and restored."""

    def build() -> Any:
        builder = GraphBuilder()
        for name in ("one", "two"):
            builder.add_node(agent_of(ScriptedModel(["canary done"]), agent_id=name)(None), name)
        builder.add_edge("one", "two")
        builder.set_max_node_executions(5)
        builder.set_session_manager(PerSQLSessionManager("g", web.database, encryption=KEY))
        return builder.build()

    build()("go")
    rows: Any = web.database.query("SELECT data FROM strands_multi_agents")["data"]
    assert rows and "canary" not in rows[0]["data"]
    graph = build()
    assert graph.state is not None
    detail = PerSQLSessions(web.database, encryption=KEY).get("g")
    assert "canary" in str(detail.multi_agents)


def test_prune_with_and_without_the_key(sealed: Web) -> None:
    """It needs no content, so it needs no key."""
    later = timedelta(0)
    assert PerSQLSessions(sealed.database, encryption=KEY).prune(older_than=later, dry_run=True).session_ids == ("s",)
    assert PerSQLSessions(sealed.database).prune(older_than=later).session_ids == ("s",)
