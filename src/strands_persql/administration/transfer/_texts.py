"""A file or a stream for a session in a form that nothing is imported from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from ...errors import SessionDataError, named
from ._beside import Beside
from ._items import Checksum, Item, Target


class TextTarget(Target):
    """A file, which is written beside its place and then moved there; or an open stream of text.

    Args:
        target: The file's path, or the stream.
        chunks: Makes the text of the session.

    Raises:
        SessionDataError: A file stands in its place.
    """

    counts = False
    for_people = True

    def __init__(self, target: Path | TextIO, chunks: Callable[[Iterable[Item]], Iterator[str]]) -> None:
        self._target = target
        self._chunks = chunks
        if isinstance(target, Path):
            self._beside = Beside(target)
            if target.is_symlink() or target.exists():
                raise SessionDataError(
                    f"{named(str(target))} exists already. Nothing was changed. Export to another file, or move this "
                    "one away first."
                )

    def write(self, items: Iterator[Item], total: int | None) -> tuple[str, int]:
        checksum = Checksum()

        def noted() -> Iterator[Item]:
            for item in items:
                checksum.add(item)
                yield item

        if isinstance(self._target, Path):
            try:
                # A lone surrogate, which UTF-8 has no form for, is written as an escape.
                with open(self._beside.make(), "wb") as file:
                    file.writelines(chunk.encode(errors="backslashreplace") for chunk in self._chunks(noted()))
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                self.discard()
                raise
        else:
            for chunk in self._chunks(noted()):
                self._target.write(chunk)
        return checksum.hexdigest(), checksum.messages

    def finish(self) -> None:
        if isinstance(self._target, Path):
            self._beside.put()
        elif callable(flush := getattr(self._target, "flush", None)):
            flush()

    def discard(self) -> None:
        if isinstance(self._target, Path):
            self._beside.discard()
