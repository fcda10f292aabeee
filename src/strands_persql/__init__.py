"""Durable sessions for AWS Strands agents in PerSQL: an isolated SQLite database per agent, remote or in-process."""

from __future__ import annotations

from .client import Database, PerSQL, QueryResult, Statement
from .errors import (
    ApprovalRequiredError,
    AuthenticationError,
    BalanceExhaustedError,
    PermissionDeniedError,
    PerSQLError,
    RateLimitError,
    SessionConflictError,
    SessionDataError,
    TransportError,
)
from .hooks import PerSQLHooks
from .manager import PerSQLSessionManager
from .memory import PerSQLMemoryStore
from .repository import PerSQLSessionRepository
from .sessions import PerSQLSessions
from .storage import PerSQLStorage

__all__ = [
    "ApprovalRequiredError",
    "AuthenticationError",
    "BalanceExhaustedError",
    "Database",
    "PerSQL",
    "PerSQLError",
    "PerSQLHooks",
    "PerSQLMemoryStore",
    "PerSQLSessionManager",
    "PerSQLSessionRepository",
    "PerSQLSessions",
    "PerSQLStorage",
    "PermissionDeniedError",
    "QueryResult",
    "RateLimitError",
    "SessionConflictError",
    "SessionDataError",
    "Statement",
    "TransportError",
]
