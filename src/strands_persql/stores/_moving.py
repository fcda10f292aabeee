"""Moves what is no session's, free objects and memories, from clear to encrypted and back.

Each row is taken by itself, in the order of the keys, and one that has moved is left alone: so it goes on where it was
cut off, and what an agent writes meanwhile in the old form moves when it runs again. The data key stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..database.connector import Connector
from ..database.resealing import Resealing
from ..database.sealing import is_sealed
from ..database.tables import MemoryTables, MemoryText, StoreKeys, find_indexes, find_stored, session_of
from ._indexed import IndexedStore
from ._memories import Memories, to_find
from ._objects import Objects
from ._sealed import StoreKey

if TYPE_CHECKING:
    from ..client import Database
    from ..encryption import Encryption

Progress = Callable[[int], None]
"""Called with the number of rows looked at so far."""


def move_objects(
    database: Database, prefix: str, encryption: Encryption, *, seals: bool, progress: Progress | None = None
) -> int:
    """Encrypt the objects that are no session's, or store them in clear, each by requests of its own; how many moved.

    An object that somebody writes meanwhile is not written over: it is read again.

    Raises:
        EncryptionError: One can't be opened with the keys.
    """
    key = StoreKey(database, prefix, "objects", encryption)
    if not (seals or key.exists):
        return 0
    cipher = key.cipher
    resealing = Resealing(None, cipher) if seals else Resealing(cipher, None)
    objects = Objects(database, prefix, create_tables=False)
    moved = seen = 0
    for page in objects.pages(""):
        for each in page:
            if session_of(each.key) is None:
                moved += objects.replace(each.key, resealing.value)
        seen += len(page)
        if progress is not None:
            progress(seen)
    objects.drop_broken_off(None)
    return moved


def move_memories(
    database: Database, prefix: str, encryption: Encryption, *, seals: bool, progress: Progress | None = None
) -> int:
    """Encrypt all memories, or store them in clear; how many moved.

    One that moves gets another id, and keeps its time. One that is forgotten meanwhile stays forgotten.

    Raises:
        EncryptionError: One can't be opened with the keys.
    """
    key = StoreKey(database, prefix, "memories", encryption)
    if not (seals or key.exists):
        return 0
    _ = key.cipher  # a wrong key is told before anything is changed
    reading = Connector(database, StoreKeys(prefix), create_tables=False)
    has_index = bool(reading.ask(find_indexes(f"{prefix}memories_index")))
    store = IndexedStore(database, MemoryTables(prefix, indexed=has_index), create_tables=False)
    moved = seen = 0
    for page in _pages(reading, prefix):
        for (name, scope), rows in groupby(page, lambda row: (row["name"], row["scope"])):
            old, new = (Memories(store, name, scope, each) for each in ((None, key) if seals else (key, None)))
            moved += _move(old, new, [row for row in rows if is_sealed(row["content"]) is not seals])
        seen += len(page)
        if progress is not None:
            progress(seen)
    return moved


def _pages(store: Connector[StoreKeys], prefix: str) -> Iterator[list[dict[str, Any]]]:
    """All memories, page by page, as they are stored."""
    for table in store.ask(find_stored(prefix)):
        if table.name == f"{prefix}memories":
            after = None
            while page := store.ask(table.page(after)):
                yield page
                after = page[-1]


def _move(old: Memories, new: Memories, rows: list[dict[str, Any]]) -> int:
    """Store some memories of one scope in the new form in place of the old one."""
    texts: dict[int, MemoryText] = {}
    for found in map(old.opened_row, rows):
        texts[found.id] = MemoryText(found.content, to_find(found.content), found.metadata, found.created_at)
    new.take(texts)
    return len(rows)
