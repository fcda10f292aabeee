"""What else Strands stores: objects (`PerSQLStorage`) and memories (`PerSQLMemoryStore`)."""

from __future__ import annotations

from ._indexed import create_tables, fill
from ._objects import Objects, UnreadableError

__all__ = ["Objects", "UnreadableError", "create_tables", "fill"]
