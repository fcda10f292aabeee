# /// script
# requires-python = ">=3.10"
# dependencies = ["fastapi", "httpx", "strands-persql", "uvicorn"]
# ///
"""An HTTP service with one session per user.

    python examples/fastapi_app.py             # serves itself, in this process, and shows what it answers
    python examples/fastapi_app.py --serve     # http://127.0.0.1:8000, until Ctrl-C

Every request builds an agent of its own over the user's session: `await PerSQLSessionManager.open(...)` reads it
without blocking the event loop, so the agent's constructor has nothing left to wait for. Nothing stays in memory
between two requests; any worker process can answer the next one.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Annotated
from weakref import WeakValueDictionary

import httpx
from fastapi import FastAPI, Request
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from strands import Agent
from texts import text_of

from strands_persql import PerSQL, PerSQLSessionManager, SessionConflictError
from strands_persql.client import Database
from strands_persql.testing import OfflineModel

User = Annotated[str, PathParameter(pattern=r"\S")]
"""A user's id, which is the id of their session: anything that is not blank, which is answered with 422."""


class Said(BaseModel):
    """What a user says."""

    text: str = Field(pattern=r"\S")


class Answer(BaseModel):
    """What the agent answers."""

    text: str
    messages: int


def create_app(database: Database) -> FastAPI:
    """Return the service, over one database for all users; a database each would do as well."""
    app = FastAPI(title="One session per user")
    # A session has one writer at a time. Within this process, a user's requests wait for each other; a lock lives as
    # long as somebody holds it or waits for it.
    locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @app.post("/users/{user}/messages")
    async def say(user: User, said: Said) -> Answer:
        async with locks.setdefault(user, asyncio.Lock()):
            async with await PerSQLSessionManager.open(user, database) as session:
                agent = Agent(model=OfflineModel(), session_manager=session, callback_handler=None)
                result = await agent.invoke_async(said.text)
            return Answer(text=str(result).strip(), messages=len(agent.messages))

    @app.get("/users/{user}/messages")
    def history(user: User) -> list[dict[str, str]]:
        # Not `async`: FastAPI runs it on a thread, where it may block.
        stored = PerSQLSessionManager(user, database).list_messages(user, "default")
        return [{"role": each.message["role"], "text": text_of(each.message)} for each in stored]

    @app.exception_handler(SessionConflictError)
    async def conflict(request: Request, error: SessionConflictError) -> JSONResponse:
        # Between processes the database decides: the later of two writers is refused, and nothing is overwritten.
        return JSONResponse({"detail": "this session is in use elsewhere; try again"}, status_code=409)

    return app


async def show(app: FastAPI) -> None:
    """Ask the service as its clients would, without a socket."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app") as client:

        async def say(user: str, text: str) -> None:
            response = await client.post(f"/users/{user}/messages", json={"text": text})
            print(f"{user}: {text}\n  {response.status_code} {response.json()['text']}")

        await say("ada", "my name is Ada")
        await say("grace", "my name is Grace")
        await asyncio.gather(say("ada", "what is my name?"), say("grace", "what is my name?"))
        await asyncio.gather(*(say("ada", f"and {number}") for number in range(3)))
        history = (await client.get("/users/ada/messages")).json()
        print(f"ada's session holds {len(history)} messages.")


def main() -> None:
    """Serve the app, to others or to itself."""
    parser = argparse.ArgumentParser(description="An HTTP service with one session per user.")
    parser.add_argument("--serve", action="store_true", help="serve on loopback instead of showing")
    parser.add_argument("--port", type=int, default=8000, help="with --serve; default: 8000")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        PerSQL(local=options.file or str(Path(temporary) / "users.db")) as client,
    ):
        app = create_app(client.database("local/users"))
        if options.serve:
            import uvicorn

            uvicorn.run(app, host="127.0.0.1", port=options.port)
        else:
            asyncio.run(show(app))


if __name__ == "__main__":
    main()
