# /// script
# requires-python = ">=3.10"
# dependencies = ["ag-ui-strands", "httpx", "strands-persql"]
# ///
"""An agent behind AG-UI, for pages made with CopilotKit, say: a session for each thread.

    python examples/agui_app.py             # asks itself, in this process
    python examples/agui_app.py --serve     # http://127.0.0.1:8000, until Ctrl-C

Needs `pip install ag-ui-strands`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import httpx
from ag_ui.core import RunAgentInput
from ag_ui_strands import StrandsAgent, StrandsAgentConfig, create_strands_app
from fastapi import FastAPI
from strands import Agent

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.client import Database
from strands_persql.testing import OfflineModel


def create_app(database: Database) -> FastAPI:
    """Return the service, over one database for all threads."""

    async def manager_of(asked: RunAgentInput) -> PerSQLSessionManager:
        return await PerSQLSessionManager.open(asked.thread_id, database)

    # The adapter builds an agent like this one for each thread; a session manager of its own would be ignored.
    template = Agent(model=OfflineModel(), callback_handler=None)
    config = StrandsAgentConfig(session_manager_provider=manager_of)
    adapter = StrandsAgent(agent=template, name="helper", config=config)
    app: FastAPI = create_strands_app(adapter, "/", origins=["http://localhost:3000"])  # where your page comes from
    return app


async def show(database: Database) -> None:
    """Ask as a page does; the second app is another process's, as far as the session goes."""

    async def say(app: FastAPI, thread: str, text: str) -> None:
        asked: dict[str, Any] = {
            "threadId": thread,
            "runId": "r",
            "state": {},
            "messages": [{"id": "m", "role": "user", "content": text}],
            "tools": [],
            "context": [],
            "forwardedProps": {},
        }
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app") as client:
            response = await client.post("/", json=asked, headers={"Accept": "text/event-stream"})
        events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
        answer = "".join(each.get("delta", "") for each in events if each["type"] == "TEXT_MESSAGE_CONTENT")
        print(f"{thread}: {text}\n  {answer}")

    first, second = create_app(database), create_app(database)
    await say(first, "ada", "my name is Ada")
    await say(first, "grace", "my name is Grace")
    await say(second, "ada", "what is my name?")


def main() -> None:
    """Serve the app, to others or to itself."""
    parser = argparse.ArgumentParser(description="An agent behind AG-UI.")
    parser.add_argument("--serve", action="store_true", help="serve on loopback instead of showing")
    parser.add_argument("--port", type=int, default=8000, help="with --serve; default: 8000")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        PerSQL(local=options.file or str(Path(temporary) / "agents.db")) as client,
    ):
        database = client.database("local/agents")
        if options.serve:
            import uvicorn

            uvicorn.run(create_app(database), host="127.0.0.1", port=options.port)
        else:
            asyncio.run(show(database))


if __name__ == "__main__":
    main()
