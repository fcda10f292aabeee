"""What an export writes to before it is moved to its place: a file of its own, or a folder that it holds."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import secrets
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from ...client import make_private_folder, open_privately

if TYPE_CHECKING:
    from types import ModuleType

_fcntl: ModuleType | None = None
with contextlib.suppress(ImportError):  # Windows has none
    _fcntl = importlib.import_module("fcntl")

# No link is followed, and no pipe waited for. Windows has none of these flags, as it has no such locks.
_OF_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
_OF_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)

_NAME_LENGTH = 60
"""Characters of a name that its file's has: file systems take 255 bytes, and a character may have 4."""


class Beside:
    """A file of this export's own: who else exports to the same place has another one.

    It is locked as long as its export lives. One that is not was left by a process that was killed, and the next export
    to the place deletes it.

    Args:
        final: The place.
    """

    def __init__(self, final: Path) -> None:
        self._final = final
        self._start = f".{final.name[:_NAME_LENGTH]}."
        self._path = final
        self._unlocks: weakref.finalize[[int], Beside] | None = None

    def make(self) -> Path:
        """Make the file, empty and its owner's alone, and delete those that were left."""
        make_private_folder(self._final.parent)
        left = re.compile(re.escape(self._start) + r"[0-9a-f]{8}\.part")
        for entry in os.scandir(self._final.parent):
            if left.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _delete_unless_locked(entry.path)
        while not self._made():  # it was taken for one that was left before it was locked
            self._unlock()
        return self._path

    def _made(self) -> bool:
        self._path = self._final.with_name(f"{self._start}{secrets.token_hex(4)}.part")
        descriptor = open_privately(str(self._path), os.O_RDONLY)
        self._unlocks = weakref.finalize(self, os.close, descriptor)
        if _fcntl is not None:
            with contextlib.suppress(OSError):  # some network drives have no locks, and so nobody deletes it
                _fcntl.flock(descriptor, _fcntl.LOCK_EX)
        return os.fstat(descriptor).st_nlink > 0

    def put(self) -> None:
        """Move it to its place."""
        if _fcntl is None:  # Windows moves no open file
            self._unlock()
        os.replace(self._path, self._final)
        self._unlock()

    def discard(self) -> None:
        """Delete it."""
        if self._unlocks is not None:
            self._unlock()
            self._path.unlink(missing_ok=True)

    def _unlock(self) -> None:
        if self._unlocks is not None:
            self._unlocks()
            self._unlocks = None


def _delete_unless_locked(path: str) -> None:
    with contextlib.suppress(OSError):  # gone meanwhile; somebody else's; or, on Windows, open
        if _fcntl is None:
            os.unlink(path)
            return
        descriptor = os.open(path, _OF_FILE)
        try:
            _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(descriptor)


class FolderLock:
    """Holds a folder for one export as long as that lives; on Windows, and some network drives, it holds nothing.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unlocks: weakref.finalize[[int], FolderLock] | None = None

    def take(self) -> bool:
        """Hold it; False where somebody else does, or where it is there no longer."""
        if _fcntl is None or self._unlocks is not None:
            return True
        try:
            descriptor = os.open(self._path, _OF_FOLDER)
        except FileNotFoundError:
            return False
        self._unlocks = weakref.finalize(self, os.close, descriptor)
        try:
            _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
            is_there = os.path.samestat(os.fstat(descriptor), os.lstat(self._path))
        except (BlockingIOError, FileNotFoundError):
            is_there = False
        except OSError:  # there are no locks here
            return True
        if not is_there:
            self.release()
        return is_there

    def release(self) -> None:
        """Let go of it."""
        if self._unlocks is not None:
            self._unlocks()
            self._unlocks = None
