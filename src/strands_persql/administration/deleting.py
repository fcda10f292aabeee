"""Deletes sessions, a page of rows in each request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..client import logger_of
from ..database.faults import GUARDS, fault_of
from ..database.query import each
from ..database.tables import Deleting
from .guards import check_version
from .listing import Chosen, find_sessions
from .missing import missing
from .results import Deletion
from .searching import scrub_index

if TYPE_CHECKING:
    from ..client import Statement
    from ..database.connector import Connector
    from ..database.tables import Search, Tables

logger = logger_of(__name__)

_MESSAGES, _PARTS = 1000, 50
"""Rows deleted in one request. Parts are of up to 1 MB."""

_SESSIONS = 1000
"""Sessions looked at in one request of a pruning."""

_COUNTED = 100
"""Sessions of which the rows are counted in one request: a statement each."""


def delete(
    store: Connector[Tables], index: Search, session_id: str, *, progress: Callable[[int], None] | None
) -> Deletion:
    """See `PerSQLSessions.delete`."""
    deletion = delete_rows(store, session_id, progress=progress)
    scrub_index(store, index)
    return deletion


def delete_rows(store: Connector[Tables], session_id: str, *, progress: Callable[[int], None] | None) -> Deletion:
    """Delete all rows of a session, but for what an index keeps of its words."""
    absent = missing(store, session_id)
    if absent is not None and not store.ask(Deleting(store.tables).count(session_id)):
        raise absent  # else there are rows that somebody has left without their session
    rows, _ = _delete(store, session_id, progress=progress)
    return Deletion((session_id,), rows)


def prune(
    store: Connector[Tables],
    index: Search,
    chosen: Chosen,
    *,
    dry_run: bool,
    progress: Callable[[Deletion], None] | None,
) -> Deletion:
    """See `PerSQLSessions.prune`."""
    deleting = Deleting(store.tables)
    total = Deletion((), 0, dry_run)

    def add(session_id: str, rows: int) -> None:
        nonlocal total
        total = replace(total, session_ids=(*total.session_ids, session_id), rows=total.rows + rows)
        if progress is not None:
            progress(total)

    after: str | None = None
    while True:
        old, after = find_sessions(store, chosen, limit=_SESSIONS, after=after, texts=False)
        for start in range(0, len(old) if dry_run else 0, _COUNTED):
            some = old[start : start + _COUNTED]
            counts = store.ask(each([deleting.count(session.session_id) for session in some]))
            for session, count in zip(some, counts, strict=True):
                add(session.session_id, count)
        for session in () if dry_run else old:
            idle = deleting.require_idle(session.session_id, session.last_active)
            kept = deleting.require_kept(session.session_id, session.about.keeping) if chosen.is_expired else None
            rows, is_whole = _delete(store, session.session_id, idle=idle, kept=kept)
            if is_whole:
                add(session.session_id, rows)
            else:
                total = replace(total, rows=total.rows + rows)
        if after is None:
            break
    if total.rows and not dry_run:
        scrub_index(store, index)
    return total


def _delete(
    store: Connector[Tables],
    session_id: str,
    *,
    idle: Statement | None = None,
    kept: Statement | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[int, bool]:
    """Delete a session page by page; how many rows that were, and whether that was all of them.

    It is not where a condition does not hold: `idle` before the first page, `kept` before each; nor, with `idle`, where
    somebody wrote to the session between two pages.
    """
    deleting = Deleting(store.tables)
    guards = [each for each in (deleting.require_version(), idle, kept) if each is not None]
    rows = 0
    while True:
        try:
            page = store.carry_out(deleting.page(session_id, messages=_MESSAGES, parts=_PARTS, guards=guards))
        except Exception as error:
            if not guards or fault_of(error) not in GUARDS:
                raise
            check_version(store)
            if idle is None:
                raise
            if rows:
                logger.warning(
                    "session_id=<%s>, rows=<%d> | the session became active while it was pruned: it stays, without "
                    "the newest of its old messages, and its history begins after the others",
                    session_id,
                    rows,
                )
            return rows, False
        rows += page.rows
        if progress is not None:
            progress(rows)
        if page.is_gone or not page.rows:
            return rows, True
        state = None if idle is None else deleting.require_state(session_id, page.state)
        guards = [each for each in (state, kept) if each is not None]
