"""What a mirror asks of the database, and when: the same as the session manager, and nothing besides."""

from __future__ import annotations

from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager

from ..agents import agent_of
from ..harness import Store, words_of
from ..scripted import (
    ScriptedModel,
    redact_user,
    tools,
    use,
)
from .mirrors import (
    assert_mirrored,
    mirror_of,
    mirrored,
    turn,
)


async def warm(store: Store, mode: str, *replies: Any, mirror: Any = None, **options: Any) -> tuple[Agent, Any]:
    """A mirrored agent past its first turn, and its database handle with an empty log."""
    database = store.database()
    hooks = mirror_of(store, database, **(mirror or {}))
    agent = mirrored(store, ScriptedModel(["one", *replies]), mirror=hooks, **options)
    await turn(agent, mode, "a")
    database.clear()
    return agent, database


async def test_plain_turn(store: Store, mode: str) -> None:
    """A plain turn makes two requests and writes two rows."""
    agent, database = await warm(store, mode, "two")
    with store.counted_writes() as written:
        await turn(agent, mode, "b")
    assert database.kinds == [["INSERT messages"], ["INSERT messages"]]
    assert written == ["messages", "messages"]
    assert all(request.call == "batch" and request.transaction for request in database.requests)
    assert_mirrored(store, agent)


async def test_tool_turn(store: Store, mode: str) -> None:
    """A turn with three tool calls, one of which changes the agent's state: four requests, five rows."""
    uses = tools(use("add", {"a": 1, "b": 2}), use("remember", {"key": "k", "value": 1}), use("boom"))
    agent, database = await warm(store, mode, uses, "done")
    await turn(agent, mode, "b")
    one = ["INSERT messages"]
    assert database.kinds == [one, one, ["INSERT messages", "INSERT agents"], one]
    assert_mirrored(store, agent)


async def test_trimming_turn(store: Store, mode: str) -> None:
    """A turn that slides the window writes the agent's row once more."""
    agent, database = await warm(
        store, mode, "two", conversation_manager=lambda: SlidingWindowConversationManager(window_size=2)
    )
    await turn(agent, mode, "b")
    assert database.kinds == [["INSERT messages"], ["INSERT messages"], ["INSERT agents"]]


async def test_redacting_turn(store: Store, mode: str) -> None:
    """A redaction is two requests more: one looks for copies, one overwrites them."""
    agent, database = await warm(store, mode, redact_user("[redacted]"))
    await turn(agent, mode, "b")
    assert len(database.requests) == 4


async def test_redaction_safe_turn(store: Store, mode: str) -> None:
    """With `redaction_safe` a plain turn makes no more requests."""
    agent, database = await warm(store, mode, "two", mirror={"redaction_safe": True})
    await turn(agent, mode, "b")
    assert database.kinds == [["INSERT messages"], ["INSERT messages"]]


async def test_new_process(store: Store, mode: str) -> None:
    """Constructing a mirrored agent is one question, and its first turn costs no more than any other."""
    agent, _ = await warm(store, mode)
    database = store.database()
    mirror = mirror_of(store, database)
    assert database.requests == []
    again = mirrored(store, ScriptedModel(["two"]), mirror=mirror, messages=list(agent.messages))
    assert len(database.requests) == 1
    assert not database.requests[0].writes
    database.clear()
    await turn(again, mode, "b")
    assert database.kinds == [["INSERT messages"], ["INSERT messages"]]


async def test_nothing_pending(store: Store, mode: str) -> None:
    """Flushing and closing a mirror that has stored all makes no request."""
    database = store.database()
    mirror = mirror_of(store, database)
    await turn(mirrored(store, ScriptedModel(["one"]), mirror=mirror), mode, "a")
    assert mirror.pending == 0
    database.clear()
    mirror.flush()
    await mirror.aflush()
    mirror.close()
    await mirror.aclose()
    assert database.requests == []


@pytest.mark.parametrize(
    ("durability", "requests"),
    [("message", {2}), ("overlap", {1, 2}), ("invocation", {1})],  # "overlap": two that meet become one
)
async def test_durability(store: Store, mode: str, durability: str, requests: set[int]) -> None:
    """Each durability stores the same; `"invocation"` in one request."""
    agent, database = await warm(store, mode, "two", "three", mirror={"durability": durability})
    for prompt in "bc":
        database.clear()
        await turn(agent, mode, prompt)
        assert len(database.requests) in requests
        assert_mirrored(store, agent)
    assert words_of(store.messages()) == ["a", "one", "b", "two", "c", "three"]


async def test_twice_on_one_agent(store: Store, mode: str) -> None:
    """One mirror given twice to an agent records once."""
    database = store.database()
    mirror = mirror_of(store, database)
    agent = agent_of(ScriptedModel(["one", "two"]), hooks=lambda: [mirror, mirror])(None)
    assert sum(not request.writes for request in database.requests) <= 2  # the second finds the tables just created
    agent.hooks.add_hook(mirror)
    await turn(agent, mode, "a")
    database.clear()
    await turn(agent, mode, "b")
    assert database.kinds == [["INSERT messages"], ["INSERT messages"]]
    assert words_of(store.messages()) == ["a", "one", "b", "two"]


async def test_added_late(store: Store, mode: str) -> None:
    """A mirror added to an agent that has talked already takes its history in at the next turn."""
    agent = agent_of(ScriptedModel(["one", "two", "three"]))(None)
    await turn(agent, mode, "a")
    mirror = mirror_of(store)
    agent.hooks.add_hook(mirror)
    await turn(agent, mode, "b")
    assert words_of(store.messages()) == ["a", "one", "b", "two"]
    await turn(agent, mode, "c")
    assert_mirrored(store, agent)


async def test_added_late_to_a_stored_session(store: Store, mode: str) -> None:
    """A mirror added late to an agent whose history another process has stored goes on from there."""
    first, _ = await warm(store, mode, "two")
    await turn(first, mode, "b")
    agent = agent_of(ScriptedModel(["three"]), messages=first.messages)(None)
    agent.hooks.add_hook(mirror_of(store))
    await turn(agent, mode, "c")
    assert words_of(store.messages()) == ["a", "one", "b", "two", "c", "three"]
    assert_mirrored(store, agent)
