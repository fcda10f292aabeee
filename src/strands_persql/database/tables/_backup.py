"""All rows that the package keeps, table by table and page by page, as a copy of a database takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..about import COLUMNS
from ..query import Answers, Query, Row, unanswered
from ._statements import PAGE_BYTES, Value, statement

if TYPE_CHECKING:
    from ...client import Statement

VERSIONS_AT_ONCE = 5_000
"""The most rows of a page of keys and versions."""


class StoredTable(NamedTuple):
    """One table.

    Attributes:
        name: Its name.
        key: The columns of its key. The first says whose a row is: a session's, or an object's own key.
        long: The columns that hold long texts.
        version: What changes where rows that belong together are written anew; empty where each row stands for itself.
        rows: The most rows of a page.
    """

    name: str
    key: tuple[str, ...]
    long: tuple[str, ...] = ("data",)
    version: str = ""
    rows: int = 500

    def page(self, after: Row | None, owner: str | None = None) -> Query[list[dict[str, Any]]]:
        """The rows behind another one, of all owners or one: as many as are within the bytes one request answers."""
        size = " + ".join(f"coalesce(length({column}), 0)" for column in self.long)
        where, bounds = self._behind(after, owner)
        key = ", ".join(self.key)
        page = statement(
            f"SELECT * FROM (SELECT *, sum({size}) OVER (ORDER BY {key}) - ({size}) AS preceding FROM "
            f"(SELECT * FROM {self.name}{where} ORDER BY {key} LIMIT {self.rows})) "
            f"WHERE preceding < {PAGE_BYTES} ORDER BY {key}",
            *bounds,
        )

        def read(answers: Answers) -> list[dict[str, Any]]:
            return [{name: value for name, value in row.items() if name != "preceding"} for row in answers[0]]

        return Query([page], read)

    def versions(self, after: Row | None) -> Query[list[Row]]:
        """The keys and versions behind another one."""
        where, bounds = self._behind(after, None)
        key = ", ".join(self.key)
        page = (
            f"SELECT {key}, {self.version} AS version FROM {self.name}{where} ORDER BY {key} LIMIT {VERSIONS_AT_ONCE}"
        )
        return Query([statement(page, *bounds)], lambda answers: list(answers[0]))

    def _behind(self, after: Row | None, owner: str | None) -> tuple[str, list[Value]]:
        conditions: list[str] = []
        bounds: list[Value] = []
        if owner is not None:
            conditions, bounds = [f"{self.key[0]} = ?"], [owner]
        if after is not None:
            conditions.append(f"({', '.join(self.key)}) > ({', '.join('?' * len(self.key))})")
            bounds += [after[column] for column in self.key]
        return (f" WHERE {' AND '.join(conditions)}" if conditions else "", bounds)

    def insert(self, rows: Sequence[Row]) -> Query[None]:
        """Insert rows."""

        def one(row: Row) -> Statement:
            sql = f"INSERT INTO {self.name} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
            return statement(sql, *row.values())

        return unanswered(*map(one, rows))

    def delete(self, owner: str) -> Query[None]:
        """Delete an owner's rows."""
        return unanswered(statement(f"DELETE FROM {self.name} WHERE {self.key[0]} = ?", owner))


def find_stored(prefix: str) -> Query[list[StoredTable]]:
    """The tables that there are under a prefix; those of sessions, of which each has a part, stand together."""
    tables = [
        StoredTable("sessions", ("session_id",), version=f"json_array({', '.join(COLUMNS)}, data_key)"),
        StoredTable("agents", ("session_id", "agent_id"), ("data", "live_window"), "revision"),
        StoredTable("messages", ("session_id", "agent_id", "message_id"), ("data", "live")),
        StoredTable("multi_agents", ("session_id", "multi_agent_id"), version="revision"),
        StoredTable(
            "chunks", ("session_id", "kind", "owner", "message_id", "generation", "part"), version="part", rows=50
        ),
        StoredTable("objects", ("key", "part"), version="first", rows=50),
        StoredTable("keys", ("name",), ("data_key",)),
        StoredTable("memories", ("name", "scope", "id"), ("content", "words", "metadata")),
    ]
    named = [table._replace(name=f"{prefix}{table.name}") for table in tables]
    find = f"SELECT name FROM sqlite_master WHERE name IN ({', '.join('?' * len(named))})"

    def read(answers: Answers) -> list[StoredTable]:
        found = {row["name"] for row in answers[0]}
        return [table for table in named if table.name in found]

    return Query([statement(find, *(table.name for table in named))], read)
