# /// script
# requires-python = ">=3.10"
# dependencies = ["httpx", "strands-agents[a2a]", "strands-persql"]
# ///
"""An agent that other agents reach over A2A, with a session for each context.

    python examples/a2a_app.py             # asks itself, in this process
    python examples/a2a_app.py --serve     # http://127.0.0.1:9000, until Ctrl-C

Needs `pip install "strands-agents[a2a]"`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

import httpx
from strands import Agent
from strands.multiagent.a2a import A2AServer

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.client import Database
from strands_persql.testing import OfflineModel


def create_server(database: Database, port: int = 9000) -> A2AServer:
    """Return the server, over one database for all contexts; its card names the port."""

    # A single agent with a session manager is refused: all callers would share one conversation.
    def make_agent(context_id: str) -> Agent:
        return Agent(
            model=OfflineModel(),
            name="helper",
            description="Remembers what it is told.",
            session_manager=PerSQLSessionManager(context_id, database),
            callback_handler=None,
        )

    return A2AServer(agent_factory=make_agent, port=port, enable_a2a_compliant_streaming=True)


async def show(database: Database) -> None:
    """Ask as another agent would; the second server is another process's, as far as the session goes."""

    async def say(server: A2AServer, context_id: str, text: str) -> None:
        message = {"role": "user", "messageId": "m", "contextId": context_id, "parts": [{"kind": "text", "text": text}]}
        call = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message}}
        transport = httpx.ASGITransport(app=server.to_starlette_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
            result = (await client.post("/", json=call)).json()["result"]
        answer = "".join(part["text"] for artifact in result["artifacts"] for part in artifact["parts"])
        print(f"{context_id}: {text}\n  {answer.strip()}")

    first, second = create_server(database), create_server(database)
    await say(first, "ada", "my name is Ada")
    await say(first, "grace", "my name is Grace")
    await say(second, "ada", "what is my name?")


def main() -> None:
    """Serve the agent, to others or to itself."""
    parser = argparse.ArgumentParser(description="An agent over A2A.")
    parser.add_argument("--serve", action="store_true", help="serve on loopback instead of showing")
    parser.add_argument("--port", type=int, default=9000, help="with --serve; default: 9000")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        PerSQL(local=options.file or str(Path(temporary) / "agents.db")) as client,
    ):
        database = client.database("local/agents")
        if options.serve:
            create_server(database, options.port).serve()
        else:
            asyncio.run(show(database))


if __name__ == "__main__":
    main()
