"""The rows of messages: an agent's transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..decoding import FoundParts, StoredMessage
from ..encoding import PART_BYTES, PARTS_MARKER, is_strict
from ..query import Query
from ._layout import revision_step
from ._parts import Parts
from ._statements import keeping_created_at, statement, under_revision

if TYPE_CHECKING:
    from ...client import Statement
    from ..encoding import Document
    from ..query import Answers

__all__ = ["Messages"]


class Messages:
    """The statements over the table of messages.

    Args:
        prefix: Starts the name of each table.
    """

    def __init__(self, prefix: str) -> None:
        p = self.prefix = prefix
        self._add = (
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) "
            f"VALUES (?, ?, {under_revision(p + 'agents', 'agent_id')}, ?)"
        )
        self._put = f"{self._add} ON CONFLICT (session_id, agent_id, message_id) DO UPDATE SET data = excluded.data"
        self._parts = Parts(prefix)

    def add(self, session_id: str, agent_id: str, message_id: int, data: str, *, revision: int) -> Statement:
        """A new message; fails where one stands in its place, or where `revision` is not the stored one."""
        # The one statement of nearly every event: made here at once.
        return {"sql": self._add, "params": (session_id, agent_id, session_id, agent_id, revision, message_id, data)}

    def put(self, session_id: str, agent_id: str, message_id: int, data: str, *, revision: int) -> Statement:
        """A message's new content; fails where `revision` is not the stored one."""
        ids = (session_id, agent_id)
        return statement(self._put, *ids, *ids, revision, message_id, data)

    def append(self, session_id: str, agent_id: str, message_id: int, document: Document) -> list[Statement]:
        """A new message; fails without its agent, or where one stands in its place."""
        p = self.prefix
        row = statement(
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) VALUES "
            f"(?, (SELECT agent_id FROM {p}agents WHERE session_id = ? AND agent_id = ?), ?, ?)",
            session_id,
            session_id,
            agent_id,
            message_id,
            document.data,
        )
        return [*self._parts.add(session_id, "message", agent_id, message_id, document), row]

    def replace(self, session_id: str, agent_id: str, message_id: int, document: Document) -> list[Statement]:
        """A message's new content; fails where none is there. Keeps `created_at`.

        The agent's revision goes up, so that a live writer notices.
        """
        p = self.prefix
        row = statement(
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) VALUES (?, ?, "
            f"(SELECT message_id FROM {p}messages WHERE session_id = ? AND agent_id = ? AND message_id = ?), ?) "
            "ON CONFLICT (session_id, agent_id, message_id) DO UPDATE "
            f"SET data = {keeping_created_at(p + 'messages')}",
            session_id,
            agent_id,
            session_id,
            agent_id,
            message_id,
            document.data,
        )
        raised = statement(
            f"UPDATE {p}agents SET revision = revision + ? WHERE session_id = ? AND agent_id = ?",
            revision_step(),
            session_id,
            agent_id,
        )
        return [*self._parts.with_row(session_id, "message", agent_id, message_id, document, row), raised]

    def read(self, session_id: str, agent_id: str, message_id: int) -> Query[StoredMessage | None]:
        """One message; None where there is none."""

        def read(answers: Answers) -> StoredMessage | None:
            return next(iter(_messages(answers, agent_id)), None)

        row = statement(
            f"SELECT message_id, data FROM {self.prefix}messages "
            "WHERE session_id = ? AND agent_id = ? AND message_id = ?",
            session_id,
            agent_id,
            message_id,
        )
        return Query([row, self._parts.of(session_id, "message", agent_id, message_id)], read)

    def page(
        self, session_id: str, agent_id: str, *, limit: int | None = None, offset: int = 0
    ) -> Query[list[StoredMessage]]:
        """Messages by their place in the transcript."""
        rows = f"FROM {self.prefix}messages WHERE session_id = ? AND agent_id = ? ORDER BY message_id LIMIT ? OFFSET ?"
        params = (session_id, agent_id, -1 if limit is None else limit, offset)
        return self._with_parts(session_id, agent_id, rows, params)

    def find_copies(
        self, session_id: str, agent_id: str, role: str, raw: str, *, before: int
    ) -> Query[list[StoredMessage]]:
        """The messages that may hold a content that is to be redacted; the reader of the rows compares it.

        The content itself may never have been sent, and is not: it is looked for by its length. Messages in parts,
        which SQLite can't look into, are read whole, but those of several parts only where the content is that long.

        Args:
            session_id: The session.
            agent_id: The agent.
            role: Of the messages.
            raw: The content, as JSON.
            before: The position after the last message to look at.
        """
        marker = PARTS_MARKER if len(raw) * 5 > PART_BYTES or not is_strict(raw) else f"{PARTS_MARKER}1,"
        rows = (
            f"FROM {self.prefix}messages WHERE session_id = ? AND agent_id = ? AND message_id < ? "
            f"AND CASE WHEN substr(data, 1, {len(PARTS_MARKER)}) = ? THEN substr(data, 1, ?) = ? "
            "WHEN json_valid(data) THEN json_extract(data, '$.message.role') = ? "
            "AND length(json_extract(data, '$.message.content')) = ? END"
        )
        params = (session_id, agent_id, before, PARTS_MARKER, len(marker), marker, role, len(raw))
        return self._with_parts(session_id, agent_id, rows, params)

    def _with_parts(
        self, session_id: str, agent_id: str, rows: str, params: tuple[str | int, ...]
    ) -> Query[list[StoredMessage]]:
        """The messages of one agent that `rows` (`FROM …`) finds, each with its parts."""
        parts = (
            f"SELECT owner, message_id, generation, part, data FROM {self.prefix}chunks WHERE session_id = ? "
            f"AND kind = 'message' AND owner = ? AND message_id IN (SELECT message_id {rows})"
        )
        return Query(
            [
                statement(f"SELECT message_id, data {rows}", *params),
                statement(parts, session_id, agent_id, *params),
            ],
            lambda answers: _messages(answers, agent_id),
        )


def _messages(answers: Answers, agent_id: str) -> list[StoredMessage]:
    rows, found = answers
    parts = FoundParts(found)
    return [StoredMessage.of(row, agent_id, parts) for row in rows]
