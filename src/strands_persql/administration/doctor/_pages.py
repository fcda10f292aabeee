"""Tables read side by side, in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from ...database.connector import Connector
from ...database.tables import DoctorTables

PAGE = 1_000
"""Rows of one request. SQLite looks into each document where it is; a request may take 30 seconds of its time (PerSQL,
"Platform limits")."""

R = TypeVar("R", bound="tuple[Any, ...]")


class Pages(Generic[R]):
    """The rows of a table in the order of its key, a page for each request; the next one can be looked at ahead.

    Args:
        store: The database.
        kind: What is made of each row, which tells the table.
        session_id: The only session to read; None for all.
        progress: Called with the number of rows of each page.
    """

    def __init__(
        self,
        store: Connector[DoctorTables],
        kind: type[R],
        session_id: str | None,
        progress: Callable[[int], None],
    ) -> None:
        self._store = store
        self._kind = kind
        self._session_id = session_id
        self._progress = progress
        self._rows: list[R] = []
        self._at = 0
        self._is_last = False
        self.seen = 0

    def peek(self) -> R | None:
        """The next row; None where there is none."""
        if self._at == len(self._rows) and not self._is_last:
            last = self._rows[-1] if self._rows else None
            self._rows = self._store.ask(self._store.tables.page(self._kind, last, PAGE, self._session_id))
            self._at = 0
            self._is_last = len(self._rows) < PAGE
            self.seen += len(self._rows)
            self._progress(len(self._rows))
        return self._rows[self._at] if self._at < len(self._rows) else None

    def of(self, *key: str) -> Iterator[R]:
        """The next rows, as long as their keys begin with these values: the session, or the session and the agent."""
        while (row := self.peek()) is not None and row[: len(key)] == key:
            self._at += 1
            yield row
