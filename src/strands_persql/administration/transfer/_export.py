"""Sessions taken out of the tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO, cast

from ...engine.options import checked_session_id
from ...errors import SessionDataError
from ..results import Transfer
from ._folders import FolderTarget
from ._items import (
    AgentItem,
    Checksum,
    HeadItem,
    Item,
    MessageItem,
    Progress,
)
from ._jsonl import LinesTarget, PathTarget
from ._progress import Reporter
from ._tables import Connection, StoredSession, StoredSource

if TYPE_CHECKING:
    from ...database.connector import Store
    from ...database.tables import Tables

__all__ = ["export"]


def export(
    store: Store[Tables],
    session_id: str,
    target: str | os.PathLike[str] | TextIO,
    *,
    progress: Progress | None = None,
) -> Transfer:
    """Take a session out, as it is at the beginning; nothing in the database is changed.

    It reads a few megabytes at a time. What was written is read back, and compared by its checksum, before it is moved
    to its place: a file or folder there is whole. Run again, it leaves a folder alone that holds the session already,
    and replaces a file.

    A folder has no place for live windows. Strands' own manager restores from it by its own rule: the conversation
    manager's count of removed messages is skipped from the start of the transcript. A `.jsonl` file keeps them.

    Args:
        store: Where from.
        session_id: The session.
        target: Where to: a path that ends in `.jsonl`, an open stream of text, or a folder, which Strands'
            `FileSessionManager` then reads as its `storage_dir`.
        progress: Called with the messages done and how many there are.

    Returns:
        What was taken out.

    Raises:
        SessionConflictError: An agent wrote to the session meanwhile.
        SessionDataError: There is no such session, one of its rows can't be read, or the place is taken by something
            else.
        PerSQLError: The database refused, or could not be reached; run it again.
        TypeError: `target` is neither a path nor a stream.
        ValueError: The session's id, or an agent's, can't be a folder's name.
    """
    checked_session_id(session_id)
    connection = Connection(store)
    path = Path(target) if isinstance(target, (str, os.PathLike)) else None
    if path is None and not callable(getattr(target, "write", None)):
        raise TypeError(f"target must be a path or an open stream of text, not {type(target).__name__}")
    if path is not None and path.suffix != ".jsonl":
        out: Target = FolderTarget(path, session_id)
        total = None if progress is None else StoredSource(connection).count([session_id])
    else:
        total = StoredSource(connection).count([session_id])
        out = (
            LinesTarget(cast("TextIO", target), session_id, total)
            if path is None
            else PathTarget(path, session_id, total)
        )
    return _Export(StoredSession(connection, session_id), out, total, progress).run()


class Target(Protocol):
    """Where a session goes to."""

    again: bool
    """Whether something stood there that may be the cause of a wrong checksum, so that a second try is worth it."""

    def write(self, items: Iterator[Item]) -> tuple[str, int]:
        """Write it; the checksum of what then stands there, and how many messages were written."""
        ...

    def finish(self) -> None:
        """Put it in its place."""
        ...

    def discard(self) -> None:
        """Throw it away."""
        ...


class _Export:
    """One session's export."""

    def __init__(self, source: StoredSession, target: Target, total: int | None, progress: Progress | None) -> None:
        self._source = source
        self._target = target
        self._reporter = Reporter(progress)
        self._reporter.total = total
        self._checksum = Checksum()
        self._agents = self._messages = self._multi_agents = 0

    def run(self) -> Transfer:
        items = self._items()
        first = next(items)  # before anything is written: the session may not exist
        try:
            found, written = self._target.write(chain([first], items))
        except (SessionDataError, ValueError):
            self._target.discard()
            raise
        if found != self._checksum.hexdigest():
            self._target.discard()
            if self._target.again:
                self._target.again = False
                return self._begin_again()
            raise SessionDataError(
                f"What was read back of session {self._source.session_id!r} is not what the database holds: its "
                f"checksum is {found}, the database's {self._checksum.hexdigest()}. Try again, or another place."
            )
        self._target.finish()
        self._reporter.tell()
        return Transfer(
            session_id=self._source.session_id,
            agents=self._agents,
            messages=self._messages,
            multi_agents=self._multi_agents,
            written=written,
            requests=self._source.connection.requests,
            checksum=found,
        )

    def _begin_again(self) -> Transfer:
        self._checksum = Checksum()
        self._reporter.done = 0
        self._agents = self._messages = self._multi_agents = 0
        return self.run()

    def _items(self) -> Iterator[Item]:
        for item in self._source.items():
            self._checksum.add(item)
            if isinstance(item, MessageItem):
                self._messages += 1
                self._reporter.add(1)
            elif isinstance(item, AgentItem):
                self._agents += 1
            elif not isinstance(item, HeadItem):
                self._multi_agents += 1
            yield item
