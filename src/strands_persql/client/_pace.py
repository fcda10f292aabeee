"""Whether a local file is quick enough to be written on an event loop's own thread.

A commit to a file in WAL mode takes less time than handing it to a worker thread and back, as long as the disk, the
container or the network folder under it is quick. Where a write has taken long, the workers write for a while: the
longer, the more often that was so.
"""

from __future__ import annotations

SLOW_SECONDS = 0.002
"""A write that takes longer than this would be felt by whatever else runs on the loop."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0
"""Seconds for which the workers write after a slow one, at first and at most: four times as long each time the loop's
writes were slow again at once. A busy machine delays one in a hundred writes, and such a pause is short."""

ENOUGH = 5
"""So many quick writes, one after the other, and the pause is the first one again."""


class Pace:
    """How long the latest writes have taken. One thread at a time."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._quick = ENOUGH
        self._resumes = 0.0

    def is_quick(self, now: float) -> bool:
        """Whether the next write may be tried on the loop's thread, at a time in seconds."""
        return now >= self._resumes

    def tried(self, seconds: float, now: float) -> None:
        """A write on the loop's thread has taken so many seconds, until `now`."""
        if seconds <= SLOW_SECONDS:
            self._quick += 1
            return
        self._pause = FIRST_PAUSE if self._quick >= ENOUGH else min(4 * self._pause, LONGEST_PAUSE)
        self._resumes = now + self._pause
        self._quick = 0
