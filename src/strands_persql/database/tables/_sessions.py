"""The rows of sessions themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import named
from ..decoding import StoredDocument
from ..query import Query
from ._session_objects import SessionObjects
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers


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

    def read(self, session_id: str) -> Query[StoredDocument | None]:
        """A session's own record; None where there is no such session."""

        def read(answers: Answers) -> StoredDocument | None:
            what = f"The row of session {named(session_id)}"
            return StoredDocument(what, answers[0][0]["data"]) if answers[0] else None

        row = statement(f"SELECT data FROM {self.prefix}sessions WHERE session_id = ?", session_id)
        return Query([row], read)

    def delete(self, session_id: str) -> Query[bool]:
        """Delete everything of one session; whether it stood there."""
        statements = [
            *(
                statement(f"DELETE FROM {self.prefix}{name} WHERE session_id = ?", session_id)
                for name in ("chunks", "messages", "agents", "multi_agents")
            ),
            SessionObjects(self.prefix, session_id).delete(),
            statement(f"DELETE FROM {self.prefix}sessions WHERE session_id = ? RETURNING session_id", session_id),
        ]
        return Query(statements, lambda answers: bool(answers[-1]), erases=True)
