"""The layout's steps: laid out anew or brought up step by step, it is the same, and no row is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PermissionDeniedError, PerSQL, PerSQLError, SessionDataError, TransportError
from strands_persql.administration.doctor import diagnose, mend
from strands_persql.database.connector import Connector
from strands_persql.database.query import Query
from strands_persql.database.tables import STEPS, Tables


def second(prefix: str) -> tuple[str, ...]:
    """A step that a later version might add."""
    return (
        f"ALTER TABLE {prefix}sessions ADD COLUMN added_later TEXT",
        f"CREATE TABLE IF NOT EXISTS {prefix}made_later (name TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    )


def columns(database: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Every table with its columns."""
    names = [row["name"] for row in database.query("SELECT name FROM sqlite_master WHERE type = 'table'")["data"]]
    return {
        name: [tuple(row.values()) for row in database.query(f"PRAGMA table_info({name})")["data"]] for name in names
    }


def begun(path: Path, steps: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database that a package with so many steps has laid out."""
    monkeypatch.setattr(Tables, "steps", steps)
    database = PerSQL(local=path).database("acme/a")
    store = Connector(database, Tables())
    store.ask(store.tables.restore.agents("s"), versioned=True)
    return database


def test_migrated_equals_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout with rows in it, opened by a package of the next version, is what that package lays out itself."""
    old = begun(tmp_path / "old.db", STEPS, monkeypatch)
    tables = Tables()
    old.batch(
        [
            tables.sessions.create("s", json.dumps({"session_id": "s"})),
            tables.agents.create("s", "a", "[[0,null]]", "{}", new_revision=5),
            tables.messages.add("s", "a", 0, '{"message":{}}', revision=5),
        ],
        transaction=True,
    )
    before = {name: old.query(f"SELECT * FROM strands_{name}")["data"] for name in ("sessions", "agents", "messages")}
    steps = (*STEPS, second)
    monkeypatch.setattr(Tables, "steps", steps)
    store = Connector(old, Tables())
    agent = store.ask(store.tables.agents.read("s", "a"), versioned=True)
    assert agent is not None and agent.agent_id == "a"

    fresh = begun(tmp_path / "fresh.db", steps, monkeypatch)
    assert columns(old) == columns(fresh)
    ledger = "SELECT version FROM strands_schema ORDER BY version"
    taken = [{"version": number} for number in range(1, len(steps) + 1)]
    assert old.query(ledger)["data"] == fresh.query(ledger)["data"] == taken
    after = {name: old.query(f"SELECT * FROM strands_{name}")["data"] for name in before}
    assert after == {**before, "sessions": [{**row, "added_later": None} for row in before["sessions"]]}


class Overtaken:
    """A handle before whose first step another process takes all those that it knows."""

    def __init__(self, database: Any, rival: tuple[Any, ...]) -> None:
        self._database, self._rival, self._is_first = database, rival, True

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._database.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        if self._is_first and statements[0]["sql"].startswith(("ALTER", "CREATE")):
            self._is_first = False
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Tables, "steps", self._rival)
                Connector(self._database, Tables()).set_up()
        return self._database.batch(statements, transaction=transaction)


def third(prefix: str) -> tuple[str, ...]:
    """A step that a version after that might add."""
    return (f"ALTER TABLE {prefix}agents ADD COLUMN added_later TEXT",)


@pytest.mark.parametrize("rival", [(*STEPS, second), (*STEPS, second, third)], ids=["some", "all"])
@pytest.mark.parametrize("begins", [False, True], ids=["anew", "older"])
def test_two_processes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rival: tuple[Any, ...], begins: bool
) -> None:
    """Where another process takes steps first, some or all of them, the others are taken, and nobody sees an error."""
    steps = (*STEPS, second, third)
    fresh = begun(tmp_path / "fresh.db", steps, monkeypatch)
    path = tmp_path / "a.db"
    database = begun(path, STEPS, monkeypatch) if begins else PerSQL(local=path).database("acme/a")
    monkeypatch.setattr(Tables, "steps", steps)
    assert Connector(Overtaken(database, rival), Tables()).set_up() == len(steps)
    assert columns(database) == columns(fresh)
    assert database.query("SELECT count(*) AS taken FROM strands_schema")["data"] == [{"taken": len(steps)}]


def test_a_database_out_of_reach_is_asked_nothing_more(tmp_path: Path) -> None:
    """Whether another process has taken the steps can't be asked there: each request would be tried for long."""
    sent: list[str] = []

    class OutOfReach(Overtaken):
        def batch(self, statements: Any, *, transaction: bool = False) -> Any:
            sent.append(statements[0]["sql"])
            if statements[0]["sql"].startswith("CREATE"):
                raise TransportError("out of reach")
            return super().batch(statements, transaction=transaction)

    with PerSQL(local=tmp_path / "a.db") as client, pytest.raises(TransportError):
        Connector(OutOfReach(client.database("acme/a"), ()), Tables()).set_up()
    assert sent[-1].startswith("CREATE")


def test_a_rival_of_a_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process that came first is of a newer version, its layout is refused as ever."""
    old = begun(tmp_path / "a.db", STEPS, monkeypatch)
    monkeypatch.setattr(Tables, "steps", (*STEPS, second))
    with pytest.raises(SessionDataError, match="Upgrade"):
        Connector(Overtaken(old, (*STEPS, second, third)), Tables()).set_up()


def test_a_table_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that no step makes is told as missing, whatever the steps would do a second time."""
    database = begun(tmp_path / "a.db", (*STEPS, second), monkeypatch)
    layout = columns(database)
    with pytest.raises(PerSQLError) as told:
        Connector(database, Tables()).ask(Query([{"sql": "SELECT 1 FROM strands_nothing"}], list))
    assert told.value.kind == "unknown_table"
    assert columns(database) == layout


@pytest.mark.parametrize("how", ["an agent", "init", "the doctor"])
@pytest.mark.parametrize("dropped", [("chunks", "multi_agents", "made_later"), ("sessions", "chunks")], ids=str)
def test_a_table_that_was_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, dropped: tuple[str, ...]
) -> None:
    """It is made anew as the newest layout has it, with its indexes, although no step can be taken twice."""
    database = begun(tmp_path / "a.db", (*STEPS, second), monkeypatch)
    layout = columns(database)
    index = "SELECT name FROM sqlite_master WHERE name = 'strands_copies'"
    for name in dropped:
        database.query(f"DROP TABLE strands_{name}")
    store = Connector(database, Tables())
    if how == "an agent":
        store.ask(store.tables.restore.agents("s"))
    elif how == "init":
        assert store.set_up() == len(STEPS) + 1
    else:
        found = [each for each in diagnose(database) if each.check == "layout" and each.mendable]
        assert mend(database, found) == found != []
    assert columns(database) == layout
    assert database.query(index)["data"]


@pytest.mark.parametrize("before", [0, 1, len(STEPS) + 1])
def test_a_layout_that_another_process_mends_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """The doctor goes on where that came to, and sees no error."""
    database = begun(tmp_path / "a.db", STEPS, monkeypatch)
    steps = (*STEPS, second, third)
    monkeypatch.setattr(Tables, "steps", steps)
    found = [each for each in diagnose(database) if each.mendable]
    with monkeypatch.context() as patch:
        patch.setattr(Tables, "steps", steps[:before])
        if before:
            Connector(database, Tables()).set_up()
    mend(database, found)
    assert columns(database) == columns(begun(tmp_path / "fresh.db", steps, monkeypatch))


def test_newer_layout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newer version of the package has laid out is left alone."""
    newer = begun(tmp_path / "a.db", (*STEPS, second), monkeypatch)
    layout = columns(newer)
    monkeypatch.setattr(Tables, "steps", STEPS)
    store = Connector(newer, Tables())
    with pytest.raises(SessionDataError, match=rf"have layout {len(STEPS) + 1}, .* up to {len(STEPS)}\. Upgrade"):
        store.ask(store.tables.restore.agents("s"), versioned=True)
    assert columns(newer) == layout


def test_older_layout_without_create_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may send no DDL says that the layout is older, and leaves it alone."""
    old = begun(tmp_path / "a.db", STEPS, monkeypatch)
    layout = columns(old)
    steps = (*STEPS, second)
    monkeypatch.setattr(Tables, "steps", steps)
    store = Connector(old, Tables(), create_tables=False)
    with pytest.raises(SessionDataError, match=f"layout {len(STEPS)}, and create_tables=False"):
        store.ask(store.tables.restore.agents("s"), versioned=True)
    assert columns(old) == layout


def test_no_tables_and_no_ddl(tmp_path: Path) -> None:
    """With create_tables=False a database without tables stays one, and the error names the remedy."""
    database = PerSQL(local=tmp_path / "a.db").database("acme/a")
    store = Connector(database, Tables(), create_tables=False)
    with pytest.raises(PermissionDeniedError, match="admin token"):
        store.ask(store.tables.restore.agents("s"), versioned=True)
    assert columns(database) == {}
