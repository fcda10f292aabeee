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
        busy: Seconds in which the loop ran something.
        worked: The processor time of that: less, where its thread had to wait for the interpreter or a processor.
    """

    stall: float = 0.0
    busy: float = 0.0
    worked: float = 0.0


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
    watch.stall = 0.0
    before, worked = _selector.busy, _selector.worked
    try:
        yield watch
    finally:
        # The stretch that is running has not been counted yet: it ends with the next wait.
        await asyncio.sleep(0)
        watch.busy, watch.worked = _selector.busy - before, _selector.worked - worked
        await asyncio.sleep(2 * BEAT)
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


async def _beat(watch: Watch) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(BEAT)
        watch.stall = max(watch.stall, time.perf_counter() - began - BEAT)
