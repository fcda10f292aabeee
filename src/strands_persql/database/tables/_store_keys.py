"""The data keys of what is no session's: free objects, and memories.

    {prefix}keys   (name)   data_key, wrapped

The table is created when something is encrypted for the first time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..query import Query, rows_as, unanswered
from ._resealing import WrappedKey
from ._statements import checked_prefix, statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers


class StoreKeys:
    """The statements over the data keys of stores.

    Args:
        prefix: Starts the name of each table.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = checked_prefix(prefix)
        self._table = f"{prefix}keys"

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The statement that creates the table; harmless where it exists."""
        columns = "name TEXT NOT NULL PRIMARY KEY, data_key TEXT NOT NULL"
        return [statement(f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}) WITHOUT ROWID")]

    def read(self, name: str) -> Query[str | None]:
        """A store's data key as it is stored; None where it has none yet."""
        row = statement(f"SELECT data_key FROM {self._table} WHERE name = ?", name)
        return Query([row], lambda answers: next((each["data_key"] for each in answers[0]), None))

    def begin(self, name: str, data_key: str) -> Query[str]:
        """Give a store its data key, unless it has one; the one it has."""
        insert = statement(
            f"INSERT INTO {self._table} (name, data_key) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, data_key
        )
        row = statement(f"SELECT data_key FROM {self._table} WHERE name = ?", name)

        def read(answers: Answers) -> str:
            key: str = answers[1][0]["data_key"]
            return key

        return Query([insert, row], read)

    def wrapped(self) -> Query[list[WrappedKey]]:
        """The data keys of all stores, by their names."""
        return rows_as(WrappedKey, statement(f"SELECT name AS session_id, data_key FROM {self._table} ORDER BY name"))

    def rewrap(self, keys: Sequence[tuple[WrappedKey, str]]) -> Query[None]:
        """Store data keys that were wrapped anew, where they are still the same."""
        sql = f"UPDATE {self._table} SET data_key = ? WHERE name = ? AND data_key = ?"
        return unanswered(*(statement(sql, new, key.session_id, key.data_key) for key, new in keys))
