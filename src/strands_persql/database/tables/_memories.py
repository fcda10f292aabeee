"""The tables of long-term memory: their layout, and the statements that remember, find and forget.

    {prefix}memories        (name, scope, id)   content, its words, metadata, created_at
    {prefix}memories_index  FTS5 over the words, by `id`; it keeps no copy of them (`content=''`)

`id` is a hash of the content (see `memory_id`), so that a memory that is written twice is one row. It is the index's
row number too.

The words of a content are made by the package (`stores.words.words_of`). The table stores them because an index without
a copy deletes an entry only when it is given the entry's exact text: so one request forgets a memory, and the index can
be filled from the table alone.

The index stores a memory's store and scope as one more word, by which a search narrows its matches. The table's own
columns decide in the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ...errors import PerSQLError
from ..query import Answers, Query, rows_as
from ._fts import NEWER_INDEX, NO_FTS5, IndexedTables, matching
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["FoundMemory", "MemoryTables", "MemoryText", "memory_id"]

T = TypeVar("T")

SCANNED = 5_000
"""The most memories of one scope that a search without an index looks at, the newest first."""


def memory_id(name: str, scope: str, content: str, salt: int = 0) -> int:
    """The id of a content in its store and scope: 52 bits of a SHA-256, since JavaScript's numbers are exact to 2^53.

    Args:
        name: The store.
        scope: Whose memories.
        content: The content, normalised.
        salt: One more for each other content that has the same id.
    """
    text = json.dumps([name, scope, content, salt])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 12


class MemoryText(NamedTuple):
    """What is stored of a memory: its content, the words it is found by with spaces between them, metadata as JSON."""

    content: str
    words: str
    metadata: str | None


class FoundMemory(NamedTuple):
    """A stored memory, its metadata as JSON; the better it matches a search, the nearer to 1 is the score."""

    id: int
    content: str
    metadata: str | None
    created_at: str
    score: float = 0.0


class MemoryTables(IndexedTables):
    """The statements over the memories of one prefix; without an index, a search looks at each memory of its scope.

    A writer that keeps no index changes nothing where the database has one, which would go out of step: such queries
    raise a `PerSQLError`.
    """

    # The tokenizer `ascii` parts the words at the spaces and leaves other letters alone; `porter` takes the endings off
    # English words.
    TABLE = "memories"
    COLUMNS = (
        "name TEXT NOT NULL, scope TEXT NOT NULL, id INTEGER NOT NULL, content TEXT NOT NULL, words TEXT NOT NULL, "
        "metadata TEXT, created_at TEXT NOT NULL, PRIMARY KEY (name, scope, id)"
    )
    INDEX = ("memories_index", ("owner", "words"), ("content=''", "tokenize='porter ascii'"))
    GOES_WITHOUT = (NO_FTS5, NEWER_INDEX)

    def __init__(self, prefix: str = "strands_", *, indexed: bool = True, secure: bool = True) -> None:
        super().__init__(prefix, indexed=indexed, secure=secure)
        self._entry = f"m.id, hex(m.name) || 'x' || hex(m.scope), m.words FROM {self.table} AS m"
        self._find_index = f"SELECT 1 FROM sqlite_master WHERE name = '{self.index_name}'"
        self._may_change = "1" if indexed else f"NOT EXISTS ({self._find_index})"

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The statements that create the tables, and fill a new index from the table. Harmless where they exist."""
        return [*super().lay_out(version), *self._fill("1")]

    def _fill(self, which: str, *bounds: str | int) -> list[Statement]:
        """Enter the memories of a condition that the index lacks, in one statement: FTS5 writes its pages for each."""
        if self.index is None:
            return []
        lacking = f"NOT EXISTS (SELECT 1 FROM {self.index_name} WHERE rowid = m.id)"
        return [statement(self.index.add(f"SELECT {self._entry} WHERE {which} AND {lacking}"), *bounds)]

    def _change(self, query: Query[T]) -> Query[T]:
        """A query that changes memories, and fails where the database has an index that this writer doesn't keep."""

        def read(answers: Answers) -> T:
            *rest, index = answers
            if index:
                raise PerSQLError(
                    f"The memories in {self.table} have a full-text index, which this writer doesn't keep, so "
                    "nothing was changed. Use full_text=True (the default), with a Python whose SQLite has FTS5 and "
                    "is not older than the one that wrote the index; or another table_prefix."
                )
            return query.read(rest)

        return query if self.index is not None else Query([*query.statements, statement(self._find_index)], read)

    # Remembering

    def remember(
        self, name: str, scope: str, memories: Mapping[int, MemoryText], created_at: str
    ) -> Query[dict[int, str]]:
        """Insert memories, unless they are there; the contents that are stored under their ids in this scope then.

        Args:
            name: The store.
            scope: Whose memories.
            memories: At most 90, by their ids.
            created_at: The time.
        """
        # An id that another scope's memory has in the index is taken.
        free = f"NOT EXISTS (SELECT 1 FROM {self.index_name} WHERE rowid = ?)"
        insert = (
            f"INSERT INTO {self.table} (name, scope, id, content, words, metadata, created_at) "
            f"SELECT ?, ?, ?, ?, ?, ?, ? WHERE {self._may_change if self.index is None else free} "
            "ON CONFLICT (name, scope, id) DO NOTHING"
        )
        inserts = [
            statement(insert, name, scope, number, *text, created_at, *(() if self.index is None else (number,)))
            for number, text in memories.items()
        ]
        key: list[str | int] = [name, scope, *memories]
        these = f"m.name = ? AND m.scope = ? AND m.id IN ({', '.join('?' for _ in memories)})"
        stored = statement(f"SELECT id, content FROM {self.table} AS m WHERE {these}", *key)
        return self._change(
            Query(
                [*inserts, *self._fill(these, *key), stored],
                lambda answers: {row["id"]: row["content"] for row in answers[-1]},
            )
        )

    # Finding

    def search(self, name: str, scope: str, words: Sequence[str], limit: int) -> Query[list[FoundMemory]]:
        """Find the memories of a scope that have at least one of the words, best first.

        The score is bm25 as Strands' own search maps it; without an index, it is the share of the words found.

        Args:
            name: The store.
            scope: Whose memories.
            words: Letters and digits alone, at least one of them.
            limit: How many memories at most.
        """
        columns = "m.id, m.content, m.metadata, m.created_at"
        best = "ORDER BY score DESC, m.created_at DESC, m.id LIMIT ?"
        if self.index is not None:
            index = self.index_name
            bm25 = f"bm25({index}, 0.0, 1.0)"  # less than 0, smaller is better
            found = statement(
                f"SELECT {columns}, -{bm25} / (1.0 - {bm25}) AS score FROM {index} "
                f"CROSS JOIN {self.table} AS m ON m.name = ? AND m.scope = ? AND m.id = {index}.rowid "
                f"WHERE {index} MATCH ? {best}",
                *(name, scope, f"{_owned(name, scope)} AND words : ({matching(words, 'OR')})", limit),
            )
        else:
            hits = " + ".join("(instr(' ' || words || ' ', ?) > 0)" for _ in words)
            newest = f"SELECT * FROM {self.table} WHERE name = ? AND scope = ? ORDER BY created_at DESC LIMIT {SCANNED}"
            found = statement(
                f"SELECT {columns}, m.hits * 1.0 / {len(words)} AS score FROM (SELECT *, {hits} AS hits FROM "
                f"({newest})) AS m WHERE m.hits > 0 {best}",
                *(f" {word} " for word in words),
                *(name, scope, limit),
            )
        return rows_as(FoundMemory, found)

    def page(self, name: str, scope: str, after: int, limit: int) -> Query[list[FoundMemory]]:
        """List the memories of a scope in the order of their ids, from behind one on."""
        page = statement(
            f"SELECT id, content, metadata, created_at FROM {self.table} WHERE name = ? AND scope = ? "
            "AND id > ? ORDER BY id LIMIT ?",
            *(name, scope, after, limit),
        )
        return rows_as(FoundMemory, page)

    # Forgetting

    def forget(self, name: str, scope: str, number: int) -> Query[int]:
        """Delete one memory; how many there were."""
        return self._forget(name, scope, "m.id = ?", number)

    def forget_some(self, name: str, scope: str, limit: int) -> Query[int]:
        """Delete the first memories of a scope; how many there were."""
        first = f"SELECT id FROM {self.table} WHERE name = ? AND scope = ? ORDER BY id LIMIT ?"
        return self._forget(name, scope, f"m.id IN ({first})", name, scope, limit)

    def _forget(self, name: str, scope: str, which: str, *bounds: str | int) -> Query[int]:
        which = f"m.name = ? AND m.scope = ? AND {which}"
        entries = []
        if self.index is not None:
            # FTS5 must not be told to delete an entry that it doesn't have.
            entered = f"EXISTS (SELECT 1 FROM {self.index_name} WHERE {self.index_name} MATCH ? AND rowid = m.id)"
            remove = self.index.remove(f"SELECT 'delete', {self._entry} WHERE {which} AND {entered}")
            entries = self.index.forgetting(statement(remove, name, scope, *bounds, _owned(name, scope)))
        delete = f"DELETE FROM {self.table} AS m WHERE {which} AND {self._may_change} RETURNING id"
        deleted = statement(delete, name, scope, *bounds)
        return replace(self._change(Query([*entries, deleted], lambda answers: len(answers[-1]))), erases=True)


def _owned(name: str, scope: str) -> str:
    return f'owner : "{name.encode().hex()}x{scope.encode().hex()}"'
