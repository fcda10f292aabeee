"""Calls on worker threads that run one after another where they concern the same thing."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from typing import TypeVar

from ..client import survive_forks
from ..engine.threads import submit_call

T = TypeVar("T")


class Calls:
    """A queue of calls for each key; one worker thread at a time empties it.

    Whoever waits for a call may be cancelled: the call is made all the same.
    """

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin without calls under way: those of the parent process are not made here."""
        self._lock = threading.Lock()
        self._queues: dict[str, deque[Callable[[], None]]] = {}

    def in_turn(self, key: str, call: Callable[[], T]) -> Future[T]:
        """Run a call after all that were queued under this key, and before all that will be."""
        future, work = _tracked(call)
        with self._lock:
            begins = key not in self._queues
            self._queues.setdefault(key, deque()).append(work)
        if begins:
            # Not in the caller's context: the thread goes on with what others queue.
            Context().run(submit_call, lambda: self._empty(key))
        return future

    def after(self, key: str, call: Callable[[], T]) -> Future[T]:
        """Run a call after all that are queued under this key; where none are, at once."""
        with self._lock:
            queued = key in self._queues
        return self.in_turn(key, call) if queued else submit_call(call)

    def _empty(self, key: str) -> None:
        while True:
            with self._lock:
                queue = self._queues[key]
                if not queue:
                    del self._queues[key]
                    return
                work = queue.popleft()
            work()


def _tracked(call: Callable[[], T]) -> tuple[Future[T], Callable[[], None]]:
    """A future of a call's outcome, and what runs the call."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    return future, work
