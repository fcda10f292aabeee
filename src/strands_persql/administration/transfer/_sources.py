"""What can be imported from, told by its looks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from strands.session import FileSessionManager, RepositorySessionManager, SessionManager, SessionRepository

from ...database.connector import Store
from ...database.tables import Tables
from ._folders import FileSource
from ._items import Source
from ._jsonl import JsonlSource
from ._repositories import RepositorySource
from ._s3 import ObjectSource
from ._tables import Connection, StoredSource

__all__ = ["Importable", "opened"]

Importable: TypeAlias = "str | os.PathLike[str] | SessionManager | SessionRepository | Iterable[str]"
"""A folder of `FileSessionManager`'s, a `.jsonl` file or its lines, one of Strands' managers, any
repository; or what this package has over another database."""


def opened(
    source: Importable, *, agent_ids: Sequence[str] | None = None, multi_agent_ids: Sequence[str] | None = None
) -> tuple[Source, str | None]:
    """What a source is, and the session that it stands for where it is one's manager.

    Raises:
        TypeError: It is nothing that can be imported from.
        ValueError: Agents are named that the source lists itself.
        SessionDataError: There is no such folder or file.
    """
    session_id = _own_session(source)
    while isinstance(source, RepositorySessionManager) and not isinstance(source, SessionRepository):
        source = source.session_repository
    listing = _listing(source)
    if listing is None:
        if isinstance(source, SessionRepository):
            return RepositorySource(source, agent_ids, multi_agent_ids), session_id
        raise TypeError(
            "source must be the folder of a FileSessionManager, the path of a .jsonl file or its lines, one of "
            f"Strands' session managers, or a SessionRepository; got {type(source).__name__}"
        )
    if agent_ids is not None or multi_agent_ids is not None:
        raise ValueError("agent_ids and multi_agent_ids are for a SessionRepository that can't list its own.")
    return listing, session_id


def _own_session(source: object) -> str | None:
    session_id = getattr(source, "session_id", None)
    return session_id if isinstance(source, SessionManager) and isinstance(session_id, str) else None


def _listing(source: Any) -> Source | None:
    """The source where it is one that lists what it has."""
    if isinstance(source, FileSessionManager):
        return FileSource(source.storage_dir)
    store = getattr(source, "_store", None)
    if isinstance(store, Store):  # our own repository, manager or administrative face, over another database
        return StoredSource(Connection(cast("Store[Tables]", store)))
    client, bucket, prefix = (getattr(source, name, None) for name in ("client", "bucket", "prefix"))
    if hasattr(client, "list_objects_v2") and isinstance(bucket, str) and isinstance(prefix, str):
        return ObjectSource(client, bucket, prefix)
    if isinstance(source, (str, os.PathLike)):
        path = Path(cast("str", source))
        is_lines = path.suffix == ".jsonl" and not path.is_dir()
        return JsonlSource(path) if is_lines or path.is_file() else FileSource(path)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, bytearray, SessionRepository)):
        return JsonlSource(cast("Iterable[str]", source))
    return None
