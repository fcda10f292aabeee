"""A chat: users with conversations of their own, answers that stream and stop, questions that are edited.

    scripts/chat                                          # from a clone: makes its environment, and starts this
    python examples/chat/app.py --port 8000               # http://127.0.0.1:8000, over a local file
    PERSQL_TOKEN=… python examples/chat/app.py --database acme/chats

One process serves it, since the answers under way are kept in that process. Should two ever answer in one conversation,
the database lets the second one fail, and overwrites nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import uvicorn
from answers import AGENT, Answer, AnsweringError, Answers
from chat_model import TOOLS, ChatModel
from fastapi import Body, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from guard import Guard
from login import Login, kept_secret
from strands import Agent
from strands.models import Model
from strands.types.exceptions import SessionException

from strands_persql import PerSQL
from strands_persql.client import Database
from strands_persql.web import UserSessions, sessions_app

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent.parent / ".chat"

Prompt = Annotated[str, Body(embed=True, min_length=1, max_length=20_000, pattern=r"\S")]


def make_model(pace: float) -> Model:
    """Return the model."""
    # A real one, with `pip install 'strands-agents[openai]'` and OPENAI_API_KEY set:
    #     from strands.models.openai import OpenAIModel
    #     return OpenAIModel(model_id="gpt-5-mini")
    return ChatModel(pace)


def create_app(database: Database, secret: bytes, *, pace: float = 0.04) -> FastAPI:
    """Return the chat over one database for all users."""
    login = Login(secret)

    def make_agent(**options: Any) -> Agent:
        return Agent(model=make_model(pace), tools=TOOLS, callback_handler=None, **options)

    answers = Answers(database, make_agent)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await answers.close()

    app = FastAPI(title="Chat", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    add_login(app, login)
    add_answers(app, login, answers, database)

    # Lists, shows, renames, copies and deletes conversations, and looks whose they are.
    app.mount("/api", sessions_app(database, user=login.user_of))
    app.mount("/", StaticFiles(directory=HERE / "static", html=True))
    return app


def add_login(app: FastAPI, login: Login) -> None:
    """Add the routes that tell who somebody is."""

    @app.get("/api/me")
    def me(request: Request) -> dict[str, str | None]:
        return {"name": login.user_of(request)}

    @app.post("/api/login")
    def log_in(response: Response, name: Annotated[str, Body(embed=True, max_length=60)]) -> dict[str, str]:
        name = " ".join(name.split())
        if not name.isprintable() or not name:
            raise HTTPException(422, "A name has 1 to 60 characters.")
        login.log_in(response, name)
        return {"name": name}

    @app.post("/api/logout", status_code=204)
    def log_out(response: Response) -> None:
        login.log_out(response)


def add_answers(app: FastAPI, login: Login, answers: Answers, database: Database) -> None:
    """Add the routes that ask, follow and stop answers."""

    def user_of(request: Request) -> str:
        user = login.user_of(request)
        if user is None:
            raise HTTPException(401, "Log in first.")
        return user

    async def check_owner(user: str, session_id: str) -> None:
        """Refuse a conversation that is not the user's: for them it does not exist."""
        try:
            await asyncio.to_thread(UserSessions(database, user).get, session_id)
        except (SessionException, ValueError):
            raise HTTPException(404, "There is no such conversation.") from None

    async def check_question(user: str, session_id: str, message_id: int) -> None:
        """Refuse a position at which the page shows no question of the user's."""
        read = partial(UserSessions(database, user).messages, session_id, agent_id=AGENT)
        page = await asyncio.to_thread(read, before=str(message_id + 1), limit=1)
        message = page.messages[-1] if page.messages else None
        # The results of tools are the user's too, but without parts of their own.
        if message is None or (message.message_id, message.role) != (message_id, "user") or not message.parts:
            raise HTTPException(422, "Only a message of yours can be edited.")
        if message.taken_back:
            raise HTTPException(422, "Another message has taken the place of this one.")

    # [ask]
    @app.post("/api/ask", status_code=201)
    async def begin(request: Request, prompt: Prompt) -> dict[str, str]:
        """Begin a conversation; its id can't be guessed."""
        session_id = str(uuid4())
        answers.begin(user_of(request), session_id, prompt)
        return {"session_id": session_id}

    @app.post("/api/ask/{session_id}", status_code=202)
    async def ask(
        request: Request,
        session_id: str,
        prompt: Prompt,
        instead_of: Annotated[int | None, Body(ge=0, le=10**12)] = None,
    ) -> dict[str, str]:
        """Go on with a conversation; `instead_of` is the position of the user's message that the prompt replaces."""
        user = user_of(request)
        await check_owner(user, session_id)
        if instead_of is not None:
            await check_question(user, session_id, instead_of)
        try:
            answers.begin(user, session_id, prompt, instead_of=instead_of)
        except AnsweringError:
            raise HTTPException(409, "The last message is still being answered.") from None
        return {"session_id": session_id}

    # [/ask]
    @app.get("/api/answers/{session_id}")
    async def follow(request: Request, session_id: str, last_event_id: Annotated[int, Header(ge=0)] = 0) -> Response:
        """The answer under way as server-sent events, from its first word on; 204 where there is none."""
        user = user_of(request)
        answer = answers.find(user, session_id)
        if answer is None:
            await check_owner(user, session_id)
            return Response(status_code=204)
        return StreamingResponse(
            server_sent(answer, last_event_id), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.post("/api/answers/{session_id}/stop", status_code=204)
    async def stop(request: Request, session_id: str) -> None:
        """Stop the answer under way; what was said so far is stored."""
        user = user_of(request)
        answer = answers.find(user, session_id)
        if answer is None:
            await check_owner(user, session_id)
        else:
            answer.stop()


async def server_sent(answer: Answer, start: int) -> AsyncIterator[str]:
    """Yield an answer's events in the form that EventSource reads."""
    async for number, event in answer.follow(start):
        yield f"id: {number}\ndata: {json.dumps(event)}\n\n"


def listen(port: int | None) -> socket.socket:
    """Return a socket on loopback: at the port, or else at 8000 or any other that is free."""
    for each in (8000, 0) if port is None else (port,):
        try:
            return socket.create_server(("127.0.0.1", each))
        except OSError:
            if port is not None:
                sys.exit(f"chat: port {port} is taken; name another with --port")
    raise AssertionError("some port is free")


def main() -> None:
    """Serve the chat until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A chat over strands-persql.", prog="chat")
    parser.add_argument("--port", type=int, help="on 127.0.0.1; default: 8000, or another if that is taken")
    parser.add_argument("--file", type=Path, default=FOLDER / "chats.db", help="the local file; default: %(default)s")
    parser.add_argument(
        "--database", help="instead of a file, a database at PerSQL (NAMESPACE/SLUG), with PERSQL_TOKEN"
    )
    parser.add_argument("--pace", type=float, default=0.04, help="the scripted model's seconds between two words")
    options = parser.parse_args()
    secret = kept_secret(options.file.parent / "secret")
    with PerSQL.from_env() if options.database else PerSQL(local=str(options.file)) as client:
        app = create_app(client.database(options.database or "local/chats"), secret, pace=options.pace)
        listening = listen(options.port)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
        with suppress(KeyboardInterrupt):  # which the server raises again once it has ended
            print(f"Chat: http://127.0.0.1:{listening.getsockname()[1]}/  (Ctrl-C ends it)", flush=True)
            server.run(sockets=[listening])


if __name__ == "__main__":
    main()
