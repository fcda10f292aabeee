"""A SQLite file as SQL, with the versions of the packages that wrote it: text, which a repository takes better."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path


def dumped(write: Callable[[Path], None], *packages: str) -> None:
    """Let a function write a file, and dump it to the path that the command line names."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sessions.db"
        write(path)
        with sqlite3.connect(path) as connection:
            lines = list(connection.iterdump())
        connection.close()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    Path(sys.argv[1]).write_text("\n".join([f"-- {versions}", *lines, ""]), encoding="utf-8")
