"""A storage of Strands' `SnapshotSessionManager`: where the values of sessions stand in it, and how they are had.

```
session/<session id>/scopes/agent/<agent id>/snapshots/snapshot_latest.json
                                                       immutable_history/snapshot_<id>.json
                            multiAgent/<id>/snapshots/snapshot_latest.json
context/<session id>/scopes/agent/<agent id>/<key>      the stash: what the context manager has offloaded
```
Source: `strands/session/snapshot_session_manager.py` and `strands/_context_manager/stash.py`, the same from Strands
1.51 to 1.62. Nothing is imported from them: older releases, which have no such manager, can read its sessions too.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeGuard, TypeVar, cast

from ...client import is_link

T = TypeVar("T")

READERS = 16
"""Values that are read at a time."""

SESSIONS, STASH = "session/", "context/"
LATEST = "snapshot_latest.json"


class Storage(Protocol):
    """What is called of Strands' `Storage`."""

    async def read(self, key: str) -> bytes | None:
        """A value; None where there is none."""
        ...

    async def write(self, key: str, data: bytes) -> None:
        """Store a value."""
        ...

    async def list(self, query: str) -> list[str]:
        """The keys that begin with a prefix."""
        ...


@dataclass(frozen=True)
class SnapshotFolder:
    """The folder of Strands' `LocalFileStorage`, a file for each key, to read from: also where Strands has none."""

    folder: Path

    @staticmethod
    def stands_in(folder: Path) -> bool:
        """Whether a folder holds snapshots of sessions."""
        return (folder / SESSIONS).is_dir()

    async def read(self, key: str) -> bytes | None:
        path = self.folder / key
        return path.read_bytes() if path.is_file() else None

    async def write(self, key: str, data: bytes) -> None:
        raise NotImplementedError("snapshots are written to a storage of Strands'")

    async def list(self, query: str) -> list[str]:
        if ".." in query.split("/"):
            return []
        found = (self.folder / query).rglob("*.json" if query.startswith(SESSIONS) else "*")
        return [path.relative_to(self.folder).as_posix() for path in found if path.is_file() and not is_link(path)]


@dataclass(frozen=True)
class Snapshots:
    """A storage of `SnapshotSessionManager`'s, as a source of sessions or a place for them.

    Args:
        storage: The storage, or a manager that was given one.
        history: Read each agent's earlier snapshots too: its transcript then has what was said before the newest one,
            which alone is what the model sees.

    Raises:
        TypeError: It is neither.
        ValueError: The manager has no storage yet: it takes its agent's, once it has one.
    """

    storage: Any
    history: bool = False

    def __post_init__(self) -> None:
        if is_manager(self.storage) and self._of_manager is None:
            raise ValueError(
                "This SnapshotSessionManager has no storage of its own. Pass the storage: Snapshots(storage)."
            )
        if not is_manager(self.storage) and not is_storage(self.storage):
            raise TypeError(
                f"storage must be a Storage of Strands' or a SnapshotSessionManager, got {type(self.storage).__name__}"
            )

    @property
    def session_id(self) -> str | None:
        """The session of a manager; None for a storage."""
        return cast("str", self.storage.session_id) if is_manager(self.storage) else None

    @property
    def _of_manager(self) -> Any:
        return getattr(self.storage, "_raw_storage", None)

    @property
    def place(self) -> Place:
        """Where its values stand."""
        storage = self._of_manager if is_manager(self.storage) else self.storage
        # Strands takes a view of a storage as it is, and puts `session/` before the keys of any other.
        is_view = getattr(storage, "_namespaced", None) is not None
        return Place(cast("Storage", storage), "" if is_view else SESSIONS, None if is_view else STASH)


def is_manager(value: object) -> bool:
    """Whether something is a `SnapshotSessionManager`."""
    return hasattr(value, "_raw_storage") and hasattr(value, "list_snapshot_ids")


def is_storage(value: object) -> TypeGuard[Storage]:
    """Whether something is a `Storage` of Strands'."""
    return all(inspect.iscoroutinefunction(getattr(value, name, None)) for name in ("read", "write", "list"))


@dataclass(frozen=True)
class Place:
    """Where the values of sessions stand in a storage.

    Attributes:
        storage: The storage.
        sessions: What stands before the keys of sessions.
        stash: What stands before those of the stash; None where it can't be had from here.
    """

    storage: Storage
    sessions: str
    stash: str | None

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin with a prefix, in order."""
        return sorted(_run(lambda: self.storage.list(prefix)))

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys, in their order."""

        async def read() -> list[bytes | None]:
            free = asyncio.Semaphore(READERS)

            async def one(key: str) -> bytes | None:
                async with free:
                    return await self.storage.read(key)

            return await asyncio.gather(*map(one, keys))

        return _run(read)

    def write(self, key: str, data: bytes) -> None:
        """Store a value."""
        _run(lambda: self.storage.write(key, data))


def _run(call: Callable[[], Awaitable[T]]) -> T:
    """Wait for a coroutine, in a loop of its own: the caller may stand in one."""

    async def waited() -> T:
        return await call()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(waited())).result()
