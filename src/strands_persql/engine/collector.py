"""Python's garbage collector, kept from a history while it is built: none of it is garbage.

It would look through it again and again, which takes longer than the building: 10,000 messages are restored in two
thirds of the processor time without it.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

from ..client import survive_forks


class _Pauses:
    """Whether the collector is to be started again in a child process."""

    def __init__(self) -> None:
        self.under_way = 0
        survive_forks(self)

    def after_fork(self) -> None:
        """The threads that have paused it don't exist in the child."""
        if self.under_way:
            gc.enable()
        self.under_way = 0


_pauses = _Pauses()


@contextmanager
def collector_paused() -> Generator[None, None, None]:
    """Pause it; whoever has paused it starts it again, even if another thread would have it paused for longer."""
    if not gc.isenabled():  # by the user, or by another thread
        yield
        return
    gc.disable()
    _pauses.under_way += 1
    try:
        yield
    finally:
        _pauses.under_way -= 1
        gc.enable()
