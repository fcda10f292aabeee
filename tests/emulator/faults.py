"""What can go wrong between a client and the service, request by request."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

How = Literal["latency", "answer", "cut", "truncate", "stall"]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with one request.

    Attributes:
        name: What the request log calls it.
        how: `latency`: the answer is right, but late. `answer`: another answer than the right one. `cut`: the
            connection is reset. `truncate`: it is closed in the middle of the body. `stall`: it stays open there.
        runs: Whether the request is carried out all the same.
        cached: Whether an answer that was carried out can be replayed by its `Idempotency-Key`.
        seconds: How long `latency` takes, between the look into the replay cache and the run: two requests with one key
            at the same time both run, as the service's documentation warns.
        status: The status of the `answer`.
        headers: Its headers.
        body: Its body.
    """

    name: str
    how: How
    runs: bool = True
    cached: bool = True
    seconds: float = 0.0
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


_HTML = b"<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head><body>cloudflare</body></html>\n"


def latency(seconds: float) -> Fault:
    """The request is carried out late."""
    return Fault("latency", "latency", seconds=seconds)


def rate_limited(retry_after: str | None = "0") -> Fault:
    """429, as the service's flood control answers; `retry_after` is the header, None for none."""
    headers = [("content-type", "application/json")]
    if retry_after is not None:
        headers.append(("retry-after", retry_after))
    body = b'{"success":false,"error":"Too many requests"}'
    return Fault("rate_limited", "answer", runs=False, status=429, headers=tuple(headers), body=body)


def failing(status: int = 503, *, html: bool = False, runs: bool = False, cached: bool = False) -> Fault:
    """A 5xx as the service or, in HTML, as the edge in front of it writes it."""
    body = _HTML if html else b'{"success":false,"error":"Internal error"}'
    headers = (("content-type", "text/html" if html else "application/json"),)
    return Fault(f"failing_{status}", "answer", runs=runs, cached=cached, status=status, headers=headers, body=body)


def cut() -> Fault:
    """The connection is reset before the statements run."""
    return Fault("cut", "cut", runs=False)


def cut_after_commit(*, cached: bool = True) -> Fault:
    """The connection is reset after the statements have run; without `cached`, a repetition runs them again."""
    return Fault("cut_after_commit", "cut", cached=cached)


def truncated() -> Fault:
    """The connection is closed in the middle of the answer's body, after the statements have run."""
    return Fault("truncated", "truncate")


def stalled() -> Fault:
    """The answer's body stops in the middle and the connection stays open, after the statements have run."""
    return Fault("stalled", "stall")


def garbled(body: bytes = b"<html>Sign in to the network</html>", *, runs: bool = True) -> Fault:
    """A 200 that isn't the service's answer; by default, the statements have run."""
    headers = (("content-type", "text/html"),)
    return Fault("garbled", "answer", runs=runs, status=200, headers=headers, body=body)


def redirect(location: str, status: int = 307) -> Fault:
    """A redirect to another address."""
    return Fault("redirect", "answer", runs=False, status=status, headers=(("location", location),))


COMMON = (
    rate_limited(),
    failing(503),
    failing(502, html=True),
    failing(500),
    cut(),
    cut_after_commit(),
    truncated(),
    garbled(),
)
"""What a random plan chooses from by default: what a client gets over by repeating the request under its key."""

HARSH = (*COMMON, failing(500, runs=True), cut_after_commit(cached=False))
"""As well, what it can't: statements that have run although no key replays them. Only a condition in the SQL helps."""


@dataclass
class Faults:
    """Which request meets which fault. Requests are counted from 1, since the last reset."""

    _queue: deque[Fault | None] = field(default_factory=lambda: deque[Fault | None]())
    _at: dict[int, Fault] = field(default_factory=lambda: dict[int, Fault]())
    _always: Fault | None = None
    _poison: tuple[bytes, Fault] | None = None
    _random: random.Random | None = None
    _rate: float = 0.0
    _choices: Sequence[Fault] = COMMON

    def next(self, *faults: Fault | None) -> None:
        """The next requests meet these, one each; None is a request that goes well."""
        self._queue.extend(faults)

    def at(self, number: int, fault: Fault) -> None:
        """The request of that number meets this one."""
        self._at[number] = fault

    def always(self, fault: Fault) -> None:
        """Every request that no other plan concerns meets this one, until `clear`."""
        self._always = fault

    def poisoned(self, words: str, fault: Fault) -> None:
        """Every request that holds these words meets this one."""
        self._poison = (words.encode(), fault)

    def randomly(self, seed: int, rate: float, choices: Sequence[Fault] = COMMON) -> None:
        """Each request that no other plan concerns meets one of `choices` with the probability `rate`."""
        self._random, self._rate, self._choices = random.Random(seed), rate, choices

    def clear(self) -> None:
        """From now on everything goes well."""
        self._queue.clear()
        self._at.clear()
        self._always = self._random = self._poison = None

    def take(self, number: int, body: bytes = b"") -> Fault | None:
        """The fault of a request."""
        if self._poison is not None and self._poison[0] in body:
            return self._poison[1]
        if number in self._at:
            return self._at[number]
        if self._queue:
            return self._queue.popleft()
        if self._random is not None and self._random.random() < self._rate:
            return self._random.choice(self._choices)
        return self._always
