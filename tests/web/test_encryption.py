"""The web service and the pages over sessions that are encrypted with a key of the operator's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from strands.multiagent import GraphBuilder

from strands_persql import Encryption, PerSQLSessionManager, PerSQLSessions
from strands_persql.administration import overall
from strands_persql.administration.viewer import session_html
from strands_persql.database.tables import _usage
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


async def test_usage_counts_what_the_key_opens(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sessions in clear and encrypted ones alike, however their messages come in pages; the others are named."""
    other = Encryption(generate_key())
    for session_id, key, answers in (("a", KEY, 2), ("b", None, 1), ("c", KEY, 3), ("d", other, 4)):
        manager = PerSQLSessionManager(session_id, web.database, user=f"user-{session_id}", encryption=key)
        agent = agent_of(ScriptedModel(["canary"] * answers))(manager)
        for _ in range(answers):
            agent("canary?")
    with_key = pages_app(web.database, encryption=KEY)

    async def shown(app: Any, **names: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
        page = (await browser(app).get("/usage", params=names)).text
        assert "canary" not in page
        rows = re.findall(r"<bdi>(user-.)</bdi></a></th><td>(\d+)</td><td>(\d+)</td><td>(\d+)</td><td>(\d+)", page)
        return {name: tuple(figures) for name, *figures in rows}, re.findall("Not counted: ([^.;]*)", page)

    every = {"user-a": ("1", "2", "2", "2"), "user-b": ("1", "1", "1", "1"), "user-c": ("1", "3", "3", "3")}
    one = ["1 session encrypted with a key that this server does not have"]
    assert await shown(with_key) == (every, one)
    monkeypatch.setattr(_usage, "PAGE_BYTES", 1)  # a message a page
    monkeypatch.setattr(overall, "_AT_ONCE", 1)  # a session a request
    assert await shown(with_key) == (every, one)
    monkeypatch.undo()
    assert await shown(with_key, user="user-c") == ({"user-c": every["user-c"]}, [])
    assert await shown(pages_app(web.database)) == (
        {"user-b": every["user-b"]}, ["3 sessions encrypted with a key that this server does not have"]
    )  # fmt: skip
    web.database.query("UPDATE strands_messages SET message_id = 9 WHERE session_id = 'a' AND message_id = 3")
    figures, missing = await shown(with_key)
    assert figures["user-a"] == ("1", "1", "1", "1") and missing == [*one, "1 message that can't be read"]


async def test_usage_of_a_session_with_and_without_the_key(sealed: Web) -> None:
    """By the service, the page and the face the same tokens; without the key none of them shows figures."""
    used = (await sealed.as_user("ada").get("/sessions/s/usage")).json()
    assert (used["messages"], used["reported"], used["input_tokens"], used["output_tokens"]) == (2, 1, 1, 1)
    assert PerSQLSessions(sealed.database, encryption=KEY).usage("s").input_tokens == 1
    page = (await browser(pages_app(sealed.database, encryption=KEY)).get("/usage?id=s")).text
    assert re.findall(r"<dt>Tokens (in|out)</dt><dd>(\d+)", page) == [("in", "1"), ("out", "1")]
    refused = await sealed.as_user("ada", sessions_app(sealed.database, user=header)).get("/sessions/s/usage")
    assert refused.status_code == 500 and "tokens" not in refused.text
    page = (await browser(pages_app(sealed.database)).get("/usage?id=s")).text
    assert "is encrypted" in page and "Tokens" not in page
