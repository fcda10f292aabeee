"""A database copied into a file while agents use it."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from strands_persql import (
    Encryption,
    PerSQL,
    PerSQLError,
    PerSQLMemoryStore,
    PerSQLSessionManager,
    PerSQLSessions,
    PerSQLStorage,
    SessionConflictError,
    SessionDataError,
)
from strands_persql.client import is_open
from strands_persql.encryption import generate_key
from strands_persql.testing import stored_rows

from ...agents.agents import agent_of
from ...agents.harness import Request
from ...agents.scripted import ScriptedModel, text
from ...stores.memory.features import needs_memory
from ...stores.storage.features import needs_storage
from .conftest import Place


def rows(database: Any) -> Any:
    """All that is stored of sessions, but for the revisions of rows, which each database counts by itself."""
    tables = stored_rows(database, mask=False)
    return {name: [{**row, "revision": None} for row in found] for name, found in tables.items()}


def test_a_copy_has_every_session(place: Place, tmp_path: Path) -> None:
    """Of a file and of the service; for its owner alone; an earlier copy is replaced; an agent goes on in each."""
    agent = place.agent("s", text("one"), text("two"), text("x" * 100_000))
    agent("hello")
    target = tmp_path / "backups" / "copy.db"
    place.sessions.backup(target)
    agent("again")
    agent("long")
    place.agent("other", text("fine"))("hello")
    place.sessions.backup(target)
    with PerSQL(local=target) as client:
        copy = client.database("any/name")
        assert rows(copy) == rows(place.database)
        again = agent_of(ScriptedModel([text("in the copy")]))(PerSQLSessionManager("s", copy))
        assert again.messages == agent.messages
        again("go on")
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    if os.name == "posix":
        assert [stat.S_IMODE(path.stat().st_mode) for path in (target, target.parent)] == [0o600, 0o700]


KEYS = {
    "sessions": "session_id", "agents": "session_id, agent_id", "messages": "session_id, agent_id, message_id",
    "multi_agents": "session_id, multi_agent_id", "objects": "key, part", "memories": "name, scope, id",
    "chunks": "session_id, kind, owner, message_id, generation, part", "schema": "version",
}  # fmt: skip


def tables(database: Any, prefix: str = "strands_") -> dict[str, list[Any]]:
    """Each row of each table, as it is."""
    select = "SELECT * FROM {}{} ORDER BY {}"
    return {name: database.query(select.format(prefix, name, key))["data"] for name, key in KEYS.items()}


def filled(place: Place, prefix: str = "strands_") -> Any:
    """A database with something in each of the tables; a message of three versions, in parts."""
    database = place.store.database()
    agent = agent_of(ScriptedModel([text("one"), text("two"), text("x" * 2_500_000)]))(
        PerSQLSessionManager("s", database, table_prefix=prefix)
    )
    agent("hello")
    agent.messages[0]["content"][0]["text"] = "cut"
    agent("y" * 1_200_000)
    agent("long")
    database.query(f"INSERT INTO {prefix}multi_agents VALUES ('s', 'graph', 7, '', '{{}}')")
    for number in range(60):
        database.query(
            f"INSERT INTO {prefix}messages VALUES ('many', 'default', ?, ?, NULL)", [number, '{"a":"\\u0000ü"}']
        )
    for session_id, key, size in (("s", "of/session", 10), (None, "free", 3_500_000), (None, "bytes", 0)):
        storage = PerSQLStorage(database, session_id=session_id, table_prefix=prefix)
        asyncio.run(storage.write(key, b"z" * size or b"\xff\x00"))
    memories = PerSQLMemoryStore(database, name="facts", scope="ada", table_prefix=prefix)
    for content in ("green tea", "nul \0 inside", "茶"):
        asyncio.run(memories.add(content, {"a": 1}))
    return database


@pytest.mark.slow
@needs_memory
@needs_storage
@pytest.mark.parametrize("prefix", ["strands_", "other_"])
def test_a_copy_has_every_row(remote: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """Of the service's database: sessions, objects of them and of none, memories; row by row, in pages; for use."""
    monkeypatch.setattr("strands_persql.database.tables._backup.VERSIONS_AT_ONCE", 2)
    monkeypatch.setattr("strands_persql.database.tables._backup.PAGE_BYTES", 1_000_000)
    database = filled(remote, prefix)
    PerSQLSessions(remote.database, table_prefix=prefix).backup(tmp_path / "copy.db")
    with PerSQL(local=tmp_path / "copy.db") as client:
        copy = client.database("any/name")
        assert tables(copy, prefix) == tables(database, prefix)
        assert all(tables(copy, prefix).values())
        facts = PerSQLMemoryStore(copy, name="facts", scope="ada", table_prefix=prefix)
        assert [entry.content for entry in asyncio.run(facts.search("teas"))] == ["green tea"]
        again = agent_of(ScriptedModel([text("in the copy")]))(PerSQLSessionManager("s", copy, table_prefix=prefix))
        assert len(again.messages) == 6 and len(str(again.messages[5])) > 2_500_000
        again("go on")


@pytest.mark.slow
def test_a_copy_of_what_is_written_meanwhile(remote: Place, tmp_path: Path) -> None:
    """What changes between two pages is read again; where it changes all the time, no copy is made."""
    remote.agent("s", text("one"))("hello")
    remote.agent("t", text("one"))("x" * 1_200_000)
    database = remote.store.database()
    changes = [
        "UPDATE strands_agents SET revision = revision + 1 WHERE session_id = 's'",
        "UPDATE strands_sessions SET user = 'ada', title = 'Tea' WHERE session_id = 's'",
        "UPDATE strands_chunks SET generation = 'new' WHERE session_id = 't'",
        "DELETE FROM strands_sessions WHERE session_id = 't'",
        "DELETE FROM strands_agents WHERE session_id = 't'",
    ]

    def change(request: Request) -> None:
        if changes and "FROM strands_messages" in request.statements[0][0]:
            database.query(changes.pop(0))

    remote.database.on_call = change
    remote.sessions.backup(tmp_path / "copy.db")
    assert not changes
    with PerSQL(local=tmp_path / "copy.db") as client:
        copy = client.database("any/name")
        for name in ("sessions", "agents", "messages", "chunks"):
            select = f"SELECT * FROM strands_{name} ORDER BY {KEYS[name]}"
            assert copy.query(select)["data"] == database.query(select)["data"], name
    (tmp_path / "copy.db").unlink()
    changes += ["UPDATE strands_agents SET revision = revision + 1 WHERE session_id = 's'"] * 100
    with pytest.raises(SessionConflictError, match="written to all the time"):
        remote.sessions.backup(tmp_path / "copy.db")
    assert changes and not [*tmp_path.glob("*copy*"), *tmp_path.glob(".copy*")]


@needs_storage
def test_a_copy_of_what_is_encrypted_meanwhile(remote: Place, tmp_path: Path) -> None:
    """It has the key of a store that is encrypted for the first time while it is copied."""
    encryption, database = Encryption(generate_key()), remote.store.database()
    asyncio.run(PerSQLStorage(database).write("doc", b"text"))
    sessions = PerSQLSessions(database, encryption=encryption)

    def encrypt(request: Request) -> None:
        if "FROM strands_objects" in request.statements[0][0]:
            remote.database.on_call = None
            assert sessions.encrypt_store("objects") == 1

    remote.database.on_call = encrypt
    remote.sessions.backup(tmp_path / "copy.db")
    with PerSQL(local=tmp_path / "copy.db") as client:
        copy = PerSQLStorage(client.database("any/name"), encryption=encryption)
        assert asyncio.run(copy.read("doc")) == b"text"


@pytest.mark.slow
def test_a_copy_that_is_broken_off_leaves_nothing(remote: Place, tmp_path: Path) -> None:
    """Whatever request fails: no file is left, and an earlier copy stays as it was."""
    remote.agent("s", text("one"))("hello")
    target = tmp_path / "copies" / "copy.db"
    failed = 0
    for number in range(1, 40):
        remote.database.clear()
        remote.database.fail_next(number)
        try:
            remote.sessions.backup(target)
        except PerSQLError:
            failed += 1
            assert [*target.parent.iterdir()] == []
        else:
            break
        finally:
            remote.database.heal()
    assert failed > 8
    before = target.read_bytes()
    remote.database.fail_next(3)
    with pytest.raises(PerSQLError):
        remote.sessions.backup(target)
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"] and target.read_bytes() == before


def test_a_local_copy_is_the_whole_database(tmp_path: Path) -> None:
    """Tables of others too; of a file, of which nothing is locked meanwhile, and of memory."""
    for local in (str(tmp_path / "agents.db"), ":memory:"):
        with PerSQL(local=local) as client:
            database = client.database("acme/a")
            database.query("CREATE TABLE own (a)")
            database.query("INSERT INTO own VALUES ('mine')")
            PerSQLSessions(database).backup(tmp_path / "copy.db")
        with PerSQL(local=tmp_path / "copy.db") as client:
            assert client.database("acme/a").query("SELECT a FROM own")["data"] == [{"a": "mine"}]


def test_places_where_no_copy_goes(tmp_path: Path) -> None:
    """Nothing is written over a database in use, a folder, or through a link; and a copy that fails leaves nothing.

    Nor over a file that is no database's, or the database itself, which is not open yet.
    """
    with PerSQL(local=tmp_path / "agents.db") as client, PerSQL(local=tmp_path / "other.db") as other:
        sessions = PerSQLSessions(client.database("acme/a"))
        client.database("acme/a").query("CREATE TABLE own (a)")
        other.database("acme/a").query("CREATE TABLE own (a)")
        (tmp_path / "link.db").symlink_to(tmp_path / "notes.txt")
        (tmp_path / "notes.md").write_text("# Notes", encoding="utf-8")
        (tmp_path / "empty.db").touch()
        for name in ("agents.db", "other.db", "link.db", "notes.md", ""):
            with pytest.raises(ValueError, match=r"Name a(nother|) (new )?file"):
                sessions.backup(tmp_path / name)
        sessions.backup(tmp_path / "empty.db")  # as SQLite has it, an empty file is an empty database
    with PerSQL(local=tmp_path / "agents.db") as client, pytest.raises(ValueError, match=r"in use. Name another"):
        PerSQLSessions(client.database("acme/a")).backup(tmp_path / "agents.db")
    assert (tmp_path / "notes.md").read_text(encoding="utf-8") == "# Notes"
    (tmp_path / "damaged.db").write_text("no database " * 100, encoding="utf-8")
    with PerSQL(local=tmp_path / "damaged.db") as client, pytest.raises(PerSQLError):
        PerSQLSessions(client.database("acme/a")).backup(tmp_path / "copy.db")
    assert {path.name for path in tmp_path.iterdir()} == {
        "agents.db",
        "damaged.db",
        "empty.db",
        "link.db",
        "notes.md",
        "other.db",
    }


def test_an_open_database_is_not_read_as_a_file(tmp_path: Path) -> None:
    """An import says what to pass instead; closing a descriptor of the file would drop its locks."""
    path = tmp_path / "agents.db"
    with PerSQL(local=path) as client, PerSQL(local=tmp_path / "other.db") as other:
        PerSQLSessions(client.database("acme/a")).list()
        assert is_open(str(path))
        with pytest.raises(SessionDataError, match=r"this process has open.*PerSQLSessions"):
            PerSQLSessions(other.database("acme/a")).import_from(path)
    assert not is_open(str(path))
