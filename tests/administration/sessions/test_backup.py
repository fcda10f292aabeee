"""A database copied into a file while agents use it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL, PerSQLError, PerSQLSessionManager, PerSQLSessions, SessionDataError
from strands_persql.client import is_open
from strands_persql.testing import stored_rows

from ...agents.agents import agent_of
from ...agents.scripted import ScriptedModel, text
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
    """Nothing is written over a database in use, a folder, or through a link; and a copy that fails leaves nothing."""
    with PerSQL(local=tmp_path / "agents.db") as client, PerSQL(local=tmp_path / "other.db") as other:
        sessions = PerSQLSessions(client.database("acme/a"))
        client.database("acme/a").query("CREATE TABLE own (a)")
        other.database("acme/a").query("CREATE TABLE own (a)")
        (tmp_path / "link.db").symlink_to(tmp_path / "notes.txt")
        for name in ("agents.db", "other.db", "link.db", ""):
            with pytest.raises(ValueError, match=r"Name a(nother|) (new )?file"):
                sessions.backup(tmp_path / name)
    (tmp_path / "damaged.db").write_text("no database " * 100)
    with PerSQL(local=tmp_path / "damaged.db") as client, pytest.raises(PerSQLError):
        PerSQLSessions(client.database("acme/a")).backup(tmp_path / "copy.db")
    assert {path.name for path in tmp_path.iterdir()} == {"agents.db", "damaged.db", "link.db", "other.db"}


def test_an_open_database_is_not_read_as_a_file(tmp_path: Path) -> None:
    """An import says what to pass instead; closing a descriptor of the file would drop its locks."""
    path = tmp_path / "agents.db"
    with PerSQL(local=path) as client:
        sessions = PerSQLSessions(client.database("acme/a"))
        sessions.list()
        assert is_open(str(path))
        with pytest.raises(SessionDataError, match=r"this process has open.*PerSQLSessions"):
            sessions.import_from(path)
    assert not is_open(str(path))
