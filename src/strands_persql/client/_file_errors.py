"""SQLite's errors about a file, in the service's words, with what to do."""

from __future__ import annotations

import os
import sqlite3

from ..errors import PermissionDeniedError, PerSQLError
from ._failures import classify, remedy, subject

_FILE_ERRORS = (
    ("readonly", "{file} is read-only; make the file and its folder writable"),
    (
        "database_locked",
        "{file} has been locked by another process for {seconds:g} s; end its transaction, and keep the file off "
        "network drives",
    ),
    ("not a database", "{file} is no SQLite database; choose another file for local="),
    ("encrypted", "{file} is no SQLite database; choose another file for local="),
    ("malformed JSON", ""),
    ("malformed", "{file} is damaged; restore it from a backup, or try sqlite3's .recover"),
    ("is full", "the disk of {file} is full; free some space, and call again"),
    ("disk I/O error", "the disk of {file} failed; check the disk, and that the file was not moved or deleted"),
)
"""What to do about errors that concern the whole file, by their kind or by a part of SQLite's message."""


def file_error(cause: sqlite3.Error | sqlite3.Warning, path: str, *, seconds: float) -> PerSQLError:
    """What SQLite has raised, as the service would.

    Args:
        cause: SQLite's error.
        path: The database's file; empty for one in memory.
        seconds: How long a call waits for a lock.
    """
    text = str(cause)
    detail = classify(text)
    kind: str = detail["kind"]
    error: type[PerSQLError] = PermissionDeniedError if kind == "readonly" else PerSQLError
    if kind == "unknown" and "unable to open" in text:
        error, about_file = _unopened(path)
    else:
        about_file = next((words for sign, words in _FILE_ERRORS if sign == kind or sign in text), "")
        about_file = about_file.format(file=path or "memory", seconds=seconds)
    if about_file and kind == "unknown":
        return error(about_file, kind=kind, detail=detail)
    label = kind if kind != "unknown" else "the statement was refused"
    return error(f"{label}{subject(detail)}: {about_file or remedy(detail)}", kind=kind, detail=detail)


def _unopened(path: str) -> tuple[type[PerSQLError], str]:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return PerSQLError, f"{path} can't be opened: create the folder {folder} first"
    if os.path.isdir(path):
        return PerSQLError, f"{path} is a folder; write local= with a slash at its end for a file per database"
    return PermissionDeniedError, f"{path} can't be opened; make the file and its folder readable and writable"
