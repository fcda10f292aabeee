"""The client for PerSQL: remote over HTTP, or local over SQLite, and the protocol both keep."""

from __future__ import annotations

from strands_persql.client._client import PerSQL
from strands_persql.client._protocol import Database, QueryResult, Statement

__all__ = ["Database", "PerSQL", "QueryResult", "Statement"]
