"""Each operation, over a local database and one of the service."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from strands_persql import PerSQLSessions

from ..agents.scripted import text, tools, use
from ..databases import local
from .conftest import Web

PNG = b"\x89PNG\r\n\x1a\n..."


async def test_sessions_are_listed_newest_first(web: Web) -> None:
    """A page holds the caller's own, and says where the next begins."""
    for name in ("one", "two", "three"):
        web.agent(name, text("fine"), tags=["odd"] if name != "two" else None)(f"this is {name}")
    web.agent("bob's", text("fine"), user="bob")("mine")
    ada = web.as_user("ada")
    first = (await ada.get("/sessions", params={"limit": 2})).json()
    assert [each["session_id"] for each in first["sessions"]] == ["three", "two"]
    assert (first["sessions"][0]["title"], first["sessions"][0]["preview"]) == ("this is three", "fine")
    second = (await ada.get("/sessions", params={"limit": 2, "after": first["after"]})).json()
    assert [each["session_id"] for each in second["sessions"]] == ["one"]
    assert second["after"] is None
    odd = (await ada.get("/sessions", params={"tag": "odd", "order": "id"})).json()
    assert [each["session_id"] for each in odd["sessions"]] == ["one", "three"]


async def test_a_session_is_shown(web: Web) -> None:
    """All of it but its messages, and what agents keep for themselves."""
    agent = web.agent("s", text("fine"), tags=["work"])
    agent.state.set("secret", 1)
    agent("hello")
    found = (await web.as_user("ada").get("/sessions/s")).json()
    assert (found["title"], found["tags"], found["user"]) == ("hello", ["work"], "ada")
    assert found["agents"][0].keys() == {"agent_id", "created_at", "last_active", "messages", "live", "taken_back"}


async def test_messages_are_read_backwards(web: Web) -> None:
    """Pages of records, the newest last."""
    agent = web.agent("s", text("fine"), text("good"))
    agent("hello")
    agent("again")
    ada = web.as_user("ada")
    page = (await ada.get("/sessions/s/messages", params={"limit": 3})).json()
    assert [(each["id"], each["role"], each["text"]) for each in page["messages"]] == [
        ("1", "assistant", "fine"),
        ("2", "user", "again"),
        ("3", "assistant", "good"),
    ]
    page = (await ada.get("/sessions/s/messages", params={"before": page["before"]})).json()
    assert ([each["text"] for each in page["messages"]], page["before"]) == (["hello"], None)


async def test_bytes_have_an_address(web: Web) -> None:
    """A picture is shown, a document is saved; neither runs anything, and a browser guesses no other type."""
    page = {"document": {"format": "html", "name": "a page", "source": {"bytes": b"<script>alert(1)</script>"}}}
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    web.agent("a/b ü", text("nice"))([{"text": "look"}, image, page])
    ada = web.as_user("ada")
    answer = await ada.get("/sessions/a%2Fb%20%C3%BC/messages", params={"agent_id": "default"})
    _, shown, saved = answer.json()["messages"][0]["parts"]
    assert shown["url"] == "/sessions/a%2Fb%20%C3%BC/messages/0/media/1?agent_id=default"
    picture, document = await ada.get(shown["url"]), await ada.get(saved["url"])
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    assert picture.headers["content-disposition"] == "inline"
    assert document.headers["content-type"].startswith("text/plain")
    assert document.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20page.html"
    for answer in (picture, document):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
    for place in ("7", "x", "%2E%2E", "live.1"):
        assert (await ada.get(f"/sessions/a%2Fb%20%C3%BC/messages/0/media/{place}")).status_code == 404
    assert (await ada.get("/sessions/a%2Fb%20%C3%BC/messages/x/media/1")).status_code == 404


async def test_a_document_with_half_a_character_in_its_name_is_saved(web: Web) -> None:
    """What no header can carry is replaced."""
    document = {"document": {"format": "txt", "name": "a\ud800 b", "source": {"bytes": b"hello"}}}
    web.agent("s", text("nice"))([{"text": "look"}, document])
    saved = await web.as_user("ada").get("/sessions/s/messages/0/media/1")
    assert (saved.status_code, saved.content) == (200, b"hello")
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''a%3F%20b.txt"


async def test_one_users_messages_are_searched(web: Web) -> None:
    """In all of the caller's sessions or in one; with an index, which holds all users' words, as without."""
    web.agent("one", text("It is Assam"))("which tea?")
    web.agent("two", text("coffee"))("no tea?")
    web.agent("bob's", text("tea, too"), user="bob")("tea?")
    ada = web.as_user("ada")
    for indexed in (False, True):
        if indexed:
            web.sessions.enable_search()
        found = (await ada.get("/search", params={"q": "TEA"})).json()
        assert [(each["session_id"], each["snippet"]) for each in found["hits"]] == [
            ("one", "which tea?"),
            ("two", "no tea?"),
        ]
        assert (found["complete"], found["scanned"]) == (True, 4)
        found = (await ada.get("/sessions/two/search", params={"q": "tea"})).json()
        assert [each["session_id"] for each in found["hits"]] == ["two"]
        everyones = (await web.as_user("*").get("/search", params={"q": "tea"})).json()
        assert {each["session_id"] for each in everyones["hits"]} == {"one", "two", "bob's"}


async def test_usage_is_added_up(web: Web) -> None:
    """As far as a session's messages tell."""
    web.agent("s", tools(use("add", {"a": 1, "b": 2})), text("3"))("1 + 2?")
    used = (await web.as_user("ada").get("/sessions/s/usage")).json()
    assert (used["messages"], used["tool_calls"], used["agents"].keys()) == (4, 1, {"default"})


async def test_a_session_is_renamed_and_tagged(web: Web) -> None:
    """What is not named stays, null takes it away; whose it is can't be changed."""
    web.agent("s", text("fine"))("hello")
    ada = web.as_user("ada")
    changed = await ada.patch("/sessions/s", json={"title": "Tea", "tags": ["b", "a"], "metadata": {"n": 1}})
    assert (changed.json()["title"], changed.json()["tags"], changed.json()["metadata"]) == (
        "Tea",
        ["a", "b"],
        {"n": 1},
    )
    assert (await ada.patch("/sessions/s", json={"title": None})).json()["title"] == "hello"
    assert (await ada.get("/sessions/s")).json()["tags"] == ["a", "b"]
    wrong: list[Any] = [
        {"user": "bob"},
        {"title": 1},
        {"title": True},
        {"tags": [1]},
        {"tags": "a"},
        {"title": " "},
        [],
    ]
    for body in wrong:
        refused = await ada.patch("/sessions/s", json=body)
        assert (refused.status_code, refused.json()["type"]) == (400, "urn:strands-persql:problem:bad-body"), body
    assert web.sessions.get("s").user == "ada"


def nested(levels: int) -> Any:
    """Metadata of so many levels, dicts and lists in turn."""
    inner: Any = {} if levels % 2 else []
    for level in range(levels - 1, 0, -1):
        inner = {"a": inner} if level % 2 else [inner]
    return inner


async def test_metadata_is_not_nested_without_end(web: Web) -> None:
    """On no road; what was stored deeper before is shown as far as it goes."""
    web.agent("s", text("fine"))("hello")
    ada = web.as_user("ada")
    assert (await ada.patch("/sessions/s", json={"metadata": nested(33)})).status_code == 400
    assert (await ada.patch("/sessions/s", json={"metadata": nested(32)})).json()["metadata"] == nested(32)
    with pytest.raises(ValueError, match="32 levels"):
        web.sessions.update("s", metadata=nested(33))
    with pytest.raises(ValueError, match="32 levels"):
        web.agent("s", metadata=nested(33))
    web.database.query("UPDATE strands_sessions SET metadata = ?", [json.dumps(nested(481))])
    for path in ("/sessions", "/sessions/s"):
        shown = await ada.get(path)
        assert (shown.status_code, "<nested deeper than 64 levels>" in shown.text) == (200, True)


async def test_a_session_is_forked_rewound_and_deleted(web: Web) -> None:
    """A fork is the same user's, under an id of its own; what is deleted is gone."""
    agent = web.agent("s", text("fine"), text("good"))
    agent("hello")
    agent("again")
    ada = web.as_user("ada")
    copy = await ada.post("/sessions/s/fork", json={"at": 1})
    assert (copy.status_code, copy.json()["messages"]) == (201, 2)
    assert len(copy.json()["session_id"]) == 36
    assert (await ada.get(copy.headers["location"])).json()["user"] == "ada"
    assert (await ada.post("/sessions/s/fork", json={})).json()["messages"] == 4
    assert (await ada.post("/sessions/s/fork", json={"at": True})).status_code == 400
    assert (await ada.post("/sessions/s/rewind", json={"to": 1})).status_code == 204
    assert (await ada.get("/sessions/s")).json()["agents"][0]["live"] == 2
    assert (await ada.post("/sessions/s/rewind", json={"before": 0})).status_code == 204
    assert (await ada.get("/sessions/s")).json()["agents"][0]["live"] == 0
    for body in ({}, {"to": 1, "before": 0}, {"to": -1}, {"to": "1"}, {"to": 2**53}, {"to": 1, "at": 1}, {"to": True}):
        assert (await ada.post("/sessions/s/rewind", json=body)).status_code == 400, body
    assert (await ada.post("/sessions/s/rewind", json={"to": 99})).status_code == 404
    assert (await ada.delete("/sessions/s")).status_code == 204
    assert (await ada.get("/sessions/s")).status_code == 404
    assert len((await ada.get("/sessions")).json()["sessions"]) == 2


async def test_a_session_is_exported(web: Web) -> None:
    """Line by line, as a file that another database takes."""
    agent = web.agent("s", text("x" * 70_000), text("good"), title="Tea")
    agent("hello")
    agent("again")
    answer = await web.as_user("ada").get("/sessions/s/export")
    assert answer.headers["content-type"].startswith("application/jsonl")
    assert "attachment" in answer.headers["content-disposition"]
    elsewhere = PerSQLSessions(local())
    elsewhere.import_from(io.StringIO(answer.text))
    assert (elsewhere.get("s").title, elsewhere.get("s").user) == ("Tea", "ada")
    assert [json.loads(line).get("message") for line in answer.text.splitlines()][2:6] == [0, 1, 2, 3]


async def test_several_agents_need_a_name(web: Web) -> None:
    """A session with two says so, to its own user alone."""
    for name in ("a", "b"):
        agent = web.agent("s", text("fine"), agent_id=name)
        agent(f"I am {name}")
    ada = web.as_user("ada")
    for path in ("messages", "events"):
        refused = await ada.get(f"/sessions/s/{path}")
        assert (refused.status_code, "agent_id" in refused.json()["detail"]) == (400, True)
        assert (await ada.get(f"/sessions/s/{path}", params={"agent_id": "c"})).status_code == 404
        assert (await web.as_user("bob").get(f"/sessions/s/{path}")).status_code == 404
    assert (await ada.post("/sessions/s/rewind", json={"to": 1})).status_code == 400
    page = (await ada.get("/sessions/s/messages", params={"agent_id": "b"})).json()
    assert page["messages"][0]["text"] == "I am b"


async def test_who_runs_the_agents_sees_all(web: Web) -> None:
    """`EVERYONE` is nobody's filter, and may choose one user's."""
    web.agent("one", text("fine"))("hello")
    web.agent("two", text("fine"), user="bob")("hello")
    web.agent("three", text("fine"), user=None)("hello")
    root = web.as_user("*")
    assert {each["session_id"] for each in (await root.get("/sessions")).json()["sessions"]} == {"one", "two", "three"}
    bobs = (await root.get("/sessions", params={"user": "bob"})).json()
    assert [each["session_id"] for each in bobs["sessions"]] == ["two"]
    assert (await root.get("/sessions/three/messages")).status_code == 200
    own = (await web.as_user("ada").get("/sessions", params={"user": "bob"})).json()
    assert [each["session_id"] for each in own["sessions"]] == ["one"]
