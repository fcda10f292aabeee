"""What must happen when a process forks (gunicorn's preload, `multiprocessing`): nothing open is shared with the child.

Two processes on one TCP connection would read each other's answers, and SQLite's own rule is that a connection is not
carried across a fork, not even to be closed (sqlite.org/howtocorrupt.html, section 2.6); closing a TLS connection would
end the parent's. So the child keeps what it inherited out of the garbage collector's reach, and opens its own.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["abandon", "watch"]


class _Forkable(Protocol):
    def forked(self) -> None: ...


_watched: weakref.WeakSet[_Forkable] = weakref.WeakSet()
_inherited: list[object] = []


def watch(thing: _Forkable) -> None:
    """Have `thing.forked()` called in each child process, before anything else there."""
    _watched.add(thing)


def abandon(inherited: object | None) -> None:
    """Keep an object of the parent process from ever being closed in this one."""
    if inherited is not None:
        _inherited.append(inherited)


def _in_child() -> None:
    for thing in list(_watched):
        thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
