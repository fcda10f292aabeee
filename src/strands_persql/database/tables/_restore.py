"""What a restore reads: agents with the messages in their live windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._layout import read_version
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["CHUNKS_AT_ONCE", "MESSAGES_AT_ONCE", "Restore"]

MESSAGES_AT_ONCE = 5_000
"""The most messages that one request of a restore reads: an answer stands in the service's memory as a whole."""

CHUNKS_AT_ONCE = 8
"""The most parts of messages likewise; each may be a megabyte."""


_LARGEST = (1 << 63) - 1


class Restore:
    """The statements of a restore.

    Args:
        prefix: Starts the name of each table.
    """

    def __init__(self, prefix: str) -> None:
        p = self.prefix = prefix
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
            f"SELECT m.agent_id, m.message_id, m.data {window.format('[]')} CROSS JOIN {p}messages AS m "
            f"ON m.session_id = a.session_id AND m.agent_id = a.agent_id AND {within.format('m')}"
        )
        chunk_keys = "SELECT c.owner, c.message_id, c.generation, c.part"
        in_windows = (
            f"{window.format('[[0,null]]')} CROSS JOIN {p}chunks AS c ON c.session_id = a.session_id "
            f"AND c.kind = 'message' AND c.owner = a.agent_id AND {within.format('c')}"
        )
        self._chunk_keys = f"{chunk_keys} {in_windows}"
        self._chunks = f"{chunk_keys}, c.data {in_windows}"

    def agents(self, session_id: str, agent_id: str | None = None) -> list[Statement]:
        """What an agent restores from, or all agents of a session.

        Answers, in this order: the layout's version; the agents (`agent_id, revision, live_window, data,
        last_message_id`); the messages in their live windows (`agent_id, message_id, data`, in no order); the messages
        of agents with no live window, by Strands' own rule (the conversation manager's removed messages are skipped,
        as far as SQLite could read how many: `removed` tells); and the parts of agents and of messages (`owner,
        message_id, generation, part, data`).

        Of either kind of messages it answers `MESSAGES_AT_ONCE` at most, and of their parts `CHUNKS_AT_ONCE`: where it
        answers as many, the rest is read by `messages_between`, `chunks_in_windows` and `chunks_between`.
        """
        p = self.prefix
        which = "a.session_id = ?" if agent_id is None else "a.session_id = ? AND a.agent_id = ?"
        owner = "" if agent_id is None else " AND owner = ?"
        params = (session_id,) if agent_id is None else (session_id, agent_id)
        removed = (
            "CASE WHEN json_valid(a.data) THEN "
            "json_extract(a.data, '$.conversation_manager_state.removed_message_count') END"
        )
        return [
            read_version(p),
            statement(
                "SELECT a.agent_id, a.revision, a.live_window, a.data, "
                f"(SELECT max(m.message_id) FROM {p}messages AS m "
                f"WHERE m.session_id = a.session_id AND m.agent_id = a.agent_id) AS last_message_id "
                f"FROM {p}agents AS a WHERE {which}",
                *params,
            ),
            statement(f"{self._messages} WHERE {which} LIMIT ?", *params, MESSAGES_AT_ONCE),
            statement(
                "SELECT agent_id, message_id, data, removed FROM (SELECT m.agent_id, m.message_id, m.data, "
                f"coalesce({removed}, 0) AS removed, "
                "row_number() OVER (PARTITION BY m.agent_id ORDER BY m.message_id) AS place "
                f"FROM {p}agents AS a CROSS JOIN {p}messages AS m ON m.session_id = a.session_id "
                f"AND m.agent_id = a.agent_id WHERE {which} AND a.live_window IS NULL) WHERE place > removed LIMIT ?",
                *params,
                MESSAGES_AT_ONCE,
            ),
            statement(
                f"SELECT owner, message_id, generation, part, data FROM {p}chunks "
                f"WHERE session_id = ? AND kind = 'agent'{owner}",
                *params,
            ),
            statement(f"{self._chunks} WHERE {which} LIMIT ?", *params, CHUNKS_AT_ONCE),
        ]

    def messages_between(self, session_id: str, agent_id: str, low: int, high: int, *, limit: int) -> Statement:
        """The first messages of a range of positions, both ends included, in order: `message_id, data`."""
        return statement(
            f"SELECT message_id, data FROM {self.prefix}messages WHERE session_id = ? AND agent_id = ? "
            "AND message_id >= ? AND message_id <= ? ORDER BY message_id LIMIT ?",
            session_id,
            agent_id,
            low,
            high,
            limit,
        )

    def chunks_in_windows(self, session_id: str, agent_id: str | None = None) -> Statement:
        """Which parts of messages there are in live windows: `owner, message_id, generation, part`."""
        which = "a.session_id = ?" if agent_id is None else "a.session_id = ? AND a.agent_id = ?"
        params = (session_id,) if agent_id is None else (session_id, agent_id)
        return statement(f"{self._chunk_keys} WHERE {which}", *params)

    def chunks_between(
        self, session_id: str, agent_id: str, message_id: int, generation: str, low: int, high: int
    ) -> Statement:
        """Some parts of one message, both ends included: `owner, message_id, generation, part, data`."""
        return statement(
            f"SELECT owner, message_id, generation, part, data FROM {self.prefix}chunks WHERE session_id = ? "
            "AND kind = 'message' AND owner = ? AND message_id = ? AND generation = ? AND part >= ? AND part <= ?",
            session_id,
            agent_id,
            message_id,
            generation,
            low,
            high,
        )
