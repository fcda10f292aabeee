"""Two writers on one session: the second one's first write fails, and nothing of the first is overwritten."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import pytest
from strands import Agent
from strands.multiagent import GraphBuilder
from strands.multiagent.graph import Graph

from strands_persql import SessionConflictError
from strands_persql.client import RemoteDatabase

from ...processes import python
from ..agents import agent_of
from ..harness import (
    SESSION,
    Build,
    Scenario,
    assert_same,
    restored,
    words_of,
)
from ..scripted import (
    ScriptedModel,
    redact_user,
    tools,
    use,
)
from .places import Remote

REMEDIES = ("one writer per session", "new PerSQLSessionManager", "fork")


@pytest.fixture(autouse=True)
def _processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client stands for a process of its own: managers of one process succeed each other."""
    monkeypatch.setattr(RemoteDatabase, "identity", property(id))


def writes(remote: Remote) -> list[str]:
    """The statements that reached the service and were not questions."""
    return [sql for record in remote.emulator.log for sql in record.sql if not sql.startswith("SELECT")]


def assert_tells(error: SessionConflictError, *, message_id: int | None, known: bool = True) -> None:
    """It names what collided, what differs (both revisions, where it is these), and the remedies."""
    text = str(error)
    assert (error.session_id, error.message_id) == (SESSION, message_id)
    assert error.agent_id in ("default", "graph")
    assert repr(SESSION) in text and repr(error.agent_id) in text
    if message_id is not None:
        assert f"message {message_id} " in text
    assert bool(error.expected_revision) is known
    assert isinstance(error.stored_revision, int)
    if error.expected_revision == error.stored_revision:
        assert "another message is stored there" in text and str(error.expected_revision) not in text
    else:
        assert str(error.expected_revision or "none") in text and str(error.stored_revision) in text
    for remedy in REMEDIES:
        assert remedy in text


async def assert_closed(remote: Remote, manager: Any, agent: Any) -> None:
    """A manager that lost sends nothing more, whatever is asked of it, and says why each time."""
    before = remote.rows()
    remote.emulator.reset()
    for attempt in (lambda: agent.invoke_async("again"), manager.aflush, manager.aclose):
        with pytest.raises(SessionConflictError, match="one writer"):
            await attempt()
    with pytest.raises(SessionConflictError):
        manager.sync_agent(agent)
    assert remote.emulator.requests == 0
    assert remote.rows() == before


async def begun(remote: Remote, model: ScriptedModel) -> tuple[Build, Scenario]:
    """A session with a turn in it."""
    build = agent_of(model)
    run = Scenario(remote, build)
    model.play("one")
    await run.turn("a")
    return build, run


@pytest.mark.parametrize("begin", [True, False], ids=["going on", "new session"])
async def test_messages(either: Remote, begin: bool) -> None:
    """Two agents that restored the same history: the second to speak loses, and keeps its words."""
    model = ScriptedModel()
    build = agent_of(model)
    if begin:
        await begun(either, model)
    managers = [either.manager(), either.manager()]
    first, second = (build(manager) for manager in managers)
    model.play("two")
    await first.invoke_async("b")
    before = either.rows()
    either.emulator.reset()
    with pytest.raises(SessionConflictError) as caught:
        await second.invoke_async("mine")
    assert_tells(caught.value, message_id=2 if begin else 0, known=begin)
    assert either.rows() == before
    assert words_of(second.messages)[-1] == "mine"
    await assert_closed(either, managers[1], second)
    assert words_of(second.messages)[-2:] == ["mine", "again"]
    model.play("three")
    await first.invoke_async("c")
    assert_same(first, restored(either, build))
    assert words_of(either.messages()) == [*(["a", "one"] if begin else []), "b", "two", "c", "three"]


async def test_takeover(either: Remote) -> None:
    """A new manager on the session goes on, and the old one notices with its next write."""
    model = ScriptedModel()
    build, old = await begun(either, model)
    manager = either.manager()
    new = build(manager)
    model.play("two")
    await new.invoke_async("b")
    with pytest.raises(SessionConflictError) as caught:
        await old.turn("mine", check=False)
    assert_tells(caught.value, message_id=2)
    await assert_closed(either, old.manager, old.agent)
    model.play("three")
    await new.invoke_async("c")
    assert_same(new, restored(either, build))
    # The loser takes over in its turn, by beginning anew.
    model.play("four")
    again = build(either.manager())
    await again.invoke_async("d")
    assert words_of(again.messages) == ["a", "one", "b", "two", "c", "three", "d", "four"]
    with pytest.raises(SessionConflictError):
        await new.invoke_async("late")


async def test_agent_state(either: Remote) -> None:
    """The same of state alone."""
    model = ScriptedModel()
    build, _ = await begun(either, model)
    managers = [either.manager(), either.manager()]
    first, second = (build(manager) for manager in managers)
    first.state.set("who", "first")
    managers[0].sync_agent(first)
    before = either.rows()
    second.state.set("who", "second")
    with pytest.raises(SessionConflictError) as caught:
        managers[1].sync_agent(second)
    assert_tells(caught.value, message_id=None)
    assert either.rows() == before
    assert second.state.get("who") == "second"
    await assert_closed(either, managers[1], second)


@pytest.mark.parametrize("change", ["state", "redaction", "edit"])
async def test_changes_after_a_rivals_message(either: Remote, change: str) -> None:
    """A rival that only appended changed no revision: what would go past its message is refused all the same."""
    model = ScriptedModel()
    build, old = await begun(either, model)
    rival = build(either.manager())
    model.play("two")
    await rival.invoke_async("b")
    before = either.rows()
    if change == "state":
        old.agent.state.set("who", "old")
        with pytest.raises(SessionConflictError):
            old.manager.sync_agent(old.agent)
    elif change == "edit":
        old.agent.messages[0]["content"].append({"text": "edited"})
        old.agent.state.set("who", "old")
        with pytest.raises(SessionConflictError):
            old.manager.sync_agent(old.agent)
    else:
        model.play(redact_user("redacted"))
        with pytest.raises(SessionConflictError):
            await old.turn("SECRET", check=False)
    assert either.rows() == before
    await assert_closed(either, old.manager, old.agent)
    model.play("three")
    await rival.invoke_async("c")
    assert_same(rival, restored(either, build))


def graph_of(model: ScriptedModel, manager: Any) -> Graph:
    """A graph of one node, as every process builds it."""
    builder = GraphBuilder()
    builder.add_node(Agent(model=model, name="node", agent_id="node", callback_handler=None), "node")
    builder.set_entry_point("node")
    builder.set_graph_id("graph")
    builder.set_execution_timeout(300)
    builder.set_session_manager(manager)
    return builder.build()


@pytest.mark.parametrize("begin", [True, False], ids=["going on", "new session"])
async def test_multi_agent_state(either: Remote, begin: bool) -> None:
    """The same of a Graph's state."""
    model = ScriptedModel()
    if begin:
        model.play("begun")
        await graph_of(model, either.manager()).invoke_async("task 0")
    managers = [either.manager(), either.manager()]
    first, second = (graph_of(model, manager) for manager in managers)
    model.play("one")
    await first.invoke_async("task 1")
    before = either.rows()
    model.play("two")
    with pytest.raises(SessionConflictError) as caught:
        await second.invoke_async("task 2")
    assert_tells(caught.value, message_id=None, known=begin)
    assert "multi-agent 'graph'" in str(caught.value)
    assert either.rows() == before
    with pytest.raises(SessionConflictError):
        managers[1].sync_multi_agent(second)
    with pytest.raises(SessionConflictError):
        managers[1].flush()
    assert either.rows() == before


async def test_in_the_midst_of_a_turn(either: Remote) -> None:
    """A rival that takes over while a tool runs: nothing of either is mixed into the other."""
    model, model_of_rival = ScriptedModel(), ScriptedModel()
    build, old = await begun(either, model)
    taken: list[Any] = []

    async def take_over() -> None:
        rival = agent_of(model_of_rival)(either.manager())
        model_of_rival.play("rival's")
        await rival.invoke_async("rival")
        taken.append(rival)

    model.play(tools(use("add", {"a": 1, "b": 2}), before=take_over), "never")
    with pytest.raises(Exception) as caught:
        await old.turn("b", check=False)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    conflict = next(each for each in chain if isinstance(each, SessionConflictError))
    assert_tells(conflict, message_id=3)
    assert words_of(either.messages()) == ["a", "one", "b", "rival", "rival's"]
    assert_same(taken[0], restored(either, build))


async def test_two_processes(remote: Remote) -> None:
    """Two processes that restored the same history: one goes on, the other is told and keeps its words."""
    model = ScriptedModel()
    build, _ = await begun(remote, model)
    where = (remote.emulator.url, remote.emulator.token(), remote.emulator.name)

    def start(prompt: str) -> subprocess.Popen[str]:
        command = [*python(), "-m", "tests.agents.remote.process", *where, prompt]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(process.communicate("go\n", timeout=120)[0].splitlines()[-1])
        return told

    processes = [start("first"), start("second")]
    for process in processes:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
    first = await asyncio.to_thread(outcome, processes[0])
    before = remote.rows()
    second = await asyncio.to_thread(outcome, processes[1])
    assert first["conflict"] is None
    assert repr(SESSION) in second["conflict"] and all(remedy in second["conflict"] for remedy in REMEDIES)
    assert second["message_id"] == 2
    assert second["words"] == ["a", "one", "second"]
    assert remote.rows() == before
    assert words_of(restored(remote, build).messages) == ["a", "one", "first", "answer to first"]
