"""A chat server over SSE whose users press Stop at random and ask again at once: none is refused, nothing is lost.

    python -m tests.agents.stops USERS ROUNDS message|overlap|invocation local|remote [SEED]

Each request has a manager and an agent of its own, and no lock: a stopped request may still be at work when the next
one begins. Starlette cancels it, once it notices that its client has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from strands import Agent, tool
from strands.hooks import MessageAddedEvent
from strands.models.model import Model

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.testing import stored_rows

from .harness import Durability, words_of
from .scripted import text, tools, use


class Slow(Model):
    """Uses a tool first, then answers, chunk by chunk."""

    def get_config(self) -> Any:
        return {}

    def update_config(self, **config: Any) -> None:
        pass

    async def structured_output(self, *args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        raise NotImplementedError
        yield

    async def stream(self, messages: Any, *args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        answered = any("toolResult" in block for block in messages[-1]["content"])
        for chunk in (text("answer") if answered else tools(use("add", {"a": 1, "b": 2}))).chunks:
            await asyncio.sleep(0.005)
            yield chunk


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class ChatServer:
    """The server, as most people write it.

    Attributes:
        said: What each user's agents have taken in.
        errors: What a request has failed with.
    """

    def __init__(self, database: Any, durability: Durability) -> None:
        self.said: dict[str, list[str]] = {}
        self.errors: list[BaseException] = []
        self._database = database
        self._durability: Durability = durability
        self.app = Starlette(routes=[Route("/{user}", self._chat)])

    async def _chat(self, request: Request) -> StreamingResponse:
        answer = self._answer(request.path_params["user"], request.query_params["q"])
        return StreamingResponse(answer, media_type="text/event-stream")

    async def _answer(self, user: str, question: str) -> AsyncIterator[str]:
        try:
            manager = await PerSQLSessionManager.open(user, self._database, durability=self._durability)
            agent = Agent(model=Slow(), tools=[add], session_manager=manager, callback_handler=None)
            agent.hooks.add_callback(MessageAddedEvent, lambda event: self._hear(user, event.message))
            async for event in agent.stream_async(question):
                yield f"data: {next(iter(event))}\n\n"
            yield "data: done\n\n"
        except Exception as error:
            self.errors.append(error)
            raise

    def _hear(self, user: str, message: Any) -> None:
        self.said.setdefault(user, []).extend(
            words for words in words_of([message]) if message["role"] == "user" and words.startswith("q")
        )


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """The server's address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    await task


async def stopped_at_random(database: Any, durability: Durability, *, users: int, rounds: int, seed: int) -> int:
    """Let users ask and stop; how many requests were stopped.

    Raises:
        AssertionError: A request was refused, or something that was said is not stored.
    """
    chance = random.Random(seed)
    chat = ChatServer(database, durability)
    stopped = 0

    async def ask(address: str, question: str, *, patience: float) -> bool:
        with contextlib.suppress(asyncio.TimeoutError, httpx.TransportError):
            return await asyncio.wait_for(received(f"{address}?q={question}"), patience)
        return False

    async def received(url: str) -> bool:
        # A client of its own: one whose requests are cancelled may give its broken connections to others.
        client = httpx.AsyncClient(timeout=120, trust_env=False, verify=False)
        async with client as http, http.stream("GET", url) as response:
            return "done" in "".join([part async for part in response.aiter_text()])

    async def user(address: str, name: str) -> None:
        nonlocal stopped
        await asyncio.sleep(chance.random() / 10)
        for number in range(rounds):
            patience = 0.001 + chance.random() * users / 50  # they share the processor
            answered = await ask(f"{address}/{name}", f"q{number}", patience=patience)
            stopped += not answered
        assert await ask(f"{address}/{name}", f"q{rounds}", patience=120), (name, chat.errors)

    async with serving(chat.app) as address:
        await asyncio.gather(*(user(address, f"user-{number}") for number in range(users)))
    assert not chat.errors, f"seed {seed}: {chat.errors[:3]}"
    rows = stored_rows(database)["messages"]
    for name, said in chat.said.items():
        words = words_of([row["data"]["message"] for row in rows if row["session_id"] == name])
        assert [each for each in words if each in said] == said, f"seed {seed}: {name} said {said}, stored {words}"
    return stopped


def main(users: str, rounds: str, durability: Any, place: str, seed: str = "0") -> None:
    """Run it by hand."""
    from ..emulator import Server

    number = int(seed) or random.randrange(1, 10**6)
    with contextlib.ExitStack() as stack:
        if place == "local":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            client = stack.enter_context(PerSQL(local=f"{folder}/agents.db"))
            database: Any = client.database("acme/agents")
        else:
            database = stack.enter_context(Server()).namespace().database()
        run = stopped_at_random(database, durability, users=int(users), rounds=int(rounds), seed=number)
        stopped = asyncio.run(run)
    print(
        f"{durability} {place} seed {number}: {stopped} of {int(users) * int(rounds)} stopped; none refused, none lost"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
