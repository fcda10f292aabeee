"""The rewinds of an agent's history: which of its messages were taken back. Pure: no I/O, no agent.

A rewind deletes no message: the transcript goes on behind the last one, and what is said next follows an earlier
message. Each rewind is one pair, the position that is followed and that of the message which follows it:

    [[3,10]]            message 10 follows message 3: 4 to 9 were taken back
    [[3,10],[-1,12]]    message 12 begins the history anew: all before it were taken back

So it is known of every message, one that was taken back too, which messages came before it when it was said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, NamedTuple, cast

from .encoding import LARGEST_NUMBER, mapping
from .live_window import Range

OPENING = 4
"""How many positions a history is stored to begin with, for whoever looks for its first prompt (see `opening`)."""


class Rewind(NamedTuple):
    """The message at `next` follows the one at `at`, which is -1 where it begins the history."""

    at: int
    next: int


@dataclass(frozen=True, slots=True)
class Rewinds:
    """The rewinds of one agent; each method that changes something returns new ones.

    Attributes:
        items: They, in the order in which they were made.
    """

    items: tuple[Rewind, ...] = ()

    @classmethod
    def parse(cls, value: object) -> Rewinds:
        """Rewinds from decoded JSON, a list of pairs.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(value, list):
            raise ValueError("it is no list")
        items: list[Rewind] = []
        for pair in cast("list[Any]", value):
            if not isinstance(pair, list) or len(cast("list[Any]", pair)) != 2:
                raise ValueError("it holds something else than pairs")
            at, following = cast("list[Any]", pair)
            if not all(isinstance(each, int) and not isinstance(each, bool) for each in (at, following)):
                raise ValueError("a pair holds something else than positions")
            if not -1 <= at < following < LARGEST_NUMBER:
                raise ValueError("a pair holds positions that can't follow each other")
            items.append(Rewind(at, following))
        if any(before.next >= after.next for before, after in pairwise(items)):
            raise ValueError("its pairs are in another order than they were made in")
        return cls(tuple(items))

    @classmethod
    def of_row(cls, text: str | None) -> Rewinds:
        """The rewinds in the row of an agent; none where they can't be read: nobody's history depends on them."""
        try:
            return cls() if text is None else cls.parse(mapping(json.loads(text)).get("rewinds", []))
        except (ValueError, RecursionError):
            return cls()

    def render(self) -> str | None:
        """They as their column holds them; None where there are none."""
        if not self.items:
            return None
        return json.dumps({"rewinds": self.items, "opening": self._opening()}, separators=(",", ":"))

    def _opening(self) -> list[int]:
        """The positions at which the history begins that goes on with the next message."""
        last = self.items[-1].next + OPENING
        positions = (position for low, high in self.history(last) for position in range(low, (high or 0) + 1))
        return list(islice(positions, OPENING))

    def history(self, last: int) -> list[Range]:
        """The positions of a message and of those before it when it was said, in order; none before the first one."""
        ranges: list[Range] = []
        for at, following in reversed(self.items):
            if following <= last:
                ranges.append(Range(following, last))
                last = at
        if last >= 0:
            ranges.append(Range(0, last))
        return ranges[::-1]

    def standing(self, last: int) -> list[Range]:
        """The positions that no rewind took back, of a transcript that ends at `last`."""
        pending = bool(self.items) and self.items[-1].next > last
        return self.history(self.items[-1].at if pending else last)

    def taken_back(self, last: int) -> int:
        """How many messages of a transcript that ends at `last` a rewind took back."""
        return last + 1 - sum(high - low + 1 for low, high in self.standing(last) if high is not None)

    def rewound(self, at: int, *, next_id: int, kept: bool = True) -> Rewinds:
        """Those of a history that is set back to end with a message of the transcript, or before it.

        Args:
            at: The message's position; -1 for an empty history.
            next_id: The position after the transcript's last message: what is said next comes there.
            kept: Whether the message itself is kept, as the last one.
        """
        if not kept:
            at = next((each.at for each in self.items if each.next == at), at - 1)
        items = tuple(each for each in self.items if each.next < next_id)
        return Rewinds(items if at == next_id - 1 else (*items, Rewind(at, next_id)))

    def cut(self, last: int) -> Rewinds:
        """Those of a copy whose transcript ends with a message."""
        return Rewinds(tuple(each for each in self.items if each.next <= last))
