"""What it costs at PerSQL to store a session: an estimate from what is stored. Pure: no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ...administration.results import SessionDetail

PER_REQUEST, PER_ROW = 0.50 / 1_000_000, 2.00 / 1_000_000
"""Dollars for a request, and for a row written (docs/cost.md has PerSQL's prices)."""


class Cost(NamedTuple):
    """What it took to store a session, as far as its rows tell.

    Rows read are left out, and so is each time that a history was trimmed, set back or changed, or `agent.state` was.

    Attributes:
        requests: Requests, with the default `durability`.
        rows: Rows written.
    """

    requests: int
    rows: int

    @property
    def dollars(self) -> str:
        """What that costs, in dollars."""
        return f"{self.requests * PER_REQUEST + self.rows * PER_ROW:.6f}"


def cost_of(detail: SessionDetail) -> Cost:
    """A request and a row for each message; what else an agent, a Graph or Swarm, and the session itself take."""
    messages, agents = sum(agent.messages for agent in detail.agents), len(detail.agents)
    # A Graph or Swarm is stored when it begins, and after each node.
    states = sum(len(group.nodes) + 1 for group in detail.multi_agents)
    opened = agents + len(detail.multi_agents)
    begun = 1 + agents + (detail.user is not None)
    return Cost(requests=messages + states + opened, rows=messages + states + begun)
