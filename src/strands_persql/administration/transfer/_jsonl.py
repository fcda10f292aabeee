"""Sessions as lines of JSON: all that is stored of them, live windows included.

```
{"format":"strands-persql","version":1,"session_id":"user-42","messages":2,"session":{…}}
{"agent":"default","live_window":[[0,null]],"data":{…}}
{"message":0,"data":{…}}
{"message":1,"data":{…}}
{"multi_agent":"graph","data":{…}}
{"end":"user-42","messages":2,"checksum":"…","windows":"…"}
```
An agent's messages follow its line. A file may hold several sessions, one after the other. The checksum is the same in
every form of the session; that of the live windows stands beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO, cast

from ...database.encoding import encode
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
    checked_object,
    checked_position,
    checked_window,
    malformed,
    parsed,
)

__all__ = ["JsonlSource", "LinesTarget", "PathTarget"]

FORMAT, VERSION = "strands-persql", 1

_BREAKS = str.maketrans({"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""What JSON allows in a line but `str.splitlines` ends it at."""


@dataclass
class _Lines:
    """Lines that know their number."""

    lines: Iterator[object]
    name: str
    number: int = 0

    def next(self) -> Document | None:
        while True:
            try:
                line = next(self.lines, None)
            except UnicodeDecodeError as error:
                raise malformed(f"What follows line {self.number} of {self.name}", "it is not UTF-8") from error
            if line is None:
                return None
            self.number += 1
            if not isinstance(line, str):
                raise malformed(self.where, f"it is {type(line).__name__}, not text: open the file in text mode")
            text = line.removeprefix("\ufeff").strip() if self.number == 1 else line.strip()
            if text:
                return parsed(text, self.where)

    @property
    def where(self) -> str:
        return f"Line {self.number} of {self.name}"


class JsonlSource:
    """The sessions in a file or stream of lines.

    Args:
        source: A file's path, or the lines.

    Raises:
        SessionDataError: There is no such file.
    """

    def __init__(self, source: str | os.PathLike[str] | Iterable[str]) -> None:
        self._path = Path(source) if isinstance(source, (str, os.PathLike)) else None
        self._given: Iterable[str] = () if self._path is not None else cast("Iterable[str]", source)
        name = str(self._path) if self._path is not None else getattr(source, "name", None)
        self._name = f"{name!r}" if isinstance(name, str) else "the stream"
        if self._path is not None and not self._path.is_file():
            raise SessionDataError(f"There is no file {self._name} to import from.")

    def session_ids(self) -> list[str] | None:
        """Which sessions it has; None for a stream, which can be read but once."""
        return None if self._path is None else [head["session_id"] for head in self._heads()]

    def count(self, session_ids: Iterable[str]) -> int | None:
        """How many messages these sessions have, as their first lines tell; None for a stream."""
        if self._path is None:
            return None
        wanted = set(session_ids)
        counts = [head.get("messages") for head in self._heads() if head["session_id"] in wanted]
        return sum(cast("list[int]", counts)) if all(isinstance(count, int) for count in counts) else None

    def sessions(self, session_id: str | None) -> Iterator[JsonlSession]:
        """One session, or all of them.

        Raises:
            SessionDataError: There is no such session, or a line can't be read.
        """
        found = False
        with self._opened() as given:
            lines = _Lines(iter(given), self._name)
            while (line := lines.next()) is not None:
                session = JsonlSession(_head(line, lines.where)["session_id"], line, lines)
                if session_id is None or session.session_id == session_id:
                    found = True
                    yield session
                for _ in session.items():  # to its end: another's, or what its reader left
                    pass
        if not found:
            which = "no session" if session_id is None else f"no session {session_id!r}"
            raise SessionDataError(f"{self._name} holds {which} to import.")

    def _opened(self) -> contextlib.AbstractContextManager[Iterable[object]]:
        if self._path is None:
            return contextlib.nullcontext(self._given)
        return open(self._path, encoding="utf-8")

    def _heads(self) -> Iterator[Document]:
        """The first lines of its sessions, found without decoding the others."""
        with open(cast("Path", self._path), encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if '"format"' in line[:200] and FORMAT in line[:200]:
                    where = f"Line {number} of {self._name}"
                    document = parsed(line.removeprefix("\ufeff"), where)
                    if "format" in document:
                        yield _head(document, where)


@dataclass
class JsonlSession:
    """One session of a file, to be read once."""

    session_id: str
    head: Document
    lines: _Lines
    _read: bool = field(default=False, init=False)
    _end: Document = field(default_factory=lambda: {}, init=False)

    def items(self) -> Iterator[Item]:
        """All of it; nothing the second time.

        Raises:
            SessionDataError: A line can't be read, stands in the wrong place, or is missing; or the lines hold
                something else than what was written.
        """
        if self._read:
            return
        self._read = True
        checksum, messages = Checksum(), 0
        for item in self._items():
            messages += isinstance(item, MessageItem)
            checksum.add(item)
            yield item
        end = self._end
        where = self.lines.where
        if end.get("messages") != messages:
            raise malformed(where, f"it says {end.get('messages')} messages, and {messages} stand before it")
        if end.get("checksum") != checksum.hexdigest():
            raise malformed(where, "its checksum is not that of the lines before it: some were changed or lost")
        if end.get("windows") != checksum.windows():
            raise malformed(where, "its checksum of live windows is not that of the lines before it: some were changed")

    def _items(self) -> Iterator[Item]:
        lines = self.lines
        yield HeadItem(checked_object(self.head.get("session"), lines.where))
        agent_id: str | None = None
        seen: set[str] = set()
        position = -1
        while (line := lines.next()) is not None:
            where = lines.where
            if "message" in line:
                if agent_id is None:
                    raise malformed(where, "no agent's line stands before this message")
                before, position = position, checked_position(line["message"], where)
                if position <= before:
                    raise malformed(where, f"message {position} stands after message {before}")
                yield MessageItem(agent_id, position, checked_message(_data(line, where), where))
            elif "agent" in line:
                agent_id, before_id = _id(line["agent"], where), agent_id
                if seen or (before_id is not None and agent_id <= before_id):
                    raise malformed(where, "agents stand in the order of their ids, before Graphs and Swarms")
                position = -1
                window = checked_window(line.get("live_window"), where)
                yield AgentItem(agent_id, checked_agent(_data(line, where), where), window)
            elif "multi_agent" in line:
                multi_agent_id = _id(line["multi_agent"], where)
                if any(multi_agent_id <= other for other in seen):
                    raise malformed(where, "Graphs and Swarms stand in the order of their ids")
                seen.add(multi_agent_id)
                yield MultiAgentItem(multi_agent_id, _data(line, where))
            elif line.get("end") == self.session_id:
                self._end = line
                return
            else:
                raise malformed(where, "it is no agent, message, multi_agent, or end of this session")
        raise malformed(
            lines.where, f"the file ends here, before the line that ends session {self.session_id!r}: it was cut short"
        )


def _head(line: Document, where: str) -> Document:
    if line.get("format") != FORMAT or not isinstance(line.get("session_id"), str):
        raise malformed(where, "a session's first line, with its format and session_id, should stand here")
    if line.get("version") != VERSION:
        raise malformed(
            where,
            f"it has version {line.get('version')!r} of the format, and this version of strands-persql reads {VERSION}",
        )
    return line


def _data(line: Document, where: str) -> Document:
    return checked_object(line.get("data"), where)


def _id(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    raise malformed(where, f"an id is a string, not {value!r}")


class _Writer:
    """Writes a session's lines, and reads each one back.

    Args:
        session_id: The session.
        total: How many messages it has.
    """

    def __init__(self, session_id: str, total: int | None) -> None:
        self._session_id = session_id
        self._total = total
        self.checksum = Checksum()
        self.messages = 0

    def lines(self, items: Iterable[Item]) -> Iterator[str]:
        for item in items:
            line = self._line(item)
            if isinstance(item, MessageItem):
                self.messages += 1
            self.checksum.add(_again(item, line))
            yield line
        sums = {"checksum": self.checksum.hexdigest(), "windows": self.checksum.windows()}
        yield _line({"end": self._session_id, "messages": self.messages, **sums})

    def _line(self, item: Item) -> str:
        if isinstance(item, HeadItem):
            count = {} if self._total is None else {"messages": self._total}
            head = {"format": FORMAT, "version": VERSION, "session_id": self._session_id, **count}
            return _line({**head, "session": item.data})
        if isinstance(item, AgentItem):
            return _line({"agent": item.agent_id, "live_window": item.window, "data": item.data})
        if isinstance(item, MessageItem):
            return _line({"message": item.message_id, "data": item.data})
        return _line({"multi_agent": item.multi_agent_id, "data": item.data})


def _again(item: Item, line: str) -> Item:
    """An item as its line tells it."""
    again = json.loads(line)
    data = again.get("data")
    if isinstance(item, AgentItem):
        return AgentItem(item.agent_id, data, again["live_window"])
    if isinstance(item, MessageItem):
        return MessageItem(item.agent_id, item.message_id, data)
    return item if isinstance(item, HeadItem) else MultiAgentItem(item.multi_agent_id, data)


def _line(value: Document) -> str:
    text = encode(value, what="a line")
    return (text if text.isascii() else text.translate(_BREAKS)) + "\n"


class LinesTarget:
    """An open stream of text.

    Args:
        stream: Anything with `write`.
        session_id: The session.
        total: How many messages it has.
    """

    def __init__(self, stream: TextIO, session_id: str, total: int | None) -> None:
        self.again = False
        self._stream = stream
        self._writer = _Writer(session_id, total)

    def write(self, items: Iterator[Item]) -> tuple[str, int]:
        """Write a session.

        Returns:
            The checksum of the lines as they were written, and how many messages.
        """
        for line in self._writer.lines(items):
            self._stream.write(line)
        return self._writer.checksum.hexdigest(), self._writer.messages

    def finish(self) -> None:
        """Nothing is left to do."""
        flush = getattr(self._stream, "flush", None)
        if callable(flush):
            flush()

    def discard(self) -> None:
        """What was written can't be taken back; without its last line it is no session."""


class PathTarget:
    """A file, written beside its place and moved there when it is whole and proven.

    Args:
        path: The file; an earlier export of the same session is replaced.
        session_id: The session.
        total: How many messages it has.

    Raises:
        SessionDataError: The place is taken by something else.
    """

    def __init__(self, path: str | os.PathLike[str], session_id: str, total: int | None) -> None:
        self.again = False
        self._final = Path(path)
        self._beside = self._final.with_name(f".{self._final.name}.part")
        self._session_id = session_id
        self._total = total
        if self._final.is_symlink() or (self._final.exists() and not self._is_ours()):
            raise SessionDataError(
                f"{str(self._final)!r} exists already and is no export of session {session_id!r} alone. Nothing was "
                "changed. Export to another file, or move this one away first."
            )

    def write(self, items: Iterator[Item]) -> tuple[str, int]:
        """Write a session, and read it back.

        Returns:
            The checksum of the file, and how many messages were written.
        """
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._beside.unlink(missing_ok=True)
        writer = _Writer(self._session_id, self._total)
        checksum = Checksum()
        try:
            with open(self._beside, "w", encoding="utf-8", newline="\n", opener=_privately) as file:
                file.writelines(writer.lines(items))
                file.flush()
                os.fsync(file.fileno())
            for session in JsonlSource(self._beside).sessions(self._session_id):
                for item in session.items():
                    checksum.add(item)
        except BaseException:
            self.discard()
            raise
        return checksum.hexdigest(), writer.messages

    def finish(self) -> None:
        """Put what was written in its place."""
        os.replace(self._beside, self._final)

    def discard(self) -> None:
        """Throw away what was written, but nothing that stood in its place before."""
        self._beside.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        try:
            size = self._final.stat().st_size if self._final.is_file() else -1
            return size == 0 or (size > 0 and JsonlSource(self._final).session_ids() == [self._session_id])
        except SessionDataError:
            return False


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)
