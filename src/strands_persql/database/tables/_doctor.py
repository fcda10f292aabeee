"""What the doctor asks of the session tables, and how it mends them.

A page of rows is found by the key of the row before it, and reads no other row of its table. A row that is not sound
is then read whole, and judged by the code that restores.

A live writer may have written between two pages. So the doctor asks once more, in one statement, before it reports what
follows from several tables. A statement that mends carries the same condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..encoding import LARGEST_NUMBER
from ..query import Answers, Query, rows_as, unanswered
from ._checked import LOOKS, MESSAGE_KEY, ORPHANED, OWNERS, CheckedParts
from ._excerpts import text_of
from ._layout import first_revision, revision_step
from ._statements import Value, statement
from ._tables import Tables
from ._transfer import Kind

if TYPE_CHECKING:
    from ...client import Statement

R = TypeVar("R", bound="tuple[Any, ...]")


class IndexPage(NamedTuple):
    """How many messages of a page the search index lacks, and the key of the page's last row; None of the last page."""

    lacking: int
    last: tuple[Value, ...] | None


class DoctorTables(Tables):
    """The session tables as the doctor asks about them."""

    def ping(self) -> Query[None]:
        """Nothing but an answer."""
        return unanswered(statement("SELECT 1 AS answer"))

    def write_nothing(self) -> Query[None]:
        """A write that finds no row; refused where the database can't be written to."""
        return unanswered(statement(f"DELETE FROM {self.prefix}sessions WHERE session_id IS NULL"))

    def version(self) -> Query[int | None]:
        """The layout's version; None where its table is empty."""
        return Query([self.read_version()], lambda answers: answers[0][0]["version"])

    def page(self, kind: type[R], after: R | None, limit: int, session_id: str | None) -> Query[list[R]]:
        """The rows of one kind after another row, of all sessions or one."""
        table = LOOKS[kind]
        key = ", ".join(table.key)
        conditions: list[str] = []
        params: list[Value] = []
        if session_id is not None:
            conditions.append("session_id = ?")
            params.append(session_id)
        if after is not None:
            conditions.append(f"({key}) > ({', '.join('?' * len(table.key))})")
            params.extend(after[: len(table.key)])
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        group = f" GROUP BY {key}" if kind is CheckedParts else ""
        columns = ", ".join(
            f"{table.computed[name]} AS {name}" if name in table.computed else name for name in table.columns
        ).replace("{p}", self.prefix)
        sql = f"SELECT {columns} FROM {self.prefix}{table.name} AS t{where}{group} ORDER BY {key} LIMIT ?"
        return rows_as(kind, statement(sql, *params, limit))

    def unindexed(self, after: tuple[Value, ...], limit: int) -> Query[IndexPage]:
        """Which messages of a page the search index lacks, though they have text."""
        p, key = self.prefix, ", ".join(MESSAGE_KEY)
        same = " AND ".join(f"t.{column} = m.{column}" for column in MESSAGE_KEY)
        page = statement(
            f"SELECT {key}, coalesce(text <> '' AND NOT EXISTS (SELECT 1 FROM {p}search_texts AS t WHERE {same}), 0) "
            f"AS lacking FROM (SELECT {key}, {text_of('data')} AS text FROM {p}messages WHERE ({key}) > (?, ?, ?) "
            f"ORDER BY {key} LIMIT ?) AS m",
            *after,
            limit,
        )

        def read(answers: Answers) -> IndexPage:
            (rows,) = answers
            last = tuple(rows[-1][column] for column in MESSAGE_KEY) if len(rows) == limit else None
            return IndexPage(sum(bool(row["lacking"]) for row in rows), last)

        return Query([page], read)

    # What is asked once more, in one statement

    def lacks_session(self, session_id: str, agent_id: str) -> Query[bool]:
        """Whether an agent has a row, and its session has none."""
        return self._is_so(
            "{p}agents WHERE session_id = ? AND agent_id = ? "
            "AND NOT EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?)",
            *(session_id, agent_id, session_id),
        )

    def lacks_agent(self, session_id: str, agent_id: str) -> Query[bool]:
        """Whether messages have rows, and their agent has none."""
        return self._is_so(
            "{p}messages WHERE session_id = ? AND agent_id = ? "
            "AND NOT EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ? AND agent_id = ?) LIMIT 1",
            *(session_id, agent_id) * 2,
        )

    def is_empty(self, session_id: str) -> Query[bool]:
        """Whether a session has a row, and nothing belongs to it."""
        return self._is_so(
            "{p}sessions WHERE session_id = ? "
            "AND NOT EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ?) "
            "AND NOT EXISTS (SELECT 1 FROM {p}multi_agents WHERE session_id = ?) "
            "AND NOT EXISTS (SELECT 1 FROM {p}messages WHERE session_id = ?)",
            *(session_id,) * 4,
        )

    def lacks_rows(self, session_id: str, agent_id: str, live_window: str, low: int, high: int) -> Query[bool]:
        """Whether the live window is still this one, and rows are missing between two positions, both included."""
        return self._is_so(
            "{p}agents WHERE session_id = ? AND agent_id = ? AND live_window = ? "
            "AND (SELECT count(*) FROM {p}messages WHERE session_id = ? AND agent_id = ? "
            "AND message_id BETWEEN ? AND ?) < ?",
            *(session_id, agent_id, live_window, session_id, agent_id, low, high, high - low + 1),
        )

    def _is_so(self, found: str, *params: Value) -> Query[bool]:
        """Whether anything is found. The prefix of the tables stands for `{p}`."""
        asked = statement(f"SELECT 1 AS so FROM {found.format(p=self.prefix)}", *params)
        return Query([asked], lambda answers: bool(answers[0]))

    # Mending: each query answers whether anything was changed

    def drop_orphans(self, found: CheckedParts) -> Query[bool]:
        """Delete parts that no row names.

        A writer may have sent them, and be about to send their row: it is stopped, because the revision that it knows
        is changed.
        """
        p = self.prefix
        table, column = OWNERS["agent" if found.kind in ("live", "message") else found.kind]
        key = (found.session_id, found.kind, found.owner, found.message_id, found.generation)
        where = (
            "session_id = ? AND kind = ? AND owner = ? AND message_id = ? AND generation = ? "
            f"AND {ORPHANED.replace('{p}', p)}"
        )
        raised = statement(
            f"UPDATE {p}{table} SET revision = revision + ? WHERE session_id = ? AND {column} = ? "
            f"AND EXISTS (SELECT 1 FROM {p}chunks AS t WHERE {where})",
            *(revision_step(), found.session_id, found.owner, *key),
        )
        return _mending(f"DELETE FROM {p}chunks AS t WHERE {where} RETURNING part", *key, before=[raised])

    def forget_window(self, session_id: str, agent_id: str, live_window: str) -> Query[bool]:
        """Set a live window that can't be read to NULL, which restores by Strands' own rule."""
        return _mending(
            f"UPDATE {self.prefix}agents SET live_window = NULL, revision = revision + ? "
            "WHERE session_id = ? AND agent_id = ? AND live_window = ? RETURNING agent_id",
            *(revision_step(), session_id, agent_id, live_window),
        )

    def begin_revision(self, kind: Kind, session_id: str, owner: str) -> Query[bool]:
        """Give a row a first revision in place of one that could never be raised again."""
        table, column = OWNERS[kind]
        return _mending(
            f"UPDATE {self.prefix}{table} SET revision = ? WHERE session_id = ? AND {column} = ? "
            "AND NOT (typeof(revision) = 'integer' AND revision BETWEEN 1 AND ?) RETURNING session_id",
            *(first_revision(), session_id, owner, LARGEST_NUMBER - 1),
        )

    def add_missing_session(self, session_id: str, data: str) -> Query[bool]:
        """Add the row of a session that has an agent and no row."""
        return _mending(
            f"INSERT INTO {self.prefix}sessions (session_id, data) SELECT ?, ? "
            f"WHERE EXISTS (SELECT 1 FROM {self.prefix}agents WHERE session_id = ?) "
            "ON CONFLICT (session_id) DO NOTHING RETURNING session_id",
            *(session_id, data, session_id),
        )


def _mending(sql: str, *params: Value, before: Sequence[Statement] = ()) -> Query[bool]:
    """A statement that answers the rows it changed, and statements that run before it."""
    return Query([*before, statement(sql, *params)], lambda answers: bool(answers[-1]))
