"""One statement, and what stands in it besides values: the prefix of the tables' names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["Value", "checked_prefix", "statement"]

Value = str | int | float | None

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
        f"and must not begin with sqlite_; got {prefix!r}"
    )


def statement(sql: str, *params: Value) -> Statement:
    """One statement with its positional parameters."""
    return {"sql": sql, "params": params}
