"""A local file's write-ahead log, and its checkpoints, on a thread of their own.

SQLite takes a log into its file amid the commit that makes it long: some 30 ms, and two calls that wait for the disk,
on whatever thread that is. So its own checkpoints are turned off, and a thread makes them once the log has
`LOG_BYTES`. The long part needs no lock, and commits go on meanwhile. Then, with the connection to itself, it takes in
the rest, cuts the log, and makes the first write to the new log, which waits for the disk (SQLite syncs its header).
"""

from __future__ import annotations

import contextvars
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..errors import PerSQLError
from ._failures import classify, logger_of

logger = logger_of(__name__)

LOG_BYTES = 4_000_000
"""How long a log gets before it is taken into its file: as with SQLite's own rule of 1,000 pages. What is written
meanwhile comes on top. A reader of another process that keeps its transaction open keeps the log growing; then it is
tried again after as many bytes more."""


class Checkpoints:
    """When a store's log is taken into its file."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """In a child process no thread runs."""
        self._due_at = LOG_BYTES
        self._thread: threading.Thread | None = None

    def grown(self, size: int, make: Callable[[], int]) -> None:
        """The log has so many bytes; the store's lock is held.

        Args:
            size: The bytes.
            make: Makes a checkpoint, and tells how many bytes are left in the log. Called on a thread of its own.
        """
        if self._thread is not None:
            return
        if size < LOG_BYTES:
            self._due_at = LOG_BYTES  # it was cut meanwhile, by another process for example
        if size < self._due_at:
            return
        self._due_at = size + LOG_BYTES
        thread = threading.Thread(target=self._run, args=[make], name="persql-checkpoint", daemon=False)
        with suppress(RuntimeError):  # the interpreter is ending, or the system has no more threads
            self._thread = thread
            contextvars.Context().run(thread.start)
            return
        self._thread = None

    def end(self) -> None:
        """Wait for the one under way: it holds a connection to the file."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self, make: Callable[[], int]) -> None:
        try:
            self._due_at = make() + LOG_BYTES
        except (PerSQLError, sqlite3.Error) as error:
            logger.debug("error=<%s> | a log was not taken into its file", error)
        finally:
            self._thread = None


def has_log(connection: sqlite3.Connection, seconds: float) -> bool:
    """Switch a new file to WAL, for all its users; False for one that can't, or that its owner keeps without.

    A file can't be switched that is read-only, or lies on a network drive. Others that begin it at the same time are
    waited for, so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
            if mode != "wal" and connection.execute("PRAGMA page_count").fetchone()[0] == 0:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            return mode == "wal"
        except sqlite3.OperationalError as error:
            kind = classify(str(error))["kind"]
            if kind == "readonly":
                return False
            # Where several begin at once, SQLite fails one of them at once, busy timeout or not.
            if kind != "database_locked" or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def copy_log(connection: sqlite3.Connection) -> None:
    """Take a log into its file, as far as no reader needs the older pages, while others write."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def restart_log(connection: sqlite3.Connection) -> bool:
    """Take in the rest of a log, cut it, and begin the new one; whether nobody stood in the way."""
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if not busy:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version:d}")  # the smallest write: a page that holds the same
    return not busy
