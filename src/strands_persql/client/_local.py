"""Local databases: SQLite files, or memory, in this process, with the call shapes and the errors of the service.

Each client opens a file once and shares that connection between its handles and threads. WAL mode lets other processes
read while one writes; a writer waits for another up to 30 seconds. Foreign keys are enforced, as the service does.

A commit is handed to the operating system before the call returns (WAL with `synchronous=NORMAL`): what was stored
survives the death of the process at any moment. A power cut or a crash of the whole machine can take the last commits
with it, never more, and never leaves a damaged file. An fsync per commit would close that gap too, at several times the
cost of the commit (measured: 3 ms instead of 0.1 ms). A file that can't use WAL is written with `synchronous=FULL`.

What is deleted or overwritten (a redaction, an erased message) is overwritten with zeros in the file's free space too
(`secure_delete`), once the write-ahead log has been taken into the file.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, TypeVar

from ..errors import PermissionDeniedError, PerSQLError
from ._failures import classify, closed_error, remedy, subject
from ._forks import abandon, survive_forks
from ._handle import Handle
from ._names import file_name, name_of_file
from ._protocol import QueryResult, Statement
from ._statements import Prepared, first_words, only_reads

__all__ = ["Folder", "LocalDatabase"]

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a call waits for another process or connection that is writing, before `database_locked`."""
CACHED_STATEMENTS = 512
"""Prepared statements kept per connection (sqlite3's default: 128)."""

_TRANSACTION_WORDS = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_CONNECTION_WORDS = frozenset({"ATTACH", "DETACH", "VACUUM"})


_FILE_ERRORS = (
    ("readonly", "{file} is read-only; make the file and its folder writable"),
    (
        "database_locked",
        "{file} has been locked by another process for {seconds:g} s; end its transaction, and keep the file off "
        "network drives",
    ),
    ("not a database", "{file} is no SQLite database; choose another file for local="),
    ("encrypted", "{file} is no SQLite database; choose another file for local="),
    ("malformed JSON", ""),
    ("malformed", "{file} is damaged; restore it from a backup, or try sqlite3's .recover"),
    ("is full", "the disk of {file} is full; free some space, and call again"),
    ("disk I/O error", "the disk of {file} failed; check the disk, and that the file was not moved or deleted"),
)
"""What to do about errors that concern the whole file, by their kind or by a part of SQLite's message."""


class LocalDatabase(Handle):
    """A database in a local SQLite file, or in memory."""

    loses_answers = False

    def __init__(self, name: str, store: _Store) -> None:
        super().__init__(name)
        self._store = store
        self._identity: Hashable = os.path.realpath(store.place) if os.path.isabs(store.place) else store

    @property
    def identity(self) -> Hashable:
        """The file, or the memory itself."""
        return self._identity

    def _query(self, statement: Prepared) -> QueryResult:
        _refuse(statement)
        return self._store.use(lambda connection: _run(connection, statement))

    def commit(
        self,
        statements: Sequence[Statement],
        *,
        key: str | None = None,
        patient: bool = True,
        after: PerSQLError | None = None,
    ) -> None:
        """Run statements of this package's own making as one transaction."""
        prepared = [(statement["sql"], statement.get("params", ())) for statement in statements]
        self._store.use(lambda connection: _transaction(connection, prepared, _execute))

    def _batch(self, statements: Sequence[Prepared], transaction: bool, key: str | None) -> list[QueryResult]:
        for statement in statements:
            _refuse(statement)
        if transaction:
            return self._store.use(lambda connection: _transaction(connection, statements, _run))
        return self._store.use(lambda connection: [_run(connection, statement) for statement in statements])

    def __repr__(self) -> str:
        return f"<local database {self.name!r} in {self._store.place}>"


class Folder:
    """Where the local databases of a client live: one file, a folder of files, or memory.

    Args:
        local: `":memory:"`, a folder (it ends in a slash, or is one), or else a file.
    """

    def __init__(self, local: str | os.PathLike[str]) -> None:
        text = os.fspath(local)
        if not text or "\0" in text:
            raise ValueError('local= takes a file ("agents.db"), a folder ("agents/") or ":memory:"')
        self._memory = text == ":memory:"
        ends_in_slash = text.endswith(os.sep) or (os.altsep is not None and text.endswith(os.altsep))
        # Absolute at once: a later os.chdir must not lead to other files.
        self._path = "" if self._memory else os.path.abspath(text)
        self._is_folder = not self._memory and (ends_in_slash or os.path.isdir(self._path))
        self._lock = threading.Lock()
        self._stores: dict[str, _Store] = {}
        self._closed = False
        survive_forks(self)

    def store(self, namespace: str, slug: str) -> _Store:
        """The store of a database; opened by the first call on it."""
        if self._memory:
            key, path = f"{namespace}/{slug}", ""
        elif self._is_folder:
            key = path = os.path.join(self._path, file_name(namespace, slug))
        else:
            key = path = self._path
        with self._lock:
            if self._closed:
                raise closed_error()
            if key not in self._stores:
                self._stores[key] = _Store(path, make_folder=self._is_folder)
            return self._stores[key]

    def names(self) -> list[str]:
        """The databases that exist: the folder's files, or those of memory that this client has used."""
        if self._is_folder:
            files = sorted(os.listdir(self._path)) if os.path.isdir(self._path) else []
            return [name for name in map(name_of_file, files) if name is not None]
        if self._memory:
            with self._lock:
                return sorted(self._stores)
        return []

    def after_fork(self) -> None:
        """In a child process: another lock, since a thread of the parent may hold this one."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all files; databases in memory are gone."""
        with self._lock:
            self._closed = True
            stores = list(self._stores.values())
        for store in stores:
            store.close()

    def __repr__(self) -> str:
        return f"local={':memory:' if self._memory else self._path!r}"


class _Store:
    """One SQLite database and the one connection to it, which threads take in turns."""

    def __init__(self, path: str, *, make_folder: bool) -> None:
        self.place = path or "memory"
        self._path = path
        self._make_folder = make_folder
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._lost = False
        survive_forks(self)

    def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection, on this thread alone; SQLite's errors come out as the service's."""
        with self._lock:
            try:
                return work(self._connection or self._open())
            except (sqlite3.Error, sqlite3.Warning) as cause:
                # Up to Python 3.11 a second statement in the string is a "warning".
                raise self._error(cause) from cause

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise closed_error()
        if self._lost:
            raise PerSQLError(
                "the database in memory belongs to the process this one was forked from; use a file "
                '(local="agents.db"), or open the client after the fork'
            )
        if self._path and self._make_folder:
            try:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)
            except OSError as cause:
                raise PermissionDeniedError(
                    f"the folder {os.path.dirname(self._path)} can't be created ({cause.strerror}); choose another for "
                    "local="
                ) from cause
        connection = sqlite3.connect(
            self._path or ":memory:",
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA synchronous = FULL")
            if self._path and _set_wal(connection):
                connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _error(self, cause: sqlite3.Error | sqlite3.Warning) -> PerSQLError:
        text = str(cause)
        detail = classify(text)
        kind: str = detail["kind"]
        error: type[PerSQLError] = PermissionDeniedError if kind == "readonly" else PerSQLError
        if kind == "unknown" and "unable to open" in text:
            error, words = self._unopened()
        else:
            about_file = next((words for sign, words in _FILE_ERRORS if sign == kind or sign in text), "")
            words = about_file.format(file=self.place, seconds=BUSY_SECONDS) or remedy(detail)
        label = kind if kind != "unknown" else "the statement was refused"
        return error(f"{label}{subject(detail)}: {words}", kind=kind, detail=detail)

    def _unopened(self) -> tuple[type[PerSQLError], str]:
        folder = os.path.dirname(self._path)
        if not os.path.isdir(folder):
            return PerSQLError, f"{self.place} can't be opened: create the folder {folder} first"
        if os.path.isdir(self._path):
            words = f"{self.place} is a folder; write local= with a slash at its end for a file per database"
            return PerSQLError, words
        words = f"{self.place} can't be opened; make the file and its folder readable and writable"
        return PermissionDeniedError, words

    def after_fork(self) -> None:
        """In a child process: leave the parent's connection alone."""
        abandon(self._connection)
        self._lost = self._lost or (not self._path and self._connection is not None)
        self._connection = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection, once the call that is using it has ended."""
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __del__(self) -> None:
        # A client that was dropped without close(): Python 3.13 warns of connections that nobody closed.
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()


def _transaction(
    connection: sqlite3.Connection,
    statements: Sequence[Prepared],
    run: Callable[[sqlite3.Connection, Prepared], T],
) -> list[T]:
    if len(statements) == 1:  # one statement is a transaction by itself
        return [run(connection, statements[0])]
    # Taking the write lock at once avoids the deadlock of two readers that both want to write; readers alone need one
    # snapshot and no lock.
    connection.execute("BEGIN" if all(only_reads(sql) for sql, _ in statements) else "BEGIN IMMEDIATE")
    try:
        results = [run(connection, statement) for statement in statements]
        connection.execute("COMMIT")
    except BaseException:
        # SQLite ends the transaction by itself on some errors (a full disk).
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def _execute(connection: sqlite3.Connection, statement: Prepared) -> None:
    connection.execute(*statement)


def _run(connection: sqlite3.Connection, statement: Prepared) -> QueryResult:
    before = connection.total_changes
    cursor = connection.execute(*statement)
    rows: list[Any] = cursor.fetchall()
    written = connection.total_changes - before
    description = cursor.description
    if description is None:
        return {"data": [], "columns": [], "rows": [], "rows_written": written}
    columns = [column[0] for column in description]
    return {
        "data": list(map(dict, map(zip, repeat(columns), rows))),  # in C: a restore has thousands of rows
        "columns": columns,
        "rows": list(map(list, rows)),
        "rows_written": written,
    }


def _set_wal(connection: sqlite3.Connection) -> bool:
    """Switch the file to WAL, for all its users; False for one that can't (read-only, a network drive)."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
            if mode != "wal":
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


@lru_cache(maxsize=512)
def _refusal(sql: str) -> str | None:
    word, second = first_words(sql)
    if word in _TRANSACTION_WORDS:
        return f"{word} is not available: a transaction is one batch(…, transaction=True)"
    if word in _CONNECTION_WORDS:
        return f"{word} is not available; open another database with client.database"
    if word == "CREATE" and second in ("TEMP", "TEMPORARY"):
        return "temporary tables are not available; use a table, or a common table expression"
    return None


def _refuse(statement: Prepared) -> None:
    """Refuse what the service refuses."""
    words = _refusal(statement[0])
    if words is not None:
        raise PerSQLError(
            f"the statement was refused: {words}", kind="unknown", detail={"kind": "unknown", "message": words}
        )
