"""Strands' `Storage`, bytes under keys, in the same database: snapshots, offloaded tool results, files of memory.

Strands has it from release 1.48 on, `search` from 1.54, `SnapshotSessionManager` over it from 1.51. On an older one
this module can be imported all the same, and `PerSQLStorage` says what it needs.
"""

from __future__ import annotations

import builtins
import copy
import importlib
import re
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..client import logger_of
from ..database.tables import agent_prefix, session_prefix
from ..engine.options import checked_session_id
from ..engine.sandboxes import users_of
from ..engine.threads import awaited, submit_call
from ..errors import EncryptionError, PerSQLError, named
from ._calls import Calls
from ._objects import KEYS_A_BATCH, Objects, UnreadableError
from ._sealed import ObjectSeals
from .words import has_unparted, words_to_find

if TYPE_CHECKING:
    from strands.storage.search import SearchStrategy, StorageSearchResult

    from ..client import Database
    from ..database.about import About
    from ..database.tables import KeySize
    from ..encryption import Encryption

T = TypeVar("T")
logger = logger_of(__name__)

MAX_KEY_BYTES = 4096
"""Bytes of UTF-8 in a key, namespaces included."""

SCANNED_BYTES = 2_000_000
"""Bytes of objects, less the last one, that one request reads for a keyword search."""

MOST_WORDS = 64
"""Words of a query that a search by the index looks for."""


class PerSQLStorage:
    """A `strands.storage.Storage` in a PerSQL database.

    ```python
    manager = PerSQLSessionManager("user-42", db)
    Agent(session_manager=manager, plugins=[ContextOffloader(storage=manager.storage())])
    Agent(session_manager=SnapshotSessionManager("user-43", storage=PerSQLStorage(db, session_id="user-43")))
    FileMemoryStore(name="facts", storage=PerSQLStorage(db))
    ```

    What is a session's belongs into a storage of that session: `PerSQLSessionManager.storage()`, or `session_id=`.
    Other sessions can't reach it, and it goes along when the session is copied, renamed, exported or deleted. A storage
    of no session is for what all share. A `ContextOffloader` that was given one keeps the results of agents with a
    `PerSQLSessionManager` in their sessions all the same.

    Keys are what Strands' own backends make of them: runs of `/` count as one, those at either end don't count, and an
    empty key, a backslash and a segment `..` are refused. Values have any size. Up to a megabyte is one row, and up to
    about 4 MB is written, and read, by one request; more takes further requests, and still nobody ever reads parts of
    two values. Of two writers of a key the last one wins.

    Nothing here blocks the event loop: requests run on worker threads. Whoever is cancelled while writing stops
    waiting, and the write goes on; what this storage is asked for later of that key comes after it.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        session_id: The session whose objects these are; None for a storage of no session.
        table_prefix: Starts the name of the table, `{table_prefix}objects`.
        index: Keep a full-text index (FTS5) of the objects' names, less their extensions, and of the first megabyte of
            those that are text, so that `search` is one request. Each write then costs several more rows, whoever
            makes it: triggers keep the index. See `rebuild_index` for objects from before. What is overwritten or
            deleted leaves it for good: at once from SQLite 3.42 on, as PerSQL has it; before, in that the index is
            merged, which takes the longer the larger it is, and which only a storage with `index=True` does when it
            deletes. A local file whose index was made by 3.42 or later can't be written to by older ones. Where the
            database has no FTS5, search goes without.
        search_strategy: One of Strands' `SearchStrategy` (Strands 1.56 on): told of each write, and asked by `search`.
        create_tables: Create the table when a write finds none; False sends no DDL ever.
        encryption: The keys that values are encrypted with; None: they are stored in clear.
        about: What the session is begun with, where one of its objects is stored before anything else of it.

    Raises:
        ImportError: This release of Strands has no storage.
        TypeError: `database` is no synchronous handle, or `session_id` no string.
        ValueError: `table_prefix` is not safe inside SQL, `session_id` is blank, or of an index, a strategy and
            encryption there are two that exclude each other.
    """

    def __init__(
        self,
        database: Database,
        *,
        session_id: str | None = None,
        table_prefix: str = "strands_",
        index: bool = False,
        search_strategy: SearchStrategy[Any] | None = None,
        create_tables: bool = True,
        encryption: Encryption | None = None,
        about: About | None = None,
    ) -> None:
        self._error = _storage_error()
        if index and encryption is not None:
            raise ValueError("What is encrypted has no full-text index. Leave out index=True, or encryption=.")
        if index and search_strategy is not None:
            raise ValueError("index=True and search_strategy= are two ways to search. Pass one of them.")
        seals = None if encryption is None else ObjectSeals(database, table_prefix, encryption, about)
        self._objects = Objects(database, table_prefix, index=index, create_tables=create_tables, seals=seals)
        self._calls = Calls()
        self._search_strategy = search_strategy
        self._session_id = None if session_id is None else checked_session_id(session_id)
        self._begin = "" if session_id is None else session_prefix(session_id)
        self._sandbox: object = None
        self._is_namespace = False

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
                f"Failed to write {named(key)}: a value is bytes, got {type(data).__name__}. Encode it first, for "
                "example text.encode()."
            )
        value = bytes(data)  # what its owner changes later is not written
        full = self._prefix + relative
        writing = self._calls.in_turn(full, partial(self._objects.write, full, value))
        await self._outcome("write", key, awaited(writing))
        if self._search_strategy is not None:
            try:
                await self._search_strategy.index(self, relative, value)
            except Exception as error:
                raise self._error(f"Wrote {named(key)} but indexing failed") from error

    async def read(self, key: str) -> bytes | None:
        """The value under a key; None where there is none.

        Raises:
            StorageError: The key is refused, the database failed, or what is stored can't be read.
        """
        full = self._prefix + self._key(key)
        reading = self._calls.after(full, partial(self._objects.read, full))
        return await self._outcome("read", key, awaited(reading))

    async def delete(self, key: str) -> None:
        """Delete the value under a key; nothing happens where there is none.

        Raises:
            StorageError: The key is refused, or the database failed.
        """
        full = self._prefix + self._key(key)
        deleting = self._calls.in_turn(full, partial(self._objects.delete, full))
        await self._outcome("delete", key, awaited(deleting))

    async def list(self, query: str = "") -> builtins.list[str]:
        """The keys that begin with a prefix, in the order of code points.

        Args:
            query: How they begin; empty for all.

        Raises:
            StorageError: The prefix is refused, or the database failed.
        """
        return [each.key for each in await self._list(query)]

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
            words = sorted(set(re.findall(r"\w+", query.lower())) - stop_words)
            words = [piece for word in words for piece in _pieces(word)][:MOST_WORDS]
            searching = submit_call(partial(self._objects.search, words, self._prefix))
            found = await self._outcome("search", query, awaited(searching))
            if found is not None:
                return [result_type(key=self._relative(each.key), score=float(each.score)) for each in found]
        scan = _Scan(await self._list(""), self._read_many)
        results: builtins.list[StorageSearchResult] = await self._outcome(
            "search", query, keyword.KeywordSearchStrategy().search(scan, query)
        )
        return results

    async def rebuild_index(self) -> int:
        """Add the objects to the full-text index that were written before it was made; the number of this storage's.

        Objects may be written meanwhile.

        Raises:
            StorageError: The database failed.
            ValueError: This storage keeps no index.
        """
        if not self._objects.indexed:
            raise ValueError("This storage keeps no index. Make it with PerSQLStorage(…, index=True).")
        await self._outcome("index", self._prefix, awaited(submit_call(self._objects.fill_index)))
        return len(await self.list(""))

    def namespace(self, prefix: str) -> PerSQLStorage:
        """The same storage with a prefix before all keys: whoever has it sees nothing else.

        Args:
            prefix: Path segments, such as `"tenants/acme"`. Namespaces nest.

        Raises:
            StorageError: The prefix is refused.
        """
        normalized = self._normalized(prefix).rstrip("/")
        scoped = copy.copy(self)
        scoped._begin = f"{self._prefix}{normalized}/" if normalized else self._prefix
        scoped._is_namespace = True
        # Strands' mark of a storage that it must not put into a namespace of its own.
        mark = getattr(importlib.import_module("strands.storage.storage"), "_NAMESPACED", None)
        setattr(scoped, "_namespaced", mark)  # noqa: B010
        return scoped

    def for_sandbox(self, sandbox: object) -> PerSQLStorage:
        """The storage that an agent's `ContextOffloader` uses: its own part of its session's, once it is in one.

        Strands asks for it by the agent's sandbox, before the agent is built. A namespace is used as it is, as is a
        storage whose session the agent doesn't belong to. Where agents of several sessions share the sandbox, it can't
        be told whose the results are: each call then raises a `StorageError`.
        """
        if self._is_namespace:
            return self
        bound = copy.copy(self)
        bound._sandbox = sandbox
        return bound

    @property
    def _prefix(self) -> str:
        """What stands before all keys."""
        if self._sandbox is None:
            return self._begin
        users = users_of(self._sandbox)
        sessions = {session_id for session_id, _ in users if self._session_id in (None, session_id)}
        if len(sessions) > 1:
            raise self._error(
                "Agents of several sessions share one sandbox, so what they offload can't be told apart. Give each "
                "ContextOffloader a storage of its session: storage=manager.storage()."
            )
        if sessions:
            self._begin = session_prefix(*sessions)
            # Strands' default sandbox is one agent's alone.
            if type(self._sandbox).__name__ == "NotASandboxLocalEnvironment" and len(users) == 1:
                self._begin += agent_prefix(*(agent_id for _, agent_id in users))
            self._sandbox = None
        return self._begin

    async def _list(self, query: str) -> builtins.list[KeySize]:
        """The keys that begin with a prefix, and the bytes of their values."""
        full = self._prefix + self._normalized(query, what="prefix")
        found = await self._outcome("list", query, awaited(submit_call(partial(self._objects.list_keys, full))))
        return [each._replace(key=self._relative(each.key)) for each in found]

    def _read_many(self, keys: Sequence[str]) -> Future[dict[str, bytes | UnreadableError]]:
        full = [self._prefix + key for key in keys]
        return submit_call(lambda: {self._relative(key): value for key, value in self._objects.read_many(full).items()})

    def _relative(self, key: str) -> str:
        """A key as it is inside this namespace."""
        return key[len(self._prefix) :]

    async def _outcome(self, verb: str, key: str, call: Awaitable[T]) -> T:
        try:
            return await call
        except Exception as error:
            if isinstance(error, self._error):
                raise
            # Errors of this package hold no content and no token; of others nobody knows.
            reason = (
                str(error)
                if isinstance(error, (PerSQLError, UnreadableError, EncryptionError))
                else type(error).__name__
            )
            raise self._error(f"Failed to {verb} {named(key)}: {reason}") from error

    def _key(self, key: str) -> str:
        normalized = self._normalized(key).strip("/")
        if not normalized:
            raise self._error("Storage key must not be empty")
        if len((self._prefix + normalized).encode()) > MAX_KEY_BYTES:
            raise self._error(
                f"Invalid storage key {named(key[:40])}…: with its namespace it may have {MAX_KEY_BYTES} bytes at "
                "most. Shorten it, or use a hash of it."
            )
        return normalized

    def _normalized(self, key: str, *, what: str = "key") -> str:
        """A key or prefix as Strands' own backends take it."""
        if "\\" in key:
            raise self._error(f"Invalid storage {what} {named(key)}: backslashes are not allowed")
        normalized = re.sub(r"/+", "/", key).lstrip("/")
        if ".." in normalized.split("/"):
            raise self._error(f"Invalid storage {what} {named(key)}: '..' path segments are not allowed")
        if "\0" in normalized or any("\ud800" <= character <= "\udfff" for character in normalized):
            raise self._error(f"Invalid storage {what} {named(key)}: NUL and lone surrogates are not allowed")
        return normalized


class _Scan:
    """A storage as Strands' keyword search sees it: it asks for object after object, which are read by pages.

    Args:
        objects: All keys with the sizes of their values; they are read in this order.
        read_many: Reads the values of some of them.
    """

    def __init__(
        self,
        objects: Sequence[KeySize],
        read_many: Callable[[builtins.list[str]], Future[dict[str, bytes | UnreadableError]]],
    ) -> None:
        self._read_many = read_many
        self._page_of: dict[str, int] = {}
        self._pages: builtins.list[builtins.list[str]] = [[]]
        self._values: dict[int, Future[dict[str, bytes | UnreadableError]]] = {}
        total = 0
        for each in objects:
            if len(self._pages[-1]) == KEYS_A_BATCH or total > SCANNED_BYTES:
                self._pages.append([])
                total = 0
            self._pages[-1].append(each.key)
            self._page_of[each.key] = len(self._pages) - 1
            total += each.size

    async def list(self, query: str) -> builtins.list[str]:
        """All keys."""
        return [*self._page_of]

    async def read(self, key: str) -> bytes | None:
        """One of the values."""
        number = self._page_of[key]
        if number not in self._values:
            self._values[number] = self._read_many(self._pages[number])
            self._values.pop(number - 2, None)  # a small batch of Strands' touches two pages at most
        value = (await awaited(self._values[number])).get(key)
        if isinstance(value, UnreadableError):  # one bad object must not fail the search, as it did in Strands at first
            logger.warning("key=<%s>, error=<%s> | left out of the search", key, value)
            return None
        return value


def _pieces(word: str) -> builtins.list[str]:
    """A word as the index has it: of scripts that don't part words, the pairs of letters."""
    return words_to_find(word, most=MOST_WORDS) if has_unparted(word) else [word]


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
