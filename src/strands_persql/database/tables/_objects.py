"""The tables of objects, which are bytes under keys: their layout, how a value is stored, and the statements over them.

    {prefix}objects        (key, part)   part 0 is the object: size, encoding, and the first megabyte of the value
    {prefix}objects_index  FTS5 over the objects' names and texts; only where it is asked for

A value that is UTF-8 without NUL, as snapshots, memories and most tool results are, is stored as text: any SQLite tool
can read and search such rows. Other values are stored as base64, since PerSQL takes no BLOB.

The further parts of a value of more than one row have the numbers that part 0 names (`first`, `parts`). Each write
takes new numbers, made of the time and of random bits, so the parts of two writes never mix and a reader gets one whole
value. A write that was broken off leaves parts that no part 0 names: the key's next write deletes those that are an
hour old, and a deletion deletes all.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from secrets import randbits
from typing import TYPE_CHECKING, Literal, NamedTuple

from ...errors import named
from ..encoding import parts_of
from ..query import Answers, Query, rows_as, unanswered
from ._fts import IndexedTables, matching
from ._statements import is_sealed, statement
from ._texts import Texts, unparted

if TYPE_CHECKING:
    from ...client import Statement

Encoding = Literal["text", "base64"]

PART_BYTES = 1_000_000
"""The most bytes of UTF-8 in a row of an object, which holds one value; a sealed one is parted afterwards."""

ABANDONED_SECONDS = 3600
"""How long parts that no object names are kept: their write may still be under way."""

OBJECT_COLUMNS = (
    "key TEXT NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, first INTEGER NOT NULL, "
    "encoding TEXT NOT NULL, size INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (key, part)"
)

_SHIFT = 21
"""The bits below the seconds in a part's number. Numbers stay below 2^53, to which JavaScript's are exact."""


def first_number() -> int:
    """The number for the second part of a value that is written now; the later parts count on from it."""
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
        raise ValueError(f"unknown encoding {named(encoding)}")
    try:
        return b"".join(base64.b64decode(part, validate=True) for part in parts)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error


class ObjectRows(NamedTuple):
    """What the first rows of an object say.

    Attributes:
        encoding: The value's (see `Encoded`).
        data: The value's first part.
        numbers: Those of its further parts.
        parts: Of these, the ones that were read along, by their numbers.
    """

    encoding: str
    data: str
    numbers: range
    parts: dict[int, str]

    @property
    def all(self) -> list[str]:
        """The whole value's rows, once all were read."""
        return [self.data, *(self.parts[number] for number in self.numbers)]


class FirstPart(NamedTuple):
    """The first part of an object's value, and how many parts there are."""

    key: str
    parts: int
    encoding: str
    data: str


class KeySize(NamedTuple):
    """An object's key, and the bytes of its value."""

    key: str
    size: int


class KeyScore(NamedTuple):
    """An object that a search found: the better it matches, the higher is the score, which is above 0."""

    key: str
    score: float


class ObjectTables(IndexedTables):
    """The statements over the objects of one prefix; each object written to an index costs its rows too.

    An index has the objects that were written since it was made, whoever writes them, and those of `texts.fill`.
    """

    TABLE = "objects"
    COLUMNS = OBJECT_COLUMNS

    def __init__(self, prefix: str = "strands_", *, indexed: bool = False, secure: bool = True) -> None:
        super().__init__(prefix, indexed=indexed, secure=secure)
        self._insert = f"INSERT INTO {self.table} (key, part, parts, first, encoding, size, data)"

    def create_index(self, *, secure: bool) -> list[Statement]:
        """The statements that create the index; see `FullText.create`."""
        return self.texts.create(secure=secure)

    @property
    def texts(self) -> Texts:
        """The texts of objects, which the index is of."""
        return Texts(self.index_name, self.table, {"key": "TEXT"}, _text, "{row}part = 0")

    # Writing

    def put(self, key: str, value: Encoded, first: int, last_parts: Sequence[tuple[int, str]]) -> Query[None]:
        """Write an object, in the place of the one under its key, in one transaction.

        Where parts of it were written before this transaction and are gone, it fails with a NOT NULL violation.

        Args:
            key: The key.
            value: The value.
            first: The number of its second part (see `first_number`).
            last_parts: Those of its further parts, with their numbers, that go along in this transaction.
        """
        following = len(value.parts) - 1
        # NULL in a NOT NULL column undoes the whole batch.
        all_there = f"(SELECT count(*) FROM {self.table} WHERE key = ? AND part >= ? AND part < ?) = ?"
        head = f"FROM {self.table} WHERE key = ? AND part = 0"
        replaced = statement(
            f"DELETE FROM {self.table} WHERE key = ? AND part > 0 AND (part < ? "
            f"OR (part >= (SELECT first {head}) AND part < (SELECT first + parts - 1 {head})))",
            *(key, first - (ABANDONED_SECONDS << _SHIFT), key, key),
        )
        put = statement(
            f"{self._insert} VALUES (?, 0, CASE WHEN {all_there} THEN CAST(? AS INTEGER) END, ?, ?, ?, ?) "
            "ON CONFLICT (key, part) DO UPDATE SET parts = excluded.parts, first = excluded.first, "
            "encoding = excluded.encoding, size = excluded.size, data = excluded.data",
            *(key, key, first, first + following, following),
            *(len(value.parts), first if following else 0, value.encoding, value.size, value.parts[0]),
        )
        parts = self.put_parts(key, last_parts).statements
        # An index that is missing is noticed, and made.
        return unanswered(*self.probe().statements, replaced, *parts, put)

    def unchanged(self, key: str, rows: ObjectRows) -> Statement:
        """Abort the transaction, with a NOT NULL violation, where an object is not what was read of it."""
        # The numbers of its parts are its own alone; a value in one row is compared.
        there = f"SELECT 1 FROM {self.table} WHERE key = ? AND part = 0 AND first = ? AND parts = ? AND data = ?"
        numbers = rows.numbers
        return statement(
            f"{self._insert} SELECT NULL, 0, 0, 0, '', 0, '' WHERE NOT EXISTS ({there})",
            *(key, numbers.start, len(numbers) + 1, rows.data),
        )

    def put_parts(self, key: str, parts: Sequence[tuple[int, str]]) -> Query[None]:
        """Write further parts of a value, by their numbers. Fails with a UNIQUE violation where a number is taken."""
        insert = f"{self._insert} VALUES (?, ?, 0, 0, '', 0, ?)"
        return unanswered(*(statement(insert, key, number, data) for number, data in parts))

    def drop_unnamed(self, key: str, numbers: range) -> Query[bool]:
        """Delete parts of a value, unless it is the one that is stored; whether it is."""
        stored = f"SELECT 1 FROM {self.table} WHERE key = ? AND part = 0 AND parts > 1 AND first = ?"
        drop = f"DELETE FROM {self.table} WHERE key = ? AND part >= ? AND part < ? AND NOT EXISTS ({stored})"
        is_it = (key, numbers.start)
        return Query(
            [statement(stored, *is_it), statement(drop, key, numbers.start, numbers.stop, *is_it)],
            lambda answers: bool(answers[0]),
        )

    def delete(self, key: str) -> Query[None]:
        """Delete every row of an object, those of broken-off writes too."""
        delete = statement(f"DELETE FROM {self.table} WHERE key = ?", key)
        return replace(unanswered(delete, *self.without_deleted_words()), erases=True)

    # Reading

    def read(self, key: str, limit: int) -> Query[ObjectRows | None]:
        """Read an object with at most `limit` of its rows; None where there is none under the key."""

        def read(answers: Answers) -> ObjectRows | None:
            rows = {row["part"]: row for row in answers[0]}
            if (head := rows.get(0)) is None:
                return None
            numbers = range(head["first"], head["first"] + head["parts"] - 1)
            parts = {number: row["data"] for number, row in rows.items() if number in numbers}
            return ObjectRows(head["encoding"], head["data"], numbers, parts)

        select = f"SELECT part, parts, first, encoding, data FROM {self.table} WHERE key = ? ORDER BY part"
        return Query([statement(f"{select} LIMIT CAST(? AS INTEGER)", key, limit)], read)

    def read_parts(self, key: str, numbers: range) -> Query[dict[int, str]]:
        """Read further parts of an object."""
        select = f"SELECT part, data FROM {self.table} WHERE key = ? AND part >= ? AND part < ?"
        read = statement(select, key, numbers.start, numbers.stop)
        return Query([read], lambda answers: {row["part"]: row["data"] for row in answers[0]})

    def read_many(self, keys: Sequence[str]) -> Query[list[FirstPart]]:
        """Read the first parts of the objects of at most 100 keys."""
        marks = ", ".join("?" * len(keys))
        select = f"SELECT key, parts, encoding, data FROM {self.table} WHERE part = 0 AND key IN ({marks})"
        return rows_as(FirstPart, statement(select, *keys))

    def list_keys(self, prefix: str, after: str | None, limit: int) -> Query[list[KeySize]]:
        """List the next keys that begin with a prefix, in the order of code points.

        Args:
            prefix: How they begin; empty for all.
            after: The last key of the page before; None for the first page.
            limit: The most to answer.
        """
        start = "key >= ?" if after is None else "key > ?"
        until, end = _until("key", prefix)
        select = f"SELECT key, size FROM {self.table} WHERE part = 0 AND {start}{until} ORDER BY key"
        first = prefix if after is None else after
        return rows_as(KeySize, statement(f"{select} LIMIT CAST(? AS INTEGER)", first, *end, limit))

    # The index

    def scrub(self) -> Query[None]:
        """Clear the index's pages of deleted words, where SQLite has not done it by itself."""
        return unanswered(*self.without_deleted_words())

    def search(self, words: Sequence[str], prefix: str, limit: int) -> Query[list[KeyScore]]:
        """Find the objects that hold any of some words, best first; with an index alone.

        A word of three letters or more finds longer ones that begin with it too. In texts of which the index can't tell
        all words (see `unparted`), words are found inside others; the score is then the share of the words found.

        Args:
            words: Letters, digits and underscores, in small letters; at least one.
            prefix: How the keys begin; empty for all.
            limit: The most to answer.
        """
        name, texts = self.index_name, self.texts.table
        until, end = _until("s.key", prefix)
        held = "(SELECT count(*) FROM json_each(?) AS w WHERE instr(lower(s.text), w.value) > 0)"
        select = (
            f"SELECT key, max(score) AS score FROM (SELECT s.key AS key, -{name}.rank AS score FROM {name} "
            f"CROSS JOIN {texts} AS s ON s.id = {name}.rowid WHERE {name} MATCH ? AND s.key >= ?{until} UNION ALL "
            f"SELECT s.key, {held} * 1.0 / {len(words)} FROM {texts} AS s "
            f"WHERE s.key >= ?{until} AND {unparted('s.text')}) WHERE score > 0 "
            "GROUP BY key ORDER BY max(score) DESC, key LIMIT CAST(? AS INTEGER)"
        )
        indexed = (matching(words, "OR", prefix_from=3), prefix, *end)
        return rows_as(KeyScore, statement(select, *indexed, json.dumps(words), prefix, *end, limit))


def _until(column: str, prefix: str) -> tuple[str, tuple[str, ...]]:
    """The upper end of the keys that begin with a prefix."""
    end = after_prefix(prefix)
    return ("", ()) if end is None else (f" AND {column} < ?", (end,))


def _text(row: str) -> str:
    """SQL for what an object is found by: its name, less its extension, and what its first row holds of a text."""
    has_words = f"{row}encoding = 'text' AND NOT {is_sealed(f'{row}data')}"
    key, body = f"{row}key", f"CASE WHEN {has_words} THEN {row}data ELSE '' END"
    name = f"substr({key}, 1 + length(rtrim({key}, replace({key}, '/', ''))))"
    dot = "length(rtrim(name, replace(name, '.', '')))"  # `md` must not find each .md
    stem = f"CASE WHEN {dot} > 1 THEN substr(name, 1, {dot} - 1) ELSE name END"
    return f"(SELECT {stem} || char(10) || {body} FROM (SELECT {name} AS name))"
