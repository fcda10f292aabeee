"""Stored values as text for the page: readable, cut where they are long, with a sign for invisible characters. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timezone
from typing import Any, cast

from ..records import Head
from ..values import size, time_of

LIMIT = 100_000
"""How many characters of one value the page shows. A browser lays out a megabyte in one block only slowly."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# A surrogate by itself can't be written as UTF-8, and controls show as nothing at all: each gets a visible stand-in.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Shown:
    """Something that the page shows; the template tells each by its `kind`, the name of its class."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """The name of the class."""
        return type(self).__name__


@dataclass(frozen=True, slots=True)
class Clip:
    """A text, as much of it as is shown.

    Attributes:
        text: What is shown.
        missing: What is not, in words: `"1.2 MB"`; empty where all of it is shown.
    """

    text: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in its parts.

    Attributes:
        iso: ISO 8601, as HTML's `datetime` takes it; empty where the stored text is none.
        day: `"23 Nov 2026"`.
        clock: `"11:03:05"`; the stored text where it is no time.
        stamp: Seconds since 1970.
    """

    iso: str
    day: str
    clock: str
    stamp: float = 0.0

    @property
    def full(self) -> str:
        """Day and time: `"23 Nov 2026, 11:03:05 UTC"`."""
        return f"{self.day}, {self.clock} UTC" if self.iso else self.clock


def clip(text: str | Clip, limit: int = LIMIT) -> Clip:
    """The first `limit` characters of a text, and how much follows; of what is cut already itself."""
    if isinstance(text, Clip):
        return text
    shown, rest = text[:limit], text[limit:]
    return Clip(shown, size(len(rest.encode("utf-8", "replace"))) if rest else "")


def visible(value: Any) -> Any:
    """Text with a visible stand-in for each character that shows as nothing or can't be written; the rest as it is."""
    return _UNSEEN.sub(_stand_in, value) if type(value) is str else value  # `Markup`, a str too, has been through here


def json_text(value: Any, limit: int = LIMIT) -> Clip:
    """A value as indented JSON, bytes named by their size: as much of it as is shown, and how much is not."""
    head = Head(value, limit)
    text = json.dumps(head.value, indent=2, ensure_ascii=False)
    if head.is_whole:
        return clip(text, limit)
    return Clip(text[:limit], size(max(_stored(value) - _stored(head.value), 1)))


def _stored(value: Any) -> int:
    """About how many bytes a value takes as JSON."""
    try:
        return len(json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace"))
    except (ValueError, RecursionError):  # nothing that JSON holds
        return 0


def value_text(value: Any) -> str | Clip:
    """A text as it is, and anything else as JSON."""
    return value if isinstance(value, str) else json_text(value)


def one_line(value: Any, limit: int = 120) -> str:
    """A tool's input in short, for a summary: `city="Oslo", days=3`."""
    head = Head(value, 10 * limit)  # more than is shown: runs of spaces become one
    if isinstance(head.value, dict):
        items = cast("dict[str, Any]", head.value).items()
        text = ", ".join(f"{key}={json.dumps(item, ensure_ascii=False)[:limit]}" for key, item in items)
    else:
        text = json.dumps(head.value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if head.is_whole and len(text) <= limit else f"{text[:limit].rstrip()}…"


def count(number: int) -> str:
    """A number with its thousands set apart: `"12,345"`."""
    return f"{number:,}"


def duration(milliseconds: float) -> str:
    """A span of time in words: `"840 ms"`, `"2.3 s"`, `"1 min 4 s"`."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(stored: str) -> Moment | None:
    """A stored time in its parts, in UTC; None where none is stored."""
    if not stored:
        return None
    found = time_of(stored)
    try:
        parsed = found.astimezone(timezone.utc) if found else None
    except OverflowError:  # at the edge of the calendar
        parsed = None
    if parsed is None:
        return Moment("", "", stored[:40])
    # strftime would name months in the language of the machine, on a page that is in English.
    day = f"{parsed.day} {_MONTHS[parsed.month - 1]} {parsed.year:04d}"
    return Moment(parsed.isoformat(timespec="milliseconds"), day, f"{parsed:%H:%M:%S}", parsed.timestamp())


def _stand_in(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures: ␀ ␁ ␂ …
    return "\u2421" if code == 0x7F else "\ufffd"
