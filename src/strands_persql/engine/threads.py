"""The worker threads that all sessions of a process share, turns on them, and the way back to an event loop.

Strands opens a fresh event loop for every `agent(...)` call and cancels what is left on it, so nothing here is bound
to a loop. The threads are started when there is work, and the interpreter ends after what was handed to them.

They are not a `ThreadPoolExecutor`: its hand-over is a future, a work item and a semaphore, and takes longer than the
write of a message to a local file.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from ..client import end_requests, logger_of, survive_forks

T = TypeVar("T")
logger = logger_of(__name__)

MAX_WORKERS = 32
"""The most threads a process has for all its sessions: each waits for one request at a time."""


INTERRUPTED_SECONDS = 5
"""How long a program that Ctrl-C has ended waits for what is being written: a request, and a retry or two."""


class _OfThread(threading.local):
    """The bell of the loop that ran last in each thread."""

    bell: _Bell | None = None


_of_thread = _OfThread()


class _Pool:
    """Threads that take work from one queue, and end with the interpreter, once all of it is done."""

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child process starts threads of its own."""
        _of_thread.bell = None
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.RLock()  # the garbage collector may hand over work amid this
        self._threads: list[threading.Thread] = []
        self._busy = 0  # pieces of work that are queued or under way
        self._ended = False

    def takes(self, work: Callable[[], None]) -> bool:
        """Queue a piece of work; False when the interpreter is ending, or no thread can be had."""
        with self._lock:
            taken = not self._ended and (self._busy < len(self._threads) or self._has_started())
            if taken:
                self._queue.put(work)
                self._busy += 1
            return taken

    def _has_started(self) -> bool:
        """Start one more thread where there may be more; False where there is none at all."""
        if len(self._threads) < MAX_WORKERS:
            thread = threading.Thread(target=self._serve, name=f"strands-persql-{len(self._threads)}", daemon=True)
            # Whatever traces threads would give this one the context of the event that happened to start it, for good.
            context = contextvars.Context()
            try:
                context.run(thread.start)
            except RuntimeError:  # the system has no more threads, or the interpreter is ending
                pass
            else:
                self._threads.append(thread)
        return bool(self._threads)

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            finally:
                del work  # a thread that waits keeps nothing alive
                with self._lock:
                    self._busy -= 1
        self._queue.put(None)  # for the next thread

    def end(self) -> None:
        """Wait for all work; what comes later runs where it comes from."""
        with self._lock:
            self._ended = True
            threads, self._threads = self._threads, []
            self._queue.put(None)
        if getattr(sys, "last_type", None) is KeyboardInterrupt:  # somebody waits for the program to end
            deadline = time.monotonic() + INTERRUPTED_SECONDS
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            if any(thread.is_alive() for thread in threads):
                logger.warning("seconds=<%d> | interrupted: requests under way are given up", INTERRUPTED_SECONDS)
                end_requests()
        for thread in threads:
            thread.join()


_pool = _Pool()

# Before the interpreter waits for its other threads, and in a child process too that ends without `atexit`, as those of
# `multiprocessing` do: so concurrent.futures has its threads ended. `atexit` comes after what users register with it.
getattr(threading, "_register_atexit", atexit.register)(_pool.end)


def submit(work: Callable[[], None]) -> None:
    """Run `work`, which raises nothing, on a worker thread, or here when the interpreter is ending."""
    if not handed_over(work):
        work()


def handed_over(work: Callable[[], None]) -> bool:
    """Have `work`, which raises nothing, run on a worker thread; False when the interpreter is ending."""
    return _pool.takes(work)


def submit_call(call: Callable[[], T]) -> Future[T]:
    """Run `call` on a worker thread, in the caller's context; its outcome comes in the future."""
    in_context = contextvars.copy_context().run
    future: Future[T] = Future()

    def work() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = in_context(call)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    submit(work)
    return future


async def awaited(future: Future[T]) -> T:
    """Wait for the outcome of work without blocking the loop; whoever cancels this cancels the wait, not the work."""
    if not future.done():
        loop = asyncio.get_running_loop()
        awake = loop.create_future()
        bell = _bell(loop)
        future.add_done_callback(lambda _: bell.ring(awake))
        await awake
    return future.result()


class _Bell:
    """Wakes a loop for those of its tasks whose work is done: once for all that is done before it looks.

    Waking it takes a system call, and Python's lock goes to another thread meanwhile.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = weakref.ref(loop)
        self._done: deque[asyncio.Future[None]] = deque()
        self._rung = False

    def ring(self, awake: asyncio.Future[None]) -> None:
        """Have this future's task go on; from any thread."""
        self._done.append(awake)
        if self._rung:
            return
        self._rung = True
        try:
            awake.get_loop().call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop was closed: nobody waits any more
            self._rung = False
            self._done.clear()

    def _wake(self) -> None:
        self._rung = False  # first: whoever comes from now on rings again
        while self._done:
            awake = self._done.popleft()
            if not awake.done():
                awake.set_result(None)


def _bell(loop: asyncio.AbstractEventLoop) -> _Bell:
    bell = _of_thread.bell
    if bell is None or bell.loop() is not loop:
        bell = _of_thread.bell = _Bell(loop)
    return bell


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
        self._at_once = False  # somebody blocks until the next turn is done
        self._under_way = False
        self.here: int | None = None  # the thread whose turn was begun by `begin_now`, and is under way
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
            self._at_once = self._at_once or at_once
            waits = self._under_way or (self._queued > 0 and not at_once)
        if not waits:
            self._queue()
        return future

    def begin_now(self, thread: int) -> bool:
        """Begin a turn of this thread that nobody has asked for; False where one is under way, or asked for."""
        with self._lock:
            if self._under_way or self._waiting:
                return False
            self._under_way, self.here = True, thread
        return True

    def end_now(self, thread: int) -> None:
        """End that turn. Where Ctrl-C came amid this, it is called again."""
        with self._lock:
            if self.here == thread:
                self._under_way, self.here = False, None
            again = bool(self._waiting)
        if again:
            self._queue()

    def begin(self) -> bool:
        """Begin a turn; False where another one is under way, or has served all."""
        with self._lock:
            self._queued -= 1
            if self._under_way or not self._waiting:
                return False
            self._under_way, self._at_once = True, False
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
            self._queue()

    def _queue(self) -> None:
        self._hand_over(self._at_once)
        with self._lock:
            self._queued += 1
