"""One agent's conversation as the page shows it: the records of its messages, and the window's edges between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..records import MediaPart, MessageRecord, Said, inline, records_of
from ..results import TranscriptMessage
from ._text import Shown, moment

LARGEST_IMAGE = 5_000_000
"""Bytes of the largest image that the page holds. What models take is smaller."""


@dataclass(frozen=True, slots=True)
class Entry(Shown):
    """A message.

    Attributes:
        record: The message.
        anchor: Its name in the page.
        inline: Whether it stands in the live window and in no transcript, as a summary does.
    """

    record: MessageRecord
    anchor: str
    inline: bool


@dataclass(frozen=True, slots=True)
class Seen(Shown):
    """What the model sees now of a message, where that is something else than what was said."""

    record: MessageRecord


@dataclass(frozen=True, slots=True)
class Edge(Shown):
    """Where the model's window begins or ends: whether it sees what follows, or that was taken back, or neither."""

    live: bool
    taken_back: bool


@dataclass(frozen=True, slots=True)
class Day(Shown):
    """Where another day begins."""

    day: str
    iso: str


def with_inline(
    transcript: Iterable[TranscriptMessage], window: Iterable[TranscriptMessage]
) -> Iterator[TranscriptMessage]:
    """The transcript, with the messages that only the live window has at their places.

    Such a message, as a rule a summary, comes before the message that follows it in the window.
    """
    before: dict[int, list[TranscriptMessage]] = {}
    waiting: list[TranscriptMessage] = []
    for message in window:
        if message.message_id is None:
            waiting.append(message)
        elif waiting:
            before.setdefault(message.message_id, []).extend(waiting)
            waiting = []
    for message in transcript:
        if message.message_id is not None:
            yield from before.pop(message.message_id, ())
        yield message
    for left in before.values():  # those before a message that the transcript has lost
        yield from left
    yield from waiting


def conversation(messages: Iterable[TranscriptMessage], name: str, *, stored: bool = True) -> Iterator[Shown]:
    """Messages as the page shows them: tool results with their calls, the window's edges and new days between them.

    Reads no further ahead than the results of a call may stand.

    Args:
        messages: In their order.
        name: Begins each anchor: unique in the page.
        stored: Whether they are those of an agent, not what a Graph or Swarm keeps of a node.
    """
    said = (Said("", message.message_id, message) for message in messages)
    return shown(records_of(said, image_in_page), name, stored=stored)


def shown(records: Iterable[MessageRecord], name: str, *, stored: bool = True) -> Iterator[Shown]:
    """Records as the page shows them; see `conversation`."""
    edge, day = Edge(live=True, taken_back=False), ""
    for record in records:
        # Results that stand with their calls have no place of their own.
        has_place = bool(record.parts) or record.role != "tool"
        if not has_place and record.live is None:
            continue
        if (found := Edge(record.in_window, record.taken_back)) != edge:
            edge = found
            yield edge
        at = moment(record.created_at)
        if has_place and at and at.iso and at.day != day:
            day = at.day
            yield Day(day, at.iso[:10])
        if has_place:
            anchor = "" if record.message_id is None else f"{name}-{record.message_id}"
            yield Entry(record, anchor, stored and record.message_id is None)
        if record.live is not None:
            yield Seen(record)


def image_in_page(_: str, part: MediaPart) -> str:
    """An image as a `data:` URI, if browsers show its kind; the page holds nothing else that is no text."""
    shown = part.type == "image" and part.mime_type.startswith("image/") and (part.size or 0) <= LARGEST_IMAGE
    return inline("", part) if shown else ""
