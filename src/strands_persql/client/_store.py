"""One SQLite database in this process, and the one connection to it, which threads take in turns.

A connection stands on files that anybody may move, replace or delete while it is open, and SQLite doesn't look at their
names again. So what stands at the path is compared with what is open, at each use that doesn't follow another within
two milliseconds: the comparison takes half as long as a commit. A file that is gone is written anew, whole, from what
the connection still has; where another file stands, nothing more is written. A write-ahead log that is gone is what a
raw read of the file leads to: closing any descriptor of it drops this process's locks (sqlite.org/howtocorrupt.html,
section 2.2), and the next program that looks takes the log into the file and deletes it. Then all connections of this
process are closed, and opened again with locks.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePath
from typing import TypeVar

from ..errors import PerSQLError, brief
from ._checkpoints import Checkpoints, copy_log, has_log, restart_log
from ._failures import closed_error, logger_of
from ._file_errors import file_error
from ._files import Identity, OpenFile, create_privately, followed, identity, uri_of
from ._forks import abandon, all_closed, closables, is_closed, opening, survive_forks
from ._gone import copy_database, empty_log, keep_log, was_written_anew, write_anew
from ._pace import Pace

logger = logger_of(__name__)

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a call waits for another process or connection that is writing, before `database_locked`."""
LOOK_SECONDS = 0.002
"""How long a file is taken to stand where it stood."""
CACHED_STATEMENTS = 512  # prepared ones, kept per connection (sqlite3's default: 128)

_carried: set[Identity] = set()  # the files on which this process has connections of the one it was forked from


class Store:
    """One SQLite database.

    Args:
        path: Its file; empty for one in memory.
        prepare: Called before its file is opened; makes its folder, for example.
        opened: Called when its file has been opened.
        in_passing: It is a second connection to a file that another store has open, for as long as a piece of work
            takes: it creates no file, saves none that is gone, and takes in no log.

    Attributes:
        place: What to call it.
        path: Its file; empty for one in memory.
        used: When it was used last.
    """

    def __init__(
        self,
        path: str,
        *,
        prepare: Callable[[], None] = lambda: None,
        opened: Callable[[Store], None] = lambda store: None,
        in_passing: bool = False,
    ) -> None:
        self.place = brief(path, 300) or "memory"
        self.used = 0.0
        self.path = path
        self._prepare = prepare
        self._opened = opened
        self._lock = threading.RLock()
        self._in_use = False
        self._connection: sqlite3.Connection | None = None
        self._file: OpenFile | None = None
        self._looked = 0.0
        self._log_size = 0
        self._copied_at: int | None = None  # the connection's changes when its log was copied, and maybe whole
        self._waits: bool | None = True  # whether the connection waits for others' locks; None while that changes
        self._pace = Pace()
        self._in_passing = in_passing
        self._checkpoints = Checkpoints()
        self._refusal: str | None = None
        self._closed = self._dropped = False
        self._wiped = False
        survive_forks(self)

    def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection, on this thread alone; SQLite's errors come out as the service's."""
        while True:
            with self._lock:
                self.used = now = time.perf_counter()
                is_inside = self._in_use  # of a call of this thread, which this one interrupts
                try:
                    connection = self._connection or self._open()
                    if now - self._looked < LOOK_SECONDS or self._is_there(now):
                        self._in_use = True
                        self._wait_for_locks(True)
                        return work(connection)
                except (sqlite3.Error, sqlite3.Warning) as cause:
                    # Up to Python 3.11 a second statement in the string is a "warning".
                    raise file_error(cause, self.path, seconds=BUSY_SECONDS) from cause
                finally:
                    self._in_use = is_inside
            with all_closed():
                self._leave()  # for its error

    def use_now(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Do something with the connection if that can't wait for anything, and has been quick lately.

        Nothing waits for a thread, a process, or a disk: the connection is open and free, its file is in WAL mode (or
        it is in memory), its log has begun, and no other process holds the write lock.

        Returns:
            Whether it was done. If not, nothing of it was.

        Raises:
            sqlite3.Error: `work` has failed.
        """
        taken, is_inside = None, self._in_use
        try:
            taken = self._lock.acquire(blocking=False)
            now = time.perf_counter()  # the monotonic clock of Windows ticks every 15 ms
            connection = self._connection if taken else None
            if connection is None or self._in_use or not self._pace.is_quick(now) or not self._is_ready(now):
                return False
            try:
                self.used, self._in_use = now, True
                self._wait_for_locks(False)
                work(connection)
            finally:
                self._in_use = False
                finished = time.perf_counter()
                self._pace.tried(finished - now, finished)
            return True
        finally:
            if taken or (taken is None and not is_inside):
                with suppress(RuntimeError):  # Ctrl-C came as the lock was taken, or before
                    self._lock.release()

    def _is_ready(self, now: float) -> bool:
        if self._file is None:
            return not self.path
        if not self._file.has_log:  # asked before a look at a file that may lie on a network drive
            return False
        there = now - self._looked < LOOK_SECONDS or self._is_there(now)
        # The first write to a log waits for the disk: SQLite syncs its header. After a checkpoint that could not cut
        # the log, the next write may begin it anew.
        if self._connection is not None and self._copied_at != self._connection.total_changes:
            self._copied_at = None
        return there and self._log_size > 0 and self._copied_at is None

    def _is_there(self, now: float) -> bool:
        """Look whether the file that is open still stands at its path, and how long its log is."""
        if self._file is None:
            return True
        size = self._file.log_size()
        if size is None:
            return False
        self._looked, self._log_size = now, size
        if self._file.has_log and not self._in_passing:
            self._checkpoints.grown(size, self._checkpoint)
        return True

    def _wait_for_locks(self, waits: bool) -> None:
        """Whether the connection waits for what other processes have locked."""
        if waits is not self._waits and self.path and self._connection is not None:
            self._waits = None
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000) if waits else 0}")
            self._waits = waits

    def _checkpoint(self) -> int:
        """Take the log into the file; how many bytes are left in it."""
        side = Store(self.path, in_passing=True)
        try:
            side.use(copy_log)
        finally:
            side.rest()
        with self._lock:
            if self._connection is None:
                return self._log_size
            self._copied_at = self._connection.total_changes
            if self._in_use:
                return self._log_size
            self._in_use = True
            try:
                self._wait_for_locks(False)
                if not restart_log(self._connection):
                    return self._log_size
                self._copied_at = None
                return 0
            finally:
                self._in_use = False
                if self._dropped:
                    self._end()

    def copy_to(self, path: str) -> None:
        """Write all of it into an empty file; of a file, calls of other threads go on meanwhile."""
        source = Store(self.path, in_passing=True) if self.path else self
        if self.path:
            self.use(lambda connection: None)  # it creates the file, or writes it anew
        try:
            source.use(lambda connection: copy_database(connection, path))
        finally:
            source.rest()

    @property
    def is_open(self) -> bool:
        """Whether it has a file, and that is open."""
        return bool(self.path) and self._connection is not None

    @property
    def is_kept(self) -> bool:
        """Whether it has something that would be lost with it: memory, an open file, or bytes that are to be wiped."""
        return not self.path or self._connection is not None or self._wiped

    def wipe(self) -> None:
        """What has been overwritten or deleted is to be gone from the file's bytes once it is closed."""
        self._wiped = bool(self.path)

    # Opening

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise closed_error()
        if self._refusal is not None:
            raise PerSQLError(self._refusal)
        self._prepare()
        with opening(self):
            if self.path and not self._in_passing:
                with suppress(OSError):  # what is wrong with its place, SQLite says
                    create_privately(followed(self.path))
        try:
            self._connection = self._connected()
        except BaseException:
            is_closed(self)
            raise
        self._waits = True
        self._looked = 0.0
        if self.path:
            self._file = OpenFile.at(self.path)
            self._opened(self)
        return self._connection

    def _connected(self) -> sqlite3.Connection:
        if _carried and identity(self.path) in _carried:
            raise PerSQLError(_CARRIED.format(file=self.place))
        connection = sqlite3.connect(
            f"{uri_of(PurePath(self.path))}?mode=rw" if self._in_passing else self.path or ":memory:",
            uri=self._in_passing,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # else macOS leaves what is synced in the disk's cache
            if self.path and has_log(connection, BUSY_SECONDS):
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `_checkpoints`
                connection.execute("PRAGMA schema_version").fetchone()  # the first to read opens the log
        except BaseException:
            connection.close()
            raise
        return connection

    # Closing

    def close(self) -> None:
        """Close the connection for good, once the call that is using it has ended."""
        self._close(for_good=True)

    def rest(self) -> None:
        """Close the connection of a file, once the call that is using it has ended; the next call opens it again."""
        if self.path:
            self._close(for_good=False)

    def _close(self, *, for_good: bool) -> None:
        with self._lock:
            self._end()
            self._closed = self._closed or for_good
            self._refusal = None
            is_free = not self._in_use
        if is_free:
            self._checkpoints.end()

    def drop(self) -> None:
        """Close the connection if nobody is using it: its client is gone, or the interpreter ends."""
        self._dropped = True  # a checkpoint under way closes it at its end
        if self._lock.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._lock.release()

    def _end(self) -> None:
        if not self._in_use:
            self._wipe()
            self._leave()

    def gives_way(self) -> bool:
        """Close the connection of a file unless it is in use now; whether that was done."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not self._in_use:
                self._leave_quietly()
            return self._connection is None
        finally:
            self._lock.release()

    def hold(self) -> None:
        """Keep other threads away; the connection to a file is closed, unless a call of this very thread uses it."""
        self._lock.acquire()
        if self.path and not self._in_use:
            self._leave_quietly()

    def release(self) -> None:
        """Let other threads use it again."""
        self._lock.release()

    def _leave_quietly(self) -> None:
        try:
            self._leave()
        except PerSQLError as error:  # it stays open, and the next call is told
            logger.debug("file=<%s>, error=<%s> | the file is gone, and could not be written anew", self.place, error)

    def _leave(self) -> None:
        """Close the connection; first save what it has, where the file has gone from under it.

        Raises:
            PerSQLError: It could not be saved, and stays open.
        """
        connection, file = self._connection, self._file
        if connection is None:
            return
        change = None if file is None else file.change()
        self._wait_for_locks(True)
        if file is not None and change == "gone" and not self._in_passing:
            self._prepare()
            write_anew(connection, file, place=self.place)
        elif file is not None and change == "another":
            if not was_written_anew(file):
                self._refusal = _REPLACED.format(file=self.place)
            empty_log(connection, file)
        elif change == "reopen" and file is not None and identity(file.log) is not None:
            keep_log(connection)  # of another connection, it may be
        connection.close()
        self._connection = self._file = None
        is_closed(self)

    def _wipe(self) -> None:
        """Rebuild the file where something in it was overwritten or deleted: no page keeps bytes of it."""
        if self._wiped:
            self._wiped = False
            try:
                self.use(lambda connection: connection.execute("VACUUM"))
            except PerSQLError as error:
                logger.warning(
                    "file=<%s>, error=<%s> | bytes of what was erased may be left in the file: run VACUUM on it",
                    self.place,
                    error,
                )

    def after_fork(self) -> None:
        """In a child process: leave alone what the parent has open all the same."""
        if self._connection is not None:
            abandon(self._connection)
            self._refusal = (_CARRIED if self.path else _IN_MEMORY).format(file=self.place)
            if self._file is not None:
                _carried.add((self._file.device, self._file.inode))
        self._connection = self._file = None
        self._lock = threading.RLock()
        self._in_use = self._wiped = False
        self._checkpoints.after_fork()


_REPLACED = (
    "another file stands at {file} than the one that is open: it was replaced while in use, and nothing more is "
    "written to either. Close the database (database.close()), or restart the process, to go on from the file that "
    "stands there now; stop all processes that use a file before you replace it."
)
_IN_MEMORY = (
    "the database in memory belongs to the process this one was forked from; use a file "
    '(local="agents.db"), or open the client after the fork'
)
_CARRIED = (
    "{file} was open when this process was forked by something that gives Python no notice, or amid a call: it can't "
    "be used safely here. Close the client before the fork, or start a fresh process instead"
)


def is_open(path: str) -> bool:
    """Whether this process has the file at a path open as a database: a raw read of it would drop its locks."""
    found = identity(path)
    return found is not None and any(identity(store.path) == found for store in closables() if isinstance(store, Store))
