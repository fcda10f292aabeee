"""Calls the user's function as a transfer goes on."""

from __future__ import annotations

from ._items import Progress


class Reporter:
    """Reports how many messages are done, once for every `STEP` of them.

    Args:
        report: The user's function.
        total: How many messages there are; None where that is not known.

    Attributes:
        done: How many are done.
    """

    STEP = 100

    def __init__(self, report: Progress | None, total: int | None) -> None:
        self._report = report
        self._reported = 0
        self._total = total
        self.done = 0

    def add(self, messages: int) -> None:
        """So many more are done."""
        self.done += messages
        if self.done - self._reported >= self.STEP:
            self.tell()

    def tell(self) -> None:
        """Report now, unless there is nothing new."""
        if self._report is not None and self.done != self._reported:
            self._report(self.done, self._total)
        self._reported = self.done
