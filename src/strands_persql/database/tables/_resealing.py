"""Sessions moved from one data key to another, or to none, and data keys wrapped anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..query import Query, Row, rows_as, unanswered
from ._conditions import require, require_version
from ._layout import revision_step
from ._statements import Value, statement

if TYPE_CHECKING:
    from ._backup import StoredTable
    from ._tables import Tables


class WrappedKey(NamedTuple):
    """A session, and its data key as it is stored."""

    session_id: str
    data_key: str


class ResealingTables:
    """The statements that move a session's documents from one data key to another.

    Args:
        tables: The tables of sessions.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._prefix = tables.prefix

    def begin(self, session_id: str, old: str | None, moving: str) -> Query[None]:
        """Close a session to everybody: its key is replaced, and the revisions of its rows go up.

        Fails where the session has another key, or none is there.

        Args:
            session_id: The session.
            old: Its data key as it is stored.
            moving: What stands in its place.
        """
        p = self._prefix
        held = f"EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ? AND data_key IS ?)"
        raised = [
            statement(f"UPDATE {p}{name} SET revision = revision + ? WHERE session_id = ?", revision_step(), session_id)
            for name in ("agents", "multi_agents")
        ]
        return unanswered(
            require_version(self._tables),
            require(self._tables, held, session_id, old),
            statement(f"UPDATE {p}sessions SET data_key = ? WHERE session_id = ?", moving, session_id),
            *raised,
        )

    def put(self, table: StoredTable, changed: Sequence[tuple[Row, Mapping[str, str]]]) -> Query[None]:
        """Store some columns of rows anew; at most 100 rows. What was there is to be gone from the file, too."""
        where = " AND ".join(f"{column} = ?" for column in table.key)
        statements = [
            statement(
                f"UPDATE {table.name} SET {', '.join(f'{column} = ?' for column in columns)} WHERE {where}",
                *columns.values(),
                *(row[column] for column in table.key),
            )
            for row, columns in changed
        ]
        return Query(statements, lambda answers: None, erases=True)

    def end(self, session_id: str, moving: str, columns: Mapping[str, Value]) -> Query[bool]:
        """Open a session again, with these values in its row; whether it was still being moved."""
        names = ", ".join(f"{name} = ?" for name in columns)
        ended = statement(
            f"UPDATE {self._prefix}sessions SET {names} WHERE session_id = ? AND data_key IS ? RETURNING session_id",
            *columns.values(),
            session_id,
            moving,
        )
        return Query([ended], lambda answers: bool(answers[0]), erases=True)

    def data_key(self, session_id: str) -> Query[Row | None]:
        """A session's row; None where there is none."""
        row = statement(f"SELECT * FROM {self._prefix}sessions WHERE session_id = ?", session_id)
        return Query([row], lambda answers: next(iter(answers[0]), None))

    def wrapped(self, after: str, limit: int) -> Query[list[WrappedKey]]:
        """The data keys of the sessions behind one, in the order of their ids."""
        page = statement(
            f"SELECT session_id, data_key FROM {self._prefix}sessions WHERE data_key IS NOT NULL AND session_id > ? "
            "ORDER BY session_id LIMIT ?",
            after,
            limit,
        )
        return rows_as(WrappedKey, page)

    def rewrap(self, keys: Sequence[tuple[WrappedKey, str]]) -> Query[None]:
        """Store data keys that were wrapped anew, where they are still the same; at most 100."""
        sql = f"UPDATE {self._prefix}sessions SET data_key = ? WHERE session_id = ? AND data_key = ?"
        return unanswered(*(statement(sql, new, key.session_id, key.data_key) for key, new in keys))
