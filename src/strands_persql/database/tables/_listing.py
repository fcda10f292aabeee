"""Which sessions there are, and what the newest rows of each tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..query import Query, Row
from ._statements import statement

if TYPE_CHECKING:
    from ..query import Answers
    from ._tables import Tables

ALL_TABLES = ("sessions", "agents", "messages", "multi_agents", "chunks")


class SessionRow(NamedTuple):
    """What a list shows of one session; times are "" where nothing tells."""

    session_id: str
    created_at: str
    last_active: str
    agents: int
    messages: int
    multi_agents: int
    bytes: int | None

    @classmethod
    def of(cls, row: Row) -> SessionRow:
        """From a row of the answer."""
        return cls(**{name: row[name] for name in cls._fields})


class Listing:
    """The statements that list sessions.

    Args:
        tables: The tables of sessions.
    """

    def __init__(self, tables: Tables) -> None:
        self._prefix = tables.prefix
        self._bytes = " + ".join(
            f"(SELECT coalesce(sum(length(CAST(b.{column} AS BLOB))), 0) FROM {tables.prefix}{name} AS b "
            "WHERE b.session_id = page.session_id)"
            for name, column in (*((name, "data") for name in ALL_TABLES), ("messages", "live"))
        )

    def page(
        self, *, above: str, inclusive: bool, below: str | None, limit: int, sizes: bool = False
    ) -> Query[list[SessionRow]]:
        """A page of sessions in the order of their ids.

        Args:
            above: Where the page begins.
            inclusive: Whether `above` itself may be in it.
            below: Where it ends at the latest; None for the end of the table.
            limit: The most sessions.
            sizes: Add up the bytes of their documents.
        """
        where = f"session_id {'>=' if inclusive else '>'} ?" + ("" if below is None else " AND session_id < ?")
        bounds = (above,) if below is None else (above, below)
        listed = statement(self.summaries(where, " LIMIT ?", sizes=sizes), *bounds, limit)
        return Query([listed], lambda answers: [SessionRow.of(row) for row in answers[0]])

    def summary(self, session_id: str) -> Query[SessionRow | None]:
        """One session; None where it has no row."""

        def read(answers: Answers) -> SessionRow | None:
            return next((SessionRow.of(row) for row in answers[0]), None)

        return Query([statement(self.summaries("session_id = ?"), session_id)], read)

    def size(self, session_id: str) -> Query[int]:
        """The bytes of a session's documents."""
        size = statement(f"SELECT {self._bytes} AS bytes FROM (SELECT ? AS session_id) AS page", session_id)
        return Query([size], lambda answers: answers[0][0]["bytes"])

    def summaries(self, where: str, limit: str = "", *, sizes: bool = False) -> str:
        """The SQL that gives a `SessionRow` of each session that a condition chooses."""
        p = self._prefix
        return (
            "SELECT page.session_id AS session_id, page.created_at AS created_at, "
            "max(page.updated_at, page.created_at, "
            f"coalesce(max({written_at('a.data')}), ''), coalesce(max({written_at('m.data')}), '')) AS last_active, "
            "count(a.agent_id) AS agents, coalesce(sum(m.message_id + 1), 0) AS messages, "
            f"(SELECT count(*) FROM {p}multi_agents AS u WHERE u.session_id = page.session_id) AS multi_agents, "
            f"{self._bytes if sizes else 'NULL'} AS bytes "
            f"FROM (SELECT session_id, {_field('created_at')} AS created_at, {_field('updated_at')} AS updated_at "
            f"FROM {p}sessions WHERE {where} ORDER BY session_id{limit}) AS page "
            f"LEFT JOIN {p}agents AS a ON a.session_id = page.session_id "
            f"LEFT JOIN {p}messages AS m ON m.session_id = a.session_id AND m.agent_id = a.agent_id "
            f"AND m.message_id = {newest_message(p)} "
            "GROUP BY page.session_id ORDER BY page.session_id"
        )


def newest_message(prefix: str) -> str:
    """The position of the last message of an agent `a`: one seek from the end of its key."""
    return (
        f"(SELECT max(x.message_id) FROM {prefix}messages AS x "
        "WHERE x.session_id = a.session_id AND x.agent_id = a.agent_id)"
    )


def written_at(column: str) -> str:
    """When a row was written last, as far as it says; of a document in parts it says when it was created."""
    return (
        f"CASE WHEN json_valid({column}) THEN "
        f"coalesce(json_extract({column}, '$.updated_at'), json_extract({column}, '$.created_at')) END"
    )


def _field(name: str) -> str:
    return f"coalesce(CASE WHEN json_valid(data) THEN json_extract(data, '$.{name}') END, '')"
