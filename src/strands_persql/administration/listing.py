"""Lists sessions, and shows all of one but its messages."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..database.query import each, together
from ..database.tables import AMONG, Ids, Listing, Place, Reading, SessionRow, Which
from .agents import Agent, in_order, multi_agent_of
from .missing import no_session
from .recency import has_recency
from .results import Expiry, SessionDetail, SessionPage, SessionSummary
from .titles import TITLE, beginning, cut, preview
from .values import time_of

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables

LOOKED_AT = AMONG
"""The most sessions that a page with `tag`, `since` or `until` looks at."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which sessions to list; see `PerSQLSessions.list`."""

    prefix: str = ""
    since: datetime | None = None
    until: datetime | None = None
    user: str | None = None
    tag: str | None = None
    is_expired: bool = False
    """Whether `until` is the time by which their retention has ended, and not that of their last activity."""
    origin: str | None = None

    @property
    def ids(self) -> Ids:
        """The range of their ids."""
        return Ids(self.prefix, _successor(self.prefix))

    def looked_at(self, limit: int, *, by_id: bool = True) -> int:
        """The most sessions that a page of so many looks at: more where it takes a look to tell which are chosen.

        Args:
            limit: The most sessions of the page.
            by_id: Whether only sessions are looked at whose ids are in the range.
        """
        by_row = self.since is not None or self.until is not None or self.tag is not None
        return max(limit, LOOKED_AT) if by_row or (self.prefix and not by_id) else limit

    def holds(self, row: SessionRow) -> bool:
        """Whether a session of this user is chosen."""
        if not row.session_id.startswith(self.prefix) or (self.tag is not None and self.tag not in row.about.tags):
            return False
        if self.since is None and self.until is None:
            return True
        time = expiry_of(row) if self.is_expired else time_of(row.last_active)
        return (
            time is not None
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
        )


def list_sessions(
    store: Connector[Tables],
    chosen: Chosen,
    *,
    limit: int,
    after: str | None,
    sizes: bool = False,
) -> SessionPage:
    """A page of sessions in the order of their ids; see `PerSQLSessions.list`. Its cursors are ids."""
    found, last = find_sessions(store, chosen, limit=limit, after=after, sizes=sizes)
    return SessionPage(tuple(map(summary_of, found)), last)


def find_sessions(
    store: Connector[Tables],
    chosen: Chosen,
    *,
    limit: int,
    after: str | None,
    sizes: bool = False,
    texts: bool = True,
) -> tuple[list[SessionRow], str | None]:
    """The rows of such a page, and the cursor behind it."""
    looked_at, ids = chosen.looked_at(limit), chosen.ids
    if after is not None and after >= chosen.prefix:
        ids = ids._replace(first=after, is_after=True)
    rows = store.ask(
        Listing(store.tables).page(
            ids,
            limit=looked_at + 1,  # one more tells whether another page follows
            which=Which(chosen.user, chosen.origin),
            sizes=sizes,
            texts=texts,
        ),
        versioned=True,
    )
    found, last = _chosen(rows, chosen, limit, looked_at)
    return found, None if last is None else last.session_id


def list_recent(
    store: Connector[Tables], chosen: Chosen, *, limit: int, after: str | None, sizes: bool = False
) -> SessionPage:
    """A page of sessions, the newest first; see `PerSQLSessions.list`."""
    cursors = Cursors(chosen.user)
    end = End() if after is None else cursors.read(after)
    listing = Listing(store.tables)
    if chosen.user is None and not has_recency(store):
        return _newest_among(store, chosen, cursors, end, limit=limit, sizes=sizes)
    if chosen.user is None:
        looked_at = chosen.looked_at(limit, by_id=False)
        query = listing.newest(after=end.place, limit=looked_at + 1, sizes=sizes)
    else:
        looked_at = chosen.looked_at(limit)
        query = listing.recent(chosen.ids, user=chosen.user, after=end.place, limit=looked_at + 1, sizes=sizes)
    rows = store.ask(query, versioned=True)
    found, last = _chosen(rows, chosen, limit, looked_at)
    next_ = None if last is None else cursors.written(End(Place(last.about.active, last.session_id)))
    return SessionPage(_newest_first(found), next_)


def _newest_among(
    store: Connector[Tables], chosen: Chosen, cursors: Cursors, end: End, *, limit: int, sizes: bool
) -> SessionPage:
    """A page of all users' sessions where nothing keeps them in order: so many at a time are put in order."""
    ids, looked_at = chosen.ids, chosen.looked_at(limit)
    if end.first > ids.first:
        ids = ids._replace(first=end.first)
    query = Listing(store.tables).newest_among(ids, after=end.place, limit=looked_at + 1, sizes=sizes)
    rows, behind = store.ask(query, versioned=True)
    found, last = _chosen(rows, chosen, limit, looked_at)
    next_ = None
    if last is not None:
        next_ = cursors.written(End(Place(last.last_active, last.session_id), ids.first))
    elif behind is not None:
        next_ = cursors.written(End(None, behind))
    return SessionPage(_newest_first(found), next_, in_order=behind is None and ids == chosen.ids)


def _newest_first(rows: Sequence[SessionRow]) -> tuple[SessionSummary, ...]:
    return tuple(map(summary_of, sorted(rows, key=lambda row: (row.last_active, row.session_id), reverse=True)))


def _chosen(
    rows: Sequence[SessionRow], chosen: Chosen, limit: int, looked_at: int
) -> tuple[list[SessionRow], SessionRow | None]:
    """The sessions of a page, and the last that was looked at, if others follow."""
    found: list[SessionRow] = []
    for row in rows[:looked_at]:
        if chosen.holds(row):
            if len(found) == limit:
                return found, found[-1]
            found.append(row)
    return found, rows[looked_at - 1] if len(rows) > looked_at else None


class End(NamedTuple):
    """Where a page of the newest sessions ends.

    Attributes:
        place: The place of its last session; None for the end of those that were put in order together.
        first: The first id of those that are put in order together; empty where an index has all in order.
    """

    place: Place | None = None
    first: str = ""


class Cursors:
    """Where a page of the newest sessions ends, as a text for `after`.

    It is no secret, and opens nothing: which user's sessions are listed is not read from it.

    Args:
        user: Whose sessions are listed; None for all.
    """

    def __init__(self, user: str | None) -> None:
        self._list = hashlib.sha256(json.dumps(user).encode()).hexdigest()[:16]

    def written(self, end: End) -> str:
        """The cursor for what follows."""
        text = json.dumps([self._list, *(end.place or ("", "")), end.first], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def read(self, cursor: str) -> End:
        """What it was written for.

        Raises:
            ValueError: It is no cursor of this list.
        """
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            of_list, time, session_id, first = json.loads(raw)
            if of_list == self._list and all(isinstance(each, str) for each in (time, session_id, first)):
                (time + session_id + first).encode()
                return End(Place(time, session_id) if time or session_id else None, first)
        except (ValueError, TypeError, RecursionError):
            pass
        raise ValueError("after must be None, or what an earlier page of the same user's newest sessions answered")


def summary_of(row: SessionRow) -> SessionSummary:
    """What a list shows of a session."""
    return SessionSummary(
        session_id=row.session_id,
        created_at=row.created_at,
        last_active=row.last_active,
        agents=row.agents,
        messages=row.messages,
        multi_agents=row.multi_agents,
        bytes=row.bytes,
        title=_title(row),
        preview=preview(beginning(row.newest)),
        user=row.about.user,
        tags=row.about.tags,
        metadata=row.about.metadata,
        expiry=_expiry(row),
        copy_of=row.about.origin,
        taken_back=row.taken_back,
    )


def expiry_of(row: SessionRow) -> datetime | None:
    """When a session's retention ends, as its rows tell by now; None for never."""
    last_active = time_of(row.last_active)
    return None if last_active is None else row.about.keeping.ends(last_active)


def _expiry(row: SessionRow) -> Expiry | None:
    retention, at = row.about.keeping.retention, expiry_of(row)
    return None if retention is None or at is None else Expiry(at.isoformat(), retention.seconds, retention.sliding)


def _title(row: SessionRow) -> str:
    return row.about.title or cut(beginning(row.opening), TITLE)


def _successor(prefix: str) -> str | None:
    """The first text after all that begin with a prefix, in the order of code points, which is SQLite's of UTF-8."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1]) + 1
        if code == 0xD800:  # surrogates are no characters
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[: end - 1] + chr(code)
    return None


def read_detail(store: Connector[Tables], session_id: str, *, sizes: bool) -> SessionDetail:
    """All of a session but its messages; see `PerSQLSessions.get`."""
    listing = Listing(store.tables)
    summary, agents, multi_agents, size = store.ask(
        together(
            listing.summary(session_id),
            Reading(store.tables).agents(session_id),
            store.tables.multi_agents.read(session_id),
            each([listing.size(session_id)] if sizes else []),
        ),
        versioned=True,
    )
    if summary is None:
        raise no_session(session_id)
    groups = tuple(multi_agent_of(owner, multi_agents[owner].state) for owner in sorted(multi_agents))
    by_id = {row.agent_id: row for row in agents}
    return SessionDetail(
        session_id=session_id,
        created_at=summary.created_at,
        last_active=summary.last_active,
        agents=tuple(Agent.of(by_id[agent_id]).summary for agent_id in in_order(by_id, groups)),
        multi_agents=groups,
        bytes=size[0] if sizes else None,
        title=_title(summary),
        user=summary.about.user,
        tags=summary.about.tags,
        metadata=summary.about.metadata,
        expiry=_expiry(summary),
        copy_of=summary.about.origin,
    )
