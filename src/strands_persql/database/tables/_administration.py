"""The statements of the administrative face over the tables of sessions: list, read, count, copy, move, delete."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._layout import revision_step
from ._parts import MARKER, Document
from ._statements import statement
from ._tables import Tables

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["PAGE_BYTES", "Administration"]

PAGE_BYTES = 4_000_000
"""The most characters of documents in one answer, less the last document, which comes whole."""

_NO_INTERRUPTS = '{"interrupts":{},"context":{},"activated":false}'
_REMOVED = "$.conversation_manager_state.removed_message_count"
_SUMMARY = "$.conversation_manager_state.summary_message"

Range = tuple[int, int | None]


class Administration:
    """The statements over the tables of one prefix.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        p = self.prefix = tables.prefix
        self._newest = len(tables.steps)
        # The newest message of an agent `a`: one seek from the end of its key.
        self._last = (
            f"(SELECT max(x.message_id) FROM {p}messages AS x "
            "WHERE x.session_id = a.session_id AND x.agent_id = a.agent_id)"
        )
        self._newest_message = (
            f"LEFT JOIN {p}messages AS m ON m.session_id = a.session_id AND m.agent_id = a.agent_id "
            f"AND m.message_id = {self._last}"
        )
        # What every write of an agent, Graph or Swarm changes.
        self._state = (
            "json_array((SELECT json_group_array(json_array(agent_id, revision, last)) FROM ("
            f"SELECT a.agent_id AS agent_id, a.revision AS revision, {self._last} AS last "
            f"FROM {p}agents AS a WHERE a.session_id = ? ORDER BY a.agent_id)), "
            f"(SELECT count(*) FROM {p}multi_agents WHERE session_id = ?))"
        )
        self._bytes = " + ".join(
            f"(SELECT coalesce(sum(length(CAST(b.data AS BLOB))), 0) FROM {p}{name} AS b "
            "WHERE b.session_id = page.session_id)"
            for name in ("sessions", "agents", "messages", "multi_agents", "chunks")
        )

    # Conditions

    def require(self, condition: str, *params: str | int) -> Statement:
        """Abort the transaction unless a condition holds; writes nothing where it does."""
        return statement(f"INSERT INTO {self.prefix}schema (version) SELECT NULL WHERE NOT ({condition})", *params)

    def require_version(self) -> Statement:
        """Abort the transaction unless the layout is the one these statements were made for."""
        return self.require(f"(SELECT max(version) FROM {self.prefix}schema) IS {self._newest}")

    def require_idle(self, session_id: str, last_active: str) -> Statement:
        """Abort the transaction if a session's rows say by now that it was active at another time than this."""
        summary = self._summaries("session_id = ?", "")
        return self.require(f"(SELECT last_active FROM ({summary})) IS ?", session_id, last_active)

    def require_state(self, session_id: str, state: str) -> Statement:
        """Abort the transaction if anybody wrote to a session since a `delete_page` answered this `state`."""
        return self.require(f"{self._state} IS ?", session_id, session_id, state)

    # Listing

    def list_sessions(
        self, *, above: str, inclusive: bool, below: str | None, limit: int, sizes: bool = False
    ) -> Statement:
        """A page of sessions in the order of their ids, from the newest rows of each.

        Answers `session_id, created_at, last_active, agents, messages, multi_agents, bytes`; times are "" where
        nothing tells.

        Args:
            above: Where the page begins.
            inclusive: Whether `above` itself may be in it.
            below: Where it ends at the latest; None for the end of the table.
            limit: The most sessions.
            sizes: Add up the bytes of their documents.
        """
        where = f"session_id {'>=' if inclusive else '>'} ?" + ("" if below is None else " AND session_id < ?")
        bounds = (above,) if below is None else (above, below)
        return statement(self._summaries(where, " LIMIT ?", sizes=sizes), *bounds, limit)

    def summary(self, session_id: str) -> Statement:
        """One session, as `list_sessions` answers it."""
        return statement(self._summaries("session_id = ?", ""), session_id)

    def _summaries(self, where: str, limit: str, *, sizes: bool = False) -> str:
        p = self.prefix
        return (
            "SELECT page.session_id AS session_id, page.created_at AS created_at, "
            "max(page.updated_at, page.created_at, "
            f"coalesce(max({_time('a.data')}), ''), coalesce(max({_time('m.data')}), '')) AS last_active, "
            "count(a.agent_id) AS agents, coalesce(sum(m.message_id + 1), 0) AS messages, "
            f"(SELECT count(*) FROM {p}multi_agents AS u WHERE u.session_id = page.session_id) AS multi_agents, "
            f"{self._bytes if sizes else 'NULL'} AS bytes "
            f"FROM (SELECT session_id, {_field('data', 'created_at')} AS created_at, "
            f"{_field('data', 'updated_at')} AS updated_at "
            f"FROM {p}sessions WHERE {where} ORDER BY session_id{limit}) AS page "
            f"LEFT JOIN {p}agents AS a ON a.session_id = page.session_id {self._newest_message} "
            "GROUP BY page.session_id ORDER BY page.session_id"
        )

    # Reading one session

    def read_sizes(self, session_id: str) -> Statement:
        """The bytes of a session's documents: `bytes`."""
        return statement(f"SELECT {self._bytes} AS bytes FROM (SELECT ? AS session_id) AS page", session_id)

    def read_agents(self, session_id: str, agent_id: str | None = None) -> list[Statement]:
        """Agents: `agent_id, revision, live_window, data, last_message_id, last_time`; then their parts."""
        p = self.prefix
        which, owner, params = (
            ("", "", (session_id,))
            if agent_id is None
            else (" AND a.agent_id = ?", " AND owner = ?", (session_id, agent_id))
        )
        return [
            statement(
                "SELECT a.agent_id AS agent_id, a.revision AS revision, a.live_window AS live_window, a.data AS data, "
                f"m.message_id AS last_message_id, {_time('m.data')} AS last_time "
                f"FROM {p}agents AS a {self._newest_message} WHERE a.session_id = ?{which} ORDER BY a.agent_id",
                *params,
            ),
            statement(
                f"SELECT owner, message_id, generation, part, data FROM {p}chunks "
                f"WHERE session_id = ? AND kind = 'agent'{owner}",
                *params,
            ),
        ]

    def list_agents(self, session_id: str) -> Statement:
        """The ids of a session's agents: `agent_id`."""
        return statement(f"SELECT agent_id FROM {self.prefix}agents WHERE session_id = ? ORDER BY agent_id", session_id)

    def nth_message(self, session_id: str, agent_id: str, skipped: int) -> Statement:
        """The position of the message after so many: `message_id`."""
        return statement(
            f"SELECT message_id FROM {self.prefix}messages WHERE session_id = ? AND agent_id = ? "
            "ORDER BY message_id LIMIT 1 OFFSET ?",
            session_id,
            agent_id,
            skipped,
        )

    def read_page(self, session_id: str, agent_id: str, ranges: Sequence[Range], limit: int) -> list[Statement]:
        """Messages of ranges of positions, in their order: `place, message_id, data, found`; then their parts.

        `place` is the number of the range, `found` how many messages the page would have if none were long. Of several
        ranges, all together hold no more than `limit` positions; of one, the page holds its first `limit` messages.
        """
        p = self.prefix
        size = (
            f"length(m.data) + CASE WHEN substr(m.data, 1, {len(MARKER)}) = '{MARKER}' THEN coalesce((SELECT "
            f"sum(length(c.data)) FROM {p}chunks AS c WHERE c.session_id = m.session_id AND c.kind = 'message' "
            "AND c.owner = m.agent_id AND c.message_id = m.message_id), 0) ELSE 0 END AS size"
        )
        if len(ranges) == 1:
            (low, high), place = ranges[0], "0"
            source = (
                f"FROM {p}messages AS m WHERE m.session_id = ? AND m.agent_id = ? AND m.message_id >= ? "
                "AND m.message_id <= ? ORDER BY m.message_id LIMIT ?"
            )
            params: tuple[str | int, ...] = (session_id, agent_id, low, _MOST if high is None else high, limit)
        else:
            place = "w.key"
            source = (
                f"FROM json_each(?) AS w CROSS JOIN {p}messages AS m ON m.session_id = ? AND m.agent_id = ? "
                "AND m.message_id >= json_extract(w.value, '$[0]') AND m.message_id <= json_extract(w.value, '$[1]')"
            )
            params = (json.dumps(ranges), session_id, agent_id)
        page = (
            "FROM (SELECT place, message_id, data, count(*) OVER () AS found, "
            "sum(size) OVER (ORDER BY place, message_id) - size AS preceding "
            f"FROM (SELECT {place} AS place, m.message_id AS message_id, m.data AS data, {size} {source})) "
            f"WHERE preceding < {PAGE_BYTES}"
        )
        return [
            statement(f"SELECT place, message_id, data, found {page} ORDER BY place, message_id", *params),
            statement(
                f"SELECT owner, message_id, generation, part, data FROM {p}chunks WHERE session_id = ? "
                f"AND kind = 'message' AND owner = ? AND message_id IN (SELECT message_id {page})",
                session_id,
                agent_id,
                *params,
            ),
        ]

    # Counting

    def usage(self, session_id: str) -> list[Statement]:
        """What the messages of each agent add up to, those in parts aside; then those in parts, and their parts.

        The first answers `agent_id, messages, in_parts, unread, reported, model_calls, tool_calls, tool_errors,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, latency_ms`; the others `agent_id,
        message_id, data` and `owner, message_id, generation, part, data`, of the first 4 MB.
        """
        p = self.prefix
        in_parts = f"substr(data, 1, {len(MARKER)}) = '{MARKER}'"
        meta = "$.message.metadata"
        number = "CASE WHEN typeof({0}) IN ('integer', 'real') THEN {0} ELSE 0 END"
        usage = {
            "input_tokens": "usage.inputTokens",
            "output_tokens": "usage.outputTokens",
            "cache_read_tokens": "usage.cacheReadInputTokens",
            "cache_write_tokens": "usage.cacheWriteInputTokens",
            "latency_ms": "metrics.latencyMs",
        }
        sums = ", ".join(
            f"sum({number.format(f'''json_extract(document, '{meta}.{path}')''')}) AS {name}"
            for name, path in usage.items()
        )
        blocks = "(SELECT count(*) FROM json_each(document, '$.message.content') AS b WHERE {0})"
        uses = blocks.format("b.type = 'object' AND json_type(b.value, '$.toolUse') IS NOT NULL")
        errors = blocks.format("b.type = 'object' AND json_extract(b.value, '$.toolResult.status') = 'error'")
        long = (
            "FROM (SELECT owner, message_id, generation, part, data, "
            "sum(length(data)) OVER (ORDER BY owner, message_id) AS total "
            f"FROM {p}chunks WHERE session_id = ? AND kind = 'message') WHERE total <= {PAGE_BYTES}"
        )
        return [
            statement(
                "SELECT agent_id, count(*) AS messages, sum(in_parts) AS in_parts, "
                "sum(document = '{}' AND NOT in_parts) AS unread, "
                f"sum(json_type(document, '{meta}.usage') IS 'object') AS reported, "
                "sum(json_extract(document, '$.message.role') IS 'assistant') AS model_calls, "
                f"sum({uses}) AS tool_calls, sum({errors}) AS tool_errors, {sums} FROM (SELECT agent_id, "
                f"{in_parts} AS in_parts, CASE WHEN json_valid(data) AND NOT {in_parts} THEN data ELSE '{{}}' END "
                f"AS document FROM {p}messages WHERE session_id = ?) GROUP BY agent_id",
                session_id,
            ),
            statement(
                f"SELECT agent_id, message_id, data FROM {p}messages WHERE session_id = ? "
                f"AND (agent_id, message_id) IN (SELECT owner, message_id {long}) AND {in_parts}",
                session_id,
                session_id,
            ),
            statement(f"SELECT owner, message_id, generation, part, data {long}", session_id),
        ]

    def count_rows(self, session_id: str) -> Statement:
        """All rows of a session: `rows`."""
        counts = " + ".join(
            f"(SELECT count(*) FROM {self.prefix}{name} WHERE session_id = page.session_id)"
            for name in ("sessions", "agents", "messages", "multi_agents", "chunks")
        )
        return statement(f"SELECT {counts} AS rows FROM (SELECT ? AS session_id) AS page", session_id)

    # Copying and moving

    def fork(
        self,
        session_id: str,
        new_id: str,
        *,
        agent_id: str | None,
        at: int | None,
        now: str,
        document: Document | None = None,
        sent: int = 0,
        revision: int = 0,
    ) -> list[Statement]:
        """Copy a session, or one agent of it, or that agent up to a message; the last statement answers its summary.

        Fails where the session, agent or message is missing, or the copy's id is taken; with `at` also where the
        agent's own document is in parts, which SQLite can't change. Then the changed `document` has to be given, with
        the `revision` that it was made from and `agent_id`. So many of its parts as were `sent` already, to the agent
        that is copied, move to the copy.
        """
        p = self.prefix
        one = agent_id is not None or at is not None
        # An id on its own, or the only agent there is.
        agent = "?" if agent_id is not None else f"(SELECT agent_id FROM {p}agents WHERE session_id = ?)"
        who = agent_id if agent_id is not None else session_id
        condition, owner, params = (
            (f" AND a.agent_id = {agent}", f" AND a.owner = {agent}", (session_id, who))
            if one
            else ("", "", (session_id,))
        )
        statements = [
            self.require_version(),
            statement(
                f"INSERT INTO {p}sessions (session_id, data) VALUES (?, (SELECT CASE WHEN json_valid(data) "
                "THEN json_set(data, '$.session_id', ?, '$.created_at', ?, '$.updated_at', ?) ELSE data END "
                f"FROM {p}sessions WHERE session_id = ?))",
                new_id,
                new_id,
                now,
                now,
                session_id,
            ),
        ]
        live_window, changed, up_to, up_to_part = "a.live_window", "a.data", "", ""
        if one:
            statements.append(
                self.require(f"(SELECT count(*) FROM {p}agents AS a WHERE a.session_id = ?{condition}) = 1", *params)
                if agent_id is not None
                else self.require(f"(SELECT count(*) FROM {p}agents WHERE session_id = ?) = 1", session_id)
            )
        if at is not None:
            statements.append(
                self.require(
                    f"EXISTS (SELECT 1 FROM {p}messages AS m JOIN {p}agents AS a ON a.session_id = m.session_id "
                    f"AND a.agent_id = m.agent_id WHERE m.session_id = ?{condition} AND m.message_id = {at:d} "
                    f"AND {_PLAIN if document is None else f'a.revision = {revision:d}'})",
                    *params,
                )
            )
            live_window = f"CASE WHEN a.live_window IS NOT NULL THEN {_cut_window(at, str(at))} END"
            changed = _cut_document(at, self._last) if document is None else "?"
            up_to, up_to_part = f" AND a.message_id <= {at:d}", f" AND (a.kind <> 'message' OR a.message_id <= {at:d})"
        if document is not None:
            up_to_part += " AND a.kind <> 'agent'"  # the changed document brings its own
        statements += [
            statement(
                f"INSERT INTO {p}agents (session_id, agent_id, revision, live_window, data) "
                # A random revision, as `first_revision` makes it.
                f"SELECT ?, a.agent_id, 1 + (random() & {(1 << 50) - 1}), {live_window}, "
                f"{_at_time(changed) if document is None else changed} "
                f"FROM {p}agents AS a WHERE a.session_id = ?{condition}",
                new_id,
                now if document is None else document.data,
                *params,
            ),
            statement(
                f"INSERT INTO {p}messages (session_id, agent_id, message_id, data) "
                f"SELECT ?, a.agent_id, a.message_id, a.data FROM {p}messages AS a "
                f"WHERE a.session_id = ?{condition}{up_to}",
                new_id,
                *params,
            ),
            statement(
                f"INSERT INTO {p}chunks (session_id, kind, owner, message_id, generation, part, data) "
                f"SELECT ?, a.kind, a.owner, a.message_id, a.generation, a.part, a.data FROM {p}chunks AS a "
                f"WHERE a.session_id = ?{owner}{up_to_part}{' AND a.kind <> ' + _MULTI_AGENT if one else ''}",
                new_id,
                *params,
            ),
        ]
        if document is not None and agent_id is not None:
            if sent:
                statements.append(
                    statement(
                        f"UPDATE {p}chunks SET session_id = ? WHERE session_id = ? AND kind = 'agent' AND owner = ? "
                        "AND message_id = 0 AND generation = ?",
                        new_id,
                        session_id,
                        agent_id,
                        document.generation,
                    )
                )
            statements += self._tables.parts.add(new_id, "agent", agent_id, 0, document)[sent:]
        if not one:
            statements.append(
                statement(
                    f"INSERT INTO {p}multi_agents (session_id, multi_agent_id, revision, data) "
                    f"SELECT ?, multi_agent_id, 1 + (random() & {(1 << 50) - 1}), data "
                    f"FROM {p}multi_agents WHERE session_id = ?",
                    new_id,
                    session_id,
                )
            )
        return [*statements, self.summary(new_id)]

    def rename(self, session_id: str, new_id: str, *, now: str) -> list[Statement]:
        """Move a session's rows to another id; the last statement answers its summary.

        Fails where the session is missing, or the id is taken.
        """
        p = self.prefix
        return [
            self.require_version(),
            self.require(f"EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?)", session_id),
            statement(
                f"UPDATE {p}sessions SET session_id = ?, data = CASE WHEN json_valid(data) "
                "THEN json_set(data, '$.session_id', ?, '$.updated_at', ?) ELSE data END WHERE session_id = ?",
                new_id,
                new_id,
                now,
                session_id,
            ),
            *(
                statement(
                    f"UPDATE {p}{name} SET session_id = ?, revision = revision + ? WHERE session_id = ?",
                    new_id,
                    revision_step(),
                    session_id,
                )
                for name in ("agents", "multi_agents")
            ),
            *(
                statement(f"UPDATE {p}{name} SET session_id = ? WHERE session_id = ?", new_id, session_id)
                for name in ("messages", "chunks")
            ),
            self.summary(new_id),
        ]

    def rewind(self, session_id: str, agent_id: str, to: int, *, now: str) -> Statement:
        """Cut an agent's live window after a message; answers its `agent_id` if that was done.

        Nothing is done where there is no such agent or message, or the agent's document is in parts.
        """
        p = self.prefix
        return statement(
            f"UPDATE {p}agents AS a SET revision = revision + ?, live_window = {_cut_window(to, self._last)}, "
            f"data = {_at_time(_cut_document(to, self._last))} WHERE a.session_id = ? AND a.agent_id = ? AND {_PLAIN} "
            f"AND EXISTS (SELECT 1 FROM {p}messages AS m WHERE m.session_id = a.session_id "
            f"AND m.agent_id = a.agent_id AND m.message_id = {to:d}) RETURNING agent_id",
            revision_step(),
            now,
            session_id,
            agent_id,
        )

    def read_cut(self, session_id: str, agent_id: str, at: int, *, forked: bool) -> list[Statement]:
        """An agent, and its live window as it is to be when it ends with a message.

        Answers `revision, data, is_windowed, live_window, is_live` (whether the message was in the window), `is_last`
        and `next_id`, or nothing where there is no such agent or message; then the agent's parts. Where the agent has
        no window, `live_window` and `is_live` hang on its document, and are right only where that is not in parts.
        """
        p = self.prefix
        return [
            statement(
                "SELECT a.revision AS revision, a.data AS data, a.live_window IS NOT NULL AS is_windowed, "
                f"{_cut_window(at, str(at) if forked else self._last)} AS live_window, {_is_live(at)} AS is_live, "
                f"{self._last} = {at:d} AS is_last, {self._last} + 1 AS next_id FROM {p}agents AS a "
                f"JOIN {p}messages AS m ON m.session_id = a.session_id AND m.agent_id = a.agent_id "
                f"AND m.message_id = {at:d} WHERE a.session_id = ? AND a.agent_id = ?",
                session_id,
                agent_id,
            ),
            self._tables.agents.read(session_id, agent_id)[1],
        ]

    def drop_generation(self, session_id: str, agent_id: str, generation: str) -> Statement:
        """Delete the parts of an agent's document that no row names, since what they were sent for was refused."""
        return statement(
            f"DELETE FROM {self.prefix}chunks WHERE session_id = ? AND kind = 'agent' AND owner = ? "
            "AND message_id = 0 AND generation = ?",
            session_id,
            agent_id,
            generation,
        )

    # Deleting

    def delete_page(self, session_id: str, *, messages: int, parts: int) -> list[Statement]:
        """Delete some of a session's rows, its messages from the last one backwards, and its own row last.

        As long as there are messages, their agents stay, with a raised revision, so that no live agent goes on, and
        with an empty history: whoever opens what a killed deletion has left begins after the messages that are still
        there, and never has them come back.

        Answers, a statement each: how many `rows` of messages and multi-agents go; nothing; nothing; a row for each
        agent gone; nothing; a row for each part gone; the `state` for `require_state`; a row if the session is gone.
        """
        p = self.prefix
        newest_first = "ORDER BY agent_id DESC, message_id DESC LIMIT ?"
        some_messages = f"SELECT agent_id, message_id FROM {p}messages WHERE session_id = ? {newest_first}"
        key = "kind, owner, message_id, generation, part"
        # A part goes when its document's row has gone.
        some_parts = (
            f"SELECT {key} FROM {p}chunks AS c WHERE session_id = ? AND CASE kind WHEN 'multi_agent' THEN 1 "
            f"WHEN 'agent' THEN NOT EXISTS (SELECT 1 FROM {p}agents AS a "
            "WHERE a.session_id = c.session_id AND a.agent_id = c.owner) "
            f"ELSE NOT EXISTS (SELECT 1 FROM {p}messages AS m WHERE m.session_id = c.session_id "
            "AND m.agent_id = c.owner AND m.message_id = c.message_id) END "
            "ORDER BY kind DESC, owner DESC, message_id DESC LIMIT ?"
        )
        return [
            statement(
                f"SELECT (SELECT count(*) FROM {p}multi_agents WHERE session_id = page.session_id) + "
                f"(SELECT count(*) FROM ({some_messages})) AS rows FROM (SELECT ? AS session_id) AS page",
                session_id,
                messages,
                session_id,
            ),
            statement(f"DELETE FROM {p}multi_agents WHERE session_id = ?", session_id),
            statement(
                f"DELETE FROM {p}messages WHERE session_id = ? AND (agent_id, message_id) IN ({some_messages})",
                session_id,
                session_id,
                messages,
            ),
            statement(
                f"DELETE FROM {p}agents WHERE session_id = ? "
                f"AND NOT EXISTS (SELECT 1 FROM {p}messages WHERE session_id = ?) RETURNING agent_id",
                session_id,
                session_id,
            ),
            statement(
                f"UPDATE {p}agents AS a SET revision = revision + ?, "
                f"live_window = json_array(json_array(coalesce({self._last} + 1, 0), NULL)), data = {_EMPTIED} "
                "WHERE a.session_id = ?",
                revision_step(),
                session_id,
            ),
            statement(
                f"DELETE FROM {p}chunks WHERE session_id = ? AND ({key}) IN ({some_parts}) RETURNING part",
                session_id,
                session_id,
                parts,
            ),
            statement(f"SELECT {self._state} AS state", session_id, session_id),
            statement(
                f"DELETE FROM {p}sessions WHERE session_id = ? "
                f"AND NOT EXISTS (SELECT 1 FROM {p}messages WHERE session_id = ?) "
                f"AND NOT EXISTS (SELECT 1 FROM {p}chunks WHERE session_id = ?) RETURNING session_id",
                session_id,
                session_id,
                session_id,
            ),
        ]


_MOST = (1 << 53) - 1  # no position is above it (documents.LARGEST_NUMBER)
_MULTI_AGENT = "'multi_agent'"
_PLAIN = f"json_valid(a.data) AND substr(a.data, 1, {len(MARKER)}) <> '{MARKER}'"
"""Whether an agent's own document stands whole in its row."""


def _field(column: str, name: str) -> str:
    return f"coalesce(CASE WHEN json_valid({column}) THEN json_extract({column}, '$.{name}') END, '')"


def _time(column: str) -> str:
    """When a row was written last, as far as it says; of a document in parts it says when it was created."""
    return (
        f"CASE WHEN json_valid({column}) THEN "
        f"coalesce(json_extract({column}, '$.updated_at'), json_extract({column}, '$.created_at')) END"
    )


def _at_time(document: str) -> str:
    """An agent's document with a new `updated_at`, the one parameter, where SQLite can read it."""
    return f"CASE WHEN {_PLAIN} THEN json_set({document}, '$.updated_at', ?) ELSE a.data END"


_EMPTIED = (
    f"CASE WHEN {_PLAIN} THEN json_replace(a.data, '{_REMOVED}', 0, '{_SUMMARY}', NULL, "
    f"'$._internal_state.interrupt_state', json('{_NO_INTERRUPTS}'), '$._internal_state.model_state', json('{{}}')) "
    "ELSE a.data END"
)
"""An agent's document as it is to be when its history is gone, where SQLite can read it."""

_WINDOW = "json_each(CASE WHEN json_valid(a.live_window) THEN a.live_window ELSE '[]' END) AS w"
_LOW = "json_extract(w.value, '$[0]')"
_HIGH = f"coalesce(json_extract(w.value, '$[1]'), {_MOST})"
_SKIPPED = f"coalesce(json_extract(a.data, '{_REMOVED}'), 0)"


def _place(at: int) -> str:
    """Which item of an agent's live window holds a message; NULL where none does."""
    return f"(SELECT min(w.key) FROM {_WINDOW} WHERE w.type = 'array' AND {_LOW} <= {at:d} AND {_HIGH} >= {at:d})"


def _is_live(at: int) -> str:
    """Whether a message is in an agent's live window; where there is none, by Strands' own rule."""
    return f"CASE WHEN a.live_window IS NULL THEN {_SKIPPED} <= {at:d} ELSE {_place(at)} IS NOT NULL END"


def _cut_window(at: int, last: str) -> str:
    """An agent's live window as it is to be when it ends with a message, and the next comes after the `last` one.

    A message that is not in the window is reached with all of the transcript before it.
    """
    end = f"CASE WHEN {last} > {at:d} THEN {at:d} END"  # an open end where the next message follows at once
    # Ranges don't overlap, so that one before the message's own either ends before it or begins after it.
    items = (
        f"(SELECT json_group_array(json(item)) FROM (SELECT CASE WHEN w.key = {_place(at)} "
        f"THEN json_array({_LOW}, {end}) ELSE w.value END AS item "
        f"FROM {_WINDOW} WHERE w.key <= {_place(at)} AND (w.type = 'object' OR {_LOW} <= {at:d}) ORDER BY w.key))"
    )
    unwindowed = (
        f"CASE WHEN json_type(a.data, '{_SUMMARY}') = 'object' THEN json_array(json_object('message', "
        f"json(json_extract(a.data, '{_SUMMARY}'))), json_array({_SKIPPED}, {end})) "
        f"ELSE json_array(json_array({_SKIPPED}, {end})) END"
    )
    cut = (
        f"CASE WHEN NOT ({_is_live(at)}) THEN json_array(json_array(0, {end})) "
        f"WHEN a.live_window IS NULL THEN {unwindowed} ELSE {items} END"
    )
    return f"CASE WHEN {last} > {at:d} THEN json_insert({cut}, '$[#]', json_array({last} + 1, NULL)) ELSE {cut} END"


def _cut_document(at: int, last: str) -> str:
    """An agent's document as it is to be when its history ends with a message.

    What hangs on the messages after it goes: open interrupts, what the model's server keeps; and where the message had
    left the live window, what the conversation manager knows of having removed it.
    """
    # Only what is there is replaced: other conversation managers have other fields.
    untouched = (
        f"CASE WHEN {_is_live(at)} THEN a.data ELSE json_replace(a.data, '{_REMOVED}', 0, '{_SUMMARY}', NULL) END"
    )
    return (
        f"CASE WHEN {last} > {at:d} OR NOT ({_is_live(at)}) THEN json_replace({untouched}, "
        f"'$._internal_state.interrupt_state', json('{_NO_INTERRUPTS}'), "
        "'$._internal_state.model_state', json('{}')) ELSE a.data END"
    )
