"""Import of sessions from Strands' other managers, files, databases and other libraries; export to files and storages.

Both read a session as a stream, in one order: its own document; its agents by id, each with its messages by position;
its Graphs and Swarms by id. So the same session has the same checksum in every form.
"""

from __future__ import annotations

from ._encrypted import EncryptedExport
from ._export import Exportable, export, export_lines
from ._import import import_from
from ._snapshot_storage import Snapshots
from ._sources import Importable, bucket_source, opened
from .foreign import AgentCoreMemory, is_foreign
from .formats import FORMATS, Form

__all__ = [
    "FORMATS",
    "AgentCoreMemory",
    "EncryptedExport",
    "Exportable",
    "Form",
    "Importable",
    "Snapshots",
    "bucket_source",
    "export",
    "export_lines",
    "import_from",
    "is_foreign",
    "opened",
]
