"""The files of Strands' `FileSessionManager`: a folder to read from, and to write to."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...client import is_link, leads_away, make_private_folder, open_privately
from ...database.about import About
from ...errors import SessionDataError, named
from ._beside import FolderLock
from ._files import ABOUT, HEAD, SESSION, Files, FilesSource, message_path, session_items, state_path
from ._items import (
    Checksum,
    Document,
    HeadItem,
    Item,
    MessageItem,
    StateItem,
    Target,
    checked_about,
    decoded_object,
    malformed,
)

NAME_BYTES = 240
"""The most bytes of an id in a folder's name. File systems take 255, of which `.session_<id>.part` needs the rest."""

_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]\Z')
"""What no name of a folder has there; behind a colon stands a hidden stream of a file, and a last dot is dropped."""

_LINK = "it is a symbolic link, which may lead out of the session"


def folder_source(path: str | os.PathLike[str]) -> FilesSource:
    """The sessions in a manager's `storage_dir`, or the one of a session's own folder.

    Raises:
        SessionDataError: There is no such folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise SessionDataError(
            f"There is no folder {named(str(folder))} to import from. Name the storage_dir of the FileSessionManager, "
            "the folder session_<id> of one session, or a .jsonl file."
        )
    if folder.name.startswith(SESSION) and ((folder / HEAD).is_file() or (folder / "agents").is_dir()):
        return FilesSource(Folder(folder.parent), only=folder.name.removeprefix(SESSION))
    return FilesSource(Folder(folder))


class Folder(Files):
    """The files below a folder.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._checked: set[Path] = set()

    @property
    def place(self) -> str:
        return f"The folder {named(str(self._root))}"

    def where(self, path: str) -> str:
        return str(self._root / path)

    def folders(self, prefix: str) -> list[str]:
        parent, _, start = prefix.rpartition("/")
        return sorted(
            entry.name.removeprefix(start)
            for entry in self._entries(parent)
            # A manager whose process died early leaves folders without any file, in which Strands finds nothing either.
            if entry.name.startswith(start) and self._is_folder(entry) and any(Path(entry.path).rglob("*.json"))
        )

    def holds(self, prefix: str, name: str) -> bool:
        return name in self.folders(prefix)

    def names(self, folder: str) -> list[str]:
        return [entry.name for entry in self._entries(folder)]

    def read(self, path: str) -> Document:
        file = self._root / path
        self._check_folder(file.parent)
        try:
            status = file.lstat()
            if leads_away(status):  # Strands refuses it too, from 1.54 on
                raise malformed(str(file), _LINK)
            if not stat.S_ISREG(status.st_mode):
                raise malformed(str(file), "it is no file: whoever reads it might wait for ever")
            return decoded_object(file.read_bytes(), str(file))
        except FileNotFoundError as error:
            raise malformed(str(file), "there is no such file") from error

    def about(self, session: str) -> About:
        path = f"{session}{ABOUT}"
        there = ABOUT in self.names(session)
        return checked_about(self.read(path), self.where(path)) if there else About()

    def read_many(self, paths: Iterable[str]) -> Iterator[Document]:
        return map(self.read, paths)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        path = self._root / folder
        self._check_folder(path)
        return list(os.scandir(path)) if path.is_dir() else []

    @staticmethod
    def _is_folder(entry: os.DirEntry[str]) -> bool:
        if is_link(entry.path):
            raise malformed(entry.path, _LINK)
        return entry.is_dir()

    def _check_folder(self, path: Path) -> None:
        """Refuse a folder that is reached by a link; the one that was named may be one."""
        if path != self._root and path not in self._checked:
            self._check_folder(path.parent)
            if is_link(path):
                raise malformed(str(path), _LINK)
            self._checked.add(path)


class FolderTarget(Target):
    """A folder that Strands' `FileSessionManager` reads as its `storage_dir`.

    A session is written beside its place, read back, and then moved there, so that nobody restores half of it. A later
    export uses the files again that one which was cut off has left.

    Args:
        path: The folder; it is made where there is none.
        session_id: The session.

    Raises:
        SessionDataError: A symbolic link stands where the session would be written.
        ValueError: Strands' manager can't take this session's id.
    """

    counts = False

    def __init__(self, path: Path, session_id: str) -> None:
        self._root = path
        if self._root.exists() and not self._root.is_dir():
            raise ValueError(f"{named(str(self._root))} is a file. Name a folder, or a file that ends in .jsonl.")
        name = f"{SESSION}{_checked_name(session_id, 'session')}"
        self._final = self._root / name
        self._beside = self._root / f".{name}.part"
        _check_no_link(self._beside)
        self._lock = FolderLock(self._beside)
        self._folders: dict[str, Path] = {}  # by what any file system may take their names for
        self._in_place = self._final.exists() or is_link(self._final)
        self.again = self._beside.exists() and not self._in_place

    def write(self, items: Iterator[Item], total: int | None) -> tuple[str, int]:
        folder = self._final if self._in_place else self._beside
        if not self._in_place:
            make_private_folder(self._root)
            self._make(folder)
            if not self._lock.take():
                raise SessionDataError(
                    f"Another export writes to {named(str(folder))} at the moment. Nothing was changed. Wait for its "
                    "end, and try again."
                )
        try:
            return self._written(folder, items)
        except BaseException:
            self._lock.release()
            raise

    def _written(self, folder: Path, items: Iterator[Item]) -> tuple[str, int]:
        for name in ("agents", "multi_agents"):
            self._make(folder / name)
        written = 0
        for item in items:
            if isinstance(item, HeadItem):
                self._write(folder / HEAD, item.data)
                self._write_about(folder / ABOUT, item.about)
            elif isinstance(item, MessageItem):
                written += self._write(folder / message_path(item.agent_id, item.message_id), item.both)
            elif isinstance(item, StateItem):  # Strands' folders have no place for objects
                owner = _checked_name(item.owner, item.kind.replace("_", "-"))
                file = folder / state_path(item.kind, owner)
                self._check_apart(file.parent, owner)
                self._make(file.parent)
                if item.kind == "agent":
                    self._make(file.parent / "messages")
                self._write(file, item.data)
        return Checksum.of(session_items(Folder(self._root), f"{folder.name}/")).hexdigest(), written

    def finish(self) -> None:
        if self._in_place:
            self.discard()  # files of an export that was cut off
        else:
            os.replace(self._beside, self._final)
            self._lock.release()

    def discard(self) -> None:
        if self._beside.exists() and self._lock.take():
            shutil.rmtree(self._beside)
            self._lock.release()

    def _check_apart(self, folder: Path, owner: str) -> None:
        """Refuse an id whose folder is another's too: not all systems tell capitals, or two forms of an ä, apart."""
        other = self._folders.setdefault(unicodedata.normalize("NFC", folder.name).casefold(), folder)
        if other != folder and folder.exists() and folder.samefile(other):
            raise ValueError(
                f"{named(owner)} and {named(other.name)} are one name to the file system of "
                f"{named(str(self._root))}. Export to a .jsonl file."
            )

    def _make(self, folder: Path) -> None:
        if not self._in_place:
            _check_no_link(folder)
            folder.mkdir(mode=0o700, exist_ok=True)

    def _write_about(self, file: Path, about: About) -> None:
        known = about.document
        if file.exists() and not file.is_symlink():
            # When it was active changes again and again: an earlier export is not another one for that.
            earlier = decoded_object(file.read_bytes(), str(file))
            known = {**known, "active": earlier.get("active", "")}
        if known or file.exists():
            self._write(file, {name: value for name, value in known.items() if value})

    def _write(self, file: Path, document: Document) -> bool:
        """Write a file; False where it stands there already."""
        data = _as_strands_writes(document)
        with contextlib.suppress(FileNotFoundError):
            if not is_link(file) and file.read_bytes() == data:
                return False
        if self._in_place:
            raise SessionDataError(
                f"{named(str(self._final))} exists already and holds something else (first seen in "
                f"{file.relative_to(self._final)}). Nothing was changed. Export to another folder, or move this one "
                "away first."
            )
        file.unlink(missing_ok=True)
        with open(file, "wb", opener=open_privately) as stream:
            stream.write(data)
        return True


def _check_no_link(path: Path) -> None:
    if is_link(path):
        raise SessionDataError(
            f"{named(str(path))}, where an export writes, is a symbolic link, which leads somewhere else. Nothing was "
            "written there. Remove it, or export to a folder that nobody else writes to."
        )


def _as_strands_writes(document: Document) -> bytes:
    try:
        return json.dumps(document, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate can only be written as an escape
        return json.dumps(document, indent=2).encode()


def is_no_name_on_windows(name: str) -> bool:
    """Whether a folder's name can't end in this there."""
    return _NOT_ON_WINDOWS.search(name) is not None


def _checked_name(name: str, kind: str) -> str:
    """An id that can be part of a folder's name.

    Raises:
        ValueError: It can't.
    """
    # Strands refuses separators; no file system takes a NUL or a longer name.
    if os.path.basename(name) != name or "/" in name or "\\" in name or "\0" in name:
        why = "Strands' FileSessionManager takes no path separators in ids"
    elif os.name == "nt" and is_no_name_on_windows(name):
        why = 'Windows takes none of <>:"|?* and no control characters in it, nor a dot or a blank at its end'
    elif len(os.fsencode(name)) > NAME_BYTES:
        why = f"it is longer than the {NAME_BYTES} bytes that file systems leave for it"
    else:
        return name
    remedy = "Export to a .jsonl file, or rename the session." if kind == "session" else "Export to a .jsonl file."
    raise ValueError(f"The {kind} id {named(name)} can't be a folder's name: {why}. {remedy}")
