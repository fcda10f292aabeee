"""Stop, and ask again: a cut-off request's agent may still be at work, and the next request goes on undisturbed."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from strands import Agent
from strands.multiagent import GraphBuilder
from strands.types.exceptions import SessionException

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager, SessionConflictError
from strands_persql.testing import stored_rows

from .harness import Durability, RecordingDatabase, soon, words_of
from .scripted import Pause, ScriptedModel, text
from .test_cancellation import Held

EVERY: list[Any] = ["message", "overlap", "invocation"]


@pytest.fixture
def db() -> Iterator[RecordingDatabase]:
    """The handle that all requests of a server share."""
    with PerSQL(local=":memory:") as client:
        yield RecordingDatabase(client.database("acme/agents"))


def transcript(db: Any, agent_id: str = "default") -> list[str]:
    """What is stored of an agent."""
    rows = stored_rows(db)["messages"]
    return words_of([row["data"]["message"] for row in rows if row["agent_id"] == agent_id])


def agent_for(db: Any, *replies: Any, durability: Durability = "message", **options: Any) -> Agent:
    """A request's agent, with a manager of its own."""
    manager = PerSQLSessionManager("ada", db, durability=durability)
    return Agent(model=ScriptedModel(list(replies)), session_manager=manager, callback_handler=None, **options)


async def paused(agent: Agent, prompt: str, pause: Pause) -> asyncio.Task[Any]:
    """An invocation that is at work in the model."""
    task = asyncio.ensure_future(agent.invoke_async(prompt))
    await soon(pause.reached.wait())
    return task


@pytest.mark.parametrize("opened", [False, True], ids=["constructor", "open"])
@pytest.mark.parametrize("durability", EVERY)
async def test_the_next_request_takes_over(
    db: RecordingDatabase, durability: Durability, opened: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It knows what the user said before; what the earlier agent says from then on is dropped, and hurts nobody."""
    pause = Pause()
    first = agent_for(db, text("too late", before=pause), "never", durability=durability)
    task = await paused(first, "one", pause)
    if opened:
        manager = await PerSQLSessionManager.open("ada", db, durability=durability)
        second = Agent(model=ScriptedModel(["two!", "three!"]), session_manager=manager, callback_handler=None)
    else:
        second = agent_for(db, "two!", "three!", durability=durability)
    assert words_of(second.messages) == ["one"]
    await second.invoke_async("two")
    pause.go_on.set()
    with caplog.at_level(logging.DEBUG, logger="strands_persql"):
        await task
    assert [record.levelname for record in caplog.records if "succession" in record.name] == ["DEBUG", "WARNING"]
    await second.invoke_async("three")
    assert transcript(db) == ["one", "two", "two!", "three", "three!"]
    with pytest.raises(SessionConflictError, match="taken over"):
        await first.invoke_async("four")
    assert transcript(db) == words_of(agent_for(db).messages) == ["one", "two", "two!", "three", "three!"]


@pytest.mark.parametrize("durability", EVERY)
async def test_a_write_under_way_is_waited_for(db: RecordingDatabase, durability: Durability) -> None:
    """A scope is cancelled in mid-write: who opens the session next waits off the loop, then reads all of it."""

    class Run:
        database = db

    async def request() -> None:
        async with await PerSQLSessionManager.open("ada", db, durability=durability) as manager:
            agent = Agent(model=ScriptedModel(["one!"]), session_manager=manager, callback_handler=None)
            await agent.invoke_async("one")

    await agent_for(db, "hi!").invoke_async("hi")
    held = Held(Run(), 2)  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        group.start_soon(request)
        await soon(held.reached.wait())
        group.cancel_scope.cancel()
    opening = asyncio.ensure_future(PerSQLSessionManager.open("ada", db, durability=durability))
    await asyncio.sleep(0)
    assert not opening.done()
    held.release()
    agent = Agent(model=ScriptedModel(["two!"]), session_manager=await opening, callback_handler=None)
    assert words_of(agent.messages)[2] == "one"
    await agent.invoke_async("two")
    assert transcript(db)[-2:] == ["two", "two!"]


@pytest.mark.parametrize("durability", EVERY)
async def test_a_look_takes_nothing_over(db: RecordingDatabase, durability: Durability) -> None:
    """An agent that is built in the midst of another's invocation, and only looked at, costs that one nothing."""
    pause = Pause()
    agent = agent_for(db, text("one!", before=pause), "two!", durability=durability)
    task = await paused(agent, "one", pause)
    look = agent_for(db)
    assert words_of(look.messages) == ["one"]
    pause.go_on.set()
    await task
    await agent.invoke_async("two")
    assert transcript(db) == ["one", "one!", "two", "two!"]
    with pytest.raises(SessionConflictError, match="was changed by another writer"):
        await look.invoke_async("I know half of it")
    assert transcript(db) == ["one", "one!", "two", "two!"]


@pytest.mark.parametrize("durability", EVERY)
async def test_what_is_stored_before_the_next_invocation(db: RecordingDatabase, durability: Durability) -> None:
    """The earlier invocation ends between the next agent's construction and its invocation: both go into the record."""
    pause = Pause()
    first = agent_for(db, text("one!", before=pause), durability=durability)
    task = await paused(first, "one", pause)
    second = agent_for(db, "two!", "three!", durability=durability)
    pause.go_on.set()
    await task
    await second.invoke_async("two")
    await second.invoke_async("three")
    assert transcript(db) == ["one", "one!", "two", "two!", "three", "three!"]
    assert words_of(second.messages) == words_of(agent_for(db).messages)


async def test_agents_of_other_ids_go_on(db: RecordingDatabase) -> None:
    """Managers of one session, each with an agent of its own, are no successors of one another."""
    pause = Pause()
    ada = agent_for(db, text("one!", before=pause), "three!", agent_id="a")
    task = await paused(ada, "one", pause)
    await agent_for(db, "two!", agent_id="b").invoke_async("two")
    pause.go_on.set()
    await task
    await ada.invoke_async("three")
    assert transcript(db, "a") == ["one", "one!", "three", "three!"]
    assert transcript(db, "b") == ["two", "two!"]


async def test_a_successor_that_is_gone_leaves_the_session(db: RecordingDatabase) -> None:
    """An agent goes on where the one that took over has written nothing, and is gone."""
    agent = agent_for(db, "one!", "two!")
    await agent.invoke_async("one")
    successor = PerSQLSessionManager("ada", db)._recording
    successor.settle(("agent", "default"))
    assert not successor.writer.succession.begins(("agent", "default"))
    with pytest.raises(SessionConflictError, match="taken over"):
        await agent.invoke_async("two")
    del successor
    gc.collect()
    await agent.invoke_async("two")
    assert transcript(db) == ["one", "one!", "two", "two!"]


@pytest.mark.parametrize("on_error", ["raise", "log"])
async def test_mirrors(db: RecordingDatabase, on_error: Any) -> None:
    """A mirror made for each request follows the same rule."""

    def mirrored(*replies: Any, messages: Any = None) -> Agent:
        hooks: list[Any] = [PerSQLHooks("ada", db, on_error=on_error)]
        return Agent(model=ScriptedModel(list(replies)), hooks=hooks, messages=messages, callback_handler=None)

    pause = Pause()
    first = mirrored(text("too late", before=pause))
    task = await paused(first, "one", pause)
    second = mirrored("two!", "three!", messages=list(first.messages))
    await second.invoke_async("two")
    pause.go_on.set()
    await task
    await second.invoke_async("three")
    assert transcript(db) == ["one", "two", "two!", "three", "three!"]


async def test_graphs(db: RecordingDatabase) -> None:
    """A Graph whose run was cut off goes on in mid-run while the next one runs."""

    def graph_of(*replies: Any) -> Any:
        builder = GraphBuilder()
        builder.add_node(Agent(model=ScriptedModel(list(replies)), agent_id="n", callback_handler=None), "n")
        builder.set_execution_timeout(60)
        builder.set_session_manager(PerSQLSessionManager("ada", db))
        return builder.build()

    pause = Pause()
    first = graph_of(text("too late", before=pause))
    task = asyncio.ensure_future(first.invoke_async("one"))
    await soon(pause.reached.wait())
    second = graph_of("two!", "three!")
    await second.invoke_async("two")
    pause.go_on.set()
    await task
    await second.invoke_async("three")
    [row] = stored_rows(db)["multi_agents"]
    assert row["data"]["current_task"] == "three"


@pytest.mark.parametrize("kind", ["manager", "mirror"])
def test_two_graphs_of_one_id(db: RecordingDatabase, kind: str) -> None:
    """Two live Graphs with one id would overwrite each other: the second can't be built."""
    manager = PerSQLSessionManager("ada", db)
    mirror = PerSQLHooks("ada", db, on_error="log")

    def graph_of(graph_id: str) -> Any:
        builder = GraphBuilder()
        builder.add_node(Agent(model=ScriptedModel(["ok", "ok"]), agent_id=graph_id, callback_handler=None), "n")
        builder.set_execution_timeout(60)
        builder.set_graph_id(graph_id)
        if kind == "manager":
            builder.set_session_manager(manager)
        else:
            builder.set_hook_providers([mirror])
        return builder.build()

    first, other = graph_of("one"), graph_of("other")
    with pytest.raises(SessionException, match="'one' is part of session 'ada' already"):
        graph_of("one")
    first("go on")
    del first
    again = graph_of("one")
    again("go on")
    assert again.id != other.id


def test_a_forked_child_has_its_sessions_to_itself(db: RecordingDatabase) -> None:
    """What the parent's agents have taken over from each other means nothing in a child process."""
    first, second = (PerSQLSessionManager("ada", db)._recording.writer for _ in range(2))
    owner = ("agent", "default")
    assert not first.succession.begins(owner)  # type: ignore[arg-type]
    assert not second.succession.begins(owner)  # type: ignore[arg-type]
    first.after_fork()
    assert not first.succession.begins(owner)  # type: ignore[arg-type]
