"""Sessions in the files of Strands' `FileSessionManager`.

```
<storage_dir>/session_<id>/session.json
                           agents/agent_<id>/agent.json
                                             messages/message_<n>.json
                           multi_agents/multi_agent_<id>/multi_agent.json
```
Source: `strands/session/file_session_manager.py`, the same from Strands 1.42 to 1.62.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...errors import SessionDataError
from ._items import (
    AgentItem,
    Checksum,
    Document,
    HeadItem,
    Item,
    MessageItem,
    MultiAgentItem,
    checked_agent,
    checked_message,
    checked_position,
    malformed,
    parsed,
    shortened,
)

__all__ = ["FileSource", "FolderTarget", "position_of"]

SESSION, AGENT, MESSAGE, MULTI_AGENT = "session_", "agent_", "message_", "multi_agent_"

NAME_BYTES = 240
"""Bytes of an id in a folder's name, of which file systems take 255: `.session_<id>.part` is the longest."""

_POSITION = re.compile(r"message_([0-9]{1,18})\.json")


def position_of(name: str, where: str) -> int | None:
    """The position that a message's file name tells; None for a file of something else.

    Raises:
        SessionDataError: It looks like a message's, and tells none: Strands itself fails on it.
    """
    if not (name.startswith(MESSAGE) and name.endswith(".json")):
        return None
    match = _POSITION.fullmatch(name)
    if match is None:
        raise malformed(where, "its name is no message_<number>.json")
    return checked_position(int(match[1]), where)


class FileSource:
    """The sessions in a folder.

    Args:
        path: The manager's `storage_dir`, or the folder of one session.

    Raises:
        SessionDataError: There is no such folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        folder = Path(path)
        if not folder.is_dir():
            raise SessionDataError(
                f"There is no folder {str(folder)!r} to import from. Name the storage_dir of the FileSessionManager, "
                "the folder session_<id> of one session, or a .jsonl file."
            )
        alone = folder.name.startswith(SESSION) and (
            (folder / "session.json").is_file() or (folder / "agents").is_dir()
        )
        self._root = folder.parent if alone else folder
        self._alone = folder.name.removeprefix(SESSION) if alone else None

    def session_ids(self) -> list[str]:
        """Which sessions it has."""
        if self._alone is not None:
            return [self._alone]
        with os.scandir(self._root) as entries:
            return sorted(
                entry.name.removeprefix(SESSION)
                for entry in entries
                # A process that died at once leaves folders and nothing in them.
                if entry.name.startswith(SESSION) and entry.is_dir() and any(Path(entry.path).rglob("*.json"))
            )

    def count(self, session_ids: Iterable[str]) -> int:
        """How many messages these sessions have."""
        return sum(
            len(_positions(agent / "messages"))
            for session_id in session_ids
            for _, agent in _folders(self._folder(session_id) / "agents", AGENT)
        )

    def sessions(self, session_id: str | None) -> Iterator[FileSession]:
        """One session, or all of them.

        Raises:
            SessionDataError: There is no such session.
        """
        ids = self.session_ids()
        if session_id is not None and session_id not in ids:
            raise SessionDataError(f"The folder {str(self._root)!r} holds no session {session_id!r} to import.")
        for each in ids if session_id is None else [session_id]:
            yield FileSession(each, self._folder(each))

    def _folder(self, session_id: str) -> Path:
        return self._root / f"{SESSION}{session_id}"


@dataclass(frozen=True)
class FileSession:
    """One session's folder."""

    session_id: str
    folder: Path

    def items(self) -> Iterator[Item]:
        """All of it.

        Raises:
            SessionDataError: A file is missing, or can't be read.
        """
        yield HeadItem(_read(self.folder / "session.json"))
        for agent_id, folder in _folders(self.folder / "agents", AGENT):
            positions = _positions(folder / "messages")
            path = folder / "agent.json"
            if not positions and not path.exists():
                continue  # a process that died at once: Strands finds no agent either
            yield AgentItem(agent_id, checked_agent(_read(path), str(path)))
            for position, name in positions:
                path = folder / "messages" / name
                yield MessageItem(agent_id, position, checked_message(_read(path), str(path)))
        for multi_agent_id, folder in _folders(self.folder / "multi_agents", MULTI_AGENT):
            path = folder / "multi_agent.json"
            if path.exists() or path.is_symlink():
                yield MultiAgentItem(multi_agent_id, _read(path))


def _folders(path: Path, prefix: str) -> list[tuple[str, Path]]:
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        return sorted(
            (entry.name.removeprefix(prefix), Path(entry.path))
            for entry in entries
            if entry.name.startswith(prefix) and entry.is_dir()
        )


def _positions(path: Path) -> list[tuple[int, str]]:
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        found = sorted(
            (position, entry.name) for entry in entries if (position := position_of(entry.name, entry.path)) is not None
        )
    for (position, _), (other, name) in pairwise(found):
        if position == other:
            raise malformed(str(path / name), f"another file is message {position}, too")
    return found


def _read(path: Path) -> Document:
    if path.is_symlink():  # as Strands from 1.54 on
        raise malformed(str(path), "it is a symbolic link, which may lead out of the session")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise malformed(str(path), "there is no such file") from error
    except UnicodeDecodeError as error:
        raise malformed(str(path), "it is not UTF-8") from error
    return parsed(text, str(path))


class FolderTarget:
    """A folder that Strands' `FileSessionManager` reads as its `storage_dir`.

    A session is written beside its place and moved there when it is whole and proven, so that nobody restores half of
    it; a later run goes on with what an earlier one left.

    Args:
        path: The folder; it is made where there is none.
        session_id: The session.

    Raises:
        SessionDataError: Where it would be written a symbolic link stands.
        ValueError: Strands' manager can't take this session's id.
    """

    def __init__(self, path: str | os.PathLike[str], session_id: str) -> None:
        root = Path(path)
        if root.exists() and not root.is_dir():
            raise ValueError(f"{str(root)!r} is a file. Name a folder, or a file that ends in .jsonl.")
        name = f"{SESSION}{checked_name(session_id, 'session')}"
        self._session_id = session_id
        self._final = root / name
        self._beside = root / f".{name}.part"
        _check_no_link(self._beside)
        self._in_place = self._final.exists() or self._final.is_symlink()
        self.again = self._beside.exists() and not self._in_place

    def write(self, items: Iterator[Item]) -> tuple[str, int]:
        """Write a session, and read it back.

        Returns:
            The checksum of what stands there, and how many messages were written.

        Raises:
            SessionDataError: The place is taken by something else.
            ValueError: Strands' manager can't take the id of an agent.
        """
        if self._in_place:
            written = _Folder(self._final, fixed=True).write(items)
            return self._read_back(self._final), written
        self._beside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._beside.mkdir(mode=0o700, exist_ok=True)
        written = _Folder(self._beside, fixed=False).write(items)
        return self._read_back(self._beside), written

    def finish(self) -> None:
        """Put what was written in its place."""
        if self._in_place:
            self.discard()  # of an earlier run
        else:
            os.replace(self._beside, self._final)

    def discard(self) -> None:
        """Throw away what was written, but nothing that stood in its place before."""
        if self._beside.exists():
            shutil.rmtree(self._beside)

    def _read_back(self, folder: Path) -> str:
        checksum = Checksum()
        for item in FileSession(self._session_id, folder).items():
            checksum.add(item)
        return checksum.hexdigest()


class _Folder:
    """Writes the files of one session, those that stand there already apart.

    Args:
        folder: The session's.
        fixed: Whether it is in its place already, so that nothing may be changed.
    """

    def __init__(self, folder: Path, *, fixed: bool) -> None:
        self._folder = folder
        self._fixed = fixed

    def write(self, items: Iterator[Item]) -> int:
        written = 0
        self._make("agents")
        self._make("multi_agents")
        for item in items:
            if isinstance(item, HeadItem):
                self._write("session.json", item.data)
            elif isinstance(item, AgentItem):
                agent = f"agents/{AGENT}{checked_name(item.agent_id, 'agent')}"
                self._make(agent)
                self._make(f"{agent}/messages")
                self._write(f"{agent}/agent.json", item.data)
            elif isinstance(item, MessageItem):
                agent = f"agents/{AGENT}{item.agent_id}"
                written += self._write(f"{agent}/messages/{MESSAGE}{item.message_id}.json", item.data)
            else:
                folder = f"multi_agents/{MULTI_AGENT}{checked_name(item.multi_agent_id, 'multi-agent')}"
                self._make(folder)
                self._write(f"{folder}/multi_agent.json", item.data)
        return written

    def _make(self, name: str) -> None:
        if not self._fixed:
            path = self._folder / name
            _check_no_link(path)
            path.mkdir(mode=0o700, exist_ok=True)

    def _write(self, name: str, document: Document) -> bool:
        path = self._folder / name
        data = _laid_out(document)
        with contextlib.suppress(FileNotFoundError):
            if not path.is_symlink() and path.read_bytes() == data:
                return False
        if self._fixed:
            raise SessionDataError(
                f"{str(self._folder)!r} exists already and holds something else (first seen in {name}). Nothing was "
                "changed. Export to another folder, or move this one away first."
            )
        path.unlink(missing_ok=True)
        with open(path, "wb", opener=_privately) as file:
            file.write(data)
        return True


def _check_no_link(path: Path) -> None:
    if path.is_symlink():
        raise SessionDataError(
            f"{str(path)!r}, where an export writes, is a symbolic link, which leads somewhere else. Nothing was "
            "written there. Remove it, or export to a folder that nobody else writes to."
        )


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def _laid_out(document: dict[str, Any]) -> bytes:
    """A document as Strands' manager writes it."""
    try:
        return json.dumps(document, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate: only an escape can carry it
        return json.dumps(document, indent=2).encode()


def checked_name(name: str, kind: str) -> str:
    """An id that can be part of a folder's name.

    Raises:
        ValueError: It can't.
    """
    # What Strands refuses, and what no file system takes.
    if os.path.basename(name) != name or "/" in name or "\\" in name or "\0" in name:
        why = "Strands' FileSessionManager takes no path separators in ids"
    elif len(os.fsencode(name)) > NAME_BYTES:
        why = f"it is longer than the {NAME_BYTES} bytes that file systems leave for it"
    else:
        return name
    remedy = "Export to a .jsonl file, or rename the session." if kind == "session" else "Export to a .jsonl file."
    raise ValueError(f"The {kind} id {shortened(name)} can't be a folder's name: {why}. {remedy}")
