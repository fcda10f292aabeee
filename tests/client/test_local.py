"""Local databases: files, folders, memory, and what can be wrong with them."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import sqlite3
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strands_persql.client import PerSQL, _store
from strands_persql.client._names import file_name, is_device, label_of_file, name_of_file, split_name
from strands_persql.errors import PermissionDeniedError, PerSQLError
from tests.client.children import in_child

from ..systems import needs_fork
from ..thorough import tries

PART = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}", fullmatch=True)
NAMES = st.builds("{}/{}".format, PART, PART)


@pytest.mark.slow
@given(NAMES, NAMES)
@example("A" * 128 + "/" + "B" * 128, "A" * 128 + "/" + "B" * 127 + "C")
@example("A/b", "a/b")
def test_two_names_never_share_a_file(one: str, other: str) -> None:
    """Not on file systems either that take capitals for small letters."""
    files = [file_name(*split_name(name)) for name in (one, other)]
    assert (files[0].lower() == files[1].lower()) == (one == other)
    assert all(len(name.encode()) <= 255 - len("-journal") for name in files)


@given(NAMES | st.builds("{}/{}".format, st.sampled_from(["con", "NUL", "lpt9", "com0", "aux", "prn"]), PART))
def test_every_system_takes_a_file_s_name(name: str) -> None:
    """Windows has characters that no name holds, drops dots and blanks at its end, and takes some names for devices."""
    file = file_name(*split_name(name))
    assert re.fullmatch(r"[\w%+.-]+\.db", file, re.ASCII)
    assert file.split(".")[0] not in {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
    }
    assert name_of_file(file) == (name if label_of_file(file) is None else None)


@pytest.mark.parametrize("name", ["nul", "NUL.db", "con.a.b", "Lpt3 .txt", "aux"])
def test_devices_of_windows(name: str) -> None:
    """With capitals, and with anything behind a dot."""
    assert is_device(name) and not is_device(f"_{name}")


@given(NAMES)
def test_a_file_tells_its_database(name: str) -> None:
    """Where the name was too long to keep, another file does."""
    file = file_name(*split_name(name))
    assert name_of_file(file) == (name if label_of_file(file) is None else None)


@pytest.mark.parametrize("length", [1, 97, 98, 99, 128])
def test_databases_with_long_names_are_listed(tmp_path: Path, length: int) -> None:
    """Also those whose files can't hold them; other files of the folder are not."""
    name = f"{'A' * length}/{'b.' * ((length - 1) // 2)}b"
    with PerSQL(local=f"{tmp_path}/") as client:
        client.database(name).query("CREATE TABLE t (a)")
        (tmp_path / "notes.txt").touch()
        (tmp_path / f"a.b+{'0' * 64}.db").touch()
        assert [each["name"] for each in client.databases.list()] == [name]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("acme/agent-state", "acme.agent-state.db"),
        ("Acme/a.b", "%41cme.a%2Eb.db"),
        ("a.b/c", "a%2Eb.c.db"),
        ("a/b.c", "a.b%2Ec.db"),
        ("nul/nul", "%6Eul.nul.db"),
        ("com1/a", "%63om1.a.db"),
        ("Con/a", "%43on.a.db"),
        ("console/con", "console.con.db"),
    ],
)
def test_files_in_a_folder(tmp_path: Path, name: str, file: str) -> None:
    """One for each database, in a folder that need not exist; the names are legible."""
    with PerSQL(local=f"{tmp_path}/new/agents/") as client:
        client.database(name).query("CREATE TABLE t (a)")
        assert client.databases.list()[0]["name"] == name
    assert [path.name for path in (tmp_path / "new" / "agents").iterdir()] == [file]


def test_an_existing_folder_needs_no_slash(tmp_path: Path) -> None:
    """A path to a folder, as a Path, is one too."""
    with PerSQL(local=tmp_path) as client:
        client.database("acme/a").query("SELECT 1")
    assert [path.name for path in tmp_path.iterdir()] == ["acme.a.db"]


def test_a_file_is_one_database_whatever_its_name(tmp_path: Path) -> None:
    """`agents.db` serves every name."""
    with PerSQL(local=str(tmp_path / "agents.db")) as client:
        client.database("acme/one").query("CREATE TABLE t (a)")
        assert client.database("acme/two").query("SELECT * FROM t")["data"] == []
        assert client.databases.list() == []


def test_memory_is_one_database_per_name() -> None:
    """And gone with the client."""
    with PerSQL(local=":memory:") as client:
        client.database("acme/one").query("CREATE TABLE t (a)")
        with pytest.raises(PerSQLError, match="unknown_table"):
            client.database("acme/two").query("SELECT * FROM t")
        assert [one["name"] for one in client.databases.list()] == ["acme/one", "acme/two"]


def test_a_later_chdir_leads_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the folder the client was built in."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with PerSQL(local="agents.db") as client:
        monkeypatch.chdir(tmp_path / "elsewhere")
        client.database("acme/a").query("SELECT 1")
    assert (tmp_path / "agents.db").exists()


def test_how_a_file_is_opened(tmp_path: Path) -> None:
    """WAL, so that readers and a writer get on; commits that survive the process; foreign keys; nothing left behind."""
    with PerSQL(local=tmp_path / "agents.db") as client:
        database = client.database("acme/a")
        settings = {
            name: database.query(f"PRAGMA {name}")["rows"][0][0]
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "busy_timeout",
                "secure_delete",
                "fullfsync",
            )
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "secure_delete": 1,
        "fullfsync": 1,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["agents.db"]


@pytest.mark.parametrize("local", ["", "a\0b"])
def test_paths_that_are_none(local: str) -> None:
    """An empty path would be a file that SQLite deletes by itself."""
    with pytest.raises(ValueError, match="local="):
        PerSQL(local=local)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """The error names the file and what to do."""
    path = tmp_path / "notes.txt"
    path.write_text("just some notes, longer than SQLite's header " * 10, "utf-8")
    with PerSQL(local=path) as client:
        for _ in range(2):
            with pytest.raises(PerSQLError, match="no SQLite database; choose another file") as caught:
                client.database("acme/a").query("SELECT * FROM sqlite_master")
            assert str(path) in str(caught.value)
    assert path.read_text("utf-8").startswith("just some notes")


def test_a_damaged_file(tmp_path: Path) -> None:
    """Told as what it is."""
    path = tmp_path / "agents.db"
    with PerSQL(local=path) as client:
        client.database("acme/a").query("CREATE TABLE t (a)")
        client.database("acme/a").query("INSERT INTO t VALUES (?)", ["x" * 50_000])
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with PerSQL(local=path) as client, pytest.raises(PerSQLError, match=r"is damaged; restore it"):
        client.database("acme/a").query("SELECT * FROM t")


def test_bad_json_is_no_damage(tmp_path: Path) -> None:
    """SQLite's word for a value that isn't JSON is the one for a damaged file; the file is fine."""
    with PerSQL(local=tmp_path / "agents.db") as client:
        with pytest.raises(PerSQLError, match="isn't JSON") as caught:
            client.database("acme/a").query("SELECT json_extract('{', '$.a')")
        assert "damaged" not in str(caught.value)


def test_without_wal_each_commit_is_on_the_disk(tmp_path: Path) -> None:
    """In memory, or on a drive that has no WAL, SQLite's own default stands."""
    with PerSQL(local=":memory:") as client:
        assert client.database("acme/a").query("PRAGMA synchronous")["rows"] == [[2]]


def test_a_missing_folder(tmp_path: Path) -> None:
    """A file's folder isn't made up: it may be a typing error."""
    with PerSQL(local=tmp_path / "missing" / "agents.db") as client:
        with pytest.raises(PerSQLError, match=r"create the folder .*missing first"):
            client.database("acme/a").query("SELECT 1")
        (tmp_path / "missing").mkdir()
        assert client.database("acme/a").query("SELECT 1 AS one")["data"] == [{"one": 1}]


def test_a_folder_where_a_file_was_named(tmp_path: Path) -> None:
    """It became a folder after the client was built."""
    with PerSQL(local=tmp_path / "agents") as client:
        (tmp_path / "agents").mkdir()
        with pytest.raises(PerSQLError, match="is a folder; write local= with a slash"):
            client.database("acme/a").query("SELECT 1")


def test_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the waiting time, the error says that another holds it; reading goes on, and later so does writing."""
    monkeypatch.setattr(_store, "BUSY_SECONDS", 0.05)
    path = tmp_path / "agents.db"
    with PerSQL(local=path) as client, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")
        other.execute("BEGIN IMMEDIATE")
        write = {"sql": "INSERT INTO t VALUES (1)"}
        for call in (lambda: database.query(write["sql"]), lambda: database.batch([write] * 2, transaction=True)):
            with pytest.raises(PerSQLError, match="locked by another process") as caught:
                call()
            assert caught.value.kind == "database_locked" and str(path) in str(caught.value)
        reads = [{"sql": "SELECT count(*) AS n FROM t"}] * 2
        assert database.batch(reads, transaction=True)[1]["data"] == [{"n": 0}]
        other.execute("COMMIT")
        assert len(database.batch([write] * 2, transaction=True)) == 2


@pytest.mark.slow
def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Where several switch it to WAL at the same moment, SQLite itself fails about one in a hundred at once."""
    clients, files = 3, tries(60, 200)
    barrier = threading.Barrier(clients)

    def begin(number: int) -> None:
        with PerSQL(local=tmp_path / f"{number // clients}.db") as client:
            database = client.database("acme/a")
            barrier.wait()
            database.query("CREATE TABLE IF NOT EXISTS t (a)")
            database.query("INSERT INTO t VALUES (1)")

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(begin, range(clients * files)))
    with PerSQL(local=tmp_path / f"{files - 1}.db") as client:
        assert client.database("acme/a").query("SELECT count(*) AS n FROM t")["data"] == [{"n": clients}]


def test_a_writer_waits_for_another(tmp_path: Path) -> None:
    """A lock that is given up in time is no error."""
    path = tmp_path / "agents.db"
    with PerSQL(local=path) as one, PerSQL(local=path) as two:
        first, second = one.database("acme/a"), two.database("acme/a")
        first.query("CREATE TABLE t (a)")
        statements = [{"sql": "INSERT INTO t VALUES (1)"}] * 50
        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(handle.batch, statements, transaction=True) for handle in (first, second) * 4]
            assert [len(each.result()) for each in done] == [50] * 8
        assert second.query("SELECT count(*) AS n FROM t")["data"] == [{"n": 400}]


def test_a_read_only_batch_sees_one_moment(tmp_path: Path) -> None:
    """Its statements read one snapshot, without locking writers out."""
    path = tmp_path / "agents.db"
    with PerSQL(local=path) as client, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")

        def write(_: object) -> int:
            other.execute("INSERT INTO t VALUES (1)")
            return 1

        # The second client writes between the two statements.
        store = database._store  # type: ignore[union-attr]
        store.use(lambda connection: connection.create_function("elsewhere", 1, write))
        count = "SELECT count(*) AS n FROM t"
        results = database.batch(
            [{"sql": count}, {"sql": "SELECT elsewhere(1) AS done"}, {"sql": count}], transaction=True
        )
        assert [result["data"] for result in results] == [[{"n": 0}], [{"done": 1}], [{"n": 0}]]
        assert database.query(count)["data"] == [{"n": 1}]


def test_a_writing_batch_is_alone_from_its_first_statement(tmp_path: Path) -> None:
    """What it reads is still so when it writes: nobody gets in between, and it never has to give up half-way."""
    path = tmp_path / "agents.db"
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    with PerSQL(local=path) as client, contextlib.closing(other):
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")

        def gets_in(_: object) -> bool:
            try:
                other.execute("INSERT INTO t VALUES ('other')")
            except sqlite3.OperationalError:
                return False
            return True

        store = database._store  # type: ignore[union-attr]
        store.use(lambda connection: connection.create_function("gets_in", 1, gets_in))
        statements = [
            {"sql": "SELECT gets_in(count(*)) AS did FROM t"},
            {"sql": "INSERT INTO t VALUES ('own')"},
        ]
        assert database.batch(statements, transaction=True)[0]["data"] == [{"did": 0}]
        assert database.query("SELECT a FROM t")["data"] == [{"a": "own"}]


def test_a_full_disk(tmp_path: Path) -> None:
    """The transaction is taken back, and the handle works on."""
    with PerSQL(local=tmp_path / "agents.db") as client:
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")
        database.query("PRAGMA max_page_count = 10")
        insert = {"sql": "INSERT INTO t VALUES (?)", "params": ["x" * 100_000]}
        with pytest.raises(PerSQLError, match="is full; free some space") as caught:
            database.batch([{"sql": "INSERT INTO t VALUES (1)"}, insert], transaction=True)
        assert str(tmp_path) in str(caught.value)
        assert database.query("SELECT count(*) AS n FROM t")["data"] == [{"n": 0}]
        database.query("PRAGMA max_page_count = 1000")
        database.batch([insert, insert], transaction=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="strands-persql-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(work: Callable[[], str]) -> str:
    """What a child says that has no rights of its own: the superuser may write to anything."""

    def without_rights() -> str:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        return work()

    return in_child(without_rights)


@needs_fork
def test_a_read_only_file(open_folder: Path) -> None:
    """Reading works; writing is PermissionDeniedError, as it is with a read-only token."""
    path = open_folder / "agents.db"
    with PerSQL(local=path) as client:
        client.database("acme/a").query("CREATE TABLE t (a)")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    path.chmod(0o444)
    open_folder.chmod(0o555)

    def work() -> str:
        with PerSQL(local=path) as client:
            database = client.database("acme/a")
            read = database.query("SELECT * FROM t")["data"]
            try:
                database.query("INSERT INTO t VALUES (1)")
            except PermissionDeniedError as error:
                return f"{read} {error.kind} {error}"
        return "written"

    said = as_nobody(work)
    open_folder.chmod(0o755)
    assert said.startswith("[] readonly ") and f"{path} is read-only; make the file and its folder writable" in said


@needs_fork
def test_a_file_that_may_not_be_opened(open_folder: Path) -> None:
    """PermissionDeniedError, with the file's name; the same for a folder that may not be created."""
    (open_folder / "closed").mkdir(mode=0o700)
    path = open_folder / "closed" / "agents.db"

    def work(local: str) -> str:
        try:
            PerSQL(local=local).database("acme/a").query("SELECT 1")
        except PermissionDeniedError as error:
            return str(error)
        return "opened"

    said = as_nobody(lambda: work(str(path)))
    assert str(path.parent) in said and ("readable and writable" in said)
    assert "can't be created" in as_nobody(lambda: work(f"{path.parent}/new/"))


@pytest.mark.slow
def test_a_client_that_nobody_closes(tmp_path: Path) -> None:
    """Dropping it closes its files, without a ResourceWarning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        client = PerSQL(local=tmp_path / "agents.db")
        client.database("acme/a").query("CREATE TABLE t (a)")
        del client
        gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["agents.db"]
