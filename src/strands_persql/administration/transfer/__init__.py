"""Import of sessions from Strands' other managers, files and databases, and export to files.

Both read a session as a stream, in one order: its own document; its agents by id, each with its messages by position;
its Graphs and Swarms by id. So the same session has the same checksum in every form.
"""

from __future__ import annotations

from ._export import export, export_lines
from ._import import import_from
from ._sources import Importable, opened

__all__ = ["Importable", "export", "export_lines", "import_from", "opened"]
