"""Free objects and memories, moved from clear to encrypted and back, while agents use them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from strands.types.session import Session, SessionType

from strands_persql import (
    Encryption,
    EncryptionError,
    PerSQL,
    PerSQLMemoryStore,
    PerSQLSessionRepository,
    PerSQLSessions,
    PerSQLStorage,
)
from strands_persql.administration.encrypting import Stored
from strands_persql.database.tables import Encoded, ObjectTables, memory_id
from strands_persql.encryption import generate_key
from strands_persql.stores import Objects

from ..emulator.faults import cut_after_commit
from .memory.features import needs_memory
from .storage.features import needs_storage

KEY = Encryption({"one": generate_key()})
SECRET = "CANARYTEXT"
VALUES = {
    "a/small": SECRET.encode(),
    "b/binary": b"\x00\xff" + SECRET.encode(),
    "c/empty": b"",
    "d/long": (SECRET * 110_000).encode(),
    "context/s/scopes/agent/x": SECRET.encode(),
}


STORES: list[Stored] = ["objects", "memories"]


class File:
    """A database file.

    Attributes:
        path: The file.
        database: A handle.
        sessions: With the key.
    """

    def __init__(self, path: Path, client: PerSQL) -> None:
        self.path = path
        self.database = client.database("test/moving")
        self.sessions = PerSQLSessions(self.database, encryption=KEY)

    def objects(self, encryption: Encryption | None, **options: Any) -> PerSQLStorage:
        """The storage of no session."""
        return PerSQLStorage(self.database, encryption=encryption, **options)

    def memories(self, encryption: Encryption | None, scope: str = "ada") -> PerSQLMemoryStore:
        """A store of memories."""
        return PerSQLMemoryStore(self.database, name="facts", scope=scope, writable=True, encryption=encryption)

    def fill(self) -> None:
        """Write all objects in clear."""
        for key, value in VALUES.items():
            asyncio.run(self.objects(None, index=True).write(key, value))

    def holds(self, text: str = SECRET) -> bool:
        """Whether a text stands anywhere in the file as SQL."""
        connection = sqlite3.connect(self.path)
        try:
            return text in "\n".join(connection.iterdump())
        finally:
            connection.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    """A new one."""
    with PerSQL(local=str(tmp_path / "moving.db")) as client:
        yield File(tmp_path / "moving.db", client)


def all_of(storage: PerSQLStorage) -> dict[str, bytes | None]:
    """What a storage holds."""
    return {key: asyncio.run(storage.read(key)) for key in asyncio.run(storage.list())}


@needs_storage
def test_objects_there_and_back(file: File) -> None:
    """All values stay what they are; without the key none is read; the index of words has none of them."""
    file.fill()
    asyncio.run(PerSQLStorage(file.database, session_id="s").write("own", SECRET.encode()))
    assert file.sessions.encrypt_store("objects") == len(VALUES)
    assert file.sessions.encrypt_store("objects") == 0
    for key, value in VALUES.items():
        assert asyncio.run(file.objects(KEY).read(key)) == value
        with pytest.raises(Exception, match="is encrypted, and no key was given"):
            asyncio.run(file.objects(None).read(key))
    assert asyncio.run(PerSQLStorage(file.database, session_id="s").read("own")) == SECRET.encode()
    asyncio.run(PerSQLStorage(file.database, session_id="s").delete("own"))
    assert not file.holds()
    file.sessions.rotate()
    assert file.sessions.decrypt_store("objects") == len(VALUES)
    assert file.sessions.decrypt_store("objects") == 0
    assert all_of(file.objects(None)) == VALUES
    found = asyncio.run(file.objects(None, index=True).search(SECRET.lower()))
    assert {each.key for each in found} >= {"a/small", "d/long"}


@needs_storage
def test_nothing_is_left_in_the_closed_file(tmp_path: Path) -> None:
    """What was in clear is gone from the file's bytes."""
    with PerSQL(local=str(tmp_path / "a.db")) as client:
        made = File(tmp_path / "a.db", client)
        made.fill()
        made.sessions.encrypt_store("objects")
    assert SECRET.encode() not in (tmp_path / "a.db").read_bytes()


@needs_storage
def test_an_object_written_meanwhile(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes between the reading and the writing of a move is not written over; nor is a deletion undone."""
    file.fill()
    unchanged = ObjectTables.unchanged
    newer = {"a/small": b"newer", "d/long": VALUES["d/long"] + b"longer"}

    def meanwhile(self: Any, key: str, rows: Any) -> Any:
        made = unchanged(self, key, rows)
        if key in newer:
            asyncio.run(file.objects(None).write(key, newer.pop(key)))
        if key == "b/binary":
            asyncio.run(file.objects(None).delete(key))
        return made

    monkeypatch.setattr(ObjectTables, "unchanged", meanwhile)
    assert file.sessions.encrypt_store("objects") == len(VALUES) - 1
    stored = file.objects(KEY)
    assert asyncio.run(stored.read("a/small")) == b"newer"
    assert asyncio.run(stored.read("b/binary")) is None
    assert asyncio.run(stored.read("d/long")) == VALUES["d/long"] + b"longer"


@needs_storage
def test_objects_are_gone_on_with(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off after each object, it goes on."""
    file.fill()
    put, left = ObjectTables.put, 0

    def failing(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return put(self, *args, **options)

    monkeypatch.setattr(ObjectTables, "put", failing)
    for _ in range(len(VALUES) - 1):
        left = 1
        with pytest.raises(KeyboardInterrupt):
            file.sessions.encrypt_store("objects")
    monkeypatch.setattr(ObjectTables, "put", put)
    assert file.sessions.encrypt_store("objects") == 1
    assert {key: asyncio.run(file.objects(KEY).read(key)) for key in VALUES} == VALUES


@needs_memory
def test_memories_there_and_back(file: File) -> None:
    """All scopes, with their metadata and times; none doubled; the index has no word of them, and later has them."""
    for scope in ("ada", "bob"):
        for number in range(3):
            asyncio.run(file.memories(None, scope).add(f"{SECRET} number {number}", {"n": SECRET}))
    before = {scope: _memories(file, None, scope) for scope in ("ada", "bob")}
    assert file.sessions.encrypt_store("memories") == 6
    assert file.sessions.encrypt_store("memories") == 0
    assert not file.holds()
    assert not file.holds(SECRET.lower())
    for scope, memories in before.items():
        assert _memories(file, KEY, scope) == memories
        with pytest.raises(EncryptionError, match="no key was given"):
            _memories(file, None, scope)
    asyncio.run(file.memories(KEY).add(f"{SECRET} number 1"))  # is there already
    assert len(_memories(file, KEY, "ada")) == 3
    assert file.sessions.decrypt_store("memories") == 6
    assert {scope: _memories(file, None, scope) for scope in before} == before
    found = asyncio.run(file.memories(None).search("number"))
    assert len(found) == 3


def _memories(file: File, encryption: Encryption | None, scope: str) -> list[tuple[Any, ...]]:
    page = asyncio.run(file.memories(encryption, scope).list_memories())
    return sorted((each.content, str(each.metadata), each.created_at) for each in page.memories)


class Overtaken:
    """A handle before whose first write to memories something else is done."""

    def __init__(self, database: Any, first: Callable[[], object]) -> None:
        self._database, self._first = database, first

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._database.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        if "INTO strands_memories " in statements[0]["sql"]:
            first, self._first = self._first, lambda: None
            first()
        return self._database.batch(statements, transaction=transaction)


@needs_memory
def test_a_memory_that_is_forgotten_meanwhile(file: File) -> None:
    """It stays forgotten."""
    memories = file.memories(None)
    ids = [asyncio.run(memories.add(f"{SECRET} {number}")) for number in range(3)]
    database = Overtaken(file.database, lambda: asyncio.run(memories.forget(ids[0])))
    PerSQLSessions(database, encryption=KEY).encrypt_store("memories")
    assert [each[0] for each in _memories(file, KEY, "ada")] == [f"{SECRET} 1", f"{SECRET} 2"]
    assert not file.holds()


@needs_memory
def test_two_who_move_memories_at_once(file: File) -> None:
    """Each memory is there once, whoever comes second."""
    for number in range(100):
        asyncio.run(file.memories(None).add(f"{SECRET} {number}"))
    for move in (PerSQLSessions.encrypt_store, PerSQLSessions.decrypt_store):
        database = Overtaken(file.database, partial(move, file.sessions, "memories"))
        move(PerSQLSessions(database, encryption=KEY), "memories")
        key = KEY if move is PerSQLSessions.encrypt_store else None
        assert len({each[0] for each in _memories(file, key, "ada")}) == 100
    assert file.database.query("SELECT count(*) AS n FROM strands_memories")["data"] == [{"n": 100}]


@needs_memory
@pytest.mark.parametrize("scope", ["ada", "bob"])
def test_a_memory_whose_new_id_is_taken(file: File, scope: str) -> None:
    """By another one of its scope, or in the index by one of another's: it gets a further id, and both are there."""
    asyncio.run(file.memories(KEY).add(SECRET))
    file.database.query(
        "INSERT INTO strands_memories VALUES ('facts', ?, ?, 'other', 'other', NULL, '2025-01-01T00:00:00+00:00')",
        [scope, memory_id("facts", "ada", SECRET)],
    )
    asyncio.run(file.memories(None).search("other"))  # makes the index
    assert file.sessions.decrypt_store("memories") == 1
    contents = sorted(each[0] for name in {"ada", scope} for each in _memories(file, None, name))
    assert contents == [SECRET, "other"]


@needs_memory
@pytest.mark.parametrize("number", range(1, 13))
def test_an_answer_that_was_lost(emulator: Any, number: int) -> None:
    """No memory goes, whichever request was carried out although no key replays its answer."""
    database = emulator.database()
    asyncio.run(PerSQLMemoryStore(database, name="m", scope="ada").add(SECRET))
    sessions = PerSQLSessions(database, encryption=KEY)
    for move, key in ((sessions.encrypt_store, KEY), (sessions.decrypt_store, None)):
        emulator.reset()
        emulator.faults.at(number, cut_after_commit(cached=False))
        move("memories")
        emulator.reset()
        store = PerSQLMemoryStore(database, name="m", scope="ada", encryption=key)
        assert [each.content for each in asyncio.run(store.list_memories()).memories] == [SECRET]


@needs_storage
@pytest.mark.parametrize("number", range(1, 20))
@pytest.mark.parametrize("length", [1, 6, 9])
def test_an_answer_that_was_lost_of_an_object(
    emulator: Any, monkeypatch: pytest.MonkeyPatch, length: int, number: int
) -> None:
    """No part of a value goes that is stored already, whichever request was carried out though no key replays it."""
    whole = Encoded.of
    monkeypatch.setattr(Encoded, "of", lambda value: whole(value, part_bytes=10))
    database, value = emulator.database(), SECRET.encode() * length
    asyncio.run(PerSQLStorage(database).write("k", value))
    sessions = PerSQLSessions(database, encryption=KEY)
    for move, key in ((sessions.encrypt_store, KEY), (sessions.decrypt_store, None)):
        emulator.reset()
        emulator.faults.at(number, cut_after_commit(cached=False))
        move("objects")
        emulator.reset()
        assert asyncio.run(PerSQLStorage(database, encryption=key).read("k")) == value


def test_refusals(file: File) -> None:
    """No key, another one, and what is no store are told, and nothing is changed. Of nothing, nothing moves."""
    with pytest.raises(EncryptionError, match="need the key"):
        PerSQLSessions(file.database).encrypt_store("objects")
    with pytest.raises(ValueError, match="objects, memories"):
        file.sessions.encrypt_store("sessions")  # type: ignore[arg-type]
    for name in STORES:
        assert file.sessions.decrypt_store(name) == 0
        assert file.sessions.encrypt_store(name) == 0
    other = PerSQLSessions(file.database, encryption=Encryption({"two": generate_key()}))
    for name in STORES:
        with pytest.raises(EncryptionError, match=f"The store '{name}' .* not among the keys given"):
            other.encrypt_store(name)


class Cut:
    """A handle that is killed before one of its requests."""

    def __init__(self, database: Any, before: int) -> None:
        self._database, self._left = database, before

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._database.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt
        return self._database.batch(statements, transaction=transaction)


@needs_storage
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("key", ["k", "sessions/s/k"])
def test_what_a_broken_off_write_left_is_not_left_in_clear(
    file: File, monkeypatch: pytest.MonkeyPatch, key: str, is_there: bool
) -> None:
    """Neither of an object that is there, nor of one that never was."""
    whole = Encoded.of
    monkeypatch.setattr(Encoded, "of", lambda value: whole(value, part_bytes=10))
    repository = PerSQLSessionRepository(file.database)
    repository.create_session(Session(session_id="s", session_type=SessionType.AGENT))
    objects = Objects(file.database, "strands_")
    objects.write("other", b"o")
    if is_there:
        objects.write(key, b"old" * 10)
    with pytest.raises(KeyboardInterrupt):
        Objects(Cut(file.database, 3), "strands_").write(key, SECRET.encode() * 20)
    assert file.holds()
    if key == "k":
        file.sessions.encrypt_store("objects")
    else:
        file.sessions.encrypt("s")
    assert not file.holds()
    free = PerSQLStorage(file.database, encryption=KEY)
    assert asyncio.run(free.read(key)) == (b"old" * 10 if is_there else None)


@needs_storage
def test_an_object_that_came_in_clear_into_an_encrypted_session(file: File) -> None:
    """Encrypting the session once more encrypts it."""
    repository = PerSQLSessionRepository(file.database)
    repository.create_session(Session(session_id="s", session_type=SessionType.AGENT))
    file.sessions.encrypt("s")
    asyncio.run(PerSQLStorage(file.database, session_id="s").write("k", SECRET.encode()))
    file.sessions.encrypt("s")
    assert not file.holds()
    assert asyncio.run(PerSQLStorage(file.database, session_id="s", encryption=KEY).read("k")) == SECRET.encode()
