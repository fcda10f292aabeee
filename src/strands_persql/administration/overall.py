"""What all sessions together have used lately, by the day and by user: of the newest ones, at a bounded cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from ..database.tables import usage_by_day

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import DayOfUsage, Tables
    from .sessions import PerSQLSessions

SESSIONS, MESSAGES = 200, 100
"""The most sessions that are looked at, the newest; and of each of their agents the most messages, the newest."""


@dataclass(slots=True)
class Tokens:
    """What a number of a model's answers took."""

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    sessions: set[str] = field(default_factory=lambda: set())

    def add(self, found: DayOfUsage) -> None:
        """Add those of a session and a day."""
        self.answers += found.answers
        self.input_tokens += int(found.input_tokens)
        self.output_tokens += int(found.output_tokens)
        self.sessions.add(found.session_id)


@dataclass(frozen=True, slots=True)
class OverallUsage:
    """What the newest sessions have used.

    Attributes:
        days: By the day of their messages, in order.
        users: By the user, most tokens first; None stands for nobody.
        sessions: How many sessions were looked at.
        is_more: Whether there are others.
    """

    days: Mapping[date, Tokens]
    users: Mapping[str | None, Tokens]
    sessions: int
    is_more: bool


def read_overall(sessions: PerSQLSessions, store: Connector[Tables], user: str | None) -> OverallUsage:
    """Of one user's newest sessions, or all users'; three requests at most."""
    page = sessions.list(user=user, order="recent", limit=SESSIONS)
    users = {each.session_id: each.user for each in page.sessions}
    days: dict[date, Tokens] = defaultdict(Tokens)
    of_users: dict[str | None, Tokens] = defaultdict(Tokens)
    for found in store.ask(usage_by_day(store.tables, list(users), MESSAGES)):
        try:
            day = date.fromisoformat(found.day)
        except ValueError:  # a time that was written by hand
            continue
        days[day].add(found)
        of_users[users[found.session_id]].add(found)
    by_tokens = sorted(of_users.items(), key=lambda each: -(each[1].input_tokens + each[1].output_tokens))
    return OverallUsage(dict(sorted(days.items())), dict(by_tokens), len(users), page.after is not None)
