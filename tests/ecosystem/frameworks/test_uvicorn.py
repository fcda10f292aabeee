"""Streamed answers under uvicorn, on asyncio's event loop and on uvloop: readers who leave, Stop, scopes that end."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import Body, FastAPI, Request
from fastapi.responses import StreamingResponse
from strands import Agent, tool
from strands.hooks import AfterInvocationEvent

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.engine.options import Durability

from ..needed import needed
from .elsewhere import DATABASE, check, kept, restored
from .models import ObedientModel, use
from .servers import client_of, in_thread, until, words_in

needed("uvicorn", "uvloop")

LONG = "And on. " * 2_000
"""A minute of words, where there is a pause after each."""


@tool
async def rest() -> str:
    """Rest for a minute."""
    await asyncio.sleep(60)
    return "rested"


async def announce(event: AfterInvocationEvent) -> None:
    """A hook of the service's own, which waits for something."""
    await asyncio.sleep(0)


class Service:
    """A service that streams, as people write it.

    Attributes:
        agents: The last agent of each session.
        ended: The sessions whose block has been left, and how.
        loops: The event loops' modules.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.client = PerSQL(local=file)
        self.agents: dict[str, Agent] = {}
        self.ended: dict[str, str] = {}
        self.loops: set[str] = set()
        self.url = ""
        self.app = FastAPI()
        self.app.post("/chats/{session_id}")(self.chat)
        self.app.post("/scopes/{session_id}")(self.scope)
        self.app.post("/stop/{session_id}")(self.stop)

    def manager(self, session_id: str) -> PerSQLSessionManager:
        """The session manager for one request; the session's name begins with its durability."""
        durability: Any = session_id.partition("-")[0]
        return PerSQLSessionManager(session_id, self.client.database(DATABASE), durability=durability)

    async def words(self, session_id: str, prompt: str, pause: float) -> AsyncIterator[str]:
        """The words of an answer."""
        self.loops.add(type(asyncio.get_running_loop()).__module__)
        self.ended.pop(session_id, None)
        how = "cut off"
        try:
            async with self.manager(session_id) as session:
                model = ObedientModel(pause=pause)
                agent = Agent(model=model, tools=[rest], session_manager=session, callback_handler=None)
                # In a cancelled scope it ends all that is done for this event: the end of the block does the rest.
                agent.hooks.add_callback(AfterInvocationEvent, announce)
                self.agents[session_id] = agent
                async for event in agent.stream_async(prompt):
                    if "data" in event:
                        yield f"data: {json.dumps(event['data'])}\n\n"
            how = "whole"
        finally:
            self.ended[session_id] = how

    async def chat(self, session_id: str, prompt: str = Body(embed=True), pause: float = 0.0) -> StreamingResponse:
        """Stream an answer; Starlette ends it when its reader has left."""
        return StreamingResponse(self.words(session_id, prompt, pause), media_type="text/event-stream")

    async def scope(self, request: Request, session_id: str, prompt: str = Body(embed=True)) -> str:
        """Answer in one piece, under a scope that is cancelled when the client has left."""

        async def watch(group: Any) -> None:
            while not await request.is_disconnected():
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()

        told: list[str] = []
        async with anyio.create_task_group() as group:
            group.start_soon(watch, group)
            told += [word async for word in self.words(session_id, prompt, 0.02)]
            group.cancel_scope.cancel()
        return "".join(told)

    async def stop(self, session_id: str) -> None:
        """End an answer at its next word."""
        self.agents[session_id].cancel()

    # The other side

    def ask(self, session_id: str, prompt: str, *, leave_after: int = 0, pause: float = 0.0) -> str:
        """Ask, and read the answer to its end, or so many words of it."""
        words: list[str] = []
        with (
            client_of(self.url) as client,
            client.stream("POST", f"/chats/{session_id}", json={"prompt": prompt}, params={"pause": pause}) as response,
        ):
            for word in words_in(response):
                words.append(word)
                if len(words) == leave_after:
                    break
        return "".join(words).strip()

    def give_up(self, session_id: str, prompt: str, *, after: int) -> None:
        """Ask for an answer in one piece, and close the connection when the agent has so many messages."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"))
        body, headers = json.dumps({"prompt": prompt}), {"Content-Type": "application/json"}
        connection.request("POST", f"/scopes/{session_id}", body, headers)
        until(lambda: len(self.agents[session_id].messages) == after)
        connection.close()
        assert until(lambda: self.ended.get(session_id)) == "cut off"

    def goes_on(self, session_id: str) -> None:
        """The next turn is answered from what was said before, and another process has all of it."""
        assert self.ask(session_id, "What is my name?") == "Your name is Ada."
        check(self.agents[session_id], self.file, session_id)


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, on an event loop of each kind."""
    service = Service(tmp_path_factory.mktemp("uvicorn") / "agents.db")
    with in_thread(service.app, loop=request.param) as service.url:
        yield service
    assert {name.partition(".")[0] for name in service.loops} == {request.param}
    service.client.close()


@pytest.mark.parametrize("durability", ["message", "invocation"])
def test_a_reader_who_leaves(service: Service, durability: Durability) -> None:
    """What was said until then is stored by the end of `async with`, although that runs in a cancelled scope."""
    session = f"{durability}-left"
    service.ask(session, "My name is Ada.")
    service.ask(session, LONG, leave_after=3, pause=0.02)
    assert until(lambda: service.ended.get(session)) == "cut off"
    assert len(service.agents[session].messages) == 3
    until(lambda: restored(service.file, session) == kept(service.agents[session]))
    service.goes_on(session)


@pytest.mark.parametrize("durability", ["message", "invocation"])
def test_a_client_that_gives_up(service: Service, durability: Durability) -> None:
    """Under an anyio scope of the service's own that it cancels then."""
    session = f"{durability}-scope"
    service.ask(session, "My name is Ada.")
    service.give_up(session, LONG, after=3)
    until(lambda: restored(service.file, session) == kept(service.agents[session]))
    service.goes_on(session)


def test_a_client_that_gives_up_during_a_tool(service: Service) -> None:
    """The call is stored, and the next question adds a result to it."""
    session = "message-tool"
    service.ask(session, "My name is Ada.")
    service.give_up(session, use("rest"), after=4)
    assert restored(service.file, session) == kept(service.agents[session])
    service.goes_on(session)
    (block,) = restored(service.file, session)["messages"][4]["content"]
    assert block["toolResult"]["content"] == [{"text": "Tool was interrupted."}]


def test_asked_again_at_once(service: Service) -> None:
    """Whoever leaves and asks again doesn't wait until the first request has been wound up."""
    service.ask("message-again", "My name is Ada.")
    for _ in range(2):
        service.ask("message-again", LONG, leave_after=2, pause=0.02)
        service.goes_on("message-again")


def test_stop(service: Service) -> None:
    """`Agent.cancel()` from another request: what Strands makes of it is stored, and the next turn follows it."""
    session = "message-stopped"
    service.ask(session, "My name is Ada.")
    with (
        client_of(service.url) as client,
        client.stream("POST", f"/chats/{session}", json={"prompt": LONG}, params={"pause": 0.02}) as response,
        client_of(service.url) as other,
    ):
        words = words_in(response)
        next(words)
        other.post(f"/stop/{session}").raise_for_status()
        assert len(list(words)) < 4_000
    assert service.ended[session] == "whole"
    assert service.agents[session].messages[-1]["content"][-1]["text"].endswith("Cancelled by user")
    check(service.agents[session], service.file, session)
    service.goes_on(session)
