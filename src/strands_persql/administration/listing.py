"""Lists sessions, and shows all of one but its messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..database.query import each, together
from ..database.tables import Listing, Reading, SessionRow
from .agents import Agent
from .missing import no_session
from .results import MultiAgentSummary, SessionDetail, SessionPage, SessionSummary
from .values import sequence, time_of

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables

LOOKED_AT = 1000
"""The most sessions that a page with `since` or `until` looks at."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which sessions to list; see `PerSQLSessions.list`."""

    prefix: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def by_time(self) -> bool:
        """Whether the sessions' times matter."""
        return self.since is not None or self.until is not None

    def holds(self, last_active: str) -> bool:
        """Whether a session that was last active then is chosen."""
        if not self.by_time:
            return True
        time = time_of(last_active)
        return (
            time is not None
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
        )


def list_sessions(
    store: Connector[Tables], chosen: Chosen, *, limit: int, after: str | None, sizes: bool
) -> SessionPage:
    """A page of sessions; see `PerSQLSessions.list`."""
    looked_at = max(limit, LOOKED_AT) if chosen.by_time else limit
    prefix = chosen.prefix
    above, inclusive = (after, False) if after is not None and after >= prefix else (prefix, True)
    rows = store.ask(
        Listing(store.tables).page(
            above=above,
            inclusive=inclusive,
            below=_successor(prefix),
            limit=looked_at + 1,  # one more tells whether another page follows
            sizes=sizes,
        ),
        versioned=True,
    )
    found: list[SessionSummary] = []
    for row in rows[:looked_at]:
        if chosen.holds(row.last_active):
            if len(found) == limit:
                return SessionPage(tuple(found), found[-1].session_id)
            found.append(summary_of(row))
    more = len(rows) > looked_at
    return SessionPage(tuple(found), rows[looked_at - 1].session_id if more else None)


def summary_of(row: SessionRow) -> SessionSummary:
    """What a list shows of a session."""
    return SessionSummary(**row._asdict())


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
    return SessionDetail(
        session_id=session_id,
        created_at=summary.created_at,
        last_active=summary.last_active,
        agents=tuple(Agent.of(row).summary for row in agents),
        multi_agents=tuple(_multi_agent(owner, multi_agents[owner].state) for owner in sorted(multi_agents)),
        bytes=size[0] if sizes else None,
    )


def _multi_agent(multi_agent_id: str, state: dict[str, Any]) -> MultiAgentSummary:
    nodes = sequence(state.get("execution_order") or state.get("node_history") or state.get("completed_nodes"))
    return MultiAgentSummary(multi_agent_id, str(state.get("status", "")), tuple(str(node) for node in nodes), state)
