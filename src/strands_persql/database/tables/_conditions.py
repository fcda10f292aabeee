"""Conditions of a transaction: where one does not hold, nothing of the transaction is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._statements import Value, statement

if TYPE_CHECKING:
    from ...client import Statement
    from ._tables import Tables


def require(tables: Tables, condition: str, *params: Value) -> Statement:
    """Abort the transaction unless a condition holds; writes nothing where it does."""
    return statement(f"INSERT INTO {tables.prefix}schema (version) SELECT NULL WHERE NOT ({condition})", *params)


def require_version(tables: Tables) -> Statement:
    """Abort the transaction unless the layout is the one that this package's statements are made for."""
    return require(tables, f"(SELECT max(version) FROM {tables.prefix}schema) IS {len(tables.steps)}")
