# /// script
# requires-python = ">=3.10"
# dependencies = ["bedrock-agentcore", "httpx", "strands-persql"]
# ///
"""An agent for the runtime of Amazon Bedrock AgentCore, with its sessions in PerSQL. Its answers are streamed.

    python examples/agentcore_app.py             # asks itself, in this process
    python examples/agentcore_app.py --serve     # http://127.0.0.1:8080, as the runtime starts it

The runtime names the session in a header of each request, and may answer the next one in another process.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from bedrock_agentcore import BedrockAgentCoreApp, RequestContext
from strands import Agent

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.client import Database
from strands_persql.testing import OfflineModel

HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


def create_app(database: Database) -> BedrockAgentCoreApp:
    """Return the app, over one database for all sessions."""
    app = BedrockAgentCoreApp()

    @app.entrypoint
    async def invoke(payload: dict[str, Any], context: RequestContext) -> AsyncIterator[str]:
        async with await PerSQLSessionManager.open(context.session_id or "default", database) as session:
            agent = Agent(model=OfflineModel(), session_manager=session, callback_handler=None)
            async for event in agent.stream_async(payload["prompt"]):
                if "data" in event:
                    yield event["data"]

    return app


async def show(app: BedrockAgentCoreApp) -> None:
    """Ask as the runtime does."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app") as client:
        for session, prompt in [("ada", "my name is Ada"), ("grace", "hello"), ("ada", "what is my name?")]:
            response = await client.post("/invocations", json={"prompt": prompt}, headers={HEADER: session})
            words = [line.removeprefix("data: ").strip('"') for line in response.text.splitlines() if line]
            print(f"{session}: {prompt}\n  {''.join(words)}")


def main() -> None:
    """Serve the app, to the runtime or to itself."""
    parser = argparse.ArgumentParser(description="An agent for AgentCore's runtime.")
    parser.add_argument("--serve", action="store_true", help="serve instead of showing")
    parser.add_argument("--port", type=int, default=8080, help="with --serve; default: 8080, where the runtime asks")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        PerSQL(local=options.file or str(Path(temporary) / "agents.db")) as client,
    ):
        app = create_app(client.database("local/agents"))
        if options.serve:
            app.run(port=options.port)
        else:
            asyncio.run(show(app))


if __name__ == "__main__":
    main()
