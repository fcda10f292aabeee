"""The tables of long-term memory: their layout, and the statements that remember, find and forget.

    {prefix}memories        (name, scope, id)   content, its words, metadata, created_at
    {prefix}memories_index  FTS5 over the words, by `id`; it keeps no copy of them (`content=''`)

`id` is a hash of the content (see `memory_id`), so that a memory that is written twice is one row. It is the index's
row number too.

The words of a content are made by the package (`stores.words.words_of`). The table stores them because an index without
a copy deletes an entry only when it is given the entry's exact text.

The index stores a memory's store and scope as one more word, by which a search narrows its matches. The table's own
columns decide in the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..query import Query, rows_as
from ._fts import FullText, IndexedTables, matching
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers

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
    """What is stored of a memory: its content, the words it is found by with spaces between them, metadata as JSON.

    One that is from before has a time; the others are from when they are stored.
    """

    content: str
    words: str
    metadata: str | None
    created_at: str | None = None


class FoundMemory(NamedTuple):
    """A stored memory, its metadata as JSON; the better it matches a search, the nearer to 1 is the score."""

    id: int
    content: str
    metadata: str | None
    created_at: str
    score: float = 0.0


class Moved(NamedTuple):
    """What became of some memories that were to move to other ids.

    Attributes:
        stored: The contents that are stored under the new ids by now.
        deleted: The other ids, of those that were deleted.
        left: The other ids, of those that are still there: the new one is taken.
    """

    stored: dict[int, str]
    deleted: set[int]
    left: set[int]


class MemoryTables(IndexedTables):
    """The statements over the memories of one prefix; without an index, a search looks at each memory of its scope."""

    TABLE = "memories"
    COLUMNS = (
        "name TEXT NOT NULL, scope TEXT NOT NULL, id INTEGER NOT NULL, content TEXT NOT NULL, words TEXT NOT NULL, "
        "metadata TEXT, created_at TEXT NOT NULL, PRIMARY KEY (name, scope, id)"
    )

    def __init__(self, prefix: str = "strands_", *, indexed: bool = True, secure: bool = True) -> None:
        super().__init__(prefix, indexed=indexed, secure=secure)

    def create_index(self, *, secure: bool) -> list[Statement]:
        """The statements that create the index, and fill it from the table; see `FullText.create`."""
        # The tokenizer `ascii` parts the words at the spaces and leaves other letters alone; `porter` takes the endings
        # off English words.
        columns = {"owner": "hex({row}.name) || 'x' || hex({row}.scope)", "words": "{row}.words"}
        index = FullText(self.index_name, self.table, "id", columns, "content=''", "tokenize='porter ascii'")
        return [*index.create(secure=secure), index.fill()]

    # Remembering

    def remember(
        self, name: str, scope: str, memories: Mapping[int, MemoryText], created_at: str
    ) -> Query[dict[int, str]]:
        """Insert memories, unless they are there; the contents that are stored under their ids in this scope then.

        Args:
            name: The store.
            scope: Whose memories.
            memories: At most 90, by their ids.
            created_at: The time of those that have none.
        """
        insert = self._insertion(name, scope, memories, created_at)
        these = f"name = ? AND scope = ? AND id IN ({', '.join('?' for _ in memories)})"
        stored = statement(f"SELECT id, content FROM {self.table} WHERE {these}", name, scope, *memories)
        return Query([insert, stored], lambda answers: {row["id"]: row["content"] for row in answers[-1]})

    def move(
        self, name: str, scope: str, memories: Mapping[int, MemoryText], origins: Sequence[tuple[int, int]], time: str
    ) -> Query[Moved]:
        """Insert memories that are there under other ids, and delete those: in one transaction, once for all who try.

        Args:
            name: The store.
            scope: Whose memories.
            memories: At most 90, by their new ids.
            origins: The other id and the new one of each. What is no longer there under the other is not inserted.
            time: The time of those that have none.
        """
        pairs, table = json.dumps(origins), self.table
        old, new = "json_extract(p.value, '$[0]')", "json_extract(p.value, '$[1]')"
        pair = f"json_each(?) AS p CROSS JOIN {table} AS o ON o.name = ? AND o.scope = ? AND o.id"
        is_there = f"json_extract(e.value, '$[0]') IN (SELECT {new} FROM {pair} = {old})"
        insert = self._insertion(name, scope, memories, time, is_there, pairs, name, scope)
        these = f"id IN ({', '.join('?' for _ in memories)})"
        stored = f"SELECT id, content FROM {table} WHERE name = ? AND scope = ? AND {these}"
        moved = f"m.id IN (SELECT {old} FROM {pair} = {new} WHERE {old} <> {new})"
        left = f"SELECT id FROM {table} WHERE name = ? AND scope = ? AND id IN (SELECT {old} FROM json_each(?) AS p)"
        deletion = self._deletion(name, scope, moved, pairs, name, scope)
        statements = [insert, statement(stored, name, scope, *memories), *deletion, statement(left, name, scope, pairs)]

        def read(answers: Answers) -> Moved:
            return Moved(
                {row["id"]: row["content"] for row in answers[1]},
                {row["id"] for row in answers[2]},
                {row["id"] for row in answers[-1]},
            )

        return Query(statements, read, erases=True)

    def _insertion(
        self,
        name: str,
        scope: str,
        memories: Mapping[int, MemoryText],
        created_at: str,
        condition: str = "1",
        *bounds: str,
    ) -> Statement:
        """Insert memories for which a condition on `e` holds, unless they are there."""
        is_free = "1"
        if self.indexed:  # an id that another scope's memory has in the index is taken
            is_free = f"NOT EXISTS (SELECT 1 FROM {self.index_name}_docsize WHERE id = json_extract(e.value, '$[0]'))"
        # In one statement and in the order of ids, since FTS5 writes its pages anew for what comes otherwise. SQLite
        # ends a text in JSON at a NUL, of which the contents alone may have one.
        items = sorted(memories.items())
        contents = " ".join(f"WHEN {place} THEN ?" for place in range(len(items)))
        return statement(
            f"INSERT INTO {self.table} (name, scope, id, content, words, metadata, created_at) "
            f"SELECT ?, ?, json_extract(e.value, '$[0]'), CASE e.key {contents} END, json_extract(e.value, '$[1]'), "
            "json_extract(e.value, '$[2]'), coalesce(json_extract(e.value, '$[3]'), ?) "
            f"FROM json_each(?) AS e WHERE {is_free} AND {condition} ON CONFLICT (name, scope, id) DO NOTHING",
            *(name, scope, *(text.content for _, text in items), created_at),
            json.dumps([(number, *text[1:]) for number, text in items], ensure_ascii=False),
            *bounds,
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
        if self.indexed:
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

    def newest(self, name: str, scope: str, skipped: int, limit: int) -> Query[list[FoundMemory]]:
        """List the memories of a scope, the newest first, after so many."""
        page = statement(
            f"SELECT id, content, metadata, created_at FROM {self.table} WHERE name = ? AND scope = ? "
            "ORDER BY created_at DESC, id LIMIT ? OFFSET ?",
            *(name, scope, limit, skipped),
        )
        return rows_as(FoundMemory, page)

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
        return Query(self._deletion(name, scope, which, *bounds), lambda answers: len(answers[0]), erases=True)

    def _deletion(self, name: str, scope: str, which: str, *bounds: str | int) -> list[Statement]:
        delete = f"DELETE FROM {self.table} AS m WHERE m.name = ? AND m.scope = ? AND {which} RETURNING id"
        return [statement(delete, name, scope, *bounds), *self.without_deleted_words()]


def _owned(name: str, scope: str) -> str:
    return f'owner : "{name.encode().hex()}x{scope.encode().hex()}"'
