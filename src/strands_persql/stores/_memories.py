"""What a memory is, and how memories are stored: each once, many by one request."""

from __future__ import annotations

import json
import unicodedata
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from ..database.encoding import now
from ..database.tables import MemoryTables, MemoryText, memory_id
from ..errors import SessionDataError
from ._calls import Calls
from ._indexed import IndexedStore
from .words import cleaned, words_of

MAX_CONTENT_BYTES = 64_000
"""The most bytes of UTF-8 one memory holds."""
MAX_METADATA_BYTES = 16_000
"""The most bytes of UTF-8 its metadata may be, as JSON."""

_MEMORIES_A_WRITE = 90  # of the 100 statements that a batch may have, and parameters that a statement may have
_BYTES_A_WRITE = 1_000_000
_MOST_SALTS = 8


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
    words = " ".join(words_of(text))
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


class Memories:
    """Stores the memories of one owner.

    Args:
        store: The tables.
        name: The store.
        scope: Whose memories.
    """

    def __init__(self, store: IndexedStore[MemoryTables], name: str, scope: str) -> None:
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
                    raise SessionDataError(
                        f"A memory was written to {self._store.tables.table} {_MOST_SALTS} times and was not there "
                        "afterwards. Look whether a trigger or a policy of the database keeps it out; adding again is "
                        "safe."
                    )
        return [ids[place] for place in range(len(texts))]

    def _remember_some(self, salted: Sequence[tuple[MemoryText, int]]) -> list[int | None]:
        """The ids under which they are stored now; None for one whose id belongs to another content."""
        contents = [_normalised(text.content) for text, _ in salted]
        ids = [
            memory_id(self._name, self._scope, content, salt)
            for content, (_, salt) in zip(contents, salted, strict=True)
        ]
        memories: dict[int, MemoryText] = {}
        for number, (text, _) in zip(ids, salted, strict=True):
            memories.setdefault(number, text)
        time = now()
        found = self._store.carry_out(lambda tables: tables.remember(self._name, self._scope, memories, time))
        stored = {number: _normalised(content) for number, content in found.items()}
        return [
            number if stored.get(number) == content else None for number, content in zip(ids, contents, strict=True)
        ]


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
