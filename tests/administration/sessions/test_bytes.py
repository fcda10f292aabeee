"""What was erased, redacted or deleted is gone from the bytes of the closed file, too."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands import Agent

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessionRepository, PerSQLSessions
from strands_persql.stores._objects import Objects

from ...agents.scripted import ScriptedModel, redact_user

SESSIONS, TURNS = 6, 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 6])
def test_no_page_keeps_what_is_gone(tmp_path: Path, seed: int) -> None:
    """Where many sessions write by turns, SQLite moves rows between pages, and leaves copies (with these seeds)."""
    chance = random.Random(seed)
    path = tmp_path / "agents.db"
    client = PerSQL(local=path)
    database = client.database("acme/a")
    sessions = PerSQLSessions(database)
    sessions.enable_search()
    models = [ScriptedModel([]) for _ in range(SESSIONS)]
    agents = [
        Agent(model=model, session_manager=PerSQLSessionManager(f"s{number}", database), callback_handler=None)
        for number, model in enumerate(models)
    ]
    erased: list[tuple[str, int]] = []
    kept = 0
    turns = [0] * SESSIONS
    for turn in range(TURNS):
        number = chance.randrange(SESSIONS)
        blocked = turn % 3 == 0
        is_kept = number == 0 and not blocked
        models[number].play(redact_user("[blocked]") if blocked else "fine")
        if not blocked and number in (1, 2, 3):
            erased.append((f"s{number}", 2 * turns[number]))
        turns[number] += 1
        kept += is_kept
        word = "kept" if is_kept else "secret"
        agents[number](f"{word}{turn:03d}x my card number, " + "and so on " * chance.choice((1, 5, 40, 100)))
    for session_id, message_id in chance.sample(erased, len(erased)):
        sessions.erase(session_id, "default", message_id)
    for number in (4, 5):
        sessions.delete(f"s{number}")
    client.close()
    assert [file.name for file in tmp_path.iterdir()] == ["agents.db"]
    content = path.read_bytes()
    assert content.count(b"secret") == 0
    with PerSQL(local=path) as again:
        sessions = PerSQLSessions(again.database("acme/a"))
        assert len(sessions.search("card", limit=1_000).hits) == kept, "the index still finds what was kept"
        assert [session.session_id for session in sessions.list().sessions] == ["s0", "s1", "s2", "s3"]


def erase(database: Any) -> None:
    """Erase a message."""
    PerSQLSessions(database).erase("s", "default", 0)


def delete(database: Any) -> None:
    """Delete a session."""
    PerSQLSessions(database).delete("s")


def delete_by_repository(database: Any) -> None:
    """Delete a session, as Strands' own code would."""
    PerSQLSessionRepository(database).delete_session("s")


def delete_object(database: Any) -> None:
    """Delete an object of the storage."""
    objects = Objects(database, "strands_", index=False, create_tables=True)
    objects.write("key", b"value")
    objects.delete("key")


def forget_memories(database: Any) -> None:
    """Forget what a memory store holds."""
    pytest.importorskip("strands.memory")
    from strands_persql.stores import memory

    asyncio.run(memory.PerSQLMemoryStore(database, name="facts", scope="s").forget_all())


@pytest.mark.parametrize("work", [erase, delete, delete_by_repository, delete_object, forget_memories])
def test_what_takes_away_has_the_file_rebuilt(tmp_path: Path, work: Callable[[Any], None]) -> None:
    """Once, by the next close; a client that took nothing away leaves the file as it is."""
    path = tmp_path / "agents.db"
    free = "PRAGMA freelist_count"
    with PerSQL(local=path) as client:
        database = client.database("acme/a")
        agent = Agent(
            model=ScriptedModel(["fine"]),
            session_manager=PerSQLSessionManager("s", database),
            callback_handler=None,
        )
        agent("hello")
        database.query("CREATE TABLE own (a)")
        database.query("INSERT INTO own VALUES (?)", ["x" * 100_000])
        database.query("DROP TABLE own")  # leaves free pages, which a rebuilt file lacks
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute(free).fetchone()[0] > 10
    with PerSQL(local=path) as client:
        work(client.database("acme/a"))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute(free).fetchone()[0] == 0


def test_a_database_that_made_room_is_rebuilt_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was closed for another one meanwhile, and waits for the client's close."""
    monkeypatch.setattr("strands_persql.client._local.MAX_OPEN", 1)
    with PerSQL(local=f"{tmp_path}/") as client:
        one, two = client.database("acme/one"), client.database("acme/two")
        one.query("CREATE TABLE t (a)")
        one.query("INSERT INTO t VALUES (?)", ["x" * 100_000])
        one.wipe()
        one.query("DROP TABLE t")
        two.query("CREATE TABLE t (a)")
        assert not (tmp_path / "acme.one.db-wal").exists()
    assert (tmp_path / "acme.one.db").stat().st_size < 10_000
