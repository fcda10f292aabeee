"""The full-text index (SQLite's FTS5) that messages, objects and memories may each have.

An index is a table of FTS5's beside the table that holds the texts. What it can do depends on the SQLite that runs the
database: FTS5 may be missing, an index that a newer SQLite wrote may be unreadable, and before 3.42 deleted words stay
in the index's pages until these are merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ..query import Query, unanswered
from ._statements import checked_prefix, statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["FullText", "IndexedTables", "lacks_secure_deletion", "matching"]

NO_FTS5 = ("no such module: fts5", "this SQLite has no FTS5")
NEWER_INDEX = ("invalid fts5 file format", "the index was written by a newer SQLite")
"""Each: SQLite's words in an error, and the reason in ours."""

T = TypeVar("T", bound="IndexedTables")


class FullText:
    """One index: its table, and the statements that make it, write to it and clear it of deleted words.

    Args:
        name: The index's table.
        columns: Its columns, as FTS5 declares them.
        options: The tokenizer, and where FTS5 finds the texts, as FTS5 declares them.
        secure: Have deleted words dropped from the index's pages as they go (SQLite 3.42 on); else merge the pages.
    """

    def __init__(self, name: str, columns: Sequence[str], *options: str, secure: bool = True) -> None:
        self.name = name
        self.secure = secure
        self._columns = ", ".join(column.split()[0] for column in columns)
        self._declared = ", ".join((*columns, *options))

    def create(self) -> Statement:
        """Create the index; harmless where it exists."""
        return statement(f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.name} USING fts5({self._declared})")

    def add(self, source: str) -> str:
        """SQL that enters texts; the source is `VALUES` or a `SELECT`, of the row's number and the columns."""
        return f"INSERT INTO {self.name} (rowid, {self._columns}) {source}"

    def remove(self, source: str) -> str:
        """SQL that takes texts out of an index that keeps no copy: 'delete', the number and the texts as entered."""
        return f"INSERT INTO {self.name} ({self.name}, rowid, {self._columns}) {source}"

    def merge(self, condition: str = "1") -> Statement:
        """Merge the index's pages, so that deleted words stand in none: this rewrites the whole index."""
        return statement(f"INSERT INTO {self.name} ({self.name}) SELECT 'optimize' WHERE {condition}")

    def delete_securely(self) -> Statement:
        """Have deleted words dropped from the pages from now on; fails before SQLite 3.42 (sqlite.org/fts5.html).

        The setting stays with the index: repeated, the statement writes nothing.
        """
        return statement(
            f"INSERT INTO {self.name} ({self.name}, rank) SELECT 'secure-delete', 1 "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.name}_config WHERE k = 'secure-delete')"
        )

    def before_deletions(self) -> list[Statement]:
        """What precedes deletions: `delete_securely`, where that is the way.

        It isn't said when the index is made, since the SQLite that makes it may be an older one.
        """
        return [self.delete_securely()] if self.secure else []

    def forgetting(self, deletion: Statement, merge_if: str = "1") -> list[Statement]:
        """A deletion of entries, after which no page holds their words; a merge may be made on a condition."""
        merging = [] if self.secure else [self.merge(merge_if)]
        return [*self.before_deletions(), deletion, *merging]


class IndexedTables:
    """Tables of one prefix, with or without a full-text index.

    Args:
        prefix: Starts the name of each table.
        indexed: Whether the index is kept.
        secure: See `FullText`.

    Attributes:
        index: The index; None where it is not kept.
        lacks: Why it is not kept, where SQLite is the reason; else empty.

    Raises:
        ValueError: The prefix is not safe inside SQL.
    """

    TABLE: ClassVar[str]
    COLUMNS: ClassVar[str]
    """The table's name behind the prefix, and its columns."""

    INDEX: ClassVar[tuple[str, Sequence[str], Sequence[str]]]
    """The index's name behind the prefix, its columns and its options."""

    GOES_WITHOUT: ClassVar[Sequence[tuple[str, str]]]
    """The errors of SQLite's upon which these tables are used without an index."""

    def __init__(self, prefix: str = "strands_", *, indexed: bool, secure: bool = True) -> None:
        self.prefix = checked_prefix(prefix)
        self.table = f"{self.prefix}{self.TABLE}"
        name, columns, options = self.INDEX
        self.index_name = f"{self.prefix}{name}"
        self.index = FullText(self.index_name, columns, *options, secure=secure) if indexed else None
        self.lacks = ""

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The statements that create the tables; harmless where they exist."""
        table = statement(f"CREATE TABLE IF NOT EXISTS {self.table} ({self.COLUMNS}) WITHOUT ROWID")
        return [table] if self.index is None else [table, self.index.create()]

    def probe(self) -> Query[None]:
        """Read nothing of each table: this fails where one is missing."""
        names = [self.table, *([] if self.index is None else [self.index_name])]
        return unanswered(*(statement(f"SELECT 1 FROM {name} LIMIT 0") for name in names))

    def lesser(self: T, error: BaseException) -> T | None:
        """The same tables with what this SQLite has of FTS5, after an error; None where the error has another cause."""
        if self.index is None:
            return None
        if self.index.secure and lacks_secure_deletion(error):
            return type(self)(self.prefix, indexed=True, secure=False)
        for words, reason in self.GOES_WITHOUT:
            if words in _said(error):
                tables = type(self)(self.prefix, indexed=False)
                tables.lacks = reason
                return tables
        return None


def lacks_secure_deletion(error: BaseException) -> bool:
    """Whether an error is how FTS5 says that it doesn't know the setting of `FullText.delete_securely`."""
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
