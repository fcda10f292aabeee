"""However an invocation ends, and whatever becomes of its manager: all that was said is stored."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
from typing import Any

import anyio
import pytest
from strands import Agent
from strands.hooks import AfterInvocationEvent, HookProvider, HookRegistry

from strands_persql import PerSQLHooks, PerSQLSessionManager
from strands_persql.engine import leftovers
from strands_persql.engine.ordering import is_ordered
from strands_persql.errors import PerSQLError, SessionConflictError

from ..processes import ROOT, python
from .agents import agent_of
from .features import needs_order
from .harness import Durability, Scenario, Store, soon, user, words_of
from .scripted import Pause, ScriptedModel, text, tools, use

EVERY: list[Any] = ["message", "overlap", "invocation"]


def failing(event: AfterInvocationEvent) -> None:
    """A hook at the end of an invocation."""
    raise RuntimeError("the metrics are away")


class Metrics(HookProvider):
    """Registers it with the agent's constructor."""

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        registry.add_callback(AfterInvocationEvent, failing)


@pytest.mark.parametrize("kind", ["manager", "mirror"])
@pytest.mark.parametrize("durability", EVERY)
async def test_a_hook_that_raises(store: Store, durability: Durability, kind: str) -> None:
    """What an invocation leaves is handed over before the user's hooks are called."""
    model = ScriptedModel(["one!", tools(use("add", {"a": 1, "b": 2})), "two!"])
    database = store.database()
    mirror = PerSQLHooks("session-1", database, durability=durability)
    if kind == "manager":
        agent = agent_of(model, hooks=lambda: [Metrics()])(store.manager(database, durability=durability))
    else:
        agent = agent_of(model, hooks=lambda: [mirror, Metrics()])(None)
    if is_ordered(agent.hooks):  # elsewhere what is registered now comes first at an end
        agent.hooks.add_callback(AfterInvocationEvent, failing)
    for prompt in ("one", "two"):
        agent.state.set("asked", prompt)
        with pytest.raises(RuntimeError, match="away"):
            await agent.invoke_async(prompt)
    recording: Any = (agent._session_manager or mirror)._recording  # type: ignore[union-attr]
    if recording.writer._behind is not None:  # what was handed over; nothing is flushed
        await asyncio.wrap_future(recording.writer._behind)
    assert words_of(store.messages()) == ["one", "one!", "two", "two!"]
    assert store.rows()["agents"][0]["data"]["state"] == {"asked": "two"}


@pytest.mark.parametrize("where", ["model", "hook"])
@pytest.mark.parametrize("how", ["anyio", "asyncio"])
@pytest.mark.parametrize("durability", EVERY)
async def test_a_client_that_leaves(store: Store, durability: Durability, how: str, where: str) -> None:
    """A cancelled request whose manager is never closed: what its user said is stored once both are garbage."""
    pause = Pause()
    database = store.database()

    async def request() -> None:
        manager = PerSQLSessionManager("session-1", database, durability=durability)
        model = ScriptedModel([text("one!", before=pause if where == "model" else None)])
        agent = Agent(model=model, session_manager=manager, callback_handler=None)

        async def slow(event: AfterInvocationEvent) -> None:
            await (asyncio.sleep(0) if where == "model" else pause())

        agent.hooks.add_callback(AfterInvocationEvent, slow)
        await agent.invoke_async("one")

    if how == "anyio":
        async with anyio.create_task_group() as group:
            group.start_soon(request)
            await soon(pause.reached.wait())
            group.cancel_scope.cancel()
    else:
        task = asyncio.ensure_future(request())
        await soon(pause.reached.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    again = await PerSQLSessionManager.open("session-1", database)
    agent = Agent(model=ScriptedModel(), session_manager=again, callback_handler=None)
    assert words_of(agent.messages) == (["one"] if where == "model" else ["one", "one!"])


@pytest.mark.slow
async def test_garbage(store: Store) -> None:
    """A manager that is gone, with its agent, leaves nothing unstored."""
    database = store.database()

    def built() -> None:
        agent_of(ScriptedModel(), messages=[user("hello")])(
            PerSQLSessionManager("session-1", database, durability="invocation")
        )

    built()
    gc.collect()
    for _ in range(3000):
        if database.requests and words_of(store.messages()):
            break
        await asyncio.sleep(0.01)
    assert words_of(store.messages()) == ["hello"]


@pytest.mark.slow
async def test_garbage_after_a_failure(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """What has failed is not tried again behind the user's back, and the log says so once."""
    database = store.database()

    async def turn() -> None:
        agent = agent_of(ScriptedModel(["never"]))(PerSQLSessionManager("session-1", database))
        with database.outage(), pytest.raises(PerSQLError):
            await agent.invoke_async("hello")

    await turn()
    database.clear()
    with caplog.at_level(logging.ERROR, logger="strands_persql"):
        for _ in range(100):
            gc.collect()
            if caplog.records:
                break
            await asyncio.sleep(0.1)
    assert ["session-1" in record.getMessage() for record in caplog.records] == [True]
    assert not database.requests


async def test_the_next_event(store: Store) -> None:
    """What an invocation has left, its end never heard of, goes with the beginning of the next."""
    store.durability = "invocation"
    run = Scenario(store, agent_of(ScriptedModel(["one!", "two!"])), at_once=False)
    run.manager._recording.agents.added(run.agent)  # nothing to add yet
    await run.turn("one")
    run.agent.messages.append(user("left"))  # type: ignore[arg-type]
    run.manager._recording.agents.added(run.agent)
    pause = Pause()
    run.agent.model.play(text("three!", before=pause))  # type: ignore[attr-defined]
    run.agent.model.replies.reverse()  # type: ignore[attr-defined]
    task = asyncio.ensure_future(run.agent.invoke_async("two"))
    await soon(pause.reached.wait())
    behind: Any = run.manager._recording.writer._behind
    if behind is not None:  # it is written already
        await asyncio.wrap_future(behind)
    assert words_of(store.messages())[:3] == ["one", "one!", "left"]
    pause.go_on.set()
    await task


ENDS = """
import sys, logging
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
from strands import Agent
from strands_persql import PerSQL, PerSQLSessionManager
from tests.agents.scripted import ScriptedModel
db = PerSQL(local=sys.argv[1]).database("test/sessions")
manager = PerSQLSessionManager("session-1", db, durability="invocation")
messages = [{"role": "user", "content": [{"text": "hello"}]}]
agent = Agent(model=ScriptedModel(), session_manager=manager, messages=messages, callback_handler=None)
print(manager.pending)
"""


@pytest.mark.slow
def test_the_end_of_the_interpreter(store: Store) -> None:
    """A process that ends with rows pending stores them, and says so once."""
    ended = subprocess.run([*python(), "-c", ENDS, store.path], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout.split() == ["2"]
    [line] = ended.stderr.splitlines()
    assert line.startswith("WARNING strands_persql") and "sessions=<1>, rows=<2>, lost=<0>" in line
    assert words_of(store.messages()) == ["hello"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_conflict_that_was_raised(store: Store, caplog: pytest.LogCaptureFixture, is_async: bool) -> None:
    """Whoever closes a manager after a conflict was told: nothing is logged when it goes, or when another one comes."""
    database = store.database()
    late, first = store.manager(database), store.manager()
    agent = agent_of(ScriptedModel(["late!"]))(late)
    agent_of(ScriptedModel(["one!"]))(first)("one")
    with pytest.raises(SessionConflictError):
        agent("late")
    with pytest.raises(SessionConflictError):
        await late.aclose() if is_async else late.close()
    agent_of(ScriptedModel())(store.manager(database))
    leftovers._leftovers.at_end()
    store._open.remove(late)
    del agent, late
    gc.collect()
    assert caplog.messages == []
    assert words_of(store.messages()) == ["one", "one!"]


def test_a_conflict_that_was_left(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A manager that nobody closes is told of by the next one of its process, and by nobody after that."""
    database = store.database()
    late, first = store.manager(database), store.manager()
    agent = agent_of(ScriptedModel(["late!"]))(late)
    agent_of(ScriptedModel(["one!"]))(first)("one")
    with pytest.raises(SessionConflictError):
        agent("late")
    for _ in range(2):
        agent_of(ScriptedModel())(store.manager(database))
    leftovers._leftovers.at_end()
    store._open.remove(late)
    del agent, late
    gc.collect()
    [line] = caplog.messages
    assert "an earlier agent of this process" in line


def test_the_end_of_a_child_process(store: Store) -> None:
    """What is pending in a parent process is not its child's to store."""
    manager = store.manager(durability="invocation")
    agent_of(ScriptedModel(), messages=[user("hello")])(manager)
    assert manager.pending == 2
    leftovers._leftovers.after_fork()
    manager._recording.writer.after_fork()
    leftovers._leftovers.at_end()
    assert manager.pending == 2


@needs_order
async def test_a_hook_with_the_highest_order(store: Store) -> None:
    """An edit of the history by the very last of the user's hooks is stored by the same invocation."""
    run = Scenario(store, agent_of(ScriptedModel(["one!"])))

    def edit(event: AfterInvocationEvent) -> None:
        event.agent.messages[0]["content"] = [{"text": "edited"}]

    run.agent.hooks.add_callback(AfterInvocationEvent, edit, order=10**6)
    await run.turn("one")


@pytest.mark.parametrize("durability", EVERY)
async def test_by_hand(store: Store, durability: Durability) -> None:
    """What is handed over by hand is stored when the call returns."""
    store.durability = durability
    run = Scenario(store, agent_of(ScriptedModel(["one!"])))
    await run.turn("one")
    run.agent.state.set("key", 1)
    run.manager.sync_agent(run.agent)
    assert run.manager.pending == 0
    assert store.rows()["agents"][0]["data"]["state"] == {"key": 1}
    run.manager.append_message(user("by hand"), run.agent)  # type: ignore[arg-type]
    assert run.manager.pending == 0
    assert words_of(store.messages()) == ["one", "one!", "by hand"]
