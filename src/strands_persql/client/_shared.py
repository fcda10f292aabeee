"""The database that the environment names, of clients that a whole process shares."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from ._client import PerSQL
from ._environment import setting
from ._files import is_folder

if TYPE_CHECKING:
    from ._local import LocalDatabase
    from ._remote import RemoteDatabase

ANY_NAME = "local/agents"
"""What a database is called where any name leads to the same file."""

_SETTINGS = ("PERSQL_LOCAL", "PERSQL_TOKEN", "PERSQL_API_URL")


def shared_database(name: str | None = None, *, local: str | None = None) -> RemoteDatabase | LocalDatabase:
    """A handle of the database that is named here, or else by the environment.

    Its client is shared by all callers in this process whose settings are the same, and closed when the process ends.

    Args:
        name: `"namespace/slug"`; None for that of `PERSQL_DATABASE`. A single file, or memory, needs none.
        local: A file, a folder or `:memory:`; None for what `PerSQL.from_env` takes.

    Raises:
        ValueError: No database is named, or the settings can't be used.
    """
    place = local or setting("PERSQL_LOCAL")
    name = name or setting("PERSQL_DATABASE") or (ANY_NAME if place and not is_folder(place) else None)
    settings = tuple(map(setting, _SETTINGS))
    client = _client(local, settings, os.getcwd())
    if name is None:
        raise ValueError('no database is named; set PERSQL_DATABASE to "namespace/slug", or pass database=')
    return client.database(name)


@lru_cache(maxsize=16)
def _client(local: str | None, settings: tuple[str | None, ...], folder: str) -> PerSQL:
    """The client for an argument, the environment's settings, and the folder at which a relative path begins."""
    return PerSQL(local=local) if local else PerSQL.from_env()
