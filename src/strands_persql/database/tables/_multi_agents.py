"""The rows of Graphs and Swarms."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._layout import first_revision, revision_step
from ._statements import statement, under_revision

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["MultiAgents"]


class MultiAgents:
    """The statements over the table of Graphs and Swarms.

    Args:
        prefix: Starts the name of each table.
    """

    def __init__(self, prefix: str) -> None:
        p = self.prefix = prefix
        self._update = (
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, data) "
            f"VALUES (?, ?, {under_revision(p + 'multi_agents', 'multi_agent_id')}, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            "SET revision = excluded.revision, data = excluded.data"
        )

    def create(self, session_id: str, multi_agent_id: str, data: str, *, new_revision: int) -> Statement:
        """A Graph's or Swarm's first row; fails where it stands already."""
        return statement(
            f"INSERT INTO {self.prefix}multi_agents (session_id, multi_agent_id, revision, data) VALUES (?, ?, ?, ?)",
            session_id,
            multi_agent_id,
            new_revision,
            data,
        )

    def update(self, session_id: str, multi_agent_id: str, data: str, *, revision: int, new_revision: int) -> Statement:
        """A Graph's or Swarm's row; fails where `revision` is not the stored one."""
        ids = (session_id, multi_agent_id)
        return statement(self._update, *ids, *ids, revision, new_revision, data)

    def read_some(self, session_id: str, multi_agent_ids: Iterable[str]) -> Statement:
        """Graphs and Swarms as they are stored: `multi_agent_id, revision, data`."""
        return statement(
            f"SELECT multi_agent_id, revision, data FROM {self.prefix}multi_agents "
            "WHERE session_id = ? AND multi_agent_id IN (SELECT value FROM json_each(?))",
            session_id,
            json.dumps(list(multi_agent_ids)),
        )

    def read(self, session_id: str, multi_agent_id: str | None = None) -> list[Statement]:
        """What a Graph or Swarm restores from, or all of a session.

        Answers the rows (`multi_agent_id, revision, data`), then their parts (`owner, message_id, generation, part,
        data`).
        """
        p = self.prefix
        params = (session_id,) if multi_agent_id is None else (session_id, multi_agent_id)
        return [
            statement(
                f"SELECT multi_agent_id, revision, data FROM {p}multi_agents WHERE session_id = ?"
                + ("" if multi_agent_id is None else " AND multi_agent_id = ?"),
                *params,
            ),
            statement(
                f"SELECT owner, message_id, generation, part, data FROM {p}chunks "
                "WHERE session_id = ? AND kind = 'multi_agent'" + ("" if multi_agent_id is None else " AND owner = ?"),
                *params,
            ),
        ]

    def put(self, session_id: str, multi_agent_id: str, data: str) -> Statement:
        """A Graph's or Swarm's row, new or over an old one; fails without its session."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, data) VALUES "
            f"((SELECT session_id FROM {p}sessions WHERE session_id = ?), ?, ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            f"SET revision = {p}multi_agents.revision + ?, data = excluded.data",
            session_id,
            multi_agent_id,
            first_revision(),
            data,
            revision_step(),
        )

    def replace(self, session_id: str, multi_agent_id: str, data: str) -> Statement:
        """A Graph's or Swarm's row whatever its revision; fails where none is there."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, data) VALUES (?, ?, "
            f"(SELECT revision FROM {p}multi_agents WHERE session_id = ? AND multi_agent_id = ?) + ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            "SET revision = excluded.revision, data = excluded.data",
            session_id,
            multi_agent_id,
            session_id,
            multi_agent_id,
            revision_step(),
            data,
        )
