"""What a restore reads: agents with the messages in their live windows, as the model sees them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..decoding import AgentRecord, FoundParts, RestorePage
from ..query import Query
from ._agents import select_agents
from ._parts import Parts
from ._statements import session_facts, statement

if TYPE_CHECKING:
    from ..query import Answers, Rows
    from ._keys import Keys

MESSAGES_AT_ONCE = 5_000
"""The most messages that one request of a restore reads: the service holds an answer in its memory as a whole."""

CHUNKS_AT_ONCE = 8
"""The most parts of messages that one request reads, each of up to a megabyte."""

_LARGEST = (1 << 63) - 1

_SHOWN = "coalesce(m.live, m.data) AS data"


class Restore:
    """The statements of a restore.

    Args:
        prefix: Starts the name of each table.
        keys: The data keys of sessions.
    """

    def __init__(self, prefix: str, keys: Keys) -> None:
        p = self.prefix = prefix
        self._keys = keys
        self._seals = keys.seals
        shown = f"{_SHOWN}, m.live IS NOT NULL AS is_live" if self._seals.is_on else _SHOWN
        self._shown = shown
        self._agents = select_agents(p, f", {session_facts(p, 'a')}")
        # What the live window names, expanded by SQLite: [[0,null]] is all, [[0,0],[40,null]] the first and the rest.
        window = (
            f"FROM {p}agents AS a CROSS JOIN json_each(CASE WHEN a.live_window IS NULL THEN '{{0}}' "
            "WHEN json_valid(a.live_window) THEN a.live_window ELSE '[]' END) AS w"
        )
        within = (
            "w.type = 'array' AND {0}.message_id >= json_extract(w.value, '$[0]') "
            f"AND {{0}}.message_id <= coalesce(json_extract(w.value, '$[1]'), {_LARGEST})"
        )
        self._messages = (
            f"SELECT m.agent_id, m.message_id, {shown} {window.format('[]')} CROSS JOIN {p}messages AS m "
            f"ON m.session_id = a.session_id AND m.agent_id = a.agent_id AND {within.format('m')}"
        )
        self._in_windows = (
            f"{window.format('[[0,null]]')} CROSS JOIN {p}chunks AS c ON c.session_id = a.session_id "
            f"AND c.kind IN ('live', 'message') AND c.owner = a.agent_id AND {within.format('c')} "
            # The parts of what was said are not read where the model sees something else.
            f"AND (c.kind = 'live') = coalesce((SELECT m.live IS NOT NULL FROM {p}messages AS m WHERE m.session_id = "
            "c.session_id AND m.agent_id = c.owner AND m.message_id = c.message_id), c.kind = 'live')"
        )
        removed = (
            "CASE WHEN json_valid(a.data) THEN "
            "json_extract(a.data, '$.conversation_manager_state.removed_message_count') END"
        )
        self._unwindowed = (
            f"SELECT agent_id, message_id, data, {'is_live, ' if self._seals.is_on else ''}removed FROM "
            f"(SELECT m.agent_id, m.message_id, {shown}, "
            f"coalesce({removed}, 0) AS removed, "
            "row_number() OVER (PARTITION BY m.agent_id ORDER BY m.message_id) AS place "
            f"FROM {p}agents AS a CROSS JOIN {p}messages AS m ON m.session_id = a.session_id "
            "AND m.agent_id = a.agent_id WHERE {which} AND a.live_window IS NULL) WHERE place > removed LIMIT ?"
        )
        self._parts = Parts(prefix, keys)

    def agents(self, session_id: str, agent_id: str | None = None) -> Query[RestorePage]:
        """What an agent restores from, or all agents of a session.

        Of the messages in live windows it answers `MESSAGES_AT_ONCE` at most, of those of agents without one likewise,
        and of the messages' parts `CHUNKS_AT_ONCE`: where it answers as many, the rest is read by `messages_between`,
        `positions_in_parts` and `Parts.some`.
        """
        seals = self._seals

        def read(answers: Answers) -> RestorePage:
            agents, windowed, unwindowed, agent_parts, parts = answers
            agents, agent_parts = seals.agents(session_id, agents), seals.parts(session_id, agent_parts)
            windowed, unwindowed = seals.messages(session_id, windowed), seals.messages(session_id, unwindowed)
            parts, own = seals.parts(session_id, parts), FoundParts(agent_parts)
            return RestorePage(
                [AgentRecord.of(row, own) for row in agents],
                windowed,
                unwindowed,
                FoundParts(parts),
                has_all_parts=len(parts) < CHUNKS_AT_ONCE,
            )

        which, params = _which(session_id, agent_id)
        query = Query(
            [
                statement(f"{self._agents} WHERE {which}", *params),
                statement(f"{self._messages} WHERE {which} LIMIT ?", *params, MESSAGES_AT_ONCE),
                statement(self._unwindowed.format(which=which), *params, MESSAGES_AT_ONCE),
                self._parts.of(session_id, "agent", agent_id),
                statement(
                    f"SELECT c.kind, c.owner, c.message_id, c.generation, c.part, c.data {self._in_windows} "
                    f"WHERE {which} LIMIT ?",
                    *params,
                    CHUNKS_AT_ONCE,
                ),
            ],
            read,
        )
        return self._keys.opening(session_id, query)

    def messages_between(self, session_id: str, agent_id: str, low: int, high: int, *, limit: int) -> Query[Rows]:
        """The first messages of a range of positions, both ends included, in order: `message_id, data`."""
        rows = statement(
            f"SELECT m.message_id, {self._shown} FROM {self.prefix}messages AS m "
            "WHERE m.session_id = ? AND m.agent_id = ? AND m.message_id >= ? AND m.message_id <= ? "
            "ORDER BY m.message_id LIMIT ?",
            session_id,
            agent_id,
            low,
            high,
            limit,
        )
        query = Query([rows], lambda answers: self._seals.messages(session_id, answers[0], agent_id))
        return self._keys.opening(session_id, query)

    def positions_in_parts(self, session_id: str, agent_id: str | None = None) -> Query[list[tuple[str, int]]]:
        """The messages in live windows that have parts: agent and position."""
        which, params = _which(session_id, agent_id)
        keys = statement(f"SELECT DISTINCT c.owner, c.message_id {self._in_windows} WHERE {which}", *params)
        return Query([keys], lambda answers: [(row["owner"], row["message_id"]) for row in answers[0]])


def _which(session_id: str, agent_id: str | None) -> tuple[str, tuple[str, ...]]:
    if agent_id is None:
        return "a.session_id = ?", (session_id,)
    return "a.session_id = ? AND a.agent_id = ?", (session_id, agent_id)
