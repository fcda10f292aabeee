"""Nobody reaches another user's session: by no operation, id, cursor or search, and not while it changes hands."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from strands_persql import Database
from strands_persql.administration.users import UserSessions
from strands_persql.database.tables import _search
from strands_persql.web import EVERYONE, sessions_app
from strands_persql.web._operations import OPERATIONS

from ..agents.scripted import text
from ..databases import local
from .conftest import Web

BODIES = {"update_session": {"title": "mine"}, "fork_session": {}, "rewind_session": {"to": 0}}
OF_SESSION = [operation for operation in OPERATIONS if "{session_id}" in operation.path]
QUERY = {"search_session": "?q=hello"}
HOSTILE = [
    "nowhere", "  ", "..", ".", "%", "_", "s%", "S", " s", "s ", "s\0", "\0", "s/../s", "a/b", "//", "\uff53", "é",
    "e\u0301", "🍵", "'; --", "' OR 1=1", "\u202es", "s" * 900, "s" * 5000, "NULL", "null", "*", "s\n", "0", "true",
    "no such table", "UNIQUE constraint failed", "NOT NULL constraint failed",
]  # fmt: skip


def address(operation: Any, session_id: str) -> str:
    """The path of an operation on a session."""
    # What is all dots a client takes for a step in the path, unless it is escaped.
    escaped = quote(session_id, safe="") if session_id.strip(".") else session_id.replace(".", "%2E")
    path = str(operation.path).replace("{session_id}", escaped)
    return path.replace("{record_id}", "0").replace("{place}", "1") + QUERY.get(operation.name, "")


async def ask(client: Any, operation: Any, session_id: str, **headers: str) -> Any:
    """Ask for an operation on a session."""
    return await client.request(
        operation.method, address(operation, session_id), json=BODIES.get(operation.name), headers=headers
    )


def looks(answer: Any) -> tuple[Any, ...]:
    """All that a caller can tell of an answer."""
    return answer.status_code, answer.content, sorted(answer.headers.items())


def state(web: Web) -> list[Any]:
    """All that is stored."""
    tables = ("sessions", "agents", "messages", "multi_agents", "chunks", "objects")
    return [web.database.query(f"SELECT * FROM strands_{table}")["data"] for table in tables]


@pytest.mark.slow
async def test_anothers_session_is_like_none(web: Web) -> None:
    """Each operation answers the very same for another's, for nobody's, for a hostile id and for none at all."""
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n"}}}
    for name in ("s", "a/b", "no such table"):
        web.agent(name, text("fine"))([{"text": "hello"}, image])
    web.agent("nobody's", text("fine"), user=None)("hello")
    before = state(web)
    bob = web.as_user("bob")
    hostile = HOSTILE if web.is_local else HOSTILE[::8]
    for operation in OF_SESSION:
        none = await ask(bob, operation, "never used")
        assert none.status_code == 404
        assert none.headers.keys() == {"content-length", "content-type", "cache-control"}
        for name in ("s", "a/b", "nobody's", *hostile):
            assert looks(await ask(bob, operation, name)) == looks(none), (operation.name, name)
        for condition in ({"If-Match": '"x"'}, {"If-Match": "*"}, {"If-None-Match": "*"}, {"Range": "bytes=0-1"}):
            assert looks(await ask(bob, operation, "s", **condition)) == looks(none), (operation.name, condition)
        assert (await ask(web.as_user(None), operation, "s")).status_code == 401
    assert state(web) == before


async def test_nothing_is_read_for_others(remote: Web) -> None:
    """What another's session holds, a stranger can't tell by time, nor have the owner billed for it."""
    agent = remote.agent("s", *[text("fine")] * 10)
    for _ in range(10):
        await agent.invoke_async("hello")
    bob = remote.as_user("bob")
    for operation in OF_SESSION:
        remote.emulator.reset()
        assert (await ask(bob, operation, "s")).status_code == 404
        billing = remote.emulator.billing
        assert (billing.rows_read <= 1, billing.rows_written) == (True, 0), (operation.name, billing)


async def test_hostile_ids_are_their_owners(web: Web) -> None:
    """An id may be any text: its own user reaches it under its escaped name."""
    names = [name for name in HOSTILE if name.strip() and len(name) < 1000 and name not in (".", "..")]
    names = names if web.is_local else names[::8]
    for name in names:
        web.agent(name, text("fine"))(f"hello {name[:9]}")
    ada = web.as_user("ada")
    for name in names:
        assert (await ada.get(f"/sessions/{quote(name, safe='')}")).json()["session_id"] == name
        assert (await ada.delete(f"/sessions/{quote(name, safe='')}")).status_code == 204
    assert state(web)[0] == []


async def test_cursors_open_nothing(web: Web) -> None:
    """A cursor of another user's list, one made up, and an id as a cursor show the caller's own, or nothing."""
    for number in range(3):
        web.agent(f"a{number}", text("fine"))("hello")
        web.agent(f"b{number}", text("fine"), user="bob")("hello")
    ada, bob = web.as_user("ada"), web.as_user("bob")
    cursor = (await ada.get("/sessions", params={"limit": 1})).json()["after"]
    refused = await bob.get("/sessions", params={"after": cursor})
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:strands-persql:problem:bad-parameter")
    own = (await bob.get("/sessions", params={"limit": 1})).json()["after"]
    of_list, *_ = json.loads(base64.urlsafe_b64decode(own + "=="))
    for place in (["9999", "zzz", ""], ["", "", "a0"], ["9999", "a0", "a"], ["' OR 1", "%", "%"]):
        forged = base64.urlsafe_b64encode(json.dumps([of_list, *place]).encode()).decode().rstrip("=")
        listed = await bob.get("/sessions", params={"after": forged})
        assert {each["user"] for each in listed.json()["sessions"]} <= {"bob"}
    for after in ("", "a0", "\0", "%", "zzzz"):
        listed = await bob.get("/sessions", params={"after": after, "order": "id"})
        assert {each["user"] for each in listed.json()["sessions"]} <= {"bob"}
        assert (await bob.get("/sessions", params={"after": after or "x"})).status_code == 400
    for before in ("x", "-1", "0.", "1e3", "9" * 40, "0\0"):
        assert (await bob.get("/sessions/b0/messages", params={"before": before})).status_code == 400


class Handover:
    """A database in which a session becomes bob's just before one of the requests, and he says something in it."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.until = -1

    def query(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """One statement."""
        return self.inner.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        """One request."""
        if self.until == 0:
            said = (
                '{"message":{"role":"user","content":[{"text":"hello from bob"}]},"message_id":2,"created_at":"2030"}'
            )
            self.inner.batch(
                [
                    {"sql": "UPDATE strands_sessions SET user = 'bob', title = 'bob''s' WHERE session_id = 's'"},
                    {"sql": "UPDATE strands_messages SET data = replace(data, 'hello', 'hello bob')"},
                    {"sql": "UPDATE strands_chunks SET data = replace(data, 'hello', 'hello bob')"},
                    {"sql": f"INSERT INTO strands_messages VALUES ('s', 'default', 2, '{said}', NULL)"},
                ],
                transaction=True,
            )
        self.until -= 1
        return self.inner.batch(statements, transaction=transaction)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_what_changes_hands_is_closed(operation: Any) -> None:
    """Before whichever request a session becomes another's, nothing of it is told or changed from then on."""
    for number in range(9):
        handle = Handover(local())
        web = Web(handle, poll_seconds=0.001)
        image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n"}}}
        in_parts = operation.name in ("export_session", "search_messages", "search_session")
        web.agent("s", text("hello " + "x" * 1_500_000 * in_parts))([{"text": "hello"}, image])
        handle.until = number
        path = address(operation, "s") if operation in OF_SESSION else operation.path + "?q=hello"
        ada = web.as_user("ada")
        if operation.name == "stream_events":
            path += "?after=0"
        try:
            answer = await ada.request(operation.method, path, json=BODIES.get(operation.name))
            told = answer.text
        except Exception as error:  # an export that has begun breaks off
            assert operation.name == "export_session", error
            told = ""
        assert "bob" not in told, number
        after = handle.until < 0
        if not after:  # all was done before
            assert number > 0
            break
        if operation.name == "stream_events" and number == 3:  # it asks for as long as it lasts
            break
        if number == 0 and operation in OF_SESSION:
            assert answer.status_code == 404
        if operation.name == "delete_session" and answer.status_code == 204:
            continue  # it was gone before it could change hands
        rows = handle.query("SELECT user, title FROM strands_sessions WHERE session_id = 's'")["data"]
        assert rows == [{"user": "bob", "title": "bob's"}]
        assert handle.query("SELECT count(*) AS n FROM strands_sessions WHERE user = 'ada'")["data"][0]["n"] <= 1
    else:
        pytest.fail("the operation makes more requests than this test reckons with")


@given(
    users=st.dictionaries(
        st.sampled_from(["a", "b", "A", "a/", "ä"]), st.sampled_from(["ada", "bob", None]), max_size=4
    ),
    caller=st.sampled_from(["ada", "bob", "ADA", "nobody", "' OR 1=1 --", "%"]),
    operation=st.sampled_from(OF_SESSION),
    asked=st.sampled_from(["a", "b", "A", "a/", "ä", "c"]),
)
def test_only_the_owner_is_answered(users: dict[str, str | None], caller: str, operation: Any, asked: str) -> None:
    """Whoever asks for whichever session: it is answered exactly where it is the caller's."""

    async def check() -> None:
        web = Web(local())
        for name, user in users.items():
            web.agent(name, text("fine"), user=user)("hello")
        if operation.name in ("stream_events", "get_media"):
            return
        answer = await ask(web.as_user(caller), operation, asked)
        assert (answer.status_code != 404) == (users.get(asked, 0) == caller)
        listed = await web.as_user(caller).get("/sessions")
        assert {each["user"] for each in listed.json()["sessions"]} <= {caller}
        await web.close()

    asyncio.run(check())


# Who sends a request


def says(word: Any, _: Request) -> Any:
    """What a callable may answer."""
    return word


async def test_the_callable_may_be_a_coroutine_and_fail(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is told to nobody; None and only None is somebody who is not logged in."""
    web = Web(local())
    web.agent("s", text("fine"))("hello")

    async def ada(request: Request) -> str:
        return "ada"

    def broken(request: Request) -> str:
        raise RuntimeError("the password is swordfish")

    async def broken_too(request: Request) -> str:
        raise ValueError("the password is swordfish")

    app = sessions_app(web.database, user=ada)
    assert (await web.as_user(None, app).get("/sessions/s")).status_code == 200
    wrong: list[Any] = [broken, broken_too, *(partial(says, word) for word in (7, "", " ", "\ud800", True))]
    for user in wrong:
        app = sessions_app(web.database, user=user)
        for path in ("/sessions/s", "/sessions", "/nowhere"):
            answer = await web.as_user("ada", app).get(path)
            assert (answer.status_code, answer.json()["type"]) == (500, "urn:strands-persql:problem:internal")
            assert "swordfish" not in answer.text
    refused = await web.as_user(None).get("/nowhere")
    assert (refused.status_code, refused.json()["type"]) == (401, "urn:strands-persql:problem:unauthenticated")
    assert "www-authenticate" in refused.headers
    await web.close()


# Search


async def test_long_messages_are_searched_for_their_user(web: Web) -> None:
    """A message in parts is read whole, in a request of its own, and for its user alone."""
    web.agent("s", text("tea " + "x" * 1_200_000))("hello")
    web.agent("b", text("tea " + "x" * 1_200_000), user="bob")("hello")
    for user, session_id in (("ada", "s"), ("bob", "b")):
        found = (await web.as_user(user).get("/search", params={"q": "tea"})).json()
        assert [each["session_id"] for each in found["hits"]] == [session_id]


async def test_a_search_reads_its_users_messages_alone(remote: Web) -> None:
    """However many there are of others, and however long; and no more than it says of the user's own."""
    for name in ("one", "two"):
        remote.agent(name, *[text("fine")] * 3)("hello")
    ada = remote.as_user("ada")

    async def cost() -> tuple[int, int]:
        remote.emulator.reset()
        assert len((await ada.get("/search", params={"q": "hello"})).json()["hits"]) == 2
        return remote.emulator.billing.requests, remote.emulator.billing.rows_read

    alone = await cost()
    copied = "SELECT 'b' || n.value || session_id, 'bob', data FROM strands_sessions, json_each(?) AS n"
    remote.database.query(f"INSERT INTO strands_sessions (session_id, user, data) {copied}", [str(list(range(90)))])
    said = "SELECT 'b' || n.value || session_id, agent_id, message_id, data FROM strands_messages, json_each(?) AS n"
    remote.database.query(
        f"INSERT INTO strands_messages (session_id, agent_id, message_id, data) {said}", [str(list(range(90)))]
    )
    assert await cost() == alone
    few = UserSessions(remote.database, "ada").search("hello", max_scanned=1)
    assert (len(few.hits), few.scanned, few.complete) == (1, 1, False)


def test_a_users_newest_sessions_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of somebody with very many, the newest; and the answer says that there are more."""
    monkeypatch.setattr(_search, "MOST_SESSIONS", 2)
    web = Web(local())
    for number, name in enumerate(("c", "b", "a")):
        web.agent(name, text("fine"))("hello")
        web.database.query("UPDATE strands_sessions SET active = ? WHERE session_id = ?", [f"{number}", name])
    sessions = UserSessions(web.database, "ada")
    found = sessions.search("hello")
    assert ([each.session_id for each in found.hits], found.complete) == (["a", "b"], False)
    assert sessions.search("hello", session_id="c").complete
    web.sessions.delete("b")
    assert sessions.search("hello").complete
    assert [each.session_id for each in UserSessions(web.database, EVERYONE).search("hello").hits] == ["a", "c"]
