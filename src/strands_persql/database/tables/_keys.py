"""The data keys of sessions: they stand in the sessions' rows, and are read along with what they open."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..data_keys import DESTROYED
from ..query import Query
from ..vault import Seals
from ._statements import Value, statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers

T = TypeVar("T")


class Keys:
    """The statements over data keys.

    Args:
        prefix: Starts the name of each table.
        seals: How documents are stored.

    Attributes:
        seals: The same.
        held: A condition that a session has the data key that its writer knows; with `bounds`.
    """

    def __init__(self, prefix: str, seals: Seals) -> None:
        self._prefix = prefix
        self.seals = seals
        self.held = f"EXISTS (SELECT 1 FROM {prefix}sessions WHERE session_id = ? AND data_key IS ?)"

    def bounds(self, session_id: str) -> tuple[Value, ...]:
        """The values in the condition `held`."""
        return session_id, self.seals.key(session_id)

    def load(self, session_id: str) -> Query[None]:
        """Go on from a session's data key.

        The reader raises `EncryptionError` where the session can't be opened with the key given, or with none.
        """
        return Query([self.read(session_id)], lambda answers: self.seals.load(session_id, answers[0]))

    def read(self, session_id: str) -> Statement:
        """A session's row: `data_key`."""
        return statement(f"SELECT data_key FROM {self._prefix}sessions WHERE session_id = ?", session_id)

    def opening(self, session_id: str, query: Query[T]) -> Query[T]:
        """A query over documents of a session, in the same request as its data key, where they are sealed."""
        if not self.seals.is_on:
            return query

        def read(answers: Answers) -> T:
            self.seals.load(session_id, answers[0])
            return query.read(answers[1:])

        return Query([self.read(session_id), *query.statements], read, query.erases)

    def destroy(self, session_id: str) -> Statement:
        """Overwrite a session's data key, where it has one: what is sealed with it can't be read any more."""
        return statement(
            f"UPDATE {self._prefix}sessions SET data_key = ? WHERE session_id = ? AND data_key IS NOT NULL "
            "AND data_key <> ?",
            DESTROYED,
            session_id,
            DESTROYED,
        )
