"""The stream of a session's new messages, over a real server: each once, in order, until the session is gone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from strands_persql.web import _events
from strands_persql.web._streams import MOST_OF_USER

from ..agents.scripted import text, tools, use
from ..databases import local
from .conftest import Web, WebServer, remotely


class Stream:
    """An open stream, event by event.

    Attributes:
        status: The answer's status.
        last: The id that a browser would send as Last-Event-ID.
    """

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.last = ""
        self._lines = answer.aiter_lines()

    async def next(self) -> tuple[str, Any] | None:
        """The next event: its kind and its data; None at the end."""
        kind = ""
        with anyio.fail_after(60):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    return kind, json.loads(value)
        return None

    async def begins(self) -> None:
        """Wait until it has an id."""
        with anyio.fail_after(60):
            async for line in self._lines:
                if line.startswith("id: "):
                    self.last = line.removeprefix("id: ")
                    return

    async def silence(self) -> list[str]:
        """The lines up to the next comment."""
        lines: list[str] = []
        with anyio.fail_after(60):
            async for line in self._lines:
                lines.append(line)
                if line.startswith(":"):
                    break
        return lines


def position(stream: Stream) -> int:
    """The position in the last id."""
    return int(stream.last.partition(".")[0])


class Place:
    """An app on a real server, and clients of it."""

    def __init__(self, web: Web, server: WebServer) -> None:
        self.web = web
        name = f"web{len(server.apps)}"
        server.apps[name] = web.app
        self._base = f"{server.url}/{name}"

    @contextlib.asynccontextmanager
    async def stream(self, user: str = "ada", *, last: str | None = None, **query: str) -> AsyncIterator[Stream]:
        """Open a stream."""
        headers = {"x-user": user, **({} if last is None else {"Last-Event-ID": last})}
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream("GET", f"{self._base}/sessions/s/events", params=query, headers=headers) as answer,
        ):
            yield Stream(answer)


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, server: WebServer) -> Place:
    """A local database, and one of the service."""
    if request.param == "local":
        return Place(Web(local(), poll_seconds=0.005), server)
    web = remotely(request.getfixturevalue("emulator"))
    return Place(Web(web.database, poll_seconds=0.01), server)


@pytest.fixture
def quick(server: WebServer) -> Place:
    """A local database."""
    return Place(Web(local(), poll_seconds=0.005, max_streams=MOST_OF_USER * 2 + 1), server)


async def test_new_messages_come_in(place: Place) -> None:
    """Each once, in order, from now on or from where the client was; a call again once it has its result."""
    agent = place.web.agent("s", text("fine"), tools(use("add", {"a": 1, "b": 2}, "t1")), text("3"), text("good"))
    await agent.invoke_async("hello")
    async with place.stream() as stream:
        assert stream.status == 200
        await agent.invoke_async("1 + 2?")
        seen: list[tuple[int, str, bool]] = []
        while not seen or seen[-1][0] < 5:
            kind, data = await stream.next() or ("", {})
            if kind == "message":
                calls = [part for part in data["parts"] if part["type"] == "tool_call"]
                seen.append((data["message_id"], data["role"], bool(calls and calls[0]["result"])))
        assert [each for each in dict.fromkeys(seen) if each[1] != "assistant" or each[0] != 3] == [
            (2, "user", False),
            (4, "tool", False),
            (5, "assistant", False),
        ]
        assert [each for each in seen if each[0] == 3][-1] == (3, "assistant", True)
        assert position(stream) == 5
    async with place.stream(after="3") as stream:  # the call was seen, its result was not
        again: list[Any] = []
        for _ in range(3):
            again.append((await stream.next() or ("", {}))[1])
            assert position(stream) == again[-1]["message_id"]
        assert [each["message_id"] for each in again] == [3, 4, 5]
        assert again[0]["parts"][0]["result"]["message_id"] == 4
    await agent.invoke_async("thanks")
    async with place.stream(last="5") as stream:
        assert [(await stream.next() or ("", {}))[1]["text"] for _ in range(2)] == ["thanks", "good"]
        assert position(stream) == 7
    async with place.stream(after="6") as stream:
        assert (await stream.next() or ("", {}))[1]["text"] == "good"
    async with place.stream(after="4", last="6") as stream:
        assert (await stream.next() or ("", {}))[1]["text"] == "good"


@pytest.mark.slow
async def test_it_ends_with_the_session(place: Place) -> None:
    """When the session is deleted, or somebody else's; and there is none for anybody else."""
    agent = place.web.agent("s", text("fine"))
    await agent.invoke_async("hello")
    async with place.stream("bob") as stream:
        assert stream.status == 404
    async with place.stream() as stream, place.stream("*") as everyones:
        place.web.sessions.update("s", user="bob")
        while (event := await stream.next()) and event[0] == "changed":
            pass
        assert event == ("end", {})
        assert await stream.next() is None
        async with place.stream("bob") as bobs:
            place.web.sessions.delete("s")
            for each in (bobs, everyones):
                while (event := await each.next()) and event[0] == "changed":
                    pass
                assert event == ("end", {})


async def test_other_changes_are_told(quick: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something stored before has changed, or too much has come in, the client reads the session anew."""
    agent = quick.web.agent("s", *[text("fine")] * 5)
    await agent.invoke_async("hello")
    async with quick.stream() as stream:
        quick.web.sessions.erase("s", "default", 0)
        assert await stream.next() == ("changed", {"last": 1})
    monkeypatch.setattr(_events, "MOST_BEHIND", 2)
    agent = quick.web.agent("s", *[text("fine")] * 5)
    await agent.invoke_async("hello")
    await agent.invoke_async("hello")
    async with quick.stream(after="0") as stream:
        assert await stream.next() == ("changed", {"last": 5})
        assert position(stream) == 5


@pytest.mark.slow
async def test_all_agents_at_once(place: Place) -> None:
    """Of several agents in one stream: that something has changed, also in a gap, and its end."""
    one = place.web.agent("s", text("fine"), text("good"), agent_id="a")
    two = place.web.agent("s", text("fine"), text("good"), agent_id="b")
    await one.invoke_async("hello")
    async with place.stream("bob", agents="all") as stream:
        assert stream.status == 404
    async with place.stream(agents="some") as stream:
        assert stream.status == 400
    async with place.stream(agents="all") as stream:
        await stream.begins()
        await two.invoke_async("hello")
        assert await stream.next() == ("changed", {})
    await one.invoke_async("again")
    async with place.stream(agents="all", last=stream.last) as stream:
        assert await stream.next() == ("changed", {})
        last = stream.last
    async with place.stream(agents="all", last=last) as stream:
        await stream.begins()
        assert stream.last == last
        place.web.sessions.delete("s")
        assert await stream.next() == ("end", {})
        assert await stream.next() is None


@pytest.mark.slow
async def test_what_came_in_a_gap_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that comes again with its last id is sent what is new, and told once if anything else has changed."""
    agent = place.web.agent("s", text("fine"), text("good"))
    await agent.invoke_async("hello")
    async with place.stream(after="-1") as stream:
        assert [(await stream.next() or ("", {}))[1]["text"] for _ in range(2)] == ["hello", "fine"]
    async with place.stream() as stream:
        await stream.begins()
    assert position(stream) == 1  # nothing was sent yet
    await agent.invoke_async("again")
    async with place.stream(last=stream.last) as stream:
        assert [(await stream.next() or ("", {}))[1]["text"] for _ in range(2)] == ["again", "good"]
    place.web.sessions.erase("s", "default", 0)
    async with place.stream(last=stream.last) as stream:
        assert await stream.next() == ("changed", {"last": 3})
        last = stream.last
    monkeypatch.setattr(_events, "HEARTBEAT_SECONDS", 0)
    async with place.stream(last=last) as stream:
        assert not any(line.startswith("event:") for line in await stream.silence())
    place.web.sessions.delete("s")
    await place.web.agent("s", text("fine")).invoke_async("anew")
    async with place.stream(last=last) as stream:
        assert await stream.next() == ("changed", {"last": 1})
        assert position(stream) == 1


async def test_a_late_result_sets_no_position_back(quick: Place) -> None:
    """A call that comes again has no lower id than what came before it."""
    agent = quick.web.agent("s", tools(use("add", {"a": 1, "b": 2}, "t1")), text("3"))
    await agent.invoke_async("1 + 2?")
    async with quick.stream(after="1") as stream:
        call = (await stream.next() or ("", {}))[1]
        assert (call["message_id"], position(stream)) == (1, 1)
    quick.web.database.query("UPDATE strands_messages SET message_id = 5 WHERE message_id = 2")
    quick.web.database.query("UPDATE strands_messages SET message_id = 6 WHERE message_id = 3")
    async with quick.stream(after="4") as stream:
        call = (await stream.next() or ("", {}))[1]
        assert (call["message_id"], position(stream)) == (1, 4)


async def test_what_does_not_fit_a_page_is_not_sent(quick: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of many bytes are not gathered: the client reads them page by page."""
    agent = quick.web.agent("s", *[text("x" * 1_500_000)] * 4)
    for _ in range(4):
        await agent.invoke_async("hello")
    async with quick.stream(after="0") as stream:
        assert await stream.next() == ("changed", {"last": 7})


async def test_a_damaged_row_ends_nothing(quick: Place) -> None:
    """The client is told that something has changed, and gets what stands far enough from it."""
    agent = quick.web.agent("s", *[text("fine")] * 10)
    await agent.invoke_async("hello")
    async with quick.stream(after="0") as stream:
        assert (await stream.next() or ("", {}))[1]["text"] == "fine"
        quick.web.database.query("UPDATE strands_messages SET data = '{' WHERE message_id = 1")
        for _ in range(8):
            await agent.invoke_async("again")
        while position(stream) < 17:
            assert (await stream.next() or ("", {}))[0] in ("changed", "message")
        await agent.invoke_async("and now?")
        while (event := await stream.next()) and event[0] == "changed":
            pass
        assert event and event[1]["text"] == "and now?"


async def test_it_is_never_silent(quick: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment goes out where nothing else does; after a while the client has to come again."""
    monkeypatch.setattr(_events, "HEARTBEAT_SECONDS", 0.01)
    quick.web.agent("s", text("fine"))("hello")
    async with quick.stream() as stream:
        assert (await stream.silence())[-1] == ": still here"
    monkeypatch.setattr(_events, "LONGEST_SECONDS", 0)
    async with quick.stream() as stream:
        assert await stream.next() is None


@pytest.mark.slow
async def test_streams_are_counted(quick: Place) -> None:
    """Each user has so many and the app has so many; whoever leaves makes room, whoever only looks takes none."""
    quick.web.agent("s", text("fine"))("hello")
    quick.web.sessions.update("s", user="ada")
    app: Any = quick.web.app
    streams = app._service.streams
    ada = quick.web.as_user("ada")
    async with contextlib.AsyncExitStack() as open_streams:
        for _ in range(MOST_OF_USER):
            assert (await open_streams.enter_async_context(quick.stream())).status == 200
        async with quick.stream() as stream:
            assert stream.status == 503
        assert (await ada.head("/sessions/s/events")).status_code == 503
        # Those who may see all are not told apart: none of them can take the others' streams.
        for _ in range(MOST_OF_USER + 1):
            assert (await open_streams.enter_async_context(quick.stream("*"))).status == 200
        async with quick.stream("*") as stream:
            assert stream.status == 503  # the app's own limit
    with anyio.fail_after(60):
        while streams.open:
            await anyio.sleep(0.005)
    assert (await ada.head("/sessions/s/events")).status_code == 200
    assert not streams.open
    async with quick.stream() as stream:
        assert stream.status == 200


async def test_a_database_out_of_reach_ends_it(server: WebServer, emulator: Any) -> None:
    """The client comes again, and goes on where it was."""
    web = remotely(emulator)
    place = Place(Web(web.database, poll_seconds=0.01), server)
    place.web.agent("s", text("fine"))("hello")
    async with place.stream() as stream:
        assert stream.status == 200
        tokens = emulator.tokens
        for token in tokens:
            emulator.revoke(token)
        assert await stream.next() is None
