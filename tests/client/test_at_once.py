"""Writes to a local database that an event loop's own thread makes, and the checkpoints that keep them short."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strands_persql.client import PerSQL, Statement, _checkpoints, _local, _pace, _store
from strands_persql.client._checkpoints import Checkpoints
from strands_persql.client._files import OpenFile
from strands_persql.client._pace import ENOUGH, FIRST_PAUSE, LONGEST_PAUSE, Pace
from strands_persql.client._store import LOOK_SECONDS

from ..systems import needs_open_files_to_move

CHECKPOINT = "persql-checkpoint"
SLOW_SECONDS = 30.0


def insert(text: str = "x", count: int = 1) -> list[Statement]:
    """Statements that write so many rows."""
    return [{"sql": "INSERT INTO t VALUES (?)", "params": [text]}] * count


@pytest.fixture(autouse=True)
def a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No write of a test is slow because something else runs."""
    monkeypatch.setattr(_pace, "SLOW_SECONDS", SLOW_SECONDS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file."""
    return tmp_path / "agents.db"


@pytest.fixture
def log(path: Path) -> Path:
    """Its log."""
    return path.with_name(f"{path.name}-wal")


@pytest.fixture(params=["file", "memory"])
def database(request: pytest.FixtureRequest, path: Path) -> Iterator[Any]:
    """A database that is open, and has been written to."""
    with PerSQL(local=path if request.param == "file" else ":memory:") as client:
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")
        yield database


@pytest.fixture
def in_file(path: Path) -> Iterator[Any]:
    """The same in a file."""
    with PerSQL(local=path) as client:
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")
        looked_at(database)
        yield database


def looked_at(database: Any) -> None:
    """Have the next use look at the file again."""
    database._store._looked -= 2 * LOOK_SECONDS


def count(database: Any) -> int:
    """How many rows there are."""
    return int(database.query("SELECT count(*) AS n FROM t")["data"][0]["n"])


def patience(database: Any) -> int:
    """Milliseconds for which the connection waits for the write lock."""
    return int(database._store._connection.execute("PRAGMA busy_timeout").fetchone()[0])


def checkpoints_end() -> None:
    """Wait for the checkpoints under way."""
    for thread in threading.enumerate():
        if thread.name == CHECKPOINT:
            thread.join()


def test_a_small_write_is_made_at_once(database: Any) -> None:
    """On the calling thread, as a whole."""
    threads: list[int] = []
    store = database._store
    store.use(lambda connection: connection.create_function("here", 0, lambda: threads.append(threading.get_ident())))
    looked_at(database)
    assert database.commit_now([*insert("one"), {"sql": "INSERT INTO t VALUES (here())"}])
    assert threads == [threading.get_ident()]
    assert count(database) == 2


def test_what_fails_leaves_nothing(database: Any) -> None:
    """It is one transaction; and the next one is made at once again."""
    looked_at(database)
    with pytest.raises(sqlite3.Error):
        database.commit_now([*insert(), {"sql": "INSERT INTO nowhere VALUES (1)"}])
    assert count(database) == 0
    assert database.commit_now(insert())


def holds_lock(database: Any) -> contextlib.AbstractContextManager[object]:
    """Another thread is using the connection."""
    began, ends = threading.Event(), threading.Event()

    def use(connection: sqlite3.Connection) -> None:
        began.set()
        ends.wait(60)

    thread = threading.Thread(target=database._store.use, args=[use])

    @contextlib.contextmanager
    def held() -> Iterator[None]:
        thread.start()
        began.wait(60)
        try:
            yield
        finally:
            ends.set()
            thread.join()

    return held()


def is_being_written(database: Any) -> contextlib.AbstractContextManager[object]:
    """Another connection holds the file's write lock."""
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return contextlib.closing(other)


def is_closed(database: Any) -> contextlib.AbstractContextManager[object]:
    """Its file is to be opened first."""
    database.close()
    return contextlib.nullcontext()


def is_gone(database: Any) -> contextlib.AbstractContextManager[object]:
    """Its file is not where it was."""
    os.rename(database.path, f"{database.path}.moved")
    return contextlib.nullcontext()


def has_no_log(database: Any) -> contextlib.AbstractContextManager[object]:
    """The first write to a log waits for the disk."""
    database.query("PRAGMA wal_checkpoint(TRUNCATE)")
    looked_at(database)
    return contextlib.nullcontext()


def was_slow(database: Any) -> contextlib.AbstractContextManager[object]:
    """The last write took long."""
    database._store._pace.tried(2 * SLOW_SECONDS, time.perf_counter())
    return contextlib.nullcontext()


@pytest.mark.parametrize(
    "why",
    [
        holds_lock,
        is_being_written,
        is_closed,
        pytest.param(is_gone, marks=needs_open_files_to_move),
        has_no_log,
        was_slow,
    ],
)
def test_what_would_wait_is_not_made_at_once(
    in_file: Any, why: Callable[[Any], contextlib.AbstractContextManager[object]]
) -> None:
    """Nothing is done then; and the worker's road goes through."""
    with why(in_file):
        done = None
        with contextlib.suppress(sqlite3.OperationalError):  # whoever holds the write lock is told so
            done = in_file.commit_now(insert())
        assert not done
    in_file.commit(insert())
    assert count(in_file) == 1


@pytest.mark.parametrize(
    "statements", [insert(count=_local.AT_ONCE_STATEMENTS + 1), insert("x" * (_local.AT_ONCE_CHARACTERS + 1))]
)
def test_what_is_long_is_not_made_at_once(database: Any, statements: list[Statement]) -> None:
    """However free the file is."""
    looked_at(database)
    assert not database.commit_now(statements)
    assert count(database) == 0
    assert database.commit_now(insert())


def test_a_file_without_a_log_is_not_written_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its commits waits for the disk; and it may lie on a network drive, where a look at it waits, too."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    looks: list[OpenFile] = []
    look = OpenFile.log_size

    def looked(file: OpenFile) -> int | None:
        looks.append(file)
        return look(file)

    monkeypatch.setattr(OpenFile, "log_size", looked)
    with PerSQL(local=path) as client:
        database: Any = client.database("acme/a")
        database.query("INSERT INTO t VALUES (1)")
        looked_at(database)
        before = len(looks)
        assert not database.commit_now(insert())
        assert len(looks) == before


def test_a_worker_waits_again(in_file: Any) -> None:
    """What is not made at once waits for the write lock as ever, although the attempt did not."""
    with is_being_written(in_file) as other:
        assert isinstance(other, sqlite3.Connection)
        with contextlib.suppress(sqlite3.OperationalError):
            assert not in_file.commit_now(insert())
        assert patience(in_file) == 0
        writes = threading.Thread(target=in_file.commit, args=[insert()])
        writes.start()
        time.sleep(0.05)
        other.execute("COMMIT")
        writes.join()
    assert count(in_file) == 1
    assert patience(in_file) == 30_000


def test_a_slow_file_is_left_to_the_workers() -> None:
    """For longer each time it is slow, and for no longer than a minute; a file that is quick comes back to the loop."""
    pace, now, pauses = Pace(), 1_000.0, []
    for _ in range(8):
        assert pace.is_quick(now)
        pace.tried(2 * SLOW_SECONDS, now)
        assert not pace.is_quick(now)
        pauses.append(next(pause for pause in (FIRST_PAUSE * 4**n for n in range(9)) if pace.is_quick(now + pause)))
        now += LONGEST_PAUSE
    assert pauses[:5] == [FIRST_PAUSE * 4**n for n in range(5)]
    assert pauses[-1] <= 4 * LONGEST_PAUSE
    for _ in range(ENOUGH):
        pace.tried(0.0001, now)
    pace.tried(2 * SLOW_SECONDS, now)
    assert pace.is_quick(now + FIRST_PAUSE)


class Interrupted:
    """A connection whose user presses Ctrl-C while it runs its statement of a number, counted from 1."""

    def __init__(self, connection: Any, number: int) -> None:
        self.connection = connection
        self._left = number

    def execute(self, *statement: Any) -> Any:
        """Run a statement."""
        cursor = self.connection.execute(*statement)
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_ctrl_c(in_file: Any, number: int) -> None:
    """It leaves no transaction open, and no connection that doesn't wait where it ought to."""
    store = in_file._store
    store._connection = interrupted = Interrupted(store._connection, number)
    with pytest.raises(KeyboardInterrupt):
        in_file.commit_now(insert(count=2))
    store._connection = interrupted.connection
    written = 2 if number == 5 else 0  # the statement before is the commit
    assert in_file.query("PRAGMA busy_timeout")["data"] == [{"timeout": 30_000}]
    in_file.commit(insert(count=2))
    in_file.commit(insert())
    in_file.close()
    assert count(in_file) == written + 3


def test_a_call_amid_a_call_of_its_thread(in_file: Any) -> None:
    """A function that a statement calls, or what the garbage collector runs: the connection stays in use."""

    def called() -> None:
        in_file.query("SELECT 1")
        with contextlib.suppress(Exception):  # SQLite has no transaction within another
            in_file.batch(insert("inner", 2), transaction=True)
        in_file.close()

    in_file._store.use(lambda connection: connection.create_function("called", 0, called))
    assert in_file.commit_now([*insert("one"), {"sql": "SELECT called()"}, *insert("two")])
    assert [row["a"] for row in in_file.query("SELECT a FROM t")["data"]] == ["one", "two"]


def fill(database: Any, rows: int) -> None:
    """Write rows, each at once where it can be."""
    for _ in range(rows):
        if not database.commit_now(insert("x" * 3_000)):
            database.commit(insert("x" * 3_000))
        looked_at(database)


def test_a_long_log_is_taken_into_its_file(
    in_file: Any, log: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a thread of its own, while writes go on, so that the log stays short."""
    monkeypatch.setattr(_checkpoints, "LOG_BYTES", 100_000)
    in_file.commit(insert())
    in_file._store._checkpoints.after_fork()  # the bound that it has taken is another
    longest = 0
    for _ in range(40):
        fill(in_file, 25)
        longest = max(longest, log.stat().st_size)
        checkpoints_end()
    assert longest < 1_000_000
    assert path.stat().st_size > 2_000_000
    assert in_file.commit_now(insert()), "the new log has begun"
    assert count(in_file) == 1_002


def test_sqlite_makes_no_checkpoint_of_its_own(in_file: Any, log: Path) -> None:
    """Amid a commit, that is."""
    in_file.batch(insert("x" * 3_000, 100), transaction=True)
    assert in_file.query("PRAGMA wal_autocheckpoint")["data"] == [{"wal_autocheckpoint": 0}]


def test_a_reader_keeps_the_log_for_as_long_as_it_reads(
    in_file: Any, log: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another process, for example: it sees its moment; then the log is cut."""
    monkeypatch.setattr(_checkpoints, "LOG_BYTES", 100_000)
    in_file._store._checkpoints.after_fork()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
        fill(in_file, 100)
        checkpoints_end()
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
        assert log.stat().st_size > 300_000
    for _ in range(5):
        fill(in_file, 30)
        checkpoints_end()
    assert log.stat().st_size < 300_000
    assert count(in_file) == 250


def test_the_write_that_may_begin_a_log_anew_is_a_workers(in_file: Any, path: Path) -> None:
    """A log that was copied whole but not cut, as another process held the lock: SQLite syncs the new one's header."""
    store = in_file._store
    assert store.use_now(lambda connection: connection.execute("INSERT INTO t VALUES ('at once')"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as rival:
        rival.execute("BEGIN IMMEDIATE")
        assert store._checkpoint() > 0
        rival.execute("ROLLBACK")
    assert not store.use_now(lambda connection: connection.execute("INSERT INTO t VALUES ('at once')"))
    in_file.commit(insert())
    assert store.use_now(lambda connection: connection.execute("INSERT INTO t VALUES ('at once')"))
    assert store._checkpoint() == 0
    looked_at(in_file)
    assert store.use_now(lambda connection: connection.execute("INSERT INTO t VALUES ('at once')"))


def test_close_leaves_no_log(in_file: Any, log: Path, path: Path) -> None:
    """All of it stands in the file."""
    in_file.commit(insert())
    in_file.close()
    assert not log.exists()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


class Paused:
    """Something that a checkpoint does waits until the test lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self._began, self._ends = threading.Event(), threading.Event()
        call = getattr(owner, name)

        def paused(*args: Any) -> Any:
            self._began.set()
            self._ends.wait(60)
            return call(*args)

        monkeypatch.setattr(owner, name, paused)

    def begin(self, database: Any) -> None:
        """Begin a checkpoint, and wait until it is there."""
        database.commit(insert())
        database._store._checkpoints._due_at = 1
        looked_at(database)
        count(database)
        assert self._began.wait(60)

    def end(self) -> None:
        """Let it go on."""
        self._ends.set()


@pytest.fixture
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any log is long."""
    monkeypatch.setattr(_checkpoints, "LOG_BYTES", 1)


@pytest.mark.usefixtures("always_due")
def test_close_waits_for_a_checkpoint(in_file: Any, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the file open, too."""
    paused = Paused(monkeypatch, _store, "copy_log")
    paused.begin(in_file)
    closing = threading.Thread(target=in_file.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    paused.end()
    closing.join()
    assert not log.exists()


@needs_open_files_to_move
@pytest.mark.usefixtures("always_due")
@pytest.mark.parametrize(("owner", "name"), [(_store.Store, "_checkpoint"), (_store, "copy_log")])
def test_a_file_that_goes_amid_a_checkpoint(
    in_file: Any, path: Path, owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint's own connection puts no file in its place: the next call writes it anew, whole."""
    paused = Paused(monkeypatch, owner, name)
    paused.begin(in_file)
    path.rename(path.with_name("moved.db"))
    paused.end()
    checkpoints_end()
    assert not path.exists()
    in_file.commit(insert())
    assert count(in_file) == 2


@needs_open_files_to_move
def test_a_copy_of_a_file_that_is_gone(in_file: Any, path: Path) -> None:
    """It is of all that the open file has."""
    in_file.commit(insert())
    path.rename(path.with_name("moved.db"))
    looked_at(in_file)
    copy = path.with_name("copy.db")
    in_file.copy_to(str(copy))
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
    assert count(in_file) == 1


def test_a_client_that_goes_amid_a_checkpoint(path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is closed at the end of that."""
    monkeypatch.setattr(_checkpoints, "LOG_BYTES", 1)
    paused = Paused(monkeypatch, _store, "restart_log")
    client = PerSQL(local=path)
    database: Any = client.database("acme/a")
    database.query("CREATE TABLE t (a)")
    paused.begin(database)
    del client, database
    gc.collect()
    paused.end()
    checkpoints_end()
    assert not log.exists()


def test_a_log_that_was_long_once() -> None:
    """A reader has kept it from being cut; since another process has cut it, it is bounded as ever."""
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 20 * _checkpoints.LOG_BYTES

    checkpoints = Checkpoints()
    for size in (_checkpoints.LOG_BYTES, 2 * _checkpoints.LOG_BYTES, 0, _checkpoints.LOG_BYTES):
        checkpoints.grown(size, make)
        checkpoints.end()
    assert len(made) == 2


@needs_open_files_to_move
def test_what_is_replaced_waits_for_readers(in_file: Any, path: Path, log: Path) -> None:
    """What the log holds is taken into its own file, although the last write was one that doesn't wait."""
    with PerSQL(local=path.with_name("other.db")) as client:
        client.database("acme/a").query("CREATE TABLE t (a)")
    in_file.commit(insert())
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    looked_at(in_file)
    assert in_file.commit_now(insert())
    moved = path.with_name("moved.db")
    path.rename(moved)
    path.with_name("other.db").rename(path)
    ends = threading.Timer(0.2, reader.close)
    ends.start()
    in_file.close()
    ends.join()
    with contextlib.closing(sqlite3.connect(moved)) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


class InterruptedLock:
    """A lock at which Ctrl-C comes: before it is taken, or when it has been.

    Args:
        lock: A connection's own.
        taken: Whether it has been.
    """

    def __init__(self, lock: Any, *, taken: bool) -> None:
        self._lock = lock
        self._taken = taken

    def acquire(self, *, blocking: bool) -> bool:
        if self._taken:
            assert self._lock.acquire(blocking=blocking)
        raise KeyboardInterrupt

    def release(self) -> None:
        self._lock.release()


@pytest.mark.parametrize("taken", [False, True])
def test_ctrl_c_as_the_connection_is_taken(in_file: Any, monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    """It is free for other threads all the same."""
    store = in_file._store
    with monkeypatch.context() as patched:
        patched.setattr(store, "_lock", InterruptedLock(store._lock, taken=taken))
        with pytest.raises(KeyboardInterrupt):
            in_file.commit_now(insert())
    free: list[bool] = []

    def take() -> None:
        free.append(store._lock.acquire(blocking=False))
        if free[0]:
            store._lock.release()

    other = threading.Thread(target=take)
    other.start()
    other.join()
    assert free == [True]
