"""Graphs and Swarms: their state is stored after each node, and a new process goes on where the old one died."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.hooks import AfterNodeCallEvent, BeforeNodeCallEvent
from strands.multiagent import GraphBuilder, Swarm
from strands.multiagent.base import MultiAgentBase
from strands.multiagent.graph import Graph

from strands_persql import PerSQLError, SessionConflictError

from ..processes import python
from .agents import PIXEL, agent_of
from .harness import SESSION, RecordingDatabase, Store, assert_same, canonical, restored, soon, words_of
from .scripted import Pause, ScriptedModel, fail, text, tools, use

VOLATILE = ("execution_time", "accumulated_usage", "accumulated_metrics")


def graph_of(
    models: dict[str, ScriptedModel],
    edges: list[tuple[str, str]],
    *,
    entries: tuple[str, ...] = (),
    hooks: list[Any] | None = None,
    graph_id: str = "graph",
) -> Callable[[Any], Graph]:
    """How each process builds its graph."""

    def build(manager: Any) -> Graph:
        builder = GraphBuilder()
        for name, model in models.items():
            builder.add_node(Agent(model=model, name=name, agent_id=name, callback_handler=None), name)
        for edge in edges:
            builder.add_edge(*edge)
        for entry in entries or tuple(models)[:1]:
            builder.set_entry_point(entry)
        builder.set_graph_id(graph_id)
        builder.set_execution_timeout(300)
        builder.set_session_manager(manager)
        if hooks is not None:
            builder.set_hook_providers(hooks)
        return builder.build()

    return build


def swarm_of(models: dict[str, ScriptedModel], *, hooks: list[Any] | None = None) -> Callable[[Any], Swarm]:
    """How each process builds its swarm."""

    def build(manager: Any) -> Swarm:
        nodes = [Agent(model=model, name=name, agent_id=name, callback_handler=None) for name, model in models.items()]
        return Swarm(nodes, session_manager=manager, id="swarm", hooks=hooks)

    return build


def hand_to(name: str, **context: Any) -> Any:
    """A node's answer that hands off to another node."""
    return tools(use("handoff_to_agent", {"agent_name": name, "message": f"over to {name}", "context": context}))


def stored(store: Store, multi_agent_id: str = "graph") -> dict[str, Any]:
    """The one stored state of a graph or swarm."""
    rows = [row for row in store.rows()["multi_agents"] if row["multi_agent_id"] == multi_agent_id]
    assert len(rows) == 1
    assert rows[0]["session_id"] == SESSION
    data: dict[str, Any] = rows[0]["data"]
    return data


def assert_stored(store: Store, live: MultiAgentBase) -> None:
    """The stored state is the live one, running times apart."""
    expected, found = live.serialize_state(), stored(store, live.id)
    for key, value in expected.items():
        if key not in VOLATILE:
            assert canonical(_timeless(found[key])) == canonical(_timeless(value)), key


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in VOLATILE}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


async def call(mode: str, source: Any, task: Any) -> Any:
    """Run a graph or swarm, in either form."""
    return source(task) if mode == "sync" else await source.invoke_async(task)


LINE = [("a", "b"), ("b", "c")]


async def test_linear_graph(store: Store, mode: str) -> None:
    """A graph that runs through leaves its final state; a new process starts it afresh."""
    models = {name: ScriptedModel([f"{name} one", f"{name} two"]) for name in "abc"}
    build = graph_of(models, LINE)
    graph = build(store.manager())
    result = await call(mode, graph, "task")
    assert [node.node_id for node in result.execution_order] == ["a", "b", "c"]
    assert stored(store)["status"] == "completed"
    assert_stored(store, graph)
    again = build(store.manager())
    result = await call(mode, again, "task two")
    assert [node.node_id for node in result.execution_order] == ["a", "b", "c"]
    assert_stored(store, again)


async def test_state_after_each_node(store: Store, mode: str) -> None:
    """By the time a node runs, the state with the nodes before it is stored."""
    models = {name: ScriptedModel([f"{name} one"]) for name in "abc"}
    seen: list[tuple[list[str], list[str]]] = []
    for name in "bc":
        models[name].replies[0].before = lambda: seen.append(
            (stored(store)["completed_nodes"], stored(store)["next_nodes_to_execute"])
        )
    graph = graph_of(models, LINE)(store.manager())
    await call(mode, graph, "task")
    assert [sorted(completed) for completed, _ in seen] == [["a"], ["a", "b"]]
    assert [following for _, following in seen] == [["b"], ["c"]]


async def test_graph_killed_in_mid_run(store: Store) -> None:
    """A process that dies while the second node runs: the next one goes on with it and repeats nothing."""
    pause = Pause()
    models = {"a": ScriptedModel(["a one"]), "b": ScriptedModel([text("lost", before=pause)]), "c": ScriptedModel()}
    graph = graph_of(models, LINE)(store.manager())
    task = asyncio.ensure_future(graph.invoke_async("the task"))
    await soon(pause.reached.wait())

    fresh = {"a": ScriptedModel(), "b": ScriptedModel(["b one"]), "c": ScriptedModel(["c one"])}
    resumed = graph_of(fresh, LINE)(store.manager())
    assert resumed.state.task == "the task"
    result = await resumed.invoke_async("the task")
    assert fresh["a"].calls == []
    assert "a one" in str(fresh["b"].calls[0])
    assert {name: str(node.result) for name, node in result.results.items()} == {
        "a": "a one\n",
        "b": "b one\n",
        "c": "c one\n",
    }
    assert_stored(store, resumed)

    task.cancel()
    with pytest.raises((asyncio.CancelledError, SessionConflictError)):
        await task


def test_graph_killed_by_the_system(store: Store) -> None:
    """A process that is really killed in the middle of its second node; this one goes on."""
    script = Path(__file__).with_name("killed_graph.py")
    ended = subprocess.run(
        [*python(), "-m", f"{__package__}.killed_graph", str(store.path)],
        cwd=script.parents[len(__package__.split("."))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 9, ended.stderr
    fresh = {"a": ScriptedModel(), "b": ScriptedModel(["b one"]), "c": ScriptedModel(["c one"])}
    resumed = graph_of(fresh, LINE)(store.manager())
    resumed("task")
    assert fresh["a"].calls == []
    assert stored(store)["status"] == "completed"


DIAMOND = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "e"), ("c", "e"), ("d", "e")]


@pytest.mark.parametrize("order", ["bcd", "dcb", "cdb"])
async def test_parallel_nodes(store: Store, order: str) -> None:
    """Nodes that run side by side and finish in any order: each is in the stored state once it has finished."""
    pauses = {name: Pause() for name in "bcd"}
    models = {name: ScriptedModel([text(f"{name} one", before=pauses.get(name))]) for name in "abcde"}
    graph = graph_of(models, DIAMOND)(store.manager())
    finished: asyncio.Queue[str] = asyncio.Queue()

    def after(event: AfterNodeCallEvent) -> None:
        finished.put_nowait(event.node_id)

    graph.hooks.add_callback(AfterNodeCallEvent, after)
    task = asyncio.ensure_future(graph.invoke_async("task"))
    await soon(asyncio.gather(*(pause.reached.wait() for pause in pauses.values())))
    assert await soon(finished.get()) == "a"
    done = {"a"}
    for name in order:
        pauses[name].go_on.set()
        assert await soon(finished.get()) == name
        done.add(name)
        if name != order[-1]:
            await _until(lambda: set(stored(store)["completed_nodes"]) == done)
    await task
    assert stored(store)["status"] == "completed"
    assert set(stored(store)["completed_nodes"]) == set("abcde")
    assert_stored(store, graph)


async def test_older_state_never_overwrites_newer(store: Store) -> None:
    """A write that the database holds up while other nodes finish does not undo them."""
    pauses = {name: Pause() for name in "bcd"}
    models = {name: ScriptedModel([text(f"{name} one", before=pauses.get(name))]) for name in "abcde"}
    database = store.database()
    graph = graph_of(models, DIAMOND)(store.manager(database))
    task = asyncio.ensure_future(graph.invoke_async("task"))
    await soon(asyncio.gather(*(pause.reached.wait() for pause in pauses.values())))

    loop, held, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def hold(request: Any) -> None:
        database.on_call = None
        loop.call_soon_threadsafe(held.set)
        assert release.wait(30)

    database.on_call = hold
    database.clear()
    pauses["b"].go_on.set()
    await soon(held.wait())
    for name in "dc":
        pauses[name].go_on.set()
    for _ in range(200):
        await asyncio.sleep(0)
    release.set()
    await task
    assert_stored(store, graph)
    counts = [len(state["completed_nodes"]) for state in _states_sent(database)]
    assert counts == sorted(counts)
    assert counts[-1] == 5


def _states_sent(database: RecordingDatabase) -> list[dict[str, Any]]:
    """The states of graphs that were sent, in order."""
    return [
        json.loads(value)
        for request in database.requests
        for _, values in request.statements
        for value in values
        if isinstance(value, str) and '"completed_nodes"' in value
    ]


async def test_failing_node(store: Store, mode: str) -> None:
    """A node that fails ends the run, its failure is stored, and a new process runs it again."""
    models = {
        "a": ScriptedModel(["a one"]),
        "b": ScriptedModel([fail(RuntimeError("down"))]),
        "c": ScriptedModel(),
    }
    graph = graph_of(models, LINE)(store.manager())
    with pytest.raises(Exception, match="down"):
        await call(mode, graph, "task")
    assert stored(store)["status"] == "failed"
    assert stored(store)["failed_nodes"] == ["b"]
    assert_stored(store, graph)
    fresh = {"a": ScriptedModel(), "b": ScriptedModel(["b one"]), "c": ScriptedModel(["c one"])}
    resumed = graph_of(fresh, LINE)(store.manager())
    await call(mode, resumed, "task")
    assert fresh["a"].calls == []
    assert_stored(store, resumed)


async def test_interrupted_node(store: Store, mode: str) -> None:
    """A hook that interrupts before a node: answered in another process."""

    class Approval:
        def register_hooks(self, registry: Any, **kwargs: Any) -> None:
            registry.add_callback(BeforeNodeCallEvent, self.approve)

        def approve(self, event: BeforeNodeCallEvent) -> None:
            if event.node_id == "b" and event.interrupt("approval", reason="go on?") != "yes":
                event.cancel_node = "no"

    models = {name: ScriptedModel([f"{name} one"]) for name in "abc"}
    build = graph_of(models, LINE, hooks=[Approval()])
    graph = build(store.manager())
    result = await call(mode, graph, "task")
    assert result.status.value == "interrupted"
    assert_stored(store, graph)
    resumed = build(store.manager())
    answers = [{"interruptResponse": {"interruptId": each.id, "response": "yes"}} for each in result.interrupts]
    result = await call(mode, resumed, answers)
    assert result.status.value == "completed"
    assert len(models["a"].calls) == 1
    assert_stored(store, resumed)


async def test_task_with_bytes(store: Store, mode: str) -> None:
    """A task that holds an image."""
    models = {"a": ScriptedModel(["a one"]), "b": ScriptedModel([fail(RuntimeError("down"))]), "c": ScriptedModel()}
    graph = graph_of(models, LINE)(store.manager())
    task = [{"text": "look"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}]
    with pytest.raises(Exception, match="down"):
        await call(mode, graph, task)
    fresh = {"a": ScriptedModel(), "b": ScriptedModel(["b one"]), "c": ScriptedModel(["c one"])}
    resumed = graph_of(fresh, LINE)(store.manager())
    assert resumed.state.task == task
    await call(mode, resumed, task)
    images = [b["image"] for m in fresh["b"].calls[0] for b in m["content"] if "image" in b]
    assert images == [] or images[0]["source"]["bytes"] == PIXEL


async def test_large_state(store: Store, mode: str) -> None:
    """Results too large for one row are stored in parts."""
    models = {
        "a": ScriptedModel(["a" * 1_500_000]),
        "b": ScriptedModel([fail(RuntimeError("down"))]),
        "c": ScriptedModel(),
    }
    graph = graph_of(models, LINE)(store.manager())
    with pytest.raises(Exception, match="down"):
        await call(mode, graph, "task")
    assert_stored(store, graph)
    fresh = {"a": ScriptedModel(), "b": ScriptedModel(["b one"]), "c": ScriptedModel(["c one"])}
    resumed = graph_of(fresh, LINE)(store.manager())
    await call(mode, resumed, "task")
    assert_stored(store, resumed)


async def test_graph_in_a_graph(store: Store, mode: str) -> None:
    """A graph whose node is a graph."""
    inner = graph_of({"x": ScriptedModel(["x one"])}, [], graph_id="inner")(None)
    builder = GraphBuilder()
    builder.add_node(Agent(model=ScriptedModel(["a one"]), name="a", callback_handler=None), "a")
    builder.add_node(inner, "inner")
    builder.add_edge("a", "inner")
    builder.set_entry_point("a")
    builder.set_graph_id("outer")
    builder.set_execution_timeout(60)
    builder.set_session_manager(store.manager())
    graph = builder.build()
    await call(mode, graph, "task")
    assert_stored(store, graph)


@pytest.mark.parametrize("committed", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_failing_writes(store: Store, mode: str, committed: bool, number: int) -> None:
    """Whichever write of a run fails, the next run is stored."""
    models = {name: ScriptedModel([f"{name} {turn}" for turn in range(6)]) for name in "abc"}
    build = graph_of(models, LINE)
    database = store.database()
    graph = build(store.manager(database))
    await call(mode, graph, "task one")
    database.fail_next(number, committed=committed)
    try:
        await call(mode, graph, "task two")
    except Exception as error:
        assert isinstance(error, PerSQLError) or isinstance(error.__cause__, PerSQLError)
    database.heal()
    await call(mode, graph, "task three")
    assert_stored(store, graph)
    assert stored(store)["current_task"] == "task three"


async def test_two_writers(store: Store) -> None:
    """Two processes on one graph: the second to write is told."""
    models = {name: ScriptedModel([f"{name} {turn}" for turn in range(6)]) for name in "abc"}
    build = graph_of(models, LINE)
    first, second = build(store.manager()), build(store.manager())
    await first.invoke_async("one")
    with pytest.raises(SessionConflictError):
        await second.invoke_async("two")
    assert_stored(store, first)


async def test_requests_of_a_graph(store: Store) -> None:
    """Constructing is one request; a run is one per node and one at its end, a row each."""
    models = {name: ScriptedModel([f"{name} one", f"{name} two"]) for name in "abc"}
    build = graph_of(models, LINE)
    await build(store.manager()).invoke_async("task")
    database = store.database()
    graph = build(store.manager(database))
    assert len(database.requests) == 1
    assert not database.requests[0].writes
    database.clear()
    with store.counted_writes() as written:
        await graph.invoke_async("task")
    assert written == ["multi_agents"] * 4
    assert database.kinds == [["INSERT multi_agents"]] * 4
    assert all(request.thread != threading.get_ident() for request in database.requests)


async def test_agent_beside_a_graph(store: Store) -> None:
    """A graph and an agent under one manager."""
    model = ScriptedModel(["one"])
    build = agent_of(model)
    models = {name: ScriptedModel([f"{name} one"]) for name in "ab"}
    manager = store.manager()
    graph = graph_of(models, [("a", "b")])(manager)
    agent = build(manager)
    await asyncio.gather(graph.invoke_async("task"), agent.invoke_async("hello"))
    assert_stored(store, graph)
    assert_same(agent, restored(store, build))
    assert words_of(store.messages()) == ["hello", "one"]


# Swarms


async def test_swarm(store: Store, mode: str) -> None:
    """A swarm with two handoffs leaves its final state, and starts afresh in a new process."""
    models = {
        "a": ScriptedModel([hand_to("b", topic="tea"), "a handed off"]),
        "b": ScriptedModel([hand_to("c"), "b handed off"]),
        "c": ScriptedModel(["c is done"]),
    }
    build = swarm_of(models)
    swarm = build(store.manager())
    result = await call(mode, swarm, "task")
    assert [node.node_id for node in result.node_history] == ["a", "b", "c"]
    assert stored(store, "swarm")["status"] == "completed"
    assert_stored(store, swarm)
    assert stored(store, "swarm")["context"]["shared_context"] == {"a": {"topic": "tea"}}
    models["a"].play("a alone")
    again = build(store.manager())
    result = await call(mode, again, "task two")
    assert [node.node_id for node in result.node_history] == ["a"]
    assert_stored(store, again)


async def test_swarm_killed_in_mid_run(store: Store) -> None:
    """A process that dies while the second node runs: the next one goes on where Strands says, shared context and all.

    Older releases name the node that has just handed off as the next one, newer ones the node it handed to.
    """
    pause = Pause()
    models = {
        "a": ScriptedModel([hand_to("b", topic="tea"), "a handed off"]),
        "b": ScriptedModel([text("lost", before=pause)]),
    }
    swarm = swarm_of(models)(store.manager())
    task = asyncio.ensure_future(swarm.invoke_async("the task"))
    await soon(pause.reached.wait())

    state = stored(store, "swarm")
    fresh = {
        "a": ScriptedModel([hand_to("b", topic="tea"), "a handed off again"]),
        "b": ScriptedModel(["b is done"]),
    }
    resumed = swarm_of(fresh)(store.manager())
    assert resumed.state.task == "the task"
    assert resumed.state.current_node is not None
    assert [resumed.state.current_node.node_id] == state["next_nodes_to_execute"]
    result = await resumed.invoke_async("the task")
    assert bool(fresh["a"].calls) == (state["next_nodes_to_execute"] == ["a"])
    assert "tea" in str(fresh["b"].calls[0])
    assert result.node_history[-1].node_id == "b"
    assert_stored(store, resumed)

    task.cancel()
    with pytest.raises((asyncio.CancelledError, SessionConflictError)):
        await task


async def test_failing_swarm(store: Store, mode: str) -> None:
    """A node of a swarm that fails."""
    models = {
        "a": ScriptedModel([hand_to("b"), "a handed off"]),
        "b": ScriptedModel([fail(RuntimeError("down"))]),
    }
    swarm = swarm_of(models)(store.manager())
    await call(mode, swarm, "task")
    assert stored(store, "swarm")["status"] == "failed"
    assert_stored(store, swarm)
    again = swarm_of({"a": ScriptedModel(["a alone"]), "b": ScriptedModel()})(store.manager())
    await call(mode, again, "task")
    assert_stored(store, again)


async def test_interrupted_swarm(store: Store, mode: str) -> None:
    """A hook that interrupts before a swarm's node: answered in another process."""

    class Approval:
        def register_hooks(self, registry: Any, **kwargs: Any) -> None:
            registry.add_callback(BeforeNodeCallEvent, self.approve)

        def approve(self, event: BeforeNodeCallEvent) -> None:
            if event.node_id == "b" and event.interrupt("approval", reason="go on?") != "yes":
                event.cancel_node = "no"

    models = {"a": ScriptedModel([hand_to("b"), "a handed off"]), "b": ScriptedModel(["b is done"])}
    build = swarm_of(models, hooks=[Approval()])
    swarm = build(store.manager())
    result = await call(mode, swarm, "task")
    assert result.status.value == "interrupted"
    assert_stored(store, swarm)
    resumed = build(store.manager())
    answers = [{"interruptResponse": {"interruptId": each.id, "response": "yes"}} for each in result.interrupts]
    result = await call(mode, resumed, answers)
    assert result.status.value == "completed"
    assert len(models["b"].calls) == 1
    assert_stored(store, resumed)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for something that another task is about to do; fail where it never does."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.001)
