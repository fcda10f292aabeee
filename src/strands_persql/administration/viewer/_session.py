"""A session as the page shows it: its totals, its Graphs and Swarms, its agents in columns. Pure but for the reading.

The columns' messages are iterators, read as the page is written: no more than a page of them is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, cast

from ..results import (
    AgentSummary,
    MultiAgentSummary,
    SessionDetail,
    TranscriptMessage,
    Usage,
)
from ._blocks import Block, blocks_of
from ._conversation import Item, conversation, with_inline
from ._text import (
    Clip,
    Moment,
    clip,
    clip_json,
    count,
    duration,
    moment,
    size,
)

__all__ = ["Column", "Figure", "Interrupt", "MultiAgent", "Session", "SessionReader", "Step", "session_view"]

_PAGE = 200


class SessionReader(Protocol):
    """What the page reads a session with: `PerSQLSessions`, or anything that answers as it does."""

    def get(self, session_id: str) -> SessionDetail:
        """All of the session but its messages."""
        ...

    def usage(self, session_id: str) -> Usage:
        """What it has used."""
        ...

    def transcript(
        self, session_id: str, agent_id: str | None = None, *, live: bool = False, page_size: int = 100
    ) -> Iterator[list[TranscriptMessage]]:
        """An agent's messages in pages: the whole transcript, or with `live` the live window."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the totals: a number, what it counts, and what else there is to say."""

    value: str
    label: str
    note: str = ""
    alert: bool = False


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A question that waits for a person, or has been answered."""

    name: str
    reason: Clip | None
    response: Clip | None


@dataclass(frozen=True, slots=True)
class Step:
    """One node in the order in which a Graph's or Swarm's ran; `column` is the anchor of what it said."""

    node: str
    column: str
    status: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MultiAgent:
    """A Graph or Swarm."""

    multi_agent_id: str
    type: str
    status: str
    steps: tuple[Step, ...]
    waiting: tuple[str, ...]
    task: tuple[Block, ...]
    facts: tuple[str, ...]
    interrupts: tuple[Interrupt, ...]
    data: Clip


@dataclass(frozen=True, slots=True)
class Column:
    """One agent's conversation, or what a Graph or Swarm keeps of a node that has none in the session.

    Attributes:
        anchor: Its name in the page.
        title: The agent's id, or the node's.
        runs: At which places it ran: `(1, 3)`.
        status: Its status as a node, as Strands stores it; empty where it is none.
        window: How much of it the model sees, in words; empty for a node without an agent.
        facts: Its tokens and more, in words.
        created: When it was first stored.
        last_active: When it was stored last.
        state: The agent's own state, where it has any.
        items: Its messages, to be read once.
    """

    anchor: str
    title: str
    runs: tuple[int, ...]
    status: str
    window: str
    facts: tuple[str, ...]
    created: Moment | None
    last_active: Moment | None
    state: Clip | None
    items: Iterator[Item]


@dataclass(frozen=True, slots=True)
class Session:
    """All of the page."""

    session_id: str
    created: Moment | None
    last_active: Moment | None
    figures: tuple[Figure, ...]
    reported: str
    multi_agents: tuple[MultiAgent, ...]
    columns: tuple[Column, ...]


def session_view(sessions: SessionReader, session_id: str) -> Session:
    """Read a session for the page: all but its messages at once, those as the columns are read.

    Raises:
        SessionException: There is no such session.
        SessionDataError: A stored row can't be read.
    """
    detail = sessions.get(session_id)
    usage = sessions.usage(session_id)
    nodes = _nodes(detail.multi_agents)
    by_id = {agent.agent_id: agent for agent in detail.agents}
    # An agent that is no node talks to the user, or stands alone: it comes first.
    order = [*(agent_id for agent_id in by_id if agent_id not in nodes), *nodes]
    anchors = {name: f"a{number}" for number, name in enumerate(order, 1)}
    columns: list[Column] = []
    for name in order:
        node = nodes.get(name) or _Node()
        agent = by_id.get(name)
        if agent is not None:
            columns.append(_agent_column(sessions, session_id, agent, node, anchors[name], usage.agents.get(name)))
        else:
            columns.append(_node_column(name, node, anchors[name]))
    return Session(
        session_id=session_id,
        created=moment(detail.created_at),
        last_active=moment(detail.last_active),
        figures=_figures(usage, detail),
        reported=_reported(usage),
        multi_agents=tuple(_multi_agent(each, anchors) for each in detail.multi_agents),
        columns=tuple(columns),
    )


@dataclass(slots=True)
class _Node:
    runs: tuple[int, ...] = ()
    result: Mapping[str, Any] | None = None

    @property
    def status(self) -> str:
        return str(self.result.get("status", "")) if self.result else ""


def _nodes(multi_agents: Iterable[MultiAgentSummary]) -> dict[str, _Node]:
    """The nodes of all Graphs and Swarms in the order in which they first ran, then those that only left a result."""
    nodes: dict[str, _Node] = {}
    for multi_agent in multi_agents:
        results = _mapping(multi_agent.data.get("node_results"))
        for name in dict.fromkeys([*multi_agent.nodes, *results]):
            node = nodes.setdefault(name, _Node())
            node.runs = node.runs or tuple(n for n, each in enumerate(multi_agent.nodes, 1) if each == name)
            node.result = node.result or (_mapping(results.get(name)) or None)
    return nodes


def _agent_column(
    sessions: SessionReader, session_id: str, agent: AgentSummary, node: _Node, anchor: str, usage: Usage | None
) -> Column:
    return Column(
        anchor=anchor,
        title=agent.agent_id,
        runs=node.runs,
        status=node.status,
        window=f"The model sees {_of(agent.live, 'message')}; {count(agent.messages)} in the transcript"
        if agent.live != agent.messages
        else f"The model sees {'it' if agent.messages == 1 else 'all'} of {_of(agent.messages, 'message')}"
        if agent.messages
        else "No messages yet",
        facts=_usage_facts(usage),
        created=moment(agent.created_at),
        last_active=moment(agent.last_active),
        state=clip_json(agent.state) if agent.state else None,
        items=conversation(_messages(sessions, session_id, agent.agent_id), anchor),
    )


def _messages(sessions: SessionReader, session_id: str, agent_id: str) -> Iterator[TranscriptMessage]:
    """An agent's whole transcript, with the messages that stand in its live window alone."""
    window = chain.from_iterable(sessions.transcript(session_id, agent_id, live=True, page_size=_PAGE))
    transcript = chain.from_iterable(sessions.transcript(session_id, agent_id, page_size=_PAGE))
    yield from with_inline(transcript, window)


def _node_column(name: str, node: _Node, anchor: str) -> Column:
    result = node.result or {}
    messages = [
        TranscriptMessage(name, None, message, "", "", live=True) for message in _said(_mapping(result.get("result")))
    ]
    return Column(
        anchor=anchor,
        title=name,
        runs=node.runs,
        status=node.status,
        window="",
        facts=_node_facts(result),
        created=None,
        last_active=None,
        state=None,
        items=conversation(messages, anchor, stored=False),
    )


def _said(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The messages in a node's stored result: an agent's answer, an error's, or those of the nodes inside it."""
    if result.get("type") == "exception":
        yield {"role": "error", "content": [{"text": str(result.get("message", ""))}]}
    elif isinstance(result.get("message"), Mapping):
        yield cast("Mapping[str, Any]", result["message"])
    for inner in _mapping(result.get("results")).values():
        yield from _said(_mapping(_mapping(inner).get("result")))


def _multi_agent(summary: MultiAgentSummary, anchors: Mapping[str, str]) -> MultiAgent:
    data = summary.data
    results = _mapping(data.get("node_results"))
    steps = tuple(_steps(summary.nodes, results, anchors))
    interrupts = _mapping(_mapping(_mapping(data.get("_internal_state")).get("interrupt_state")).get("interrupts"))
    return MultiAgent(
        multi_agent_id=summary.multi_agent_id,
        type=str(data.get("type") or "multi-agent").capitalize(),
        status=summary.status,
        steps=steps,
        waiting=tuple(str(each) for each in _sequence(data.get("next_nodes_to_execute"))),
        task=blocks_of(data.get("current_task")),
        facts=_node_facts(data),
        interrupts=tuple(_interrupt(_mapping(each)) for each in interrupts.values()),
        data=clip_json(data),
    )


def _steps(nodes: Sequence[str], results: Mapping[str, Any], anchors: Mapping[str, str]) -> Iterator[Step]:
    last = {name: place for place, name in enumerate(nodes, 1)}
    for place, name in enumerate(nodes, 1):
        anchor = anchors.get(name, "")
        if place == last[name]:
            yield Step(name, anchor, str(_mapping(results.get(name)).get("status", "")), _node_facts(results, name))
        else:  # Strands keeps a node's last result alone
            yield Step(name, anchor, "", (f"again at {last[name]}",))


def _interrupt(interrupt: Mapping[str, Any]) -> Interrupt:
    def shown(value: Any) -> Clip | None:
        return None if value is None else clip(value) if isinstance(value, str) else clip_json(value)

    return Interrupt(str(interrupt.get("name", "")), shown(interrupt.get("reason")), shown(interrupt.get("response")))


def _node_facts(results: Mapping[str, Any], name: str | None = None) -> tuple[str, ...]:
    """Time and tokens of a node's result, or of a whole Graph or Swarm, which stores them alike."""
    result = results if name is None else _mapping(results.get(name))
    facts: list[str] = []
    time = result.get("execution_time")
    if isinstance(time, (int, float)) and time > 0:
        facts.append(duration(time))  # milliseconds, in Strands' results
    total = _mapping(result.get("accumulated_usage")).get("totalTokens")
    if isinstance(total, int) and total > 0:
        facts.append(f"{count(total)} tokens")
    return tuple(facts)


def _figures(usage: Usage, detail: SessionDetail) -> tuple[Figure, ...]:
    figures = [Figure(count(usage.messages), "Messages", f"in {_of(len(detail.agents), 'agent')}")]
    if usage.model_calls:
        took = f"{duration(usage.latency_ms)} in all" if usage.latency_ms else ""
        figures.append(Figure(count(usage.model_calls), "Model calls", took))
    if usage.tool_calls:
        failed = usage.tool_errors > 0
        note = f"{count(usage.tool_errors)} failed" if failed else "none failed"
        figures.append(Figure(count(usage.tool_calls), "Tool calls", note, alert=failed))
    if usage.input_tokens or usage.output_tokens:
        cached = f"{count(usage.cache_read_tokens)} from cache" if usage.cache_read_tokens else ""
        written = f"{count(usage.cache_write_tokens)} to cache" if usage.cache_write_tokens else ""
        note = ", ".join(filter(None, [cached, written]))
        figures.append(Figure(count(usage.input_tokens), "Tokens in", note))
        figures.append(Figure(count(usage.output_tokens), "Tokens out"))
    if detail.bytes is not None:
        figures.append(Figure(size(detail.bytes), "Stored"))
    return tuple(figures)


def _reported(usage: Usage) -> str:
    """What to know of totals that not every answer of a model tells of."""
    if usage.model_calls and usage.reported < usage.model_calls:
        told = f"{count(usage.reported)} of {count(usage.model_calls)} answers tell them"
        return f"Tokens and times as far as they are stored: {told}."
    return ""


def _usage_facts(usage: Usage | None) -> tuple[str, ...]:
    if usage is None:
        return ()
    facts: list[str] = []
    if usage.input_tokens or usage.output_tokens:
        facts.append(f"{count(usage.input_tokens)} tokens in")
        facts.append(f"{count(usage.output_tokens)} out")
    if usage.latency_ms:
        facts.append(duration(usage.latency_ms))
    if usage.tool_calls:
        facts.append(_of(usage.tool_calls, "tool call"))
    if usage.tool_errors:
        facts.append(f"{count(usage.tool_errors)} failed")
    return tuple(facts)


def _of(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _sequence(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()
