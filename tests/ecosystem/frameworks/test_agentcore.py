"""AgentCore's runtime: its app, served locally; the session that a header names is one of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from strands import Agent

from strands_persql import PerSQLSessionManager
from strands_persql.client import Database

from ..needed import needed
from .elsewhere import check
from .models import ObedientModel
from .servers import client_of, in_thread, words_in

needed("bedrock_agentcore")

HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


def test_sessions(database: Database, file: Path) -> None:
    """Streamed, several at once, on the app's own event loop; each session goes on, and knows nothing of the others."""
    from bedrock_agentcore import BedrockAgentCoreApp

    app: Any = BedrockAgentCoreApp()
    agents: dict[str, Agent] = {}

    @app.entrypoint
    async def invoke(payload: dict[str, Any], context: Any) -> AsyncIterator[str]:
        async with await PerSQLSessionManager.open(context.session_id, database) as session:
            agent = Agent(model=ObedientModel(), session_manager=session, callback_handler=None)
            agents[context.session_id] = agent
            async for event in agent.stream_async(payload["prompt"]):
                if "data" in event:
                    yield event["data"]

    def talk(url: str, name: str) -> list[str]:
        answers: list[str] = []
        for prompt in (f"My name is {name}.", "What is my name?"):
            with (
                client_of(url) as client,
                client.stream("POST", "/invocations", json={"prompt": prompt}, headers={HEADER: name * 12}) as response,
            ):
                answers.append("".join(words_in(response)).strip())
        return answers

    names = ["Ada", "Grace", "Barbara"]
    with in_thread(app) as url, ThreadPoolExecutor(3) as threads:
        told = list(threads.map(lambda name: talk(url, name), names))
    assert told == [[f"Nice to meet you, {name}.", f"Your name is {name}."] for name in names]
    for name in names[:2]:
        check(agents[name * 12], file, name * 12)


def test_plain_answers(database: Database, file: Path) -> None:
    """A handler that is no coroutine runs on a thread of the app's; it may block."""
    from bedrock_agentcore import BedrockAgentCoreApp

    app: Any = BedrockAgentCoreApp()
    agents: list[Agent] = []

    @app.entrypoint
    def invoke(payload: dict[str, Any], context: Any) -> dict[str, str]:
        with PerSQLSessionManager(context.session_id, database) as session:
            agents.append(Agent(model=ObedientModel(), session_manager=session, callback_handler=None))
            return {"text": str(agents[-1](payload["prompt"])).strip()}

    with in_thread(app) as url, client_of(url) as client:
        for prompt, answer in (
            ("My name is Ada.", "Nice to meet you, Ada."),
            ("What is my name?", "Your name is Ada."),
        ):
            response = client.post("/invocations", json={"prompt": prompt}, headers={HEADER: "ada"})
            assert response.json() == {"text": answer}
    check(agents[-1], file, "ada")
