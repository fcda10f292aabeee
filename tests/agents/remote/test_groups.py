"""Many agents at once on one database of the service: few requests, and each session as if it were alone."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from strands import Agent

from strands_persql import PerSQLHooks, PerSQLSessionManager, SessionConflictError
from strands_persql.database import sharing
from strands_persql.database.sharing import REQUESTS_AT_ONCE
from strands_persql.engine import tracing

from ...emulator import Emulator, faults
from ...thorough import tries
from ..agents import agent_of
from ..harness import words_of
from ..scripted import (
    ScriptedModel,
    redact_user,
    tools,
    use,
)
from .test_faults import EVERY_WAY

SEED = int(os.environ.get("STRANDS_PERSQL_SEED", "0")) or random.SystemRandom().getrandbits(32)
CROWD = 40


async def crowd_of(emulator: Emulator, size: int, **options: Any) -> list[tuple[Agent, ScriptedModel]]:
    """Agents with a session each, all on handles of one client, which have had a turn."""
    client = emulator.client(max_retries=20)
    agents: list[tuple[Agent, ScriptedModel]] = []
    for number in range(size):
        model = ScriptedModel()
        model.play(f"hello {number}")
        manager = await PerSQLSessionManager.open(f"s{number}", client.database(emulator.name), **options)
        agents.append((agent_of(model)(manager), model))
    await asyncio.gather(*(agent.invoke_async(f"I am {number}") for number, (agent, _) in enumerate(agents)))
    return agents


def writes(emulator: Emulator) -> list[list[str]]:
    """The statements of each request that wrote something."""
    return [record.sql for record in emulator.log if not all(sql.startswith("SELECT") for sql in record.sql)]


async def assert_restored(emulator: Emulator, agents: list[tuple[Agent, ScriptedModel]]) -> None:
    """What other processes would restore is what each agent holds."""
    emulator.faults.clear()
    for number, (agent, model) in enumerate(agents):
        manager = PerSQLSessionManager(f"s{number}", emulator.database())
        again = agent_of(model)(manager)
        assert again.messages == agent.messages, number
        assert again.state.get() == agent.state.get(), number
        assert words_of(again.messages).count(f"I am {number}") == 1


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_agents_share_requests(emulator: Emulator, durability: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents that go on at the same moment make fewer requests than they store messages, and nothing is missing."""
    monkeypatch.setattr(sharing, "SHORTEST_WAIT", 30.0)  # a slow machine is no reason to send anything again
    agents = await crowd_of(emulator, CROWD, durability=durability)
    for number, (_, model) in enumerate(agents):
        model.play(tools(use("remember", {"key": "number", "value": number})), f"done {number}")
    emulator.reset()
    emulator.faults.always(faults.latency(0.1))
    await asyncio.gather(*(agent.invoke_async("remember") for agent, _ in agents))
    emulator.faults.clear()
    messages = 4 * CROWD
    sent = writes(emulator)
    assert sum(map(len, sent)) == messages + CROWD  # and the state of each
    assert max(map(len, sent)) > REQUESTS_AT_ONCE
    assert len(sent) < messages / 3, len(sent)
    await assert_restored(emulator, agents)


@pytest.mark.slow
async def test_agents_at_once_over_a_failing_service(emulator: Emulator) -> None:
    """A third of all requests fail in every way there is: no message is lost or doubled, no secret stays."""
    print(f"STRANDS_PERSQL_SEED={SEED}")
    choice = random.Random(SEED)
    agents = await crowd_of(emulator, CROWD)
    emulator.faults.randomly(SEED, 0.3, EVERY_WAY)
    said: dict[int, list[str]] = {number: [] for number in range(CROWD)}
    for turn in range(tries(3, 6)):
        speaking = choice.sample(range(CROWD), choice.randint(CROWD // 2, CROWD))
        prompts: list[str] = []
        for number in speaking:
            model, words = agents[number][1], f"{turn} {number}"
            model.replies.clear()
            if choice.random() < 0.2:
                model.play(redact_user(f"redacted {words}", words=f"a {words}"))
                prompts.append(f"SECRET {words}")
                said[number] += [f"redacted {words}", f"a {words}"]
            else:
                model.play(tools(use("remember", {"key": "turn", "value": turn})), f"a {words}")
                prompts.append(f"q {words}")
                said[number] += [f"q {words}", f"a {words}"]
        await asyncio.gather(
            *(agents[number][0].invoke_async(prompt) for number, prompt in zip(speaking, prompts, strict=True))
        )
    for number, (agent, _) in enumerate(agents):
        assert [words for words in words_of(agent.messages)[2:] if words in said[number]] == said[number]
    await assert_restored(emulator, agents)
    with emulator.sqlite() as connection:
        assert "SECRET" not in "\n".join(connection.iterdump())


@pytest.mark.slow
async def test_rivals_among_agents_at_once(emulator: Emulator) -> None:
    """Sessions that another process has gone on with: their agents hear of it, and no other does."""
    agents = await crowd_of(emulator, CROWD)
    overtaken = [3, 17, 31]
    for number in overtaken:
        model = ScriptedModel()
        model.play("rival's")
        rival = agent_of(model)(PerSQLSessionManager(f"s{number}", emulator.database()))
        await rival.invoke_async("mine now")
    for number, (_, model) in enumerate(agents):
        model.play(f"again {number}")
    emulator.faults.always(faults.latency(0.05))
    outcomes = await asyncio.gather(*(agent.invoke_async("more") for agent, _ in agents), return_exceptions=True)
    emulator.faults.clear()
    failed = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
    assert failed == overtaken
    assert all(isinstance(outcomes[number], SessionConflictError) for number in overtaken)
    await assert_restored(emulator, [each for number, each in enumerate(agents) if number < 3])
    for number in overtaken:
        again = agent_of(ScriptedModel())(PerSQLSessionManager(f"s{number}", emulator.database()))
        assert words_of(again.messages)[-2:] == ["mine now", "rival's"]


@pytest.mark.slow
async def test_a_mirror_and_a_manager_of_one_client(emulator: Emulator) -> None:
    """Managers and mirrors share requests too, whatever their tables are called."""
    client = emulator.client(max_retries=20)
    database = client.database(emulator.name)
    agents: list[Agent] = []
    for number in range(12):
        model = ScriptedModel()
        model.play("one", "two")
        mirror = PerSQLHooks(f"m{number}", client.database(emulator.name), table_prefix="mirror_")
        manager = PerSQLSessionManager(f"s{number}", database)
        agents.append(Agent(model=model, session_manager=manager, hooks=[mirror], callback_handler=None))
    emulator.faults.always(faults.latency(0.05))
    for words in ("hello", "again"):
        await asyncio.gather(*(agent.invoke_async(words) for agent in agents))
    emulator.faults.clear()
    for number, agent in enumerate(agents):
        for session, prefix in ((f"s{number}", "strands_"), (f"m{number}", "mirror_")):
            again = Agent(
                model=ScriptedModel(),
                session_manager=PerSQLSessionManager(session, emulator.database(), table_prefix=prefix),
                callback_handler=None,
            )
            assert words_of(again.messages) == words_of(agent.messages) == ["hello", "one", "again", "two"]


async def test_each_write_has_a_span_of_its_own(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shared request too: each belongs to the event it came from."""
    agents = await crowd_of(emulator, 12)
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    async def turn(number: int) -> None:
        agent, model = agents[number]
        model.play("one")
        with tracing._tracer.start_as_current_span(f"turn {number}"):
            await agent.invoke_async("hello")

    emulator.reset()
    emulator.faults.always(faults.latency(0.1))
    await asyncio.gather(*map(turn, range(12)))
    emulator.faults.clear()
    provider.shutdown()
    assert len(writes(emulator)) < 24
    spans = exporter.get_finished_spans()
    trace_of = {span.name: span.context.trace_id for span in spans if span.name.startswith("turn")}
    for number in range(12):
        own = [span for span in spans if (span.attributes or {}).get("strands_persql.session_id") == f"s{number}"]
        assert [span.name for span in own] == ["persql.write"] * 2
        assert {span.context.trace_id for span in own} == {trace_of[f"turn {number}"]}
        assert [(span.attributes or {})["strands_persql.rows"] for span in own] == [1, 1]
        assert all(span.status.is_ok for span in own)
