"""Stored values for people and for readers that can't rely on their shape: objects, lists, times, counts in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, cast


def sequence(value: Any) -> Sequence[Any]:
    """The value where it is a JSON array; an empty one for anything else."""
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()


def time_of(text: str) -> datetime | None:
    """A stored time; None where the text is none. One without a zone is taken as UTC."""
    try:
        # Python 3.10 reads no "Z".
        found = datetime.fromisoformat(f"{text[:-1]}+00:00" if text[-1:] in ("Z", "z") else text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)


def many(count: int, one: str, more: str = "") -> str:
    """A number of things in words: `"1 agent"`, `"12,345 agents"`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def size(number: int) -> str:
    """A number of bytes in words: `"34.5 kB"`."""
    if number < 1000:
        return "1 byte" if number == 1 else f"{number} bytes"
    amount, units = number / 1000, ["kB", "MB", "GB"]
    while amount >= 999.95 and len(units) > 1:
        amount /= 1000
        del units[0]
    return f"{amount:.1f} {units[0]}"
