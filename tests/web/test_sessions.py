"""Each operation, over a local database and one of the service."""

from __future__ import annotations

from ..agents.scripted import text
from .conftest import Web


async def test_sessions_are_listed_newest_first(web: Web) -> None:
    """A page holds the caller's own, and says where the next begins."""
    for name in ("one", "two", "three"):
        web.agent(name, text("fine"))(f"this is {name}")
    web.agent("bob's", text("fine"), user="bob")("mine")
    ada = web.as_user("ada")
    first = (await ada.get("/sessions", params={"limit": 2})).json()
    assert [each["session_id"] for each in first["sessions"]] == ["three", "two"]
    assert first["sessions"][0]["title"] == "this is three"
    second = (await ada.get("/sessions", params={"limit": 2, "after": first["after"]})).json()
    assert [each["session_id"] for each in second["sessions"]] == ["one"]
    assert second["after"] is None


async def test_a_session_is_shown(web: Web) -> None:
    """All of it but its messages, and what agents keep for themselves."""
    agent = web.agent("s", text("fine"), tags=["work"])
    agent.state.set("secret", 1)
    agent("hello")
    found = (await web.as_user("ada").get("/sessions/s")).json()
    assert (found["title"], found["tags"], found["user"]) == ("hello", ["work"], "ada")
    assert found["agents"][0].keys() == {"agent_id", "created_at", "last_active", "messages", "live"}


async def test_nobody_else_reaches_it(web: Web) -> None:
    """It answers as if the session did not exist, and 401 to somebody who is not logged in."""
    web.agent("s", text("fine"))("hello")
    bob = web.as_user("bob")
    for method in ("GET", "PATCH", "DELETE"):
        theirs, none = [
            await bob.request(method, f"/sessions/{name}", json={} if method == "PATCH" else None)
            for name in ("s", "nowhere")
        ]
        assert theirs.status_code == none.status_code == 404
        assert (theirs.content, theirs.headers) == (none.content, none.headers)
    assert (await web.as_user(None).get("/sessions/s")).status_code == 401
    assert (await web.as_user("ada").get("/sessions/s")).status_code == 200


async def test_changes_are_made(web: Web) -> None:
    """Title and tags change, a fork is the same user's, and what is deleted is gone."""
    agent = web.agent("s", text("fine"), text("good"))
    agent("hello")
    agent("again")
    ada = web.as_user("ada")
    changed = await ada.patch("/sessions/s", json={"title": "Tea", "tags": ["b", "a"]})
    assert (changed.json()["title"], changed.json()["tags"]) == ("Tea", ["a", "b"])
    copy = await ada.post("/sessions/s/fork", json={"at": 1})
    assert (copy.status_code, copy.json()["messages"]) == (201, 2)
    assert (await ada.get(copy.headers["location"])).json()["user"] == "ada"
    assert (await ada.post("/sessions/s/rewind", json={"to": 1})).status_code == 204
    assert (await ada.get("/sessions/s")).json()["agents"][0]["live"] == 2
    assert (await ada.post("/sessions/s/rewind", json={"before": 0})).status_code == 204
    assert (await ada.get("/sessions/s")).json()["agents"][0]["live"] == 0
    for mistake in ({}, {"to": 1, "before": 0}):
        assert (await ada.post("/sessions/s/rewind", json=mistake)).status_code == 400
    assert (await ada.delete("/sessions/s")).status_code == 204
    assert (await ada.get("/sessions/s")).status_code == 404
