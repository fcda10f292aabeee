"""A message of a history as it was last recorded, and which of them another message is. Pure: no I/O, no agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..database.encoding import Message, copied, encode
from ..errors import SessionDataError

UNKNOWN = -1
"""No hash that Python makes."""


@dataclass(slots=True)
class Entry:
    """One message of the history as it was last recorded.

    Attributes:
        message: The live object.
        content: A structural copy of it, made when it was recorded.
        message_id: Its row in the transcript; None for an inline message, or one that can't be stored.
        created_at: When its row was first written.
        storable: False for a message that JSON can't hold: left out of the window until it changes.
        inline: The characters that an inline message adds to the window's JSON; 0 before it is described.
        said: None where it is as it was said; else what tells that, `UNKNOWN` of one that was read from its row.
        redacted: Whether a redaction has changed it.
    """

    message: Message
    content: Message
    message_id: int | None = None
    created_at: str = ""
    storable: bool = True
    inline: int = 0
    said: int | None = None
    redacted: bool = False

    @classmethod
    def stored(cls, message: Message, position: int, created_at: str) -> Entry:
        """The entry of a message that was just read from its row.

        Raises:
            SessionDataError: It is nested too deeply.
        """
        try:
            return cls(message, copied(message), position, created_at)
        except RecursionError as error:
            raise SessionDataError(
                f"Message {position} can't be read: it is nested too deeply. Nothing was changed. Look at the column "
                "data of its row, and mend it, delete it, or use another session id."
            ) from error

    def says_what(self, other: Entry) -> bool:
        """Whether it says what another message does, as either was said or is now, as far as that is known."""
        if self.content.get("role") != other.content.get("role"):
            return False
        if self.said is None and other.said is None:
            return bool(self.content["content"] == other.content["content"])
        return not self._words.isdisjoint(other._words)

    @property
    def _words(self) -> set[int]:
        return {words_of(self.content), UNKNOWN if self.said is None else self.said} - {UNKNOWN}


def find(
    messages: Sequence[Message], entries: Sequence[Entry], by_content: int, *, recognised: int
) -> list[Entry | None]:
    """For each message of a history, the entry that it was recorded as.

    Args:
        messages: The history.
        entries: What was recorded of it.
        by_content: Only so many messages from the first are found by content: a message just added is new, whatever it
            looks like.
        recognised: So many are, whatever their tracking ids are; the entries then take these over.
    """
    found: list[Entry | None] = [None] * len(messages)
    used: set[int] = set()
    _match(messages, found, entries, used, lambda message: id(message))
    _match(messages, found, entries, used, lambda message: message.get("tracking_id") or None)
    # Ids may be missing (before Strands 1.47, or in a history brought in from elsewhere): then by content.
    _match(messages[:by_content], found, entries, used, content_without_id, only_without_id=True)
    if recognised:
        _match(messages[: min(by_content, recognised)], found, entries, used, content_without_id)
        for message, entry in zip(messages, found, strict=True):
            if entry is not None and content_without_id(message) == content_without_id(entry.content):
                entry.content = content_of(message)  # stored under an id of another process: no reason to write
    return found


def _match(
    messages: Sequence[Message],
    found: list[Entry | None],
    entries: Sequence[Entry],
    used: set[int],
    key_of: Callable[[Message], Any],
    *,
    only_without_id: bool = False,
) -> None:
    open_messages = [index for index in range(len(messages)) if found[index] is None]
    if not open_messages or len(used) == len(entries):
        return
    places: dict[Any, deque[int]] = {}
    for place, entry in enumerate(entries):
        if place not in used and not (only_without_id and entry.content.get("tracking_id")):
            key = key_of(entry.message)
            if key is not None:
                places.setdefault(key, deque()).append(place)
    if not places:
        return
    after = -1
    for index in open_messages:
        candidates = places.get(key_of(messages[index]))
        if not candidates:
            continue
        # One object may stand twice: take the places in their order, from where the last match left off.
        place = next((candidate for candidate in candidates if candidate > after), candidates[0])
        candidates.remove(place)
        used.add(place)
        found[index] = entries[place]
        after = place


def content_of(message: Message) -> Message:
    """What to compare a message with from now on: a copy of its structure; itself where it is nested too deeply."""
    try:
        content: Message = copied(message)
        return content
    except RecursionError:  # no other object compares equal to it
        return message


def continues(message: Message, before: Message) -> bool:
    """Whether a message is an earlier one with more content behind it."""
    content = before["content"]
    return bool(message["content"][: len(content)] == content)


def words_of(message: Message) -> int:
    """What tells whether two messages say the same, whatever else they carry: a hash."""
    try:
        return hash(encode([message["role"], message["content"]], what="a message"))
    except SessionDataError:  # it is not what is stored
        return UNKNOWN


def content_without_id(message: Message) -> str | None:
    """A message's JSON but for its tracking id; None where it has none."""
    try:
        return encode({key: value for key, value in message.items() if key != "tracking_id"}, what="a message")
    except SessionDataError:
        return None
