"""Keeps all sessions in the order of their last activity, where somebody has asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..database.query import unanswered
from ..database.tables import Recency
from ..stores import fill
from .searching import explained

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables

PAGE = 500
"""Sessions that are looked at in one request."""

_WHAT = "index of sessions"


def has_recency(store: Connector[Tables]) -> bool:
    """Whether all sessions are kept in the order of their last activity."""
    return store.ask(Recency(store.tables).find(), versioned=True)


def keep_recency(store: Connector[Tables], progress: Callable[[int], None] | None) -> int:
    """Keep them so from now on; see `PerSQLSessions.enable_recent`."""
    recency = Recency(store.tables)
    store.ask(recency.find(), versioned=True)
    with explained("create", _WHAT):
        store.carry_out(unanswered(*recency.create_triggers()))
    seen = fill(lambda after, limit: store.carry_out(recency.fill(str(after[0]), limit)), ("",), PAGE, progress)
    with explained("create", _WHAT):
        store.carry_out(recency.create())
    return seen


def drop_recency(store: Connector[Tables]) -> None:
    """Keep them so no longer; see `PerSQLSessions.disable_recent`."""
    with explained("drop", _WHAT):
        store.carry_out(Recency(store.tables).drop())
