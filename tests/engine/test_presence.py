"""Who uses a session that is kept for a time: when that is noted, and by whom."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from strands_persql import PerSQL
from strands_persql.database.connector import Connector
from strands_persql.database.retention import KEPT_FOR_EVER, Keeping, Retention, SessionFacts
from strands_persql.database.tables import Tables
from strands_persql.engine.outgoing import Stored
from strands_persql.engine.presence import _Watch

from ..client.children import in_child
from ..systems import needs_fork


class Subject:
    """An agent."""


def presence_of(keeping: Keeping) -> tuple[Any, Stored]:
    """The presence of a session that was just written to, and what is known of it."""
    from strands_persql.engine.presence import Presence

    known = Stored(keeping=keeping)
    connector = Connector(PerSQL(local=":memory:").database("acme/a"), Tables())
    return Presence(connector, "s", known), known


def is_due_in(presence: Any, seconds: float) -> bool:
    """Whether it is due in about so many seconds, however slow the machine."""
    return bool(seconds - 90 < presence.due - time.monotonic() <= seconds)


def test_a_third_of_the_time_may_pass() -> None:
    """Since the last write, or the last note; for ever where there is no retention."""
    presence, known = presence_of(Keeping(Retention(timedelta(hours=3))))
    assert is_due_in(presence, 3600)
    known.written -= 1000
    assert is_due_in(presence, 2600)
    presence.note()
    assert is_due_in(presence, 3600)
    assert presence_of(KEPT_FOR_EVER)[0].due == math.inf


def test_a_fixed_one_is_noted_near_its_end() -> None:
    """From 15 minutes before it on, every 5 minutes."""

    def ending_in(left: timedelta) -> Any:
        expires = (datetime.now(timezone.utc) + left).isoformat()
        return presence_of(Keeping(Retention(timedelta(days=1), sliding=False), expires))[0]

    assert is_due_in(ending_in(timedelta(hours=2)), 7200 - 900)
    assert is_due_in(ending_in(timedelta(minutes=15)), 300)
    assert is_due_in(ending_in(timedelta(days=-1)), 300)


@pytest.mark.parametrize(
    ("last_active", "is_noted"),
    [("", True), ("soon", True), ("2025-01-01T00:00:00", True), ("2999-01-01T00:00:00+00:00", False)],
)
def test_what_tells_no_time_was_long_ago(last_active: str, is_noted: bool) -> None:
    """Then opening a session is noted; a clock that is ahead is not believed."""
    presence, _ = presence_of(KEPT_FOR_EVER)
    noted: list[str] = []
    presence.note = lambda: noted.append(last_active)
    presence.opened(SessionFacts(keeping=Keeping(Retention(timedelta(hours=3)))), last_active)
    assert bool(noted) is is_noted
    presence.opened(
        SessionFacts(keeping=Keeping(Retention(timedelta(hours=3)))), datetime.now(timezone.utc).isoformat()
    )
    assert is_due_in(presence, 3600)


async def test_a_subject_that_dies_ends_its_turn() -> None:
    """Nobody tells that it has ended; and one that begins twice is in one turn."""
    presence, _ = presence_of(Keeping(Retention(timedelta(hours=3))))
    subject = Subject()
    await presence.begins(subject)
    await presence.begins(subject)
    presence.ends(subject)
    assert not presence.is_in_turn
    await presence.begins(subject)
    assert presence.is_in_turn
    del subject
    assert not presence.is_in_turn


@needs_fork
def test_a_child_has_turns_of_its_own() -> None:
    """Its parent's are not its business, and no thread of its parent's runs in it."""
    presence, _ = presence_of(Keeping(Retention(timedelta(hours=3))))
    watch, subject = _Watch(), Subject()
    presence._users.add(subject)
    watch.turns(presence, presence.due)
    assert watch._runs

    def look() -> str:
        state = f"{presence.is_in_turn} {watch._runs} {len(watch._presences)}"
        presence._users.add(subject)
        watch.turns(presence, presence.due)
        return f"{state} {watch._runs}"

    assert in_child(look) == "False False 0 True"
