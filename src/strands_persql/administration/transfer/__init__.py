"""Sessions brought in from Strands' other managers and from files, and out again.

Both ways stream, and go in one order: a session's own document; its agents by id, each with its messages by position;
its Graphs and Swarms by id. So the same session has the same checksum in every form.
"""

from __future__ import annotations

from ._export import export
from ._import import import_from
from ._sources import Importable

__all__ = ["Importable", "export", "import_from"]
