"""Strands' A2A server and client over a2a-sdk: a session for each context, and what a single agent may have."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from strands import Agent

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager
from strands_persql.client import Database

from ..needed import needed
from .elsewhere import DATABASE, check, said
from .models import ObedientModel
from .servers import free_port, in_thread

needed("a2a")


async def say(url: str, context_id: str | None, text: str) -> tuple[str, str]:
    """The context and the answer, by the client of a2a-sdk."""
    import httpx
    from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
    from a2a.types import Message, Part, Role, TextPart

    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=False) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        client = ClientFactory(ClientConfig(httpx_client=http, streaming=True)).create(card)
        message = Message(
            role=Role.user, message_id=uuid.uuid4().hex, context_id=context_id, parts=[Part(root=TextPart(text=text))]
        )
        task: Any = None
        async for event in client.send_message(message):
            task = event[0] if isinstance(event, tuple) else event
        words = [part.root.text for each in task.artifacts or [] for part in each.parts]
        return task.context_id, "".join(words).strip()


class Service:
    """A server over a database, with the agents that it builds."""

    def __init__(self, database: Database, port: int) -> None:
        from strands.multiagent.a2a import A2AServer

        self.agents: dict[str, Agent] = {}

        def make_agent(context_id: str) -> Agent:
            manager = PerSQLSessionManager(context_id, database)
            self.agents[context_id] = Agent(
                model=ObedientModel(),
                name="helper",
                description="Helps.",
                session_manager=manager,
                callback_handler=None,
            )
            return self.agents[context_id]

        self.app = A2AServer(
            agent_factory=make_agent, port=port, enable_a2a_compliant_streaming=True
        ).to_starlette_app()


@pytest.fixture
def service(database: Database) -> Iterator[tuple[Service, str]]:
    """A server, and its address."""
    port = free_port()
    service = Service(database, port)
    with in_thread(service.app, port=port) as url:
        yield service, url


def test_contexts(service: tuple[Service, str], file: Path) -> None:
    """Two contexts at once, each with a session; a server of another process goes on with one of them."""
    made, url = service

    async def talk() -> list[str]:
        pairs = await asyncio.gather(say(url, None, "My name is Ada."), say(url, None, "My name is Grace."))
        assert [answer for _, answer in pairs] == ["Nice to meet you, Ada.", "Nice to meet you, Grace."]
        for (context_id, _), name in zip(pairs, ("Ada", "Grace"), strict=True):
            assert (await say(url, context_id, "What is my name?"))[1] == f"Your name is {name}."
        return [context_id for context_id, _ in pairs]

    contexts = asyncio.run(talk())
    for context_id in contexts:
        check(made.agents[context_id], file, context_id)
    port = free_port()
    with PerSQL(local=file) as client:
        second = Service(client.database(DATABASE), port)
        with in_thread(second.app, port=port) as other:
            answer = asyncio.run(say(other, contexts[0], "What is my name?"))
        assert answer == (contexts[0], "Your name is Ada.")
        check(second.agents[contexts[0]], file, contexts[0])


def test_strands_client(service: tuple[Service, str], file: Path) -> None:
    """Strands' own client asks, as an agent of another service does."""
    from strands.agent.a2a_agent import A2AAgent

    made, url = service
    asked = A2AAgent(endpoint=url)
    assert "".join(str(asked("My name is Ada.")).split("\n")) == "Nice to meet you, Ada."  # a line for each piece
    (context_id,) = set(made.agents) - {"__agent_card__"}
    check(made.agents[context_id], file, context_id)


def test_a_single_agent(database: Database, file: Path) -> None:
    """With a session manager it is refused; with the hooks beside it, what it says is stored all the same."""
    from strands.multiagent.a2a import A2AServer

    described: Any = {"name": "helper", "description": "Helps.", "callback_handler": None}
    with pytest.raises(ValueError, match="session"):
        A2AServer(Agent(model=ObedientModel(), session_manager=PerSQLSessionManager("one", database), **described))
    port = free_port()
    agent = Agent(model=ObedientModel(), hooks=[PerSQLHooks("one", database)], **described)
    with in_thread(A2AServer(agent, port=port).to_starlette_app(), port=port) as url:
        asyncio.run(say(url, None, "My name is Ada."))
    assert said(file, "one") == [("user", "My name is Ada."), ("assistant", "Nice to meet you, Ada.")]
