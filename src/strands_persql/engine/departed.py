"""Messages that have left an agent's history, and may come back. Pure: no I/O, no agent.

A program may swap one history for another and back, and a Swarm's node begins each run with the examples it was built
with. Such a message is in the transcript already: under its tracking id, or, where ids are missing or fresh in each
run, with the same content in the same place of the history. What is kept of it is just enough to tell that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..database.encoding import Message
from .entries import UNKNOWN, Entry, content_of, content_without_id

MOST = 1_000
"""How many messages of an agent are kept, those that left last: some 500 bytes each, however long they are."""


@dataclass(frozen=True, slots=True)
class _Left:
    """One message that has left.

    Attributes:
        message_id: Its row in the transcript.
        created_at: When that was first written.
        tracking_id: The id in that row.
        content: What it held, but for that id: a hash.
        said: As in its entry.
        keys: What finds it.
    """

    message_id: int
    created_at: str
    tracking_id: str | None
    content: int | None
    said: int | None
    keys: list[object]


class Departed:
    """The messages that have left one history.

    Attributes:
        gives_ids: A message that is found by its content gets the tracking id in its row; else each keeps its own, and
            the row stays as it is.
    """

    def __init__(self) -> None:
        self.gives_ids = True
        self._left: dict[int, _Left] = {}  # by row, in the order in which they left
        self._found_by: dict[object, _Left] = {}

    def clear(self) -> None:
        """Know of none any more."""
        self._left.clear()
        self._found_by.clear()

    def add(self, entries: Sequence[Entry], there: Sequence[Entry]) -> None:
        """Keep what has left a history of these entries, of which some are still `there`."""
        stayed = {id(entry) for entry in there}
        gone = [(place, entry) for place, entry in enumerate(entries) if id(entry) not in stayed]
        for place, entry in gone[-MOST:]:
            if entry.message_id is None:
                continue
            self._drop(self._left.get(entry.message_id))
            if len(self._left) >= MOST:
                self._drop(next(iter(self._left.values())))
            tracking_id, content = entry.content.get("tracking_id") or None, _hash_of(entry.content)
            keys: list[object] = [tracking_id] if tracking_id else []
            if content is not None:
                keys.append((place, content))
            left = _Left(entry.message_id, entry.created_at, tracking_id, content, entry.said, keys)
            self._left[left.message_id] = left
            self._found_by.update(dict.fromkeys(keys, left))

    def recall(self, messages: Sequence[Message], found: list[Entry | None], entries: Sequence[Entry]) -> None:
        """Find messages that are in the transcript already.

        Args:
            messages: The first messages of a history; one that was just added is new, whatever it looks like.
            found: The entries that they were found to be; those found here are added.
            entries: The history as it was.
        """
        unknown = [place for place in range(len(messages)) if found[place] is None]
        used = {id(entry) for entry in found if entry is not None} if unknown else ()
        for place in unknown:
            message = messages[place]
            content = _hash_of(message)
            left = self._found_by.get(message.get("tracking_id") or None)
            if left is None and content is not None:
                entry = entries[place] if place < len(entries) else None
                if entry is not None and id(entry) not in used and _hash_of(entry.content) == content:
                    found[place] = self._same(entry, message)
                    continue
                left = self._found_by.get((place, content))
            if left is not None:
                found[place] = self._back(left, message, content)

    def _back(self, left: _Left, message: Message, content: int | None) -> Entry:
        self._drop(left)
        if content != left.content:  # equal to no message: to be written
            return Entry(message, {}, left.message_id, left.created_at, said=left.said or UNKNOWN)
        row = {**content_of(message), "tracking_id": left.tracking_id}
        return self._same(Entry(message, row, left.message_id, left.created_at, said=left.said), message)

    def _same(self, entry: Entry, message: Message) -> Entry:
        """The entry of a message that holds what its row does, perhaps under another tracking id."""
        tracking_id = entry.content.get("tracking_id")
        if tracking_id and self.gives_ids:
            message["tracking_id"] = tracking_id
        elif not (self.gives_ids and message.get("tracking_id")):
            entry.content = content_of(message)
        return entry

    def _drop(self, left: _Left | None) -> None:
        if left is not None:
            del self._left[left.message_id]
            for key in left.keys:
                if self._found_by.get(key) is left:
                    del self._found_by[key]


def _hash_of(message: Message) -> int | None:
    text = content_without_id(message)
    return None if text is None else hash(text)
