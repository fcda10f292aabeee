"""What the doctor asks of the session tables, and how it mends them.

A page reads its own rows alone, whatever stands before it (keyset), and answers what tells whether a row is sound, not
the row: SQLite looks into the documents where they are. What it finds wanting is read whole and judged by the code that
restores.

Each question about several tables at once is asked again in one statement before it is reported, since a live writer
may have written between two pages; and the statement that mends carries the same condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..encoding import PARTS_MARKER
from ._layout import first_revision, revision_step
from ._parts import ChunkKind
from ._search import text_of
from ._statements import Value, statement
from ._tables import Tables

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["CheckedTable", "DoctorTables"]

CheckedTable = Literal["sessions", "agents", "multi_agents", "messages", "chunks"]

LONGEST_WINDOW = 4_000
"""Characters of a live window that go with a page of agents; a longer one is read by itself."""

_KEYS: dict[CheckedTable, tuple[str, ...]] = {
    "sessions": ("session_id",),
    "agents": ("session_id", "agent_id"),
    "multi_agents": ("session_id", "multi_agent_id"),
    "messages": ("session_id", "agent_id", "message_id"),
    "chunks": ("session_id", "kind", "owner", "message_id", "generation"),
}

_MARKER = f"CASE WHEN substr(data, 1, {len(PARTS_MARKER)}) = '{PARTS_MARKER}' THEN data END AS marker"


def _sound(*types: tuple[str, str]) -> str:
    """1 for a JSON document that has these types at these paths."""
    checks = " AND ".join(f"coalesce(json_type(data, '{path}'), 'null') = '{kind}'" for path, kind in types)
    return f"CASE WHEN json_valid(data) THEN {checks} ELSE 0 END AS sound"


_BLOCKS = "json_each(data, '$.message.content') AS b"


def _tool_ids(block: str) -> str:
    """The ids of a message's tool uses, or of its results, as a JSON array; NULL where it can't have any."""
    return (
        "CASE WHEN json_valid(data) AND instr(data, '\"tool') > 0 THEN "
        f"(SELECT json_group_array(json_extract(b.value, '$.{block}.toolUseId')) FROM {_BLOCKS} "
        f"WHERE CASE WHEN b.type = 'object' THEN json_type(b.value, '$.{block}') IS NOT NULL END) END"
    )


_COLUMNS: dict[CheckedTable, str] = {
    "sessions": f"session_id, {_sound(('$.session_id', 'text'), ('$.session_type', 'text'))}",
    "agents": (
        "session_id, agent_id, revision, "
        f"CASE WHEN length(live_window) <= {LONGEST_WINDOW} THEN live_window END AS live_window, "
        f"coalesce(length(live_window) > {LONGEST_WINDOW}, 0) AS long_window, "
        "CASE WHEN json_valid(data) THEN "
        "json_extract(data, '$.conversation_manager_state.removed_message_count') END AS removed, "
        f"{_sound(('$.agent_id', 'text'), ('$.state', 'object'), ('$.conversation_manager_state', 'object'))}, "
        f"{_MARKER}"
    ),
    "multi_agents": f"session_id, multi_agent_id, revision, {_sound(('$', 'object'))}, {_MARKER}",
    "messages": (
        "session_id, agent_id, message_id, "
        "CASE WHEN json_valid(data) THEN coalesce(json_type(data, '$.redact_message'), 'null') = 'null' "
        "AND coalesce(json_type(data, '$.message.role'), '') = 'text' "
        "AND coalesce(json_type(data, '$.message.content'), '') = 'array' "
        f"AND NOT EXISTS (SELECT 1 FROM {_BLOCKS} WHERE b.type <> 'object') ELSE 0 END AS sound, "
        "CASE WHEN json_valid(data) THEN json_extract(data, '$.message.role') END AS role, "
        "CASE WHEN json_valid(data) THEN json_array_length(data, '$.message.content') END AS blocks, "
        f"{_tool_ids('toolUse')} AS uses, {_tool_ids('toolResult')} AS results, {_MARKER}"
    ),
    "chunks": "session_id, kind, owner, message_id, generation, count(*) AS parts",
}


class DoctorTables(Tables):
    """The session tables as the doctor asks about them."""

    def ping(self) -> Statement:
        """Nothing but an answer: one row, `answer`."""
        return statement("SELECT 1 AS answer")

    def write_nothing(self) -> Statement:
        """A write that finds no row; refused where the database can't be written to."""
        return statement(f"DELETE FROM {self.prefix}sessions WHERE session_id IS NULL")

    def page(
        self, table: CheckedTable, after: tuple[Value, ...] | None, limit: int, session_id: str | None
    ) -> Statement:
        """The rows of a table after a key, of all sessions or one: their keys, and what tells whether they are sound.

        sessions: `session_id, sound`. agents: `session_id, agent_id, revision, live_window` (NULL where `long_window`),
        `long_window, removed, sound, marker`. multi_agents: `session_id, multi_agent_id, revision, sound, marker`.
        messages: `session_id, agent_id, message_id, sound, role, blocks, uses, results, marker`. chunks: a row for each
        generation of a document: `session_id, kind, owner, message_id, generation, parts`. `marker` is the row's data
        where that stands for a document in parts.
        """
        key = ", ".join(_KEYS[table])
        conditions: list[str] = []
        params: list[Value] = []
        if session_id is not None:
            conditions.append("session_id = ?")
            params.append(session_id)
        if after is not None:
            conditions.append(f"({key}) > ({', '.join('?' * len(after))})")
            params.extend(after)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        group = f" GROUP BY {key}" if table == "chunks" else ""
        return statement(
            f"SELECT {_COLUMNS[table]} FROM {self.prefix}{table}{where}{group} ORDER BY {key} LIMIT ?", *params, limit
        )

    def unindexed(self, after: tuple[Value, ...], limit: int) -> Statement:
        """A page of messages, and which of them the search index lacks: `session_id, agent_id, message_id, lacking`."""
        p, key = self.prefix, ", ".join(_KEYS["messages"])
        same = " AND ".join(f"t.{column} = m.{column}" for column in _KEYS["messages"])
        return statement(
            f"SELECT {key}, coalesce(text <> '' AND NOT EXISTS (SELECT 1 FROM {p}search_texts AS t WHERE {same}), 0) "
            f"AS lacking FROM (SELECT {key}, {text_of('data')} AS text FROM {p}messages WHERE ({key}) > (?, ?, ?) "
            f"ORDER BY {key} LIMIT ?) AS m",
            *after,
            limit,
        )

    @staticmethod
    def key_of(table: CheckedTable) -> tuple[str, ...]:
        """The columns of a page's key."""
        return _KEYS[table]

    # Asked again, in one statement: a row where it is still so

    def lacks_session(self, session_id: str, agent_id: str) -> Statement:
        """Whether an agent stands there, and its session doesn't."""
        p = self.prefix
        return statement(
            f"SELECT 1 AS so FROM {p}agents WHERE session_id = ? AND agent_id = ? "
            f"AND NOT EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?)",
            session_id,
            agent_id,
            session_id,
        )

    def lacks_agent(self, session_id: str, agent_id: str) -> Statement:
        """Whether messages stand there, and their agent doesn't."""
        p = self.prefix
        return statement(
            f"SELECT 1 AS so FROM {p}messages WHERE session_id = ? AND agent_id = ? "
            f"AND NOT EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ? AND agent_id = ?) LIMIT 1",
            session_id,
            agent_id,
            session_id,
            agent_id,
        )

    def is_empty(self, session_id: str) -> Statement:
        """Whether a session's row stands there, and nothing that belongs to it."""
        p = self.prefix
        return statement(
            f"SELECT 1 AS so FROM {p}sessions WHERE session_id = ? "
            f"AND NOT EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ?) "
            f"AND NOT EXISTS (SELECT 1 FROM {p}multi_agents WHERE session_id = ?) "
            f"AND NOT EXISTS (SELECT 1 FROM {p}messages WHERE session_id = ?)",
            session_id,
            session_id,
            session_id,
            session_id,
        )

    def lacks_rows(self, session_id: str, agent_id: str, live_window: str, low: int, high: int) -> Statement:
        """Whether the live window is still this one, and rows are missing between two positions, both included."""
        p = self.prefix
        return statement(
            f"SELECT 1 AS so FROM {p}agents WHERE session_id = ? AND agent_id = ? AND live_window = ? "
            f"AND (SELECT count(*) FROM {p}messages WHERE session_id = ? AND agent_id = ? "
            "AND message_id BETWEEN ? AND ?) < ?",
            session_id,
            agent_id,
            live_window,
            session_id,
            agent_id,
            low,
            high,
            high - low + 1,
        )

    def are_orphans(self, session_id: str, kind: ChunkKind, owner: str, message_id: int, generation: str) -> Statement:
        """Whether parts stand there that no row names."""
        named, params = self._named(session_id, kind, owner, message_id, generation)
        return statement(
            f"SELECT 1 AS so FROM {self.prefix}chunks WHERE session_id = ? AND kind = ? AND owner = ? "
            f"AND message_id = ? AND generation = ? AND NOT EXISTS ({named}) LIMIT 1",
            session_id,
            kind,
            owner,
            message_id,
            generation,
            *params,
        )

    def _named(
        self, session_id: str, kind: ChunkKind, owner: str, message_id: int, generation: str
    ) -> tuple[str, tuple[Value, ...]]:
        """The row that names a document's parts, or may: one whose marker can't be read keeps them."""
        table, column = {
            "agent": ("agents", "agent_id"),
            "multi_agent": ("multi_agents", "multi_agent_id"),
            "message": ("messages", "agent_id"),
        }[kind]
        position = " AND message_id = ?" if kind == "message" else ""
        sql = (
            f"SELECT 1 FROM {self.prefix}{table} WHERE session_id = ? AND {column} = ?{position} "
            f"AND substr(data, 1, {len(PARTS_MARKER)}) = ? "
            "AND CASE WHEN json_valid(data) THEN json_extract(data, '$.generation') = ? ELSE 1 END"
        )
        at: tuple[Value, ...] = (message_id,) if kind == "message" else ()
        return sql, (session_id, owner, *at, PARTS_MARKER, generation)

    # Mending: the last statement answers a row for each row that it changed

    def drop_orphans(
        self, session_id: str, kind: ChunkKind, owner: str, message_id: int, generation: str
    ) -> list[Statement]:
        """Delete parts that no row names.

        A writer that has sent them and is about to send their row is stopped: the revision that it knows is gone.
        """
        p = self.prefix
        named, params = self._named(session_id, kind, owner, message_id, generation)
        orphans = self.are_orphans(session_id, kind, owner, message_id, generation)
        table, column = ("multi_agents", "multi_agent_id") if kind == "multi_agent" else ("agents", "agent_id")
        return [
            statement(
                f"UPDATE {p}{table} SET revision = revision + ? WHERE session_id = ? AND {column} = ? "
                f"AND EXISTS ({orphans['sql']})",
                revision_step(),
                session_id,
                owner,
                *orphans.get("params", ()),
            ),
            statement(
                f"DELETE FROM {p}chunks WHERE session_id = ? AND kind = ? AND owner = ? AND message_id = ? "
                f"AND generation = ? AND NOT EXISTS ({named}) RETURNING part",
                session_id,
                kind,
                owner,
                message_id,
                generation,
                *params,
            ),
        ]

    def forget_window(self, session_id: str, agent_id: str, live_window: str) -> list[Statement]:
        """Set a live window that can't be read to NULL, which restores by Strands' own rule."""
        return [
            statement(
                f"UPDATE {self.prefix}agents SET live_window = NULL, revision = revision + ? "
                "WHERE session_id = ? AND agent_id = ? AND live_window = ? RETURNING agent_id",
                revision_step(),
                session_id,
                agent_id,
                live_window,
            )
        ]

    def begin_revisions(self, kind: Literal["agent", "multi_agent"], session_id: str, owner: str) -> list[Statement]:
        """Give a row a revision to begin with, where its own is none that could ever be written again."""
        table, column = ("multi_agents", "multi_agent_id") if kind == "multi_agent" else ("agents", "agent_id")
        return [
            statement(
                f"UPDATE {self.prefix}{table} SET revision = ? WHERE session_id = ? AND {column} = ? "
                "AND NOT (typeof(revision) = 'integer' AND revision BETWEEN 1 AND ?) RETURNING session_id",
                first_revision(),
                session_id,
                owner,
                2**53 - 2**30 - 1,
            )
        ]

    def add_missing_session(self, session_id: str, data: str) -> list[Statement]:
        """The row of a session of which an agent stands there."""
        p = self.prefix
        return [
            statement(
                f"INSERT INTO {p}sessions (session_id, data) SELECT ?, ? "
                f"WHERE EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ?) "
                "ON CONFLICT (session_id) DO NOTHING RETURNING session_id",
                session_id,
                data,
                session_id,
            )
        ]
