"""Whose a session is, as a condition of each request: so that nobody reads or changes another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..query import Query
from ._conditions import require
from ._listing import newest_message
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers
    from ._tables import Tables


class Standing(NamedTuple):
    """A session that is there.

    Attributes:
        version: What every write to the session changes.
    """

    version: str


class Ownership:
    """The statements that ask whose one session is.

    Args:
        tables: The tables of sessions.
        session_id: The session.
        user: Whose it is to be; None for anybody's or nobody's.
    """

    def __init__(self, tables: Tables, session_id: str, user: str | None) -> None:
        self._tables = tables
        self._session_id = session_id
        p = tables.prefix
        of_user = "" if user is None else " AND s.user = ?"
        self._params: tuple[str, ...] = (session_id,) if user is None else (session_id, user)
        self._theirs = f"FROM {p}sessions AS s WHERE s.session_id = ?{of_user}"
        self._version = (
            "json_array(s.user, s.title, s.tags, s.metadata, s.retention, s.expires, s.origin, "
            "(SELECT json_group_array(json_array(agent_id, revision, last)) "
            f"FROM (SELECT a.agent_id AS agent_id, a.revision AS revision, {newest_message(p)} AS last "
            f"FROM {p}agents AS a WHERE a.session_id = s.session_id ORDER BY a.agent_id)), "
            "(SELECT json_group_array(json_array(multi_agent_id, revision)) FROM (SELECT u.multi_agent_id, u.revision "
            f"FROM {p}multi_agents AS u WHERE u.session_id = s.session_id ORDER BY u.multi_agent_id)))"
        )

    def look(self, *, versioned: bool) -> Query[Standing | None]:
        """The session, where it is there and theirs; without `versioned` its version is empty, and one row is read."""
        version = self._version if versioned else "''"
        found = statement(f"SELECT {version} AS version {self._theirs}", *self._params)

        def read(answers: Answers) -> Standing | None:
            return Standing(answers[0][0]["version"]) if answers[0] else None

        return Query([found], read)

    def enter(self, *, versioned: bool) -> Query[Standing]:
        """The session, as `look` gives it; where it is not there, or not theirs, the transaction fails.

        It goes before what reads the session, also with a token that may write nothing. How the database words the
        error is its own affair: `look` tells whether this was the reason.
        """
        version = f"max({self._version})" if versioned else "''"
        # A SELECT has no other way to raise an error of its own than the path of a JSON function.
        found = statement(
            f"SELECT json_extract('{{}}', CASE count(*) WHEN 0 THEN 'none' ELSE '$' END) AS found, "
            f"{version} AS version {self._theirs}",
            *self._params,
        )
        return Query([found], lambda answers: Standing(answers[0][0]["version"]))

    def require(self) -> Statement:
        """Abort the transaction unless the session is there and theirs."""
        return require(self._tables, f"EXISTS (SELECT 1 {self._theirs})", *self._params)

    def require_unchanged(self, version: str) -> Statement:
        """Abort the transaction if anybody wrote to the session since it had this version."""
        return require(self._tables, f"(SELECT {self._version} {self._theirs}) IS ?", *self._params, version)
