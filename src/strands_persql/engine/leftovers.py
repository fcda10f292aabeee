"""Rows that nobody waits for any more: their manager is gone, or the interpreter ends. They are stored all the same.

What has failed before is not tried again: whoever waited for it was told, and may have asked anew.
"""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from ..client import logger_of, survive_forks
from .threads import handed_over

if TYPE_CHECKING:
    from .writer import Writer

logger = logger_of(__name__)


class _Leftovers:
    """The writers of this process that may have something pending."""

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """What is pending in a parent process is the parent's to store."""
        self.writers: weakref.WeakSet[Writer] = weakref.WeakSet()
        self.abandoned: deque[Writer] = deque()

    def store_abandoned(self) -> None:
        """Store what is pending of those whose manager is gone."""
        with suppress(IndexError):
            while True:
                writer = self.abandoned.popleft()
                if not writer.has_failed:
                    writer.drain()
                else:
                    tell_lost(writer)

    def at_end(self) -> None:
        """Store what is pending as the interpreter ends, and say so."""
        self.store_abandoned()
        left = [(writer, writer.pending) for writer in list(self.writers) if writer.holds()]
        if not left:
            return
        for written in [writer.drain() for writer, _ in left if not writer.has_failed]:
            with suppress(Exception):
                written.result()
        lost = sum(writer.pending for writer, _ in left)
        logger.log(
            logging.ERROR if lost else logging.WARNING,
            "sessions=<%d>, rows=<%d>, lost=<%d> | were pending when the interpreter ended: close session managers",
            len(left),
            sum(count for _, count in left),
            lost,
        )
        for writer, _ in left:  # once is enough
            unwatch(writer)


_leftovers = _Leftovers()

# Before the worker threads end, and once more for what other threads have put since: see `threads`.
getattr(threading, "_register_atexit", atexit.register)(_leftovers.at_end)
atexit.register(_leftovers.at_end)


def tell_lost(writer: Writer) -> None:
    """Say that what is pending of a writer is not going to be stored."""
    text = "session_id=<%s>, rows=<%d> | not stored: the last write failed, and the session's manager is gone"
    logger.error(text, writer.session_id, writer.pending)


def watch(writer: Writer) -> None:
    """Have what is pending of a writer stored when the interpreter ends."""
    writer.is_watched = True
    _leftovers.writers.add(writer)


def unwatch(writer: Writer) -> None:
    """Leave it alone: what is pending of it has been told of."""
    writer.is_watched = False
    _leftovers.writers.discard(writer)


def abandon(writer: Writer) -> None:
    """Have what is pending of a writer stored, whose manager is gone.

    The garbage collector calls this on any thread, which may hold any lock.
    """
    writer.is_abandoned = True
    if writer.is_watched and writer.has_unsent:
        _leftovers.abandoned.append(writer)
        handed_over(_leftovers.store_abandoned)
