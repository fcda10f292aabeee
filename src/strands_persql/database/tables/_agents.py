"""The rows of agents: their state, their live window, their revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..decoding import AgentRecord, FoundParts
from ..query import Query
from ._layout import first_revision, revision_step
from ._listing import newest_message
from ._parts import Parts
from ._statements import keeping_created_at, statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..encoding import Document
    from ..query import Answers
    from ._keys import Keys


def select_agents(prefix: str, more: str = "") -> str:
    """What reads agents `a`: `agent_id, revision, live_window, data, last_message_id`, and `more` columns."""
    return (
        f"SELECT a.agent_id, a.revision, a.live_window, a.data, {newest_message(prefix)} AS last_message_id{more} "
        f"FROM {prefix}agents AS a"
    )


class Agents:
    """The statements over the table of agents.

    Args:
        prefix: Starts the name of each table.
        keys: The data keys of sessions.
    """

    def __init__(self, prefix: str, keys: Keys) -> None:
        p = self.prefix = prefix
        self._keys = keys
        # An upsert whose NOT NULL column is NULL, and which fails, where the agent's revision is not the one this
        # writer knows, or where a message stands already at the position of this writer's next one.
        self._update = (
            f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data) "
            f"VALUES (?, ?, CASE WHEN (SELECT revision FROM {p}agents "
            "WHERE session_id = ? AND agent_id = ? AND revision = ?) IS NOT NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {p}messages "
            "WHERE session_id = ? AND agent_id = ? AND message_id >= ?) THEN ? END, ?, ?) "
            "ON CONFLICT (session_id, agent_id) DO UPDATE "
            "SET revision = excluded.revision, live_window = excluded.live_window, data = excluded.data"
        )
        self._parts = Parts(prefix, keys)

    def create(
        self, session_id: str, agent_id: str, live_window: str | None, data: str, *, new_revision: int
    ) -> Statement:
        """An agent's first row; fails where it stands already, or its session has another data key."""
        return statement(
            f"INSERT INTO {self.prefix}agents (session_id, agent_id, revision, live_window, data) "
            f"VALUES (?, ?, CASE WHEN {self._keys.held} THEN ? END, ?, ?)",
            session_id,
            agent_id,
            *self._keys.bounds(session_id),
            new_revision,
            *self._keys.seals.agent(session_id, agent_id, live_window, data),
        )

    def update(
        self,
        session_id: str,
        agent_id: str,
        live_window: str | None,
        data: str,
        *,
        next_id: int,
        revisions: tuple[int, int],
    ) -> Statement:
        """An agent's row.

        Args:
            session_id: The session.
            agent_id: The agent.
            live_window: Its live window.
            data: Its document, or what stands for it.
            next_id: The position of its next message: fails where a message stands there, or after it.
            revisions: The one its writer knows, and the new one: fails where another is stored, or none.
        """
        ids = (session_id, agent_id)
        known, new = revisions
        guard = (*ids, known, *ids, next_id, new)
        return statement(self._update, *ids, *guard, *self._keys.seals.agent(session_id, agent_id, live_window, data))

    def note_rewinds(self, session_id: str, agent_id: str, rewinds: str | None) -> Statement:
        """Its rewinds. Nothing else writes that column: live agents know nothing of it."""
        return statement(
            f"UPDATE {self.prefix}agents SET rewinds = ? WHERE session_id = ? AND agent_id = ?",
            rewinds,
            session_id,
            agent_id,
        )

    def touch(self, session_id: str, agent_id: str, *, revision: int, new_revision: int) -> Statement:
        """The revision alone.

        Goes with each rewritten message: a stale rewrite that reaches the database late is then refused.
        """
        return statement(
            f"UPDATE {self.prefix}agents SET revision = CASE WHEN revision = ? THEN ? END "
            "WHERE session_id = ? AND agent_id = ?",
            revision,
            new_revision,
            session_id,
            agent_id,
        )

    def add(self, session_id: str, agent_id: str, document: Document) -> list[Statement]:
        """An agent with no window, as Strands' own managers write it; fails without its session, or twice."""
        p = self.prefix
        row = statement(
            f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data) VALUES "
            f"((SELECT session_id FROM {p}sessions WHERE session_id = ? AND data_key IS ?), ?, ?, NULL, ?)",
            *self._keys.bounds(session_id),
            agent_id,
            first_revision(),
            self._keys.seals.agent(session_id, agent_id, None, document.data)[1],
        )
        return [*self._parts.add(session_id, "agent", agent_id, 0, document), row]

    def replace(self, session_id: str, agent_id: str, document: Document) -> list[Statement]:
        """An agent whatever its revision, with no window; fails where none is there. Keeps `created_at`.

        Its writer has seen all messages as they were said: that is what the model sees from now on.
        """
        p = self.prefix
        ids = (session_id, agent_id)
        windowed = f"EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ? AND agent_id = ? AND live_window IS NOT NULL)"
        seen = [
            statement(
                f"UPDATE {p}messages SET live = NULL WHERE session_id = ? AND agent_id = ? AND live IS NOT NULL "
                f"AND {windowed}",
                *ids,
                *ids,
            ),
            statement(
                f"DELETE FROM {p}chunks WHERE session_id = ? AND kind = 'live' AND owner = ? AND {windowed}", *ids, *ids
            ),
        ]
        row = statement(
            f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data) VALUES "
            f"(?, ?, (SELECT revision FROM {p}agents WHERE session_id = ? AND agent_id = ? AND {self._keys.held}) + ?, "
            "NULL, ?) "
            "ON CONFLICT (session_id, agent_id) DO UPDATE SET revision = excluded.revision, live_window = NULL, "
            f"data = {keeping_created_at(p + 'agents')}",
            session_id,
            agent_id,
            session_id,
            agent_id,
            *self._keys.bounds(session_id),
            revision_step(),
            self._keys.seals.agent(session_id, agent_id, None, document.data)[1],
        )
        return [*seen, *self._parts.with_row(session_id, "agent", agent_id, 0, document, row)]

    def read(self, session_id: str, agent_id: str) -> Query[AgentRecord | None]:
        """An agent; None where there is none."""
        seals = self._keys.seals

        def read(answers: Answers) -> AgentRecord | None:
            rows, parts = answers
            own = FoundParts(seals.parts(session_id, parts))
            return AgentRecord.of(seals.agents(session_id, rows)[0], own) if rows else None

        which = f"{select_agents(self.prefix)} WHERE a.session_id = ? AND a.agent_id = ?"
        statements = [statement(which, session_id, agent_id), self._parts.of(session_id, "agent", agent_id)]
        return self._keys.opening(session_id, Query(statements, read))
