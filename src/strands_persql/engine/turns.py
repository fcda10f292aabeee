"""One session's turns at writing: one after the other, never two at once, and nobody who waits is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from ..client import survive_forks

__all__ = ["Turns"]


class Turns:
    """Who asks for a turn is served by one that begins after the call.

    Args:
        hand_over: Has `begin` called soon, on a thread that it may block, and after it `end`; told whether somebody
            blocks until that is done. What is asked for during a turn is one more turn, handed over at its end.
    """

    def __init__(self, hand_over: Callable[[bool], None]) -> None:
        self._hand_over = hand_over
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """In a child process no turn is under way, and nobody waits."""
        self._lock = threading.Lock()
        self._waiting: list[Future[None]] = []  # for the next turn
        self._served: list[Future[None]] = []  # by the turn under way
        self._under_way = False
        self._queued = 0  # turns that were handed over and have not begun; never too many, whatever interrupts a call

    def ask(self, *, at_once: bool = False) -> Future[None]:
        """Ask for a turn; the future ends with it, with the error it ended with.

        Args:
            at_once: Somebody blocks until it is done: it doesn't wait for a queued turn that waits for others. That
                one will find nothing to do.
        """
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append(future)
            waits = self._under_way or (self._queued > 0 and not at_once)
        if not waits:
            self._queue(at_once)
        return future

    def begin(self) -> bool:
        """Begin a turn; False where another one is under way, or has served all."""
        with self._lock:
            self._queued -= 1
            if self._under_way or not self._waiting:
                return False
            self._under_way = True
            waiting, self._waiting = self._waiting, []
        self._served = [future for future in waiting if future.set_running_or_notify_cancel()]
        return True

    def end(self, error: BaseException | None = None) -> None:
        """End the turn, and tell those who wait for it."""
        served, self._served = self._served, []
        for future in served:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        with self._lock:
            self._under_way = False
            again = bool(self._waiting)
        if again:
            self._queue(False)

    def _queue(self, at_once: bool) -> None:
        self._hand_over(at_once)
        with self._lock:
            self._queued += 1
