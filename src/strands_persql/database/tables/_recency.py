"""The index of all sessions by their last activity, which lists the newest of all users.

It is opt-in, since it makes sessions cost more that are nobody's: their `active` is kept by triggers on the tables, to
within 5 minutes, whoever writes. Without it `active` is kept for sessions with a user alone, by their writers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..query import Query, unanswered
from ._fts import create_triggers
from ._listing import Listing
from ._statements import statement
from ._texts import PageEnd

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers
    from ._tables import Tables

_NOW = "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"
_DUE = "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '-5 minutes')"
"""What was noted before is noted anew, as `strands_persql.engine.activity` does."""


class Recency:
    """The statements over the index of the tables of one prefix.

    Args:
        tables: The tables of sessions.
    """

    def __init__(self, tables: Tables) -> None:
        self._prefix = tables.prefix
        self._name = f"{tables.prefix}newest"
        self._listing = Listing(tables)

    def find(self) -> Query[bool]:
        """Whether there is the index; where there is, every session is in it."""
        found = statement("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?", self._name)
        return Query([found], lambda answers: bool(answers[0]))

    def create_triggers(self) -> list[Statement]:
        """Create the triggers that keep `active` of all sessions; harmless where they exist."""
        p = self._prefix
        note = f"UPDATE {p}sessions SET active = {_NOW} WHERE session_id = new.session_id;"
        is_due = f"WHEN (SELECT active FROM {p}sessions WHERE session_id = new.session_id) < {_DUE}"
        triggers = {
            "begun": (f"INSERT ON {p}sessions WHEN new.active IS NULL", note),
            "left": (f"UPDATE OF active ON {p}sessions WHEN new.active IS NULL", note),
            "said": (f"INSERT ON {p}messages {is_due}", note),
            "started": (f"INSERT ON {p}multi_agents {is_due}", note),
            "ran": (f"UPDATE OF data ON {p}multi_agents {is_due}", note),
        }
        return create_triggers(self._name, triggers)

    def fill(self, after: str, limit: int) -> Query[PageEnd | None]:
        """Note when the next sessions that are nobody's were last active; None where there are no more sessions."""
        p = self._prefix
        page = f"SELECT session_id FROM {p}sessions WHERE session_id > ? ORDER BY session_id LIMIT ?"
        rows = self._listing.summaries(f"user IS NULL AND session_id IN ({page})")
        noted = statement(
            f"UPDATE {p}sessions SET active = f.last_active FROM ({rows}) AS f "
            f"WHERE f.session_id = {p}sessions.session_id",
            after,
            limit,
        )
        end = statement(f"SELECT max(session_id) AS last, count(*) AS count FROM ({page})", after, limit)

        def read(answers: Answers) -> PageEnd | None:
            (row,) = answers[-1]
            return PageEnd((row["last"],), row["count"]) if row["count"] else None

        return Query([noted, end], read)

    def create(self) -> Query[None]:
        """Create the index, once all sessions have an `active`."""
        return unanswered(
            statement(
                f"CREATE INDEX IF NOT EXISTS {self._name} ON {self._prefix}sessions (active) WHERE active IS NOT NULL"
            )
        )

    def drop(self) -> Query[None]:
        """Drop the index and its triggers; sessions that are nobody's have no `active` then."""
        ends = ("begun", "left", "said", "started", "ran")
        return unanswered(
            statement(f"DROP INDEX IF EXISTS {self._name}"),
            *(statement(f"DROP TRIGGER IF EXISTS {self._name}_{end}") for end in ends),
            statement(f"UPDATE {self._prefix}sessions SET active = NULL WHERE user IS NULL AND active IS NOT NULL"),
        )
