"""Sessions deleted page by page, and those conditions under which a page may go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..query import Query, each, together
from ._conditions import require, require_version
from ._layout import revision_step
from ._listing import ALL_TABLES, Listing, newest_message
from ._session_objects import SessionObjects
from ._statements import is_in_parts, statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers
    from ..retention import Keeping
    from ._tables import Tables


class DeletedPage(NamedTuple):
    """What one page of a deletion did.

    Attributes:
        rows: How many rows it deleted, of all tables.
        is_gone: Whether the session's own row went, which is the last.
        state: What every write to the session changes, for the next page's condition.
    """

    rows: int
    is_gone: bool
    state: str


class Deleting:
    """The statements that delete sessions.

    Args:
        tables: The tables of sessions.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        p = self._prefix = tables.prefix
        # What every write of an agent, Graph or Swarm changes.
        self._state = (
            "json_array((SELECT json_group_array(json_array(agent_id, revision, last)) FROM ("
            f"SELECT a.agent_id AS agent_id, a.revision AS revision, {newest_message(p)} AS last "
            f"FROM {p}agents AS a WHERE a.session_id = ? ORDER BY a.agent_id)), "
            f"(SELECT count(*) FROM {p}multi_agents WHERE session_id = ?))"
        )

    def require_version(self) -> Statement:
        """Abort the transaction unless the layout is the one that these statements are made for."""
        return require_version(self._tables)

    def require_idle(self, session_id: str, last_active: str) -> Statement:
        """Abort the transaction if a session's rows say by now that it was active at another time than this."""
        found = Listing(self._tables).last_active(session_id)
        return require(self._tables, f"({found['sql']}) IS ?", session_id, last_active)

    def require_kept(self, session_id: str, keeping: Keeping) -> Statement:
        """Abort the transaction if a session is by now kept for another time than this."""
        seconds = None if keeping.retention is None else keeping.retention.seconds
        kept = f"SELECT 1 FROM {self._prefix}sessions WHERE session_id = ? AND retention IS ? AND expires IS ?"
        return require(self._tables, f"EXISTS ({kept})", session_id, seconds, keeping.expires or None)

    def require_state(self, session_id: str, state: str) -> Statement:
        """Abort the transaction if anybody wrote to a session since a page answered this `state`."""
        return require(self._tables, f"{self._state} IS ?", session_id, session_id, state)

    def count(self, session_id: str) -> Query[int]:
        """All rows of a session, those of its objects too."""
        counts = " + ".join(
            f"(SELECT count(*) FROM {self._prefix}{name} WHERE session_id = page.session_id)" for name in ALL_TABLES
        )
        count = statement(f"SELECT {counts} AS rows FROM (SELECT ? AS session_id) AS page", session_id)
        objects = SessionObjects(self._prefix, session_id).count()
        return Query([count, objects], lambda answers: sum(rows[0]["rows"] for rows in answers))

    def page(self, session_id: str, *, messages: int, parts: int, guards: list[Statement]) -> Query[DeletedPage]:
        """Delete some of a session's rows, its messages from the last one backwards, and its own row last.

        As long as there are messages, their agents stay, with a raised revision, so that no live agent goes on, and
        with an empty history: whoever opens what a killed deletion has left begins after the messages that are still
        there, and never has them come back.

        Args:
            session_id: The session.
            messages: The most rows of messages.
            parts: The most parts of long documents, and of objects.
            guards: Conditions of the whole page.
        """
        p, objects = self._prefix, SessionObjects(self._prefix, session_id)
        counted, deleted = self._counted(session_id, messages), self._deleted(session_id, messages, parts)
        state = statement(f"SELECT {self._state} AS state", session_id, session_id)
        session = statement(
            f"DELETE FROM {p}sessions WHERE session_id = ? "
            f"AND NOT EXISTS (SELECT 1 FROM {p}messages WHERE session_id = ?) "
            f"AND NOT EXISTS (SELECT 1 FROM {p}chunks WHERE session_id = ?) "
            f"AND NOT EXISTS (SELECT 1 FROM {p}objects WHERE {objects.held}) RETURNING session_id",
            session_id,
            session_id,
            session_id,
            *objects.bounds,
        )
        key = self._tables.keys.destroy(session_id)  # first: what is left is unreadable from then on
        query = together(
            Query([*guards, key, counted], lambda answers: int(answers[-1][0]["rows"])),
            each([_returned(one) for one in deleted]),
            Query([state], lambda answers: str(answers[0][0]["state"])),
            _returned(session),
        )

        def read(answers: Answers) -> DeletedPage:
            unreturned, returned, state, gone = query.read(answers)
            return DeletedPage(unreturned + sum(returned) + gone, gone > 0, state)

        return Query(query.statements, read, erases=True)

    def _counted(self, session_id: str, limit: int) -> Statement:
        """How many rows go of which the deletion tells none."""
        return statement(
            f"SELECT (SELECT count(*) FROM {self._prefix}multi_agents WHERE session_id = page.session_id) + "
            f"(SELECT count(*) FROM ({self._newest_messages()})) AS rows FROM (SELECT ? AS session_id) AS page",
            session_id,
            limit,
            session_id,
        )

    def _newest_messages(self) -> str:
        return (
            f"SELECT agent_id, message_id FROM {self._prefix}messages WHERE session_id = ? "
            "ORDER BY agent_id DESC, message_id DESC LIMIT ?"
        )

    def _deleted(self, session_id: str, messages: int, parts: int) -> list[Statement]:
        p = self._prefix
        return [
            statement(f"DELETE FROM {p}multi_agents WHERE session_id = ?", session_id),
            statement(
                f"DELETE FROM {p}messages WHERE session_id = ? AND (agent_id, message_id) "
                f"IN ({self._newest_messages()})",
                session_id,
                session_id,
                messages,
            ),
            statement(
                f"DELETE FROM {p}agents WHERE session_id = ? "
                f"AND NOT EXISTS (SELECT 1 FROM {p}messages WHERE session_id = ?) RETURNING agent_id",
                session_id,
                session_id,
            ),
            self._empty_agents(session_id),
            self._drop_parts(session_id, parts),
            SessionObjects(p, session_id).delete(parts),
        ]

    def _empty_agents(self, session_id: str) -> Statement:
        """Agents with an empty history, where SQLite can read their documents, and a raised revision."""
        no_interrupts = '{"interrupts":{},"context":{},"activated":false}'
        return statement(
            f"UPDATE {self._prefix}agents AS a SET revision = revision + ?, "
            f"live_window = json_array(json_array(coalesce({newest_message(self._prefix)} + 1, 0), NULL)), "
            f"data = CASE WHEN json_valid(a.data) AND NOT {is_in_parts('a.data')} "
            "THEN json_replace(a.data, '$.conversation_manager_state.removed_message_count', 0, "
            "'$.conversation_manager_state.summary_message', NULL, "
            f"'$._internal_state.interrupt_state', json('{no_interrupts}'), "
            "'$._internal_state.model_state', json('{}')) ELSE a.data END WHERE a.session_id = ?",
            revision_step(),
            session_id,
        )

    def _drop_parts(self, session_id: str, limit: int) -> Statement:
        """Some of the parts whose document's row has gone."""
        p = self._prefix
        key = "kind, owner, message_id, generation, part"
        return statement(
            f"DELETE FROM {p}chunks WHERE session_id = ? AND ({key}) IN (SELECT {key} FROM {p}chunks AS c "
            "WHERE session_id = ? AND CASE kind WHEN 'multi_agent' THEN 1 "
            f"WHEN 'agent' THEN NOT EXISTS (SELECT 1 FROM {p}agents AS a "
            "WHERE a.session_id = c.session_id AND a.agent_id = c.owner) "
            f"ELSE NOT EXISTS (SELECT 1 FROM {p}messages AS m WHERE m.session_id = c.session_id "
            "AND m.agent_id = c.owner AND m.message_id = c.message_id) END "
            "ORDER BY kind DESC, owner DESC, message_id DESC LIMIT ?) RETURNING part",
            session_id,
            session_id,
            limit,
        )


def _returned(deletion: Statement) -> Query[int]:
    """How many rows a statement that says `RETURNING` went over; 0 of one that doesn't."""
    return Query([deletion], lambda answers: len(answers[0]))
