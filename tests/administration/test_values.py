"""Stored values, read without relying on their shape."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from strands_persql.administration.values import many, sequence, time_of
from strands_persql.database.encoding import mapping

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31T12:00:00", NOON),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31T12:00:00z", NOON),
        ("2026-01-31T14:00:00+02:00", NOON),
        ("2026-01-31", NOON - timedelta(hours=12)),
        ("", None),
        ("Z", None),
        ("yesterday", None),
    ],
)
def test_times(text: str, time: datetime | None) -> None:
    """A time has a zone, UTC where none is stored; what is no time is None."""
    found = time_of(text)
    assert found == time
    assert found is None or found.tzinfo is not None


@pytest.mark.parametrize("value", [None, "text", 5, [1]])
def test_what_is_no_object(value: Any) -> None:
    """It has no fields, and an object has its own."""
    assert mapping(value) == {}
    assert mapping({"a": value}) == {"a": value}


@pytest.mark.parametrize("value", [None, "text", 5, {"a": 1}])
def test_what_is_no_array(value: Any) -> None:
    """It has no items, and an array has its own."""
    assert list(sequence(value)) == []
    assert list(sequence([value])) == [value]


def test_counts_in_words() -> None:
    """One thing, several, many, and a plural of its own."""
    words = [many(1, "agent"), many(0, "agent"), many(12_345, "agent"), many(2, "Graph or Swarm", "Graphs and Swarms")]
    assert words == ["1 agent", "0 agents", "12,345 agents", "2 Graphs and Swarms"]
