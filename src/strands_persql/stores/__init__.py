"""What else Strands stores: objects (`PerSQLStorage`) and memories (`PerSQLMemoryStore`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._indexed import create_tables, fill
from ._moving import move_memories, move_objects
from ._objects import Objects, UnreadableError
from ._sealed import ObjectSeals

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables

__all__ = [
    "Objects",
    "UnreadableError",
    "create_tables",
    "fill",
    "move_memories",
    "move_objects",
    "objects_beside",
]


def objects_beside(store: Connector[Tables]) -> Objects:
    """The objects in a database of sessions, opened and sealed as its sessions are."""
    tables = store.tables
    seals = None
    if tables.encryption is not None:
        seals = ObjectSeals(store.database, tables.prefix, tables.encryption, mixed=tables.mixed)
    return Objects(store.database, tables.prefix, seals=seals)
