"""When to try again, and how long to wait before."""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

FIRST_BACKOFF = 0.25
"""Seconds: the longest wait before the first retry; it doubles with each further one (exponential, full jitter)."""
LONGEST_BACKOFF = 8.0
"""Seconds: the longest backoff; only a `Retry-After` is waited for longer."""
RETRY_SECONDS = 90.0
"""Seconds: no attempt begins later than this after the first one began."""


class _Thread(threading.local):
    retries = 0


_thread = _Thread()


def retries_so_far() -> int:
    """How many requests this thread has sent again so far; the difference of two calls counts those between them."""
    return _thread.retries


class Retries:
    """The attempts of one request."""

    def __init__(self, max_retries: int) -> None:
        self.attempt = 1
        self._left = max_retries
        self._deadline = time.monotonic() + RETRY_SECONDS

    def next_delay(self, retry_after: float | None = None) -> float | None:
        """Seconds to wait before the next attempt, at least `retry_after`; None where there is none left."""
        if self._left <= 0:
            return None
        ceiling = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (self.attempt - 1))
        # Jitter is added to `Retry-After` too: all callers that were turned away got the same number.
        delay = random.uniform(0, ceiling) + (retry_after or 0.0)
        if time.monotonic() + delay > self._deadline:
            return None
        self._left -= 1
        self.attempt += 1
        _thread.retries += 1
        return delay


def retry_after_seconds(header: str | None) -> float | None:
    """Read a `Retry-After` header: seconds, or an HTTP date; None where it is neither."""
    if header is None:
        return None
    text = header.strip()[:100]
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        seconds = (moment - datetime.now(timezone.utc)).total_seconds()
    # "nan" and "inf" are floats too.
    return max(0.0, seconds) if seconds < 1e9 else None
