"""The rows of sessions themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import named
from ..about import COLUMNS, About
from ..decoding import StoredDocument
from ..encoding import now
from ..query import Query
from ._session_objects import SessionObjects
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers
    from ._keys import Keys


class Sessions:
    """The statements over the table of sessions.

    Args:
        prefix: Starts the name of each table.
        keys: The data keys of sessions.
    """

    def __init__(self, prefix: str, keys: Keys) -> None:
        self.prefix = prefix
        self._keys = keys
        self._seals = keys.seals

    def create(self, session_id: str, data: str, about: About | None = None) -> Statement:
        """A session's row, and what is known about it; fails where it stands already."""
        data_key = self._seals.begin(session_id)
        known = self._seals.about(session_id, dict(zip(COLUMNS, (about or About()).columns(now()), strict=True)))
        sql = (
            f"INSERT INTO {self.prefix}sessions (session_id, data, {', '.join(COLUMNS)}, data_key) "
            f"VALUES (?, ?{', ?' * len(COLUMNS)}, ?)"
        )
        return statement(sql, session_id, data, *known.values(), data_key)

    def ensure(self, session_id: str, data: str, about: About | None = None) -> Statement:
        """The same, unless it stands already."""
        created = self.create(session_id, data, about)
        return statement(f"{created['sql']} ON CONFLICT (session_id) DO NOTHING", *created.get("params", ()))

    def touch(self, session_id: str, time: str, *, before: str) -> Statement:
        """Note that a session with a user is active, unless it was noted later than `before`."""
        return statement(
            f"UPDATE {self.prefix}sessions SET active = ? WHERE session_id = ? AND user IS NOT NULL AND active < ?",
            time,
            session_id,
            before,
        )

    def note_use(self, session_id: str, time: str) -> Statement:
        """Note that a session is in use, where its newest rows don't tell."""
        return statement(
            f"UPDATE {self.prefix}sessions SET data = json_set(data, '$.updated_at', ?) WHERE session_id = ? "
            "AND CASE WHEN json_valid(data) THEN coalesce(json_extract(data, '$.updated_at'), '') < ? END",
            time,
            session_id,
            time,
        )

    def update(self, session_id: str, columns: Mapping[str, str | int | None], last_active: Statement) -> Query[bool]:
        """Change what is known about a session; whether it stands there.

        Args:
            session_id: The session.
            columns: The new values of some of the columns `COLUMNS`.
            last_active: Answers when it was last active, `last_active`: where it is put among its user's others.
        """
        names = [f"{name} = ?" for name in columns]
        values: list[str | int | float | None] = list(self._seals.about(session_id, columns).values())
        if "user" in columns:
            active = f"(SELECT last_active FROM ({last_active['sql']}))"
            names.append(f"active = CASE WHEN ? IS NOT NULL THEN {active} END")
            values += [columns["user"], *last_active.get("params", ())]
        changed = statement(
            f"UPDATE {self.prefix}sessions SET {', '.join(names)} WHERE session_id = ? AND data_key IS ? "
            "RETURNING session_id",
            *values,
            *self._keys.bounds(session_id),
        )
        return Query([changed], lambda answers: bool(answers[0]))

    def read(self, session_id: str) -> Query[StoredDocument | None]:
        """A session's own record; None where there is no such session."""

        def read(answers: Answers) -> StoredDocument | None:
            what = f"The row of session {named(session_id)}"
            self._seals.load(session_id, answers[0])
            return StoredDocument(what, answers[0][0]["data"]) if answers[0] else None

        row = statement(f"SELECT data, data_key FROM {self.prefix}sessions WHERE session_id = ?", session_id)
        return self._keys.opening(session_id, Query([row], read))

    def about(self, session_id: str) -> Query[About | None]:
        """What is known about a session; None where there is no such session."""
        row = statement(f"SELECT {', '.join(COLUMNS)} FROM {self.prefix}sessions WHERE session_id = ?", session_id)

        def read(answers: Answers) -> About | None:
            return next((About.of_row(self._seals.described(session_id, row)) for row in answers[0]), None)

        return self._keys.opening(session_id, Query([row], read))

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
