"""The tables of sessions under one prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from ._agents import Agents
from ._layout import STEPS, read_version
from ._messages import Messages
from ._multi_agents import MultiAgents
from ._parts import Parts
from ._restore import Restore
from ._sessions import Sessions
from ._statements import checked_prefix, statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["Tables"]


class Tables:
    """The tables of sessions, and the statements over each of them.

    Args:
        prefix: Starts the name of each table.

    Attributes:
        sessions: The rows of sessions.
        agents: The rows of agents.
        messages: The rows of messages.
        multi_agents: The rows of Graphs and Swarms.
        parts: The parts of documents that are too long for one row.
        restore: What agents are restored from.

    Raises:
        ValueError: The prefix is not safe inside SQL.
    """

    steps: ClassVar[tuple[Callable[[str], tuple[str, ...]], ...]] = STEPS

    def __init__(self, prefix: str = "strands_") -> None:
        p = self.prefix = checked_prefix(prefix)
        self.names = tuple(p + name for name in ("sessions", "agents", "messages", "multi_agents", "chunks", "schema"))
        self.sessions = Sessions(p)
        self.agents = Agents(p)
        self.messages = Messages(p)
        self.multi_agents = MultiAgents(p)
        self.parts = Parts(p)
        self.restore = Restore(p)

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The steps from one version of the layout to the newest, for one transaction; 0: from nothing.

        Harmless where they have been taken already.
        """
        return [
            statement(sql)
            for number, step in enumerate(self.steps, 1)
            if number > version
            for sql in (
                *step(self.prefix),
                f"INSERT INTO {self.prefix}schema (version) VALUES ({number}) ON CONFLICT (version) DO NOTHING",
            )
        ]

    def read_version(self) -> Statement:
        """The layout's version: one row, `version`."""
        return read_version(self.prefix)

    def dump(self, name: str) -> Statement:
        """A whole table in the order of its key."""
        keys = {
            "sessions": "session_id",
            "agents": "session_id, agent_id",
            "messages": "session_id, agent_id, message_id",
            "multi_agents": "session_id, multi_agent_id",
            "chunks": "session_id, kind, owner, message_id, generation, part",
            "schema": "version",
        }
        return statement(f"SELECT * FROM {self.prefix}{name} ORDER BY {keys[name]}")
