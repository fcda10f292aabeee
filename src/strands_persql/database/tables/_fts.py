"""The full-text index (SQLite's FTS5) that messages, objects and memories may each have.

An index is a table of FTS5's over a table that holds texts. Triggers on that table keep it current, whoever writes.

What an index can do depends on the SQLite that runs the database: FTS5 may be missing, an index that a newer SQLite
wrote may be unreadable, and before 3.42 deleted words stay in the index's pages until these are merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ...errors import PerSQLError
from ..query import Query, unanswered
from ._statements import checked_prefix, statement

if TYPE_CHECKING:
    from ...client import Statement

LACKING = (
    ("no such module: fts5", "this SQLite has no FTS5"),
    ("invalid fts5 file format", "the index was written by a newer SQLite"),
)
"""Each: SQLite's words in an error, and the reason in ours."""

T = TypeVar("T", bound="IndexedTables")


class FullText:
    """One index over a table of texts.

    Args:
        name: The index's table.
        table: The table of texts.
        number: Its column that numbers the rows.
        columns: The index's columns, and SQL for the text of each, in which `{row}` stands for the row. The last is a
            column of the table, too.
        options: The tokenizer, and where FTS5 finds the texts, as FTS5 declares them.
    """

    def __init__(self, name: str, table: str, number: str, columns: Mapping[str, str], *options: str) -> None:
        self.name = name
        self._table = table
        self._number = number
        self._columns = columns
        self._names = ", ".join(columns)
        self._declared = ", ".join((*columns, *options))

    def create(self, *, secure: bool) -> list[Statement]:
        """Create the index, and the triggers that keep it current; harmless where they exist.

        Args:
            secure: Have deleted words dropped from the index's pages as they go, from now on. It fails before
                SQLite 3.42 (sqlite.org/fts5.html), where the pages are merged instead.
        """
        name, texts = self.name, list(self._columns)[-1]
        # FTS5 must not be told to delete an entry that it doesn't have.
        forget = (
            f"INSERT INTO {name} ({name}, rowid, {self._names}) SELECT 'delete', {self._entry('old')} "
            f"WHERE EXISTS (SELECT 1 FROM {name}_docsize WHERE id = old.{self._number});"
        )
        learn = f"INSERT INTO {name} (rowid, {self._names}) VALUES ({self._entry('new')});"
        merge = f"{without_deleted_words(name)['sql']};"
        triggers = {
            "learnt": (f"INSERT ON {self._table}", learn),
            "forgotten": (f"DELETE ON {self._table}", forget),
            "rewritten": (
                f"UPDATE OF {texts} ON {self._table} WHEN old.{texts} <> new.{texts}",
                f"{forget} {learn} {merge}",
            ),
        }
        return [
            statement(f"CREATE VIRTUAL TABLE IF NOT EXISTS {name} USING fts5({self._declared})"),
            *([statement(f"INSERT INTO {name} ({name}, rank) VALUES ('secure-delete', 1)")] if secure else []),
            *create_triggers(name, triggers),
        ]

    def fill(self) -> Statement:
        """Enter all rows of the table that the index lacks."""
        return statement(
            f"INSERT INTO {self.name} (rowid, {self._names}) SELECT {self._entry('t')} FROM {self._table} AS t "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.name}_docsize WHERE id = t.{self._number})"
        )

    def _entry(self, row: str) -> str:
        """SQL for what the index has of a row: its number and its texts."""
        texts = [text.replace("{row}", row) for text in self._columns.values()]
        return ", ".join((f"{row}.{self._number}", *texts))


def create_triggers(index: str, triggers: Mapping[str, tuple[str, str]]) -> list[Statement]:
    """Create triggers of an index: by the ends of their names, what each follows and what it does."""
    return [
        statement(f"CREATE TRIGGER IF NOT EXISTS {index}_{name} AFTER {event} BEGIN {body} END")
        for name, (event, body) in triggers.items()
    ]


def without_deleted_words(index: str) -> Statement:
    """Merge the pages of an index whose SQLite leaves deleted words in them; this rewrites the whole index."""
    is_secure = f"EXISTS (SELECT 1 FROM {index}_config WHERE k = 'secure-delete' AND v)"
    return statement(f"INSERT INTO {index} ({index}) SELECT 'optimize' WHERE NOT {is_secure}")


class IndexedTables:
    """Tables of one prefix, with or without a full-text index.

    Args:
        prefix: Starts the name of each table.
        indexed: Whether there is to be an index.
        secure: See `FullText.create`.

    Attributes:
        indexed: Whether there is to be an index.
        lacks: Why there is none, where SQLite is the reason; else empty.

    Raises:
        ValueError: The prefix is not safe inside SQL.
    """

    TABLE: ClassVar[str]
    COLUMNS: ClassVar[str]
    """The table's name behind the prefix, and its columns."""

    def __init__(self, prefix: str = "strands_", *, indexed: bool, secure: bool = True) -> None:
        self.prefix = checked_prefix(prefix)
        self.table = f"{self.prefix}{self.TABLE}"
        self.index_name = f"{self.table}_index"
        self.indexed = indexed
        self.lacks = ""
        self._secure = secure

    def create_index(self, *, secure: bool) -> list[Statement]:
        """The statements that create the index; see `FullText.create`."""
        raise NotImplementedError

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The statements that create the tables; harmless where they exist."""
        table = statement(f"CREATE TABLE IF NOT EXISTS {self.table} ({self.COLUMNS}) WITHOUT ROWID")
        return [table, *(self.create_index(secure=self._secure) if self.indexed else [])]

    def without_deleted_words(self) -> list[Statement]:
        """What follows deletions where there is an index: see `without_deleted_words`."""
        return [without_deleted_words(self.index_name)] if self.indexed else []

    def probe(self) -> Query[None]:
        """Read nothing of each table: this fails where one is missing."""
        names = [self.table, *([self.index_name] if self.indexed else [])]
        return unanswered(*(statement(f"SELECT 1 FROM {name} LIMIT 0") for name in names))

    def lesser(self: T, error: BaseException) -> T | None:
        """The same tables with what this SQLite has of FTS5, after an error; None where the error has another cause.

        Raises:
            PerSQLError: There is an index, which this SQLite can't keep.
        """
        reason = next((reason for words, reason in LACKING if words in _said(error)), "")
        if not self.indexed:
            if reason:
                raise PerSQLError(
                    f"The table {self.table} has a full-text index, and {reason}: nothing was changed, for the index "
                    "would not know. Use a Python whose SQLite has FTS5 and is not older than the one that wrote the "
                    "index; or another table_prefix."
                ) from error
            return None
        if self._secure and lacks_secure_deletion(error):
            return type(self)(self.prefix, indexed=True, secure=False)
        if not reason:
            return None
        tables = type(self)(self.prefix, indexed=False)
        tables.lacks = reason
        return tables


def lacks_secure_deletion(error: BaseException) -> bool:
    """Whether an error is how FTS5 says that it can't delete words securely."""
    return "logic error" in _said(error)


def matching(words: Sequence[str], operator: str, *, prefix_from: int | None = None) -> str:
    """A query in FTS5's syntax for some words, of which nothing is read as syntax.

    Args:
        words: The words. One with punctuation inside it is to FTS5 several, which have to follow each other.
        operator: `AND` or `OR`.
        prefix_from: A word of so many letters or more finds longer words too that begin with it.
    """

    def quoted(word: str) -> str:
        any_end = "*" if prefix_from is not None and len(word) >= prefix_from else ""
        return '"' + word.replace('"', '""').replace("\0", " ") + f'"{any_end}'

    return f" {operator} ".join(quoted(word) for word in words)


def _said(error: BaseException) -> str:
    """What a database's error says, in small letters."""
    # A handle of another make may have SQLite's own words in `detail`, or in the cause alone.
    return f"{error} {getattr(error, 'detail', '')} {error.__cause__ or ''}".lower()
