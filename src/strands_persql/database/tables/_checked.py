"""How the doctor looks at each table: what it reads of a row, and what that is in Python.

SQLite itself looks into the documents, and answers only whether each is sound. What a row says together with rows of
other tables (the parts of a document, and the row that names them) is answered by the same statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ._statements import is_in_parts

LONGEST_WINDOW = 4_000
"""Characters of a live window that go with a page of agents; a longer one is read by itself."""


class CheckedSession(NamedTuple):
    """A session's row.

    `sound` is 0 where its document is not Strands'; `labelled` where its tags or metadata are no such JSON, it has a
    user and no place among the others of that user's, or its retention can't be told. What is `sealed`,
    SQLite can't look into.
    """

    session_id: str
    sound: int
    labelled: int
    sealed: int


class CheckedAgent(NamedTuple):
    """An agent's row.

    `live_window` is None where there is none, or a long one (`long_window`). `removed` is what its document says about
    removed messages, and `sound` is 0 where that is not Strands', or is stored in parts.
    """

    session_id: str
    agent_id: str
    revision: object
    live_window: str | None
    long_window: int
    removed: object
    sound: int


class CheckedMultiAgent(NamedTuple):
    """A Graph's or Swarm's row, with fields as those of an agent."""

    session_id: str
    multi_agent_id: str
    revision: object
    sound: int


class CheckedMessage(NamedTuple):
    """A message's row.

    `sound` is 0 where it is no message, has a redaction, or is stored in parts; `has_parts` tells whether they are all
    there. What the model sees in its place has to be sound too; where it stands in parts, `has_parts` is 0. `blocks`
    counts the content blocks that the model sees, `uses` and `results` are the ids of its tool uses and results.
    """

    session_id: str
    agent_id: str
    message_id: int
    sound: int
    has_parts: int
    role: Any
    blocks: Any
    uses: str | None
    results: str | None


class CheckedParts(NamedTuple):
    """How many parts there are of one writing of a long document.

    They are `orphaned` where no row names them. Those are `deletable` where no writer that has just sent them can be
    about to send their row: it is stopped by the revision in the owner's row; and where even the session has no row,
    there is none.
    """

    session_id: str
    kind: str
    owner: str
    message_id: int
    generation: str
    parts: int
    orphaned: int
    deletable: int

    @property
    def place(self) -> tuple[str, int | None]:
        """The agent, Graph or Swarm; and the position of the message, where the document is one."""
        return self.owner, self.message_id if self.kind in ("live", "message") else None


def _sound(*types: tuple[str, str]) -> str:
    """1 for a JSON document that has these types at these paths."""
    checks = " AND ".join(f"coalesce(json_type(data, '{path}'), 'null') = '{kind}'" for path, kind in types)
    return f"CASE WHEN json_valid(data) THEN {checks} ELSE 0 END"


def _is_json(column: str, kind: str) -> str:
    return f"{column} IS NULL OR CASE WHEN json_valid({column}) THEN json_type({column}) = '{kind}' ELSE 0 END"


def _in_json(sql: str, document: str = "data") -> str:
    return f"CASE WHEN json_valid({document}) THEN {sql} END"


_SEEN = "coalesce(live, data)"


def _blocks(document: str) -> str:
    return f"json_each({document}, '$.message.content') AS b"


def _is_message(document: str) -> str:
    return (
        f"CASE WHEN json_valid({document}) THEN coalesce(json_type({document}, '$.redact_message'), 'null') = 'null' "
        f"AND coalesce(json_type({document}, '$.message.role'), '') = 'text' "
        f"AND coalesce(json_type({document}, '$.message.content'), '') = 'array' "
        f"AND NOT EXISTS (SELECT 1 FROM {_blocks(document)} WHERE b.type <> 'object') ELSE 0 END"
    )


def _tool_ids(block: str) -> str:
    """The ids of a message's tool uses, or of its results, as a JSON array; NULL where it can't have any."""
    return (
        f"CASE WHEN json_valid({_SEEN}) AND instr({_SEEN}, '\"tool') > 0 THEN "
        f"(SELECT json_group_array(json_extract(b.value, '$.{block}.toolUseId')) FROM {_blocks(_SEEN)} "
        f"WHERE CASE WHEN b.type = 'object' THEN json_type(b.value, '$.{block}') IS NOT NULL END) END"
    )


def _names_parts(document: str) -> str:
    return f"json_type({document}, '$.persql_parts') = 'integer' AND json_type({document}, '$.generation') = 'text'"


_HAS_PARTS = (
    f"CASE WHEN {is_in_parts('t.data')} AND json_valid(t.data) AND NOT coalesce({is_in_parts('t.live')}, 0) "
    f"THEN coalesce({_names_parts('t.data')} "
    "AND (SELECT count(*) FROM {p}chunks AS c WHERE c.session_id = t.session_id AND c.kind = 'message' "
    "AND c.owner = t.agent_id AND c.message_id = t.message_id "
    "AND c.generation = json_extract(t.data, '$.generation')) >= json_extract(t.data, '$.persql_parts'), 0) ELSE 0 END"
)

OWNERS = {
    "agent": ("agents", "agent_id"),
    "multi_agent": ("multi_agents", "multi_agent_id"),
    "message": ("messages", "agent_id"),
    "live": ("messages", "agent_id"),
}
"""The table of the rows that name parts of each kind, and its column for their `owner`."""


def _is_named(kind: str) -> str:
    """Whether a row names the parts `t`, or may: one whose marker can't be read keeps all parts of its document."""
    table, column = OWNERS[kind]
    position = " AND r.message_id = t.message_id" if table == "messages" else ""
    document = "r.live" if kind == "live" else "r.data"
    other = f"coalesce({_names_parts(document)} AND json_extract({document}, '$.generation') <> t.generation, 0)"
    return (
        f"EXISTS (SELECT 1 FROM {{p}}{table} AS r WHERE t.kind = '{kind}' AND r.session_id = t.session_id "
        f"AND r.{column} = t.owner{position} AND {is_in_parts(document)} "
        f"AND NOT CASE WHEN json_valid({document}) THEN {other} ELSE 0 END)"
    )


ORPHANED = f"(t.kind IN ('agent', 'live', 'message', 'multi_agent') AND NOT ({' OR '.join(map(_is_named, OWNERS))}))"
_DELETABLE = (
    "(CASE t.kind WHEN 'multi_agent' "
    "THEN EXISTS (SELECT 1 FROM {p}multi_agents AS r WHERE r.session_id = t.session_id AND r.multi_agent_id = t.owner) "
    "ELSE EXISTS (SELECT 1 FROM {p}agents AS r WHERE r.session_id = t.session_id AND r.agent_id = t.owner) END "
    "OR NOT EXISTS (SELECT 1 FROM {p}sessions AS r WHERE r.session_id = t.session_id))"
)


class Look(NamedTuple):
    """Where rows come from: the table `t`, the columns of its key, all columns of a row, and the SQL of computed ones.

    The prefix of the tables stands for `{p}`.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    computed: Mapping[str, str]


_IS_KEPT = (
    "CASE WHEN retention IS NULL THEN expires IS NULL "
    "ELSE typeof(retention) IN ('integer', 'real') AND retention > 0 "
    "AND (expires IS NULL OR (expires LIKE '____-__-__T%+00:00' AND julianday(expires) IS NOT NULL)) END"
)

MESSAGE_KEY = ("session_id", "agent_id", "message_id")

LOOKS: Mapping[type, Look] = {
    CheckedSession: Look(
        "sessions",
        ("session_id",),
        CheckedSession._fields,
        {
            "sound": _sound(("$.session_id", "text"), ("$.session_type", "text")),
            "labelled": f"(data_key IS NOT NULL OR ({_is_json('tags', 'array')}) "
            f"AND ({_is_json('metadata', 'object')})) AND (user IS NULL) = (active IS NULL) AND {_IS_KEPT}",
            "sealed": "data_key IS NOT NULL",
        },
    ),
    CheckedAgent: Look(
        "agents",
        ("session_id", "agent_id"),
        CheckedAgent._fields,
        {
            "live_window": f"CASE WHEN length(live_window) <= {LONGEST_WINDOW} THEN live_window END",
            "long_window": f"coalesce(length(live_window) > {LONGEST_WINDOW}, 0)",
            "removed": _in_json("json_extract(data, '$.conversation_manager_state.removed_message_count')"),
            "sound": _sound(("$.agent_id", "text"), ("$.state", "object"), ("$.conversation_manager_state", "object")),
        },
    ),
    CheckedMultiAgent: Look(
        "multi_agents",
        ("session_id", "multi_agent_id"),
        CheckedMultiAgent._fields,
        {"sound": _sound(("$", "object"))},
    ),
    CheckedMessage: Look(
        "messages",
        MESSAGE_KEY,
        CheckedMessage._fields,
        {
            "sound": f"{_is_message('data')} AND (live IS NULL OR {_is_message('live')})",
            "has_parts": _HAS_PARTS,
            "role": _in_json(f"json_extract({_SEEN}, '$.message.role')", _SEEN),
            "blocks": _in_json(f"json_array_length({_SEEN}, '$.message.content')", _SEEN),
            "uses": _tool_ids("toolUse"),
            "results": _tool_ids("toolResult"),
        },
    ),
    CheckedParts: Look(
        "chunks",
        CheckedParts._fields[:5],
        CheckedParts._fields,
        {"parts": "count(*)", "orphaned": ORPHANED, "deletable": _DELETABLE},
    ),
}
