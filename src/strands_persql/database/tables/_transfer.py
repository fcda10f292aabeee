"""What imports and exports ask of the tables of sessions: pages of transcripts, and many messages in one statement."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from ...errors import named
from ..about import About
from ..decoding import FoundParts, StoredDocument, StoredMessage
from ..encoding import quoted
from ..query import Query, together
from ._layout import first_revision
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..encoding import Document
    from ..query import Answers, Rows
    from ._tables import Tables

Kind = Literal["agent", "multi_agent"]


class StoredState(NamedTuple):
    """The row of an agent, Graph or Swarm.

    Attributes:
        revision: Goes up with each write of the row.
        document: Its document.
        window: An agent's live window, as JSON; None where it has none.
        updated_at: When a Graph's or Swarm's row was written last.
        rewinds: An agent's rewinds, as JSON; None where it has none.
    """

    revision: int
    document: StoredDocument
    window: str | None
    updated_at: str
    rewinds: str | None = None


class AgentColumns(NamedTuple):
    """What the row of an agent has beside its document, as JSON; see `StoredState`."""

    window: str | None
    rewinds: str | None


class SessionHead(NamedTuple):
    """All that is stored of a session but its messages.

    Attributes:
        session: Its own document; None where it has no row.
        about: Whose it is, and what people call it.
        states: Its agents by their ids, then its Graphs and Swarms.
        last: The position of each agent's last message, also of agents without a row.
    """

    session: StoredDocument | None
    about: About
    states: dict[tuple[Kind, str], StoredState]
    last: dict[str, int]


class PagedMessage(NamedTuple):
    """One message of a page over all agents."""

    agent_id: str
    message: StoredMessage


class TransferTables:
    """The statements of imports and exports over the tables of sessions.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Tables) -> None:
        p = self._prefix = tables.prefix
        self._tables = tables
        self._seals = tables.seals
        # NULL, which the column doesn't take, once the session is deleted or somebody has created the agent.
        unclaimed = (
            f"CASE WHEN {tables.keys.held} "
            f"AND NOT EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ? AND agent_id = ?) THEN {{}} END"
        )
        # An earlier attempt whose answer was lost wrote the same row. Over any other, the value is NULL.
        same = (
            "ON CONFLICT (session_id, agent_id, message_id) DO UPDATE SET data = "
            f"CASE WHEN {p}messages.data = excluded.data AND {p}messages.live IS excluded.live THEN excluded.data END"
        )
        self._import_messages = (
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) "
            f"SELECT ?, ?, {unclaimed.format('CAST(key AS INTEGER)')}, value FROM json_each(?) WHERE true {same}"
        )
        self._import_message = (
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data, live) "
            f"VALUES (?, ?, {unclaimed.format('?')}, ?, ?) {same}"
        )

    # Reading

    def read_head(self, session_id: str) -> Query[SessionHead]:
        """All of a session but its messages."""
        found = together(
            together(self._tables.sessions.read(session_id), self._tables.sessions.about(session_id)),
            self._states(session_id, "agent"),
            self._states(session_id, "multi_agent"),
            self._last_messages(session_id),
        )

        def read(answers: Answers) -> SessionHead:
            (session, about), agents, multi_agents, last = found.read(answers)
            return SessionHead(session, about or About(), {**agents, **multi_agents}, last)

        return Query(found.statements, read)

    def _states(self, session_id: str, kind: Kind) -> Query[dict[tuple[Kind, str], StoredState]]:
        def opened(rows: Rows) -> Rows:
            if kind == "multi_agent":
                return self._seals.multi_agents(session_id, rows, "owner")
            return self._seals.agents(session_id, [{**row, "agent_id": row["owner"]} for row in rows])

        def read(answers: Answers) -> dict[tuple[Kind, str], StoredState]:
            rows, found = answers
            parts = FoundParts(self._seals.parts(session_id, found))
            states: dict[tuple[Kind, str], StoredState] = {}
            for row in opened(rows):
                what = f"The row of {kind.replace('_', '-')} {named(row['owner'])}"
                document = StoredDocument(what, row["data"], parts.of(row["owner"]))
                states[kind, row["owner"]] = StoredState(
                    row["revision"], document, row["live_window"], row["updated_at"], row["rewinds"]
                )
            return states

        own = "NULL AS live_window, updated_at, NULL AS rewinds"
        if kind == "agent":
            own = "live_window, '' AS updated_at, rewinds"
        rows = statement(
            f"SELECT {kind}_id AS owner, revision, {own}, data FROM {self._prefix}{kind}s WHERE session_id = ? "
            f"ORDER BY {kind}_id",
            session_id,
        )
        return self._tables.keys.opening(session_id, Query([rows, self._tables.parts.of(session_id, kind)], read))

    def _last_messages(self, session_id: str) -> Query[dict[str, int]]:
        p = self._prefix
        # The agents are found by a seek for each, without a scan of their messages.
        rows = statement(
            f"SELECT agent_id, (SELECT max(m.message_id) FROM {p}messages AS m "
            "WHERE m.session_id = ? AND m.agent_id = owners.agent_id) AS last_message_id FROM ("
            f"WITH RECURSIVE found(agent_id) AS (SELECT min(agent_id) FROM {p}messages WHERE session_id = ? "
            f"UNION ALL SELECT (SELECT min(m.agent_id) FROM {p}messages AS m "
            "WHERE m.session_id = ? AND m.agent_id > found.agent_id) FROM found WHERE found.agent_id IS NOT NULL) "
            "SELECT agent_id FROM found WHERE agent_id IS NOT NULL) AS owners ORDER BY agent_id",
            session_id,
            session_id,
            session_id,
        )
        return Query([rows], lambda answers: {row["agent_id"]: row["last_message_id"] for row in answers[0]})

    def count_messages(self, session_id: str) -> Query[int]:
        """How many messages a session has, by a scan of their keys."""
        rows = statement(f"SELECT count(*) AS messages FROM {self._prefix}messages WHERE session_id = ?", session_id)
        return Query([rows], lambda answers: answers[0][0]["messages"])

    def list_sessions(self, *, after: str, limit: int) -> Query[list[str]]:
        """The ids of a page of sessions, in order."""
        rows = statement(
            f"SELECT session_id FROM {self._prefix}sessions WHERE session_id > ? ORDER BY session_id LIMIT ?",
            after,
            limit,
        )
        return Query([rows], lambda answers: [row["session_id"] for row in answers[0]])

    def page(self, session_id: str, after: tuple[str, int], *, limit: int, size: int) -> Query[list[PagedMessage]]:
        """The messages of all agents after one, in the order of agents and positions, in both versions; of parts, none.

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
        # The inner SELECT adds up lengths alone, so that SQLite never holds more documents than it answers. Its result
        # is a LIMIT, because SQLite would search for a bound on two columns up to the end of the agent.
        rows = statement(
            f"SELECT agent_id, message_id, data, live FROM {p}messages WHERE {rest} {order} LIMIT ("
            f"SELECT count(*) FROM (SELECT {before} AS before FROM ("
            "SELECT agent_id, message_id, length(data) + coalesce(length(live), 0) AS length "
            f"FROM {p}messages WHERE {rest} {order} LIMIT ?)) "
            "WHERE before IS NULL OR before < ?)",
            session_id,
            *after,
            session_id,
            *after,
            limit,
            size,
        )

        def read(answers: Answers) -> list[PagedMessage]:
            none, opened = FoundParts(), self._seals.messages(session_id, answers[0])
            return [PagedMessage(row["agent_id"], StoredMessage.of(row, row["agent_id"], none)) for row in opened]

        return self._tables.keys.opening(session_id, Query([rows], read))

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
        if self._seals.is_on:
            messages = [(at, quoted(self._sealed(*ids, at, json.loads(data)))) for at, data in messages]
        documents = "{" + ",".join(f'"{position}":{data}' for position, data in messages) + "}"
        return statement(self._import_messages, *ids, *self._tables.keys.bounds(session_id), *ids, documents)

    def import_message(
        self, session_id: str, agent_id: str, message_id: int, data: str, live: str | None = None
    ) -> Statement:
        """One message, as `import_messages`, and what the model sees in its place."""
        ids = (session_id, agent_id)
        data = self._sealed(*ids, message_id, data)
        live = None if live is None else self._sealed(*ids, message_id, live, "live")
        held = self._tables.keys.bounds(session_id)
        return statement(self._import_message, *ids, *held, *ids, message_id, data, live)

    def _sealed(self, session_id: str, agent_id: str, message_id: int, data: str, column: str = "data") -> str:
        return self._seals.text(session_id, data, "messages", agent_id, message_id, column)

    def import_agent(
        self, session_id: str, agent_id: str, document: Document, *, own: AgentColumns, last: int | None
    ) -> list[Statement]:
        """An agent's parts and row, once all its messages stand there.

        Fails where the session has no row, the position of the agent's last message is not `last`, or another row of
        the agent stands there already; the same may.
        """
        p = self._prefix
        row = statement(
            f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, rewinds, data) VALUES (?, ?, "
            f"CASE WHEN EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ? AND data_key IS ?) AND "
            f"(SELECT max(message_id) FROM {p}messages WHERE session_id = ? AND agent_id = ?) IS ? THEN ? END, "
            "?, ?, ?) ON CONFLICT (session_id, agent_id) DO UPDATE SET revision = CASE WHEN "
            f"{p}agents.data = excluded.data AND {p}agents.live_window IS excluded.live_window "
            f"AND {p}agents.rewinds IS excluded.rewinds THEN {p}agents.revision END",
            session_id,
            agent_id,
            *self._tables.keys.bounds(session_id),
            session_id,
            agent_id,
            last,
            first_revision(),
            *own._replace(window=self._seals.window(session_id, agent_id, own.window)),
            self._seals.text(session_id, document.data, "agents", agent_id, "data"),
        )
        return [*self._tables.parts.add(session_id, "agent", agent_id, 0, document), row]

    def import_multi_agent(
        self, session_id: str, multi_agent_id: str, document: Document, *, updated_at: str
    ) -> list[Statement]:
        """A Graph's or Swarm's parts and row, which was last written at a time; empty where nothing tells.

        Fails where the session has no row, or another row stands there already; the same may.
        """
        p = self._prefix
        row = statement(
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, updated_at, data) VALUES "
            f"((SELECT session_id FROM {p}sessions WHERE session_id = ? AND data_key IS ?), ?, ?, ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE SET revision = "
            f"CASE WHEN {p}multi_agents.data = excluded.data THEN {p}multi_agents.revision END",
            *self._tables.keys.bounds(session_id),
            multi_agent_id,
            first_revision(),
            updated_at,
            self._seals.text(session_id, document.data, "multi_agents", multi_agent_id, "data"),
        )
        return [*self._tables.parts.add(session_id, "multi_agent", multi_agent_id, 0, document), row]
