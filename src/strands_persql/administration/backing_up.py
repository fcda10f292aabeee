"""Copies a database into a file while agents use it."""

from __future__ import annotations

import os
from typing import Any

from ..client import LocalDatabase, PerSQL, is_open, make_private_folder, whole
from ..database.connector import Connector
from ..database.tables import Tables
from ..errors import named
from .transfer import import_from, opened

__all__ = ["back_up"]


def back_up(sessions: Any, store: Connector[Tables], target: str | os.PathLike[str]) -> None:
    """See `PerSQLSessions.backup`."""
    path = os.path.abspath(target)
    # A link leads somewhere else, and the log of another database would be taken into the copy.
    if os.path.islink(path) or (os.path.exists(path) and not os.path.isfile(path)):
        raise ValueError(f"{named(str(target))} is no plain file. Name a new file for the copy, or an earlier copy.")
    if is_open(path) or os.path.exists(f"{path}-wal"):
        raise ValueError(f"{named(str(target))} is a database that is in use. Name another file for the copy.")
    make_private_folder(os.path.dirname(path))
    with whole(path, over=True) as part:
        if isinstance(store.database, LocalDatabase):
            store.database.copy_to(part)
        else:
            with PerSQL(local=part) as client:
                copy = Connector(client.database("local/agents"), Tables(store.tables.prefix))
                copy.set_up()
                import_from(copy, opened(sessions))
