"""A session as the page shows it: its totals, its Graphs and Swarms, and a column for each agent.

A column's messages are an iterator: they are read, a few hundred at a time, while the page is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from ...database.encoding import mapping
from ..nodes import Node, nodes_of
from ..records import MessagePart, Where, parts_of
from ..results import AgentSummary, MultiAgentSummary, SessionDetail, TranscriptMessage, Usage
from ..values import many, sequence, size
from ._conversation import conversation, image_in_page, with_inline
from ._text import Moment, Shown, count, duration, moment

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
    reason: Any
    response: Any


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a node; `column` is the anchor of the column with its messages."""

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
    task: tuple[MessagePart, ...]
    facts: tuple[str, ...]
    interrupts: tuple[Interrupt, ...]
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One agent's conversation, or what a Graph or Swarm keeps of a node that has none in the session.

    Attributes:
        anchor: Its name in the page.
        title: The agent's id, or the node's.
        node: What it is as a node, if it is one.
        window: How much of it the model sees, in words; empty for a node without an agent.
        facts: Its tokens and more, in words.
        state: The agent's own state, where it has any.
        items: Its messages, to be read once.
    """

    anchor: str
    title: str
    node: Node
    window: str
    facts: tuple[str, ...]
    state: Mapping[str, Any]
    items: Iterator[Shown]


@dataclass(frozen=True, slots=True)
class Session:
    """All of the page.

    Attributes:
        title: The one it was given, or what its first prompt begins with; empty where neither is there.
        user: Whose it is; empty where it is nobody's.
    """

    session_id: str
    title: str
    user: str
    tags: tuple[str, ...]
    created: Moment | None
    last_active: Moment | None
    expires: Moment | None
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
    nodes = nodes_of(detail.multi_agents)
    by_id = {agent.agent_id: agent for agent in detail.agents}
    # An agent that is no node talks to the user, or stands alone: it comes first.
    order = [*(agent_id for agent_id in by_id if agent_id not in nodes), *nodes]
    anchors = {name: f"a{number}" for number, name in enumerate(order, 1)}

    def column(name: str) -> Column:
        agent, node, anchor = by_id.get(name), nodes.get(name) or Node(), anchors[name]
        if agent is None:
            return Column(anchor, name, node, "", result_facts(node.result), {}, kept_of(name, node, anchor))
        facts = _usage_facts(usage.agents.get(name))
        items = conversation(_messages(sessions, session_id, name), anchor)
        return Column(anchor, name, node, window_in_words(agent), facts, agent.state, items)

    return Session(
        session_id=session_id,
        title=detail.title,
        user=detail.user or "",
        tags=detail.tags,
        created=moment(detail.created_at),
        last_active=moment(detail.last_active),
        expires=None if detail.expiry is None else moment(detail.expiry.at),
        figures=figures_of(usage, detail),
        reported=reported_of(usage),
        multi_agents=tuple(multi_agent(each, anchors) for each in detail.multi_agents),
        columns=tuple(map(column, order)),
    )


def window_in_words(agent: AgentSummary) -> str:
    """How much of an agent's messages the model sees."""
    if not agent.messages:
        return "No messages yet"
    taken_back = f", {count(agent.taken_back)} of them taken back" if agent.taken_back else ""
    if agent.live != agent.messages:
        return f"The model sees {many(agent.live, 'message')}; {count(agent.messages)} in the transcript{taken_back}"
    return f"The model sees {'it' if agent.messages == 1 else 'all'} of {many(agent.messages, 'message')}"


def kept_of(name: str, node: Node, anchor: str) -> Iterator[Shown]:
    """What a Graph or Swarm keeps of a node, as a conversation."""
    kept = (TranscriptMessage(name, None, message, "", "", live=True) for message in node.said)
    return conversation(kept, anchor, stored=False)


def _messages(sessions: SessionReader, session_id: str, agent_id: str) -> Iterator[TranscriptMessage]:
    """An agent's whole transcript, with the messages that stand in its live window alone."""
    window = chain.from_iterable(sessions.transcript(session_id, agent_id, live=True, page_size=_PAGE))
    transcript = chain.from_iterable(sessions.transcript(session_id, agent_id, page_size=_PAGE))
    yield from with_inline(transcript, window)


def multi_agent(summary: MultiAgentSummary, anchors: Mapping[str, str]) -> MultiAgent:
    """A Graph or Swarm as the page shows it, given the anchors of its nodes' columns."""
    data = summary.data
    results = mapping(data.get("node_results"))
    steps = tuple(_steps(summary.nodes, results, anchors))
    interrupts = mapping(mapping(mapping(data.get("_internal_state")).get("interrupt_state")).get("interrupts"))
    return MultiAgent(
        multi_agent_id=summary.multi_agent_id,
        type=str(data.get("type") or "multi-agent").capitalize(),
        status=summary.status,
        steps=steps,
        waiting=tuple(str(each) for each in sequence(data.get("next_nodes_to_execute"))),
        task=parts_of(data.get("current_task"), Where(image_in_page)),
        facts=result_facts(data),
        interrupts=tuple(_interrupt(mapping(each)) for each in interrupts.values()),
        data=data,
    )


def _steps(nodes: Sequence[str], results: Mapping[str, Any], anchors: Mapping[str, str]) -> Iterator[Step]:
    last = {name: place for place, name in enumerate(nodes, 1)}
    for place, name in enumerate(nodes, 1):
        anchor = anchors.get(name, "")
        if place == last[name]:
            result = mapping(results.get(name))
            yield Step(name, anchor, str(result.get("status", "")), result_facts(result))
        else:  # Strands keeps a node's last result alone
            yield Step(name, anchor, "", (f"again at {last[name]}",))


def _interrupt(interrupt: Mapping[str, Any]) -> Interrupt:
    return Interrupt(str(interrupt.get("name", "")), interrupt.get("reason"), interrupt.get("response"))


def result_facts(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Time and tokens of a node's result, or of a whole Graph or Swarm, which stores them alike."""
    facts: list[str] = []
    time = result.get("execution_time")
    if isinstance(time, (int, float)) and time > 0:
        facts.append(duration(time))  # milliseconds, in Strands' results
    total = mapping(result.get("accumulated_usage")).get("totalTokens")
    if isinstance(total, int) and total > 0:
        facts.append(f"{count(total)} tokens")
    return tuple(facts)


def figures_of(usage: Usage, detail: SessionDetail) -> tuple[Figure, ...]:
    """What a session has used, as the totals of its page."""
    taken_back = sum(agent.taken_back for agent in detail.agents)
    note = f"in {many(len(detail.agents), 'agent')}" + (f", {count(taken_back)} taken back" if taken_back else "")
    figures = [Figure(count(usage.messages), "Messages", note)]
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


def reported_of(usage: Usage) -> str:
    """A note where some of the model's answers tell no tokens, so that the totals lack them; else empty."""
    if usage.model_calls and usage.reported < usage.model_calls:
        told = f"{count(usage.reported)} of {count(usage.model_calls)} answers tell them"
        return f"Tokens and times as far as they are stored: {told}."
    return ""


def _usage_facts(usage: Usage | None) -> tuple[str, ...]:
    if usage is None:
        return ()
    facts: list[str] = []
    if usage.input_tokens or usage.output_tokens:
        facts.append(f"{many(usage.input_tokens, 'token')} in")
        facts.append(f"{count(usage.output_tokens)} out")
    if usage.latency_ms:
        facts.append(duration(usage.latency_ms))
    if usage.tool_calls:
        facts.append(many(usage.tool_calls, "tool call"))
    if usage.tool_errors:
        facts.append(f"{count(usage.tool_errors)} failed")
    return tuple(facts)
