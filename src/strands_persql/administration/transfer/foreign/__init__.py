"""Sessions of other libraries, read without them: a module for each.

A library's SQLite file is recognised by its tables, opened for reading alone, and read in one transaction. What is
read becomes pieces of a conversation (`_pieces`), and these become the documents of a session as Strands has it. What
Strands has no place for is kept: of a message in its `metadata.custom`, of a session in its metadata.
"""

from __future__ import annotations

from ._agentcore import AgentCoreMemory
from ._pieces import about_of
from ._sources import SqliteSource, is_foreign

__all__ = ["AgentCoreMemory", "SqliteSource", "about_of", "is_foreign"]
