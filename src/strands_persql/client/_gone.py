"""What is done with an open SQLite file that was deleted, moved away or replaced, and with its write-ahead log."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import suppress

from ..errors import PerSQLError
from ._failures import logger_of
from ._files import Identity, OpenFile, followed, identity, whole

logger = logger_of(__name__)

_written_anew: dict[Identity, Identity] = {}
"""The files that were written anew, by those that were gone."""


def write_anew(connection: sqlite3.Connection, file: OpenFile, *, place: str) -> None:
    """Write all that a connection has to where its file is gone from.

    Args:
        connection: The connection.
        file: The file that is open.
        place: What to call it.

    Raises:
        PerSQLError: It can't be written.
    """
    try:
        with whole(followed(file.path), over=False) as part:
            copy_database(connection, part)
            copy = identity(part)
            _drop_log(file)
    except (sqlite3.Error, OSError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise PerSQLError(
            f"{place} is gone: it was deleted or moved away while in use, and can't be written anew ({reason}). What "
            "is stored is still open in this process: make its folder writable again, and call again."
        ) from cause
    if copy is not None:
        _written_anew[file.device, file.inode] = copy
    logger.warning("file=<%s> | the file was deleted or moved away while in use: all of it was written anew", place)


def was_written_anew(file: OpenFile) -> bool:
    """Whether what stands in the place of an open file was written from it."""
    return _written_anew.get((file.device, file.inode)) == identity(file.path)


def copy_database(connection: sqlite3.Connection, path: str) -> None:
    """Write all of a database into an empty file, by SQLite's online backup."""
    target = sqlite3.connect(path)
    try:
        connection.backup(target)
    finally:
        target.close()


def _drop_log(file: OpenFile) -> None:
    """Delete the log of a file that is gone: SQLite would take it into the one that comes in its place."""
    if file.has_log and identity(file.log) == (file.device, file.log_inode):
        for name in (file.log, f"{file.log.removesuffix('-wal')}-shm"):
            with suppress(OSError):
                os.unlink(name)


def empty_log(connection: sqlite3.Connection, file: OpenFile) -> None:
    """Take the log into the file that is open: SQLite would take it into the one that stands in its place."""
    if file.has_log and identity(file.log) == (file.device, file.log_inode):
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def keep_log(connection: sqlite3.Connection) -> None:
    """Have a connection that is closed leave the log alone, where Python knows how (3.12)."""
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
