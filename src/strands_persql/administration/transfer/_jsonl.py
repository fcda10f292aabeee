"""Sessions as lines of JSON: all that is stored of them, live windows included.

```
{"format":"strands-persql","version":1,"session_id":"user-42","messages":2,"session":{…},"about":{…}}
{"agent":"default","live_window":[[0,null]],"data":{…}}
{"message":0,"data":{…}}
{"message":1,"data":{…}}
{"multi_agent":"graph","updated_at":"…","data":{…}}
{"object":"context/{session}/scopes/agent/default/use-1_0","encoding":"text","data":"…"}
{"end":"user-42","messages":2,"checksum":"…","windows":"…","objects":"…"}
```
An agent's messages follow its line, each as it was said; where the model sees something else in its place, that is the
field `live` of its `data`. An agent whose history was set back has its `rewinds` in its line too. A file may hold
several sessions, one after the other. The checksum is the same in every form of the session; beside it stand those of
what the model sees, and of the session's objects.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, TextIO, cast
from weakref import finalize

from ...client import is_link
from ...database.encoding import encode
from ...database.rewinds import Rewinds
from ...database.tables import Encoded, SessionObjects, decoded
from ...errors import SessionDataError, named
from ._beside import Beside
from ._encrypted import VERSIONS as SEALED_VERSIONS
from ._encrypted import is_head, opened_lines, sealed_lines
from ._items import (
    Checksum,
    Document,
    HeadItem,
    Item,
    MessageItem,
    ObjectItem,
    Source,
    SourceSession,
    StateItem,
    Target,
    agent_item,
    checked_about,
    checked_head,
    checked_object,
    checked_position,
    decoded_object,
    malformed,
    message_item,
    one_line,
)

if TYPE_CHECKING:
    from ...encryption import Encryption

FORMAT, VERSION = "strands-persql", 1
VERSIONS = {FORMAT: VERSION}


def _texts(lines: Iterable[object], name: str) -> Iterator[tuple[str, str]]:
    """Lines, each with its place for errors; empty ones are left out."""
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            where = f"Line {number} of {name}"
            if not isinstance(line, str):
                raise malformed(where, f"it is {type(line).__name__}, not text: open the file in text mode")
            text = line.removeprefix("\ufeff").strip() if number == 1 else line.strip()
            if text:
                yield where, text
    except UnicodeDecodeError as error:
        raise malformed(f"What follows line {number} of {name}", "it is not UTF-8") from error


class _Again:
    """The lines of an open file, each time from its beginning."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        return iter(self._file)


class JsonlSource(Source):
    """The sessions in a file or stream of lines.

    Args:
        source: A file's path, or the lines.
        encryption: The keys of those that are encrypted.

    Raises:
        SessionDataError: There is no such file.
    """

    def __init__(self, source: Path | Iterable[str], encryption: Encryption | None = None) -> None:
        self._source = source
        self._encryption = encryption
        name = str(source) if isinstance(source, Path) else getattr(source, "name", None)
        self._name = named(name) if isinstance(name, str) else "the stream"
        if isinstance(source, Path) and not source.is_file():
            raise SessionDataError(f"There is no file {self._name} to import from.")

    def session_ids(self) -> list[str] | None:
        return [head["session_id"] for head in self._heads()] if isinstance(self._source, Path) else None

    def count(self, session_ids: Iterable[str]) -> int | None:
        wanted = set(session_ids)
        counts = [head.get("messages") for head in self._heads() if head["session_id"] in wanted]
        if not isinstance(self._source, Path) or not all(isinstance(count, int) for count in counts):
            return None
        return sum(cast("list[int]", counts))

    def check(self, session_id: str | None) -> None:
        """Open all lines of sessions that are encrypted: one that was changed is told before anything is stored."""
        if isinstance(self._source, Path):
            is_sealed = any(head["format"] != FORMAT for head in self._heads())
        else:
            lines = iter(self._source)
            try:
                first = next(lines, "")
            except UnicodeDecodeError as error:
                raise malformed(f"What follows line 0 of {self._name}", "it is not UTF-8") from error
            is_sealed = is_head(first)
            self._source = chain([first], lines)
            if is_sealed:  # what can be read once alone is copied as it is
                copy = TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115
                finalize(self, copy.close)
                copy.writelines(f"{text}\n" for _, text in _texts(self._source, self._name))
                self._source = _Again(copy)
        if is_sealed:
            for session in self.sessions(session_id):
                for _ in session.items:
                    pass

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
        found = False
        with self._opened() as given:
            texts = opened_lines(_texts(given, self._name), self._encryption)
            lines = ((where, decoded_object(text, where)) for where, text in texts)
            for where, head in lines:
                found_id: str = checked_head(head, where, VERSIONS)["session_id"]
                session = SourceSession(found_id, _items(where, head, lines))
                if session_id is None or session.session_id == session_id:
                    found = True
                    yield session
                for _ in session.items:  # the rest, or all of a session that is not wanted
                    pass
        if not found:
            which = "no session" if session_id is None else f"no session {named(session_id)}"
            raise SessionDataError(f"{self._name} holds {which} to import.")

    def _opened(self) -> contextlib.AbstractContextManager[Iterable[object]]:
        if isinstance(self._source, Path):
            return open(self._source, encoding="utf-8")
        return contextlib.nullcontext(self._source)

    def _heads(self) -> Iterator[Document]:
        """The first line of each session in a file, found without decoding the others."""
        if not isinstance(self._source, Path):
            return
        with open(self._source, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if '"format"' in line[:200] and FORMAT in line[:200]:
                    where = f"Line {number} of {self._name}"
                    document = decoded_object(line.removeprefix("\ufeff"), where)
                    if "format" in document:
                        yield checked_head(document, where, VERSIONS | SEALED_VERSIONS)


def _items(where: str, head: Document, lines: Iterator[tuple[str, Document]]) -> Iterator[Item]:
    """One session, from its first line to its last.

    Raises:
        SessionDataError: A line can't be read, stands in the wrong place, or is missing; or the lines hold something
            else than what was written.
    """
    session_id: str = head["session_id"]
    yield HeadItem(checked_object(head.get("session"), where), checked_about(head.get("about", {}), where))
    checksum = Checksum()
    kind, owner, position = "", "", -1
    for where, line in lines:
        if line.get("end") == session_id and not line.keys() & {"message", "agent", "multi_agent", "object"}:
            _check_end(line, checksum, where)
            return
        if "message" in line:
            if kind != "agent":
                raise malformed(where, "no agent's line stands before this message")
            position = checked_position(line["message"], where, after=position)
            item: Item = message_item(owner, position, _data(line, where), where)
        elif "agent" in line or "multi_agent" in line:
            item = _state(line, where)
            if (item.kind, item.owner) <= (kind, owner):
                raise malformed(where, "agents stand in the order of their ids, and then Graphs and Swarms in theirs")
            kind, owner, position = item.kind, item.owner, -1
        elif "object" in line:
            kind, item = "object", _object(line, where)
        else:
            raise malformed(where, "it is no agent, message, multi_agent, object, or end of this session")
        checksum.add(item)
        yield item
    raise malformed(
        where, f"the file ends here, before the line that ends session {named(session_id)}: it was cut short"
    )


def _check_end(line: Document, checksum: Checksum, where: str) -> None:
    if line.get("messages") != checksum.messages:
        raise malformed(where, f"it says {line.get('messages')} messages, and {checksum.messages} stand before it")
    if line.get("checksum") != checksum.hexdigest():
        raise malformed(where, "its checksum is not that of the lines before it: some were changed or lost")
    if line.get("objects", Checksum().objects()) != checksum.objects():
        raise malformed(where, "its checksum of objects is not that of the lines before it: some were changed or lost")
    if line.get("windows") != checksum.windows():
        raise malformed(where, "its checksum of live windows is not that of the lines before it: some were changed")


def _state(line: Document, where: str) -> StateItem:
    owner = line.get("agent", line.get("multi_agent"))
    if not isinstance(owner, str):
        raise malformed(where, f"an id is a string, not {named(owner)}")
    data = _data(line, where)
    if "agent" in line:
        try:
            rewinds = Rewinds.parse(line.get("rewinds", []))
        except ValueError as error:
            raise malformed(where, f"its rewinds are none ({error})") from error
        return replace(agent_item(owner, data, where, line.get("live_window")), rewinds=rewinds)
    updated_at = line.get("updated_at", "")
    if not isinstance(updated_at, str):
        raise malformed(where, "a time is a string")
    return StateItem("multi_agent", owner, data, updated_at=updated_at)


def _object(line: Document, where: str) -> ObjectItem:
    key, encoding, data = line["object"], line.get("encoding"), line.get("data")
    if not isinstance(key, str) or not isinstance(encoding, str) or not isinstance(data, str):
        raise malformed(where, "an object has a key, an encoding and data, each a string")
    try:
        SessionObjects("", "s").absolute(key)
        return ObjectItem(key, decoded(encoding, [data]))
    except ValueError as error:
        raise malformed(where, str(error)) from error


def _data(line: Document, where: str) -> Document:
    return checked_object(line.get("data"), where)


def lines_of(items: Iterable[Item], session_id: str, total: int | None, written: Checksum) -> Iterator[str]:
    """A session's lines, each of which is read back.

    Args:
        items: The session.
        session_id: Its id.
        total: How many messages it has.
        written: The items are added to it as the lines hold them.
    """
    for item in items:
        if isinstance(item, HeadItem):
            count = {} if total is None else {"messages": total}
            head = {"format": FORMAT, "version": VERSION, "session_id": session_id, **count}
            about = {"about": item.about.document} if item.about.document else {}
            yield _line({**head, "session": item.data, **about})
            continue
        if isinstance(item, MessageItem):
            line = _line({"message": item.message_id, "data": item.both})
            written.add(message_item(item.agent_id, item.message_id, json.loads(line)["data"], "a line"))
        elif isinstance(item, ObjectItem):
            value = Encoded.of(item.value, part_bytes=len(item.value) * 2 + 4)
            line = _line({"object": item.key, "encoding": value.encoding, "data": value.parts[0]})
            written.add(_object(json.loads(line), "a line"))
        else:
            own: Document = {"updated_at": item.updated_at}
            if item.kind == "agent":
                own = {"live_window": item.live_window}
                own |= {"rewinds": item.rewinds.items} if item.rewinds.items else {}
            line = _line({item.kind: item.owner, **own, "data": item.data})
            written.add(_state(json.loads(line), "a line"))
        yield line
    sums = {"checksum": written.hexdigest(), "windows": written.windows(), "objects": written.objects()}
    yield _line({"end": session_id, "messages": written.messages, **sums})


def _line(value: Document) -> str:
    return one_line(encode(value, what="a line")) + "\n"


class LinesTarget(Target):
    """An open stream of text.

    Args:
        stream: Anything with `write`.
        session_id: The session.
        encryption: What it is encrypted with; None for an export in clear.
    """

    counts = True

    def __init__(self, stream: TextIO, session_id: str, encryption: Encryption | None = None) -> None:
        self._stream = stream
        self._session_id = session_id
        self._encryption = encryption

    def write(self, items: Iterator[Item], total: int | None) -> tuple[str, int]:
        written = Checksum()
        lines = lines_of(items, self._session_id, total, written)
        for line in sealed_lines(lines, self._session_id, total, self._encryption):
            self._stream.write(line)
        return written.hexdigest(), written.messages

    def finish(self) -> None:
        flush = getattr(self._stream, "flush", None)
        if callable(flush):
            flush()

    def discard(self) -> None:
        """What was written can't be taken back; without its last line it is no session."""


class PathTarget(Target):
    """A file. It is written beside its place, read back, and then moved there.

    Args:
        path: The file; an earlier export of the same session is replaced.
        session_id: The session.
        encryption: What it is encrypted with; None for an export in clear.

    Raises:
        SessionDataError: Something else stands in its place.
    """

    counts = True

    def __init__(self, path: Path, session_id: str, encryption: Encryption | None = None) -> None:
        self._encryption = encryption
        self._final = path
        self._beside = Beside(path)
        self._session_id = session_id
        if is_link(path) or (path.exists() and not self._is_ours()):
            raise SessionDataError(
                f"{named(str(path))} exists already and is no export of session {named(session_id)} alone. Nothing was "
                "changed. Export to another file, or move this one away first."
            )

    def write(self, items: Iterator[Item], total: int | None) -> tuple[str, int]:
        try:
            path = self._beside.make()
            with open(path, "w", encoding="utf-8", newline="\n") as file:
                lines = lines_of(items, self._session_id, total, Checksum())
                file.writelines(sealed_lines(lines, self._session_id, total, self._encryption))
                file.flush()
                os.fsync(file.fileno())
            stored = JsonlSource(path, self._encryption)
            (found,) = (Checksum.of(each.items) for each in stored.sessions(self._session_id))
        except BaseException:
            self.discard()
            raise
        return found.hexdigest(), found.messages

    def finish(self) -> None:
        self._beside.put()

    def discard(self) -> None:
        self._beside.discard()

    def _is_ours(self) -> bool:
        try:
            size = self._final.stat().st_size if self._final.is_file() else -1
            return size == 0 or (size > 0 and JsonlSource(self._final).session_ids() == [self._session_id])
        except SessionDataError:
            return False
