"""What a memory is, and how memories are stored: each once, many by one request."""

from __future__ import annotations

import json
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..database.decoding import sealed_error
from ..database.encoding import SEALED, now
from ..database.tables import SCANNED, FoundMemory, MemoryTables, MemoryText, memory_id
from ..errors import SessionDataError, named
from ._calls import Calls
from ._indexed import IndexedStore
from ._sealed import MemorySeals, StoreKey
from .words import cleaned, words_of

if TYPE_CHECKING:
    from strands.memory import ExtractionConfig

    from ..database.query import Query, Row

MAX_CONTENT_BYTES = 64_000
"""The most bytes of UTF-8 one memory holds."""
MAX_METADATA_BYTES = 16_000
"""The most bytes of UTF-8 its metadata may be, as JSON."""

_MEMORIES_A_WRITE = 90  # of the 100 statements that a batch may have, and parameters that a statement may have
_BYTES_A_WRITE = 1_000_000
_MOST_SALTS = 8
_SCANNED_AT_ONCE = 250


def checked_text(content: str, metadata: dict[str, Any] | None) -> MemoryText:
    """A memory as it is stored.

    Raises:
        ValueError: It is empty, too large, or its metadata is no JSON object.
    """
    if not content.strip():
        raise ValueError("a memory must be a text that is not empty")
    text = cleaned(content)
    if len(text.encode()) > MAX_CONTENT_BYTES:
        raise ValueError(
            f"a memory holds at most {MAX_CONTENT_BYTES:,} bytes, this text has {len(text.encode()):,}: keep the facts "
            "in it, one a memory, or split it"
        )
    words = to_find(text)
    if metadata is None:
        return MemoryText(text, words, None)
    try:
        if not isinstance(metadata, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"it is a {type(metadata).__name__}")
        encoded = cleaned(json.dumps(metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a memory's metadata must be a dict of what JSON can hold: {error}") from error
    if len(encoded.encode()) > MAX_METADATA_BYTES:
        raise ValueError(
            f"a memory's metadata holds at most {MAX_METADATA_BYTES:,} bytes as JSON, this has "
            f"{len(encoded.encode()):,}: keep what is large elsewhere, and its name here"
        )
    return MemoryText(text, words, encoded)


def to_find(content: str) -> str:
    """The words that a memory is found by."""
    return " ".join(words_of(content))


class Memories:
    """Stores the memories of one owner.

    Args:
        store: The tables.
        name: The store.
        scope: Whose memories.
        key: The data key that they are sealed with; None: they are stored in clear.
    """

    def __init__(self, store: IndexedStore[MemoryTables], name: str, scope: str, key: StoreKey | None = None) -> None:
        self._seals = None if key is None else MemorySeals(key, name, scope)
        self._store, self._name, self._scope = store, name, scope
        self._calls = Calls()
        self._pending: deque[tuple[MemoryText, Future[int]]] = deque()

    def add(self, text: MemoryText) -> Future[int]:
        """Store a memory, unless it is there, on a worker thread; one request for all that is added until it is made.

        Returns:
            Where its id comes.
        """
        added: Future[int] = Future()
        self._pending.append((text, added))
        self._calls.in_turn("", self._remember_pending)
        return added

    def _remember_pending(self) -> None:
        pending = [self._pending.popleft() for _ in range(len(self._pending))]
        try:
            ids = self.remember([text for text, _ in pending])
        except BaseException as error:
            for _, added in pending:
                added.set_exception(error)
        else:
            for number, (_, added) in zip(ids, pending, strict=True):
                added.set_result(number)

    def remember(self, texts: Sequence[MemoryText]) -> list[int]:
        """Store memories, unless they are there, by as few requests as they fit in; their ids.

        Raises:
            SessionDataError: The database takes one and doesn't keep it.
        """
        ids: dict[int, int] = {}
        todo = [(place, text, 0) for place, text in enumerate(texts)]
        while todo:
            fitting = _fitting([text for _, text, _ in todo])
            batch, todo = todo[:fitting], todo[fitting:]
            stored = self._remember_some([(text, salt) for _, text, salt in batch])
            for (place, text, salt), number in zip(batch, stored, strict=True):
                if number is not None:
                    ids[place] = number
                elif salt < _MOST_SALTS:  # another content has that id, as one of each 2^52 has
                    todo.append((place, text, salt + 1))
                else:
                    raise self._unkept()
        return [ids[place] for place in range(len(texts))]

    def _remember_some(self, salted: Sequence[tuple[MemoryText, int]]) -> list[int | None]:
        """The ids under which they are stored now; None for one whose id belongs to another content."""
        contents = [_normalised(text.content) for text, _ in salted]
        ids = [self._number(content, salt) for content, (_, salt) in zip(contents, salted, strict=True)]
        memories: dict[int, MemoryText] = {}
        for number, (text, _) in zip(ids, salted, strict=True):
            memories.setdefault(number, self._sealed(number, text))
        time = now()
        found = self._store.carry_out(lambda tables: tables.remember(self._name, self._scope, memories, time))
        stored = self._normalised(found)
        return [
            number if stored.get(number) == content else None for number, content in zip(ids, contents, strict=True)
        ]

    def _sealed(self, number: int, text: MemoryText) -> MemoryText:
        return text if self._seals is None else self._seals.seal(number, text)

    def _normalised(self, found: Mapping[int, str]) -> dict[int, str]:
        """Stored contents by their ids, opened, as the texts by which they are the same."""
        if self._seals is not None:
            found = {number: self._seals.opened(number, content, "content") for number, content in found.items()}
        return {number: _normalised(content) for number, content in found.items()}

    def _unkept(self) -> SessionDataError:
        return SessionDataError(
            f"A memory was written to {self._store.tables.table} {_MOST_SALTS} times and was not there afterwards. "
            "Look whether a trigger or a policy of the database keeps it out; adding again is safe."
        )

    def found(self, words: Sequence[str], limit: int) -> list[FoundMemory]:
        """The memories that hold any of some words, best first.

        Of those that are encrypted, the newest are read and opened: the score is the share of the words found.

        Raises:
            EncryptionError: One can't be opened.
        """
        if self._seals is None:
            found = self._store.ask(lambda tables: tables.search(self._name, self._scope, words, limit))
            return [self.opened(row) for row in found]
        hits: list[FoundMemory] = []
        for skipped in range(0, SCANNED, _SCANNED_AT_ONCE):
            page = self._store.ask(partial(self._page, skipped=skipped))
            for row in map(self.opened, page):
                own = set(words_of(row.content))
                if count := sum(word in own for word in words):
                    hits.append(row._replace(score=count / len(words)))
            if len(page) < _SCANNED_AT_ONCE:
                break
        return sorted(hits, key=lambda row: row.score, reverse=True)[:limit]

    def _page(self, tables: MemoryTables, *, skipped: int) -> Query[list[FoundMemory]]:
        return tables.newest(self._name, self._scope, skipped, _SCANNED_AT_ONCE)

    def opened(self, row: FoundMemory) -> FoundMemory:
        """A stored memory, opened.

        Raises:
            EncryptionError: It is encrypted, and no key was given; or it can't be opened.
        """
        if self._seals is not None:
            return self._seals.open(row)
        if row.content.startswith(SEALED):
            raise sealed_error(f"Memory {row.id:013x} of the store {named(self._name)}")
        return row

    def opened_row(self, row: Row) -> FoundMemory:
        """The same of a whole row of the table."""
        return self.opened(FoundMemory(row["id"], row["content"], row["metadata"], row["created_at"]))

    def take(self, texts: Mapping[int, MemoryText]) -> None:
        """Store memories that are there under other ids, and delete those; what is no longer there is left alone.

        Whoever else does the same meanwhile, or does it again, doubles none and loses none.

        Raises:
            SessionDataError: The database takes one and doesn't keep it.
        """
        todo = [(old, text, 0) for old, text in texts.items()]
        while todo:
            fitting = _fitting([text for _, text, _ in todo])
            batch, todo = todo[:fitting], todo[fitting:]
            todo += self._take_some(batch)

    def _take_some(self, salted: Sequence[tuple[int, MemoryText, int]]) -> Iterator[tuple[int, MemoryText, int]]:
        """Those whose new id belongs to another memory, with another salt."""
        contents = {old: _normalised(text.content) for old, text, _ in salted}
        ids = {old: self._number(contents[old], salt) for old, _, salt in salted}
        memories = {ids[old]: self._sealed(ids[old], text) for old, text, _ in salted}
        origins, time = [*ids.items()], now()
        moved = self._store.carry_out(lambda tables: tables.move(self._name, self._scope, memories, origins, time))
        stored = self._normalised(moved.stored)
        for old, text, salt in salted:
            if old in moved.left:
                if salt == _MOST_SALTS:
                    raise self._unkept()
                yield old, text, salt + 1
            elif old in moved.deleted and stored.get(ids[old]) != contents[old]:
                self.remember([text])  # another content has that id, as one of each 2^52 has

    def _number(self, content: str, salt: int) -> int:
        if self._seals is not None:
            return self._seals.number(content, salt)
        return memory_id(self._name, self._scope, content, salt)


def _fitting(texts: Sequence[MemoryText]) -> int:
    """How many of the memories one request takes, at least one."""
    size = 0
    for count, text in enumerate(texts[:_MEMORIES_A_WRITE]):
        size += sum(len(value.encode()) for value in text if value is not None)
        if count and size > _BYTES_A_WRITE:
            return count
    return min(len(texts), _MEMORIES_A_WRITE)


def _normalised(content: str) -> str:
    """The text by which contents are the same."""
    return " ".join(unicodedata.normalize("NFC", content).split())


def require_memory() -> None:
    """See to it that this release of Strands has memory stores.

    Raises:
        ImportError: It has none.
    """
    try:
        import strands.memory  # pyright: ignore[reportUnusedImport]  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "PerSQLMemoryStore needs strands-agents 1.44 or newer, which has memory stores: "
            "pip install -U 'strands-agents>=1.44'"
        ) from error


def with_extractor(extraction: ExtractionConfig | bool | None) -> ExtractionConfig | bool | None:
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
