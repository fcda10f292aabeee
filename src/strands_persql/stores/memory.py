"""Long-term memory for Strands agents in PerSQL: a `MemoryStore` (Strands 1.44 on) over full-text search.

Strands is asked for its memory module when a store is made, not when this module is imported: releases before 1.44 have
none. The store meets Strands' protocol by its shape and inherits nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..database.encoding import parts_of
from ..database.tables import MemoryTables
from ..engine.threads import awaited, submit_call
from ..errors import SessionDataError, named
from ._indexed import IndexedStore
from ._memories import MAX_CONTENT_BYTES, Memories, checked_text, require_memory, with_extractor
from ._sealed import StoreKey
from .words import cleaned, words_to_find

if TYPE_CHECKING:
    from strands.memory import AddMessagesContext, ExtractionConfig, MemoryEntry, MemoryToolConfig, SearchOptions
    from strands.types.content import Message
    from strands.types.tools import AgentTool

    from ..client import Database
    from ..database.query import Query
    from ..database.tables import FoundMemory
    from ..encryption import Encryption

T = TypeVar("T")

MAX_NAME_BYTES = 255
"""The most bytes of UTF-8 the name of a store, or a scope, may be."""
MAX_QUERY_WORDS = 32
"""The most words of a query that are searched for: of a longer one, those at its beginning and at its end."""
MAX_RESULTS = 100
"""The most memories a search or a page answers with."""

_FORGOTTEN_AT_ONCE = 100
_DEFAULT_RESULTS = 10  # as Strands' own stores have it


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
        full_text: Make a full-text index, where there is none. False saves the index's own writes (1 row for a memory
            in place of 7 to 10, as SQLite 3.40 counts them), and scans: for few memories that are seldom searched.
        encryption: The keys that memories are encrypted with. No index holds their words then: each search reads and
            opens the newest 5,000 of the scope, a few hundred in each request.

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
        encryption: Encryption | None = None,
    ) -> None:
        require_memory()
        self.name = _checked_name(name, "name")
        self.scope = _checked_name(scope, "scope")
        self.description = description
        self.max_search_results = None if max_search_results is None else _checked_limit(max_search_results)
        self.writable = writable
        self.extraction: ExtractionConfig | bool | None = extraction if keep_messages else with_extractor(extraction)
        self._forget_tool = forget_tool
        tables = MemoryTables(table_prefix, indexed=full_text and encryption is None)
        self._store = IndexedStore(database, tables, create_tables=create_tables)
        key = None if encryption is None else StoreKey(database, table_prefix, "memories", encryption)
        self._memories = Memories(self._store, self.name, self.scope, key)

    # Strands' protocol

    async def initialize(self) -> None:
        """Create the tables, where they are missing: a token that can't read them fails here, before the agent runs.

        Strands calls it when the agent is built (1.47 on); nothing depends on it.

        Raises:
            PerSQLError: The database refused, or could not be reached.
        """
        await self._ask(MemoryTables.probe)

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
        rows = await _off_loop(lambda: self._memories.found(words, limit))
        entries: list[MemoryEntry] = []
        for row in rows:
            memory = self._memory(row)
            about = {"_id": memory.memory_id, "_created_at": memory.created_at, "_relevance_score": float(row.score)}
            entries.append(MemoryEntry(content=memory.content, metadata={**memory.metadata, **about}))
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
        return _id_of(await awaited(self._memories.add(checked_text(content, metadata))))

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
            checked_text(part, {"role": message["role"]})
            for message in messages
            for part in parts_of(_text_of(message), MAX_CONTENT_BYTES)
            if part.strip()
        ]
        return [_id_of(number) for number in await _off_loop(lambda: self._memories.remember(items))]

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
            f"Delete one entry from the memory store {named(self.name)} for good. Search first, and pass the "
            "_id of the entry's metadata. Use it when the user asks to forget something, or says that an entry is "
            "wrong."
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
        rows = await self._ask(lambda tables: tables.page(self.name, self.scope, start, limit + 1))
        memories = tuple(self._memory(self._memories.opened(row)) for row in rows[:limit])
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
        return await self._forget(lambda tables: tables.forget(self.name, self.scope, number)) > 0

    async def forget_all(self) -> int:
        """Delete all memories of this scope, 100 at a time; how many there were.

        Raises:
            ValueError: The store is not writable.
            PerSQLError: The database refused, or could not be reached. Forgetting again goes on where it stopped.
        """
        self._check_writable("forget_all")
        total = 0
        while gone := await self._forget(lambda tables: tables.forget_some(self.name, self.scope, _FORGOTTEN_AT_ONCE)):
            total += gone
        return total

    async def _ask(self, build: Callable[[MemoryTables], Query[T]]) -> T:
        return await _off_loop(lambda: self._store.ask(build))

    async def _forget(self, build: Callable[[MemoryTables], Query[int]]) -> int:
        return await _off_loop(lambda: self._store.carry_out(build))

    def _check_writable(self, method: str) -> None:
        if not self.writable:
            raise ValueError(
                f"The memory store {named(self.name)} is not writable, so it takes no {method}: make it with "
                "writable=True."
            )

    def _memory(self, row: FoundMemory) -> Memory:
        try:
            metadata: object = json.loads(row.metadata or "{}")
            if isinstance(metadata, dict):
                return Memory(_id_of(row.id), row.content, cast("dict[str, Any]", metadata), row.created_at)
        except ValueError:
            pass
        raise SessionDataError(
            f"The metadata of memory {_id_of(row.id)} (id {row.id}) in the store {named(self.name)} can't be read. "
            f"Nothing was changed. Look at the column metadata of that row of {self._store.tables.table}, and mend "
            "it, or forget that memory."
        )


async def _off_loop(call: Callable[[], T]) -> T:
    """Run a call on a worker thread; whoever cancels this cancels the wait, not the write."""
    return await awaited(submit_call(call))


def _checked_name(value: str, what: str) -> str:
    if value.strip() and cleaned(value) == value and len(value.encode()) <= MAX_NAME_BYTES:
        return value
    raise ValueError(f"{what} must be a text of 1 to {MAX_NAME_BYTES} bytes, such as 'user-42'; got {value!r:.100}")


def _checked_limit(value: int) -> int:
    if 1 <= value <= MAX_RESULTS:
        return value
    raise ValueError(f"max_search_results and limit must be between 1 and {MAX_RESULTS}; got {value!r:.100}")


def _id_of(number: int) -> str:
    return f"{number:013x}"


def _number_of(memory_id: str) -> int:
    if re.fullmatch("[0-9a-f]{13}", memory_id):
        return int(memory_id, 16)
    raise ValueError(f"a memory's id is 13 hexadecimal digits, as add and search answer it; got {memory_id!r:.100}")


def _text_of(message: Mapping[str, Any]) -> str:
    blocks: Iterable[Mapping[str, Any]] = message["content"]
    return "\n".join(block["text"] for block in blocks if isinstance(block.get("text"), str)).strip()
