"""How long a session is kept, and from when on it may be deleted. Pure: no I/O, no agent."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

LONGEST = timedelta(days=365_000)
"""A thousand years: a time that far from now is still one in Python, and in SQLite."""

IN_USE = timedelta(minutes=15)
"""How long after its last activity a session counts as in use whose retention is fixed."""


@dataclass(frozen=True)
class Retention:
    """How long a session is kept before `PerSQLSessions.prune(expired=True)` may delete it.

    Attributes:
        period: From 1 second to 365,000 days; of a fraction of a second it is a whole one.
        sliding: Counted from the session's last activity. Else it is fixed: counted from when it was set, as the
            session began or by `PerSQLSessions.update`, whatever happens to the session later. A session that is in use
            at that time (active within the last 15 minutes, or within `period`, where that is shorter) is kept for as
            long as it is.

    Raises:
        TypeError: `period` is no `timedelta`, or `sliding` no bool.
        ValueError: `period` is out of range.
    """

    period: timedelta
    sliding: bool = True

    def __post_init__(self) -> None:
        period, sliding = cast("object", self.period), cast("object", self.sliding)
        if not isinstance(period, timedelta):
            raise TypeError(f"retention must be a timedelta such as timedelta(days=30), got {type(period).__name__}")
        if not isinstance(sliding, bool):
            raise TypeError(f"sliding must be True or False, got {type(sliding).__name__}")
        if not timedelta(0) < period <= LONGEST:
            raise ValueError(
                f"retention must be more than nothing, and at most {LONGEST.days} days; for a session that is kept for "
                "ever leave it out, or set None"
            )

    @classmethod
    def of(cls, given: object) -> Retention | None:
        """From what somebody has given: a retention, a `timedelta` (which slides), or None.

        Raises:
            TypeError: It is something else.
            ValueError: It is out of range.
        """
        return given if given is None or isinstance(given, Retention) else cls(cast("timedelta", given))

    @property
    def seconds(self) -> int:
        """The period, in whole seconds."""
        return -(-self.period // timedelta(seconds=1))

    @property
    def quiet(self) -> timedelta:
        """How long after its last activity a session is kept, whatever the time."""
        return self.period if self.sliding else min(self.period, IN_USE)

    def fixed_at(self, time: str) -> str | None:
        """The time, ISO 8601, at which a retention ends that is set at another; None where it slides."""
        return None if self.sliding else (datetime.fromisoformat(time) + timedelta(seconds=self.seconds)).isoformat()


class Keeping(NamedTuple):
    """What decides for how long a session is kept.

    Attributes:
        retention: How long; None for ever.
        expires: Where it is fixed, at what time it ends: ISO 8601; else empty.
    """

    retention: Retention | None = None
    expires: str = ""

    @classmethod
    def of_columns(cls, seconds: object, expires: object) -> Keeping:
        """From the columns of a session's row: what can't be read in them keeps it for ever."""
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
            with suppress(ValueError, OverflowError):
                retention = Retention(timedelta(seconds=seconds), sliding=expires is None)
                if expires is None or (isinstance(expires, str) and _time_of(expires) is not None):
                    return cls(retention, expires or "")
        return cls()

    def begun(self, time: str) -> Keeping:
        """The same, begun at a time, ISO 8601, unless it was before."""
        if self.expires or self.retention is None:
            return self
        return self._replace(expires=self.retention.fixed_at(time) or "")

    def ends(self, last_active: datetime) -> datetime | None:
        """When a session may be deleted that was last active at a time; None for never."""
        if self.retention is None:
            return None
        try:
            idle = last_active + self.retention.quiet
        except OverflowError:  # its own time is far in the future
            return None
        fixed = _time_of(self.expires)
        return idle if fixed is None else max(idle, fixed)


KEPT_FOR_EVER = Keeping()


def _time_of(text: str) -> datetime | None:
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo is not None else None
    return None


class SessionFacts(NamedTuple):
    """What a restore learns of a session besides its agents.

    Attributes:
        has_user: Whether it is somebody's.
        keeping: How long it is kept.
        noted: When it, or the Graph or Swarm that was read, was noted as active last: ISO 8601; empty where nothing
            tells. Its messages and agents tell more.
    """

    has_user: bool = False
    keeping: Keeping = KEPT_FOR_EVER
    noted: str = ""

    @classmethod
    def of_column(cls, text: object) -> SessionFacts:
        """From the JSON that `session_facts` answers; of something else, nothing."""
        found: Any = json.loads(text) if isinstance(text, str) else []
        if not isinstance(found, list) or len(cast("list[Any]", found)) != 4:
            return cls()
        kinds, seconds, expires, noted = cast("list[Any]", found)
        has_user = isinstance(kinds, int) and bool(kinds & 1)  # 2: it is encrypted
        return cls(has_user, Keeping.of_columns(seconds, expires), noted if isinstance(noted, str) else "")


NO_FACTS = SessionFacts()
