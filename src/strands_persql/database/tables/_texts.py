"""The texts of rows, and their full-text index: triggers take them from the rows, whoever writes these.

    {index}_texts   one row for each row of the source that has any text: its key, and the text
    {index}         FTS5 over those texts, of which it keeps no copy

FTS5 parts words at spaces and punctuation. Scripts such as Chinese and Thai have none between words, so texts that hold
letters of theirs are searched by looking into each (`unparted`); an index of these texts' keys finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..query import Answers, Query, unanswered
from ._fts import FullText, create_triggers
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement

# Thai, Lao; Burmese, Khmer, Hangul; Kana, Han, Hangul. What else is in these ranges does no harm. PerSQL takes a
# pattern of 50 bytes at most.
_UNPARTED = "*[\u0e00-\u0eff\u1000-\u17ff\u3005-\ud7af\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff]*"


def unparted(text: str) -> str:
    """A condition that holds for texts with letters of scripts that don't part words by spaces."""
    # The first comparison is fast, and spares ASCII the second.
    return f"length({text}) < length(CAST({text} AS BLOB)) AND {text} GLOB '{_UNPARTED}'"


class PageEnd(NamedTuple):
    """The key of the last row of a page, and how many rows there are in it."""

    key: tuple[str | int, ...]
    rows: int


class Texts:
    """The texts of the rows of one table, and their index.

    Args:
        index: The index's table.
        source: The table of the rows.
        key: Its columns that tell apart what is found, with their types.
        text: SQL for the text of a row; given what stands before a column's name, such as `new.`.
        which: A condition that holds for the rows which have texts; `{row}` stands for the same.
    """

    def __init__(
        self, index: str, source: str, key: Mapping[str, str], text: Callable[[str], str], which: str = "1"
    ) -> None:
        self.name = index
        self.table = f"{index}_texts"
        self._source = source
        self._columns = key
        self.key = ", ".join(key)
        self._text = text
        self._which = which
        self._index = FullText(
            index,
            self.table,
            "id",
            {"text": "{row}.text"},
            *(f"content='{self.table}'", "content_rowid='id'", "tokenize='unicode61 remove_diacritics 2'"),
        )

    def find(self) -> Query[bool | None]:
        """Whether the index has every row; None where there is none."""
        found = find_indexes(self.name, f"{self.name}_filled")
        return Query(found.statements, lambda answers: len(answers[0]) > 1 if answers[0] else None)

    def create(self, *, secure: bool) -> list[Statement]:
        """Create the texts, the index and all triggers; harmless where they exist. See `FullText.create`."""
        columns = "".join(f"{column} {kind} NOT NULL, " for column, kind in self._columns.items())
        return [
            statement(
                f"CREATE TABLE IF NOT EXISTS {self.table} (id INTEGER PRIMARY KEY, {columns}text TEXT NOT NULL, "
                f"UNIQUE ({self.key}))"
            ),
            statement(
                f"CREATE INDEX IF NOT EXISTS {self.name}_unparted ON {self.table} ({self.key}) WHERE {unparted('text')}"
            ),
            *self._index.create(secure=secure),
            *create_triggers(self.name, self._triggers()),
        ]

    def _triggers(self) -> dict[str, tuple[str, str]]:
        """What follows from changes of the source."""
        texts, text = self.table, self._text("new.")
        new, old = (self._which.format(row=row) for row in ("new.", "old."))
        of_new, of_old = (
            " AND ".join(f"{column} = {row}.{column}" for column in self._columns) for row in ("new", "old")
        )
        these = ", ".join(f"new.{column}" for column in self._columns)
        enter = (
            f"INSERT INTO {texts} ({self.key}, text) SELECT {these}, text FROM (SELECT {text} AS text) "
            f"WHERE text <> '' ON CONFLICT ({self.key})"
        )
        add = f"{enter} DO UPDATE SET text = excluded.text;"
        clear = f"UPDATE {texts} SET text = '' WHERE {of_new} AND coalesce({text}, '') = '';"
        move = f"UPDATE {texts} SET {', '.join(f'{column} = new.{column}' for column in self._columns)} WHERE {of_old};"
        # While the index is being filled, a row may move to a key that the filling has passed already.
        enter_moved = f"{enter} DO NOTHING;"
        return {
            "added": (f"INSERT ON {self._source} WHEN {new}", add),
            "changed": (f"UPDATE OF data ON {self._source} WHEN {new}", f"{clear} {add}"),
            "moved": (f"UPDATE OF {self.key} ON {self._source} WHEN {new}", f"{move} {enter_moved}"),
            "deleted": (f"DELETE ON {self._source} WHEN {old}", f"DELETE FROM {texts} WHERE {of_old};"),
        }

    def mark_complete(self) -> Query[None]:
        """Mark the index as having every row, by one more trigger, which costs no writer anything.

        The trigger keeps the texts' numbers, by which the index knows them, from being changed by hand.
        """
        mark = (
            f"CREATE TRIGGER IF NOT EXISTS {self.name}_filled BEFORE UPDATE OF id ON {self.table} "
            "BEGIN SELECT RAISE(ABORT, 'the search index knows texts by their id'); END"
        )
        return unanswered(statement(mark))

    def fill(self, after: Sequence[str | int], limit: int) -> Query[PageEnd | None]:
        """Enter the rows of one page that the index lacks; None where there is no row behind `after`."""

        def read(answers: Answers) -> PageEnd | None:
            for row in answers[-1]:
                return PageEnd(tuple(row[column] for column in self._columns), row["place"])
            return None

        marks = ", ".join("?" * len(self._columns))
        page = (
            f"SELECT * FROM {self._source} WHERE ({self.key}) > ({marks}) AND {self._which.format(row='')} "
            f"ORDER BY {self.key} LIMIT ?"
        )
        enter = (
            f"INSERT INTO {self.table} ({self.key}, text) SELECT {self.key}, text FROM "
            f"(SELECT {self.key}, {self._text('')} AS text FROM ({page})) WHERE text <> '' "
            f"ON CONFLICT ({self.key}) DO NOTHING"
        )
        last = (
            f"SELECT {self.key}, place FROM (SELECT {self.key}, row_number() OVER "
            f"(ORDER BY {self.key}) AS place FROM ({page})) ORDER BY place DESC LIMIT 1"
        )
        return Query([statement(enter, *after, limit), statement(last, *after, limit)], read)


def find_indexes(*names: str) -> Query[list[str]]:
    """Which of some indexes, or triggers of theirs, there are."""
    select = f"SELECT name FROM sqlite_master WHERE name IN ({', '.join('?' * len(names))})"
    return Query([statement(select, *names)], lambda answers: [row["name"] for row in answers[0]])
