"""The worker threads that all sessions of a process share, and the serial lane each session has on them.

Strands opens a fresh event loop for every `agent(...)` call and cancels what is left on it, so nothing here is bound
to a loop. The threads are started when there is work, and the interpreter ends after what was handed to them.

They are not a `ThreadPoolExecutor`: its hand-over is a future, a work item and a semaphore, and takes longer than the
write of a message to a local file.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeAlias, TypeVar
from weakref import WeakSet

__all__ = ["MAX_WORKERS", "Lane", "Steps", "awaited", "handed_over", "submit", "submit_call", "survive_forks"]

T = TypeVar("T")
Wanted = TypeVar("Wanted")
Answered = TypeVar("Answered")

Steps: TypeAlias = Generator[Wanted, Answered, None]
"""Work that leaves to others how it gets what it needs: it yields what it wants, and is sent the answer."""

MAX_WORKERS = 32
"""The most threads a process has for all its sessions: each waits for one request at a time."""


class _Pool:
    """Threads that take work from one queue, and end with the interpreter, once all of it is done."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._busy = 0  # pieces of work that are queued or under way
        self._ended = False

    def takes(self, work: Callable[[], None]) -> bool:
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
        for thread in threads:
            thread.join()


_pool = _Pool()


def _end() -> None:
    _pool.end()


# Before the interpreter waits for its other threads, and in a child process too that ends without `atexit`, as those of
# `multiprocessing` do: so concurrent.futures has its threads ended. `atexit` comes after what users register with it.
getattr(threading, "_register_atexit", atexit.register)(_end)


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


class _OfThread(threading.local):
    """The bell of the loop that ran last in each thread."""

    bell: _Bell | None = None


_of_thread = _OfThread()


def _bell(loop: asyncio.AbstractEventLoop) -> _Bell:
    bell = _of_thread.bell
    if bell is None or bell.loop() is not loop:
        bell = _of_thread.bell = _Bell(loop)
    return bell


def _after_fork() -> None:
    """Threads don't survive a fork: the child starts its own, and no lock stays held by one that is gone."""
    global _pool
    _pool = _Pool()
    _of_thread.bell = None
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


class Lane(Generic[Wanted, Answered]):
    """Runs one piece of work again and again, never twice at once, on the shared threads.

    Args:
        work: What to run. It takes all that is pending when it starts, and does it, or returns a generator that does:
            what it yields is for `carry_out` to provide.
        carry_out: Has a turn of the lane run to its end, on a thread other than this one: now, or later in the company
            of others, unless it is told that somebody blocks until then.
    """

    def __init__(
        self,
        work: Callable[[], Steps[Wanted, Answered] | None],
        carry_out: Callable[[Steps[Wanted, Answered], bool], None] | None = None,
    ) -> None:
        self._work = work
        self._carry_out = carry_out or _exhaust
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Nothing is under way, and nobody waits."""
        self._lock = threading.Lock()
        self._waiting: list[Future[None]] = []
        self._at_once = False  # one of those blocks
        self._turns = 0  # handed over, and not begun: never too many, whatever a call is interrupted by
        self._in_turn = False

    def run(self, *, at_once: bool = False) -> Future[None]:
        """Run the work once more; the future ends with a run that began after this call.

        Args:
            at_once: Somebody blocks until it is done.
        """
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append(future)
            self._at_once = self._at_once or at_once
            # What is to be done at once doesn't wait for a turn that is in the company of others; that one will find
            # nothing to do.
            waits = self._in_turn or (self._turns > 0 and not at_once)
        if not waits:
            self._hand_over()
        return future

    def _hand_over(self) -> None:
        self._carry_out(self._turn(), self._at_once)
        with self._lock:
            self._turns += 1

    def _turn(self) -> Steps[Wanted, Answered]:
        with self._lock:
            self._turns -= 1
            if self._in_turn or not self._waiting:  # another turn does all of it, or has
                return
            self._in_turn, self._at_once = True, False
            waiting, self._waiting = self._waiting, []
        waiting = [future for future in waiting if future.set_running_or_notify_cancel()]
        try:
            steps = self._work()
            if steps is not None:
                yield from steps
        except GeneratorExit:  # nobody carries it out any more: it was inherited from another process
            raise
        except BaseException as error:
            for future in waiting:
                future.set_exception(error)
        else:
            for future in waiting:
                future.set_result(None)
        with self._lock:
            self._in_turn = False
            again = bool(self._waiting)
        if again:
            self._hand_over()


def _exhaust(turn: Steps[Any, Any], at_once: bool) -> None:
    """Run work that wants nothing of anybody."""
    submit(lambda: next(turn, None))
