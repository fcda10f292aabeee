"""Medians of samples taken in turns, and how sure they are."""

from __future__ import annotations

import contextlib
import gc
import math
import random
import statistics
from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

RESAMPLES = 400


def summary(samples: Sequence[float], *, unit: float = 1e3, digits: int = 4) -> dict[str, float | int]:
    """The median of samples, its 95 % confidence interval by rank, and their 95th percentile.

    Args:
        samples: Seconds, bytes, or whatever.
        unit: What they are multiplied by: by default seconds become milliseconds.
        digits: How far they are rounded.
    """
    ranked = sorted(samples)
    half = 0.98 * math.sqrt(len(ranked))
    low = max(0, math.floor(len(ranked) / 2 - half))
    high = min(len(ranked) - 1, math.ceil(len(ranked) / 2 + half))
    return {
        "samples": len(ranked),
        "median": round(statistics.median(ranked) * unit, digits),
        "low": round(ranked[low] * unit, digits),
        "high": round(ranked[high] * unit, digits),
        "p95": round(ranked[min(len(ranked) - 1, math.ceil(0.95 * len(ranked)) - 1)] * unit, digits),
    }


def tail(samples: Sequence[float], *, unit: float = 1e3) -> dict[str, float]:
    """The median of samples and their worst ones: the 99th and 99.9th percentile, and the maximum."""
    ranked = sorted(samples)
    places = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999, "worst": 1.0}
    return {name: round(ranked[max(0, math.ceil(place * len(ranked)) - 1)] * unit, 3) for name, place in places.items()}


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float] | None:
    """The ratio of two medians and its 95 % interval, by resampling; None where there is none."""
    if not above or not below or statistics.median(below) <= 0:
        return None
    dice = random.Random(0)
    drawn: list[float] = []
    for _ in range(RESAMPLES):
        bottom = statistics.median(dice.choices(below, k=len(below)))
        if bottom > 0:
            drawn.append(statistics.median(dice.choices(above, k=len(above))) / bottom)
    drawn.sort()
    found = {"ratio": round(statistics.median(above) / statistics.median(below), 3)}
    if drawn:
        found["low"] = round(drawn[int(0.025 * len(drawn))], 3)
        found["high"] = round(drawn[min(len(drawn) - 1, int(0.975 * len(drawn)))], 3)
    return found


def less(samples: dict[int, float], base: dict[int, float]) -> list[float]:
    """What samples are more than those of the same rounds."""
    return [value - base[number] for number, value in samples.items() if number in base]


def shuffled(items: Iterable[T], number: int) -> list[T]:
    """The order of a round: another one each time, the same in every run."""
    order = list(items)
    random.Random(number).shuffle(order)
    return order


@contextlib.contextmanager
def settled() -> Generator[None, None, None]:
    """Take what lives now out of the garbage collector's sight, so that it is nobody's burden.

    The collector itself stays on: what a contender allocates, it pays for.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Samples:
    """Samples by contender and round.

    Attributes:
        taken: `{contender: {round: value}}`.
    """

    def __init__(self) -> None:
        self.taken: dict[str, dict[int, float]] = {}

    def add(self, name: str, number: int, value: float) -> None:
        """Take one in."""
        self.taken.setdefault(name, {})[number] = value

    def values(self, name: str) -> list[float]:
        """One contender's."""
        return list(self.taken.get(name, {}).values())

    def added(self, name: str) -> list[float]:
        """What each of a contender's samples is more than the round's without a session manager."""
        return less(self.taken.get(name, {}), self.taken.get("none", {}))

    def skips(self, name: str, number: int, allowance: float) -> bool:
        """Whether a contender sits this round out: one that has used up its time, in seconds, plays one of four.

        Those that all others are compared with, and those that are compared, play each.
        """
        if name in ("none", "file") or name.startswith("persql"):
            return False
        return number % 4 != 0 and sum(self.values(name)) > allowance

    def record(self, name: str, *, over: str = "file", prefix: str = "", unit: float = 1e3) -> dict[str, Any]:
        """One contender's figures, with the ratio of what it adds to what another one adds."""
        found: dict[str, Any] = {f"{prefix}total": summary(self.values(name), unit=unit)}
        if name != "none" and self.added(name):
            added = self.added(name)
            found[f"{prefix}added"] = summary(added, unit=unit)
            against = ratio(added, self.added(over)) if over in self.taken and over != name else None
            if against is not None:
                found[f"{prefix}ratio_to_{over}"] = against
        return found

    def alone(self, name: str, key: str, *, over: str = "file", unit: float = 1e3) -> dict[str, Any]:
        """One contender's figures where agents without a session manager have none."""
        found: dict[str, Any] = {key: summary(self.values(name), unit=unit)}
        against = ratio(self.values(name), self.values(over)) if over in self.taken and over != name else None
        if against is not None:
            found[f"{key}_ratio_to_{over}"] = against
        return found
