"""What servers of the tests serve, over the file that SERVED_FILE names: opened when this is imported, before any fork.

`served` streams answers, and tells after each what the agent has that gave it; `flask_example` is that of the examples.
`EARLY` is an agent that has been at work before gunicorn forks its workers.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from flask import Flask
from strands import Agent

from strands_persql import PerSQL, PerSQLSessionManager, SessionConflictError

from .elsewhere import DATABASE, kept
from .models import ObedientModel

database = PerSQL(local=os.environ["SERVED_FILE"]).database(DATABASE)
served = FastAPI()


def agent_of(manager: PerSQLSessionManager, *, pause: float = 0.0) -> Agent:
    """An agent over a session."""
    return Agent(model=ObedientModel(pause=pause), session_manager=manager, callback_handler=None)


EARLY = agent_of(PerSQLSessionManager("early", database))
if "SERVED_EARLY" in os.environ:
    EARLY("My name is Ada.")


@served.get("/")
async def about() -> dict[str, Any]:
    """Which worker answers, on what event loop."""
    return {"pid": os.getpid(), "loop": type(asyncio.get_running_loop()).__module__}


@served.post("/chats/{session_id}")
async def chat(session_id: str, prompt: str = Body(embed=True), pause: float = 0.0) -> StreamingResponse:
    """Stream the worker's id, words, and what the agent has in the end, or the error that it failed with."""

    async def events() -> AsyncIterator[str]:
        yield f"data: {os.getpid()}\n\n"
        try:
            async with await PerSQLSessionManager.open(session_id, database) as session:
                agent = agent_of(session, pause=pause)
                async for event in agent.stream_async(prompt):
                    if "data" in event:
                        yield f"data: {json.dumps(event['data'])}\n\n"
            yield f"data: {json.dumps(kept(agent))}\n\n"
        except SessionConflictError as error:
            yield f"data: {json.dumps({'error': type(error).__name__})}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@served.post("/early")
async def early(prompt: str = Body(embed=True)) -> dict[str, Any]:
    """Ask the agent that was there before this worker."""
    result = await EARLY.invoke_async(prompt)
    return {"pid": os.getpid(), "text": str(result).strip(), "kept": kept(EARLY)}


@served.exception_handler(SessionConflictError)
async def conflict(request: object, error: Exception) -> JSONResponse:
    """Answer as the page about services says."""
    return JSONResponse({"pid": os.getpid(), "error": type(error).__name__}, status_code=409)


def flask_example() -> Flask:
    """The example for Flask, over this process's client."""
    from flask_app import create_app

    return create_app(database)
