"""The rows of the parts of long documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..decoding import Part
from ..query import Answers, Query
from ._statements import statement, under_revision

if TYPE_CHECKING:
    from ...client import Statement
    from ..decoding import StoredMessage
    from ..encoding import Document
    from ._keys import Keys

PARTS = "kind, owner, message_id, generation, part, data"
"""The columns of the parts of documents."""

ChunkKind = Literal["agent", "live", "message", "multi_agent"]
"""What the parts are of: `"live"` is a message as the model sees it now, `"message"` as it was said."""


class Parts:
    """The statements over the table of parts.

    Args:
        prefix: Starts the name of each table.
        keys: The data keys of sessions.
    """

    def __init__(self, prefix: str, keys: Keys) -> None:
        p = self.prefix = prefix
        self._keys = keys
        self._under_agent = under_revision(f"{p}agents", "agent_id")
        self._under_multi_agent = under_revision(f"{p}multi_agents", "multi_agent_id")
        self._in_session = f"CASE WHEN {keys.held} THEN ? END"

    def of(self, session_id: str, kind: ChunkKind, owner: str | None = None, message_id: int = 0) -> Statement:
        """The parts of one document, or of all of a kind: `kind, owner, message_id, generation, part, data`.

        Those of a message as it was said, and as the model sees it now, are of the same kind here.
        """
        which = "" if owner is None else " AND owner = ? AND message_id = ?"
        return statement(
            f"SELECT {PARTS} FROM {self.prefix}chunks WHERE session_id = ? AND {_of_kind(kind)}{which}",
            session_id,
            *(() if owner is None else (owner, message_id)),
        )

    def some(self, session_id: str, agent_id: str, message: StoredMessage, numbers: range) -> Query[list[Part]]:
        """Some parts of one message."""
        parts = statement(
            f"SELECT {PARTS} FROM {self.prefix}chunks WHERE session_id = ? "
            "AND kind IN ('live', 'message') AND owner = ? AND message_id = ? AND generation = ? AND part >= ? "
            "AND part < ?",
            session_id,
            agent_id,
            message.position,
            message.marker.generation,
            numbers.start,
            numbers.stop,
        )

        def read(answers: Answers) -> list[Part]:
            rows = self._keys.seals.parts(session_id, answers[0])
            return [Part(row["generation"], row["part"], row["data"]) for row in rows]

        return self._keys.opening(session_id, Query([parts], read))

    def add(
        self,
        session_id: str,
        kind: ChunkKind,
        owner: str,
        message_id: int,
        document: Document,
        *,
        revision: int | None = None,
    ) -> list[Statement]:
        """The parts of a document, a statement each; a part written before is written over.

        They may reach the database in a request before their row's, or late, and would stay for ever where that row is
        never written. So they fail where the `revision` that their writer knows of the agent, Graph or Swarm is not the
        stored one; with no revision, as before a first row, where the session has no row, or another data key.
        """
        columns = "(session_id, kind, owner, message_id, generation, part, data)"
        key = "(session_id, kind, owner, message_id, generation, part)"
        guarded = self._under_multi_agent if kind == "multi_agent" else self._under_agent
        place = self._in_session if revision is None else guarded
        guard = self._keys.bounds(session_id) if revision is None else (session_id, owner, revision)
        return [
            statement(
                f"INSERT INTO {self.prefix}chunks {columns} VALUES (?, ?, ?, ?, ?, {place}, ?) "
                f"ON CONFLICT {key} DO UPDATE SET data = excluded.data",
                session_id,
                kind,
                owner,
                message_id,
                document.generation,
                *guard,
                part,
                self._keys.seals.text(session_id, data, "chunks", kind, owner, message_id, document.generation, part),
            )
            for part, data in enumerate(document.parts)
        ]

    def drop(
        self, session_id: str, kind: ChunkKind, owner: str, message_id: int, *, but: str = "", live: str = ""
    ) -> Statement:
        """Delete a document's parts of every generation but one.

        With those of a message as it was said go those of it as the model sees it now, but of the generation `live`.
        """
        return statement(
            f"DELETE FROM {self.prefix}chunks WHERE session_id = ? AND {_of_kind(kind)} "
            "AND owner = ? AND message_id = ? AND generation NOT IN (?, ?)",
            session_id,
            owner,
            message_id,
            but,
            live,
        )

    def with_row(
        self, session_id: str, kind: ChunkKind, owner: str, message_id: int, document: Document, row: Statement
    ) -> list[Statement]:
        """A document that may stand there already: its parts, its row, and the end of the parts it had before."""
        ids = (session_id, kind, owner, message_id)
        return [*self.add(*ids, document), row, self.drop(*ids, but=document.generation)]


def _of_kind(kind: ChunkKind) -> str:
    return "kind IN ('live', 'message')" if kind == "message" else f"kind = '{kind}'"
