"""The rows of sessions themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["Sessions"]


class Sessions:
    """The statements over the table of sessions.

    Args:
        prefix: Starts the name of each table.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def create(self, session_id: str, data: str) -> Statement:
        """A session's row; fails where it stands already."""
        return statement(f"INSERT INTO {self.prefix}sessions (session_id, data) VALUES (?, ?)", session_id, data)

    def ensure(self, session_id: str, data: str) -> Statement:
        """A session's row, unless it stands already."""
        return statement(
            f"INSERT INTO {self.prefix}sessions (session_id, data) VALUES (?, ?) ON CONFLICT (session_id) DO NOTHING",
            session_id,
            data,
        )

    def read(self, session_id: str) -> Statement:
        """A session: `data`."""
        return statement(f"SELECT data FROM {self.prefix}sessions WHERE session_id = ?", session_id)

    def delete(self, session_id: str) -> list[Statement]:
        """Everything of one session; the last statement answers a row if the session stood there."""
        return [
            *(
                statement(f"DELETE FROM {self.prefix}{name} WHERE session_id = ?", session_id)
                for name in ("chunks", "messages", "agents", "multi_agents")
            ),
            statement(f"DELETE FROM {self.prefix}sessions WHERE session_id = ? RETURNING session_id", session_id),
        ]
