"""The client for PerSQL: remote over HTTP, or local over SQLite, and the protocol both keep."""

from __future__ import annotations

from strands_persql.client._client import PerSQL
from strands_persql.client._failures import is_sql_kind
from strands_persql.client._protocol import Database, QueryResult, Statement
from strands_persql.client._retry import retries_so_far

__all__ = ["Database", "PerSQL", "QueryResult", "Statement", "is_sql_kind", "retries_so_far"]
