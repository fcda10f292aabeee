"""The rows of Graphs and Swarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..decoding import FoundParts, StoredMultiAgent
from ..encoding import now
from ..query import Query
from ._layout import first_revision, revision_step
from ._parts import Parts
from ._statements import session_facts, statement, under_revision

if TYPE_CHECKING:
    from ...client import Statement
    from ..encoding import Document
    from ..query import Answers
    from ._keys import Keys


class MultiAgents:
    """The statements over the table of Graphs and Swarms.

    Args:
        prefix: Starts the name of each table.
        keys: The data keys of sessions.
    """

    def __init__(self, prefix: str, keys: Keys) -> None:
        p = self.prefix = prefix
        self._keys = keys
        self._update = (
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, updated_at, data) "
            f"VALUES (?, ?, {under_revision(p + 'multi_agents', 'multi_agent_id')}, ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            "SET revision = excluded.revision, updated_at = excluded.updated_at, data = excluded.data"
        )
        self._parts = Parts(prefix, keys)

    def create(self, session_id: str, multi_agent_id: str, data: str, *, new_revision: int) -> Statement:
        """A Graph's or Swarm's first row; fails where it stands already, or its session has another data key."""
        return statement(
            f"INSERT INTO {self.prefix}multi_agents (session_id, multi_agent_id, revision, updated_at, data) "
            f"VALUES (?, ?, CASE WHEN {self._keys.held} THEN ? END, ?, ?)",
            session_id,
            multi_agent_id,
            *self._keys.bounds(session_id),
            new_revision,
            now(),
            self._sealed(session_id, multi_agent_id, data),
        )

    def update(self, session_id: str, multi_agent_id: str, data: str, *, revision: int, new_revision: int) -> Statement:
        """A Graph's or Swarm's row; fails where `revision` is not the stored one."""
        ids = (session_id, multi_agent_id)
        sealed = self._sealed(session_id, multi_agent_id, data)
        return statement(self._update, *ids, *ids, revision, new_revision, now(), sealed)

    def _sealed(self, session_id: str, multi_agent_id: str, data: str) -> str:
        """A Graph's or Swarm's document as it is stored."""
        return self._keys.seals.text(session_id, data, "multi_agents", multi_agent_id, "data")

    def put(self, session_id: str, multi_agent_id: str, document: Document) -> list[Statement]:
        """A Graph or Swarm, new or over an old one; fails without its session."""
        p = self.prefix
        row = statement(
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, updated_at, data) VALUES "
            f"((SELECT session_id FROM {p}sessions WHERE session_id = ? AND data_key IS ?), ?, ?, ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            f"SET revision = {p}multi_agents.revision + ?, updated_at = excluded.updated_at, data = excluded.data",
            *self._keys.bounds(session_id),
            multi_agent_id,
            first_revision(),
            now(),
            self._sealed(session_id, multi_agent_id, document.data),
            revision_step(),
        )
        return self._parts.with_row(session_id, "multi_agent", multi_agent_id, 0, document, row)

    def replace(self, session_id: str, multi_agent_id: str, document: Document) -> list[Statement]:
        """A Graph or Swarm whatever its revision; fails where none is there."""
        p = self.prefix
        row = statement(
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, updated_at, data) VALUES (?, ?, "
            f"(SELECT revision FROM {p}multi_agents WHERE session_id = ? AND multi_agent_id = ? AND {self._keys.held}) "
            "+ ?, ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            "SET revision = excluded.revision, updated_at = excluded.updated_at, data = excluded.data",
            session_id,
            multi_agent_id,
            session_id,
            multi_agent_id,
            *self._keys.bounds(session_id),
            revision_step(),
            now(),
            self._sealed(session_id, multi_agent_id, document.data),
        )
        return self._parts.with_row(session_id, "multi_agent", multi_agent_id, 0, document, row)

    def read(self, session_id: str, multi_agent_id: str | None = None) -> Query[dict[str, StoredMultiAgent]]:
        """A Graph or Swarm, or all of a session, by their ids.

        The reader raises `SessionDataError` for one that can't be read.
        """
        seals = self._keys.seals

        def read(answers: Answers) -> dict[str, StoredMultiAgent]:
            rows, found = answers
            parts = FoundParts(seals.parts(session_id, found))
            opened = seals.multi_agents(session_id, rows)
            return {row["multi_agent_id"]: StoredMultiAgent.of(row, parts) for row in opened}

        which, params = ("", ()) if multi_agent_id is None else (" AND multi_agent_id = ?", (multi_agent_id,))
        rows = (
            f"SELECT u.multi_agent_id, u.revision, u.data, {session_facts(self.prefix, 'u', 'u.updated_at')} "
            f"FROM {self.prefix}multi_agents AS u WHERE u.session_id = ?{which}"
        )
        statements = [statement(rows, session_id, *params), self._parts.of(session_id, "multi_agent", multi_agent_id)]
        return self._keys.opening(session_id, Query(statements, read))
