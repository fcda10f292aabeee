"""A prompt that a guardrail blocks in a node of a Graph or Swarm: no row of the session keeps it, whoever quotes it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from strands import Agent
from strands.hooks import BeforeInvocationEvent
from strands.multiagent import GraphBuilder, Swarm
from strands.multiagent.graph import Graph

from strands_persql import PerSQLHooks

from .harness import Store, restored, user, words_of
from .hooks.mirrors import mirror_of
from .scripted import ScriptedModel, redact_user, tools, use

RAW = "MY-RAW-SECRET"
SAFE = "[redacted]"
TASKS: list[Any] = [RAW, [{"text": RAW}, {"image": {"format": "png", "source": {"bytes": RAW.encode()}}}]]


def node(name: str, model: ScriptedModel, mirror: PerSQLHooks | None) -> Agent:
    """A node's agent, which has no manager, but perhaps the mirror."""
    hooks: Any = [] if mirror is None else [mirror]
    return Agent(name=name, agent_id=name, model=model, hooks=hooks, callback_handler=None)


def graph_of(nodes: list[Any], manager: Any = None, hooks: Any = None, edges: Any = None) -> Graph:
    """A graph of these nodes, one after the other unless there are `edges`."""
    builder = GraphBuilder()
    names = [getattr(each, "agent_id", None) or each.id for each in nodes]
    for name, each in zip(names, nodes, strict=True):
        builder.add_node(each, name)
    for edge in pairwise(names) if edges is None else edges:
        builder.add_edge(*edge)
    if edges == []:
        for name in names:
            builder.set_entry_point(name)
    builder.set_graph_id("graph")
    builder.set_execution_timeout(60)
    if manager is not None:
        builder.set_session_manager(manager)
    if hooks is not None:
        builder.set_hook_providers(hooks)
    return builder.build()


def not_held(store: Store) -> None:
    """No row holds the raw text."""
    assert not held(store)


def held(store: Store) -> bool:
    """Whether some row holds the raw text."""
    return store.holds(RAW) or store.holds("TVktUkFXLVNFQ1JFV")  # base64


@pytest.mark.parametrize("task", TASKS, ids=["text", "blocks"])
@pytest.mark.parametrize("mirrors", ["none", "nodes", "all"])
@pytest.mark.parametrize("redaction_safe", [False, True])
def test_blocked_in_the_first_node(store: Store, task: Any, mirrors: str, redaction_safe: bool) -> None:
    """The next node is not given what was blocked, and no row ever holds it again."""
    mirror = None if mirrors == "none" else mirror_of(store, redaction_safe=redaction_safe)
    second = ScriptedModel(["fine"])
    second.on_call = lambda _: not_held(store)
    nodes = [node("a", ScriptedModel([redact_user(SAFE)]), mirror), node("b", second, mirror)]
    own = {"hooks": [mirror]} if mirrors == "all" else {"manager": store.manager()}
    graph_of(nodes, **own)(task)
    assert not held(store)
    assert RAW not in str(second.calls)
    (row,) = store.rows()["multi_agents"]
    assert SAFE in str(row["data"]["current_task"])


@pytest.mark.parametrize("task", TASKS, ids=["text", "blocks"])
@pytest.mark.parametrize("answer", ["fine", RAW, f"I noted\n{RAW}: "])
def test_blocked_in_a_later_node(store: Store, task: Any, answer: str) -> None:
    """What was blocked is overwritten before the model goes on: the task, earlier prompts, and the results in it."""
    mirror = mirror_of(store)
    third = ScriptedModel(["well"])
    third.on_call = lambda _: not_held(store)
    models = {"a": ScriptedModel([answer]), "b": ScriptedModel([redact_user(SAFE)]), "c": third}
    graph_of([node(name, model, mirror) for name, model in models.items()], store.manager())(task)
    assert not held(store)
    assert words_of(store.messages("a")) == [SAFE, SAFE]


@pytest.mark.parametrize("late", ["a", "b"])
def test_blocked_beside_another_node(store: Store, late: str) -> None:
    """Of two nodes that are given the same task one is blocked: the other's row goes too, and never comes after it."""
    mirror = mirror_of(store)
    nodes = [node("a", ScriptedModel(["fine"]), mirror), node("b", ScriptedModel([redact_user(SAFE)]), mirror)]
    graph = graph_of(nodes, store.manager(), edges=[])

    async def wait(event: Any) -> None:
        await asyncio.sleep(0.1)

    graph.nodes[late].executor.hooks.add_callback(BeforeInvocationEvent, wait)  # type: ignore[union-attr]
    graph(RAW)
    assert not held(store)
    assert words_of(store.messages("a")) == [SAFE, "fine"]


def test_blocked_once_more(store: Store) -> None:
    """A task that an earlier run has stored, and that is now blocked, goes from both runs' rows."""
    mirror = mirror_of(store)
    nodes = [node("a", ScriptedModel(["fine", redact_user(SAFE)]), mirror)]
    graph = graph_of(nodes, store.manager())
    graph(RAW)
    assert held(store)
    graph(RAW)
    assert not held(store)


def test_blocked_in_a_swarm(store: Store) -> None:
    """A Swarm's task, what was handed over, and what its nodes know of it."""
    mirror = mirror_of(store)
    handed = {"agent_name": "b", "message": f"ask {RAW}", "context": {"pin": RAW}}
    first = ScriptedModel([tools(use("handoff_to_agent", handed)), "handed over"])
    second = ScriptedModel([redact_user(SAFE)])
    nodes = [node("a", first, mirror), node("b", second, mirror)]
    swarm = Swarm(nodes, session_manager=store.manager(), id="team")
    swarm(RAW)
    (row,) = store.rows()["multi_agents"]
    assert RAW not in str(row)
    assert row["data"]["context"]["shared_context"] == {"a": {"pin": SAFE}}
    assert words_of(store.messages("b"))[0] == SAFE
    assert words_of(store.messages("a"))[0] == SAFE
    assert swarm.state.task == SAFE


def test_blocked_in_a_nested_graph(store: Store) -> None:
    """A Graph within a Graph: the outer one's row goes too."""
    inner = graph_of([node("x", ScriptedModel([redact_user(SAFE)]), None)])
    inner.id = "inner"
    outer = graph_of([inner, node("b", ScriptedModel(["fine"]), None)], store.manager())
    outer(RAW)
    assert not held(store)


def test_another_task_stays(store: Store) -> None:
    """A Graph's task that the blocked prompt only contains is another one."""
    mirror = mirror_of(store)
    graph_of([node("a", ScriptedModel(["fine"]), mirror)], store.manager())("go")
    agent = node("other", ScriptedModel([redact_user(SAFE)]), mirror_of(store, session_id="elsewhere"))
    agent("please go now")
    (row,) = store.rows()["multi_agents"]
    assert row["data"]["current_task"] == "go"


@pytest.mark.parametrize("large", [0, 1_500_000])
def test_one_block_among_several(store: Store, large: int) -> None:
    """A blocked prompt that was one block of an earlier message goes from there, and the rest of that stays."""
    build = node_builder(store, ["one", redact_user(SAFE)])
    agent = build(None)
    blocks: Any = [{"text": "hi" + "." * large}, {"text": RAW}]
    agent(blocks)
    agent(RAW)
    assert not held(store)
    assert [block["text"][:9] for block in agent.messages[0]["content"]] == [("hi" + "." * large)[:9], SAFE[:9]]
    assert restored(store, build).messages == agent.messages


def test_a_block_of_the_blocked_prompt(store: Store) -> None:
    """An earlier message that is one block of the blocked one is redacted whole, another agent's too."""
    manager = store.manager()
    first = Agent(agent_id="a", model=ScriptedModel(["one"]), session_manager=manager, callback_handler=None)
    second = Agent(
        agent_id="b", model=ScriptedModel(["one", redact_user(SAFE)]), session_manager=manager, callback_handler=None
    )
    for agent in (first, second):
        agent(RAW)
    blocks: Any = [{"text": RAW}, {"text": "now"}]
    second(blocks)
    assert not held(store)
    assert words_of(store.messages("a")) == words_of(first.messages) == [SAFE, "one"]
    assert words_of(store.messages("b"))[:3] == [SAFE, "one", SAFE]


def test_a_mirror_finds_earlier_copies(store: Store) -> None:
    """A mirror overwrites earlier copies in its rows, and leaves the agent's history as it is."""
    for safe in (False, True):
        mirror = mirror_of(store, session_id=f"s{safe}", redaction_safe=safe)
        agent = node("a", ScriptedModel(["one", redact_user(SAFE)]), mirror)
        agent(RAW)
        agent([user(RAW)["content"][0], {"text": "now"}])
        assert not held(store)
        assert words_of(agent.messages)[0] == RAW
        assert words_of(store.messages("a", session_id=f"s{safe}"))[0] == SAFE


def node_builder(store: Store, replies: list[Any]) -> Any:
    """Builds an agent of the session."""

    def build(manager: Any) -> Agent:
        return Agent(model=ScriptedModel(replies), session_manager=manager or store.manager(), callback_handler=None)

    return build
