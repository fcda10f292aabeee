"""What must happen when a process forks (gunicorn's preload, `multiprocessing`): nothing open is shared with the child.

Two processes on one TCP connection would read each other's answers; closing a TLS connection would end the parent's.
So the child keeps what it inherited out of the garbage collector's reach, and opens its own. Threads don't survive a
fork either, and a lock that one of them held would stay locked for ever: each holder makes a new one.

SQLite has a rule of its own: no connection is carried across a fork, not even to be closed
(sqlite.org/howtocorrupt.html, section 2.6). The child would count its parent's locks on the file as its own, and go on
without any. So before the fork each connection is closed, once the call that is using it has ended, and nobody opens
another one until the fork is over. Parent and child open theirs at the next call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol
from weakref import WeakSet


class Survivor(Protocol):
    """Holds locks, connections or work under way that a child process must not inherit."""

    def after_fork(self) -> None:
        """Begin anew in the child, which has one thread so far."""
        ...


class Closable(Protocol):
    """Has something open that must be closed while the process forks."""

    def hold(self) -> None:
        """Wait for whoever is using it, keep others away from it, and close it."""
        ...

    def release(self) -> None:
        """Let others use it again."""
        ...


_survivors: WeakSet[Survivor] = WeakSet()
_inherited: list[object] = []


def survive_forks(survivor: Survivor) -> None:
    """Have `after_fork` called in each child process that is forked while `survivor` is alive."""
    _survivors.add(survivor)


def abandon(inherited: object | None) -> None:
    """Keep an object of the parent process from ever being closed in this one."""
    if inherited is not None:
        _inherited.append(inherited)


class _Closables:
    """All that is open, and the locks under which it is closed.

    A thread that closes all takes `_one_at_a_time`, then the lock of each closable, then `_gate`. Whoever uses a
    closable holds its lock, and takes the gate for a moment to open it: nobody waits in a circle.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.RLock()
        self._gate = threading.RLock()
        self.all: set[Closable] = set()
        self._held: list[Closable] = []

    @contextmanager
    def opening(self, closable: Closable) -> Generator[None, None, None]:
        with self._gate:
            self.all.add(closable)
            yield

    def is_closed(self, closable: Closable) -> None:
        self.all.discard(closable)

    def close_all(self) -> None:
        self._one_at_a_time.acquire()
        while True:
            self._gate.acquire()
            others = self.all.difference(self._held)
            if not others:
                return  # with the gate closed
            self._gate.release()
            for closable in others:
                closable.hold()
                self._held.append(closable)

    def go_on(self) -> None:
        while self._held:
            self._held.pop().release()
        with suppress(RuntimeError):  # Ctrl-C while it waited for a lock
            self._gate.release()
            self._one_at_a_time.release()


_closables = _Closables()


def opening(closable: Closable) -> AbstractContextManager[None]:
    """Begin to open something; its own lock is held by this thread. Inside, no other thread opens anything."""
    return _closables.opening(closable)


def closables() -> list[Closable]:
    """What is open now."""
    return list(_closables.all)


def is_closed(closable: Closable) -> None:
    """What was open is closed."""
    _closables.is_closed(closable)


@contextmanager
def all_closed() -> Generator[None, None, None]:
    """Inside it, nothing is open in this process, and no other thread opens anything."""
    _closables.close_all()
    try:
        yield
    finally:
        _closables.go_on()


def _in_child() -> None:
    global _closables
    _closables = _Closables()
    for survivor in list(_survivors):
        survivor.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _closables.close_all(),
        after_in_parent=lambda: _closables.go_on(),
        after_in_child=_in_child,
    )
