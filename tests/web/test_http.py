"""What holds of every operation: entity tags, methods, limits, problems, and that nothing blocks the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from strands_persql import (
    AuthenticationError,
    Database,
    PerSQLSessions,
    RateLimitError,
    SessionConflictError,
    SessionDataError,
    TransportError,
)
from strands_persql.web import _answers, _reading, _router, _writing, sessions_app
from strands_persql.web._operations import OPERATIONS
from strands_persql.web._problems import KINDS, PREFIX, problem_of

from ..agents.scripted import text
from ..databases import local
from .conftest import Web, header

READING = ["", "/sessions", "/usage", "/messages", "/search?q=hello", "/export"]


def kind(answer: Any) -> tuple[int, str]:
    """The status and the kind of a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().keys() == {"type", "title", "status", "detail"}
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["type"].removeprefix(PREFIX)


@pytest.fixture
def quick() -> Web:
    """A database in memory with a session of ada's."""
    web = Web(local())
    web.agent("s", text("fine"))("hello")
    return web


# Entity tags


async def test_what_a_caller_has_is_not_sent_again(web: Web) -> None:
    """304 as long as nothing has changed; another tag once something has."""
    agent = web.agent("s", text("fine"), text("good"))
    agent("hello")
    ada = web.as_user("ada")
    for path in ("/sessions", "/sessions/s", "/sessions/s/messages", "/sessions/s/usage", "/search?q=hello"):
        tag = (await ada.get(path)).headers["etag"]
        for known in (tag, f'"x", W/{tag}', "*"):
            same = await ada.get(path, headers={"If-None-Match": known})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag), path
        assert (await ada.get(path, headers={"If-None-Match": '"x"'})).status_code == 200
    before = (await ada.get("/sessions/s")).headers["etag"]
    agent("again")
    said = (await ada.get("/sessions/s")).headers["etag"]
    await ada.patch("/sessions/s", json={"tags": ["a"]})
    tagged = (await ada.get("/sessions/s")).headers["etag"]
    assert len({before, said, tagged}) == 3
    copy = (await ada.post("/sessions/s/fork", json={})).headers["location"]
    known = (await ada.get(copy)).headers["etag"]
    PerSQLSessions(web.database).rename("s", "t")
    renamed = await ada.get(copy, headers={"If-None-Match": known})
    assert (renamed.status_code, renamed.json()["copy_of"]) == (200, "t")


@pytest.mark.slow
async def test_a_stale_tag_changes_nothing(web: Web) -> None:
    """If-Match names the state that the caller has seen: 412 where there is another by now."""
    agent = web.agent("s", text("fine"), text("good"))
    agent("hello")
    ada = web.as_user("ada")
    stale = (await ada.get("/sessions/s")).headers["etag"]
    agent("again")
    requests: tuple[tuple[str, str, Any], ...] = (
        ("PATCH", "/sessions/s", {"title": "Tea"}),
        ("PATCH", "/sessions/s", {}),
        ("POST", "/sessions/s/fork", {}),
        ("POST", "/sessions/s/fork", {"at": 1}),
        ("POST", "/sessions/s/rewind", {"to": 1}),
        ("DELETE", "/sessions/s", None),
    )
    for method, path, body in requests:
        fresh = (await ada.get("/sessions/s")).headers["etag"]
        for tags in (stale, f'{stale}, "y"', '"x"', "W/" + stale, "", "W/" + fresh, f"x{fresh[1:-1]}x"):
            refused = await ada.request(method, path, json=body, headers={"If-Match": tags})
            assert kind(refused) == (412, "changed"), (method, tags)
    assert (await ada.get("/sessions/s")).json()["title"] == "hello"
    for method, path, body in requests:
        fresh = (await ada.get("/sessions/s")).headers["etag"]
        done = await ada.request(method, path, json=body, headers={"If-Match": f'"x", {fresh}'})
        assert done.status_code in (200, 201, 204), method
    assert (await ada.get("/sessions/s")).status_code == 404


class Before:
    """A database in which something is done just before a request that writes."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.sql = ""

    def query(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """One statement."""
        return self.inner.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        """One request."""
        if self.sql and not all(each["sql"].startswith("SELECT") for each in statements):
            sql, self.sql = self.sql, ""
            self.inner.query(sql)
        return self.inner.batch(statements, transaction=transaction)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"title": "Tea"}),
        ("POST", "/fork", {}),
        ("POST", "/rewind", {"to": 0}),
        ("DELETE", "", None),
    ],
)
@pytest.mark.parametrize("sql", ["UPDATE strands_sessions SET title = 'x'", "UPDATE strands_agents SET revision = 7"])
async def test_a_tag_holds_in_the_transaction(method: str, path: str, body: Any, sql: str) -> None:
    """Whoever writes between the look at the tag and the change itself comes first."""
    handle = Before(local())
    web = Web(handle)
    web.agent("s", text("fine"))("hello")
    ada = web.as_user("ada")
    tag = (await ada.get("/sessions/s")).headers["etag"]
    handle.sql = sql
    refused = await ada.request(method, f"/sessions/s{path}", json=body, headers={"If-Match": tag})
    assert kind(refused) == (412, "changed")
    assert (await ada.get("/sessions/s")).json()["title"] in ("hello", "x")


# Methods


async def test_head_is_get_without_a_body(quick: Web) -> None:
    """With the same status and headers, for all that can be read."""
    ada = quick.as_user("ada")
    paths = [f"/sessions/s{path}" for path in ("", "/usage", "/messages", "/search?q=hello", "/export", "/events")]
    for path in (*paths, "/sessions", "/search?q=hello", "/openapi.json", "/nowhere", "/sessions/nobody"):
        head = await ada.head(path)
        assert head.content == b""
        if not path.endswith("/events"):
            get = await ada.get(path)
            assert (head.status_code, head.headers) == (get.status_code, get.headers), path


async def test_other_methods_are_not_allowed(quick: Web) -> None:
    """Allow names those that are."""
    ada = quick.as_user("ada")
    for method, path, allowed in (
        ("POST", "/sessions", "GET, HEAD"),
        ("PUT", "/sessions/s", "DELETE, GET, HEAD, PATCH"),
        ("OPTIONS", "/sessions/nobody", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/sessions/s/fork", "POST"),
        ("DELETE", "/sessions/s/messages", "GET, HEAD"),
        ("TRACE", "/openapi.json", "GET, HEAD"),
    ):
        refused = await ada.request(method, path)
        assert kind(refused) == (405, "method-not-allowed")
        assert refused.headers["allow"] == allowed
    for path in ("", "/", "//", "/sessions/", "/sessions//", "/sessions/s/", "/x", "/sessions/s/messages/0", "/%ff"):
        assert kind(await ada.get(path)) == (404, "not-found"), path


async def test_what_is_read_only_changes_nothing(quick: Web) -> None:
    """No operation that writes is there, nor one that is left out by name."""
    app = sessions_app(quick.database, user=header, read_only=True, without=["export_session", "list_sessions"])
    ada = quick.as_user("ada", app)
    for operation in OPERATIONS:
        if operation.writes:
            refused = await ada.request(operation.method, operation.path.replace("{session_id}", "s"), json={"to": 0})
            assert refused.status_code == (405 if operation.path == "/sessions/{session_id}" else 404)
    assert (await ada.patch("/sessions/s", json={"title": "x"})).headers["allow"] == "GET, HEAD"
    assert (await ada.get("/sessions/s/export")).status_code == 404
    assert (await ada.get("/sessions")).status_code == 404
    assert (await ada.get("/sessions/s")).status_code == 200
    told = (await ada.get("/openapi.json")).json()["paths"]
    assert {method for path in told.values() for method in path} == {"get"}
    assert "/sessions/{session_id}/export" not in told


# Limits


@pytest.mark.slow
@pytest.mark.usefixtures("no_collection")
async def test_bodies_are_small_json(quick: Web) -> None:
    """No form of another site's, nothing large, nothing nested without end."""
    ada = quick.as_user("ada")
    for content, media, status, name in (
        (b"title=x", "application/x-www-form-urlencoded", 415, "not-json"),
        (b'{"title": "x"}', "text/plain", 415, "not-json"),
        (b'{"metadata": {"n": null}}', "application/merge-patch+json", 415, "not-json"),
        (b'{"title": "x"}', "", 415, "not-json"),
        (b"{", "application/json", 400, "bad-body"),
        (b"", "application/json", 400, "bad-body"),
        (b"\xff\xfe", "application/json", 400, "bad-body"),
        (b'{"metadata": ' + b"[" * 200_000, "application/json", 400, "bad-body"),
        (b'{"metadata": {"n": NaN}}', "application/json", 400, "bad-body"),
        (b'{"metadata": {"n": "' + b"x" * 70_000 + b'"}}', "application/json", 400, "bad-body"),
        (b'{"title": "\\ud800"}', "application/json", 400, "bad-body"),
        (b'{"title": "' + b"x" * 600_000 + b'"}', "application/json", 413, "body-too-large"),
    ):
        headers = {"Content-Type": media} if media else {}
        refused = await ada.patch("/sessions/s", content=content, headers=headers)
        assert kind(refused) == (status, name), content[:20]
    assert (await ada.get("/sessions/s")).json()["title"] == "hello"


async def test_parameters_are_checked(quick: Web) -> None:
    """What can't be used is named, and not sent to the database."""
    ada = quick.as_user("ada")
    for query in (
        "limit=0", "limit=101", "limit=-1", "limit=x", "limit=1e2", "limit=%C2%B2", "limit=", "limit=1&limit=2",
        "limit=" + "9" * 5000, "order=name", "after=x", "tag=" + "x" * 5000,
    ):  # fmt: skip
        refused = await ada.get(f"/sessions?{query}")
        assert kind(refused) == (400, "bad-parameter"), query
        assert len(refused.content) < 1000
    for path in (
        "/search",
        "/search?q=",
        "/search?q=%20.",
        "/sessions/s/events?after=x",
        "/sessions/s/events?after=-2",
        "/sessions/s/events?after=1.x",
    ):
        assert kind(await ada.get(path)) == (400, "bad-parameter"), path
    assert (await ada.get("/sessions", params={"tag": "🍵\0", "unknown": "x"})).json()["sessions"] == []


async def test_a_long_path_is_read_a_few_times(quick: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parts it has, where a server tells another path than it was sent."""
    reads = 0

    def counted(escaped: str, **options: str) -> str:
        nonlocal reads
        reads += 1
        return unquote(escaped, **options)

    monkeypatch.setattr(_router, "unquote", counted)
    app = Starlette(routes=[Mount("/chats", quick.app)])
    assert kind(await quick.as_user("ada", app).get("/chats%2F" + "/%41" * 300)) == (404, "not-found")
    assert reads < 20


async def test_clients_leave_midway(quick: Web) -> None:
    """The server then says so as ASGI has it from 2.4 on: that is no error."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        raise OSError("the client has left")

    for path in ("export", "events"):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "method": "GET",
            "path": f"/sessions/s/{path}",
            "query_string": b"",
            "headers": [(b"x-user", b"ada")],
        }
        await quick.app(scope, receive, send)
    app: Any = quick.app
    assert not app._service.streams.open


async def test_it_serves_by_itself(quick: Web) -> None:
    """It starts and stops with a server, closes WebSockets, and is not troubled by clients who leave."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    def receiving(*kinds: str) -> Any:
        waiting = [{"type": kind} for kind in kinds]

        async def receive() -> Any:
            return waiting.pop(0)

        return receive

    await quick.app({"type": "lifespan"}, receiving("lifespan.startup", "lifespan.shutdown"), send)
    assert [each["type"] for each in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    sent.clear()
    await quick.app({"type": "websocket", "path": "/sessions"}, receiving("websocket.connect"), send)
    assert [each["type"] for each in sent] == ["websocket.close"]
    sent.clear()
    headers = [(b"x-user", b"ada"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "PATCH", "path": "/sessions/s", "query_string": b"", "headers": headers}
    await quick.app(scope, receiving("http.disconnect"), send)
    assert (await quick.as_user("ada").get("/sessions/s")).json()["title"] == "hello"


def test_options_are_checked() -> None:
    """What can't work is told when the app is made."""
    good: dict[str, Any] = {"user": header}
    for wrong in (
        {"user": "ada"}, {"without": ["nothing"]}, {"max_threads": 0}, {"max_streams": -1}, {"poll_seconds": 0},
        {"table_prefix": "x;"},
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError)):
            sessions_app(local(), **{**good, **wrong})
    wrong_database: Any = object()
    with pytest.raises(TypeError):
        sessions_app(wrong_database, user=header)


# The database


class Held:
    """A database whose requests wait until they are let go."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.free = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = 0
        self.came = threading.Semaphore(0)

    def query(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """One statement."""
        return self.inner.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        """One request."""
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.came.release()
        assert self.free.wait(60)
        with self.lock:
            self.inside -= 1
        return self.inner.batch(statements, transaction=transaction)


async def test_the_loop_waits_for_no_database() -> None:
    """While calls to the database are under way, at most so many, what needs none is answered."""
    handle = Held(local())
    handle.free.set()
    web = Web(handle, max_threads=2)
    web.agent("s", text("fine"))("hello")
    handle.free.clear()
    handle.most, handle.came = 0, threading.Semaphore(0)
    ada = web.as_user("ada")
    waiting = [asyncio.create_task(ada.get("/sessions/s")) for _ in range(6)]
    while not (handle.came.acquire(blocking=False) and handle.came.acquire(blocking=False)):
        await asyncio.sleep(0)
        if handle.inside == 2:
            break
    assert (await ada.get("/openapi.json")).status_code == 200
    assert not any(task.done() for task in waiting)
    handle.free.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    assert handle.most == 2


class Apart:
    """A database that notes from which threads it is asked."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.threads: set[int] = set()

    def query(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """One statement."""
        return self.inner.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        """One request."""
        self.threads.add(threading.get_ident())
        return self.inner.batch(statements, transaction=transaction)


async def test_no_operation_asks_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each makes its requests, and its answer, on other threads than the event loop's."""
    handle = Apart(local())
    made: set[int] = set()

    def noting(made_by: Any) -> Any:
        def note(*args: Any, **options: Any) -> Any:
            made.add(threading.get_ident())
            return made_by(*args, **options)

        return note

    for module in (_reading, _writing):
        monkeypatch.setattr(module, "answer", noting(_answers.answer))
    monkeypatch.setattr(_reading, "tagged", noting(_answers.tagged))
    web = Web(handle)
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n"}}}
    web.agent("s", text("fine"))([{"text": "hello"}, image])
    ada = web.as_user("ada")
    bodies: dict[str, Any] = {"update_session": {"title": "x"}, "fork_session": {}, "rewind_session": {"to": 0}}
    for operation in sorted(OPERATIONS, key=lambda each: (each.writes, each.name == "delete_session")):
        path = operation.path.replace("{session_id}", "s").replace("{record_id}", "0").replace("{place}", "1")
        method = "HEAD" if operation.name == "stream_events" else operation.method
        handle.threads.clear()
        headers = {"If-Match": '"x", "y"'} if operation.writes else {}
        await ada.request(method, f"{path}?q=hello", json=bodies.get(operation.name), headers=headers)
        await ada.request(method, f"{path}?q=hello", json=bodies.get(operation.name))
        assert handle.threads and threading.get_ident() not in handle.threads | made, operation.name
    assert made


async def test_a_database_out_of_reach_is_told(remote: Web, caplog: pytest.LogCaptureFixture) -> None:
    """503 and when to come again; nothing of what the database said."""
    remote.agent("s", text("fine"))("hello")
    for token in remote.emulator.tokens:
        remote.emulator.revoke(token)
    for path in ("/sessions", "/sessions/s", "/sessions/s/export", "/sessions/s/events"):
        refused = await remote.as_user("ada").get(path)
        assert kind(refused) == (503, "unavailable")
        assert refused.headers["retry-after"]
        assert remote.emulator.namespace not in refused.text


async def test_a_damaged_row_is_told(quick: Web, caplog: pytest.LogCaptureFixture) -> None:
    """500, and whoever runs the service finds in the log which row it is."""
    quick.database.query("UPDATE strands_agents SET live_window = '{'")
    assert kind(await quick.as_user("ada").get("/sessions/s")) == (500, "unreadable")
    assert "live_window" in caplog.text


def test_each_error_has_its_problem() -> None:
    """A caller is told a kind, and none of the error's own words."""
    secret = "the secret"
    for error, name in (
        (SessionConflictError(secret, session_id="s", agent_id="a"), "conflict"),
        (SessionDataError(secret), "unreadable"),
        (RateLimitError(secret, retry_after=7.4), "unavailable"),
        (TransportError(secret), "unavailable"),
        (AuthenticationError(secret), "unavailable"),
    ):
        problem = problem_of(error)
        assert problem is not None and problem.kind.name == name
        assert secret.encode() not in bytes(problem.response().body)
    told = problem_of(RateLimitError(secret, retry_after=7.4))
    assert told is not None and told.headers == {"Retry-After": "7"}
    assert problem_of(RuntimeError(secret)) is None
    assert len({each.name for each in KINDS}) == len(KINDS)
