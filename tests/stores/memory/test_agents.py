"""Memories in a real agent, driven by Strands' own `MemoryManager`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from strands import Agent

from ...agents.scripted import (
    ScriptedModel,
    text,
    tools,
    use,
)
from .conftest import Place
from .features import MEMORY, needs_memory

pytestmark = needs_memory

if MEMORY:
    from strands.memory import InvocationTrigger, MemoryManager


def agent_of(store: Any, *replies: Any, **options: Any) -> tuple[Agent, ScriptedModel]:
    """An agent with one memory store."""
    model = ScriptedModel(replies)
    manager = MemoryManager(stores=[store], **{"injection": False, **options})
    return Agent(model=model, memory_manager=manager, callback_handler=None), model


def results(agent: Agent) -> list[Any]:
    """What the tools answered, in order, decoded."""
    found = []
    for message in agent.messages:
        for block in message["content"]:
            if "toolResult" in block:
                assert block["toolResult"]["status"] == "success", block
                words = block["toolResult"]["content"][0].get("text", "")
                try:
                    found.append(json.loads(words))
                except ValueError:
                    found.append(words)
    return found


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_second_session_recalls(place: Place, sync: bool) -> None:
    """What one agent was told to remember is put before the model of another, and of no other user's."""
    store = place.store()
    agent, _ = agent_of(
        store, tools(use("add_memory", {"entries": ["Ada prefers dark mode"]})), "Noted.", add_tool_config=True
    )
    second, model = agent_of(place.store(), "Dark mode.", injection=True)
    stranger, strange = agent_of(place.store("bob"), "No idea.", injection=True)
    if sync:  # as a program without a loop calls it: Strands opens one in a thread for each call
        agent("Remember that I prefer dark mode.")
        second("Which mode do I prefer?")
        stranger("Which mode do I prefer?")
    else:
        await agent.invoke_async("Remember that I prefer dark mode.")
        await second.invoke_async("Which mode do I prefer?")
        await stranger.invoke_async("Which mode do I prefer?")
    assert results(agent) in ([{"stored": 1}], ["{'stored': 1}"])
    assert "Ada prefers dark mode" in json.dumps(model.calls[0])
    assert "dark" not in json.dumps(strange.calls[0])


async def test_tools(place: Place) -> None:
    """The model searches, and forgets what the search named."""
    store = place.store(forget_tool=True)
    memory = await store.add("Ada prefers dark mode")
    await store.add("Ada lives in London")
    agent, _ = agent_of(
        store,
        tools(use("search_memory", {"query": "dark mode"})),
        tools(use("forget_memory", {"memory_id": memory})),
        tools(use("search_memory", {"query": "dark mode"})),
        "Forgotten.",
    )
    await agent.invoke_async("Forget which mode I like.")
    first, gone, second = results(agent)
    assert memory in str(first)
    assert "forgotten" in str(gone)
    assert second in ([], "[]")
    assert [memory.content for memory in (await store.list_memories()).memories] == ["Ada lives in London"]


async def test_a_wrong_id(local: Place) -> None:
    """A model that makes up an id is told what an id is, and the agent goes on."""
    agent, _ = agent_of(
        local.store(forget_tool=True), tools(use("forget_memory", {"memory_id": "the first one"})), "Sorry."
    )
    await agent.invoke_async("Forget it.")
    [block] = agent.messages[2]["content"]
    assert block["toolResult"]["status"] == "error"
    assert "13 hexadecimal digits" in str(block)


def test_names_of_tools(local: Place) -> None:
    """No tool unless asked for; two stores of one agent give theirs names of their own."""
    one = local.store(name="one", forget_tool={"name": "forget_one", "description": "Forget one."})
    two = local.store(name="two", forget_tool={"name": "forget_two"})
    plain = local.store(name="three")
    agent = Agent(model=ScriptedModel(), memory_manager=MemoryManager(stores=[one, two, plain], injection=False))
    assert sorted(agent.tool_names) == ["forget_one", "forget_two", "search_memory"]
    assert plain.get_tools() == []


async def test_extraction_of_facts(place: Place) -> None:
    """extraction=… has a model distil facts, which are stored when the turn is over."""
    trigger = InvocationTrigger()
    store = place.store(extraction={"trigger": trigger})
    facts = json.dumps([{"content": "Ada has a cat"}, {"content": "The cat is called Tom"}])
    agent, model = agent_of(store, "How nice.", facts)
    await agent.invoke_async("I have a cat called Tom.")
    assert agent.memory_manager is not None
    await agent.memory_manager.flush()
    assert len(model.calls) == 2
    assert {memory.content for memory in (await store.list_memories()).memories} == {
        "Ada has a cat",
        "The cat is called Tom",
    }


async def test_extraction_of_messages(place: Place) -> None:
    """With keep_messages each message is kept as it is, and no model is asked."""
    store = place.store(extraction={"trigger": InvocationTrigger()}, keep_messages=True)
    agent, model = agent_of(store, text("How nice."))
    await agent.invoke_async("I have a cat called Tom.")
    assert agent.memory_manager is not None
    await agent.memory_manager.flush()
    assert len(model.calls) == 1
    memories = (await store.list_memories()).memories
    assert {(memory.metadata["role"], memory.content) for memory in memories} == {
        ("user", "I have a cat called Tom."),
        ("assistant", "How nice."),
    }


def test_extraction_by_default(local: Place) -> None:
    """extraction=True asks a model, as Strands' own file store does; off is off."""
    by_default: Any = local.store(extraction=True).extraction
    assert by_default["extractor"] is not None
    assert local.store(extraction=False).extraction is False
    assert local.store().extraction is None


async def test_an_outage(remote: Place) -> None:
    """While the service can't be reached, the tool tells the model so and the agent goes on; later all is well."""
    emulator = remote.emulator
    assert emulator is not None
    store = remote.store(database=emulator.database(max_retries=0))
    agent, _ = agent_of(
        store,
        tools(use("add_memory", {"entries": ["a fact"]})),
        "I could not.",
        tools(use("add_memory", {"entries": ["a fact"]})),
        "Noted.",
        add_tool_config=True,
    )
    with emulator.refusing():
        await agent.invoke_async("Remember a fact.")
    await agent.invoke_async("Try again.")
    statuses = [
        block["toolResult"]["status"] for m in agent.messages for block in m["content"] if "toolResult" in block
    ]
    assert statuses == ["error", "success"]
    assert len(await store.search("fact")) == 1
