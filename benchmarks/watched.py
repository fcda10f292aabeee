"""An event loop that is watched: how long it is kept from its other tasks."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

BEAT = 0.001
"""Seconds between two beats of the task that feels the stalls."""
IDLE_BEATS = 30
"""Beats of a loop that has nothing else to do, before each watch: what they take is what the beats in it take."""


class _Selector(selectors.DefaultSelector):
    """Counts the time in which the loop does not wait for anything, and so serves nobody else."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = 0.0
        self.worked = 0.0
        self._woken = time.perf_counter()
        self._woken_at = time.thread_time()

    def select(self, timeout: float | None = None) -> Any:
        self.busy += time.perf_counter() - self._woken
        self.worked += time.thread_time() - self._woken_at
        try:
            return super().select(timeout)
        finally:
            self._woken = time.perf_counter()
            self._woken_at = time.thread_time()


@dataclass
class Watch:
    """What was seen of the loop during a turn.

    Attributes:
        stall: The longest time, in seconds, by which a beat was late.
        busy: Seconds in which the loop ran something, less what the beats take: a turn that waits longer has more.
        worked: The processor time of that: less, where its thread had to wait for the interpreter or a processor.
    """

    stall: float = 0.0
    busy: float = 0.0
    worked: float = 0.0
    beats: int = 0


_selector: _Selector | None = None


def run_watched(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a loop that can be watched."""
    global _selector
    _selector = _Selector()
    loop = asyncio.SelectorEventLoop(_selector)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@contextlib.asynccontextmanager
async def watched() -> AsyncGenerator[Watch, None]:
    """Watch the loop meanwhile, at the price of a beat a millisecond."""
    assert _selector is not None
    watch = Watch()
    beating = asyncio.create_task(_beat(watch))
    await asyncio.sleep(3 * BEAT)
    idle = _Stretch(_selector, watch)
    await asyncio.sleep(IDLE_BEATS * BEAT)
    await idle.end()
    watch.stall = 0.0
    stretch = _Stretch(_selector, watch)
    try:
        yield watch
    finally:
        await stretch.end()
        watch.busy = stretch.busy - stretch.beats * idle.busy / idle.beats
        watch.worked = stretch.worked - stretch.beats * idle.worked / idle.beats
        await asyncio.sleep(2 * BEAT)
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


class _Stretch:
    """What the loop does from now until `end`."""

    def __init__(self, selector: _Selector, watch: Watch) -> None:
        self._selector, self._watch = selector, watch
        self.busy, self.worked, self.beats = selector.busy, selector.worked, watch.beats

    async def end(self) -> None:
        # The stretch that is running has not been counted yet: it ends with the next wait.
        await asyncio.sleep(0)
        self.busy = self._selector.busy - self.busy
        self.worked = self._selector.worked - self.worked
        self.beats = self._watch.beats - self.beats


async def _beat(watch: Watch) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(BEAT)
        watch.beats += 1
        watch.stall = max(watch.stall, time.perf_counter() - began - BEAT)
