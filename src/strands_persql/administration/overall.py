"""What all sessions together have used lately, by the day and by user: of the newest ones, at a bounded cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from ..database.encoding import LARGEST_NUMBER, mapping
from ..database.tables import DayOfUsage, MessageKey, sealed_page, usage_by_day
from ..errors import SessionDataError

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.decoding import StoredMessage
    from ..database.tables import Tables
    from .results import SessionSummary
    from .sessions import PerSQLSessions

SESSIONS, MESSAGES = 200, 100
"""The most sessions that are looked at, the newest; and of each of their agents the most messages, the newest."""


_AT_ONCE = 1000
"""Messages of encrypted sessions that are read in one request."""


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
        locked: How many of them are encrypted, and not counted: the key is another, or was not given.
        unread: How many messages could not be read.
    """

    days: Mapping[date, Tokens]
    users: Mapping[str | None, Tokens]
    sessions: int
    is_more: bool
    locked: int = 0
    unread: int = 0


def read_overall(sessions: PerSQLSessions, store: Connector[Tables], user: str | None) -> OverallUsage:
    """Of one user's newest sessions, or all users'.

    Three requests at most, and of encrypted sessions one more for each 1,000 messages, or 4 MB of them.
    """
    page = sessions.list(user=user, order="recent", limit=SESSIONS)
    of_sessions = {each.session_id: each for each in page.sessions}
    lately = store.ask(usage_by_day(store.tables, list(of_sessions), MESSAGES))
    sealed = _Sealed()
    for group in _grouped([of_sessions[session_id] for session_id in lately.sealed]):
        sealed.read(store, group)
    days: dict[date, Tokens] = defaultdict(Tokens)
    of_users: dict[str | None, Tokens] = defaultdict(Tokens)
    for found in [*lately.days, *sealed.days]:
        try:
            day = date.fromisoformat(found.day)
        except ValueError:  # a time that was written by hand
            continue
        days[day].add(found)
        of_users[of_sessions[found.session_id].user].add(found)
    by_tokens = sorted(of_users.items(), key=lambda each: -(each[1].input_tokens + each[1].output_tokens))
    return OverallUsage(
        days=dict(sorted(days.items())),
        users=dict(by_tokens),
        sessions=len(of_sessions),
        is_more=page.after is not None,
        locked=lately.locked,
        unread=sealed.unread,
    )


def _grouped(sessions: Sequence[SessionSummary]) -> Iterator[list[str]]:
    """The ids of sessions whose messages are read together."""
    group: list[str] = []
    total = 0
    for session in sorted(sessions, key=lambda each: each.session_id):
        messages = min(session.messages, session.agents * MESSAGES)
        if group and total + messages > _AT_ONCE:
            yield group
            group, total = [], 0
        group.append(session.session_id)
        total += messages
    if group:
        yield group


class _Sealed:
    """What the messages of encrypted sessions took: each is opened here.

    Attributes:
        days: It, message by message.
        unread: How many messages can't be read.
    """

    def __init__(self) -> None:
        self.days: list[DayOfUsage] = []
        self.unread = 0

    def read(self, store: Connector[Tables], session_ids: Sequence[str]) -> None:
        """Read the newest messages of some sessions."""
        end: MessageKey | None = MessageKey("", "", -1)
        while end is not None:
            page = store.ask(sealed_page(store.tables, session_ids, MESSAGES, end))
            self.unread += page.unread
            for session_id, message in page.messages:
                self._add(session_id, message)
            end = page.end

    def _add(self, session_id: str, stored: StoredMessage) -> None:
        try:
            record = stored.record()
        except SessionDataError:
            self.unread += 1
            return
        usage = mapping(mapping(record.get("message")).get("metadata")).get("usage")
        if isinstance(usage, dict):
            into, out = (_number(mapping(usage).get(name)) for name in ("inputTokens", "outputTokens"))
            self.days.append(DayOfUsage(session_id, str(record.get("created_at"))[:10], 1, into, out))


def _number(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and abs(value) < LARGEST_NUMBER else 0  # nor NaN
