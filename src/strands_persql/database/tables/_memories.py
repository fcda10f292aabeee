"""The tables of long-term memory: their layout, and the statements that remember, find and forget.

    {prefix}memories        (name, scope, id)   content, its words, metadata, created_at: all there is to know
    {prefix}memories_index  FTS5 over the words, by `id`; it keeps no text of its own (`content=''`)

`id` comes of the content (see `memory_id`), so the same memory written twice is one row, and it is the index's rowid,
so that the table can be `WITHOUT ROWID` in the order in which it is listed. The words are what the package made of the
content (`stores.words.words_of`); they stand in the table because FTS5 takes a text out of an index without
text only if it is told that text again. So forgetting is one request, and an index can be made from the table alone.

Whose a memory is stands in the index too, as one more word to match; the table has the last word on it all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._fts import delete_securely, merge
from ._statements import checked_prefix, statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["MemoryTables", "memory_id"]

SCANNED = 5_000
"""The most memories of one scope that are looked at where there is no index, the newest first."""


def memory_id(name: str, scope: str, content: str, salt: int = 0) -> int:
    """The id of a content: 52 bits of its SHA-256 within its store and scope, exact where numbers are JavaScript's.

    Args:
        name: The store.
        scope: Whose memories.
        content: The content, normalised.
        salt: Goes up where another content has that id already.
    """
    text = json.dumps([name, scope, content, salt])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 12


class MemoryTables:
    """The statements over the memories of one prefix.

    Args:
        prefix: Starts the name of each table.
        indexed: Whether there is a full-text index; without one, a search looks at each memory of its scope.

    Raises:
        ValueError: The prefix is not safe inside SQL.
    """

    def __init__(self, prefix: str = "strands_", *, indexed: bool = True) -> None:
        self.prefix = checked_prefix(prefix)
        self.indexed = indexed
        self.table = table = f"{self.prefix}memories"
        self.index = index = f"{self.prefix}memories_index"
        self._one = "name = ? AND scope = ? AND id = ?"
        # The first of a scope, in the order of the primary key.
        self._some = f"id IN (SELECT id FROM {table} WHERE name = ? AND scope = ? ORDER BY id LIMIT ?)"
        # Whose a memory is, as one word of the index: letters and digits alone.
        self._owner = "hex({0}.name) || 'x' || hex({0}.scope)"
        self._unindexed = (
            f"INSERT INTO {index} (rowid, owner, words) SELECT m.id, {self._owner.format('m')}, m.words "
            f"FROM {table} AS m WHERE {{}} NOT EXISTS (SELECT 1 FROM {index} WHERE rowid = m.id)"
        )
        # FTS5's own command: it must be told the very text that it was given, of a row that it really has.
        self._unlearn = (
            f"INSERT INTO {index} ({index}, rowid, owner, words) "
            f"SELECT 'delete', m.id, {self._owner.format('m')}, m.words FROM {table} AS m WHERE {{}} "
            f"AND EXISTS (SELECT 1 FROM {index} WHERE {index} MATCH ? AND rowid = m.id)"
        )
        self._no_index = f"NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '{index}')"

    # Setting up

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The tables, and in a new index what the table holds already. Harmless where they exist."""
        layout = [
            statement(
                f"CREATE TABLE IF NOT EXISTS {self.table} (name TEXT NOT NULL, scope TEXT NOT NULL, "
                "id INTEGER NOT NULL, content TEXT NOT NULL, words TEXT NOT NULL, metadata TEXT, "
                "created_at TEXT NOT NULL, PRIMARY KEY (name, scope, id)) WITHOUT ROWID"
            )
        ]
        if self.indexed:
            # The words are made already: the tokenizer `ascii` parts them at the spaces and leaves all other letters
            # alone, and `porter` takes the endings off English words.
            layout += [
                statement(
                    f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.index} USING fts5(owner, words, content='', "
                    "tokenize='porter ascii')"
                ),
                statement(self._unindexed.format("")),
            ]
        return layout

    def probe(self) -> list[Statement]:
        """Nothing, from each table: fails where one is missing."""
        tables = [self.table, self.index] if self.indexed else [self.table]
        return [statement(f"SELECT 1 FROM {table} LIMIT 0") for table in tables]

    def find_index(self) -> Statement:
        """One row, if the database has a full-text index, whether or not this SQLite can read it."""
        return statement(f"SELECT 1 AS found FROM sqlite_master WHERE name = '{self.index}'")

    # Remembering

    def remember(
        self, name: str, scope: str, memories: Sequence[tuple[int, str, str, str | None]], created_at: str
    ) -> list[Statement]:
        """Insert memories, unless they are there; the last of the statements reads their ids and contents back.

        It reads nothing of one whose id belongs to another scope's memory, or where there is an index that is not kept.

        Args:
            name: The store.
            scope: Whose memories.
            memories: At most 90, each as id, content, words, metadata.
            created_at: The time.
        """
        unless = f"NOT EXISTS (SELECT 1 FROM {self.index} WHERE rowid = ?)" if self.indexed else self._no_index
        made = [
            statement(
                f"INSERT INTO {self.table} (name, scope, id, content, words, metadata, created_at) "
                f"SELECT ?, ?, ?, ?, ?, ?, ? WHERE {unless} ON CONFLICT (name, scope, id) DO NOTHING",
                *(name, scope, number, content, words, metadata, created_at),
                *((number,) if self.indexed else ()),
            )
            for number, content, words, metadata in memories
        ]
        key: tuple[str | int, ...] = (name, scope, *(number for number, *_ in memories))
        among = f"name = ? AND scope = ? AND id IN ({', '.join('?' for _ in memories)})"
        if self.indexed:
            # One statement for all: FTS5 writes its pages anew for each.
            made.append(statement(self._unindexed.format(f"{among} AND"), *key))
        return [*made, statement(f"SELECT id, content FROM {self.table} WHERE {among}", *key)]

    # Finding

    def search(self, name: str, scope: str, words: Sequence[str], limit: int) -> Statement:
        """The memories of a scope that have at least one of the words, best first.

        Args:
            name: The store.
            scope: Whose memories.
            words: Letters and digits alone, at least one of them.
            limit: How many memories at most.

        Returns:
            Rows of `id`, `content`, `metadata`, `created_at`, and `score`, which is between 0 and 1, larger is better:
            bm25 as Strands' own search maps it, or, where memories are scanned, the share of the words they have.
        """
        columns = "m.id, m.content, m.metadata, m.created_at"
        best = "ORDER BY score DESC, m.created_at DESC, m.id LIMIT ?"
        if self.indexed:
            wanted = " OR ".join(_quoted(word) for word in words)
            bm25 = f"bm25({self.index}, 0.0, 1.0)"  # less than 0, smaller is better
            return statement(
                f"SELECT {columns}, -{bm25} / (1.0 - {bm25}) AS score FROM {self.index} "
                f"CROSS JOIN {self.table} AS m ON m.name = ? AND m.scope = ? AND m.id = {self.index}.rowid "
                f"WHERE {self.index} MATCH ? {best}",
                *(name, scope, f"{_owned(name, scope)} AND words : ({wanted})", limit),
            )
        hits = " + ".join("(instr(' ' || words || ' ', ?) > 0)" for _ in words)
        return statement(
            f"SELECT {columns}, m.hits * 1.0 / {len(words)} AS score FROM (SELECT *, {hits} AS hits FROM "
            f"(SELECT * FROM {self.table} WHERE name = ? AND scope = ? ORDER BY created_at DESC LIMIT {SCANNED})) AS m "
            f"WHERE m.hits > 0 {best}",
            *(f" {word} " for word in words),
            *(name, scope, limit),
        )

    def page(self, name: str, scope: str, after: int, limit: int) -> Statement:
        """The memories of a scope in the order of their ids, from behind one on."""
        return statement(
            f"SELECT id, content, metadata, created_at FROM {self.table} WHERE name = ? AND scope = ? "
            "AND id > ? ORDER BY id LIMIT ?",
            *(name, scope, after, limit),
        )

    # Forgetting

    def forget(self, name: str, scope: str, number: int, *, secure: bool) -> list[Statement]:
        """Delete one memory; the last of the statements answers its row, where there was one.

        Args:
            name: The store.
            scope: Whose memories.
            number: The memory.
            secure: Let the index drop the words from its pages as they go (SQLite 3.42 on); else rewrite it.
        """
        key = (name, scope, number)
        delete = statement(f"DELETE FROM {self.table} WHERE {self._one} AND {self._kept} RETURNING id", *key)
        return self._forgetting("m.name = ? AND m.scope = ? AND m.id = ?", key, delete, secure=secure)

    def forget_some(self, name: str, scope: str, limit: int, *, secure: bool) -> list[Statement]:
        """Delete the first memories of a scope; the last of the statements answers their rows."""
        key = (name, scope, name, scope, limit)
        delete = statement(
            f"DELETE FROM {self.table} WHERE name = ? AND scope = ? AND {self._some} AND {self._kept} RETURNING id",
            *key,
        )
        return self._forgetting(f"m.name = ? AND m.scope = ? AND m.{self._some}", key, delete, secure=secure)

    @property
    def _kept(self) -> str:
        """Where there is an index that is not kept, nothing is deleted: the words would stay in it."""
        return "1" if self.indexed else self._no_index

    def _forgetting(
        self, which: str, key: tuple[str | int, ...], delete: Statement, *, secure: bool
    ) -> list[Statement]:
        if not self.indexed:
            return [delete]
        name, scope = str(key[0]), str(key[1])
        unlearn = statement(self._unlearn.format(which), *key, _owned(name, scope))
        if secure:
            # Here, not when the index is made, because older versions of SQLite don't know it.
            return [delete_securely(self.index), unlearn, delete]
        return [unlearn, merge(self.index), delete]


def _quoted(word: str) -> str:
    """A word that FTS5 reads as nothing else."""
    return '"' + word.replace('"', '""') + '"'


def _owned(name: str, scope: str) -> str:
    return f'owner : "{name.encode().hex()}x{scope.encode().hex()}"'
