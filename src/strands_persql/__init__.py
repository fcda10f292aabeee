"""Durable sessions for AWS Strands agents in PerSQL: an isolated SQLite database per agent, remote or in-process."""

from __future__ import annotations

from .administration.sessions import PerSQLSessions
from .client import Database, PerSQL, QueryResult, Statement
from .client import installed_version as _installed_version
from .database.retention import Retention
from .encryption import Encryption
from .errors import (
    ApprovalRequiredError,
    AuthenticationError,
    BalanceExhaustedError,
    EncryptionError,
    PermissionDeniedError,
    PerSQLError,
    RateLimitError,
    SessionConflictError,
    SessionDataError,
    TransportError,
)
from .hooks import PerSQLHooks
from .manager import PerSQLSessionManager
from .repository import PerSQLSessionRepository
from .stores.memory import PerSQLMemoryStore
from .stores.storage import PerSQLStorage

session_manager = PerSQLSessionManager.from_env
"""For configuration files, which can name a function of a module, but hold no database."""

__all__ = [
    "ApprovalRequiredError",
    "AuthenticationError",
    "BalanceExhaustedError",
    "Database",
    "Encryption",
    "EncryptionError",
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
    "Retention",
    "SessionConflictError",
    "SessionDataError",
    "Statement",
    "TransportError",
    "session_manager",
]


def __getattr__(name: str) -> str:
    if name == "__version__":  # looked up when it is asked for, which an import needn't pay for
        return _installed_version()
    raise AttributeError(f"{__name__} has no attribute '{name}'")
