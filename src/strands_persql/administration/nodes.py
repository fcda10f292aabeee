"""What Graphs and Swarms keep of their nodes: when each ran, and its result. Pure: no I/O.

An agent that is a node has a conversation in the session only where hooks store it; its result is there in any case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..database.encoding import mapping
from .results import MultiAgentSummary


@dataclass(slots=True)
class Node:
    """What Graphs and Swarms keep of an agent that is a node of theirs: the places at which it ran, and its result."""

    runs: tuple[int, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def status(self) -> str:
        """As Strands stores it; empty where there is no result."""
        return str(self.result.get("status", ""))

    @property
    def said(self) -> Iterator[Mapping[str, Any]]:
        """The messages in its result: an agent's answer, an error's, or those of the nodes inside it."""
        return _said(mapping(self.result.get("result")))


def nodes_of(multi_agents: Iterable[MultiAgentSummary], *, without: Collection[str] = ()) -> dict[str, Node]:
    """The nodes of all Graphs and Swarms in the order in which they first ran, then those that only left a result.

    Args:
        multi_agents: The Graphs and Swarms.
        without: Names that are left out: agents, for those that are told elsewhere.
    """
    nodes: dict[str, Node] = {}
    for multi_agent in multi_agents:
        results = mapping(multi_agent.data.get("node_results"))
        for name in dict.fromkeys([*multi_agent.nodes, *results]):
            node = nodes.setdefault(name, Node())
            node.runs = node.runs or tuple(n for n, each in enumerate(multi_agent.nodes, 1) if each == name)
            node.result = node.result or mapping(results.get(name))
    return {name: node for name, node in nodes.items() if name not in without}


def _said(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if result.get("type") == "exception":
        yield {"role": "error", "content": [{"text": str(result.get("message", ""))}]}
    elif isinstance(result.get("message"), Mapping):
        yield cast("Mapping[str, Any]", result["message"])
    for inner in mapping(result.get("results")).values():
        yield from _said(mapping(mapping(inner).get("result")))
