"""Arguments that a type checker can't check, before anything of them reaches the database. Pure: no I/O, no agent."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import EllipsisType

from ..database.encoding import LARGEST_NUMBER
from ..engine.options import checked_session_id
from ..errors import named
from .values import time_of


def text(name: str, value: str) -> str:
    """A text that is valid Unicode, as the database's are."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} must be valid Unicode: it holds a lone surrogate") from error
    return value


MOST_WORDS = 20
"""Of one search."""


def words(name: str, value: str) -> str:
    """A text that holds words to search for, no more than a person types: each is looked for in each message."""
    if not any(character.isalnum() for character in text(name, value)):
        raise ValueError(f"{name} must hold a word to search for; got none")
    if (found := len(value.split())) > MOST_WORDS:
        raise ValueError(f"{name} may hold {MOST_WORDS} words, got {found}: leave out those that many messages have")
    return value


def count(name: str, value: int, *, most: int | None = 1000) -> int:
    """A number of things to read."""
    if value < 1 or (most is not None and value > most):
        raise ValueError(f"{name} must be {'1 or more' if most is None else f'1 to {most}'}, got {value}")
    return value


def order(value: str, *, of_copies: bool) -> str:
    """An order of sessions; copies of one stand in that of their ids."""
    if value not in ("id", "recent"):
        raise ValueError(f"order must be 'id' or 'recent', got {named(value)}")
    if of_copies and value == "recent":
        raise ValueError("copy_of lists sessions in the order of their ids: leave order as it is")
    return value


def position(name: str, value: int) -> int:
    """The position of a message in a transcript."""
    if not 0 <= value < LARGEST_NUMBER:
        raise ValueError(f"{name} must be the position of a message, 0 or more, got {value}")
    return value


def cut(to: int | EllipsisType | None, before: int | None) -> tuple[int | None, bool]:
    """Where a history is to end: the position of a message, and whether that is kept."""
    if isinstance(to, EllipsisType) is (before is None):
        raise ValueError("say where the history is to end: either with to=, or with before=")
    if isinstance(to, EllipsisType):
        return position("before", before or 0), False
    return None if to is None else position("to", to), True


def time(name: str, value: datetime | str) -> datetime:
    """A time with a zone: a `datetime` without one is local time, as everywhere in Python; a string without one UTC."""
    found = time_of(value) if isinstance(value, str) else value
    if found is None:
        raise ValueError(
            f"{name} must be a time such as '2025-01-31' or '2025-01-31T12:00:00+00:00', got {named(value)}"
        )
    return found if found.tzinfo is not None else found.astimezone()


def before(name: str, value: datetime | timedelta | str, now: datetime) -> datetime:
    """A time, or how long before now."""
    if not isinstance(value, timedelta):
        return time(name, value)
    try:
        return now - value
    except OverflowError as error:
        raise ValueError(f"{name} is longer ago than times are known") from error


def two_ids(session_id: str, new_id: str) -> tuple[str, str]:
    """The ids of a session and of what is to be made of it."""
    old, new = checked_session_id(session_id), checked_session_id(new_id)
    if old == new:
        raise ValueError(f"new_id must be another id than the session's own, {named(old)}")
    return old, new
