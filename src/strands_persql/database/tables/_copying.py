"""Sessions copied and moved inside the database: no message passes through this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..about import COLUMNS
from ..encoding import Document
from ..query import Query
from ._conditions import require, require_version
from ._layout import revision_step
from ._listing import Listing, SessionRow
from ._session_objects import SessionObjects
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers
    from ._tables import Tables

_NEW_REVISION = f"1 + (random() & {(1 << 50) - 1})"  # as `first_revision` makes it


@dataclass(frozen=True, slots=True)
class Cut:
    """An agent whose history ends with an earlier message.

    Attributes:
        agent_id: Its id.
        at: That message's position.
        revision: The revision of the row that this was made of.
        window: Its live window's JSON.
        document: Its document.
        rewinds: Its rewinds' JSON.
    """

    agent_id: str
    at: int
    revision: int
    window: str | None
    document: Document
    rewinds: str | None


class Copying:
    """The statements that copy and move sessions.

    Args:
        tables: The tables of sessions.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._prefix = tables.prefix

    def fork(
        self, session_id: str, new_id: str, *, agent_id: str | None, now: str, data_key: str | None = None
    ) -> Query[SessionRow]:
        """Copy a session, or one agent of it; fails where one of the two is missing, or the copy's id is taken.

        Args:
            session_id: The session.
            new_id: The copy's.
            agent_id: The one agent.
            now: The time.
            data_key: What stands in the copy's row for its data key, where the session is encrypted.
        """
        p = self._prefix
        ids = (session_id,) if agent_id is None else (session_id, agent_id)
        whose = "session_id = ?" if agent_id is None else "session_id = ? AND agent_id = ?"
        statements = self._begun(session_id, new_id, now, data_key)
        if agent_id is not None:
            statements.append(require(self._tables, f"EXISTS (SELECT 1 FROM {p}agents WHERE {whose})", *ids))
        statements += [
            statement(
                f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data, rewinds) SELECT ?, "
                f"agent_id, {_NEW_REVISION}, live_window, data, rewinds FROM {p}agents WHERE {whose}",
                new_id,
                *ids,
            ),
            self._messages(new_id, whose, *ids),
            self._parts(new_id, "session_id = ?" if agent_id is None else _OF_AGENT, *ids),
        ]
        statements.append(SessionObjects(p, session_id).copy(new_id, agent_id))
        if agent_id is None:
            statements.append(
                statement(
                    f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, updated_at, data) SELECT ?, "
                    f"multi_agent_id, {_NEW_REVISION}, updated_at, data FROM {p}multi_agents WHERE session_id = ?",
                    new_id,
                    session_id,
                )
            )
        return self._answered(statements, new_id)

    def fork_cut(
        self, session_id: str, new_id: str, cut: Cut, *, sent: int, now: str, data_key: str | None = None
    ) -> Query[SessionRow]:
        """Copy one agent up to a message; fails where it was written to since, or the copy's id is taken.

        Args:
            session_id: The session.
            new_id: The copy's.
            cut: The agent as it is to be in the copy.
            sent: How many of its document's parts stand beside the agent that is copied: they move to the copy.
            now: The time.
            data_key: As for `fork`.
        """
        p = self._prefix
        ids = (session_id, cut.agent_id)
        agent = "session_id = ? AND agent_id = ?"
        statements = [
            *self._begun(session_id, new_id, now, data_key),
            require(
                self._tables, f"EXISTS (SELECT 1 FROM {p}agents WHERE {agent} AND revision = ?)", *ids, cut.revision
            ),
            statement(
                f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data, rewinds) "
                f"VALUES (?, ?, {_NEW_REVISION}, ?, ?, ?)",
                new_id,
                cut.agent_id,
                *self._tables.seals.agent(new_id, cut.agent_id, cut.window, cut.document.data),
                cut.rewinds,
            ),
            self._messages(new_id, f"{agent} AND message_id <= ?", *ids, cut.at),
            self._parts(new_id, f"{_OF_AGENT} AND kind <> 'agent' AND message_id <= ?", *ids, cut.at),
            SessionObjects(p, session_id).copy(new_id, cut.agent_id),
        ]
        if sent:
            statements.append(
                statement(
                    f"UPDATE {p}chunks SET session_id = ? WHERE {_GENERATION}", new_id, *ids, cut.document.generation
                )
            )
        statements += self._tables.parts.add(new_id, "agent", cut.agent_id, 0, cut.document)[sent:]
        return self._answered(statements, new_id)

    def drop_sent(self, session_id: str, cut: Cut) -> Statement:
        """Delete the parts that were sent for a copy which was then refused."""
        sql = f"DELETE FROM {self._prefix}chunks WHERE {_GENERATION}"
        return statement(sql, session_id, cut.agent_id, cut.document.generation)

    def rename(self, session_id: str, new_id: str, *, now: str, data_key: str | None = None) -> Query[SessionRow]:
        """Move a session's rows to another id; fails where the session is missing, or the id is taken.

        Args:
            session_id: The session.
            new_id: Its new id.
            now: The time.
            data_key: Its data key as it is stored under that, where it is encrypted.
        """
        p = self._prefix
        moved = [
            require_version(self._tables),
            self._require_no_objects(new_id),
            self._require_key(session_id),
            statement(
                f"UPDATE {p}sessions SET session_id = ?, data_key = ?, data = CASE WHEN json_valid(data) "
                "THEN json_set(data, '$.session_id', ?, '$.updated_at', ?) ELSE data END WHERE session_id = ?",
                new_id,
                data_key,
                new_id,
                now,
                session_id,
            ),
            statement(f"UPDATE {p}sessions SET origin = ? WHERE origin = ?", new_id, session_id),
        ]
        for name in ("agents", "multi_agents"):
            sql = f"UPDATE {p}{name} SET session_id = ?, revision = revision + ? WHERE session_id = ?"
            moved.append(statement(sql, new_id, revision_step(), session_id))
        for name in ("messages", "chunks"):
            moved.append(statement(f"UPDATE {p}{name} SET session_id = ? WHERE session_id = ?", new_id, session_id))
        moved.append(SessionObjects(p, session_id).move(new_id))
        return self._answered(moved, new_id)

    def made(self, new_id: str, now: str) -> Query[SessionRow | None]:
        """The session that a fork or a renaming of this time has made, perhaps by an attempt whose answer was lost."""
        made = statement(
            f"SELECT 1 AS so FROM {self._prefix}sessions WHERE session_id = ? "
            "AND CASE WHEN json_valid(data) THEN json_extract(data, '$.updated_at') END = ?",
            new_id,
            now,
        )
        summary = Listing(self._tables).summary(new_id)
        return Query([made, *summary.statements], lambda answers: summary.read(answers[1:]) if answers[0] else None)

    def _require_key(self, session_id: str) -> Statement:
        """Abort the transaction unless the session is there, and has the data key that is known."""
        keys = self._tables.keys
        return require(self._tables, keys.held, *keys.bounds(session_id))

    def _begun(self, session_id: str, new_id: str, now: str, data_key: str | None) -> list[Statement]:
        """The copy's own row; fails where the session is missing, or the copy's id is taken."""
        p = self._prefix
        return [
            require_version(self._tables),
            self._require_no_objects(new_id),
            self._require_key(session_id),
            statement(
                f"INSERT INTO {p}sessions (session_id, data_key, data, {', '.join(COLUMNS)}) SELECT ?, ?, s.data, "
                # Without the session there is still one row, of which the data is NULL.
                "s.user, s.active, s.title, s.tags, s.metadata, s.retention, s.expires, s.session_id "
                "FROM (SELECT 1) LEFT JOIN (SELECT "
                "CASE WHEN json_valid(data) THEN json_set(data, '$.session_id', ?, '$.created_at', ?, "
                "'$.updated_at', ?) ELSE data END AS data, user, CASE WHEN user IS NOT NULL THEN ? END AS active, "
                "title, tags, metadata, retention, expires, session_id "
                f"FROM {p}sessions WHERE session_id = ?) AS s",
                new_id,
                data_key,
                new_id,
                now,
                now,
                now,
                session_id,
            ),
        ]

    def _require_no_objects(self, new_id: str) -> Statement:
        """Abort the transaction if there are objects under the new id already, which are somebody else's."""
        objects = SessionObjects(self._prefix, new_id)
        none = f"NOT EXISTS (SELECT 1 FROM {self._prefix}objects WHERE {objects.held})"
        return require(self._tables, none, *objects.bounds)

    def _messages(self, new_id: str, where: str, *params: str | int) -> Statement:
        return statement(
            f"INSERT INTO {self._prefix}messages (session_id, agent_id, message_id, data, live) "
            f"SELECT ?, agent_id, message_id, data, live FROM {self._prefix}messages WHERE {where}",
            new_id,
            *params,
        )

    def _parts(self, new_id: str, where: str, *params: str | int) -> Statement:
        key = "kind, owner, message_id, generation, part, data"
        return statement(
            f"INSERT INTO {self._prefix}chunks (session_id, {key}) SELECT ?, {key} FROM {self._prefix}chunks "
            f"WHERE {where}",
            new_id,
            *params,
        )

    def _answered(self, statements: list[Statement], new_id: str) -> Query[SessionRow]:
        summary = Listing(self._tables).summary(new_id)

        def read(answers: Answers) -> SessionRow:
            row = summary.read(answers[-1:])
            assert row is not None
            return row

        return Query([*statements, *summary.statements], read)


_OF_AGENT = "session_id = ? AND owner = ? AND kind <> 'multi_agent'"
_GENERATION = "session_id = ? AND kind = 'agent' AND owner = ? AND message_id = 0 AND generation = ?"
