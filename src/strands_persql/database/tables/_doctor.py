"""What the doctor asks of the session tables, and how it mends them.

A page of rows is found by the key of the row before it, and reads no other row. SQLite itself looks into the documents,
and answers only whether each is sound. A row that isn't is then read whole, and judged by the code that restores.

A live writer may have written between two pages. So the doctor asks once more, in one statement, before it reports what
follows from several tables. A statement that mends carries the same condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..encoding import LARGEST_NUMBER, PARTS_MARKER
from ..query import Answers, Query, rows_as, unanswered
from ._layout import first_revision, revision_step
from ._search import text_of
from ._statements import Value, statement
from ._tables import Tables
from ._transfer import Kind

if TYPE_CHECKING:
    from ...client import Statement

__all__ = [
    "CheckedAgent",
    "CheckedMessage",
    "CheckedMultiAgent",
    "CheckedParts",
    "CheckedSession",
    "DoctorTables",
    "IndexPage",
]

LONGEST_WINDOW = 4_000
"""Characters of a live window that go with a page of agents; a longer one is read by itself."""

R = TypeVar("R", bound="tuple[Any, ...]")


class CheckedSession(NamedTuple):
    """A session's row; `sound` is 0 where its document is not Strands'."""

    session_id: str
    sound: int


class CheckedAgent(NamedTuple):
    """An agent's row.

    `live_window` is None where there is none, or a long one (`long_window`). `removed` is what its document says about
    removed messages, `sound` is 0 where that is not Strands', and `marker` is its `data` where it is stored in parts.
    """

    session_id: str
    agent_id: str
    revision: object
    live_window: str | None
    long_window: int
    removed: object
    sound: int
    marker: str | None


class CheckedMultiAgent(NamedTuple):
    """A Graph's or Swarm's row, with fields as those of an agent."""

    session_id: str
    multi_agent_id: str
    revision: object
    sound: int
    marker: str | None


class CheckedMessage(NamedTuple):
    """A message's row.

    `sound` is 0 where it is no message, has a redaction, or is stored in parts; then `marker` is its `data`. `blocks`
    counts its content blocks; `uses` and `results` are the ids of its tool uses and results, as JSON.
    """

    session_id: str
    agent_id: str
    message_id: int
    sound: int
    role: Any
    blocks: Any
    uses: str | None
    results: str | None
    marker: str | None


class CheckedParts(NamedTuple):
    """How many parts there are of one writing of a long document."""

    session_id: str
    kind: str
    owner: str
    message_id: int
    generation: str
    parts: int


class IndexPage(NamedTuple):
    """How many messages of a page the search index lacks, and the key of the page's last row; None of the last page."""

    lacking: int
    last: tuple[Value, ...] | None


def _sound(*types: tuple[str, str]) -> str:
    """1 for a JSON document that has these types at these paths."""
    checks = " AND ".join(f"coalesce(json_type(data, '{path}'), 'null') = '{kind}'" for path, kind in types)
    return f"CASE WHEN json_valid(data) THEN {checks} ELSE 0 END"


def _in_json(sql: str) -> str:
    return f"CASE WHEN json_valid(data) THEN {sql} END"


_BLOCKS = "json_each(data, '$.message.content') AS b"


def _tool_ids(block: str) -> str:
    """The ids of a message's tool uses, or of its results, as a JSON array; NULL where it can't have any."""
    return (
        "CASE WHEN json_valid(data) AND instr(data, '\"tool') > 0 THEN "
        f"(SELECT json_group_array(json_extract(b.value, '$.{block}.toolUseId')) FROM {_BLOCKS} "
        f"WHERE CASE WHEN b.type = 'object' THEN json_type(b.value, '$.{block}') IS NOT NULL END) END"
    )


_MARKER = f"CASE WHEN substr(data, 1, {len(PARTS_MARKER)}) = '{PARTS_MARKER}' THEN data END"


class _Table(NamedTuple):
    """Where rows come from: the table, the columns of its key, all columns of a row, and the SQL of computed ones."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    computed: Mapping[str, str]


_MESSAGE_KEY = ("session_id", "agent_id", "message_id")

_TABLES: Mapping[type, _Table] = {
    CheckedSession: _Table(
        "sessions",
        ("session_id",),
        CheckedSession._fields,
        {"sound": _sound(("$.session_id", "text"), ("$.session_type", "text"))},
    ),
    CheckedAgent: _Table(
        "agents",
        ("session_id", "agent_id"),
        CheckedAgent._fields,
        {
            "live_window": f"CASE WHEN length(live_window) <= {LONGEST_WINDOW} THEN live_window END",
            "long_window": f"coalesce(length(live_window) > {LONGEST_WINDOW}, 0)",
            "removed": _in_json("json_extract(data, '$.conversation_manager_state.removed_message_count')"),
            "sound": _sound(("$.agent_id", "text"), ("$.state", "object"), ("$.conversation_manager_state", "object")),
            "marker": _MARKER,
        },
    ),
    CheckedMultiAgent: _Table(
        "multi_agents",
        ("session_id", "multi_agent_id"),
        CheckedMultiAgent._fields,
        {"sound": _sound(("$", "object")), "marker": _MARKER},
    ),
    CheckedMessage: _Table(
        "messages",
        _MESSAGE_KEY,
        CheckedMessage._fields,
        {
            "sound": "CASE WHEN json_valid(data) THEN coalesce(json_type(data, '$.redact_message'), 'null') = 'null' "
            "AND coalesce(json_type(data, '$.message.role'), '') = 'text' "
            "AND coalesce(json_type(data, '$.message.content'), '') = 'array' "
            f"AND NOT EXISTS (SELECT 1 FROM {_BLOCKS} WHERE b.type <> 'object') ELSE 0 END",
            "role": _in_json("json_extract(data, '$.message.role')"),
            "blocks": _in_json("json_array_length(data, '$.message.content')"),
            "uses": _tool_ids("toolUse"),
            "results": _tool_ids("toolResult"),
            "marker": _MARKER,
        },
    ),
    CheckedParts: _Table("chunks", CheckedParts._fields[:5], CheckedParts._fields, {"parts": "count(*)"}),
}

_OWNERS = {
    "agent": ("agents", "agent_id"),
    "multi_agent": ("multi_agents", "multi_agent_id"),
    "message": ("messages", "agent_id"),
}
"""The table of the rows that name parts of each kind, and its column for their `owner`."""


class DoctorTables(Tables):
    """The session tables as the doctor asks about them."""

    def ping(self) -> Query[None]:
        """Nothing but an answer."""
        return unanswered(statement("SELECT 1 AS answer"))

    def write_nothing(self) -> Query[None]:
        """A write that finds no row; refused where the database can't be written to."""
        return unanswered(statement(f"DELETE FROM {self.prefix}sessions WHERE session_id IS NULL"))

    def version(self) -> Query[int | None]:
        """The layout's version; None where its table is empty."""
        return Query([self.read_version()], lambda answers: answers[0][0]["version"])

    def page(self, kind: type[R], after: R | None, limit: int, session_id: str | None) -> Query[list[R]]:
        """The rows of one kind after another row, of all sessions or one."""
        table = _TABLES[kind]
        key = ", ".join(table.key)
        conditions: list[str] = []
        params: list[Value] = []
        if session_id is not None:
            conditions.append("session_id = ?")
            params.append(session_id)
        if after is not None:
            conditions.append(f"({key}) > ({', '.join('?' * len(table.key))})")
            params.extend(after[: len(table.key)])
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        group = f" GROUP BY {key}" if kind is CheckedParts else ""
        columns = ", ".join(
            f"{table.computed[name]} AS {name}" if name in table.computed else name for name in table.columns
        )
        sql = f"SELECT {columns} FROM {self.prefix}{table.name}{where}{group} ORDER BY {key} LIMIT ?"
        return rows_as(kind, statement(sql, *params, limit))

    def unindexed(self, after: tuple[Value, ...], limit: int) -> Query[IndexPage]:
        """Which messages of a page the search index lacks, though they have text."""
        p, key = self.prefix, ", ".join(_MESSAGE_KEY)
        same = " AND ".join(f"t.{column} = m.{column}" for column in _MESSAGE_KEY)
        page = statement(
            f"SELECT {key}, coalesce(text <> '' AND NOT EXISTS (SELECT 1 FROM {p}search_texts AS t WHERE {same}), 0) "
            f"AS lacking FROM (SELECT {key}, {text_of('data')} AS text FROM {p}messages WHERE ({key}) > (?, ?, ?) "
            f"ORDER BY {key} LIMIT ?) AS m",
            *after,
            limit,
        )

        def read(answers: Answers) -> IndexPage:
            (rows,) = answers
            last = tuple(rows[-1][column] for column in _MESSAGE_KEY) if len(rows) == limit else None
            return IndexPage(sum(bool(row["lacking"]) for row in rows), last)

        return Query([page], read)

    # What is asked once more, in one statement

    def lacks_session(self, session_id: str, agent_id: str) -> Query[bool]:
        """Whether an agent has a row, and its session has none."""
        return self._is_so(
            "{p}agents WHERE session_id = ? AND agent_id = ? "
            "AND NOT EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?)",
            session_id,
            agent_id,
            session_id,
        )

    def lacks_agent(self, session_id: str, agent_id: str) -> Query[bool]:
        """Whether messages have rows, and their agent has none."""
        return self._is_so(
            "{p}messages WHERE session_id = ? AND agent_id = ? "
            "AND NOT EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ? AND agent_id = ?) LIMIT 1",
            *(session_id, agent_id) * 2,
        )

    def is_empty(self, session_id: str) -> Query[bool]:
        """Whether a session has a row, and nothing belongs to it."""
        return self._is_so(
            "{p}sessions WHERE session_id = ? "
            "AND NOT EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ?) "
            "AND NOT EXISTS (SELECT 1 FROM {p}multi_agents WHERE session_id = ?) "
            "AND NOT EXISTS (SELECT 1 FROM {p}messages WHERE session_id = ?)",
            *(session_id,) * 4,
        )

    def lacks_rows(self, session_id: str, agent_id: str, live_window: str, low: int, high: int) -> Query[bool]:
        """Whether the live window is still this one, and rows are missing between two positions, both included."""
        return self._is_so(
            "{p}agents WHERE session_id = ? AND agent_id = ? AND live_window = ? "
            "AND (SELECT count(*) FROM {p}messages WHERE session_id = ? AND agent_id = ? "
            "AND message_id BETWEEN ? AND ?) < ?",
            *(session_id, agent_id, live_window),
            *(session_id, agent_id, low, high, high - low + 1),
        )

    def are_orphans(self, found: CheckedParts) -> Query[bool]:
        """Whether no row names these parts."""
        where, params = self._unnamed(found)
        return self._is_so(f"{{p}}chunks WHERE {where} LIMIT 1", *params)

    def _is_so(self, found: str, *params: Value) -> Query[bool]:
        """Whether anything is found. The prefix of the tables stands for `{p}`."""
        asked = statement(f"SELECT 1 AS so FROM {found.format(p=self.prefix)}", *params)
        return Query([asked], lambda answers: bool(answers[0]))

    def _unnamed(self, found: CheckedParts) -> tuple[str, tuple[Value, ...]]:
        """The condition for parts that no row names; a row whose marker can't be read may name them, and keeps them."""
        table, column = _OWNERS[found.kind]
        key = (found.session_id, found.kind, found.owner, found.message_id, found.generation)
        at, position = (" AND message_id = ?", (found.message_id,)) if found.kind == "message" else ("", ())
        where = (
            "session_id = ? AND kind = ? AND owner = ? AND message_id = ? AND generation = ? AND NOT EXISTS ("
            f"SELECT 1 FROM {self.prefix}{table} WHERE session_id = ? AND {column} = ?{at} "
            f"AND substr(data, 1, {len(PARTS_MARKER)}) = ? "
            "AND CASE WHEN json_valid(data) THEN json_extract(data, '$.generation') = ? ELSE 1 END)"
        )
        return where, (*key, found.session_id, found.owner, *position, PARTS_MARKER, found.generation)

    # Mending: each query answers whether anything was changed

    def drop_orphans(self, found: CheckedParts) -> Query[bool]:
        """Delete parts that no row names.

        A writer may have sent them, and be about to send their row: it is stopped, because the revision that it knows
        is changed.
        """
        p = self.prefix
        where, params = self._unnamed(found)
        table, column = _OWNERS["agent" if found.kind == "message" else found.kind]
        raised = statement(
            f"UPDATE {p}{table} SET revision = revision + ? WHERE session_id = ? AND {column} = ? "
            f"AND EXISTS (SELECT 1 FROM {p}chunks WHERE {where})",
            revision_step(),
            found.session_id,
            found.owner,
            *params,
        )
        return _mending(raised, statement(f"DELETE FROM {p}chunks WHERE {where} RETURNING part", *params))

    def forget_window(self, session_id: str, agent_id: str, live_window: str) -> Query[bool]:
        """Set a live window that can't be read to NULL, which restores by Strands' own rule."""
        return _mending(
            statement(
                f"UPDATE {self.prefix}agents SET live_window = NULL, revision = revision + ? "
                "WHERE session_id = ? AND agent_id = ? AND live_window = ? RETURNING agent_id",
                revision_step(),
                session_id,
                agent_id,
                live_window,
            )
        )

    def begin_revision(self, kind: Kind, session_id: str, owner: str) -> Query[bool]:
        """Give a row a first revision in place of one that could never be raised again."""
        table, column = _OWNERS[kind]
        return _mending(
            statement(
                f"UPDATE {self.prefix}{table} SET revision = ? WHERE session_id = ? AND {column} = ? "
                "AND NOT (typeof(revision) = 'integer' AND revision BETWEEN 1 AND ?) RETURNING session_id",
                first_revision(),
                session_id,
                owner,
                LARGEST_NUMBER - 1,
            )
        )

    def add_missing_session(self, session_id: str, data: str) -> Query[bool]:
        """Add the row of a session that has an agent and no row."""
        p = self.prefix
        return _mending(
            statement(
                f"INSERT INTO {p}sessions (session_id, data) SELECT ?, ? "
                f"WHERE EXISTS (SELECT 1 FROM {p}agents WHERE session_id = ?) "
                "ON CONFLICT (session_id) DO NOTHING RETURNING session_id",
                session_id,
                data,
                session_id,
            )
        )


def _mending(*statements: Statement) -> Query[bool]:
    """Statements of which the last answers the rows that it changed."""
    return Query(statements, lambda answers: bool(answers[-1]))
