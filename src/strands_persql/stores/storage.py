"""Strands' `Storage`, bytes under keys, in the same database: snapshots, offloaded tool results, files of memory.

Strands has it from release 1.48 on, `search` from 1.54, `SnapshotSessionManager` over it from 1.51. On an older one
this module can be imported all the same, and `PerSQLStorage` says what it needs.
"""

from __future__ import annotations

import asyncio
import builtins
import copy
import importlib
import logging
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from ..client import survive_forks
from ..database.connector import Store, fault_of
from ..database.tables import (
    Encoded,
    ObjectTables,
    decoded,
    first_number,
    lacks_secure_deletion,
)
from ..engine.threads import submit
from ..errors import PerSQLError

if TYPE_CHECKING:
    from strands.storage.search import SearchStrategy, StorageSearchResult

    from ..client import Database, Statement
    from ..database.connector import Row

__all__ = ["PerSQLStorage"]

T = TypeVar("T")
logger = logging.getLogger(__name__)

MAX_KEY_BYTES = 4096
"""Bytes of UTF-8 in a key, namespaces included."""

PARTS_A_REQUEST = 4
"""Parts, of a megabyte at most each, that one request writes or reads: PerSQL names no limit of a request's body."""

KEYS_A_PAGE = 2_000
"""Keys that one request lists."""

KEYS_A_BATCH = 45
"""Objects that one request reads for a keyword search, or enters into the index by two statements each."""

SCANNED_BYTES = 2_000_000
"""Bytes of objects, less the last one, that one request reads for a keyword search."""

MOST_FOUND = 1_000
"""The most that a search by the index answers."""

MOST_WORDS = 64
"""Words of a query that a search by the index looks for."""

ATTEMPTS = 5
"""How often a value in parts is written or read from the start, when another writer gets in between."""


class PerSQLStorage:
    """A `strands.storage.Storage` in a PerSQL database.

    ```python
    storage = PerSQLStorage(db)
    Agent(session_manager=SnapshotSessionManager("user-42", storage=storage))
    Agent(plugins=[ContextOffloader(storage=storage)])
    FileMemoryStore(name="facts", storage=storage)
    ```

    Keys are what Strands' own backends make of them: runs of `/` count as one, those at either end don't count, and an
    empty key, a backslash and a segment `..` are refused. Values have any size. Up to a megabyte is one row, and up to
    about 4 MB is written, and read, by one request; more takes further requests, and still nobody ever reads parts of
    two values. Of two writers of a key the last one wins.

    Nothing here blocks the event loop: requests run on worker threads. Whoever is cancelled while writing stops
    waiting, and the write goes on; what this storage is asked for later of that key comes after it.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        table_prefix: Starts the name of the table, `{table_prefix}objects`.
        index: Keep a full-text index (FTS5) of the objects' names, less their extensions, and of the first megabyte of
            those that are text, so that `search` is one request. Each write then costs several more rows. Everybody who
            writes to the table has to keep it; see `rebuild_index` for objects from before. What is overwritten or
            deleted leaves it for good: at once from SQLite 3.42 on, as PerSQL has it; before, in that the index is
            merged, which takes the longer the larger it is. A local file whose index was written to by 3.42 or later
            can't be written to by older ones. Where the database has no FTS5, search goes without.
        search_strategy: One of Strands' `SearchStrategy` (Strands 1.56 on): told of each write, and asked by `search`.
        create_tables: Create the table when a write finds none; False sends no DDL ever.

    Raises:
        ImportError: This release of Strands has no storage.
        TypeError: `database` is no synchronous handle.
        ValueError: `table_prefix` is not safe inside SQL, or there are both an index and a strategy.
    """

    def __init__(
        self,
        database: Database,
        *,
        table_prefix: str = "strands_",
        index: bool = False,
        search_strategy: SearchStrategy[Any] | None = None,
        create_tables: bool = True,
    ) -> None:
        self._error = _storage_error()
        if index and search_strategy is not None:
            raise ValueError("index=True and search_strategy= are two ways to search. Pass one of them.")
        self._objects = _Objects(database, table_prefix, index=index, create_tables=create_tables)
        self._calls = _Calls()
        self._search_strategy = search_strategy
        self._prefix = ""

    async def write(self, key: str, data: bytes) -> None:
        """Store a value under a key, in the place of the one there.

        Args:
            key: The key.
            data: The value: bytes, or what is like them.

        Raises:
            StorageError: The key is refused, `data` is no bytes, or the database failed.
        """
        relative = self._key(key)
        if not isinstance(data, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._error(
                f"Failed to write {key!r}: a value is bytes, got {type(data).__name__}. Encode it first, for example "
                "text.encode()."
            )
        value = bytes(data)  # what its owner changes later is not written
        full = self._prefix + relative
        await self._call("write", key, self._calls.writing(full, partial(self._objects.write, full, value)))
        if self._search_strategy is not None:
            try:
                await self._search_strategy.index(self, relative, value)
            except Exception as error:
                raise self._error(f"Wrote {key!r} but indexing failed") from error

    async def read(self, key: str) -> bytes | None:
        """The value under a key; None where there is none.

        Raises:
            StorageError: The key is refused, the database failed, or what is stored can't be read.
        """
        full = self._prefix + self._key(key)
        return await self._call("read", key, self._calls.reading(full, partial(self._objects.read, full)))

    async def delete(self, key: str) -> None:
        """Delete the value under a key; nothing happens where there is none.

        Raises:
            StorageError: The key is refused, or the database failed.
        """
        full = self._prefix + self._key(key)
        await self._call("delete", key, self._calls.writing(full, partial(self._objects.delete, full)))

    async def list(self, query: str = "") -> builtins.list[str]:
        """The keys that begin with a prefix, in the order of code points.

        Args:
            query: How they begin; empty for all.

        Raises:
            StorageError: The prefix is refused, or the database failed.
        """
        return [key for key, _ in await self._sizes(query)]

    async def search(self, query: str) -> builtins.list[StorageSearchResult]:
        """Find objects by words, best first, with scores above 0 that are higher for a better match.

        By the index, where there is one: any of the words, ranked by BM25, at most 1,000 results, without their values.
        Else by Strands' own keyword search over all objects, which are read a few dozen a request.

        Args:
            query: What to look for, in plain words.

        Raises:
            StorageError: The database failed, or this release of Strands has no search (it came with 1.54).
        """
        if self._search_strategy is not None:
            return await self._search_strategy.search(self, query)
        try:
            keyword = importlib.import_module("strands.storage.search.keyword")
            result_type: type[StorageSearchResult] = importlib.import_module(
                "strands.storage.storage"
            ).StorageSearchResult
        except (ImportError, AttributeError) as error:
            raise self._error(
                "Strands' storage has no search in this release. Upgrade it: pip install -U 'strands-agents>=1.54'"
            ) from error
        if self._objects.indexed:
            stop_words: frozenset[str] = getattr(keyword, "STOP_WORDS", frozenset())  # Strands left none out at first
            words = sorted(set(re.findall(r"\w+", query.lower())) - stop_words)[:MOST_WORDS]
            rows = await self._call(
                "search", query, self._calls.reading(None, partial(self._objects.search, words, self._prefix))
            )
            if rows is not None:
                start = len(self._prefix)
                return [result_type(key=row["key"][start:], score=float(row["score"])) for row in rows]
        found: builtins.list[StorageSearchResult] = await keyword.KeywordSearchStrategy().search(_Scan(self), query)
        return found

    async def rebuild_index(self) -> int:
        """Make the full-text index anew, for objects that were written without; the number of objects in it.

        In a namespace it enters those of the namespace. Objects may be written meanwhile.

        Raises:
            StorageError: The database failed.
            ValueError: This storage keeps no index.
        """
        if not self._objects.indexed:
            raise ValueError("This storage keeps no index. Make it with PerSQLStorage(…, index=True).")
        keys = [self._prefix + key for key in await self.list("")]
        await self._call("index", self._prefix, self._calls.reading(None, partial(self._objects.reindex, keys)))
        return len(keys)

    def namespace(self, prefix: str) -> PerSQLStorage:
        """The same storage with a prefix before all keys: whoever has it sees nothing else.

        Args:
            prefix: Path segments, such as `"tenants/acme"`. Namespaces nest.

        Raises:
            StorageError: The prefix is refused.
        """
        normalized = self._normalized(prefix).rstrip("/")
        scoped = copy.copy(self)
        scoped._prefix = f"{self._prefix}{normalized}/" if normalized else self._prefix
        # Strands' mark of a storage that it must not put into a namespace of its own.
        mark = getattr(importlib.import_module("strands.storage.storage"), "_NAMESPACED", None)
        setattr(scoped, "_namespaced", mark)  # noqa: B010
        return scoped

    async def _sizes(self, query: str) -> builtins.list[tuple[str, int]]:
        """The keys that begin with a prefix, and the bytes of their values."""
        full = self._prefix + self._normalized(query, what="prefix")
        found = await self._call("list", query, self._calls.reading(None, partial(self._objects.list, full)))
        start = len(self._prefix)
        return [(key[start:], size) for key, size in found]

    async def _call(self, verb: str, key: str, future: Future[T]) -> T:
        try:
            return await asyncio.wrap_future(future)
        except Exception as error:
            if isinstance(error, self._error):
                raise
            # Errors of this package hold no content and no token; of others nobody knows.
            reason = str(error) if isinstance(error, (PerSQLError, _UnreadableError)) else type(error).__name__
            raise self._error(f"Failed to {verb} {key!r}: {reason}") from error

    def _key(self, key: str) -> str:
        normalized = self._normalized(key).strip("/")
        if not normalized:
            raise self._error("Storage key must not be empty")
        if len((self._prefix + normalized).encode()) > MAX_KEY_BYTES:
            raise self._error(
                f"Invalid storage key {key[:40]!r}…: with its namespace it may have {MAX_KEY_BYTES} bytes at most. "
                "Shorten it, or use a hash of it."
            )
        return normalized

    def _normalized(self, key: object, *, what: str = "key") -> str:
        """A key or prefix as Strands' own backends take it."""
        if not isinstance(key, str):
            raise self._error(f"Invalid storage {what}: it must be a string, got {type(key).__name__}")
        if "\\" in key:
            raise self._error(f"Invalid storage {what} {key!r}: backslashes are not allowed")
        normalized = re.sub(r"/+", "/", key).lstrip("/")
        if ".." in normalized.split("/"):
            raise self._error(f"Invalid storage {what} {key!r}: '..' path segments are not allowed")
        if "\0" in normalized or any("\ud800" <= character <= "\udfff" for character in normalized):
            raise self._error(f"Invalid storage {what} {key!r}: NUL and lone surrogates are not allowed")
        return normalized


class _UnreadableError(Exception):
    """What is stored is no value."""


class _Objects:
    """The objects of one prefix; each method is a request or, where it says so, several. For worker threads."""

    def __init__(self, database: Database, prefix: str, *, index: bool, create_tables: bool) -> None:
        self._database, self._create_tables = database, create_tables
        self._use(ObjectTables(prefix, index=index))

    def _use(self, tables: ObjectTables) -> None:
        self._tables = tables
        self._store = Store(self._database, tables, create_tables=self._create_tables)
        # Nobody needs tables to find nothing in them: a token that may only read has no business with DDL.
        self._reader = Store(self._database, tables, create_tables=False)

    @property
    def indexed(self) -> bool:
        """Whether a full-text index is kept."""
        return self._tables.index

    def write(self, key: str, data: bytes) -> None:
        """Store a value; more than one request where it is longer than a few megabytes."""
        value = Encoded.of(data)
        for attempt in range(1, ATTEMPTS + 1):
            first = first_number()
            try:
                self._write(key, value, first)
                return
            except Exception as error:
                fault = fault_of(error)
                if len(value.parts) == 1 or fault not in ("unique_violation", "not_null_violation"):
                    raise
                if fault == "not_null_violation":  # somebody deleted the key while this was under way
                    end = first + len(value.parts) - 1
                    self._put(partial(ObjectTables.drop_parts, key=key, start=first, end=end))
                # Else parts of another writing have these numbers, and they are left alone.
                if attempt == ATTEMPTS:
                    raise

    def _write(self, key: str, value: Encoded, first: int) -> None:
        parts = list(enumerate(value.parts[1:], first))
        # What goes along in the last request, with the first part: that one makes the value visible, whole.
        early = max(0, len(parts) - (PARTS_A_REQUEST - 1))
        for start in range(0, early, PARTS_A_REQUEST):
            batch = parts[start : min(start + PARTS_A_REQUEST, early)]
            self._put(partial(ObjectTables.put_parts, key=key, parts=batch))
        self._put(partial(ObjectTables.put, key=key, value=value, first=first, last_parts=parts[early:]))

    def _put(self, statements: Callable[[ObjectTables], Sequence[Statement]]) -> None:
        tables = self._tables
        try:
            self._write_forgetting(statements)
        except Exception as error:
            if not tables.index or "no such module" not in str(error).lower():
                raise
            logger.warning("table_prefix=<%s> | the database has no FTS5, storage keeps no index", tables.prefix)
            self._use(ObjectTables(tables.prefix))
            if without := statements(self._tables):
                self._store.write(without, key=uuid4().hex)

    def _write_forgetting(
        self, statements: Callable[[ObjectTables], Sequence[Statement]], *, create_tables: bool = True
    ) -> None:
        """One request, two where it turns out that this SQLite can't delete securely."""
        tables = self._tables
        planned = statements(tables)
        try:
            if planned:
                (self._store if create_tables else self._reader).write(planned, key=uuid4().hex)
        except Exception as error:
            if not (tables.index and tables.secure and lacks_secure_deletion(error)):
                raise
            self._use(ObjectTables(tables.prefix, index=True, secure=False))
            self._write_forgetting(statements, create_tables=create_tables)

    def read(self, key: str) -> bytes | None:
        """A value; more than one request where it is longer than a few megabytes."""
        for _ in range(ATTEMPTS):
            rows = self._read(self._tables.read(key, PARTS_A_REQUEST))
            if not rows or rows[0]["part"] != 0:
                return None
            head = rows[0]
            start, end = head["first"], head["first"] + head["parts"] - 1
            parts = {row["part"]: row["data"] for row in rows[1:] if start <= row["part"] < end}
            missing = [number for number in range(start, end) if number not in parts] if end - start < 1 << 20 else [-1]
            for at in range(0, len(missing), PARTS_A_REQUEST):
                wanted = missing[at : at + PARTS_A_REQUEST]
                found = self._read(self._tables.read_parts(key, wanted[0], wanted[-1] + 1))
                if not {row["part"] for row in found} >= set(wanted):
                    break  # written anew in the meantime
                parts.update((row["part"], row["data"]) for row in found)
            else:
                return self._decoded(key, head["encoding"], [head["data"], *(parts[at] for at in range(start, end))])
        raise _UnreadableError(
            f"parts of it are missing in the table {self._tables.names[0]}. Write it anew, or delete it."
        )

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes | Exception]:
        """Values that are one row each, by one request; what can't be read is an error."""
        found: dict[str, bytes | Exception] = {}
        for row in self._read(self._tables.read_many(keys)):
            key: str = row["key"]
            try:
                data = self.read(key) if row["parts"] > 1 else self._decoded(key, row["encoding"], [row["data"]])
            except _UnreadableError as error:
                found[key] = error
            else:
                if data is not None:
                    found[key] = data
        return found

    def _decoded(self, key: str, encoding: str, parts: Sequence[str]) -> bytes:
        try:
            return decoded(encoding, parts)
        except ValueError as error:
            raise _UnreadableError(
                f"its row in the table {self._tables.names[0]} holds {error}. Write it anew, or delete it."
            ) from error

    def delete(self, key: str) -> None:
        """Delete a value."""
        delete = partial(ObjectTables.delete, key=key)
        try:
            self._write_forgetting(delete, create_tables=False)
        except Exception as error:
            if fault_of(error) != "unknown_table":
                raise
            if self.indexed:  # there may be objects and no index yet
                self._found(lambda: self._reader.write(delete(ObjectTables(self._tables.prefix)), key=uuid4().hex))

    def list(self, prefix: str) -> builtins.list[tuple[str, int]]:
        """Keys and sizes; a request a page."""
        found: builtins.list[tuple[str, int]] = []
        while True:
            after = found[-1][0] if found else None
            rows = self._read(self._tables.list_keys(prefix, after, KEYS_A_PAGE))
            found += [(row["key"], row["size"]) for row in rows]
            if len(rows) < KEYS_A_PAGE:
                return found

    def search(self, words: Sequence[str], prefix: str) -> Sequence[Row] | None:
        """Keys and scores by the index; None where there is none."""
        if not words:
            return ()
        return self._found(lambda: self._reader.read(self._tables.search(words, prefix, MOST_FOUND))[0])

    def reindex(self, keys: Sequence[str]) -> None:
        """Enter objects into the index anew; several requests."""
        self._put(ObjectTables.drop_orphans)
        for start in range(0, len(keys), KEYS_A_BATCH):
            self._put(partial(ObjectTables.reindex_many, keys=keys[start : start + KEYS_A_BATCH]))
        self._put(ObjectTables.scrub)

    def _read(self, statement: Statement) -> Sequence[Row]:
        return self._found(lambda: self._reader.read(statement)[0]) or ()

    def _found(self, request: Callable[[], T]) -> T | None:
        """What a request answers; None where there is no table."""
        try:
            return request()
        except Exception as error:
            if fault_of(error) != "unknown_table":
                raise
            return None


class _Calls:
    """Calls on worker threads; those that change one key run in the order in which they were asked for."""

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Nothing is under way."""
        self._lock = threading.Lock()
        self._last: dict[str, Future[Any]] = {}

    def writing(self, key: str, call: Callable[[], T]) -> Future[T]:
        """Run a call after all that change this key, and before all that are asked for later."""
        future, work = _work(call)
        with self._lock:
            before = self._last.get(key)
            self._last[key] = future
        future.add_done_callback(lambda done: self._forget(key, done))
        _run_after(before, work)
        return future

    def reading(self, key: str | None, call: Callable[[], T]) -> Future[T]:
        """Run a call after all that change this key; None: at once."""
        future, work = _work(call)
        with self._lock:
            before = None if key is None else self._last.get(key)
        _run_after(before, work)
        return future

    def _forget(self, key: str, done: Future[Any]) -> None:
        with self._lock:
            if self._last.get(key) is done:
                del self._last[key]


def _work(call: Callable[[], T]) -> tuple[Future[T], Callable[[], None]]:
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # whoever waits for it may be cancelled, the call is not

    def work() -> None:
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    return future, work


def _run_after(before: Future[Any] | None, work: Callable[[], None]) -> None:
    if before is None:
        submit(work)
    else:
        before.add_done_callback(lambda _: submit(work))


class _Scan:
    """What Strands' keyword search sees of a storage: it asks for object after object, which are read by pages."""

    def __init__(self, storage: PerSQLStorage) -> None:
        self._storage = storage
        self._page_of: dict[str, int] = {}
        self._pages: builtins.list[builtins.list[str]] = [[]]
        self._read: dict[int, Future[dict[str, bytes | Exception]]] = {}

    async def list(self, query: str) -> builtins.list[str]:
        """All keys; they are read in this order."""
        total = 0
        for key, size in await self._storage._sizes(query):  # pyright: ignore[reportPrivateUsage]
            if len(self._pages[-1]) == KEYS_A_BATCH or total > SCANNED_BYTES:
                self._pages.append([])
                total = 0
            self._pages[-1].append(key)
            self._page_of[key] = len(self._pages) - 1
            total += size
        return list(self._page_of)

    async def read(self, key: str) -> bytes | None:
        """One of them."""
        storage, number = self._storage, self._page_of[key]
        prefix = storage._prefix  # pyright: ignore[reportPrivateUsage]
        if number not in self._read:
            keys = [prefix + each for each in self._pages[number]]
            call = partial(storage._objects.read_many, keys)  # pyright: ignore[reportPrivateUsage]
            self._read[number] = storage._calls.reading(None, call)  # pyright: ignore[reportPrivateUsage]
            self._read.pop(number - 2, None)  # a small batch of Strands' touches two pages at most
        found = (await storage._call("read", key, self._read[number])).get(prefix + key)  # pyright: ignore[reportPrivateUsage]
        if isinstance(found, Exception):  # one bad object must not fail the search, as it did in Strands at first
            logger.warning("key=<%s>, error=<%s> | left out of the search", key, found)
            return None
        return found


def _storage_error() -> type[Exception]:
    """Strands' own error.

    Raises:
        ImportError: This release has no storage.
    """
    try:
        importlib.import_module("strands.storage")
        error: type[Exception] = importlib.import_module("strands.types.exceptions").StorageError
    except (ImportError, AttributeError) as missing:
        raise ImportError(
            "PerSQLStorage needs strands.storage, which came with Strands 1.48. "
            "Upgrade it: pip install -U 'strands-agents>=1.48'"
        ) from missing
    return error
