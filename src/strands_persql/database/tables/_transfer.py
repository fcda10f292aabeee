"""The statements that bring whole sessions in and out: pages of transcripts, and many messages in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._layout import first_revision
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement
    from ._tables import Tables

__all__ = ["TransferTables"]


class TransferTables:
    """The statements of imports and exports over the tables of sessions.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Tables) -> None:
        p = self._prefix = tables.prefix
        self._tables = tables
        # NULL, which no column here takes, as soon as the session is gone or somebody has begun the agent.
        unclaimed = (
            f"CASE WHEN EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?) "
            f"AND NOT EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ? AND agent_id = ?) THEN {{}} END"
        )
        # A row that a lost attempt left is the same, to the letter; any other becomes NULL.
        same = (
            "ON CONFLICT (session_id, agent_id, message_id) DO UPDATE SET data = "
            f"CASE WHEN {p}messages.data = excluded.data THEN excluded.data END"
        )
        self._import_messages = (
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) "
            f"SELECT ?, ?, {unclaimed.format('CAST(key AS INTEGER)')}, value FROM json_each(?) WHERE true {same}"
        )
        self._import_message = (
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) "
            f"VALUES (?, ?, {unclaimed.format('?')}, ?) {same}"
        )

    # Reading

    def read_head(self, session_id: str) -> list[Statement]:
        """All of a session but its messages.

        Answers, in this order: the layout's version; the session (`data`); its agents (`agent_id, revision,
        live_window, data`) and their parts; the owners of messages (`agent_id, last_message_id`), found by seeks, not
        by a scan; its Graphs and Swarms (`multi_agent_id, revision, data`) and their parts.
        """
        p = self._prefix
        chunks = f"SELECT owner, message_id, generation, part, data FROM {p}chunks WHERE session_id = ? AND kind = ?"
        return [
            self._tables.read_version(),
            *self._tables.sessions.read(session_id).statements,
            statement(
                f"SELECT agent_id, revision, live_window, data FROM {p}agents WHERE session_id = ? ORDER BY agent_id",
                session_id,
            ),
            statement(chunks, session_id, "agent"),
            statement(
                f"SELECT agent_id, (SELECT max(m.message_id) FROM {p}messages AS m "
                "WHERE m.session_id = ? AND m.agent_id = owners.agent_id) AS last_message_id FROM ("
                f"WITH RECURSIVE found(agent_id) AS (SELECT min(agent_id) FROM {p}messages WHERE session_id = ? "
                f"UNION ALL SELECT (SELECT min(m.agent_id) FROM {p}messages AS m "
                "WHERE m.session_id = ? AND m.agent_id > found.agent_id) FROM found WHERE found.agent_id IS NOT NULL) "
                "SELECT agent_id FROM found WHERE agent_id IS NOT NULL) AS owners ORDER BY agent_id",
                session_id,
                session_id,
                session_id,
            ),
            statement(
                f"SELECT multi_agent_id, revision, data FROM {p}multi_agents WHERE session_id = ? "
                "ORDER BY multi_agent_id",
                session_id,
            ),
            statement(chunks, session_id, "multi_agent"),
        ]

    def count_messages(self, session_id: str) -> Statement:
        """How many messages a session has, by a scan of its keys: `messages`."""
        return statement(f"SELECT count(*) AS messages FROM {self._prefix}messages WHERE session_id = ?", session_id)

    def list_sessions(self, *, after: str | None, limit: int) -> Statement:
        """A page of sessions in the order of their ids: `session_id`."""
        where = "" if after is None else " WHERE session_id > ?"
        return statement(
            f"SELECT session_id FROM {self._prefix}sessions{where} ORDER BY session_id LIMIT ?",
            *(() if after is None else (after,)),
            limit,
        )

    def page(self, session_id: str, after: tuple[str, int], *, limit: int, size: int) -> Statement:
        """The messages of all agents after one: `agent_id, message_id, data`, in the order of their key.

        Args:
            session_id: The session.
            after: The last message before the page: its agent and position.
            limit: The most messages.
            size: Ends the page at the message that reaches so many characters; a page has one message at least.
        """
        p = self._prefix
        rest = "session_id = ? AND (agent_id, message_id) > (?, ?)"
        order = "ORDER BY agent_id, message_id"
        before = f"sum(length) OVER ({order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        # The sizes are added up without the documents, so that the engine never holds more of those than it answers;
        # and as a limit, since a bound on two columns would be looked for to the end of the agent.
        return statement(
            f"SELECT agent_id, message_id, data FROM {p}messages WHERE {rest} {order} LIMIT ("
            f"SELECT count(*) FROM (SELECT {before} AS before FROM ("
            f"SELECT agent_id, message_id, length(data) AS length FROM {p}messages WHERE {rest} {order} LIMIT ?)) "
            "WHERE before IS NULL OR before < ?)",
            session_id,
            *after,
            session_id,
            *after,
            limit,
            size,
        )

    # Writing

    def import_messages(self, session_id: str, agent_id: str, messages: Iterable[tuple[int, str]]) -> Statement:
        """Many messages in one statement.

        Fails where the session has no row, the agent has one, or another message stands at one of the positions; the
        same message may stand there.

        Args:
            session_id: The session.
            agent_id: Whose they are.
            messages: Their positions, and each one's `data` as a JSON string: with quotes, escaped.
        """
        ids = (session_id, agent_id)
        documents = "{" + ",".join(f'"{position}":{data}' for position, data in messages) + "}"
        return statement(self._import_messages, *ids, session_id, *ids, documents)

    def import_message(self, session_id: str, agent_id: str, message_id: int, data: str) -> Statement:
        """One message, as `import_messages`."""
        ids = (session_id, agent_id)
        return statement(self._import_message, *ids, session_id, *ids, message_id, data)

    def import_agent(
        self, session_id: str, agent_id: str, live_window: str | None, data: str, *, last_message_id: int | None
    ) -> Statement:
        """An agent's row, once all its messages stand there.

        Fails where the session has no row, the agent's last message is another one, or another row of the agent stands
        there already; the same may.
        """
        p = self._prefix
        return statement(
            f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data) VALUES (?, ?, "
            f"CASE WHEN EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?) AND "
            f"(SELECT max(message_id) FROM {p}messages WHERE session_id = ? AND agent_id = ?) IS ? THEN ? END, ?, ?) "
            "ON CONFLICT (session_id, agent_id) DO UPDATE SET revision = CASE WHEN "
            f"{p}agents.data = excluded.data AND {p}agents.live_window IS excluded.live_window "
            f"THEN {p}agents.revision END",
            session_id,
            agent_id,
            session_id,
            session_id,
            agent_id,
            last_message_id,
            first_revision(),
            live_window,
            data,
        )

    def import_multi_agent(self, session_id: str, multi_agent_id: str, data: str) -> Statement:
        """A Graph's or Swarm's row; fails where the session has no row, or another one stands there already."""
        p = self._prefix
        return statement(
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, data) VALUES "
            f"((SELECT session_id FROM {p}sessions WHERE session_id = ?), ?, ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE SET revision = "
            f"CASE WHEN {p}multi_agents.data = excluded.data THEN {p}multi_agents.revision END",
            session_id,
            multi_agent_id,
            first_revision(),
            data,
        )
