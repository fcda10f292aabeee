"""Mirrors on the nodes of Graphs and Swarms, where Strands takes no session manager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent
from strands.multiagent import GraphBuilder, Swarm
from strands.multiagent.graph import Graph
from strands.types.exceptions import SessionException

from strands_persql import PerSQLHooks

from ..agents import agent_of
from ..harness import (
    SESSION,
    Store,
    assert_rows_sound,
    assistant,
    restored,
    user,
    words_of,
)
from ..scripted import (
    Pause,
    ScriptedModel,
    fail,
    redact_user,
    text,
    tools,
    use,
)
from .mirrors import (
    assert_mirrored,
    away,
    mirror_of,
    turn,
    without_ids,
)

LINE = [("a", "b"), ("b", "c")]
DIAMOND = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "e"), ("c", "e"), ("d", "e")]


def node(name: str, model: ScriptedModel, mirror: PerSQLHooks, **options: Any) -> Agent:
    """A node's agent, watched by the mirror that all nodes share."""
    return agent_of(model, hooks=lambda: [mirror], name=name, agent_id=name, **options)(None)


def graph_of(
    models: dict[str, ScriptedModel],
    edges: list[tuple[str, str]],
    mirror: PerSQLHooks,
    *,
    manager: Any = None,
    own: bool = False,
    change: Callable[[GraphBuilder], Any] | None = None,
) -> Graph:
    """A graph with a mirror on its nodes, and with `own` on itself."""
    builder = GraphBuilder()
    for name, model in models.items():
        builder.add_node(node(name, model, mirror), name)
    for edge in edges:
        builder.add_edge(*edge)
    builder.set_entry_point(next(iter(models)))
    builder.set_graph_id("graph")
    builder.set_execution_timeout(300)
    if manager is not None:
        builder.set_session_manager(manager)
    if own:
        builder.set_hook_providers([mirror])
    if change is not None:
        change(builder)
    return builder.build()


def agents_of(source: Graph | Swarm) -> dict[str, Agent]:
    """The nodes' agents by their names."""
    return {name: each.executor for name, each in source.nodes.items()}  # type: ignore[misc]


def assert_nodes(store: Store, source: Graph | Swarm) -> None:
    """Every node's transcript is its agent's history, once and in order, and restores whole."""
    for name, agent in agents_of(source).items():
        assert store.messages(name) == list(agent.messages), name
        if agent.messages:
            assert_mirrored(store, agent, name=name)
    assert_rows_sound(store)


async def run(mode: str, source: Graph | Swarm, task: Any) -> Any:
    """Run a graph or swarm, in either form."""
    return source(task) if mode == "sync" else await source.invoke_async(task)


async def test_line(store: Store, mode: str) -> None:
    """Each node's conversation is stored under its agent's id."""
    models = {
        "a": ScriptedModel([tools(use("add", {"a": 1, "b": 2})), "a one"]),
        "b": ScriptedModel(["b one"]),
        "c": ScriptedModel(["c one"]),
    }
    graph = graph_of(models, LINE, mirror_of(store))
    await run(mode, graph, "task")
    assert [len(store.messages(name)) for name in "abc"] == [4, 2, 2]
    assert_nodes(store, graph)


async def test_parallel(store: Store, mode: str) -> None:
    """Nodes that run side by side, with tools: every message once, in its node's order."""
    models = {
        name: ScriptedModel([tools(use("add", {"a": 1, "b": 2})), tools(use("boom")), f"{name} one"])
        for name in "abcde"
    }
    graph = graph_of(models, DIAMOND, mirror_of(store))
    await run(mode, graph, "task")
    assert all(len(store.messages(name)) == 6 for name in "abcde")
    assert_nodes(store, graph)


@pytest.mark.parametrize("order", ["bcd", "dcb", "cdb"])
async def test_parallel_in_any_order(store: Store, order: str) -> None:
    """Nodes that run side by side and finish in any order."""
    pauses = {name: Pause() for name in "bcd"}
    models = {name: ScriptedModel([text(f"{name} one", before=pauses.get(name))]) for name in "abcde"}
    graph = graph_of(models, DIAMOND, mirror_of(store))
    task = asyncio.ensure_future(graph.invoke_async("task"))
    await asyncio.gather(*(pause.reached.wait() for pause in pauses.values()))
    assert all(len(store.messages(name)) == 1 for name in "bcd")
    for name in order:
        pauses[name].go_on.set()
    await task
    assert_nodes(store, graph)


@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_parallel_in_any_durability(store: Store, mode: str, durability: Any) -> None:
    """The same under each durability, two runs long."""
    models = {name: ScriptedModel([f"{name} one", f"{name} two"]) for name in "abcde"}
    graph = graph_of(models, DIAMOND, mirror_of(store, durability=durability))
    await run(mode, graph, "task")
    await run(mode, graph, "task two")
    assert_nodes(store, graph)


async def test_second_run(store: Store, mode: str) -> None:
    """Nodes that keep their history over two runs are continued."""
    models = {name: ScriptedModel([f"{name} one", f"{name} two"]) for name in "abc"}
    graph = graph_of(models, LINE, mirror_of(store))
    await run(mode, graph, "task")
    await run(mode, graph, "task two")
    assert all(len(store.messages(name)) == 4 for name in "abc")
    assert_nodes(store, graph)


async def test_reset_nodes(store: Store, mode: str) -> None:
    """A node that is reset when it is visited again: its window begins anew, its transcript has both visits."""
    models = {"a": ScriptedModel(["a one", "a two"]), "b": ScriptedModel(["b one", "b two"])}
    visits: list[str] = []

    def once_more(state: Any) -> bool:
        visits.append("b")
        return len(visits) < 2

    def change(builder: GraphBuilder) -> None:
        builder.add_edge("b", "a", condition=once_more)
        builder.reset_on_revisit(True)
        builder.set_max_node_executions(4)

    graph = graph_of(models, [("a", "b")], mirror_of(store), change=change)
    await run(mode, graph, "task")
    for name, agent in agents_of(graph).items():
        assert len(agent.messages) == 2
        assert len(store.messages(name)) == 4
        assert without_ids(store.messages(name)[2:]) == without_ids(agent.messages)
        assert_mirrored(store, agent, name=name)


async def test_failing_node(store: Store, mode: str) -> None:
    """A node that fails leaves what it said so far."""
    models = {"a": ScriptedModel(["a one"]), "b": ScriptedModel([fail(RuntimeError("down"))])}
    graph = graph_of(models, [("a", "b")], mirror_of(store))
    with pytest.raises(RuntimeError):
        await run(mode, graph, "task")
    assert_nodes(store, graph)
    assert len(store.messages("b")) == 1


async def test_redacting_node(store: Store, mode: str) -> None:
    """A node's redaction is noticed like any agent's."""
    models = {"a": ScriptedModel([redact_user("[redacted]")])}
    graph = graph_of(models, [], mirror_of(store))
    await run(mode, graph, "MY-RAW-SECRET")
    assert words_of(store.messages("a"))[0] == "[redacted]"
    assert_nodes(store, graph)


async def test_with_a_session_manager(store: Store, mode: str) -> None:
    """A graph with a session manager of its own, and the mirror on its nodes, in one session and several processes."""
    for number in range(3):
        models = {name: ScriptedModel([f"{name} {number}"]) for name in "abcde"}
        graph = graph_of(models, DIAMOND, mirror_of(store, session_id="nodes"), manager=store.manager())
        await run(mode, graph, f"task {number}")
    for name in "abcde":
        stored = words_of(store.messages(name, session_id="nodes"))
        assert [words for words in stored if words.startswith(name)] == [f"{name} {number}" for number in range(3)]
    assert [row["multi_agent_id"] for row in store.rows()["multi_agents"]] == ["graph"]


async def test_one_session_for_both(store: Store, mode: str) -> None:
    """The manager of a graph and the mirror of its nodes may share a session: their rows are not the same ones."""
    for number in range(2):
        models = {name: ScriptedModel([f"{name} {number}"]) for name in "abc"}
        graph = graph_of(models, LINE, mirror_of(store), manager=store.manager())
        await run(mode, graph, f"task {number}")
    assert [len(store.messages(name)) for name in "abc"] == [4, 4, 4]


async def test_mirror_of_the_graph_itself(store: Store, mode: str) -> None:
    """A mirror among a graph's own hooks stores its state, from which a session manager restores it."""
    models = {name: ScriptedModel([f"{name} one"]) for name in "abc"}
    graph = graph_of(models, LINE, mirror_of(store), own=True)
    await run(mode, graph, "task")
    (row,) = store.rows()["multi_agents"]
    assert row["session_id"] == SESSION
    assert row["data"]["status"] == "completed"
    fresh = {name: ScriptedModel([f"{name} two"]) for name in "abc"}
    again = graph_of(fresh, LINE, mirror_of(store, session_id="other"), manager=store.manager())
    assert {name: str(result.result) for name, result in again.state.results.items()} in (
        {},
        {name: f"{name} one\n" for name in "abc"},
    )
    await run(mode, again, "task two")
    assert_nodes_of_first(store, graph)


async def test_graph_resumed_from_its_mirror(store: Store) -> None:
    """A mirror among a graph's own hooks stores its state after each node: a manager resumes a run that broke off."""
    pause = Pause()
    models = {"a": ScriptedModel(["a one"]), "b": ScriptedModel([text("lost", before=pause)]), "c": ScriptedModel()}
    graph = graph_of(models, LINE, mirror_of(store), own=True)
    task = asyncio.ensure_future(graph.invoke_async("task"))
    await pause.reached.wait()
    fresh = {"a": ScriptedModel(), "b": ScriptedModel(["b one"]), "c": ScriptedModel(["c one"])}
    resumed = graph_of(fresh, LINE, mirror_of(store, session_id="other"), manager=store.manager())
    result = await resumed.invoke_async("task")
    assert str(result.status.value) == "completed"
    assert fresh["a"].calls == []
    task.cancel()
    with pytest.raises((asyncio.CancelledError, SessionException)):
        await task


def assert_nodes_of_first(store: Store, graph: Graph) -> None:
    """What the first graph's nodes said is still there."""
    for name, agent in agents_of(graph).items():
        assert store.messages(name) == list(agent.messages)


async def test_swarm(store: Store, mode: str) -> None:
    """A swarm with handoffs: each node's messages once and in order."""
    hand_over = tools(use("handoff_to_agent", {"agent_name": "b", "message": "over to b", "context": {}}))
    mirror = mirror_of(store)
    models = {"a": ScriptedModel([hand_over, "handed over"]), "b": ScriptedModel(["b one"])}
    swarm = Swarm([node(name, model, mirror) for name, model in models.items()], id="swarm")
    await run(mode, swarm, "task")
    assert [each.node_id for each in swarm.state.node_history] == ["a", "b"]
    assert_nodes(store, swarm)
    assert len(store.messages("b")) == 2


async def test_swarm_again(store: Store, mode: str) -> None:
    """A swarm resets its nodes for every run: the window is the last run's, the transcript has all."""
    mirror = mirror_of(store)
    models = {"a": ScriptedModel(["one", "two", "three"])}
    swarm = Swarm([node(name, model, mirror) for name, model in models.items()], id="swarm")
    for number in range(3):
        await run(mode, swarm, f"task {number}")
    (agent,) = agents_of(swarm).values()
    said = [words for words in words_of(store.messages("a")) if words in ("one", "two", "three")]
    assert said == ["one", "two", "three"]
    assert len(store.messages("a")) == 6
    assert_mirrored(store, agent, name="a")


async def test_swarm_with_a_manager(store: Store, mode: str) -> None:
    """A swarm with a session manager and with the mirror on its nodes and on itself."""
    for number in range(2):
        mirror = mirror_of(store, session_id="nodes")
        models = {"a": ScriptedModel([f"one {number}"])}
        nodes = [node(name, model, mirror) for name, model in models.items()]
        swarm = Swarm(nodes, id="swarm", session_manager=store.manager(), hooks=[mirror])
        await run(mode, swarm, "task")
    said = [words for words in words_of(store.messages("a", session_id="nodes")) if words.startswith("one")]
    assert said == ["one 0", "one 1"]
    assert sorted(row["session_id"] for row in store.rows()["multi_agents"]) == ["nodes", SESSION]


@pytest.mark.parametrize("on_error", ["raise", "log"])
def test_nodes_that_share_an_id(store: Store, on_error: Any) -> None:
    """Nodes of the default id share it: the second one's constructor says which, and what to set."""
    mirror = mirror_of(store, on_error=on_error)
    first = Agent(name="a", model=ScriptedModel(), hooks=[mirror])
    with pytest.raises(SessionException, match=r"'default'.*agent_id="):
        Agent(name="b", model=ScriptedModel(), hooks=[mirror])
    assert first.agent_id == "default"


async def test_away(store: Store, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """A store that is away for a whole run of a graph disturbs no node, and gets all of them in the next run."""
    database = store.database()
    mirror = mirror_of(store, database, on_error="log")
    models = {name: ScriptedModel([f"{name} one", f"{name} two"]) for name in "abcde"}
    graph = graph_of(models, DIAMOND, mirror, own=True)
    with away(database):
        result = await run(mode, graph, "task")
        assert str(result.status.value) == "completed"
        assert mirror.pending > 10
    await run(mode, graph, "task two")
    assert mirror.pending == 0
    assert_nodes(store, graph)


async def test_an_agent_used_as_a_tool(store: Store, mode: str) -> None:
    """An agent within a tool of another one, both with the same mirror."""
    from strands import tool

    mirror = mirror_of(store)
    inner = node("inner", ScriptedModel(["the inside"]), mirror)

    @tool
    async def ask_inside(question: str) -> str:
        """Ask the inner agent."""
        return str(await inner.invoke_async(question))

    model = ScriptedModel([tools(use("ask_inside", {"question": "what?"})), "done"])
    outer = node("outer", model, mirror, tools=[ask_inside])
    await turn(outer, mode, "go")
    for agent in (inner, outer):
        assert store.messages(agent.agent_id) == list(agent.messages)
        assert restored(store, agent_of(ScriptedModel(), agent_id=agent.agent_id)).messages == agent.messages


async def test_examples_of_a_swarms_nodes(store: Store, mode: str) -> None:
    """A Swarm's node begins each run with the messages it was built with: they are stored once."""
    shots = [user("example"), assistant("answer")]
    model, mirror = ScriptedModel(["one", "two", "three"]), mirror_of(store)
    swarm = Swarm([node("a", model, mirror, messages=shots)], id="swarm")
    for _ in range(2):
        await run(mode, swarm, "task")
    assert words_of(store.messages("a"))[:2] == ["example", "answer"]
    assert str(store.messages("a")).count("example") == 1
    assert_mirrored(store, agents_of(swarm)["a"], name="a", ids=False)
