"""Files that are their owner's alone, and whether the one that is open still stands at its path."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import quote

Identity: TypeAlias = tuple[int, int]
Change: TypeAlias = Literal["gone", "another", "reopen"]


def open_privately(path: str, flags: int) -> int:
    """Open a file that only its owner may read where it is new, whatever the umask; an `opener` for `open`."""
    try:
        return _created(path, flags)
    except FileExistsError:
        return os.open(path, flags)


def create_privately(path: str) -> None:
    """Create an empty file; one that exists is not touched.

    Raises:
        OSError: It can't be created, or exists.
    """
    # One that exists is not opened: closing any descriptor of a file drops all locks that this process has on it.
    os.close(_created(path, os.O_WRONLY))


def _created(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)  # whatever the umask
    return descriptor


def make_private_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder, and those above it that are missing, for their owner alone; those that exist are left as they are.

    Raises:
        OSError: It can't be made.
    """
    path = os.path.abspath(path)
    if not os.path.isdir(path):
        above = os.path.dirname(path)
        if above != path:  # as it is for a drive that is not there
            make_private_folder(above)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
            os.chmod(path, 0o700)


@contextmanager
def whole(path: str, *, over: bool) -> Generator[str, None, None]:
    """An empty file in the same folder, its owner's alone, which is moved to its place at the end, whole or not at all.

    Args:
        path: Its place.
        over: Whether a file that stands there is replaced.

    Raises:
        FileExistsError: One stands there.
        OSError: It can't be created, or not be moved.
    """
    folder, name = os.path.split(path)
    # File systems take names of 255 bytes, and a character may have 4.
    part = os.path.join(folder, f".{name[:60]}.{secrets.token_hex(4)}.part")
    create_privately(part)
    try:
        yield part
        if over:
            os.replace(part, path)
        else:
            _put_where_none_is(part, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)


def _put_where_none_is(part: str, path: str) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: exFAT, some network drives
        create_privately(path)
        os.replace(part, path)


def is_link(path: str | os.PathLike[str]) -> bool:
    """Whether what stands at a path leads somewhere else: a symbolic link, or a junction of Windows."""
    try:
        return leads_away(os.lstat(path))
    except (OSError, ValueError):
        return False


def is_sqlite(path: str | os.PathLike[str]) -> bool:
    """Whether a file is SQLite's. It must not be open as a database: see `is_open`."""
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def leads_away(status: os.stat_result) -> bool:
    """Whether this is the status (`lstat`) of a symbolic link, or of a junction, which anybody may make on Windows."""
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


_MAGIC = b"SQLite format 3\0"
_JUNCTION = 0xA0000003
"""`IO_REPARSE_TAG_MOUNT_POINT`."""


def followed(path: str) -> str:
    """The file that SQLite opens at a path: on Windows it follows no link itself, and names a log after the link."""
    return os.path.realpath(path) if os.name == "posix" else path


def uri_of(path: PurePath) -> str:
    """An absolute path as SQLite takes it in an address, in which there is no host: `file:////server/share/agents.db`."""
    text = path.as_posix()
    return f"file://{'' if text.startswith('/') else '/'}{quote(os.fsencode(text), safe='/:')}"


def place_of(local: str | os.PathLike[str]) -> str:
    """What `PerSQL(local=…)` was given, as text; `~` is the home folder, as no shell has put it in for a setting."""
    return os.path.expanduser(os.fspath(local))


def is_folder(local: str | os.PathLike[str]) -> bool:
    """Whether a path, as `PerSQL(local=…)` takes it, is a folder's: it ends in a slash, or a folder stands there."""
    local = place_of(local)
    ends_in_slash = local.endswith(os.sep) or (os.altsep is not None and local.endswith(os.altsep))
    return local != ":memory:" and (ends_in_slash or os.path.isdir(local))


def identity(path: str) -> Identity | None:
    """Which file stands at a path: its device and inode; None where there is none."""
    with suppress(OSError):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return None


class OpenFile(NamedTuple):
    """A SQLite file that is open: which file it is, and which is its write-ahead log, where it has one."""

    path: str
    device: int
    inode: int
    size: int
    log: str
    log_inode: int

    @classmethod
    def at(cls, path: str) -> OpenFile | None:
        """The file at a path; None where it can't be looked at."""
        try:
            file = os.stat(path)
        except OSError:
            return None
        log = f"{followed(path)}-wal"
        _, log_inode = identity(log) or (None, None)
        if log_inode is None:  # as is the rule without WAL
            log, log_inode = path, file.st_ino
        return cls(path, file.st_dev, file.st_ino, min(file.st_size, 1), log, log_inode)

    @property
    def has_log(self) -> bool:
        """Whether it is in WAL mode."""
        return self.log != self.path

    def log_size(self) -> int | None:
        """The bytes of its log; None where file and log don't stand where they did."""
        try:
            file, log = os.stat(self.path), os.stat(self.log)
        except OSError:
            return None
        is_there = (
            file.st_ino == self.inode
            and log.st_ino == self.log_inode
            and file.st_dev == self.device
            and file.st_size >= self.size
        )
        return log.st_size if is_there else None

    def change(self) -> Change | None:
        """What has happened to it: it is gone, another one stands in its place, or its content or log was cut."""
        found = identity(self.path)
        if found is None:
            return "gone"
        if found != (self.device, self.inode):
            return "another"
        return "reopen" if self.log_size() is None else None
