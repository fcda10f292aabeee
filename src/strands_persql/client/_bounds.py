"""The bounds of one attempt to reach the service, whatever HTTP library makes it: how much it answers, and how long.

A timeout bounds each wait for the network, not their sum: an answer that comes byte by byte makes progress for ever.
"""

from __future__ import annotations

import contextvars
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress

from ._forks import survive_forks

MAX_ANSWER_BYTES = 128 * 1024 * 1024
"""Bytes of an answer at most, once it is decompressed. The service runs on Cloudflare's Workers and holds an answer in
memory as a whole; they have no more memory than this (Cloudflare, "Workers limits"), so no answer of its own is longer.
"""

ATTEMPT_TIMEOUTS = 4
"""How many timeouts one attempt takes at most, from its first byte sent to the last one read: 2 minutes by default. A
slow connection needs more than one for an answer of several megabytes."""

ACCEPTED_ENCODING = "gzip"
"""What the service is asked to compress with: the standard library inflates it piece by piece, up to a bound."""


class TooLargeError(Exception):
    """An answer is longer than `MAX_ANSWER_BYTES`."""


def body_of(chunks: Iterable[bytes], encoding: str) -> bytes:
    """Read an answer's body as it arrives, and decompress it, as far as it is within the bound.

    Args:
        chunks: Its bytes as they are sent.
        encoding: Its `Content-Encoding`; empty for none.

    Raises:
        TooLargeError: It is longer; the rest is not read.
        ValueError: It is compressed otherwise than asked for, or can't be decompressed.
    """
    encoding = encoding.strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise ValueError("unknown content encoding")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in encoding else None
    body = bytearray()
    for chunk in chunks:
        try:
            # One byte more than allowed shows that there is more.
            body += chunk if inflater is None else inflater.decompress(chunk, MAX_ANSWER_BYTES - len(body) + 1)
        except zlib.error as cause:
            raise ValueError("not what its content encoding says") from cause
        if len(body) > MAX_ANSWER_BYTES:
            raise TooLargeError
    return bytes(body)


class _Deadlines:
    """Attempts under way, and the thread that aborts the overdue ones. It runs while there are any."""

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """In a child process no attempt is under way, and no thread runs."""
        self._changed = threading.Condition()
        self._attempts: dict[object, tuple[float, Callable[[], None]]] = {}
        self._wakes_at: float | None = None  # None while there is no thread

    @contextmanager
    def within(self, seconds: float, abort: Callable[[], None]) -> Generator[None, None, None]:
        """Have `abort` called on another thread, unless the block ends within so many seconds.

        It is never called after the block, and must not block.
        """
        attempt, deadline = object(), time.monotonic() + seconds
        with self._changed:
            self._attempts[attempt] = deadline, abort
            if self._wakes_at is None:
                self._start(deadline)
            elif deadline < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._attempts.pop(attempt, None)

    def _start(self, deadline: float) -> None:
        thread = threading.Thread(target=self._watch, name="persql-deadlines", daemon=True)
        with suppress(RuntimeError):  # the interpreter is ending, or the system has no more threads
            contextvars.Context().run(thread.start)
            self._wakes_at = deadline

    def _watch(self) -> None:
        with self._changed:
            while self._attempts:
                now = time.monotonic()
                for attempt, (deadline, abort) in list(self._attempts.items()):
                    if deadline <= now:
                        del self._attempts[attempt]
                        abort()
                self._wakes_at = min((deadline for deadline, _ in self._attempts.values()), default=now)
                self._changed.wait(self._wakes_at - now)
            self._wakes_at = None


within = _Deadlines().within
"""Have an attempt aborted by another thread, unless it ends within so many seconds."""
