"""Writes that fail, and answers that are lost: the error surfaces, the next event heals, nothing stands twice."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager

from strands_persql import (
    PerSQLError,
    PerSQLSessionRepository,
    SessionConflictError,
    SessionDataError,
    TransportError,
)

from .agents import agent_of
from .harness import SESSION, Scenario, Store, assert_rows_sound, assert_same, broken, restored, user, words_of
from .scripted import ScriptedModel, redact_user, tools, use


def chain(error: BaseException) -> list[BaseException]:
    """An error and all that caused it."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


committed = pytest.mark.parametrize("committed", [False, True], ids=["refused", "answer lost"])


@committed
@pytest.mark.parametrize("number", range(1, 10))
async def test_each_request_failing_once(scenario: Any, committed: bool, number: int) -> None:
    """Whichever request of a session's first turns fails, what comes after stores all that was added."""
    model = ScriptedModel()
    run: Scenario = scenario(agent_of(model, messages=[user("before")]))
    # The manager's constructor made its requests; from here on each is a write.
    run.database.fail_next(number, committed=committed)
    for turn in range(3):
        model.replies.clear()
        model.play(tools(use("add", {"a": 1, "b": 2}), use("remember", {"key": "turn", "value": turn})), f"a{turn}")
        with contextlib.suppress(Exception):
            await run.turn(f"q{turn}", check=False)
    model.replies.clear()
    model.play("the end")
    await run.turn("last")
    transcript = words_of(run.store.messages())
    assert transcript == words_of(run.agent.messages)
    assert all(transcript.count(words) == 1 for words in ("before", "q0", "q1", "q2", "last", "the end"))
    run.restart()
    model.play("again")
    await run.turn("once more")


@committed
async def test_outage(scenario: Any, committed: bool) -> None:
    """While the database is away each turn raises its error; afterwards one event writes all that is pending."""
    model = ScriptedModel(["one"])
    run: Scenario = scenario(agent_of(model))
    await run.turn("a")
    with run.database.outage(committed=committed):
        for prompt in ("b", "c"):
            with pytest.raises((PerSQLError, TransportError)) as caught:
                await run.turn(prompt, check=False)
            assert "order" in str(caught.value) or "lost" in str(caught.value)
    assert words_of(run.agent.messages) == ["a", "one", "b", "c"]
    model.play("two")
    await run.turn("d")
    assert words_of(run.store.messages()) == ["a", "one", "b", "c", "d", "two"]
    assert run.manager.pending == 0


@committed
async def test_outage_during_a_tool_turn(scenario: Any, committed: bool) -> None:
    """The error of a write in the middle of a tool turn comes out of the invocation, wrapped as Strands wraps it."""
    model = ScriptedModel()
    run: Scenario = scenario(agent_of(model))
    model.play("one")
    await run.turn("a")
    error = broken(committed)
    for later in (2, 3, 4):
        run.database.fail_next(later, committed=committed, error=error)
    model.play(tools(use("add", {"a": 1, "b": 2})))
    with pytest.raises(Exception) as caught:
        await run.turn("b", check=False)
    assert error in chain(caught.value)
    run.database.heal()
    model.play("two")
    await run.turn("c")


@committed
async def test_failing_last_write(scenario: Any, committed: bool) -> None:
    """The last write of an invocation, with the trimmed window in it, fails; `flush` stores it without a turn."""
    model = ScriptedModel(["one", "two", "three"])
    build = agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=2))
    run: Scenario = scenario(build)
    await run.turn("a")
    run.database.clear()
    await run.turn("b")
    last = len(run.database.requests)
    run.database.fail_next(last, committed=committed)
    with contextlib.suppress(PerSQLError):
        await run.turn("c", check=False)
    run.manager.flush()
    run.check()
    assert run.manager.pending == 0


@committed
async def test_failing_redaction(scenario: Any, committed: bool) -> None:
    """A redaction whose write fails raises, and the next event overwrites the raw text."""
    model = ScriptedModel(["one", redact_user("[redacted]")])
    run: Scenario = scenario(agent_of(model))
    await run.turn("a")
    error = broken(committed)
    for later in (2, 3, 4):
        run.database.fail_next(later, committed=committed, error=error)
    with pytest.raises(PerSQLError) as caught:
        await run.turn("MY-SECRET", check=False)
    assert caught.value is error
    run.database.heal()
    model.replies.clear()
    model.play("two")
    await run.turn("b")
    assert not run.store.holds("MY-SECRET")
    assert "[redacted]" in words_of(run.agent.messages)


@committed
async def test_same_prompt_after_a_failed_redaction(scenario: Any, committed: bool) -> None:
    """A redaction that could not be written leaves a newer message of the same words alone when it is."""
    model = ScriptedModel(["one", redact_user("[redacted]")])
    run: Scenario = scenario(agent_of(model))
    await run.turn("a")
    error = broken(committed)
    for later in (2, 3, 4):
        run.database.fail_next(later, committed=committed, error=error)
    with pytest.raises(PerSQLError):
        await run.turn("the same", check=False)
    run.database.heal()
    model.replies.clear()
    model.play("two")
    await run.turn("the same")
    assert words_of(run.agent.messages) == ["a", "one", "[redacted]", "the same", "two"]


async def test_failing_restore(store: Store) -> None:
    """A restore that fails makes the constructor fail; a new attempt with the same manager succeeds."""
    build = agent_of(ScriptedModel(["one", "two"]))
    agent = build(store.manager())
    await agent.invoke_async("a")
    database = store.database()
    manager = store.manager(database)
    database.fail_next()
    with pytest.raises(PerSQLError):
        build(manager)
    again = build(manager)
    assert_same(agent, again)
    await again.invoke_async("b")
    assert_same(again, restored(store, build))


@committed
async def test_failing_first_write(store: Store, committed: bool) -> None:
    """The very first write of a session, with its preloaded messages, fails; a new process begins cleanly."""
    build = agent_of(ScriptedModel(["one"]), messages=[user("before")])
    database = store.database()
    manager = store.manager(database)
    with pytest.raises(PerSQLError):
        for number in range(1, 6):
            database.fail_call(number, committed=committed)
        build(manager)
    agent = build(store.manager())
    await agent.invoke_async("a")
    assert_same(agent, restored(store, build))
    assert words_of(store.messages()) == ["before", "a", "one"]


async def test_close_stores_what_is_pending(store: Store) -> None:
    """`close()` writes what a failed event left behind."""
    model = ScriptedModel(["one"])
    build = agent_of(model)
    database = store.database()
    manager = store.manager(database)
    agent = build(manager)
    await agent.invoke_async("a")
    with database.outage(), pytest.raises(PerSQLError):
        await agent.invoke_async("b")
    assert manager.pending > 0
    manager.close()
    assert_same(agent, restored(store, build))


async def test_other_agents_of_the_manager(store: Store) -> None:
    """What one agent could not store goes along with the next event of another."""
    models = {"one": ScriptedModel(["a1"]), "two": ScriptedModel(["b1"])}
    builds = {name: agent_of(model, agent_id=name) for name, model in models.items()}
    database = store.database()
    manager = store.manager(database)
    agents = {name: build(manager) for name, build in builds.items()}
    await agents["two"].invoke_async("b")
    with database.outage(), pytest.raises(PerSQLError):
        await agents["one"].invoke_async("a")
    models["two"].play("b2")
    await agents["two"].invoke_async("c")
    fresh = store.manager()
    for name, build in builds.items():
        assert_same(agents[name], build(fresh))


async def test_two_writers(scenario: Any, store: Store) -> None:
    """Of two processes on one session the second to write is told, and nothing of the first is overwritten."""
    model = ScriptedModel(["one", "first's", "second's"])
    run: Scenario = scenario(agent_of(model))
    await run.turn("a")
    rival = restored(store, run.build)
    await run.turn("b")
    with pytest.raises(SessionConflictError) as caught:
        await rival.invoke_async("b too")
    assert caught.value.session_id == SESSION
    assert_same(run.agent, restored(store, run.build))
    assert_rows_sound(store)
    with pytest.raises(SessionConflictError):
        await rival.invoke_async("again")
    assert words_of(store.messages()) == ["a", "one", "b", "first's"]
    model.replies.clear()
    model.play("two")
    await run.turn("c")


async def test_two_first_writers(store: Store) -> None:
    """Two processes begin one session: the second is told."""
    build = agent_of(ScriptedModel(["one"]))
    first, second = build(store.manager()), build(store.manager())
    await first.invoke_async("a")
    with pytest.raises(SessionConflictError):
        await second.invoke_async("b")
    assert_same(first, restored(store, build))


@committed
async def test_rival_after_a_lost_answer(store: Store, committed: bool) -> None:
    """A rival writes between our failed request and its retry: that is a conflict, not our own write found again."""
    model = ScriptedModel(["one"])
    build = agent_of(model)
    database = store.database()
    agent = build(store.manager(database))
    await agent.invoke_async("a")
    with database.outage(committed=committed), pytest.raises(PerSQLError):
        await agent.invoke_async("b")
    rival = restored(store, build)
    model.play("rival's")
    await rival.invoke_async("c")
    model.play("mine")
    with pytest.raises(SessionConflictError):
        await agent.invoke_async("d")
    assert_same(rival, restored(store, build))
    assert_rows_sound(store)


async def test_state_after_a_rival_has_appended(store: Store) -> None:
    """The writer who was overtaken by a message is the one to be refused, also where it writes state alone."""
    model = ScriptedModel(["one", "two"])
    build = agent_of(model)
    first = build(store.manager())
    await first.invoke_async("a")
    second = restored(store, build)
    await second.invoke_async("b")
    first.state.set("overtaken", True)
    with pytest.raises(SessionConflictError) as caught:
        session_manager_of(first).sync_agent(first)
    assert caught.value.message_id == 3
    second.state.set("goes on", True)
    session_manager_of(second).sync_agent(second)
    assert_same(second, restored(store, build))


async def test_message_rewritten_through_the_repository(store: Store) -> None:
    """A message that was rewritten through the other door is not overwritten by a manager that knows the old one."""
    build = agent_of(ScriptedModel(["one"]))
    agent = build(store.manager())
    await agent.invoke_async("a")
    repository = PerSQLSessionRepository(store.database())
    stored = repository.read_message(SESSION, "default", 0)
    assert stored is not None
    stored.message["content"] = [{"text": "erased on request"}]
    repository.update_message(SESSION, "default", stored)
    agent.messages[0]["content"] = [{"text": "a, edited"}]
    with pytest.raises(SessionConflictError):
        session_manager_of(agent).sync_agent(agent)
    assert "erased on request" in str(restored(store, build).messages)


@pytest.mark.parametrize("state", [None, {"interrupt_state": "x"}, {"interrupt_state": {"interrupts": 5}}])
async def test_agent_row_that_no_agent_takes(store: Store, state: Any) -> None:
    """A row changed by hand so that no agent can be made of it: a clear error at construction, nothing changed."""
    build = agent_of(ScriptedModel(["one"]))
    await build(store.manager()).invoke_async("a")
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        (text,) = connection.execute("SELECT data FROM strands_agents").fetchone()
        spoiled = json.dumps({**json.loads(text), "_internal_state": state})
        connection.execute("UPDATE strands_agents SET data = ?", (spoiled,))
        connection.commit()
    with pytest.raises(SessionDataError, match="agent 'default'"):
        build(store.manager())
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT data FROM strands_agents").fetchone() == (spoiled,)


async def test_created_at_with_a_quote(store: Store) -> None:
    """Whatever a row's `created_at` holds, rewriting the message leaves a row that can be read."""
    build = agent_of(ScriptedModel(["one"]))
    await build(store.manager()).invoke_async("a")
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        (text,) = connection.execute("SELECT data FROM strands_messages WHERE message_id = 0").fetchone()
        odd = json.dumps({**json.loads(text), "created_at": 'by "hand"'})
        connection.execute("UPDATE strands_messages SET data = ? WHERE message_id = 0", (odd,))
        connection.commit()
    agent = build(store.manager())
    agent.messages[0]["content"] = [{"text": "edited"}]
    session_manager_of(agent).sync_agent(agent)
    assert_same(agent, restored(store, build))


def session_manager_of(agent: Any) -> Any:
    return agent._session_manager
