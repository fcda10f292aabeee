"""A local file under a live client: moved, replaced, cut, read by others; whose it is; how many are open."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pytest

from strands_persql.client import PerSQL, _files, _local, _store
from strands_persql.errors import PerSQLError
from tests.processes import python
from tests.systems import needs_links, needs_modes, needs_open_files_to_move, needs_posix

INSERT = "INSERT INTO t VALUES (?)"


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one use follows another at once."""
    monkeypatch.setattr(_store, "LOOK_SECONDS", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file."""
    return tmp_path / "agents.db"


@pytest.fixture
def database(path: Path) -> Iterator[Any]:
    """A database in it, with one row that has been taken into the file and one that stands in its log."""
    with PerSQL(local=path) as client:
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")
        database.query(INSERT, ["one"])
        database.query("PRAGMA wal_checkpoint(TRUNCATE)")
        database.query(INSERT, ["two"])
        yield database


def stored(path: Path) -> list[str]:
    """What a new process finds."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in connection.execute("SELECT a FROM t ORDER BY rowid")]


def with_log(path: Path) -> list[Path]:
    """A file, its log, and the log's index."""
    return [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]


def move(path: Path) -> None:
    """Move a file without its log."""
    path.rename(path.with_name("moved.db"))


def delete(path: Path) -> None:
    """Delete a file without its log."""
    path.unlink()


def delete_all(path: Path) -> None:
    """Delete a file and its log."""
    for each in with_log(path):
        each.unlink()


@needs_open_files_to_move
@pytest.mark.parametrize("go", [move, delete, delete_all])
def test_a_file_that_is_gone_is_written_anew(
    path: Path, database: Any, go: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """All of it, what was in its log too, for its owner alone; and other clients of this process go on with it."""
    with PerSQL(local=path) as other:
        other.database("acme/b").query(INSERT, ["three"])
        go(path)
        database.query(INSERT, ["four"])
        assert stored(path) == ["one", "two", "three", "four"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        other.database("acme/b").query(INSERT, ["five"])
    assert stored(path) == ["one", "two", "three", "four", "five"]
    assert "all of it was written anew" in caplog.text
    assert not [name for name in os.listdir(path.parent) if name.endswith(".part")]


@needs_open_files_to_move
def test_a_file_that_is_gone_when_its_client_is_closed(path: Path, database: Any) -> None:
    """What was stored and never looked for again is there."""
    delete_all(path)
    database.close()
    assert stored(path) == ["one", "two"]


@needs_open_files_to_move
def test_a_folder_that_is_gone(path: Path, tmp_path: Path) -> None:
    """The error says that nothing is lost yet; with the folder there again, it is stored."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with PerSQL(local=folder / "agents.db") as client:
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")
        shutil.rmtree(folder)
        for _ in range(2):
            with pytest.raises(PerSQLError, match=r"is gone.*still open in this process"):
                database.query(INSERT, ["one"])
        folder.mkdir()
        database.query(INSERT, ["one"])
        assert stored(folder / "agents.db") == ["one"]


@needs_open_files_to_move
def test_another_file_in_its_place(path: Path, database: Any) -> None:
    """Neither file is written to until the database is closed; the old log is no part of the new file."""
    other = path.with_name("other.db")
    with PerSQL(local=other) as client:
        client.database("acme/a").query("CREATE TABLE t (a)")
    path.rename(path.with_name("moved.db"))
    other.rename(path)
    for _ in range(2):
        with pytest.raises(PerSQLError, match=r"another file stands at .*agents\.db") as caught:
            database.query(INSERT, ["three"])
        assert "database.close()" in str(caught.value)
    assert stored(path) == [] and stored(path.with_name("moved.db")) == ["one", "two"]
    database.close()
    database.query(INSERT, ["three"])
    assert stored(path) == ["three"]


@needs_open_files_to_move
def test_a_log_that_is_gone(path: Path, database: Any) -> None:
    """What it held is taken into the file."""
    with_log(path)[1].unlink()
    database.query(INSERT, ["three"])
    assert stored(path) == ["one", "two", "three"]


def test_a_file_that_is_cut(path: Path, database: Any) -> None:
    """What can't be had any more is an error, not a success."""
    os.truncate(path, 0)
    with pytest.raises(PerSQLError):
        database.query(INSERT, ["three"])


@needs_posix("no lock is dropped because a file was read")
def test_a_raw_read_by_the_serving_process(path: Path, database: Any) -> None:
    """It drops the locks, so that the next look from outside deletes the log; the next turn is stored all the same."""
    look = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT a FROM t'))"
    command = [*python(), "-c", look, str(path)]
    path.read_bytes()
    assert subprocess.check_output(command, text=True) == "('one',) ('two',)\n"
    assert not with_log(path)[1].exists()
    database.query(INSERT, ["three"])
    assert subprocess.check_output(command, text=True) == "('one',) ('two',) ('three',)\n"
    assert with_log(path)[1].exists(), "the locks are there again"


@needs_links
def test_a_link_to_a_file(path: Path, database: Any) -> None:
    """The file it leads to is looked at, and its log."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    with PerSQL(local=link) as client:
        linked = client.database("acme/a")
        linked.query(INSERT, ["three"])
        delete_all(path)
        linked.query(INSERT, ["four"])
        assert link.is_symlink() and stored(path) == ["one", "two", "three", "four"]


@needs_open_files_to_move
def test_a_file_that_its_owner_keeps_without_wal(path: Path) -> None:
    """It is left so, and each commit is on the disk; an empty file is a new one."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with PerSQL(local=path) as client:
        database = client.database("acme/a")
        database.query(INSERT, ["one"])
        assert database.query("PRAGMA journal_mode")["rows"] == [["delete"]]
        assert database.query("PRAGMA synchronous")["rows"] == [[2]]
        path.unlink()
        database.query(INSERT, ["two"])
    assert stored(path) == ["one", "two"]
    (path.parent / "empty.db").touch()
    with PerSQL(local=path.parent / "empty.db") as client:
        assert client.database("acme/a").query("PRAGMA journal_mode")["rows"] == [["wal"]]


# Whose they are


@needs_modes
@pytest.mark.parametrize("umask", [0o022, 0o000, 0o777])
def test_files_are_their_owner_s_alone(tmp_path: Path, umask: int) -> None:
    """The file, its log and the log's index, and each folder that was made, whatever the umask."""
    before = os.umask(umask)
    try:
        for local in (tmp_path / "agents.db", f"{tmp_path}/new/agents/"):
            client = PerSQL(local=local)
            client.database("acme/a").query("CREATE TABLE t (a)")
            found = {each.relative_to(tmp_path).as_posix(): each for each in tmp_path.rglob("*")}
            modes = {name: oct(stat.S_IMODE(each.stat().st_mode)) for name, each in found.items()}
            assert {name: mode for name, mode in modes.items() if ".db" in name and mode != "0o600"} == {}
            assert {name: mode for name, mode in modes.items() if ".db" not in name and mode != "0o700"} == {}
            client.close()
    finally:
        os.umask(before)


@needs_modes
def test_the_mode_of_an_existing_file_is_left_alone(path: Path) -> None:
    """Its log gets the same."""
    path.touch()
    path.chmod(0o640)
    with PerSQL(local=path) as client:
        client.database("acme/a").query("CREATE TABLE t (a)")
        assert {stat.S_IMODE(each.stat().st_mode) for each in with_log(path)} == {0o640}


# How many are open


def test_open_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those used longest ago make room, and are opened again when they are used."""
    monkeypatch.setattr(_local, "MAX_OPEN", 3)
    with PerSQL(local=f"{tmp_path}/") as client:
        databases = [client.database(f"acme/user-{number}") for number in range(10)]
        for database in databases:
            database.query("CREATE TABLE t (a)")
            databases[0].query(INSERT, ["used by each"])
        logs = {file.name for file in tmp_path.glob("*-wal")}
        assert logs == {f"acme.user-{number}.db-wal" for number in (0, 8, 9)}
        assert databases[4].query("SELECT * FROM t")["data"] == []
        assert len(databases[0].query("SELECT * FROM t")["data"]) == 10
        assert len(list(tmp_path.glob("*-wal"))) == 3


@pytest.mark.slow
def test_files_that_nobody_has_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service has a file for each of its users, and each of them comes back."""
    monkeypatch.setattr(_local, "MAX_OPEN", 3)
    with PerSQL(local=f"{tmp_path}/") as client:
        place: Any = client._place
        for number in range(20):
            client.database(f"acme/user-{number}").query("CREATE TABLE t (a)")
            client.database(f"acme/user-{number}").query(INSERT, [f"of user {number}"])
        gc.collect()
        assert len(place._stores) == len(place._kept.stores) == 3
        for number in range(20):
            found = client.database(f"acme/user-{number}").query("SELECT a FROM t")["data"]
            assert found == [{"a": f"of user {number}"}]
        client.database("acme/user-7").close()
        gc.collect()
        client.database("acme/user-1").query(INSERT, ["again"])
        assert len(place._stores) == 3
    with PerSQL(local=":memory:") as memory:
        memory.database("acme/a").query("CREATE TABLE t (a)")
        gc.collect()
        assert memory.database("acme/a").query("SELECT a FROM t")["data"] == []


@pytest.mark.slow
def test_what_was_erased_from_a_forgotten_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are wiped when the client is closed, although its file has made room for others long ago."""
    monkeypatch.setattr(_local, "MAX_OPEN", 1)
    with PerSQL(local=f"{tmp_path}/") as client:
        erased = client.database("acme/erased")
        erased.query("CREATE TABLE t (a)")
        for number in range(200):
            erased.query(INSERT, [f"SECRET-{number} " * 30])
        erased.wipe()
        erased.query("DELETE FROM t WHERE rowid % 2")
        del erased
        for number in range(3):
            client.database(f"acme/user-{number}").query("CREATE TABLE t (a)")
        gc.collect()
        before = (tmp_path / "acme.erased.db").stat().st_size
    assert (tmp_path / "acme.erased.db").stat().st_size < before


def test_one_database_can_be_closed(tmp_path: Path) -> None:
    """Its file is whole then; the next call opens it again, until the client is closed. One in memory stays."""
    client = PerSQL(local=f"{tmp_path}/")
    database = client.database("acme/a")
    database.query("CREATE TABLE t (a)")
    database.close()
    database.close()
    assert [file.name for file in tmp_path.iterdir()] == ["acme.a.db"]
    database.query(INSERT, ["one"])
    client.close()
    database.close()
    with pytest.raises(PerSQLError, match="closed"):
        database.query("SELECT * FROM t")
    with PerSQL(local=":memory:") as memory:
        memory.database("acme/a").query("CREATE TABLE t (a)")
        memory.database("acme/a").close()
        assert memory.database("acme/a").query("SELECT * FROM t")["data"] == []


def test_a_file_is_not_opened_to_create_it(path: Path) -> None:
    """Closing a descriptor of a file that is in use would drop its locks."""
    path.touch()
    with pytest.raises(FileExistsError):
        _files.create_privately(str(path))


# Other systems


@pytest.mark.parametrize("over", [False, True])
def test_a_file_is_put_in_its_place_where_there_are_no_hard_links(
    path: Path, over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on exFAT: it is not put over another one, either."""

    def link(*paths: object) -> None:
        raise OSError("this file system has none")

    monkeypatch.setattr(os, "link", link)
    with _files.whole(str(path), over=over) as part:
        Path(part).write_text("whole", "utf-8")
    assert path.read_text("utf-8") == "whole"
    with contextlib.nullcontext() if over else pytest.raises(FileExistsError), _files.whole(str(path), over=over):
        pass
    assert path.read_text("utf-8") == ("" if over else "whole")
    assert os.listdir(path.parent) == ["agents.db"]


def test_a_file_with_a_long_name_of_long_characters(tmp_path: Path) -> None:
    """The name of what is written first is no longer than file systems take."""
    path = tmp_path / ("日" * 85)
    with _files.whole(str(path), over=False):
        pass
    assert path.exists()


def test_a_folder_on_a_drive_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the system's: there is nothing above a drive to make."""
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    monkeypatch.setattr(os.path, "dirname", lambda path: path)
    with pytest.raises(FileNotFoundError):
        _files.make_private_folder("/no/such/drive")


def test_what_leads_away(tmp_path: Path) -> None:
    """Links, and junctions of Windows, which need no right to be made; nothing else, and nothing that isn't there."""
    for mode, tag, leads in (
        (stat.S_IFLNK, 0, True),
        (stat.S_IFDIR, 0xA0000003, True),
        (stat.S_IFDIR, 0x80000013, False),
    ):
        status: Any = SimpleNamespace(st_mode=mode, st_reparse_tag=tag)
        assert _files.leads_away(status) is leads
    assert not any(_files.is_link(each) for each in (tmp_path, tmp_path / "none", "\0"))
    if os.name == "posix":
        (tmp_path / "link").symlink_to("nowhere")
        assert _files.is_link(tmp_path / "link")


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        (PurePosixPath("/var/a b/50%?#.db"), "file:///var/a%20b/50%25%3F%23.db"),
        (PureWindowsPath(r"D:\Data\Zoë\agents.db"), "file:///D:/Data/Zo%C3%AB/agents.db"),
        (PureWindowsPath(r"\\server\share\agents.db"), "file:////server/share/agents.db"),
        (PureWindowsPath("\\\\?\\C:\\long\\agents.db"), "file:////%3F/C:/long/agents.db"),
    ],
)
def test_addresses_of_files(path: PurePath, uri: str) -> None:
    """SQLite takes no host in them: a share's server is part of the path."""
    assert _files.uri_of(path) == uri


def test_a_copy_of_a_file_with_any_name(tmp_path: Path) -> None:
    """It is opened by an address, in which some characters mean something."""
    path = tmp_path / "a b#?%41 é.db" if os.name == "posix" else tmp_path / "a b#%41 é.db"
    with PerSQL(local=path) as client:
        database: Any = client.database("acme/a")
        database.query("CREATE TABLE t (a)")
        database.query(INSERT, ["one"])
        database.copy_to(str(tmp_path / "copy.db"))
    assert stored(tmp_path / "copy.db") == ["one"]
