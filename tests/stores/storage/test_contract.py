"""What Strands asks of a storage, and what of it is a request."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

import pytest

from strands_persql import PermissionDeniedError
from strands_persql.stores.storage import PerSQLStorage

from ...emulator import faults
from .conftest import Place
from .features import needs_storage

BINARY = bytes(range(256))


@needs_storage
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        BINARY,
        "Zoë 🚂 \u2028 \ufeff".encode(),
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"a\0b",
        b"\r\n\t\x1b[0m",
    ],
    ids=repr,
)
async def test_any_bytes_come_back_as_they_were(place: Place, value: bytes) -> None:
    """Text, binary, nothing, and what is only nearly text."""
    await place.storage().write("some/key", value)
    assert await place.storage().read("some/key") == value


@needs_storage
async def test_text_is_stored_as_text(place: Place) -> None:
    """A snapshot can be read with any SQLite tool; what is no text is base64."""
    storage = place.storage()
    await storage.write("a", '{"name": "Zoë"}'.encode())
    await storage.write("b", b"\xff\0")
    assert place.rows("key, part, parts, first, encoding, size, data") == [
        ("a", 0, 1, 0, "text", 16, '{"name": "Zoë"}'),
        ("b", 0, 1, 0, "base64", 2, "/wA="),
    ]


@needs_storage
async def test_the_last_write_counts_and_a_deletion_leaves_nothing(place: Place) -> None:
    """Overwriting, deleting, and deleting what isn't there."""
    storage = place.storage()
    await storage.write("k", b"one")
    await storage.write("k", b"two")
    assert await storage.read("k") == b"two"
    await storage.delete("k")
    await storage.delete("k")
    assert await storage.read("k") is None
    assert place.rows() == []


@needs_storage
async def test_nothing_is_created_by_looking(place: Place) -> None:
    """An empty database answers nothing, and stays empty."""
    database = place.database()
    storage = place.storage(database)
    assert await storage.read("k") is None
    assert await storage.list("") == []
    await storage.delete("k")
    assert len(database.requests) == 3
    await storage.write("other", b"")
    assert place.rows() == [("other", 0)]


@needs_storage
async def test_keys_are_listed_in_the_order_of_code_points(place: Place) -> None:
    """As Python sorts them, by any prefix: wildcards are letters, and case counts."""
    keys = ["a", "a/b", "a/c", "aa", "A", "a%", "a_", "é", "\uff5a", "🚂", "\U0010ffff/x", "\ud7ff", "\ue000"]
    storage = place.storage()
    for key in random.Random(1).sample(keys, len(keys)):
        await storage.write(key, b"x")
    assert await storage.list() == sorted(keys)
    for prefix in ["a", "a/", "A", "a%", "é", "🚂", "\U0010ffff", "\ud7ff", "b", "//a//"]:
        normalized = prefix.replace("//", "/").lstrip("/")
        assert await storage.list(prefix) == sorted(key for key in keys if key.startswith(normalized)), prefix


@needs_storage
async def test_long_lists_are_read_by_pages(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page begins after the last key of the one before."""
    monkeypatch.setattr("strands_persql.stores._objects.KEYS_A_PAGE", 3)
    database = local.database()
    storage = local.storage(database)
    keys = [f"k/{number}" for number in range(7)]
    for key in [*keys, "j", "l"]:
        await storage.write(key, b"x")
    database.requests.clear()
    assert await storage.list("k/") == keys
    assert len(database.requests) == 3


@needs_storage
@pytest.mark.parametrize("key", ["", "/", "///", "..", "a/../b", "a/..", "a\\b", "a\0b", "a\ud800", "k" * 4097])
async def test_keys_that_no_backend_takes_are_refused(local: Place, key: Any) -> None:
    """At once, with Strands' own error, and without a request."""
    from strands.types.exceptions import StorageError

    database = local.database()
    storage = local.storage(database)
    for call in (storage.write(key, b""), storage.read(key), storage.delete(key)):
        with pytest.raises(StorageError, match="key"):
            await call
    if key not in ("", "/", "///", "k" * 4097):
        with pytest.raises(StorageError, match="prefix"):
            await storage.list(key)
    assert database.requests == []


@needs_storage
@pytest.mark.parametrize("value", ["text", None, 5, {"a": 1}, [1]])
async def test_values_that_are_no_bytes_are_refused(local: Place, value: Any) -> None:
    """The error says what to do, and the value before stays."""
    from strands.types.exceptions import StorageError

    storage = local.storage()
    await storage.write("k", b"before")
    with pytest.raises(StorageError, match="encode"):
        await storage.write("k", value)
    assert await storage.read("k") == b"before"


@needs_storage
async def test_a_buffer_is_copied_when_it_is_written(local: Place) -> None:
    """What its owner changes while the write is under way is not written."""
    storage = local.storage()
    buffer: Any = bytearray(b"before")
    writing = asyncio.ensure_future(storage.write("k", buffer))
    await asyncio.sleep(0)
    buffer[:] = b"after!"
    await writing
    assert await storage.read("k") == b"before"


@needs_storage
async def test_a_namespace_sees_nothing_but_itself(place: Place) -> None:
    """Its keys have its prefix outside and none inside; namespaces nest, and those with one beginning don't meet."""
    from strands.storage.storage import _NAMESPACED

    storage = place.storage()
    acme, acme2 = storage.namespace("/tenants//acme/"), storage.namespace("tenants/acme2")
    await acme.write("/k/", b"1")
    await acme2.write("k", b"2")
    await acme.namespace("deep").write("k", b"3")
    assert await storage.list("") == ["tenants/acme/deep/k", "tenants/acme/k", "tenants/acme2/k"]
    assert await acme.list("") == ["deep/k", "k"]
    assert await acme.list("d") == ["deep/k"]
    await acme.delete("k")
    assert await acme2.read("k") == b"2"
    assert getattr(acme, "_namespaced") is _NAMESPACED  # noqa: B009
    assert not hasattr(storage, "_namespaced")
    assert await storage.namespace("").list("") == await storage.list("")


@needs_storage
async def test_it_is_a_storage_to_strands() -> None:
    """Its protocol, whatever this release's asks for."""
    from strands.storage import Storage

    from strands_persql import PerSQL

    with PerSQL(local=":memory:") as client:
        assert isinstance(PerSQLStorage(client.database("a/b")), Storage)


@needs_storage
async def test_the_database_s_error_is_the_cause(service: Place) -> None:
    """Strands' own error says which key and why, and the error of the database is its cause."""
    from strands.types.exceptions import StorageError

    storage = service.storage(service.database(role="readonly"))
    with pytest.raises(StorageError, match=r"Failed to write 'k': 403 .*readwrite") as caught:
        await storage.write("k", b"secret")
    assert isinstance(caught.value.__cause__, PermissionDeniedError)
    assert "secret" not in str(caught.value)


@needs_storage
async def test_a_token_that_may_not_create_tables_is_enough_later(service: Place) -> None:
    """Once the table is there; one that may only read can read."""
    await service.storage().write("k", b"1")
    await service.storage(service.database(role="readwrite")).write("k", b"2")
    assert await service.storage(service.database(role="readonly")).read("k") == b"2"


@needs_storage
async def test_no_ddl_where_none_is_wanted(place: Place) -> None:
    """`create_tables=False` is an error with a remedy, not a table."""
    from strands.types.exceptions import StorageError

    with pytest.raises(StorageError, match="admin token"):
        await place.storage(create_tables=False).write("k", b"")


@needs_storage
async def test_a_lost_answer_is_no_second_write(service: Place) -> None:
    """A retry is answered from the service's memory: the value that somebody wrote in between stays."""
    emulator = service.emulator
    assert emulator is not None
    storage = service.storage()
    await storage.write("k", b"first")
    emulator.reset()
    emulator.faults.next(faults.cut_after_commit())
    await storage.write("k", b"second")
    assert emulator.log[0].key == emulator.log[1].key
    assert emulator.log[1].replayed
    assert await storage.read("k") == b"second"


@needs_storage
async def test_one_request_each(service: Place) -> None:
    """Writing, reading, listing and deleting a value of one row: one request and one transaction each."""
    storage = service.storage()
    await storage.write("k", b"first")
    emulator = service.emulator
    assert emulator is not None
    for call in (storage.write("k", b"x" * 999_999), storage.read("k"), storage.list(""), storage.delete("k")):
        emulator.reset()
        await call
        assert [(record.verb, record.transaction) for record in emulator.log] == [("batch", True)]


@needs_storage
def test_awaitable_handles_and_bad_prefixes_are_refused_at_once() -> None:
    """By the constructor, before anything is stored."""
    from strands_persql import PerSQL

    with pytest.raises(TypeError, match="query"):
        PerSQLStorage(object())  # type: ignore[arg-type]
    with PerSQL(local=":memory:") as client:
        database = client.database("a/b")
        with pytest.raises(ValueError, match="table_prefix"):
            PerSQLStorage(database, table_prefix="drop table")
        with pytest.raises(ValueError, match="one of them"):
            PerSQLStorage(database, index=True, search_strategy=object())  # type: ignore[arg-type]


def test_an_older_strands_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module can be imported, and the class says which release it needs."""
    from strands_persql import PerSQL

    monkeypatch.setitem(sys.modules, "strands.storage", None)
    with PerSQL(local=":memory:") as client, pytest.raises(ImportError, match=r"strands-agents>=1\.48"):
        PerSQLStorage(client.database("a/b"))
