"""How far a transfer is."""

from __future__ import annotations

from ._items import Progress

__all__ = ["Reporter"]


class Reporter:
    """Tells how far a transfer is, not more often than every so many messages.

    Attributes:
        total: How many messages there are; None where nothing tells.
        done: How many are done.
    """

    STEP = 100

    def __init__(self, report: Progress | None) -> None:
        self._report = report
        self._told = 0
        self.total: int | None = None
        self.done = 0

    def add(self, messages: int) -> None:
        """So many more are done."""
        self.done += messages
        if self.done - self._told >= self.STEP:
            self.tell()

    def tell(self) -> None:
        """Tell now, unless there is nothing new."""
        if self._report is not None and self.done != self._told:
            self._report(self.done, self.total)
        self._told = self.done
