"""The live window: which stored messages an agent's history consists of. Pure: no I/O, no agent.

The rows of the transcript are counted 0, 1, 2 … in the order in which messages were added. The window lists those that
the model sees, in order, as ranges of positions; the last has an open end, so that an append changes nothing in it. A
message that stands in the history but was never added to the transcript (a summary at the head) is kept inline:

    [[0,null]]                      all
    [[0,0],[40,null]]               the first, pinned, and all from 40 on
    [{"message": …}, [40,null]]     a summary in the place of 0 to 39
    [{"encoded": "…"}, [40,null]]   the same, of a message that holds NaN, which SQLite's JSON functions don't take

A column without a window (NULL), as Strands' own managers leave it, stands for Strands' rule: the conversation
manager's summary, then all messages but the first `removed_message_count`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, TypeAlias, cast

from ..errors import SessionDataError, named
from .encoding import LARGEST_NUMBER, Message, decode, encode, is_message, is_strict, mapping


class Range(NamedTuple):
    """Positions from `low` to `high`, both included; without an end where `high` is None."""

    low: int
    high: int | None

    def holds(self, position: int) -> bool:
        """Whether a position is in it."""
        return self.low <= position and (self.high is None or position <= self.high)


Item: TypeAlias = Message | Range


@dataclass(frozen=True, slots=True)
class LiveWindow:
    """An agent's live window; each method that changes something returns a new one.

    Attributes:
        items: Ranges of positions, and inline messages, in the order of the history.
        is_open: Whether the next message of the transcript is in it without any change.
    """

    items: tuple[Item, ...] = (Range(0, None),)
    is_open: bool = field(init=False, repr=False, compare=False)
    _sorted: tuple[list[int], list[int]] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        last = self.items[-1] if self.items else None
        object.__setattr__(self, "is_open", isinstance(last, Range) and last.high is None)

    # Where windows come from

    @classmethod
    def parse(cls, value: object) -> LiveWindow:
        """A window from its JSON, as text or decoded.

        Raises:
            ValueError: It is no live window; says why, without a word of any message.
        """
        try:
            items = decode(value) if isinstance(value, str) else value
            if not isinstance(items, list):
                raise ValueError("not a list")
            window = cls(tuple(_parsed(item) for item in cast("list[Any]", items)))
            _check_repeats(window.ranges)
            return window
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error

    @classmethod
    def of_row(cls, text: str | None, agent_id: str) -> LiveWindow | None:
        """The window in the row of an agent; None where the row has none.

        Raises:
            SessionDataError: It can't be read.
        """
        try:
            return None if text is None else cls.parse(text)
        except ValueError as error:
            raise SessionDataError(
                f"The live window of agent {named(agent_id)} can't be read ({error}). Nothing was changed. Look at the "
                "column live_window of its row in the agents table; NULL there restores all its messages."
            ) from error

    @classmethod
    def by_rule(cls, document: Mapping[str, Any]) -> LiveWindow:
        """What Strands' own rule shows of an agent without a window, if its messages are counted without a gap.

        Args:
            document: The fields of its `SessionAgent`.
        """
        rest = Range(removed_by_rule(document), None)
        summary = mapping(document.get("conversation_manager_state")).get("summary_message")
        return cls((summary, rest)) if is_message(summary) else cls((rest,))

    @classmethod
    def of_history(cls, history: Iterable[int | Message], *, next_id: int) -> LiveWindow:
        """The window of a history whose next message will stand at position `next_id` of the transcript.

        Args:
            history: Each message's position in the transcript, or itself where it has none.
            next_id: The position after the transcript's last message.
        """
        items: list[Item] = []
        low = end = -1  # a range under way, and the position that would make it longer
        for entry in history:
            if entry == end:
                end += 1
                continue
            if low >= 0:
                items.append(Range(low, end - 1))
                low = end = -1
            if isinstance(entry, int):
                low, end = entry, entry + 1
            else:
                items.append(entry)
        if low >= 0:
            items.append(Range(low, end - 1))
        return cls(tuple(items))._open_from(next_id)

    # What a window says

    @property
    def ranges(self) -> list[Range]:
        """The ranges of positions, in the order of the history."""
        return [item for item in self.items if isinstance(item, Range)]

    @property
    def inline(self) -> list[Message]:
        """The messages that stand in the window alone."""
        return [item for item in self.items if not isinstance(item, Range)]

    @property
    def is_plain(self) -> bool:
        """Whether it has the form that is written here: an open range at the end alone, and no message in two ranges.

        A window that somebody wrote by hand may have another.
        """
        ranges = self.ranges
        if not self.is_open or sum(high is None for _, high in ranges) != 1:
            return False
        ends = sorted((low, low if high is None else high) for low, high in ranges)
        return all(before[1] < after[0] for before, after in pairwise(ends))

    def holds(self, position: int) -> bool:
        """Whether a message of the transcript is in it."""
        if self._sorted is None:  # made once: whoever reads a transcript asks for each message
            ends = sorted((low, LARGEST_NUMBER if high is None else high) for low, high in self.ranges)
            highs = list(accumulate((high for _, high in ends), max))
            object.__setattr__(self, "_sorted", ([low for low, _ in ends], highs))
        lows, highs = self._sorted or ([], [])
        place = bisect_right(lows, position) - 1
        return place >= 0 and position <= highs[place]

    @property
    def size(self) -> int:
        """How many messages it names, where none of its ranges is open."""
        return len(self.inline) + sum(high - low + 1 for low, high in self.ranges if high is not None)

    def render(self) -> str:
        """The window as JSON that SQLite can read."""
        return f"[{','.join(_rendered(item) for item in self.items)}]"

    # Windows made of another

    def closed(self, last: int) -> LiveWindow:
        """The same of a transcript that ends at `last` and won't grow: no range reaches beyond it, none is open."""
        items: list[Item] = []
        for item in self.items:
            if not isinstance(item, Range):
                items.append(item)
                continue
            high = last if item.high is None else min(item.high, last)
            if item.low <= high:
                items.append(Range(item.low, high))
        return LiveWindow(tuple(items))

    def with_inline(self, change: Callable[[Message], Message]) -> LiveWindow:
        """The same with each inline message changed."""
        return LiveWindow(tuple(item if isinstance(item, Range) else change(item) for item in self.items))

    def rewound(
        self, at: int, *, next_id: int, kept: bool = True, history: Sequence[Range] = (Range(0, None),)
    ) -> LiveWindow:
        """The window of a history that is set back to end with a message of the transcript, or before it.

        Where that is in the window, the window is cut there. Where it is not, the history is what came before it.

        Args:
            at: The message's position.
            next_id: The position after the transcript's last message: what is said next comes there.
            kept: Whether the message itself is kept, as the last one.
            history: The message's position, and those before it when it was said (`Rewinds.history`).
        """
        items: list[Item] = []
        for item in self.items if self.holds(at) else history:
            if not isinstance(item, Range):
                items.append(item)
            elif item.holds(at):
                last = at if kept else at - 1
                if item.low <= last:
                    items.append(Range(item.low, last))
                return LiveWindow(tuple(items))._open_from(next_id)
            elif item.low < at:  # else its messages are newer than the last one
                items.append(item)
        raise AssertionError("one of the ranges holds the position")

    def unread(self, seen: Sequence[int], *, last: int) -> list[Range]:
        """The ranges of which a first page of rows has left something out, each with both ends.

        Args:
            seen: The positions of the rows read, in the order in which the database answered them.
            last: The position of the transcript's last message.
        """
        ranges = self.closed(last).ranges
        if not seen or not ranges:
            return ranges
        # The database answers range after range, each in order. Should it ever not, all is read once more.
        by_low = sorted(range(len(ranges)), key=lambda place: ranges[place])
        lows = [ranges[place].low for place in by_low]
        found = [by_low[bisect_right(lows, at) - 1] for at in seen]
        places = [place if ranges[place].holds(at) else -1 for place, at in zip(found, seen, strict=True)]
        in_order = list(zip(places, seen, strict=True))
        if -1 in places or in_order != sorted(in_order):
            return ranges
        rest = [Range(seen[-1] + 1, ranges[places[-1]].high), *ranges[places[-1] + 1 :]]
        return LiveWindow(tuple(rest)).closed(last).ranges

    def _open_from(self, next_id: int) -> LiveWindow:
        """The same, but that it ends with an open range that the message at `next_id` falls into."""
        if self.is_open:
            return self
        last = self.items[-1] if self.items else None
        if isinstance(last, Range) and last.high == next_id - 1:
            return LiveWindow((*self.items[:-1], Range(last.low, None)))
        return LiveWindow((*self.items, Range(next_id, None)))


def _check_repeats(ranges: Sequence[Range]) -> None:
    """Check that a history is not many times as long as its transcript.

    Raises:
        ValueError: A message is named more than twice.
    """
    named = [(low, LARGEST_NUMBER if high is None else high) for low, high in ranges if high is None or high >= low]
    ends = sorted([*((low, 1) for low, _ in named), *((high + 1, -1) for _, high in named)])
    for (position, _), count in zip(ends, accumulate(change for _, change in ends), strict=True):
        if count > 2:
            raise ValueError(f"it names message {position} more than twice")


def removed_by_rule(document: Mapping[str, Any]) -> int:
    """How many messages Strands' own rule leaves out at the head of a history.

    Args:
        document: The fields of an agent's `SessionAgent`.
    """
    removed = mapping(document.get("conversation_manager_state")).get("removed_message_count")
    return max(0, removed) if isinstance(removed, int) else 0


def _parsed(item: Any) -> Item:
    if isinstance(item, dict):
        inline = cast("dict[str, Any]", item)
        encoded = inline.get("encoded")
        message = decode(encoded) if "message" not in inline and isinstance(encoded, str) else inline.get("message")
        if not is_message(message):
            raise ValueError("an inline message has no role or no list of content blocks")
        return message
    ends = cast("list[Any]", item) if isinstance(item, list) else []
    if len(ends) != 2 or not all(_is_position(end) for end in (ends[0], 0 if ends[1] is None else ends[1])):
        raise ValueError("a range is no pair of positions")
    return Range(*ends)


def _is_position(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_NUMBER


def _rendered(item: Item) -> str:
    if isinstance(item, Range):
        return json.dumps(item, separators=(",", ":"))
    text = encode(item, what="a message")
    return f'{{"message":{text}}}' if is_strict(text) else json.dumps({"encoded": text}, separators=(",", ":"))
