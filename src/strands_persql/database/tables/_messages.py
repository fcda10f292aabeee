"""The rows of messages: an agent's transcript."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._parts import MARKER, Parts
from ._statements import keeping_created_at, statement, under_revision

if TYPE_CHECKING:
    from ...client import Statement

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
        ids = (session_id, agent_id)
        return statement(self._add, *ids, *ids, revision, message_id, data)

    def put(self, session_id: str, agent_id: str, message_id: int, data: str, *, revision: int) -> Statement:
        """A message's new content; fails where `revision` is not the stored one."""
        ids = (session_id, agent_id)
        return statement(self._put, *ids, *ids, revision, message_id, data)

    def read_some(self, session_id: str, agent_id: str, message_ids: Iterable[int]) -> Statement:
        """Messages by their positions: `message_id, data`."""
        return statement(
            f"SELECT message_id, data FROM {self.prefix}messages WHERE session_id = ? AND agent_id = ? "
            "AND message_id IN (SELECT value FROM json_each(?)) ORDER BY message_id",
            session_id,
            agent_id,
            json.dumps(list(message_ids)),
        )

    def redact_copies(
        self, session_id: str, agent_id: str, role: str, raw: str, redacted: str, *, before: int
    ) -> Statement:
        """Overwrite every message of one role `before` a position whose content is exactly `raw` (JSON).

        Reads the agent's whole transcript: rows read are cheap, and redactions are rare.
        """
        return statement(
            f"UPDATE {self.prefix}messages SET data = json_set(data, '$.message.content', json(?)) "
            "WHERE session_id = ? AND agent_id = ? AND message_id < ? AND CASE WHEN json_valid(data) THEN "
            "json_extract(data, '$.message.role') = ? AND json_extract(data, '$.message.content') = ? END",
            redacted,
            session_id,
            agent_id,
            before,
            role,
            raw,
        )

    def find_copies(self, session_id: str, agent_id: str, role: str, length: int, *, before: int) -> Statement:
        """Messages of one role, `before` a position, whose content is so many characters of JSON: `message_id, data`.

        Finds the copies of a text that must not be sent.
        """
        return statement(
            f"SELECT message_id, data FROM {self.prefix}messages WHERE session_id = ? AND agent_id = ? "
            "AND message_id < ? AND CASE WHEN json_valid(data) THEN json_extract(data, '$.message.role') = ? "
            "AND length(json_extract(data, '$.message.content')) = ? END",
            session_id,
            agent_id,
            before,
            role,
            length,
        )

    def find_in_parts(self, session_id: str, agent_id: str, *, before: int) -> list[Statement]:
        """Messages `before` a position that are stored in parts: `message_id, data`; then all the agent's parts."""
        return [
            statement(
                f"SELECT message_id, data FROM {self.prefix}messages "
                f"WHERE session_id = ? AND agent_id = ? AND message_id < ? AND substr(data, 1, {len(MARKER)}) = ?",
                session_id,
                agent_id,
                before,
                MARKER,
            ),
            statement(
                f"SELECT owner, message_id, generation, part, data FROM {self.prefix}chunks "
                "WHERE session_id = ? AND kind = 'message' AND owner = ?",
                session_id,
                agent_id,
            ),
        ]

    def append(self, session_id: str, agent_id: str, message_id: int, data: str) -> Statement:
        """A new message; fails without its agent, or where one stands in its place."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) VALUES "
            f"(?, (SELECT agent_id FROM {p}agents WHERE session_id = ? AND agent_id = ?), ?, ?)",
            session_id,
            session_id,
            agent_id,
            message_id,
            data,
        )

    def replace(self, session_id: str, agent_id: str, message_id: int, data: str) -> Statement:
        """A message's new content; fails where none is there. Keeps `created_at`."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) VALUES (?, ?, "
            f"(SELECT message_id FROM {p}messages WHERE session_id = ? AND agent_id = ? AND message_id = ?), ?) "
            "ON CONFLICT (session_id, agent_id, message_id) DO UPDATE "
            f"SET data = {keeping_created_at(p + 'messages')}",
            session_id,
            agent_id,
            session_id,
            agent_id,
            message_id,
            data,
        )

    def read(self, session_id: str, agent_id: str, message_id: int) -> list[Statement]:
        """One message: `message_id, data`; then its parts."""
        p = self.prefix
        return [
            statement(
                f"SELECT message_id, data FROM {p}messages WHERE session_id = ? AND agent_id = ? AND message_id = ?",
                session_id,
                agent_id,
                message_id,
            ),
            self._parts.of(session_id, "message", agent_id, message_id),
        ]

    def page(self, session_id: str, agent_id: str, *, limit: int | None, offset: int) -> list[Statement]:
        """Messages by their place in the transcript: `message_id, data`; then their parts."""
        p = self.prefix
        page = (
            f"FROM {p}messages WHERE session_id = ? AND agent_id = ? ORDER BY message_id LIMIT ? OFFSET ?",
            (session_id, agent_id, -1 if limit is None else limit, offset),
        )
        return [
            statement(f"SELECT message_id, data {page[0]}", *page[1]),
            statement(
                f"SELECT owner, message_id, generation, part, data FROM {p}chunks WHERE session_id = ? "
                f"AND kind = 'message' AND owner = ? AND message_id IN (SELECT message_id {page[0]})",
                session_id,
                agent_id,
                *page[1],
            ),
        ]
