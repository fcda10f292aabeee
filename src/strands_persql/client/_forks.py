"""What must happen when a process forks (gunicorn's preload, `multiprocessing`): nothing open is shared with the child.

Two processes on one TCP connection would read each other's answers, and SQLite's own rule is that a connection is not
carried across a fork, not even to be closed (sqlite.org/howtocorrupt.html, section 2.6); closing a TLS connection would
end the parent's. So the child keeps what it inherited out of the garbage collector's reach, and opens its own. Threads
don't survive a fork either, and a lock that one of them held would stay locked for ever: each holder makes a new one.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["abandon", "survive_forks"]


class Survivor(Protocol):
    """Holds locks, connections or work under way that a child process must not inherit."""

    def after_fork(self) -> None:
        """Begin anew in the child, which has one thread so far."""
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


def _in_child() -> None:
    for survivor in list(_survivors):
        survivor.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
