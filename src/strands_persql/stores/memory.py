"""Long-term memory for Strands agents in PerSQL: a `MemoryStore` (Strands 1.44 on) over full-text search.

Strands is asked for its memory module when a store is made, not when this module is imported: releases before 1.44 have
none. The store meets Strands' protocol by its shape and inherits nothing.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from ..database.connector import Row, Store
from ..database.encoding import now, parts_of
from ..database.tables import MemoryTables, lacks_secure_deletion, memory_id
from ..engine.threads import Turns, awaited, submit, submit_call
from ..errors import PerSQLError, SessionDataError
from .words import cleaned, words_of, words_to_find

if TYPE_CHECKING:
    from strands.memory import (
        AddMessagesContext,
        ExtractionConfig,
        MemoryEntry,
        MemoryToolConfig,
        SearchOptions,
    )
    from strands.types.content import Message
    from strands.types.tools import AgentTool

    from ..client import Database, Statement

__all__ = ["Memory", "MemoryPage", "PerSQLMemoryStore"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_CONTENT_BYTES = 64_000
"""The most bytes of UTF-8 one memory holds."""
MAX_METADATA_BYTES = 16_000
"""The most bytes of UTF-8 its metadata may be, as JSON."""
MAX_NAME_BYTES = 255
"""The most bytes of UTF-8 the name of a store, or a scope, may be."""
MAX_QUERY_WORDS = 32
"""The most words of a query that are searched for: of a longer one, those at its beginning and at its end."""
MAX_RESULTS = 100
"""The most memories a search or a page answers with."""

_DEFAULT_RESULTS = 10  # as Strands' own stores have it
_MEMORIES_A_WRITE = 90  # of the 100 statements that a batch may have, and parameters that a statement may have
_BYTES_A_WRITE = 1_000_000
_FORGOTTEN_AT_ONCE = 100
_MOST_SALTS = 8


@dataclass(frozen=True)
class Memory:
    """One memory.

    Attributes:
        memory_id: What `forget` takes.
        content: What was remembered.
        metadata: What was given along with it.
        created_at: When it was stored first: ISO 8601, UTC.
    """

    memory_id: str
    content: str
    metadata: Mapping[str, Any] = field(default_factory=lambda: {})
    created_at: str = ""


@dataclass(frozen=True)
class MemoryPage:
    """A page of a list of memories.

    Attributes:
        memories: In the order of their ids.
        after: What to pass as `after=` for the next page; None where this is the last.
    """

    memories: tuple[Memory, ...]
    after: str | None


class _Item(NamedTuple):
    content: str
    words: str
    metadata: str | None
    salt: int = 0


class PerSQLMemoryStore:
    """What an agent remembers across its sessions, found again by full-text search.

    A memory is a short text: a fact, a preference, a decision. The same text is kept once, however often it is added:
    what names it is a hash of its content within the store and scope, so a write that is tried again doubles nothing.
    A search finds the memories that have words of the query, best match first (FTS5's bm25). Words are compared
    without case and accents, English ones without their endings; Chinese, Japanese, Korean, Thai and other scripts
    that don't part words are compared by pairs of letters. Vectors are not used.

    ```python
    store = PerSQLMemoryStore(database, name="facts", scope="user-42")
    agent = Agent(model=model, memory_manager=MemoryManager(stores=[store], add_tool_config=True))
    ```

    Each call is one request (`forget_all` one for each hundred), made on a worker thread: the event loop is never
    blocked. The constructor makes none. The tables are created when a statement finds none.

    Where a local SQLite has no FTS5, or can't read an index that a newer one has made, memories are scanned instead,
    the newest 5,000 of the scope, and a warning says so.

    Args:
        database: A handle: `PerSQL(…).database("namespace/slug")`.
        name: Names this store to Strands, and its memories in the database. At most 255 bytes.
        scope: Whose memories: a user's or tenant's id. No method ever sees or changes those of another. At most 255
            bytes.
        description: For the model: what is in this store.
        max_search_results: Most results of a search that doesn't say; 10 by default.
        writable: Whether memories can be added.
        extraction: Let Strands save what is said every few turns, as `MemoryStoreConfig.extraction` has it: with True,
            or settings that name no extractor, the agent's model is asked for the facts in it.
        keep_messages: In that case don't ask a model, and keep each message as it is.
        forget_tool: Give the model a tool `forget_memory`, or one of another name or description.
        table_prefix: Starts the names of the tables.
        create_tables: Create the tables when a statement finds none; False sends no DDL ever.
        full_text: Keep a full-text index. False saves the index's own writes (1 row for a memory in place of 7 to 10,
            as SQLite 3.40 counts them), and scans: for few memories that are seldom searched.

    Raises:
        ImportError: This release of Strands has no memory stores.
        ValueError: A name, number or prefix that can't be used.
        TypeError: `database` is no synchronous database handle.
    """

    def __init__(
        self,
        database: Database,
        *,
        name: str,
        scope: str = "default",
        description: str | None = None,
        max_search_results: int | None = None,
        writable: bool = True,
        extraction: ExtractionConfig | bool | None = None,
        keep_messages: bool = False,
        forget_tool: MemoryToolConfig | bool = False,
        table_prefix: str = "strands_",
        create_tables: bool = True,
        full_text: bool = True,
    ) -> None:
        _require_memory()
        self.name = _checked_name(name, "name")
        self.scope = _checked_name(scope, "scope")
        self.description = description
        self.max_search_results = None if max_search_results is None else _checked_limit(max_search_results)
        self.writable = writable
        self.extraction: ExtractionConfig | bool | None = extraction if keep_messages else _with_extractor(extraction)
        self._forget_tool = forget_tool
        self._database = database
        self._create_tables = create_tables
        self._store = self._opened(MemoryTables(table_prefix, indexed=full_text))
        self._secure: bool | None = None
        """Whether the index drops words as they are forgotten (SQLite 3.42 on); None: not tried yet."""
        self._pending: deque[tuple[_Item, Future[str]]] = deque()
        self._turns = Turns(lambda at_once: submit(self._turn))

    # Strands' protocol

    async def initialize(self) -> None:
        """Create the tables, where they are missing: a token that can't read them fails here, before the agent runs.

        Strands calls it when the agent is built (1.47 on); nothing depends on it.

        Raises:
            PerSQLError: The database refused, or could not be reached.
        """
        await _off_loop(lambda: self._request(lambda store: store.read(*store.tables.probe())))

    async def search(self, query: str, options: SearchOptions | None = None) -> list[MemoryEntry]:
        """The memories that match a query, best first.

        No query is ever read as FTS5's syntax: it is taken as its words, of which a memory needs one; common English
        words don't count beside others.

        Args:
            query: Any text. Without a letter or digit it finds nothing.
            options: `max_search_results`, 1 to 100.

        Returns:
            Entries whose metadata is what was given to `add`, and `_id`, `_created_at` and `_relevance_score`, which is
            between 0 and 1, larger is better, comparable within one search.

        Raises:
            ValueError: `max_search_results` is not between 1 and 100.
            PerSQLError: The database refused, or could not be reached.
            SessionDataError: A stored row can't be read.
        """
        from strands.memory import MemoryEntry

        asked = (options or {}).get("max_search_results")
        limit = _checked_limit(asked) if asked is not None else self.max_search_results or _DEFAULT_RESULTS
        words = words_to_find(query, most=MAX_QUERY_WORDS)
        if not words:
            return []
        [rows] = await _off_loop(
            lambda: self._request(lambda store: store.read(store.tables.search(self.name, self.scope, words, limit)))
        )
        entries: list[MemoryEntry] = []
        for row in rows:
            memory = self._memory(row)
            found = {
                **memory.metadata,
                "_id": memory.memory_id,
                "_created_at": memory.created_at,
                "_relevance_score": float(row["score"]),
            }
            entries.append(MemoryEntry(content=memory.content, metadata=found))
        return entries

    async def add(self, content: str, metadata: dict[str, Any] | None = None) -> str:
        """Remember a text; one that is remembered already stays as it is, its metadata included.

        Texts that are added while a request is under way share the next one.

        Args:
            content: At most 64,000 bytes. Texts that differ in white space alone are the same.
            metadata: Anything JSON can hold, at most 16,000 bytes.

        Returns:
            Its id.

        Raises:
            ValueError: The store is not writable, the content is empty, or something is too large or no JSON.
            PerSQLError: The database refused, or could not be reached. Adding again is safe.
        """
        self._check_writable("add")
        item = _item(content, metadata)
        written: Future[str] = Future()
        written.set_running_or_notify_cancel()  # whoever waits may be cancelled, the write is not
        self._pending.append((item, written))
        self._turns.ask()
        return await awaited(written)

    async def add_messages(self, messages: list[Message], context: AddMessagesContext | None = None) -> list[str]:
        """Remember the text of messages, each as one memory with its role in the metadata; those without text are left.

        A long text is kept in several memories. Strands' sequence numbers are not needed: what is said twice is kept
        once.

        Args:
            messages: As Strands has them.
            context: Not used.

        Returns:
            The ids.

        Raises:
            ValueError: The store is not writable.
            PerSQLError: The database refused, or could not be reached. Adding again is safe.
        """
        self._check_writable("add_messages")
        items = [
            _item(part, {"role": message["role"]})
            for message in messages
            for part in parts_of(_text_of(message), MAX_CONTENT_BYTES)
            if part.strip()
        ]
        return await _off_loop(lambda: self._remember(items))

    def get_tools(self) -> list[AgentTool]:
        """The tools of this store besides those of Strands' `MemoryManager`: one to forget, where it was asked for."""
        if self._forget_tool is False:
            return []
        from strands import tool  # pyright: ignore[reportUnknownVariableType]

        settings = cast("MemoryToolConfig", {} if self._forget_tool is True else self._forget_tool)

        async def forget_memory(memory_id: str) -> dict[str, bool]:
            """Forget one memory.

            Args:
                memory_id: The `_id` that a search found in the memory's metadata.

            Returns:
                Whether there was such a memory.
            """
            return {"forgotten": await self.forget(memory_id)}

        description = settings.get("description") or (
            f"Delete one entry from the memory store {self.name!r} for good. Search first, and pass the _id of the "
            "entry's metadata. Use it when the user asks to forget something, or says that an entry is wrong."
        )
        made = tool(name=settings.get("name") or "forget_memory", description=description)(forget_memory)
        return [cast("AgentTool", made)]

    # Administration

    async def list_memories(self, *, after: str | None = None, limit: int = MAX_RESULTS) -> MemoryPage:
        """A page of all memories of this scope, in the order of their ids.

        Args:
            after: The last page's `after`.
            limit: How many at most, 1 to 100.

        Raises:
            ValueError: `limit` or `after` is something else.
            PerSQLError: The database refused, or could not be reached.
            SessionDataError: A stored row can't be read.
        """
        _checked_limit(limit)
        start = -1 if after is None else _number_of(after)
        [rows] = await _off_loop(
            lambda: self._request(lambda store: store.read(store.tables.page(self.name, self.scope, start, limit + 1)))
        )
        memories = tuple(self._memory(row) for row in rows[:limit])
        return MemoryPage(memories, memories[-1].memory_id if len(rows) > limit else None)

    async def forget(self, memory_id: str) -> bool:
        """Delete one memory, from the table and from the index's pages.

        Args:
            memory_id: As `add` or a search named it.

        Returns:
            Whether there was such a memory in this scope.

        Raises:
            ValueError: The store is not writable, or that is no memory's id.
            PerSQLError: The database refused, or could not be reached. Forgetting again is safe.
        """
        self._check_writable("forget")
        number = _number_of(memory_id)
        gone = await _off_loop(
            lambda: self._forget(
                lambda tables, secure: tables.forget(self.name, self.scope, number, secure=secure),
            )
        )
        return gone > 0

    async def forget_all(self) -> int:
        """Delete all memories of this scope, 100 at a time; how many there were.

        Raises:
            ValueError: The store is not writable.
            PerSQLError: The database refused, or could not be reached. Forgetting again goes on where it stopped.
        """
        self._check_writable("forget_all")

        def work() -> int:
            total = 0
            while gone := self._forget(
                lambda tables, secure: tables.forget_some(self.name, self.scope, _FORGOTTEN_AT_ONCE, secure=secure)
            ):
                total += gone
            return total

        return await _off_loop(work)

    # On a worker thread

    def _opened(self, tables: MemoryTables) -> Store[MemoryTables]:
        return Store(self._database, tables, create_tables=self._create_tables)

    def _request(self, request: Callable[[Store[MemoryTables]], T]) -> T:
        store = self._store
        try:
            return request(store)
        except Exception as error:
            why = _no_index(error) if store.tables.indexed else None
            if why is None:
                raise
        logger.warning("store=<%s>, reason=<%s> | no full-text search here, scanning memories instead", self.name, why)
        self._store = self._opened(MemoryTables(store.tables.prefix, indexed=False))
        return request(self._store)

    def _write(self, statements: Callable[[MemoryTables], list[Statement]]) -> list[list[Row]]:
        """Write, and tell of an index that this writer doesn't keep: without it, the statements change nothing."""

        def write(store: Store[MemoryTables]) -> list[list[Row]]:
            if store.tables.indexed:
                return store.write(statements(store.tables))
            *answers, index = store.write([*statements(store.tables), store.tables.find_index()])
            if index:
                raise PerSQLError(
                    f"The memories in {store.tables.table} have a full-text index, which this writer doesn't keep, so "
                    "nothing was changed. Use full_text=True (the default), with a Python whose SQLite has FTS5 and "
                    "is not older than the one that wrote the index; or another table_prefix."
                )
            return answers

        return self._request(write)

    def _turn(self) -> None:
        if self._turns.begin():
            error: BaseException | None = None
            try:
                self._write_pending()
            except BaseException as caught:
                error = caught
            self._turns.end(error)

    def _write_pending(self) -> None:
        """Write what was added by now, in as few requests as it takes."""
        pending = [self._pending.popleft() for _ in range(len(self._pending))]
        try:
            added = self._remember([item for item, _ in pending])
        except BaseException as error:
            for _, written in pending:
                written.set_exception(error)
        else:
            for memory, (_, written) in zip(added, pending, strict=True):
                written.set_result(memory)

    def _remember(self, items: Sequence[_Item]) -> list[str]:
        numbers: dict[int, int] = {}
        todo = list(enumerate(items))
        while todo:
            taken = _fitting([item for _, item in todo])
            batch, todo = todo[:taken], todo[taken:]
            for (place, item), number in zip(batch, self._remember_some([item for _, item in batch]), strict=True):
                if number is None and item.salt == _MOST_SALTS:
                    raise SessionDataError(
                        f"A memory was written to {self._store.tables.table} {_MOST_SALTS} times and was not there "
                        "afterwards. Look whether a trigger or a policy of the database keeps it out; adding again is "
                        "safe."
                    )
                if number is None:  # another content has that id: of each 2^52, one has
                    todo.append((place, item._replace(salt=item.salt + 1)))
                else:
                    numbers[place] = number
        return [_id_of(numbers[place]) for place in range(len(items))]

    def _remember_some(self, items: Sequence[_Item]) -> list[int | None]:
        """The ids under which they are stored now; None for one whose id belongs to another content."""
        texts = [_normalised(item.content) for item in items]
        numbers = [memory_id(self.name, self.scope, text, item.salt) for text, item in zip(texts, items, strict=True)]
        time = now()
        memories = [
            (number, item.content, item.words, item.metadata) for number, item in zip(numbers, items, strict=True)
        ]
        rows = self._write(lambda tables: tables.remember(self.name, self.scope, memories, time))[-1]
        stored = {row["id"]: _normalised(row["content"]) for row in rows}
        return [number if stored.get(number) == text else None for number, text in zip(numbers, texts, strict=True)]

    def _forget(self, statements: Callable[[MemoryTables, bool], list[Statement]]) -> int:
        def write(secure: bool) -> int:
            return len(self._write(lambda tables: statements(tables, secure))[-1])

        if self._secure is not None:
            return write(self._secure)
        try:
            gone = write(True)
        except Exception as error:
            if not lacks_secure_deletion(error):
                raise
            gone = write(False)
            self._secure = False
        else:
            self._secure = True
        return gone

    def _check_writable(self, method: str) -> None:
        if not self.writable:
            raise ValueError(
                f"The memory store {self.name!r} is not writable, so it takes no {method}: make it with writable=True."
            )

    def _memory(self, row: Row) -> Memory:
        number: int = row["id"]
        try:
            metadata: object = json.loads(row["metadata"] or "{}")
            if isinstance(metadata, dict):
                return Memory(_id_of(number), row["content"], cast("dict[str, Any]", metadata), row["created_at"])
        except ValueError:
            pass
        raise SessionDataError(
            f"The metadata of memory {_id_of(number)} (id {number}) in the store {self.name!r} can't be read. Nothing "
            f"was changed. Look at the column metadata of that row of {self._store.tables.table}, and mend it, or "
            "forget that memory."
        )


async def _off_loop(call: Callable[[], T]) -> T:
    """Run a call on a worker thread; whoever cancels this cancels the wait, not the write."""
    return await awaited(submit_call(call))


def _require_memory() -> None:
    try:
        import strands.memory  # pyright: ignore[reportUnusedImport]  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "PerSQLMemoryStore needs strands-agents 1.44 or newer, which has memory stores: "
            "pip install -U 'strands-agents>=1.44'"
        ) from error


def _with_extractor(extraction: ExtractionConfig | bool | None) -> ExtractionConfig | bool | None:
    """The settings with a model as the extractor, unless they name one.

    Strands would take the presence of `add_messages` for a backend that distils facts by itself.
    """
    if (
        extraction is None
        or extraction is False
        or (extraction is not True and extraction.get("extractor") is not None)
    ):
        return extraction
    from strands.memory import ExtractionConfig, ModelExtractor

    settings = ExtractionConfig() if extraction is True else extraction
    return cast("ExtractionConfig", {**settings, "extractor": ModelExtractor()})


def _no_index(error: BaseException) -> str | None:
    """Why this SQLite can't use the full-text index; None where the error is another."""
    text = _said(error)
    if "no such module" in text and "fts5" in text:
        return "this SQLite has no FTS5"
    if "invalid fts5 file format" in text:
        return "the index was written by a newer SQLite"
    return None


def _said(error: BaseException) -> str:
    """What a database's error says, the engine's own words included, in small letters."""
    return f"{error} {getattr(error, 'detail', '')} {error.__cause__ or ''}".lower()


def _checked_name(value: object, what: str) -> str:
    if isinstance(value, str) and value.strip() and cleaned(value) == value and len(value.encode()) <= MAX_NAME_BYTES:
        return value
    raise ValueError(f"{what} must be a text of 1 to {MAX_NAME_BYTES} bytes, such as 'user-42'; got {value!r:.100}")


def _checked_limit(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_RESULTS:
        return value
    raise ValueError(f"max_search_results and limit must be between 1 and {MAX_RESULTS}; got {value!r:.100}")


def _id_of(number: int) -> str:
    return f"{number:013x}"


def _number_of(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{13}", value):
        return int(value, 16)
    raise ValueError(f"a memory's id is 13 hexadecimal digits, as add and search answer it; got {value!r:.100}")


def _item(content: object, metadata: object) -> _Item:
    """A memory as it is stored, checked."""
    if not isinstance(content, str) or not content.strip():
        raise ValueError("a memory must be a text that is not empty")
    text = cleaned(content)
    if len(text.encode()) > MAX_CONTENT_BYTES:
        raise ValueError(
            f"a memory holds at most {MAX_CONTENT_BYTES:,} bytes, this text has {len(text.encode()):,}: keep the facts "
            "in it, one a memory, or split it"
        )
    if metadata is None:
        return _Item(text, " ".join(words_of(text)), None)
    try:
        if not isinstance(metadata, dict):
            raise TypeError(f"it is a {type(metadata).__name__}")
        encoded = cleaned(json.dumps(metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a memory's metadata must be a dict of what JSON can hold: {error}") from error
    if len(encoded.encode()) > MAX_METADATA_BYTES:
        raise ValueError(
            f"a memory's metadata holds at most {MAX_METADATA_BYTES:,} bytes as JSON, this has "
            f"{len(encoded.encode()):,}: keep what is large elsewhere, and its name here"
        )
    return _Item(text, " ".join(words_of(text)), encoded)


def _fitting(items: Sequence[_Item]) -> int:
    """How many of the items one request takes, at least one."""
    size = 0
    for count, item in enumerate(items[:_MEMORIES_A_WRITE]):
        size += sum(len(text.encode()) for text in (item.content, item.words, item.metadata or ""))
        if count and size > _BYTES_A_WRITE:
            return count
    return min(len(items), _MEMORIES_A_WRITE)


def _text_of(message: Mapping[str, Any]) -> str:
    blocks: Iterable[Mapping[str, Any]] = message["content"]
    return "\n".join(block["text"] for block in blocks if isinstance(block.get("text"), str)).strip()


def _normalised(content: str) -> str:
    """What makes a content the same as another."""
    return " ".join(unicodedata.normalize("NFC", content).split())
