"""An agent as it is stored, for people: its document, and what its history consists of. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..database.encoding import mapping
from ..database.live_window import LiveWindow, removed_by_rule
from ..database.query import Query
from ..database.rewinds import Rewinds
from ..errors import SessionDataError
from .results import AgentSummary, MultiAgentSummary
from .values import sequence

if TYPE_CHECKING:
    from ..database.decoding import AgentRecord
    from ..database.query import Answers
    from ..database.tables import Tables


@dataclass(slots=True)
class Agent:
    """An agent as it is stored.

    Attributes:
        row: Its row.
        document: The fields of Strands' `SessionAgent`.
        window: Its live window, no range of which reaches beyond the transcript.
        skipped: How many messages Strands' own rule skips, where the row has no window. The window is then as though
            the positions counted 0, 1, 2 …
        rewinds: Its rewinds.
    """

    row: AgentRecord
    document: dict[str, Any]
    window: LiveWindow
    skipped: int = 0
    rewinds: Rewinds = field(init=False)
    _standing: LiveWindow = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.rewinds = Rewinds.of_row(self.row.rewinds)
        self._standing = LiveWindow(tuple(self.rewinds.standing(self.row.last)))

    @classmethod
    def of(cls, row: AgentRecord) -> Agent:
        """From its row.

        Raises:
            SessionDataError: It can't be read.
        """
        document = row.document.fields()
        window = LiveWindow.of_row(row.window, row.agent_id)
        if window is not None:
            return cls(row, document, window.closed(row.last))
        return cls(row, document, LiveWindow.by_rule(document).closed(row.last), removed_by_rule(document))

    @property
    def agent_id(self) -> str:
        """Its id."""
        return self.row.agent_id

    def has_taken_back(self, position: int) -> bool:
        """Whether the history was set back to before a message, which the model then sees no more."""
        return not self._standing.holds(position) and not self.window.holds(position)

    @property
    def summary(self) -> AgentSummary:
        """What a session's detail shows of it."""
        return AgentSummary(
            agent_id=self.agent_id,
            created_at=str(self.document.get("created_at", "")),
            last_active=max(str(self.document.get("updated_at", "")), self.row.last_time),
            messages=self.row.last + 1,
            live=self.window.size,
            state=mapping(self.document.get("state")),
            taken_back=self.rewinds.taken_back(self.row.last),
        )


def multi_agent_of(multi_agent_id: str, state: dict[str, Any]) -> MultiAgentSummary:
    """What a session's detail shows of a Graph or Swarm, given its stored state."""
    nodes = sequence(state.get("execution_order") or state.get("node_history") or state.get("completed_nodes"))
    return MultiAgentSummary(multi_agent_id, str(state.get("status", "")), tuple(str(node) for node in nodes), state)


def groups_of(tables: Tables, session_id: str) -> Query[list[MultiAgentSummary]]:
    """A session's Graphs and Swarms, for the order of its agents; none where one can't be read."""
    query = tables.multi_agents.read(session_id)

    def read(answers: Answers) -> list[MultiAgentSummary]:
        try:
            found = query.read(answers)
        except SessionDataError:
            return []
        return [multi_agent_of(owner, found[owner].state) for owner in sorted(found)]

    return Query(query.statements, read)


def in_order(agent_ids: Collection[str], multi_agents: Iterable[MultiAgentSummary]) -> list[str]:
    """A session's agents in the order in which people look at them.

    First those that are no node: they talk to the user. Then the nodes of Graphs and Swarms, as they first ran.
    """
    nodes = dict.fromkeys(node for each in multi_agents for node in each.nodes if node in agent_ids)
    return [*(agent_id for agent_id in sorted(agent_ids) if agent_id not in nodes), *nodes]
