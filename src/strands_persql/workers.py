"""The worker threads that all sessions of a process share, and the serial lane each session has on them.

Strands opens a fresh event loop for every `agent(...)` call and cancels what is left on it, so nothing here is bound to a
loop. The threads are started when there is work and end with the interpreter, after what was handed to them is done.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["MAX_WORKERS", "Lane", "submit", "submit_call"]

T = TypeVar("T")

MAX_WORKERS = 32
"""The most threads a process has for all its sessions: each waits for one request at a time."""

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def submit(work: Callable[[], None]) -> None:
    """Run `work` on a worker thread, or here when the interpreter is ending and takes no more."""
    try:
        _shared().submit(work)
    except RuntimeError:  # "cannot schedule new futures after (interpreter) shutdown"
        work()


def submit_call(call: Callable[[], T]) -> Future[T]:
    """Run `call` on a worker thread; its outcome comes in the future."""
    future: Future[T] = Future()

    def work() -> None:
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


def _forget() -> None:
    """Threads don't survive a fork: the child starts its own."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Lane:
    """Runs one piece of work again and again, never twice at once, on the shared threads.

    Args:
        work: What to run. It takes all that is pending when it starts.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
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
        submit(self._turn)
        return future

    def _turn(self) -> None:
        while True:
            with self._lock:
                waiting, self._waiting = self._waiting, []
                if not waiting:
                    self._running = False
                    return
            try:
                self._work()
            except BaseException as error:
                for future in waiting:
                    future.set_exception(error)
            else:
                for future in waiting:
                    future.set_result(None)
