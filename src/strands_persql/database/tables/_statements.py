"""One statement, and what stands in it besides values: the prefix of the tables' names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import named
from ..encoding import PARTS_MARKER, SEALED

if TYPE_CHECKING:
    from ...client import Statement

Value = str | int | float | None

PAGE_BYTES = 4_000_000
"""The most characters of documents in one answer, less the last document, which comes whole."""

_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_RESERVED = ("sqlite_", "_cf_", "_persql_")


def checked_prefix(prefix: object) -> str:
    """A table prefix that is safe inside SQL.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(prefix, str) and _PREFIX.fullmatch(prefix) and not prefix.lower().startswith(_RESERVED):
        return prefix
    raise ValueError(
        f"table_prefix must be a letter followed by at most 39 letters, digits or underscores (such as 'strands_'), "
        f"and must not begin with sqlite_; got {named(prefix)}"
    )


def statement(sql: str, *params: Value) -> Statement:
    """One statement with its positional parameters."""
    return {"sql": sql, "params": params}


def is_in_parts(document: str) -> str:
    """Whether the document in a column is stored in parts; NULL where there is none."""
    return f"substr({document}, 1, {len(PARTS_MARKER)}) = '{PARTS_MARKER}'"


def is_sealed(document: str) -> str:
    """Whether the document in a column is sealed; NULL where there is none."""
    return f"substr({document}, 1, {len(SEALED)}) = '{SEALED}'"


def under_revision(table: str, owner: str) -> str:
    """A value that stands only where its writer's revision is the stored one, and is NULL elsewhere.

    Its parameters: the session, the owner, the revision, the value.

    Args:
        table: The table that holds the revision: of agents, or of Graphs and Swarms.
        owner: Its column for their ids.
    """
    return (
        f"CASE WHEN (SELECT revision FROM {table} WHERE session_id = ? AND {owner} = ? AND revision = ?) "
        "IS NOT NULL THEN ? END"
    )


def session_facts(prefix: str, alias: str, noted: str = "''") -> str:
    """What `SessionFacts` tells of the session of a row: one more row is read. `noted` is a time of the row's own."""
    document = "CASE WHEN json_valid(s.data) THEN json_extract(s.data, '$.updated_at') END"
    return (
        "(SELECT json_array((s.user IS NOT NULL) + 2 * (s.data_key IS NOT NULL), s.retention, s.expires, "
        f"max(coalesce({document}, ''), {noted})) "
        f"FROM {prefix}sessions AS s WHERE s.session_id = {alias}.session_id) AS facts"
    )


def keeping_created_at(table: str) -> str:
    """An upsert's new `data` with the old one's `created_at`, where both are whole documents that SQLite can read."""
    return (
        f"CASE WHEN json_valid(excluded.data) AND json_valid({table}.data) "
        f"AND json_extract({table}.data, '$.created_at') IS NOT NULL "
        "AND json_extract(excluded.data, '$.created_at') IS NOT NULL "
        f"THEN json_set(excluded.data, '$.created_at', json_extract({table}.data, '$.created_at')) "
        "ELSE excluded.data END"
    )
