# /// script
# requires-python = ">=3.10"
# dependencies = ["fastapi", "httpx", "strands-persql", "uvicorn"]
# ///
"""Answers as server-sent events: cut off when the reader leaves, finished all the same, or stopped.

    python examples/streaming_app.py             # serves itself over a socket, and shows what is stored
    python examples/streaming_app.py --serve     # http://127.0.0.1:8000, until Ctrl-C

`POST /chats/{id}` streams an answer that lives as long as its request. With `?finish=1` it is a task of its own, which
goes on when the reader has left. `POST /chats/{id}/stop` ends either at its next word.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import Body, FastAPI, HTTPException, Response
from fastapi.responses import StreamingResponse
from strands import Agent
from texts import text_of

from strands_persql import PerSQL, PerSQLSessionManager, SessionConflictError
from strands_persql.client import Database
from strands_persql.testing import OfflineModel

Prompt = Annotated[str, Body(embed=True, pattern=r"\S")]


class SlowModel(OfflineModel):
    """The offline model, a word every 20 milliseconds."""

    async def stream(self, *args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        """Stream one answer."""
        async for event in super().stream(*args, **options):
            await asyncio.sleep(0.02)
            yield event


class AnsweringError(Exception):
    """The conversation is being answered already."""


class Answers:
    """The answers under way in this process: one at a time for each conversation.

    Args:
        database: Where the conversations are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: dict[str, Agent | None] = {}  # without an agent until its session is open
        self._stopped: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def is_running(self, session_id: str) -> bool:
        """Return whether a conversation is being answered."""
        return session_id in self._running

    def stop(self, session_id: str) -> None:
        """End an answer at its next word, or after the tool that is running."""
        if session_id in self._running:
            self._stopped.add(session_id)
            if (agent := self._running[session_id]) is not None:
                agent.cancel()

    async def words(self, session_id: str, prompt: str) -> AsyncGenerator[str, None]:
        """Answer, and yield the words as they come; whoever closes this, or is cancelled in it, cuts the answer off.

        Raises:
            AnsweringError: Another answer is under way in this process.
            SessionConflictError: One is under way in another process.
        """
        if session_id in self._running:
            raise AnsweringError
        self._running[session_id] = None
        try:
            async with await PerSQLSessionManager.open(session_id, self._database) as session:
                agent = Agent(model=SlowModel(), session_manager=session, callback_handler=None)
                if agent.messages and agent.messages[-1]["role"] == "user":
                    # That was cut off. Some models refuse two messages of a user in a row.
                    agent.messages.append({"role": "assistant", "content": [{"text": "(not answered)"}]})
                self._running[session_id] = agent
                if session_id in self._stopped:
                    agent.cancel()
                async for event in agent.stream_async(prompt):
                    if "data" in event:
                        yield event["data"]
        finally:
            del self._running[session_id]
            self._stopped.discard(session_id)

    async def finished(self, session_id: str, prompt: str) -> AsyncGenerator[str, None]:
        """Yield the same words from a task that no request owns: it goes on when nobody reads any more."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        async def run() -> None:
            try:
                async for word in self.words(session_id, prompt):
                    queue.put_nowait(word)
            finally:
                queue.put_nowait(None)

        task = asyncio.create_task(run())
        self._tasks.add(task)  # the event loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)
        while (word := await queue.get()) is not None:
            yield word
        await task  # raises what it has failed with

    async def close(self) -> None:
        """Have all answers end, and wait until they are stored."""
        for session_id in list(self._running):
            self.stop(session_id)
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def server_sent(words: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    """Yield words in the form that EventSource reads; an answer without "end" is not whole."""
    async with aclosing(words):
        try:
            async for word in words:
                yield f"data: {json.dumps(word)}\n\n"
        except (AnsweringError, SessionConflictError):  # too late for a 409
            yield 'event: conflict\ndata: {"detail": "this session is in use elsewhere; try again"}\n\n'
        else:
            yield "event: end\ndata: {}\n\n"


def create_app(database: Database) -> FastAPI:
    """Return the service."""
    answers = Answers(database)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await answers.close()

    app = FastAPI(title="Streamed answers", lifespan=lifespan)

    @app.post("/chats/{session_id}")
    async def ask(session_id: str, prompt: Prompt, finish: bool = False) -> Response:
        if answers.is_running(session_id):
            raise HTTPException(409, "The last message is still being answered.")
        words = answers.finished(session_id, prompt) if finish else answers.words(session_id, prompt)
        return StreamingResponse(server_sent(words), media_type="text/event-stream")

    @app.post("/chats/{session_id}/stop", status_code=204)
    async def stop(session_id: str) -> None:
        answers.stop(session_id)

    @app.get("/chats/{session_id}")
    def history(session_id: str) -> dict[str, Any]:
        stored = PerSQLSessionManager(session_id, database).list_messages(session_id, "default")
        said = [f"{each.message['role']}: {text_of(each.message)}" for each in stored]
        return {"running": answers.is_running(session_id), "messages": said}

    return app


async def show(url: str) -> None:
    """Read answers, leave in the midst of them, and look at what is stored."""
    long = " ".join(["and on"] * 2_000)  # a minute of words
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def ask(chat: str, prompt: str, *, leave_after: int = 0, **params: Any) -> None:
            """Ask, and read the answer to its end, or only so many words of it."""
            async with client.stream("POST", f"/chats/{chat}", json={"prompt": prompt}, params=params) as response:
                response.raise_for_status()
                read = 0
                async for line in response.aiter_lines():
                    read += line.startswith("data: ")
                    if read == leave_after:
                        return  # which closes the connection

        async def stored(chat: str) -> list[str]:
            """Wait until nothing is under way any more."""
            while (found := (await client.get(f"/chats/{chat}")).json())["running"]:
                await asyncio.sleep(0.02)
            return [each if len(each) < 60 else f"{each[:40]} …" for each in found["messages"]]

        await ask("left", "My name is Ada.")
        await ask("left", long, leave_after=3)
        print("The reader left; the question is stored:", await stored("left"))
        await ask("left", "What is my name?")
        print("The next one goes on:", (await stored("left"))[-3:])

        await asyncio.gather(ask("twice", "hello"), ask("twice", "hello"), return_exceptions=True)
        print("Asked twice at once, and answered once:", await stored("twice"))

        await ask("finished", "one two three four five six", leave_after=2, finish=1)
        print("The reader left, and the answer was finished:", await stored("finished"))

        asking = asyncio.create_task(ask("stopped", long))
        while not (await client.get("/chats/stopped")).json()["running"]:
            await asyncio.sleep(0.02)
        await client.post("/chats/stopped/stop")
        await asking
        print("Stopped:", await stored("stopped"))


async def serve_and_show(app: FastAPI) -> None:
    """Serve on a free port of loopback while `show` asks."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await show(f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            server.should_exit = True
            await serving


def main() -> None:
    """Serve the app, to others or to itself."""
    parser = argparse.ArgumentParser(description="Answers as server-sent events.")
    parser.add_argument("--serve", action="store_true", help="serve on loopback instead of showing")
    parser.add_argument("--port", type=int, default=8000, help="with --serve; default: 8000")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        PerSQL(local=options.file or str(Path(temporary) / "chats.db")) as client,
    ):
        app = create_app(client.database("local/chats"))
        if options.serve:
            uvicorn.run(app, host="127.0.0.1", port=options.port, timeout_graceful_shutdown=5)
        else:
            asyncio.run(serve_and_show(app))


if __name__ == "__main__":
    main()
