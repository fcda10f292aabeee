"""What each event costs: exact statement logs, rows written, and the threads that did it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager

from strands_persql import PerSQLSessionManager

from .agents import agent_of
from .harness import Scenario, Store, assert_same, assistant, restored, soon, user
from .scripted import ScriptedModel, fail, overflow, redact_user, tools, use

THREE_TOOLS = [tools(use("add", {"a": 1, "b": 2}), use("add", {"a": 3, "b": 4}), use("boom")), "done"]


async def warm(scenario: Any, *replies: Any, **options: Any) -> Scenario:
    """A session past its first turn, the log of its requests empty."""
    model = ScriptedModel(["one", *replies])
    run: Scenario = scenario(agent_of(model, **options))
    await run.turn("a")
    run.database.clear()
    return run


async def test_plain_turn(scenario: Any) -> None:
    """A plain turn makes two requests and writes two rows."""
    run = await warm(scenario, "two")
    with run.store.counted_writes() as written:
        await run.turn("b", check=False)
    assert run.database.kinds == [["INSERT messages"], ["INSERT messages"]]
    assert written == ["messages", "messages"]
    run.check()


async def test_tool_turn(scenario: Any) -> None:
    """A turn with three tool calls in one message makes four requests and writes four rows."""
    run = await warm(scenario, *THREE_TOOLS)
    with run.store.counted_writes() as written:
        await run.turn("b", check=False)
    assert run.database.kinds == [["INSERT messages"]] * 4
    assert written == ["messages"] * 4
    run.check()


async def test_tool_turn_that_changes_state(scenario: Any) -> None:
    """State that a tool really changed goes along with its result: four requests, five rows."""
    model_state = tools(use("add", {"a": 1, "b": 2}), use("remember", {"key": "k", "value": 1}), use("boom"))
    run = await warm(scenario, model_state, "done")
    with run.store.counted_writes() as written:
        await run.turn("b", check=False)
    assert [len(kinds) for kinds in run.database.kinds] == [1, 1, 2, 1]
    assert sorted(written) == ["agents"] + ["messages"] * 4
    assert run.database.kinds[2] == ["INSERT messages", "INSERT agents"]
    run.check()


async def test_state_set_to_what_it_was(scenario: Any) -> None:
    """State set to the value it had is no change."""
    first = tools(use("remember", {"key": "k", "value": 1}))
    second = tools(use("remember", {"key": "k", "value": 1}))
    run = await warm(scenario, first, "two", second, "three")
    await run.turn("b", check=False)
    run.database.clear()
    with run.store.counted_writes() as written:
        await run.turn("c", check=False)
    assert run.database.kinds == [["INSERT messages"]] * 4
    assert written == ["messages"] * 4


async def test_restored_session(scenario: Any) -> None:
    """The first turn after a restart costs no more than any other."""
    run = await warm(scenario, "two")
    run.restart()
    assert len(run.database.requests) == 1
    assert not run.database.requests[0].writes
    run.database.clear()
    with run.store.counted_writes() as written:
        await run.turn("b", check=False)
    assert run.database.kinds == [["INSERT messages"], ["INSERT messages"]]
    assert written == ["messages", "messages"]


async def test_first_turn(store: Store) -> None:
    """A session's first turn writes its session and agent rows along with its messages."""
    await agent_of(ScriptedModel(["one"]))(store.manager(session_id="other")).invoke_async("a")
    database = store.database()
    agent = agent_of(ScriptedModel(["one"]))(store.manager(database))
    assert len(database.requests) == 1
    database.clear()
    with store.counted_writes() as written:
        await agent.invoke_async("a")
    assert len(database.requests) == 2
    assert sorted(written) == ["agents", "messages", "messages", "sessions"]


async def test_constructing(store: Store) -> None:
    """Constructing an agent is one request, new or restored; the manager's own constructor makes none."""
    build = agent_of(ScriptedModel(["one"]))
    database = store.database()
    manager = store.manager(database)
    assert database.requests == []
    agent = build(manager)
    assert len(database.requests) <= 3  # once per database: the tables are created
    await agent.invoke_async("a")
    for session_id in ("session-1", "a new one"):
        database = store.database()
        manager = store.manager(database, session_id=session_id)
        assert database.requests == []
        build(manager)
        assert len(database.requests) == 1
        assert not database.requests[0].writes
        assert not any("CREATE" in kind for kind in database.requests[0].kinds)


async def test_open_reads_ahead(store: Store) -> None:
    """After `open`, constructors make no request, and restore the same."""
    build = agent_of(ScriptedModel(["one", "two"]))
    other = agent_of(ScriptedModel(["one"]), agent_id="other")
    agent = build(store.manager())
    await agent.invoke_async("a")
    for agent_id in (None, "default"):
        database = store.database()
        manager = await PerSQLSessionManager.open("session-1", database, agent_id=agent_id)
        assert len(database.requests) == 1
        assert database.requests[0].thread != threading.get_ident()
        again = build(manager)
        assert len(database.requests) == 1
        assert_same(agent, again)
        other(manager)
        assert len(database.requests) == (1 if agent_id is None else 2)
        manager.close()


async def test_trimming_turn(scenario: Any) -> None:
    """A turn that slides the window writes the agent's row once more."""
    run = await warm(
        scenario, "two", "three", conversation_manager=lambda: SlidingWindowConversationManager(window_size=2)
    )
    with run.store.counted_writes() as written:
        await run.turn("b", check=False)
    assert run.database.kinds == [["INSERT messages"], ["INSERT messages"], ["INSERT agents"]]
    assert written == ["messages", "messages", "agents"]
    run.check()


async def test_overflow_turn(scenario: Any) -> None:
    """An overflow syncs once, before the model is called again."""
    run = await warm(scenario, "two", overflow(), "three")
    await run.turn("b", check=False)
    run.database.clear()
    with run.store.counted_writes() as written:
        await run.turn("c", check=False)
    assert run.database.kinds == [["INSERT messages"], ["INSERT agents"], ["INSERT messages"]]
    assert written == ["messages", "agents", "messages"]


async def test_redacting_turn(scenario: Any) -> None:
    """A redaction is two requests more, one to find the rows that hold the text, and rewrites the one row."""
    run = await warm(scenario, redact_user("[redacted]"))
    with run.store.counted_writes() as written:
        await run.turn("b", check=False)
    assert len(run.database.requests) == 4
    assert written.count("messages") == 3
    run.check()


async def test_failing_model(scenario: Any) -> None:
    """A turn whose model fails writes its prompt and nothing else."""
    run = await warm(scenario, fail(RuntimeError("down")))
    with run.store.counted_writes() as written, pytest.raises(RuntimeError):
        await run.turn("b", check=False)
    assert run.database.kinds == [["INSERT messages"]]
    assert written == ["messages"]


async def test_nothing_changed(scenario: Any) -> None:
    """Syncing and flushing an agent that did not change makes no request."""
    run = await warm(scenario)
    run.manager.sync_agent(run.agent)
    run.manager.flush()
    run.manager.close()
    assert run.database.requests == []


async def test_several_prompt_messages(scenario: Any) -> None:
    """Each message of a longer prompt is one request and one row."""
    run = await warm(scenario, "two")
    with run.store.counted_writes() as written:
        await run.turn([user("b"), assistant("c"), user("d")], check=False)
    assert run.database.kinds == [["INSERT messages"]] * 4
    assert written == ["messages"] * 4


async def test_every_write_is_a_transaction(scenario: Any) -> None:
    """Each event is one batch in one transaction."""
    run = await warm(scenario, *THREE_TOOLS, tools(use("remember", {"key": "k", "value": 1})), "done")
    await run.turn("b", check=False)
    await run.turn("c", check=False)
    assert all(request.call == "batch" and request.transaction for request in run.database.requests)


async def test_long_histories_cost_no_more(store: Store) -> None:
    """A turn on a history of a thousand messages sends no more than one on a short one."""
    history = [each for number in range(500) for each in (user(f"q{number}"), assistant(f"a{number}"))]
    build = agent_of(
        ScriptedModel(["one", "two"]),
        messages=history,
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=2000),
    )
    database = store.database()
    agent = build(store.manager(database))
    await agent.invoke_async("a")
    database.clear()
    with store.counted_writes() as written:
        await agent.invoke_async("b")
    assert database.kinds == [["INSERT messages"], ["INSERT messages"]]
    assert written == ["messages", "messages"]
    assert_same(agent, restored(store, build))


# Threads


async def test_loop_is_never_blocked(store: Store) -> None:
    """No request that an awaited hook makes runs in the event loop's thread, however slow the database is."""
    model = ScriptedModel(
        ["one", tools(use("add", {"a": 1, "b": 2}), use("remember", {"key": "k", "value": 1})), "two"]
    )
    build = agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=2))
    database = store.database()
    manager = await PerSQLSessionManager.open("session-1", database)
    agent = build(manager)
    database.on_call = lambda request: time.sleep(0.02)
    database.clear()
    for prompt in ("a", "b"):
        await agent.invoke_async(prompt)
    assert len(database.requests) >= 6
    assert all(request.thread != threading.get_ident() for request in database.requests)
    manager.close()


async def test_the_loop_turns_while_a_write_waits(store: Store) -> None:
    """While a write waits for the database, other tasks of the loop run."""
    model = ScriptedModel(["one"])
    database = store.database()
    manager = await PerSQLSessionManager.open("session-1", database)
    agent: Agent = agent_of(model)(manager)
    loop = asyncio.get_running_loop()
    release = threading.Event()
    waiting = asyncio.Event()

    def hold(request: Any) -> None:
        loop.call_soon_threadsafe(waiting.set)
        release.wait(30)

    database.on_call = hold
    task = asyncio.ensure_future(agent.invoke_async("a"))
    await soon(waiting.wait())
    # The database holds the first write, and this test's own task runs: the loop is free.
    assert not task.done()
    release.set()
    database.on_call = None
    await task
    manager.close()
