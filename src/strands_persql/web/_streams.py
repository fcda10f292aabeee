"""How many streams are open, in all and of each user."""

from __future__ import annotations

from collections import Counter

from ._problems import TOO_MANY_STREAMS, Problem

MOST_OF_USER = 10
"""Streams that one user may have open."""


class Streams:
    """The streams that are open.

    Args:
        most: How many may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[object] = Counter()

    @property
    def open(self) -> int:
        """How many are open."""
        return self._open.total()

    def check(self, caller: object) -> None:
        """Find out whether one more may be opened.

        Args:
            caller: The user's id; None for those who may see all sessions, of whom none is told from the others.

        Raises:
            Problem: There are too many.
        """
        full = caller is not None and self._open[caller] >= MOST_OF_USER
        if full or self.open >= self._most:
            raise Problem(TOO_MANY_STREAMS, headers={"Retry-After": "10"})

    def begin(self, caller: object) -> None:
        """One was opened."""
        self._open[caller] += 1

    def end(self, caller: object) -> None:
        """One was closed."""
        self._open[caller] -= 1
        if not self._open[caller]:
            del self._open[caller]
