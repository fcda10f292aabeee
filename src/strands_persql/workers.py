"""The worker threads that all sessions of a process share, and the serial lane each session has on them.

Strands opens a fresh event loop for every `agent(...)` call and cancels what is left on it, so nothing here is bound
to a loop. The threads are started when there is work and end with the interpreter, after what was handed to them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar
from weakref import WeakSet

__all__ = ["MAX_WORKERS", "Lane", "submit", "submit_call", "survive_forks"]

T = TypeVar("T")

MAX_WORKERS = 32
"""The most threads a process has for all its sessions: each waits for one request at a time."""

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def submit(work: Callable[[], None]) -> None:
    """Run `work` on a worker thread, or here when the interpreter is ending and takes no more."""
    try:
        _shared().submit(work)
    except RuntimeError as error:
        if "shutdown" not in str(error):  # "can't start new thread": the pool has taken it in all the same
            raise
        work()


def submit_call(call: Callable[[], T]) -> Future[T]:
    """Run `call` on a worker thread; its outcome comes in the future."""
    future: Future[T] = Future()

    def work() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    submit(work)
    return future


def _shared() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(MAX_WORKERS, thread_name_prefix="strands-persql")
        return _pool


def _after_fork() -> None:
    """Threads don't survive a fork: the child starts its own, and no lock stays held by one that is gone."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()
    for survivor in _survivors:
        survivor.after_fork()


class Survivor(Protocol):
    """Holds locks, or work under way, that a child process must not inherit."""

    def after_fork(self) -> None:
        """Begin anew in the child."""
        ...


_survivors: WeakSet[Survivor] = WeakSet()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def survive_forks(survivor: Survivor) -> None:
    """Have `after_fork` called in each child process that is forked while `survivor` is alive."""
    _survivors.add(survivor)


class Lane:
    """Runs one piece of work again and again, never twice at once, on the shared threads.

    Args:
        work: What to run. It takes all that is pending when it starts.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Nothing is under way, and nobody waits."""
        self._lock = threading.Lock()
        self._turn_taken = threading.Lock()
        self._waiting: list[Future[None]] = []
        self._running = False

    def run(self) -> Future[None]:
        """Run the work once more; the future ends with a run that began after this call."""
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append(future)
            if self._running:
                return future
            self._running = True
        try:
            submit(self._turn)
        except BaseException:
            with self._lock:
                self._running = False
            raise
        return future

    def _turn(self) -> None:
        with self._turn_taken:
            while True:
                with self._lock:
                    waiting, self._waiting = self._waiting, []
                    if not waiting:
                        self._running = False
                        return
                self._once([future for future in waiting if future.set_running_or_notify_cancel()])

    def _once(self, waiting: list[Future[None]]) -> None:
        try:
            self._work()
        except BaseException as error:
            for future in waiting:
                future.set_exception(error)
        else:
            for future in waiting:
                future.set_result(None)
