"""The tables of sessions: their layout, and the statements that restore and write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from secrets import randbits
from typing import TYPE_CHECKING, ClassVar, Literal

from ._parts import MARKER, Document
from ._statements import checked_prefix, statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = [
    "CHUNKS_AT_ONCE",
    "MESSAGES_AT_ONCE",
    "STEPS",
    "ChunkKind",
    "Tables",
    "first_revision",
    "revision_step",
]

MESSAGES_AT_ONCE = 5_000
"""The most messages that one request of a restore reads: an answer stands in the service's memory as a whole."""

CHUNKS_AT_ONCE = 8
"""The most parts of messages likewise; each may be a megabyte."""

ChunkKind = Literal["agent", "message", "multi_agent"]

_LARGEST = (1 << 63) - 1


def _first_layout(p: str) -> tuple[str, ...]:
    key = "PRIMARY KEY"
    return (
        f"CREATE TABLE IF NOT EXISTS {p}sessions (session_id TEXT NOT NULL {key}, data TEXT NOT NULL) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}agents (session_id TEXT NOT NULL, agent_id TEXT NOT NULL, "
        f"revision INTEGER NOT NULL, live_window TEXT, data TEXT NOT NULL, {key} (session_id, agent_id)) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}messages (session_id TEXT NOT NULL, agent_id TEXT NOT NULL, "
        f"message_id INTEGER NOT NULL, data TEXT NOT NULL, {key} (session_id, agent_id, message_id)) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}multi_agents (session_id TEXT NOT NULL, multi_agent_id TEXT NOT NULL, "
        f"revision INTEGER NOT NULL, data TEXT NOT NULL, {key} (session_id, multi_agent_id)) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}chunks (session_id TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, "
        "message_id INTEGER NOT NULL, generation TEXT NOT NULL, part INTEGER NOT NULL, data TEXT NOT NULL, "
        f"{key} (session_id, kind, owner, message_id, generation, part)) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}schema (version INTEGER NOT NULL {key}) WITHOUT ROWID",
    )


STEPS: tuple[Callable[[str], tuple[str, ...]], ...] = (_first_layout,)
"""How the layout came about: what each version added to the one before, given the prefix. Steps are only ever appended;
the table `schema` is the ledger of those that were taken, and the number of the last is the layout's version."""


def first_revision() -> int:
    """A revision to begin with. All stay exact where numbers are JavaScript's: below 2^53."""
    return 1 + randbits(50)


def revision_step() -> int:
    """How far the next revision is from the last."""
    return 1 + randbits(28)


class Tables:
    """The statements over the tables of one prefix.

    Args:
        prefix: Starts the name of each table.

    Raises:
        ValueError: The prefix is not safe inside SQL.
    """

    steps: ClassVar[tuple[Callable[[str], tuple[str, ...]], ...]] = STEPS

    def __init__(self, prefix: str = "strands_") -> None:
        p = self.prefix = checked_prefix(prefix)
        self.names = tuple(p + name for name in ("sessions", "agents", "messages", "multi_agents", "chunks", "schema"))

        # The revision of an agent's row if it is the one this writer knows, else NULL.
        known = f"(SELECT revision FROM {p}agents WHERE session_id = ? AND agent_id = ? AND revision = ?)"
        # A value (a message's position, a new revision) if this writer's revision is the stored one, else NULL.
        guarded = self._guarded = f"CASE WHEN {known} IS NOT NULL THEN ? END"
        # The same by a Graph's or Swarm's revision; and by no revision, if the session has a row.
        guarded_multi_agent = self._guarded_multi_agent = (
            f"CASE WHEN (SELECT revision FROM {p}multi_agents WHERE session_id = ? "
            "AND multi_agent_id = ? AND revision = ?) IS NOT NULL THEN ? END"
        )
        self._in_session = f"CASE WHEN EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?) THEN ? END"
        self._insert_message = (
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) VALUES (?, ?, {guarded}, ?)"
        )
        self._put_message = (
            f"{self._insert_message} ON CONFLICT (session_id, agent_id, message_id) DO UPDATE SET data = excluded.data"
        )
        # The same, if besides no message stands where this writer's next one will.
        unpassed = (
            f"CASE WHEN {known} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {p}messages "
            "WHERE session_id = ? AND agent_id = ? AND message_id >= ?) THEN ? END"
        )
        self._update_agent = (
            f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data) "
            f"VALUES (?, ?, {unpassed}, ?, ?) ON CONFLICT (session_id, agent_id) DO UPDATE "
            "SET revision = excluded.revision, live_window = excluded.live_window, data = excluded.data"
        )
        self._update_multi_agent = (
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, data) "
            f"VALUES (?, ?, {guarded_multi_agent}, ?) ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            "SET revision = excluded.revision, data = excluded.data"
        )
        # What the live window names, expanded by SQLite: [[0,null]] is all, [[0,0],[40,null]] the first and the rest.
        window = (
            f"FROM {p}agents AS a CROSS JOIN json_each(CASE WHEN a.live_window IS NULL THEN '{{0}}' "
            "WHEN json_valid(a.live_window) THEN a.live_window ELSE '[]' END) AS w"
        )
        within = (
            "w.type = 'array' AND {0}.message_id >= json_extract(w.value, '$[0]') "
            f"AND {{0}}.message_id <= coalesce(json_extract(w.value, '$[1]'), {_LARGEST})"
        )
        self._window_messages = (
            f"SELECT m.agent_id, m.message_id, m.data {window.format('[]')} CROSS JOIN {p}messages AS m "
            f"ON m.session_id = a.session_id AND m.agent_id = a.agent_id AND {within.format('m')}"
        )
        chunk_keys = "SELECT c.owner, c.message_id, c.generation, c.part"
        in_windows = (
            f"{window.format('[[0,null]]')} CROSS JOIN {p}chunks AS c ON c.session_id = a.session_id "
            f"AND c.kind = 'message' AND c.owner = a.agent_id AND {within.format('c')}"
        )
        self._window_chunk_keys = f"{chunk_keys} {in_windows}"
        self._window_chunks = f"{chunk_keys}, c.data {in_windows}"

    # Setting up

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The steps from one version of the layout to the newest, for one transaction; 0: from nothing.

        Harmless where they have been taken already.
        """
        return [
            statement(sql)
            for number, step in enumerate(self.steps, 1)
            if number > version
            for sql in (
                *step(self.prefix),
                f"INSERT INTO {self.prefix}schema (version) VALUES ({number}) ON CONFLICT (version) DO NOTHING",
            )
        ]

    def read_version(self) -> Statement:
        """The layout's version: one row, `version`."""
        return statement(f"SELECT max(version) AS version FROM {self.prefix}schema")

    # Sessions

    def create_session(self, session_id: str, data: str) -> Statement:
        """A session's row; fails where it stands already."""
        return statement(f"INSERT INTO {self.prefix}sessions (session_id, data) VALUES (?, ?)", session_id, data)

    def ensure_session(self, session_id: str, data: str) -> Statement:
        """A session's row, unless it stands already."""
        return statement(
            f"INSERT INTO {self.prefix}sessions (session_id, data) VALUES (?, ?) ON CONFLICT (session_id) DO NOTHING",
            session_id,
            data,
        )

    def read_session(self, session_id: str) -> Statement:
        """A session: `data`."""
        return statement(f"SELECT data FROM {self.prefix}sessions WHERE session_id = ?", session_id)

    def delete_session(self, session_id: str) -> list[Statement]:
        """Everything of one session; the last statement answers a row if the session stood there."""
        return [
            *(
                statement(f"DELETE FROM {self.prefix}{name} WHERE session_id = ?", session_id)
                for name in ("chunks", "messages", "agents", "multi_agents")
            ),
            statement(f"DELETE FROM {self.prefix}sessions WHERE session_id = ? RETURNING session_id", session_id),
        ]

    # Restoring: together one request

    def restore(self, session_id: str, agent_id: str | None = None) -> list[Statement]:
        """What an agent restores from, or all agents of a session.

        Answers, in this order: the layout's version; the agents (`agent_id, revision, live_window, data,
        last_message_id`); the messages in their live windows (`agent_id, message_id, data`, in no order); the messages
        of agents with no live window, by Strands' own rule (the conversation manager's removed messages are skipped,
        as far as SQLite could read how many: `removed` tells); and the parts of agents and of messages (`owner,
        message_id, generation, part, data`).

        Of either kind of messages it answers `MESSAGES_AT_ONCE` at most, and of their parts `CHUNKS_AT_ONCE`: where it
        answers as many, the rest is read by `messages_between`, `chunks_in_windows` and `chunks_between`.
        """
        p = self.prefix
        which = "a.session_id = ?" if agent_id is None else "a.session_id = ? AND a.agent_id = ?"
        owner = "" if agent_id is None else " AND owner = ?"
        params = (session_id,) if agent_id is None else (session_id, agent_id)
        removed = (
            "CASE WHEN json_valid(a.data) THEN "
            "json_extract(a.data, '$.conversation_manager_state.removed_message_count') END"
        )
        return [
            self.read_version(),
            statement(
                "SELECT a.agent_id, a.revision, a.live_window, a.data, "
                f"(SELECT max(m.message_id) FROM {p}messages AS m "
                f"WHERE m.session_id = a.session_id AND m.agent_id = a.agent_id) AS last_message_id "
                f"FROM {p}agents AS a WHERE {which}",
                *params,
            ),
            statement(f"{self._window_messages} WHERE {which} LIMIT ?", *params, MESSAGES_AT_ONCE),
            statement(
                "SELECT agent_id, message_id, data, removed FROM (SELECT m.agent_id, m.message_id, m.data, "
                f"coalesce({removed}, 0) AS removed, "
                "row_number() OVER (PARTITION BY m.agent_id ORDER BY m.message_id) AS place "
                f"FROM {p}agents AS a CROSS JOIN {p}messages AS m ON m.session_id = a.session_id "
                f"AND m.agent_id = a.agent_id WHERE {which} AND a.live_window IS NULL) WHERE place > removed LIMIT ?",
                *params,
                MESSAGES_AT_ONCE,
            ),
            statement(
                f"SELECT owner, message_id, generation, part, data FROM {p}chunks "
                f"WHERE session_id = ? AND kind = 'agent'{owner}",
                *params,
            ),
            statement(f"{self._window_chunks} WHERE {which} LIMIT ?", *params, CHUNKS_AT_ONCE),
        ]

    def messages_between(self, session_id: str, agent_id: str, low: int, high: int, *, limit: int) -> Statement:
        """The first messages of a range of positions, both ends included, in order: `message_id, data`."""
        return statement(
            f"SELECT message_id, data FROM {self.prefix}messages WHERE session_id = ? AND agent_id = ? "
            "AND message_id >= ? AND message_id <= ? ORDER BY message_id LIMIT ?",
            session_id,
            agent_id,
            low,
            high,
            limit,
        )

    def chunks_in_windows(self, session_id: str, agent_id: str | None = None) -> Statement:
        """Which parts of messages there are in live windows: `owner, message_id, generation, part`."""
        which = "a.session_id = ?" if agent_id is None else "a.session_id = ? AND a.agent_id = ?"
        params = (session_id,) if agent_id is None else (session_id, agent_id)
        return statement(f"{self._window_chunk_keys} WHERE {which}", *params)

    def chunks_between(
        self, session_id: str, agent_id: str, message_id: int, generation: str, low: int, high: int
    ) -> Statement:
        """Some parts of one message, both ends included: `owner, message_id, generation, part, data`."""
        return statement(
            f"SELECT owner, message_id, generation, part, data FROM {self.prefix}chunks WHERE session_id = ? "
            "AND kind = 'message' AND owner = ? AND message_id = ? AND generation = ? AND part >= ? AND part <= ?",
            session_id,
            agent_id,
            message_id,
            generation,
            low,
            high,
        )

    def restore_multi_agents(self, session_id: str, multi_agent_id: str | None = None) -> list[Statement]:
        """What a Graph or Swarm restores from, or all of a session.

        Answers the rows (`multi_agent_id, revision, data`), then their parts (`owner, message_id, generation, part,
        data`).
        """
        p = self.prefix
        params = (session_id,) if multi_agent_id is None else (session_id, multi_agent_id)
        return [
            statement(
                f"SELECT multi_agent_id, revision, data FROM {p}multi_agents WHERE session_id = ?"
                + ("" if multi_agent_id is None else " AND multi_agent_id = ?"),
                *params,
            ),
            statement(
                f"SELECT owner, message_id, generation, part, data FROM {p}chunks "
                "WHERE session_id = ? AND kind = 'multi_agent'" + ("" if multi_agent_id is None else " AND owner = ?"),
                *params,
            ),
        ]

    # Writing, each under the revision its writer knows

    def create_agent(
        self, session_id: str, agent_id: str, live_window: str | None, data: str, *, new_revision: int
    ) -> Statement:
        """An agent's first row; fails where it stands already."""
        return statement(
            f"INSERT INTO {self.prefix}agents (session_id, agent_id, revision, live_window, data) "
            "VALUES (?, ?, ?, ?, ?)",
            session_id,
            agent_id,
            new_revision,
            live_window,
            data,
        )

    def update_agent(
        self,
        session_id: str,
        agent_id: str,
        live_window: str | None,
        data: str,
        *,
        next_id: int,
        revision: int,
        new_revision: int,
    ) -> Statement:
        """An agent's row; fails where `revision` is not the stored one, no row is there, or a message at `next_id`."""
        ids = (session_id, agent_id)
        guard = (*ids, revision, *ids, next_id, new_revision)
        return statement(self._update_agent, *ids, *guard, live_window, data)

    def touch_agent(self, session_id: str, agent_id: str, *, revision: int, new_revision: int) -> Statement:
        """The revision alone.

        Goes with each rewritten message: a stale rewrite that reaches the database late is then refused.
        """
        return statement(
            f"UPDATE {self.prefix}agents SET revision = CASE WHEN revision = ? THEN ? END "
            "WHERE session_id = ? AND agent_id = ?",
            revision,
            new_revision,
            session_id,
            agent_id,
        )

    def add_message(self, session_id: str, agent_id: str, message_id: int, data: str, *, revision: int) -> Statement:
        """A new message; fails where one stands in its place, or where `revision` is not the stored one."""
        ids = (session_id, agent_id)
        return statement(self._insert_message, *ids, *ids, revision, message_id, data)

    def put_message(self, session_id: str, agent_id: str, message_id: int, data: str, *, revision: int) -> Statement:
        """A message's new content; fails where `revision` is not the stored one."""
        ids = (session_id, agent_id)
        return statement(self._put_message, *ids, *ids, revision, message_id, data)

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

    def create_multi_agent(self, session_id: str, multi_agent_id: str, data: str, *, new_revision: int) -> Statement:
        """A Graph's or Swarm's first row; fails where it stands already."""
        return statement(
            f"INSERT INTO {self.prefix}multi_agents (session_id, multi_agent_id, revision, data) VALUES (?, ?, ?, ?)",
            session_id,
            multi_agent_id,
            new_revision,
            data,
        )

    def update_multi_agent(
        self, session_id: str, multi_agent_id: str, data: str, *, revision: int, new_revision: int
    ) -> Statement:
        """A Graph's or Swarm's row; fails where `revision` is not the stored one."""
        ids = (session_id, multi_agent_id)
        return statement(self._update_multi_agent, *ids, *ids, revision, new_revision, data)

    # Strands' repository: rows by their ids, each method one request

    def add_agent(self, session_id: str, agent_id: str, data: str) -> Statement:
        """An agent's row with no window, as Strands' own managers write it; fails without its session, or twice."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data) VALUES "
            f"((SELECT session_id FROM {p}sessions WHERE session_id = ?), ?, ?, NULL, ?)",
            session_id,
            agent_id,
            first_revision(),
            data,
        )

    def replace_agent(self, session_id: str, agent_id: str, data: str) -> Statement:
        """An agent's row whatever its revision, with no window; fails where none is there. Keeps `created_at`."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data) VALUES "
            f"(?, ?, (SELECT revision FROM {p}agents WHERE session_id = ? AND agent_id = ?) + ?, NULL, ?) "
            "ON CONFLICT (session_id, agent_id) DO UPDATE SET revision = excluded.revision, live_window = NULL, "
            f"data = {_keeping_created_at(p + 'agents')}",
            session_id,
            agent_id,
            session_id,
            agent_id,
            revision_step(),
            data,
        )

    def read_agent(self, session_id: str, agent_id: str) -> list[Statement]:
        """An agent: `data`; then its parts."""
        return [
            statement(
                f"SELECT data FROM {self.prefix}agents WHERE session_id = ? AND agent_id = ?", session_id, agent_id
            ),
            self._chunks_of(session_id, "agent", agent_id),
        ]

    def append_message(self, session_id: str, agent_id: str, message_id: int, data: str) -> Statement:
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

    def replace_message(self, session_id: str, agent_id: str, message_id: int, data: str) -> Statement:
        """A message's new content; fails where none is there. Keeps `created_at`."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) VALUES (?, ?, "
            f"(SELECT message_id FROM {p}messages WHERE session_id = ? AND agent_id = ? AND message_id = ?), ?) "
            "ON CONFLICT (session_id, agent_id, message_id) DO UPDATE "
            f"SET data = {_keeping_created_at(p + 'messages')}",
            session_id,
            agent_id,
            session_id,
            agent_id,
            message_id,
            data,
        )

    def raise_revision(self, session_id: str, agent_id: str) -> Statement:
        """An agent's next revision, so that a writer who knows the last one notices."""
        return statement(
            f"UPDATE {self.prefix}agents SET revision = revision + ? WHERE session_id = ? AND agent_id = ?",
            revision_step(),
            session_id,
            agent_id,
        )

    def list_messages(self, session_id: str, agent_id: str, *, limit: int | None, offset: int) -> list[Statement]:
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

    def read_message(self, session_id: str, agent_id: str, message_id: int) -> list[Statement]:
        """One message: `message_id, data`; then its parts."""
        p = self.prefix
        return [
            statement(
                f"SELECT message_id, data FROM {p}messages WHERE session_id = ? AND agent_id = ? AND message_id = ?",
                session_id,
                agent_id,
                message_id,
            ),
            self._chunks_of(session_id, "message", agent_id, message_id),
        ]

    def put_multi_agent(self, session_id: str, multi_agent_id: str, data: str) -> Statement:
        """A Graph's or Swarm's row, new or over an old one; fails without its session."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, data) VALUES "
            f"((SELECT session_id FROM {p}sessions WHERE session_id = ?), ?, ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            f"SET revision = {p}multi_agents.revision + ?, data = excluded.data",
            session_id,
            multi_agent_id,
            first_revision(),
            data,
            revision_step(),
        )

    def replace_multi_agent(self, session_id: str, multi_agent_id: str, data: str) -> Statement:
        """A Graph's or Swarm's row whatever its revision; fails where none is there."""
        p = self.prefix
        return statement(
            f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, data) VALUES (?, ?, "
            f"(SELECT revision FROM {p}multi_agents WHERE session_id = ? AND multi_agent_id = ?) + ?, ?) "
            "ON CONFLICT (session_id, multi_agent_id) DO UPDATE "
            "SET revision = excluded.revision, data = excluded.data",
            session_id,
            multi_agent_id,
            session_id,
            multi_agent_id,
            revision_step(),
            data,
        )

    # Parts of long documents

    def _chunks_of(self, session_id: str, kind: ChunkKind, owner: str, message_id: int = 0) -> Statement:
        return statement(
            f"SELECT owner, message_id, generation, part, data FROM {self.prefix}chunks "
            "WHERE session_id = ? AND kind = ? AND owner = ? AND message_id = ?",
            session_id,
            kind,
            owner,
            message_id,
        )

    def add_chunks(
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
        guarded = self._guarded_multi_agent if kind == "multi_agent" else self._guarded
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

    def drop_chunks(self, session_id: str, kind: ChunkKind, owner: str, message_id: int, *, but: str = "") -> Statement:
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

    # Reading back, to tell a rival's write from a retry of our own

    def read_agents(self, session_id: str, agent_ids: Iterable[str]) -> Statement:
        """Agents as they are stored: `agent_id, revision, live_window, data, last_message_id`."""
        p = self.prefix
        return statement(
            "SELECT a.agent_id, a.revision, a.live_window, a.data, (SELECT max(m.message_id) "
            f"FROM {p}messages AS m WHERE m.session_id = a.session_id AND m.agent_id = a.agent_id) AS last_message_id "
            f"FROM {p}agents AS a WHERE a.session_id = ? AND a.agent_id IN (SELECT value FROM json_each(?))",
            session_id,
            json.dumps(list(agent_ids)),
        )

    def read_multi_agents(self, session_id: str, multi_agent_ids: Iterable[str]) -> Statement:
        """Graphs and Swarms as they are stored: `multi_agent_id, revision, data`."""
        return statement(
            f"SELECT multi_agent_id, revision, data FROM {self.prefix}multi_agents "
            "WHERE session_id = ? AND multi_agent_id IN (SELECT value FROM json_each(?))",
            session_id,
            json.dumps(list(multi_agent_ids)),
        )

    def read_messages(self, session_id: str, agent_id: str, message_ids: Iterable[int]) -> Statement:
        """Messages by their positions: `message_id, data`."""
        return statement(
            f"SELECT message_id, data FROM {self.prefix}messages WHERE session_id = ? AND agent_id = ? "
            "AND message_id IN (SELECT value FROM json_each(?)) ORDER BY message_id",
            session_id,
            agent_id,
            json.dumps(list(message_ids)),
        )

    # Whole tables, for tests and exports

    def dump(self, name: str) -> Statement:
        """A whole table in the order of its key."""
        keys = {
            "sessions": "session_id",
            "agents": "session_id, agent_id",
            "messages": "session_id, agent_id, message_id",
            "multi_agents": "session_id, multi_agent_id",
            "chunks": "session_id, kind, owner, message_id, generation, part",
            "schema": "version",
        }
        return statement(f"SELECT * FROM {self.prefix}{name} ORDER BY {keys[name]}")


def _keeping_created_at(table: str) -> str:
    """An upsert's new `data` with the old one's `created_at`, where both are whole documents that SQLite can read."""
    return (
        f"CASE WHEN json_valid(excluded.data) AND json_valid({table}.data) "
        f"AND json_extract({table}.data, '$.created_at') IS NOT NULL "
        "AND json_extract(excluded.data, '$.created_at') IS NOT NULL "
        f"THEN json_set(excluded.data, '$.created_at', json_extract({table}.data, '$.created_at')) "
        "ELSE excluded.data END"
    )
