"""The rows of messages: an agent's transcript."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..decoding import FoundParts, StoredMessage
from ..encoding import PARTS_MARKER, encode
from ..query import Query
from ._layout import revision_step
from ._parts import PARTS, Parts
from ._statements import keeping_created_at, statement, under_revision

if TYPE_CHECKING:
    from ...client import Statement
    from ..encoding import Document
    from ..query import Answers
    from ._keys import Keys


class Messages:
    """The statements over the table of messages.

    Args:
        prefix: Starts the name of each table.
        keys: The data keys of sessions.
    """

    def __init__(self, prefix: str, keys: Keys) -> None:
        p = self.prefix = prefix
        self._keys = keys
        self._seals = keys.seals
        values = f"VALUES (?, ?, {under_revision(p + 'agents', 'agent_id')}, ?"
        there = "ON CONFLICT (session_id, agent_id, message_id) DO UPDATE SET"
        self._add = f"INSERT INTO {p}messages (session_id, agent_id, message_id, data, live) {values}, ?)"
        self._put = f"{self._add} {there} data = excluded.data, live = excluded.live"
        self._put_live = (
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) {values}) {there} live = excluded.data"
        )
        self._parts = Parts(prefix, keys)

    def add(
        self, session_id: str, agent_id: str, message_id: int, data: str, live: str | None = None, *, revision: int
    ) -> Statement:
        """A new message; fails where one stands in its place, or where `revision` is not the stored one."""
        # The one statement of nearly every event: made here at once.
        if self._seals.is_on:
            data = self._sealed(session_id, agent_id, message_id, data)
            live = None if live is None else self._sealed(session_id, agent_id, message_id, live, "live")
        ids = (session_id, agent_id)
        return {"sql": self._add, "params": (*ids, *ids, revision, message_id, data, live)}

    def put(
        self,
        session_id: str,
        agent_id: str,
        message_id: int,
        data: str | None,
        live: str | None = None,
        *,
        revision: int,
    ) -> Statement:
        """A message's new content; fails where `revision` is not the stored one.

        Args:
            session_id: The session.
            agent_id: The agent.
            message_id: Its position.
            data: What was said; None where that stays as it is stored.
            live: What the model sees now; None where it sees what was said.
            revision: The agent's, as its writer knows it.
        """
        guard = (session_id, agent_id, session_id, agent_id, revision, message_id)
        if live is not None:
            live = self._sealed(session_id, agent_id, message_id, live, "live")
        if data is None:
            return statement(self._put_live, *guard, live)
        return statement(self._put, *guard, self._sealed(session_id, agent_id, message_id, data), live)

    def _sealed(self, session_id: str, agent_id: str, message_id: int, data: str, column: str = "data") -> str:
        """A message's document as it is stored."""
        return self._seals.text(session_id, data, "messages", agent_id, message_id, column)

    def append(self, session_id: str, agent_id: str, message_id: int, document: Document) -> list[Statement]:
        """A new message; fails without its agent, or where one stands in its place."""
        p = self.prefix
        row = statement(
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) VALUES "
            f"(?, (SELECT agent_id FROM {p}agents WHERE session_id = ? AND agent_id = ? AND {self._keys.held}), ?, ?)",
            session_id,
            session_id,
            agent_id,
            *self._keys.bounds(session_id),
            message_id,
            self._sealed(session_id, agent_id, message_id, document.data),
        )
        return [*self._parts.add(session_id, "message", agent_id, message_id, document), row]

    def replace(self, session_id: str, agent_id: str, message_id: int, document: Document) -> list[Statement]:
        """What was said in a message, anew; fails where none is there. Keeps `created_at`.

        The agent's revision goes up, so that a live writer notices.
        """
        p = self.prefix
        row = statement(
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) VALUES (?, ?, "
            f"(SELECT message_id FROM {p}messages WHERE session_id = ? AND agent_id = ? AND message_id = ? "
            f"AND {self._keys.held}), ?) "
            "ON CONFLICT (session_id, agent_id, message_id) DO UPDATE "
            f"SET data = {keeping_created_at(p + 'messages')}, live = NULL",
            session_id,
            agent_id,
            session_id,
            agent_id,
            message_id,
            *self._keys.bounds(session_id),
            self._sealed(session_id, agent_id, message_id, document.data),
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
            return next(iter(self._opened(answers, session_id, agent_id)), None)

        row = statement(
            f"SELECT message_id, data, live FROM {self.prefix}messages "
            "WHERE session_id = ? AND agent_id = ? AND message_id = ?",
            session_id,
            agent_id,
            message_id,
        )
        parts = self._parts.of(session_id, "message", agent_id, message_id)
        return self._keys.opening(session_id, Query([row, parts], read))

    def page(
        self, session_id: str, agent_id: str, *, limit: int | None = None, offset: int = 0
    ) -> Query[list[StoredMessage]]:
        """Messages by their place in the transcript, as they were said; a negative offset counts from its end."""
        source, order = f"{self.prefix}messages WHERE session_id = ? AND agent_id = ? ORDER BY message_id", "LIMIT ?"
        if offset < 0:
            rows = f"FROM (SELECT message_id, data FROM {source} DESC LIMIT ?) ORDER BY message_id {order}"
            params = (session_id, agent_id, -offset, -1 if limit is None else limit)
        else:
            rows = f"FROM {source} {order} OFFSET ?"
            params = (session_id, agent_id, -1 if limit is None else limit, offset)
        parts = (
            f"SELECT {PARTS} FROM {self.prefix}chunks WHERE session_id = ? "
            f"AND kind = 'message' AND owner = ? AND message_id IN (SELECT message_id {rows})"
        )
        query = Query(
            [
                statement(f"SELECT message_id, data {rows}", *params),
                statement(parts, session_id, agent_id, *params),
            ],
            lambda answers: self._opened(answers, session_id, agent_id),
        )
        return self._keys.opening(session_id, query)

    def _opened(self, answers: Answers, session_id: str, agent_id: str) -> list[StoredMessage]:
        rows, found = answers
        parts = FoundParts(self._seals.parts(session_id, found))
        return [StoredMessage.of(row, agent_id, parts) for row in self._seals.messages(session_id, rows, agent_id)]

    def find_blocks(
        self, session_id: str, before: Mapping[str, int], lengths: Sequence[int], start: str
    ) -> Query[list[tuple[str, StoredMessage]]]:
        """The messages that may hold content that is to be redacted, by agent; the reader of the rows compares them.

        The content itself may never have been sent, and is not: its blocks are looked for by their lengths. SQLite
        can't look into messages in parts: they are found too, with their parts where they have one.

        Args:
            session_id: The session.
            before: The agents, and the position after the last message of each to look at.
            lengths: The lengths of the blocks' JSON, in characters.
            start: Texts that begin with it may be longer.
        """
        p = self.prefix
        opening = encode({"text": start}, what="a text")[:-2]
        holds = (
            f"CASE WHEN substr({{0}}, 1, {len(PARTS_MARKER)}) = ? THEN 1 "
            "WHEN json_valid({0}) THEN EXISTS (SELECT 1 FROM json_each({0}, '$.message.content') AS b "
            f"WHERE length(b.value) IN (SELECT value FROM json_each(?)) OR substr(b.value, 1, {len(opening)}) = ?) END"
        )
        rows = (
            f"FROM json_each(?) AS known JOIN {p}messages AS m ON m.session_id = ? AND m.agent_id = known.key "
            f"AND m.message_id < known.value AND ({holds.format('m.data')} OR {holds.format('m.live')})"
        )
        held = (PARTS_MARKER, json.dumps(lengths), opening)
        params = (json.dumps(before), session_id, *held, *held)
        marker = f"{PARTS_MARKER}1,"
        parts = (
            f"SELECT c.kind, c.owner, c.message_id, c.generation, c.part, c.data {rows} JOIN {p}chunks AS c ON "
            "c.session_id = m.session_id AND c.kind IN ('live', 'message') AND c.owner = m.agent_id "
            "AND c.message_id = m.message_id "
            f"WHERE substr(CASE c.kind WHEN 'live' THEN m.live ELSE m.data END, 1, {len(marker)}) = ?"
        )

        def read(answers: Answers) -> list[tuple[str, StoredMessage]]:
            found, chunks = self._seals.messages(session_id, answers[0]), self._seals.parts(session_id, answers[1])
            parts_found = FoundParts(chunks)
            return [(row["agent_id"], StoredMessage.of(row, row["agent_id"], parts_found)) for row in found]

        return Query(
            [
                statement(f"SELECT m.agent_id, m.message_id, m.data, m.live {rows}", *params),
                statement(parts, *params, marker),
            ],
            read,
        )
