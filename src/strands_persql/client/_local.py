"""Local databases: SQLite files, or memory, in this process, with the call shapes and the errors of the service.

Each client opens a file once and shares that connection between its handles and threads. WAL mode lets other processes
read while one writes; a writer waits for another up to 30 seconds. Foreign keys are enforced, as the service does.

A commit is handed to the operating system before the call returns (WAL with `synchronous=NORMAL`): what was stored
survives the death of the process at any moment. A power cut or a crash of the whole machine can take the last commits
with it, never more, and never leaves a damaged file. An fsync per commit would close that gap too, at several times the
cost of the commit (measured: 3 ms instead of 0.1 ms). A file that can't use WAL is written with `synchronous=FULL`.

A file that is new is its owner's alone (0600), and uses WAL; one that its owner keeps without WAL is left so.

What is deleted or overwritten (a redaction, an erased message) is overwritten with zeros in the file's free space too
(`secure_delete`), once the write-ahead log has been taken into the file. Copies of it may stay in pages that SQLite has
filled anew before: where something was erased, the file is rebuilt when it is closed.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache, partial
from itertools import repeat
from typing import Any, TypeVar

from ..errors import PermissionDeniedError, PerSQLError
from ._failures import closed_error, logger_of
from ._files import is_folder, make_private_folder, open_privately, place_of
from ._forks import survive_forks
from ._handle import Handle
from ._names import file_name, is_device, label_of_file, name_of_file, split_name
from ._protocol import QueryResult, Statement
from ._statements import Prepared, characters_of, first_words, only_reads
from ._store import Store

logger = logger_of(__name__)

T = TypeVar("T")

MAX_OPEN = 64
"""Files that a client has open at most, of three descriptors each: more of them take turns."""

AT_ONCE_STATEMENTS, AT_ONCE_CHARACTERS = 16, 64_000
"""The most statements, and characters of text in them, of a transaction that is run at once: some 0.3 ms."""

_TRANSACTION_WORDS = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_CONNECTION_WORDS = frozenset({"ATTACH", "DETACH", "VACUUM"})


class LocalDatabase(Handle):
    """A database in a local SQLite file, or in memory."""

    loses_answers = False

    def __init__(self, name: str, folder: Folder, store: Store) -> None:
        super().__init__(name)
        self._folder = folder  # it closes its files when nobody refers to it any more
        self._store = store
        self._identity: Hashable = os.path.normcase(os.path.realpath(store.path)) if store.path else store

    @property
    def identity(self) -> Hashable:
        """The file, or the memory itself."""
        return self._identity

    @property
    def path(self) -> str | None:
        """Its file; None where it is in memory."""
        return self._store.path or None

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
        timeout: float | None = None,
    ) -> None:
        """Run statements of this package's own making as one transaction."""
        prepared = [(statement["sql"], statement.get("params", ())) for statement in statements]
        self._store.use(lambda connection: _transaction(connection, prepared, _execute))

    def commit_now(self, statements: Sequence[Statement]) -> bool:
        """Run a small transaction at once, if the file is free and has been quick lately."""
        if len(statements) > AT_ONCE_STATEMENTS:
            return False
        prepared = [(statement["sql"], statement.get("params", ())) for statement in statements]
        if sum(characters_of(params) for _, params in prepared) > AT_ONCE_CHARACTERS:
            return False
        return self._store.use_now(lambda connection: _transaction(connection, prepared, _execute))

    def _batch(self, statements: Sequence[Prepared], transaction: bool, key: str | None) -> list[QueryResult]:
        for statement in statements:
            _refuse(statement)
        if transaction:
            return self._store.use(lambda connection: _transaction(connection, statements, _run))
        return self._store.use(lambda connection: [_run(connection, statement) for statement in statements])

    def copy_to(self, path: str) -> None:
        """Write all of it into an empty file, by SQLite's online backup, while other calls go on."""
        self._store.copy_to(path)

    def wipe(self) -> None:
        self._store.wipe()

    def close(self) -> None:
        self._store.rest()

    def __repr__(self) -> str:
        return f"<local database {self.name!r} in {self._store.place}>"


class Folder:
    """Where the local databases of a client live: one file, a folder of files, or memory.

    Args:
        local: `":memory:"`, a folder (it ends in a slash, or is one), or else a file.
    """

    def __init__(self, local: str | os.PathLike[str]) -> None:
        text = place_of(local)
        if not text or "\0" in text:
            raise ValueError('local= takes a file ("agents.db"), a folder ("agents/") or ":memory:"')
        self._memory = text == ":memory:"
        # Absolute at once: a later os.chdir must not lead to other files.
        self._path = "" if self._memory else os.path.abspath(text)
        self._is_folder = is_folder(text)
        if os.name == "nt" and not self._is_folder and is_device(os.path.basename(self._path)):
            raise ValueError("local= is the name of a device on Windows, which keeps nothing; name the file otherwise")
        self._lock = threading.Lock()
        # A file's store is there while anybody has it, or it is open: a service has a file for each of its users.
        self._stores: weakref.WeakValueDictionary[str, Store] = weakref.WeakValueDictionary()
        self._kept = _Kept()
        self._closed = False
        survive_forks(self)
        # A client that was dropped without close(), or is still there when the interpreter ends.
        weakref.finalize(self, _close_unused, self._kept)

    @property
    def has_one_each(self) -> bool:
        """Whether each database has a file, or a memory, of its own."""
        return self._memory or self._is_folder

    def store(self, namespace: str, slug: str) -> Store:
        """The store of a database; opened by the first call on it."""
        name = f"{namespace}/{slug}"
        if self._memory:
            key, path = name, ""
        elif self._is_folder:
            key = path = os.path.join(self._path, file_name(namespace, slug))
        else:
            key = path = self._path
        with self._lock:
            if self._closed:
                raise closed_error()
            store = self._stores.get(key)
            if store is None:
                prepare = partial(_prepare, path, name) if self._is_folder else _nothing
                store = self._stores[key] = Store(path, prepare=prepare, opened=self._kept.add)
                if self._memory:
                    self._kept.stores.add(store)
            return store

    def names(self) -> list[str]:
        """The databases that exist: the folder's files, or those of memory that this client has used."""
        if self._is_folder:
            files = os.listdir(self._path) if os.path.isdir(self._path) else []
            return sorted(name for name in map(self._name_of, files) if name is not None)
        if self._memory:
            with self._lock:
                return sorted(self._stores)
        return []

    def _name_of(self, file: str) -> str | None:
        label = label_of_file(file)
        if label is None:
            return name_of_file(file)
        with suppress(OSError, ValueError), open(os.path.join(self._path, label), encoding="utf-8") as lines:
            name = lines.read(1_000).strip()
            return name if file_name(*split_name(name)) == file else None
        return None

    def after_fork(self) -> None:
        """In a child process: another lock, since a thread of the parent may hold this one."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all files; databases in memory are gone."""
        with self._lock:
            self._closed = True
            stores = {*self._stores.values(), *self._kept.stores}
        with ExitStack() as closing:  # all of them, whatever one of them raises
            for store in stores:
                closing.callback(store.close)

    def __repr__(self) -> str:
        return f"local={':memory:' if self._memory else self._path!r}"


class _Kept:
    """The stores of a client that are there although nobody may have them any more.

    Those in memory, the files that are open, of which those used longest ago make room for others, and the files from
    which something is to be wiped when the client is closed.
    """

    def __init__(self) -> None:
        self.stores: set[Store] = set()

    def add(self, store: Store) -> None:
        """One more file has been opened."""
        self.stores.add(store)
        stores = sorted(self.stores.copy(), key=lambda each: each.used)
        surplus = sum(each.is_open for each in stores) - MAX_OPEN
        for old in stores:
            if old is not store and surplus > 0 and old.is_open:
                surplus -= old.gives_way()
            if not old.is_kept:
                self.stores.discard(old)


def _close_unused(kept: _Kept) -> None:
    for store in kept.stores.copy():
        try:
            store.drop()
        except PerSQLError as error:
            logger.warning("file=<%s>, error=<%s> | what was stored is lost", store.place, error)


def _prepare(path: str, name: str) -> None:
    """Make the folder of a database, and the file that tells its name where that of its own file is cut."""
    folder, file = os.path.split(path)
    try:
        make_private_folder(folder)
        label = label_of_file(file)
        if label is not None and not os.path.exists(os.path.join(folder, label)):
            with open(os.path.join(folder, label), "w", encoding="utf-8", opener=open_privately) as lines:
                lines.write(f"{name}\n")
    except OSError as cause:
        raise PermissionDeniedError(
            f"the folder {folder} can't be created, or not be written to ({cause.strerror}); choose another for local="
        ) from cause


def _nothing() -> None:
    """A single file's folder is not made: it may be a typing error."""


def _transaction(
    connection: sqlite3.Connection,
    statements: Sequence[Prepared],
    run: Callable[[sqlite3.Connection, Prepared], T],
) -> list[T]:
    if len(statements) == 1:  # one statement is a transaction by itself
        return [run(connection, statements[0])]
    # Taking the write lock at once avoids the deadlock of two readers that both want to write; readers alone need one
    # snapshot and no lock.
    begin = "BEGIN" if all(only_reads(sql) for sql, _ in statements) else "BEGIN IMMEDIATE"
    is_inside = connection.in_transaction  # of a call that this one interrupts: SQLite refuses another
    try:
        connection.execute(begin)
        results = [run(connection, statement) for statement in statements]
        connection.execute("COMMIT")
    except BaseException:
        # SQLite ends the transaction by itself on some errors (a full disk).
        if connection.in_transaction and not is_inside:
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
