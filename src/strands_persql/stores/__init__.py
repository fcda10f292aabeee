"""What else Strands stores: objects (`PerSQLStorage`) and memories (`PerSQLMemoryStore`)."""

from __future__ import annotations

from ._indexed import create_tables

__all__ = ["create_tables"]
