"""How the doctor looks at each table: what it reads of a row, and what that is in Python.

SQLite itself looks into the documents, and answers only whether each is sound. What a row says together with rows of
other tables (the parts of a document, and the row that names them) is answered by the same statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..encoding import PARTS_MARKER

__all__ = [
    "LOOKS",
    "MESSAGE_KEY",
    "ORPHANED",
    "OWNERS",
    "CheckedAgent",
    "CheckedMessage",
    "CheckedMultiAgent",
    "CheckedParts",
    "CheckedSession",
]

LONGEST_WINDOW = 4_000
"""Characters of a live window that go with a page of agents; a longer one is read by itself."""


class CheckedSession(NamedTuple):
    """A session's row; `sound` is 0 where its document is not Strands'."""

    session_id: str
    sound: int


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
    there. `blocks` counts its content blocks; `uses` and `results` are the ids of its tool uses and results, as JSON.
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
        return self.owner, self.message_id if self.kind == "message" else None


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


def _is_marker(row: str) -> str:
    return f"substr({row}.data, 1, {len(PARTS_MARKER)}) = '{PARTS_MARKER}'"


def _names_parts(row: str) -> str:
    return f"json_type({row}.data, '$.persql_parts') = 'integer' AND json_type({row}.data, '$.generation') = 'text'"


_HAS_PARTS = (
    f"CASE WHEN {_is_marker('t')} AND json_valid(t.data) THEN coalesce({_names_parts('t')} "
    "AND (SELECT count(*) FROM {p}chunks AS c WHERE c.session_id = t.session_id AND c.kind = 'message' "
    "AND c.owner = t.agent_id AND c.message_id = t.message_id "
    "AND c.generation = json_extract(t.data, '$.generation')) >= json_extract(t.data, '$.persql_parts'), 0) ELSE 0 END"
)

OWNERS = {
    "agent": ("agents", "agent_id"),
    "multi_agent": ("multi_agents", "multi_agent_id"),
    "message": ("messages", "agent_id"),
}
"""The table of the rows that name parts of each kind, and its column for their `owner`."""


def _is_named(kind: str) -> str:
    """Whether a row names the parts `t`, or may: one whose marker can't be read keeps all parts of its document."""
    table, column = OWNERS[kind]
    position = " AND r.message_id = t.message_id" if kind == "message" else ""
    other = f"coalesce({_names_parts('r')} AND json_extract(r.data, '$.generation') <> t.generation, 0)"
    return (
        f"EXISTS (SELECT 1 FROM {{p}}{table} AS r WHERE t.kind = '{kind}' AND r.session_id = t.session_id "
        f"AND r.{column} = t.owner{position} AND {_is_marker('r')} "
        f"AND NOT CASE WHEN json_valid(r.data) THEN {other} ELSE 0 END)"
    )


ORPHANED = f"(t.kind IN ('agent', 'multi_agent', 'message') AND NOT ({' OR '.join(map(_is_named, OWNERS))}))"
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


MESSAGE_KEY = ("session_id", "agent_id", "message_id")

LOOKS: Mapping[type, Look] = {
    CheckedSession: Look(
        "sessions",
        ("session_id",),
        CheckedSession._fields,
        {"sound": _sound(("$.session_id", "text"), ("$.session_type", "text"))},
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
            "sound": "CASE WHEN json_valid(data) THEN coalesce(json_type(data, '$.redact_message'), 'null') = 'null' "
            "AND coalesce(json_type(data, '$.message.role'), '') = 'text' "
            "AND coalesce(json_type(data, '$.message.content'), '') = 'array' "
            f"AND NOT EXISTS (SELECT 1 FROM {_BLOCKS} WHERE b.type <> 'object') ELSE 0 END",
            "has_parts": _HAS_PARTS,
            "role": _in_json("json_extract(data, '$.message.role')"),
            "blocks": _in_json("json_array_length(data, '$.message.content')"),
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
