"""How a document stands in its row, and in the rows of its parts where it is too long for one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from ...errors import SessionDataError
from ..encoding import PART_BYTES, is_strict, parts_of
from ._statements import statement, under_revision

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["MARKER", "ChunkKind", "Document", "Marker", "Parts", "is_in_parts", "joined", "marker_of"]

ChunkKind = Literal["agent", "message", "multi_agent"]

MARKER = '{"persql_parts":'
"""How a row's `data` begins that stands for a document in parts."""


@dataclass(frozen=True)
class Document:
    """How one document is laid out: the text for its row's `data`, and the parts that stand elsewhere.

    A short document is its own row text and has no parts. A long one, or one that holds NaN or an infinity, which
    SQLite's JSON functions don't take, has a marker in its row that names the
    generation of its parts, so that the old parts stay readable until the row names the new ones.
    """

    data: str
    parts: tuple[str, ...] = ()
    generation: str = ""

    @classmethod
    def of(cls, text: str, *, generation: str = "", created_at: str = "", size: int = PART_BYTES) -> Document:
        """Lay out a document's text.

        Args:
            text: The document.
            generation: New for each writing of a document in parts; empty for a random one.
            created_at: Its `created_at`, to stand in the marker too, where an update finds the old one to keep.
            size: Bytes in a row.
        """
        parts = parts_of(text, size)
        if len(parts) == 1 and is_strict(text):
            return cls(text)
        generation = generation or uuid4().hex
        marker: dict[str, object] = {"persql_parts": len(parts), "generation": generation}
        if created_at:
            marker["created_at"] = created_at
        return cls(json.dumps(marker, separators=(",", ":")), tuple(parts), generation)


@dataclass(frozen=True)
class Marker:
    """What stands in a row's `data` for a document in parts."""

    count: int
    generation: str
    created_at: str


def is_in_parts(data: str) -> bool:
    """Whether a row's `data` stands for a document in parts."""
    return data.startswith(MARKER)


def marker_of(data: str, *, what: str) -> Marker:
    """The marker in a row's `data`.

    Raises:
        SessionDataError: It can't be read.
    """
    try:
        marker: dict[str, Any] = json.loads(data)
        count, generation, created_at = marker["persql_parts"], marker["generation"], marker.get("created_at", "")
        if isinstance(count, int) and count > 0 and isinstance(generation, str) and isinstance(created_at, str):
            return Marker(count, generation, created_at)
    except (ValueError, KeyError):
        pass
    raise SessionDataError(
        f"{what} is stored in parts, and what names them can't be read. Nothing was changed. Look at the column data "
        "of that row, and mend it, delete it, or use another session id."
    )


def joined(data: str, chunks: Sequence[tuple[str, int, str]], *, what: str) -> str:
    """A document's whole text from its row's `data` and the chunks found for it (generation, part, data).

    Raises:
        SessionDataError: A part is missing.
    """
    if not is_in_parts(data):
        return data
    marker = marker_of(data, what=what)
    parts = {part: text for generation, part, text in chunks if generation == marker.generation}
    # The count is not to be trusted with a loop: it may have been changed by hand.
    if len(parts) < marker.count or not all(part in parts for part in range(marker.count)):
        raise SessionDataError(
            f"{what} is stored in {marker.count} parts, of which {len(parts)} are there. Nothing was changed. Look at "
            "its rows in the chunks table, delete the row, or use another session id."
        )
    return "".join(parts[part] for part in range(marker.count))


class Parts:
    """The statements over the table of parts.

    Args:
        prefix: Starts the name of each table.
    """

    def __init__(self, prefix: str) -> None:
        p = self.prefix = prefix
        self._under_agent = under_revision(f"{p}agents", "agent_id")
        self._under_multi_agent = under_revision(f"{p}multi_agents", "multi_agent_id")
        self._in_session = f"CASE WHEN EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?) THEN ? END"

    def of(self, session_id: str, kind: ChunkKind, owner: str, message_id: int = 0) -> Statement:
        """The parts of one document: `owner, message_id, generation, part, data`."""
        return statement(
            f"SELECT owner, message_id, generation, part, data FROM {self.prefix}chunks "
            "WHERE session_id = ? AND kind = ? AND owner = ? AND message_id = ?",
            session_id,
            kind,
            owner,
            message_id,
        )

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
        stored one; with no revision, as before a first row, where the session has no row.
        """
        columns = "(session_id, kind, owner, message_id, generation, part, data)"
        key = "(session_id, kind, owner, message_id, generation, part)"
        guarded = self._under_multi_agent if kind == "multi_agent" else self._under_agent
        place = self._in_session if revision is None else guarded
        guard = (session_id,) if revision is None else (session_id, owner, revision)
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
                data,
            )
            for part, data in enumerate(document.parts)
        ]

    def drop(self, session_id: str, kind: ChunkKind, owner: str, message_id: int, *, but: str = "") -> Statement:
        """Delete a document's parts of every generation but one."""
        return statement(
            f"DELETE FROM {self.prefix}chunks "
            "WHERE session_id = ? AND kind = ? AND owner = ? AND message_id = ? AND generation <> ?",
            session_id,
            kind,
            owner,
            message_id,
            but,
        )
