"""How long a session is kept: what may be asked for, and when it ends."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from strands_persql.database.about import About
from strands_persql.database.retention import IN_USE, LONGEST, Keeping, Retention, SessionFacts

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)


@pytest.mark.parametrize("period", [timedelta(0), -DAY, LONGEST + timedelta(seconds=1), timedelta.max])
def test_a_retention_has_bounds(period: timedelta) -> None:
    """More than nothing, and no longer than times are known."""
    with pytest.raises(ValueError, match="at most 365000 days"):
        Retention(period)


@pytest.mark.parametrize("period", [30, 30.0, "30d", True, None, NOON])
def test_a_retention_is_a_timedelta(period: Any) -> None:
    """Nothing else, whose unit nobody knows."""
    with pytest.raises(TypeError, match="timedelta"):
        Retention(period)
    if period is not None:
        with pytest.raises(TypeError, match="timedelta"):
            About.of(retention=period)


def test_sliding_is_a_bool() -> None:
    """A word for it would be true whatever it says."""
    with pytest.raises(TypeError, match="sliding"):
        Retention(DAY, sliding="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_part_of_a_second_counts_as_one() -> None:
    """No session is kept for less than was asked for."""
    assert Retention(timedelta(microseconds=1)).seconds == 1
    assert Retention(timedelta(seconds=1, microseconds=1)).seconds == 2
    assert Retention(DAY).seconds == 86_400


def test_a_sliding_one_ends_after_the_last_activity() -> None:
    """As long after it as it is long; without a retention never."""
    assert Keeping(Retention(DAY)).ends(NOON) == NOON + DAY
    assert Keeping().ends(NOON) is None
    assert Keeping(Retention(LONGEST)).ends(datetime(9999, 1, 1, tzinfo=timezone.utc)) is None


def test_a_fixed_one_ends_when_it_was_set_to() -> None:
    """But not while the session is in use: 15 minutes after its last activity, or its own time where that is less."""
    fixed = Keeping(Retention(DAY, sliding=False)).begun(NOON.isoformat())
    end = NOON + DAY
    assert fixed.begun((NOON + DAY).isoformat()) == fixed
    assert fixed.ends(NOON) == fixed.ends(end - IN_USE) == end
    assert fixed.ends(end - timedelta(minutes=1)) == end - timedelta(minutes=1) + IN_USE
    short = Keeping(Retention(timedelta(seconds=9), sliding=False)).begun(NOON.isoformat())
    assert short.ends(end) == end + timedelta(seconds=9)


@pytest.mark.parametrize(
    ("seconds", "expires"),
    [
        *((seconds, None) for seconds in (0, -1, "x", True, 1e300, float("nan"), float("inf"))),
        *((9, expires) for expires in ("soon", "2026-01-01")),
        (None, "2026-01-01T00:00:00+00:00"),
    ],
)
def test_what_cannot_be_read_is_kept(seconds: Any, expires: Any) -> None:
    """A row that was changed by hand is no reason to delete its session."""
    assert Keeping.of_columns(seconds, expires) == Keeping()


def test_columns_come_back() -> None:
    """What is stored is read again, also where numbers are doubles."""
    for retention in (Retention(DAY), Retention(DAY, sliding=False)):
        about = About.of(retention=retention)
        seconds, expires = about.columns(NOON.isoformat())[-3:-1]
        found = Keeping.of_columns(float(seconds or 0), expires)
        assert found == about.keeping.begun(NOON.isoformat())
        assert About.of_document(About(keeping=found).document).keeping == found


@pytest.mark.parametrize("text", [None, 7, "{}", "[]", "[1,2,3]"])
def test_a_session_of_which_nothing_was_read(text: Any) -> None:
    """It is nobody's, and kept."""
    assert SessionFacts.of_column(text) == SessionFacts()
