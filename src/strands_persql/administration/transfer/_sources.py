"""What can be imported from, and how it is recognised."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from strands.session import FileSessionManager, RepositorySessionManager, SessionManager, SessionRepository

from ...client import Database, is_open, is_sqlite
from ...database.connector import Connector
from ...errors import SessionDataError, brief, named
from ._encrypted import EncryptedExport
from ._files import FilesSource
from ._folders import folder_source
from ._items import Source
from ._jsonl import JsonlSource
from ._repositories import RepositorySource
from ._s3 import Bucket
from ._snapshot_storage import SnapshotFolder, Snapshots, Storage, is_manager, is_storage
from ._snapshots import SnapshotSource
from ._tables import Connection, StoredSource, mixed
from .foreign import AgentCoreMemory, SqliteSource

if TYPE_CHECKING:
    from ...database.tables import Tables
    from ...encryption import Encryption

_Elsewhere: TypeAlias = "Storage | Snapshots | AgentCoreMemory | EncryptedExport"

Importable: TypeAlias = "str | os.PathLike[str] | SessionManager | SessionRepository | _Elsewhere | Iterable[str]"
"""A folder of `FileSessionManager`'s or of snapshots, a `.jsonl` file or its lines, the SQLite file of another library,
one of Strands' managers, any repository, a storage of snapshots, AgentCore Memory, or one of this package's objects
over another database."""


class Opened(NamedTuple):
    """A source that was recognised.

    Attributes:
        source: The source.
        session_id: The session of which it is the manager; None for anything else.
    """

    source: Source
    session_id: str | None


def opened(
    source: Importable,
    *,
    target: Database | None = None,
    agent_ids: Sequence[str] | None = None,
    multi_agent_ids: Sequence[str] | None = None,
    encryption: Encryption | None = None,
) -> Opened:
    """Recognise a source.

    Args:
        source: The source.
        target: The database that is imported into; None where that is no file.
        agent_ids: The agents of a repository that can't list them.
        multi_agent_ids: Its Graphs and Swarms.
        encryption: The keys of encrypted exports.

    Raises:
        TypeError: Nothing can be imported from it.
        ValueError: Agents are named that the source lists itself.
        SessionDataError: There is no such folder or file.
    """
    is_for_one = isinstance(source, (SessionManager, Snapshots))
    session_id = getattr(cast("Any", source), "session_id", None) if is_for_one else None
    while isinstance(source, RepositorySessionManager) and not isinstance(source, SessionRepository):
        source = source.session_repository
    _check_other(source, getattr(target, "path", None))
    listing = _listing(source, encryption)
    if listing is None:
        if isinstance(source, SessionRepository):
            return Opened(RepositorySource(source, agent_ids, multi_agent_ids), session_id)
        if isinstance(source, SessionManager):
            raise TypeError(
                f"{type(source).__name__} keeps sessions in a form that can't be imported. Build the agent with it, "
                "and a new one over PerSQLSessionManager with messages=agent.messages and state=agent.state: it "
                "stores them."
            )
        raise TypeError(
            "source must be the folder of a FileSessionManager, the path of a .jsonl file or its lines, the SQLite "
            "file of another library, one of Strands' session managers, a SessionRepository, or a storage of "
            "snapshots; got "
            f"{type(source).__name__}"
        )
    if agent_ids is not None or multi_agent_ids is not None:
        raise ValueError("agent_ids and multi_agent_ids are for a SessionRepository that can't list its own.")
    return Opened(listing, session_id)


def bucket_source(client: Any, bucket: str, prefix: str) -> FilesSource:
    """What Strands' `S3SessionManager` has stored. Such a manager itself would begin the session if there is none.

    Args:
        client: S3's, as boto3 makes it.
        bucket: The bucket.
        prefix: The manager's own.
    """
    return FilesSource(Bucket(client, bucket, prefix))


def _check_other(source: object, target: str | None) -> None:
    """Check that a source is not the file that is imported into.

    Raises:
        SessionDataError: It is.
    """
    if target is None or not isinstance(source, (str, os.PathLike)) or not os.path.exists(target):
        return
    path = Path(cast("str", source))
    if path.is_file() and path.samefile(target):
        raise SessionDataError(
            f"{named(brief(path, 300))} is the database that sessions would be imported into. Name "
            "the file that they come from."
        )


def _listing(source: Any, encryption: Encryption | None) -> Source | None:
    """The source, if it is one that lists its sessions."""
    if isinstance(source, FilesSource):
        return source
    if isinstance(source, EncryptedExport):
        return _listing(source.place, source.encryption)
    if isinstance(source, FileSessionManager):
        return folder_source(source.storage_dir)
    if isinstance(source, AgentCoreMemory):
        return source.source
    memory = AgentCoreMemory.of(source)
    if memory is not None:  # the methods of that manager number no message, and list the newest alone
        return memory.source
    if isinstance(source, Snapshots) or is_manager(source) or is_storage(source):
        return SnapshotSource(source if isinstance(source, Snapshots) else Snapshots(source))
    store = getattr(source, "_connector", None) or getattr(source, "_store", None)
    if isinstance(store, Connector):  # this package's repository, manager or administration, over another database
        return StoredSource(Connection(mixed(cast("Connector[Tables]", store))))
    client, bucket, prefix = (getattr(source, name, None) for name in ("client", "bucket", "prefix"))
    if hasattr(client, "list_objects_v2") and isinstance(bucket, str) and isinstance(prefix, str):
        return bucket_source(client, bucket, prefix)
    if isinstance(source, (str, os.PathLike)):
        path = Path(cast("str", source))
        if is_open(str(path)):  # reading it as bytes would drop this process's locks on it
            raise SessionDataError(
                f"{named(brief(path, 300))} is a database that this process has open. Pass PerSQLSessions(…) of it."
            )
        if path.is_file() and is_sqlite(path):
            return SqliteSource(path)
        if SnapshotFolder.stands_in(path):
            return SnapshotSource(Snapshots(SnapshotFolder(path), history=True))
        is_lines = path.suffix == ".jsonl" and not path.is_dir()
        return JsonlSource(path, encryption) if is_lines or path.is_file() else folder_source(path)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, bytearray, SessionRepository)):
        return JsonlSource(cast("Iterable[str]", source), encryption)
    return None
