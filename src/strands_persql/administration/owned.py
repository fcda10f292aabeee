"""The database as one session of one user sees it: each request holds only as long as the session is theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from strands.types.exceptions import SessionException

from ..client import only_reads
from ..database.faults import GUARDS, fault_of
from ..database.query import Query
from ..database.tables import Ownership
from ..errors import RateLimitError, TransportError, named
from .missing import no_session

if TYPE_CHECKING:
    from ..client import Statement
    from ..database.connector import Connector
    from ..database.query import Rows
    from ..database.tables import Standing, Tables


class NotTheirsError(SessionException):
    """There is no such session, or it is somebody else's."""

    kind = "missing_session"  # told from SQLite's own words, which the session's id may hold


class ChangedError(SessionException):
    """The session is another than the caller last saw, so nothing of it was changed."""

    kind = "changed_session"


class OwnedDatabase:
    """A database handle for one session: whatever is sent goes along with the question whose session it is.

    A transaction holds both. Where the session is not there, or somebody else's, nothing is read and nothing written.

    Args:
        store: The database.
        session_id: The session.
        user: Whose it is to be; None for anybody's or nobody's.
        versioned: Learn the session's version with each read.
        erases: What it deletes is to be gone from the bytes of a local file once it is closed.
        unchanged: Refuse the first write if the session's version is no longer this one, as `version` gave it.

    Attributes:
        version: What every write to the session changes, as of the last read; empty where that was not asked for.
    """

    # No answer is lost that the handle below doesn't ask for again.
    loses_answers = False

    def __init__(
        self,
        store: Connector[Tables],
        session_id: str,
        user: str | None,
        *,
        versioned: bool = False,
        erases: bool = False,
        unchanged: str | None = None,
    ) -> None:
        self._store = store
        self._session_id = session_id
        self._ownership = Ownership(store.tables, session_id, user)
        self._versioned = versioned
        self._erases = erases
        self._unchanged = unchanged
        self.version = ""

    def query(self, sql: str, params: Sequence[Any] = ()) -> Mapping[str, Any]:
        """Run one statement."""
        return self.batch([{"sql": sql, "params": params}])[0]

    def batch(self, statements: Sequence[Statement], *, transaction: bool = True) -> Sequence[Mapping[str, Any]]:
        """Run several statements, always in one transaction.

        Raises:
            NotTheirsError: There is no such session, or it is somebody else's.
            ChangedError: It is not the one that `unchanged` names.
        """
        if all(only_reads(statement["sql"]) for statement in statements):
            answers = self._read(statements)
        else:
            answers = self._write(statements)
        return [{"data": rows} for rows in answers]

    def _read(self, statements: Sequence[Statement]) -> Sequence[Rows]:
        enter = self._ownership.enter(versioned=self._versioned)
        try:
            found = self._store.ask(Query([*enter.statements, *statements], lambda answers: answers))
        except Exception as error:
            if not isinstance(error, (RateLimitError, TransportError)) and self._is_not_theirs():
                raise self._not_theirs() from None
            raise
        self.version = _digest(enter.read(found[:1]).version) if self._versioned else ""
        return found[1:]

    def _is_not_theirs(self) -> bool:
        """Whether that is why a transaction failed; False where it can't be told."""
        with suppress(Exception):
            return self._store.ask(self._ownership.look(versioned=False)) is None
        return False

    def _write(self, statements: Sequence[Statement]) -> Sequence[Rows]:
        guards = [self._ownership.require()]
        if self._unchanged is not None:
            version = self._checked(self._store.ask(self._ownership.look(versioned=True))).version
            if _digest(version) != self._unchanged:
                raise self._changed()
            guards.append(self._ownership.require_unchanged(version))
        try:
            answers = self._store.carry_out(Query([*guards, *statements], lambda answers: answers))
        except Exception as error:
            if fault_of(error) in GUARDS:
                standing = self._checked(self._store.ask(self._ownership.look(versioned=True)))
                if self._unchanged is not None and _digest(standing.version) != self._unchanged:
                    raise self._changed() from error
            raise
        self._unchanged = None
        if self._erases:  # by now it is certain that the session is theirs
            self._store.wipe()
        return answers[len(guards) :]

    def _checked(self, standing: Standing | None) -> Standing:
        if standing is None:
            raise self._not_theirs()
        return standing

    def _not_theirs(self) -> NotTheirsError:
        return NotTheirsError(*no_session(self._session_id).args)

    def _changed(self) -> ChangedError:
        return ChangedError(
            f"Session {named(self._session_id)} was written to since it was read. Nothing of it was changed. Read it "
            "again, and decide anew."
        )


def _digest(version: str) -> str:
    return hashlib.sha256(version.encode()).hexdigest()[:32]
