"""Sessions taken out of the tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias, cast

from strands.session import SessionManager

from ...engine.options import checked_session_id
from ...errors import SessionDataError, named
from ..results import Transfer
from ._encrypted import EncryptedExport
from ._folders import FolderTarget
from ._items import Checksum, HeadItem, Item, MessageItem, Progress, Target
from ._jsonl import LinesTarget, PathTarget, lines_of
from ._progress import Reporter
from ._snapshot_storage import Snapshots, Storage, is_manager, is_storage
from ._snapshot_target import SnapshotTarget
from ._tables import Connection, StoredSource, mixed
from ._texts import TextTarget
from .formats import FORMATS, Form

if TYPE_CHECKING:
    from ...database.connector import Connector
    from ...database.tables import Tables

Exportable: TypeAlias = "str | os.PathLike[str] | TextIO | EncryptedExport | SessionManager | Storage | Snapshots"
"""A file or folder, an open stream of text, either encrypted, or a storage of snapshots, or a `SnapshotSessionManager`
that has one."""


def export(
    store: Connector[Tables],
    session_id: str,
    target: Exportable,
    *,
    form: Form | None = None,
    progress: Progress | None = None,
) -> Transfer:
    """Export a session, a few megabytes at a time. See `PerSQLSessions.export`.

    What was written is read back, and compared by its checksum, before it is moved to its place: a file or folder there
    is whole. A folder that holds the session already is left as it is; a file is replaced.
    """
    checked_session_id(session_id)
    connection = Connection(mixed(store) if isinstance(target, EncryptedExport) else store)
    source = StoredSource(connection)
    out = _target(target, session_id, form)
    counted = out.counts or progress is not None
    while True:
        read = source.items_for_people if out.for_people else source.items
        found = read(session_id, counted=counted)
        first = next(found)  # read before anything is written: the session may not exist
        total = first.messages if isinstance(first, HeadItem) else None
        checksum, reporter = Checksum(), Reporter(progress, total)
        items = _noted(chain([first], found), checksum, reporter)
        try:
            read_back, written = out.write(items, total)
        except (SessionDataError, ValueError):
            out.discard()
            raise
        if read_back == checksum.hexdigest():
            break
        out.discard()
        if not out.again:
            raise SessionDataError(
                f"What was read back of session {named(session_id)} is not what the database holds: its "
                f"checksum is {read_back}, the database's {checksum.hexdigest()}. Try again, or another place."
            )
        out.again = False
    out.finish()
    reporter.tell()
    return checksum.transfer(session_id, written=written, requests=connection.requests)


def export_lines(store: Connector[Tables], session_id: str) -> Iterator[str]:
    """A session's lines, as a `.jsonl` file has them, each read as it is asked for.

    Raises:
        SessionConflictError: An agent wrote to the session meanwhile: the lines end without the last one.
        SessionDataError: There is no such session, or one of its rows can't be read.
    """
    items = StoredSource(Connection(store)).items(session_id, counted=True)
    first = next(items)
    total = first.messages if isinstance(first, HeadItem) else None
    yield from lines_of(chain([first], items), session_id, total, Checksum())


def _target(target: Exportable, session_id: str, form: Form | None) -> Target:
    if isinstance(target, EncryptedExport):
        return _encrypted(target, session_id, form)
    is_path = isinstance(target, (str, os.PathLike))
    if form is not None and form not in FORMATS:
        raise ValueError(f"form must be one of {', '.join(sorted(FORMATS))}, or None; got {named(form)}")
    if isinstance(target, Snapshots) or is_manager(target) or is_storage(target):
        if form is not None:
            raise ValueError("form is for a file or a stream: a storage holds snapshots.")
        return SnapshotTarget(target if isinstance(target, Snapshots) else Snapshots(target), session_id)
    if not is_path and not callable(getattr(target, "write", None)):
        raise TypeError(
            f"target must be a path, an open stream of text, or a storage of snapshots, not {type(target).__name__}"
        )
    if form is not None:
        return TextTarget(Path(cast("str", target)) if is_path else cast("TextIO", target), FORMATS[form])
    if not is_path:
        return LinesTarget(cast("TextIO", target), session_id)
    path = Path(cast("str", target))
    return PathTarget(path, session_id) if path.suffix == ".jsonl" else FolderTarget(path, session_id)


def _encrypted(target: EncryptedExport, session_id: str, form: Form | None) -> Target:
    if form is not None:
        raise ValueError("form is for an export in clear: an encrypted one is for import_from alone.")
    if isinstance(target.place, (str, os.PathLike)):
        path = Path(target.place)
        if path.suffix != ".jsonl":
            raise ValueError(f"an encrypted export is a .jsonl file, or a stream of text; got {named(str(path))}")
        return PathTarget(path, session_id, target.encryption)
    return LinesTarget(cast("TextIO", target.place), session_id, target.encryption)


def _noted(items: Iterable[Item], checksum: Checksum, reporter: Reporter) -> Iterator[Item]:
    for item in items:
        checksum.add(item)
        reporter.add(isinstance(item, MessageItem))
        yield item
