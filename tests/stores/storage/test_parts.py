"""Values of more than one row, and what happens between the requests that write and read them."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from strands_persql.database.tables import Encoded, after_prefix, decoded
from strands_persql.stores._objects import Objects

from ...emulator.faults import cut_after_commit
from .conftest import Place
from .features import needs_storage

pytestmark = needs_storage

MEGABYTE = 1_000_000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 8 bytes in the place of a megabyte: 4 of them are a request's."""
    whole = Encoded.of
    monkeypatch.setattr(Encoded, "of", lambda value: whole(value, part_bytes=8))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "wide", "binary"])
async def test_values_about_the_limits(service: Place, kind: str) -> None:
    """One byte less, just so and one more: each is written and read in as few requests as its parts allow."""
    emulator = service.emulator
    assert emulator is not None
    storage = service.storage()
    await storage.write("k", b"")
    whole = 750_000 if kind == "binary" else MEGABYTE
    for size, requests in ((whole - 2, 1), (whole, 1), (whole + 2, 1), (4 * whole, 1), (4 * whole + 2, 2)):
        value = {"text": b"x" * size, "wide": "é".encode() * (size // 2), "binary": b"\xff\0" * (size // 2)}[kind]
        emulator.reset()
        await storage.write("k", value)
        assert emulator.requests == requests, size
        emulator.reset()
        assert await storage.read("k") == value, size
        assert emulator.requests == requests, size
    await storage.write("k", b"short")
    assert service.rows() == [("k", 0)]


async def test_ten_megabytes_of_anything(local: Place) -> None:
    """Whole, and gone whole."""
    value = os.urandom(10 * MEGABYTE)
    storage = local.storage()
    await storage.write("k", value)
    assert await storage.read("k") == value
    assert max(size for (size,) in local.rows("length(CAST(data AS BLOB))")) <= MEGABYTE
    await storage.delete("k")
    assert local.rows() == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("length", [9, 60, 200])
async def test_a_reader_never_sees_two_values_at_once(place: Place, length: int) -> None:
    """Between any two requests of a write the value before is there, whole."""
    writing = place.database()
    reader = Objects(place.database(), "strands_")
    storage = place.storage(writing)
    old, new = b"a" * length, b"b" * length
    await storage.write("k", old)
    writing.requests.clear()
    seen: list[bytes | None] = []
    writing.before = lambda number: seen.append(reader.read("k"))
    await storage.write("k", new)
    assert seen == [old] * len(writing.requests)
    assert reader.read("k") == new
    assert len(place.rows()) == len(Encoded.of(new).parts)


@pytest.mark.usefixtures("small")
async def test_a_value_that_is_replaced_while_it_is_read_is_read_again(place: Place) -> None:
    """The reader gets one of the two, never a mixture."""
    reading = place.database()
    other = Objects(place.database(), "strands_")
    other.write("k", b"a" * 200)
    reading.after = lambda number: other.write("k", b"b" * 150) if number == 1 else None
    assert await place.storage(reading).read("k") == b"b" * 150


@pytest.mark.usefixtures("small")
async def test_of_two_writers_of_a_long_value_the_last_one_wins(place: Place) -> None:
    """The other's whole write in the midst of one takes nothing of it away."""
    writing = place.database()
    other = Objects(place.database(), "strands_")
    storage = place.storage(writing)
    await storage.write("k", b"old" * 60)
    writing.requests.clear()
    writing.before = lambda number: other.write("k", b"other" * number * 10)
    await storage.write("k", b"mine" * 60)
    writing.before = lambda number: None
    assert await storage.read("k") == b"mine" * 60
    assert len(place.rows()) == len(Encoded.of(b"mine" * 60).parts)


@pytest.mark.usefixtures("small")
async def test_a_deletion_in_the_midst_of_a_write_makes_it_begin_again(place: Place) -> None:
    """The parts that went with it are written anew: the value is whole."""
    writing = place.database()
    other = Objects(place.database(), "strands_")
    storage = place.storage(writing)
    await storage.write("k", b"old")
    writing.requests.clear()
    writing.before = lambda number: other.delete("k") if number == 2 else None
    await storage.write("k", b"mine" * 30)
    assert await storage.read("k") == b"mine" * 30
    assert len(place.rows()) == len(Encoded.of(b"mine" * 30).parts)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("number", range(1, 6))
async def test_a_value_whose_answer_was_lost_is_whole_all_the_time(service: Place, number: int) -> None:
    """Whichever request was carried out though no key replays it: a reader finds the old value or the new one."""
    emulator = service.emulator
    assert emulator is not None
    reader = Objects(service.database(), "strands_")
    writing = service.database()
    old, new = b"a" * 100, b"b" * 100
    await service.storage().write("k", old)
    seen: set[bytes | None] = set()
    writing.before = lambda at: seen.add(reader.read("k")) if at > number else None
    emulator.reset()
    emulator.faults.at(number, cut_after_commit(cached=False))
    await service.storage(writing).write("k", new)
    assert seen <= {old, new}
    assert reader.read("k") == new


@pytest.mark.usefixtures("small")
async def test_what_a_broken_off_write_leaves_is_removed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees it; a write removes it after an hour, a deletion at once."""
    from strands.types.exceptions import StorageError

    writing = place.database()
    storage = place.storage(writing)
    await storage.write("k", b"old")

    def break_off(number: int) -> None:
        if number == 3:
            raise ConnectionError

    async def broken() -> None:
        writing.requests.clear()
        writing.before = break_off
        with pytest.raises(StorageError, match="ConnectionError"):
            await storage.write("k", b"mine" * 30)
        writing.before = lambda number: None

    await broken()
    assert await storage.read("k") == b"old"
    left = len(place.rows())
    assert left > 1
    await storage.write("k", b"soon")
    assert len(place.rows()) == left
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3700)
    await storage.write("k", b"later")
    assert place.rows() == [("k", 0)]
    await broken()
    await storage.delete("k")
    assert place.rows() == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM strands_objects WHERE part > 0",
        "UPDATE strands_objects SET parts = 9007199254740991 WHERE part = 0",
        "UPDATE strands_objects SET encoding = 'zip' WHERE part = 0",
        "UPDATE strands_objects SET encoding = 'base64' WHERE part = 0",
    ],
)
async def test_a_damaged_value_is_an_error_that_names_it(place: Place, harm: str) -> None:
    """And not a wrong value; the others are as they were, and writing it anew mends it."""
    from strands.types.exceptions import StorageError

    storage = place.storage()
    await storage.write("k", b"a: value! " * 20)
    with place.sqlite() as connection:
        connection.execute(harm)
    with pytest.raises(StorageError, match=r"read 'k'.*strands_objects.*Write it anew"):
        await storage.read("k")
    await storage.write("k", b"mended")
    assert await storage.read("k") == b"mended"


@pytest.mark.usefixtures("small")
async def test_many_writers_of_one_key(place: Place) -> None:
    """Whatever is read, now or at the end, is what one of them wrote."""
    storages = [place.storage() for _ in range(4)]
    values = {bytes([65 + number]) * (40 * number + 5) for number in range(8)}
    await storages[0].write("k", min(values))
    *_, first, second = await asyncio.gather(
        *(storages[at % 4].write("k", value) for at, value in enumerate(values)),
        *(storage.read("k") for storage in storages),
    )
    assert {first, second, await storages[0].read("k")} <= values


@pytest.mark.usefixtures("small")
async def test_a_reader_among_many_writers(place: Place) -> None:
    """Each time it asks for the rest of a value, another one stands there: it is read as soon as one stays."""
    database = place.database()
    reader = Objects(database, "strands_")
    writer = Objects(place.database(), "strands_")
    writer.write("k", b"x" * 80)
    written: list[bytes] = []

    def write(number: int) -> None:
        if number % 2 == 0 and len(written) < 15:
            written.append(bytes([65 + number]) * 80)
            writer.write("k", written[-1])

    database.before = write
    assert reader.read("k") == written[-1]
    assert len(written) == 15


@pytest.mark.parametrize("part_bytes", [4, 5, 7, 8, 100])
@pytest.mark.parametrize("value", ["🚂é日a" * 7, b"\xff" * 31, b"\0", b"", b"abc", b"abcd", b"abcde"], ids=repr)
def test_parts_are_within_their_size(value: Any, part_bytes: int) -> None:
    """No part is longer than its limit, and together they are the value."""
    raw = value.encode() if isinstance(value, str) else value
    encoded = Encoded.of(raw, part_bytes=part_bytes)
    assert max(len(part.encode()) for part in encoded.parts) <= part_bytes
    assert decoded(encoded.encoding, encoded.parts) == raw
    assert encoded.size == len(raw)


def test_sqlite_orders_keys_as_the_ranges_of_prefixes_take_it(tmp_path: Path) -> None:
    """`after_prefix` is above all that begin with it and not above anything else."""
    with sqlite3.connect(tmp_path / "x.db") as connection:
        for prefix in ("a", "a/", "\ud7ff", "é", "\U0010ffff", "a\U0010ffff", "🚂"):
            end = after_prefix(prefix)
            above = prefix + "\U0010ffff" * 3
            if end is not None:
                assert connection.execute("SELECT ? < ?, ? >= ?", (above, end, end, prefix)).fetchone() == (1, 1)
                assert not end.startswith(prefix)
    connection.close()
