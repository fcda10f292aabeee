"""The table of objects, bytes under keys: its layout, how a value stands in it, and the statements over it.

    {prefix}objects        (key, part)   part 0 is the object: size, encoding, and the first megabyte of the value
    {prefix}objects_index  FTS5 over the objects' text, by a number made of the key; only where it is asked for

A value is text where it is UTF-8 without NUL, which is what snapshots, memories and most tool results are: such rows
can be read, and searched, with any SQLite tool. Anything else is base64: PerSQL takes no BLOB.

A longer value goes on in further rows of its key, whose numbers part 0 names (`first`, `parts`). Each writing takes new
numbers, made of the time and of chance, so that the rows of two writings never mix: whoever reads sees one value, and
all of it. Rows that no part 0 names are left by writings that were broken off; the next writing of that key removes
those that are an hour old, and a deletion all of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import randbits
from typing import TYPE_CHECKING, Literal

from ..encoding import PART_BYTES, parts_of
from ._fts import delete_securely, merge
from ._statements import checked_prefix, statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["Encoded", "ObjectTables", "after_prefix", "decoded", "first_number"]

Encoding = Literal["text", "base64"]

ABANDONED_SECONDS = 3600
"""How long the parts of a value are left alone that no object names yet: it may still be on its way."""

_SHIFT = 21
"""Bits below the seconds in a part's number. All numbers stay exact where they are JavaScript's: below 2^53."""


def first_number() -> int:
    """The number of the second part of a value that is being written now; the others count on from there."""
    return (int(time.time()) << _SHIFT) + randbits(_SHIFT - 1) + 1


def after_prefix(prefix: str) -> str | None:
    """The least string above all that begin with a prefix, in the order of code points; None where there is none."""
    while prefix and prefix[-1] == "\U0010ffff":
        prefix = prefix[:-1]
    if not prefix:
        return None
    following = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)


@dataclass(frozen=True)
class Encoded:
    """A value as it is stored.

    Attributes:
        size: Bytes of the value itself.
        encoding: `"text"` or `"base64"`.
        parts: What the rows hold, in order; at least one, each of at most `PART_BYTES` bytes of UTF-8.
    """

    size: int
    encoding: Encoding
    parts: tuple[str, ...]

    @classmethod
    def of(cls, value: bytes, *, part_bytes: int = PART_BYTES) -> Encoded:
        """Encode a value.

        Args:
            value: The value.
            part_bytes: The most bytes in a row; at least 4, for a character is never parted.
        """
        if b"\0" not in value:
            try:
                return cls(len(value), "text", tuple(parts_of(value.decode(), part_bytes)))
            except UnicodeDecodeError:
                pass
        step = part_bytes // 4 * 3
        starts = range(0, len(value), step)  # no empty value comes here: it is text
        return cls(len(value), "base64", tuple(base64.b64encode(value[at : at + step]).decode() for at in starts))


def decoded(encoding: str, parts: Sequence[str]) -> bytes:
    """A value from its rows' `data`, in order.

    Raises:
        ValueError: The encoding is unknown, or the data isn't of it.
    """
    if encoding == "text":
        return "".join(parts).encode()
    if encoding != "base64":
        raise ValueError(f"unknown encoding {encoding!r}")
    try:
        return b"".join(base64.b64decode(part, validate=True) for part in parts)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error


class ObjectTables:
    """The statements over the objects of one prefix.

    Args:
        prefix: Starts the name of each table.
        index: Whether there is a full-text index. Every object written then costs its rows too.
        secure: Let the index drop words from its pages as they go (SQLite 3.42 on); else merge it.

    Raises:
        ValueError: The prefix is not safe inside SQL.
    """

    def __init__(self, prefix: str = "strands_", *, index: bool = False, secure: bool = True) -> None:
        self.prefix = checked_prefix(prefix)
        self.index = index
        self.secure = secure
        self._table = table = f"{self.prefix}objects"
        self._fts = fts = f"{self.prefix}objects_index"
        self.names = (table, fts) if index else (table,)
        columns = f"INSERT INTO {table} (key, part, parts, first, encoding, size, data)"
        self._insert_part = f"{columns} VALUES (?, ?, 0, 0, '', 0, ?)"
        update = (
            "ON CONFLICT (key, part) DO UPDATE SET parts = excluded.parts, first = excluded.first, "
            "encoding = excluded.encoding, size = excluded.size, data = excluded.data"
        )
        self._put = f"{columns} VALUES (?, 0, ?, ?, ?, ?, ?) {update}"
        # The same, if all further parts are there: else NULL in a NOT NULL column, which undoes the whole batch.
        whole = (
            f"CASE WHEN (SELECT count(*) FROM {table} WHERE key = ? AND part >= ? AND part < ?) = ? "
            "THEN CAST(? AS INTEGER) END"
        )
        self._put_whole = f"{columns} VALUES (?, 0, {whole}, ?, ?, ?, ?) {update}"
        head = f"FROM {table} WHERE key = ? AND part = 0"
        self._drop_replaced = (
            f"DELETE FROM {table} WHERE key = ? AND part > 0 AND (part < ? "
            f"OR (part >= (SELECT first {head}) AND part < (SELECT first + parts - 1 {head})))"
        )
        # FTS5 takes no double for a rowid, and a number may arrive as one.
        self._unindex = f"DELETE FROM {fts} WHERE rowid = CAST(? AS INTEGER)"
        self._reindex = (
            f"INSERT INTO {fts} (rowid, key, name, body) SELECT CAST(? AS INTEGER), key, ?, "
            f"CASE encoding WHEN 'text' THEN data ELSE '' END {head}"
        )

    # Setting up

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The statements that create the tables; harmless where they exist."""
        layout = [
            statement(
                f"CREATE TABLE IF NOT EXISTS {self._table} (key TEXT NOT NULL, part INTEGER NOT NULL, "
                "parts INTEGER NOT NULL, first INTEGER NOT NULL, encoding TEXT NOT NULL, size INTEGER NOT NULL, "
                "data TEXT NOT NULL, PRIMARY KEY (key, part)) WITHOUT ROWID"
            )
        ]
        if self.index:
            layout.append(
                statement(
                    f"CREATE VIRTUAL TABLE IF NOT EXISTS {self._fts} USING fts5(key UNINDEXED, name, body, "
                    "tokenize='unicode61 remove_diacritics 2')"
                )
            )
        return layout

    # Writing

    def put(self, key: str, value: Encoded, first: int, last_parts: Sequence[tuple[int, str]]) -> list[Statement]:
        """An object, in the place of the one of its key: the statements of one transaction.

        Where parts of it were written before this transaction and are gone, it fails with a NOT NULL violation.

        Args:
            key: The key.
            value: The value.
            first: The number of its second part (see `first_number`).
            last_parts: Those of its further parts, with their numbers, that go along in this transaction.
        """
        following = len(value.parts) - 1
        about = (first if following else 0, value.encoding, value.size, value.parts[0])
        number = len(value.parts)
        if len(last_parts) < following:
            put = statement(self._put_whole, key, key, first, first + following, following, number, *about)
        else:
            put = statement(self._put, key, number, *about)
        return [
            statement(self._drop_replaced, key, first - (ABANDONED_SECONDS << _SHIFT), key, key),
            *self.put_parts(key, last_parts),
            put,
            *((*self._forget(key), self._learn(key)) if self.index else ()),
        ]

    def put_parts(self, key: str, parts: Sequence[tuple[int, str]]) -> list[Statement]:
        """Further parts of a value, by their numbers. Fails with a UNIQUE violation where a number is taken."""
        return [statement(self._insert_part, key, number, data) for number, data in parts]

    def drop_parts(self, key: str, start: int, end: int) -> list[Statement]:
        """Delete the parts of a key from one number to below another."""
        drop = f"DELETE FROM {self._table} WHERE key = ? AND part >= ? AND part < ?"
        return [statement(drop, key, start, end)]

    def delete(self, key: str) -> list[Statement]:
        """An object's every row, those of broken-off writings too."""
        return [
            statement(f"DELETE FROM {self._table} WHERE key = ?", key),
            *(self._forget(key) if self.index else ()),
        ]

    # Reading

    def read(self, key: str, limit: int) -> Statement:
        """An object's first rows, as a rule all or as many as `limit`: `part, parts, first, encoding, data`."""
        return statement(
            f"SELECT part, parts, first, encoding, data FROM {self._table} WHERE key = ? ORDER BY part "
            "LIMIT CAST(? AS INTEGER)",
            key,
            limit,
        )

    def read_parts(self, key: str, start: int, end: int) -> Statement:
        """The parts of an object from one number to below another: `part, data`."""
        return statement(
            f"SELECT part, data FROM {self._table} WHERE key = ? AND part >= ? AND part < ?", key, start, end
        )

    def read_many(self, keys: Sequence[str]) -> Statement:
        """The objects of at most 100 keys: `key, parts, encoding, data`, the first part alone."""
        marks = ", ".join("?" * len(keys))
        return statement(
            f"SELECT key, parts, encoding, data FROM {self._table} WHERE part = 0 AND key IN ({marks})", *keys
        )

    def list_keys(self, prefix: str, after: str | None, limit: int) -> Statement:
        """The next keys that begin with a prefix, in the order of code points: `key, size`.

        Args:
            prefix: How they begin; empty for all.
            after: The last key of the page before; None for the first page.
            limit: The most to answer.
        """
        beyond, params = ("key >= ?", (prefix,)) if after is None else ("key > ?", (after,))
        until, end = _until("key", prefix)
        return statement(
            f"SELECT key, size FROM {self._table} WHERE part = 0 AND {beyond}{until} ORDER BY key "
            "LIMIT CAST(? AS INTEGER)",
            *params,
            *end,
            limit,
        )

    # The index

    def _forget(self, key: str) -> list[Statement]:
        forget = statement(self._unindex, _entry(key))
        # Where there was no entry, nothing is to be merged: that rewrites the whole index.
        return [*self._securing(), forget] if self.secure else [forget, merge(self._fts, "changes() > 0")]

    def _securing(self) -> list[Statement]:
        # Said with each deletion, not when the index is made, because older versions of SQLite don't know it.
        return [delete_securely(self._fts)] if self.secure else []

    def _learn(self, key: str) -> Statement:
        name = key.rpartition("/")[2]
        stem, dot, _ = name.rpartition(".")  # `md` must not find each .md
        return statement(self._reindex, _entry(key), stem if dot and stem else name, key)

    def reindex_many(self, keys: Sequence[str]) -> list[Statement]:
        """Make the entries of at most 49 objects in the index anew, of what the table holds; nothing without an index.

        What they leave in the index's pages goes with `scrub`.
        """
        if not self.index:
            return []
        forget = [statement(self._unindex, _entry(key)) for key in keys]
        return [*self._securing(), *forget, *(self._learn(key) for key in keys)]

    def scrub(self) -> list[Statement]:
        """Take out of the index's pages what is left there of deleted words; nothing where nothing can be."""
        return [merge(self._fts)] if self.index and not self.secure else []

    def drop_orphans(self) -> list[Statement]:
        """Delete the entries in the index whose object is gone, as `reindex_many` does; nothing without an index."""
        drop = (
            f"DELETE FROM {self._fts} WHERE NOT EXISTS "
            f"(SELECT 1 FROM {self._table} AS o WHERE o.key = {self._fts}.key AND o.part = 0)"
        )
        return [*self._securing(), statement(drop)] if self.index else []

    def search(self, words: Sequence[str], prefix: str, limit: int) -> Statement:
        """The objects that hold any of some words, best first: `key, score`; the score is above 0.

        A word of three letters or more finds longer ones that begin with it too.

        Args:
            words: Letters, digits and underscores; at least one.
            prefix: How the keys begin; empty for all.
            limit: The most to answer.
        """
        match = " OR ".join(f'"{word}"{"*" if len(word) > 2 else ""}' for word in words)
        until, end = _until("key", prefix)
        return statement(
            f"SELECT key, -bm25({self._fts}) AS score FROM {self._fts} WHERE {self._fts} MATCH ? AND key >= ?{until} "
            f"AND EXISTS (SELECT 1 FROM {self._table} AS o WHERE o.key = {self._fts}.key AND o.part = 0) "
            f"ORDER BY bm25({self._fts}), key LIMIT CAST(? AS INTEGER)",
            match,
            prefix,
            *end,
            limit,
        )


def _until(column: str, prefix: str) -> tuple[str, tuple[str, ...]]:
    """The upper end of the keys that begin with a prefix."""
    end = after_prefix(prefix)
    return ("", ()) if end is None else (f" AND {column} < ?", (end,))


def _entry(key: str) -> int:
    """The number of a key's entry in the index: 52 bits of its hash, exact where numbers are JavaScript's."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 12
