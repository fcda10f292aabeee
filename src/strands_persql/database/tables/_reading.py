"""One stored session, read for people: its agents, its transcripts in pages, what it has used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..decoding import AgentRecord, FoundParts, StoredMessage
from ..encoding import PART_BYTES
from ..query import Query, Row
from ._listing import newest_message, written_at
from ._parts import PARTS
from ._statements import PAGE_BYTES, is_in_parts, session_facts, statement
from ._usage import METADATA, sum_of

if TYPE_CHECKING:
    from ..live_window import Range
    from ..query import Answers
    from ._tables import Tables


class Found(NamedTuple):
    """What is there of a session, an agent of it and a message of that.

    Attributes:
        session: Whether the session has a row.
        agent: Whether the agent has one.
        message: Whether the message has one.
        last: The position of the agent's last message; None where it has none.
    """

    session: bool
    agent: bool
    message: bool
    last: int | None


class MessagePage(NamedTuple):
    """Some messages of one agent.

    Attributes:
        messages: They.
        place: The number of the range that the last one was asked for in.
        found: How many messages the page would have if none were long.
    """

    messages: list[StoredMessage]
    place: int
    found: int


class UsageRows(NamedTuple):
    """What a session's messages add up to.

    Attributes:
        agent_ids: Its agents.
        sums: For each agent with messages the sums, named as in `Usage`, and `in_parts`: how many were left out.
        long: Those messages with their agents' ids, as far as they are among the first 4 MB.
    """

    agent_ids: list[str]
    sums: Mapping[str, Row]
    long: list[tuple[str, StoredMessage]]


class Reading:
    """The statements that read one session.

    Args:
        tables: The tables of sessions.
    """

    def __init__(self, tables: Tables) -> None:
        self._prefix = tables.prefix
        self._parts = tables.parts
        self._keys = tables.keys
        self._seals = tables.seals

    def find(self, session_id: str, agent_id: str | None = None, message_id: int = -1) -> Query[Found]:
        """What is there; where no agent is named, of the session's first one."""
        p = self._prefix
        agent = "?" if agent_id is not None else f"(SELECT min(agent_id) FROM {p}agents WHERE session_id = ?)"
        whose = f"WHERE session_id = ? AND agent_id = {agent}"
        ids = (session_id, session_id if agent_id is None else agent_id)
        found = statement(
            f"SELECT EXISTS (SELECT 1 FROM {p}sessions WHERE session_id = ?) AS session, "
            f"EXISTS (SELECT 1 FROM {p}agents {whose}) AS agent, "
            f"EXISTS (SELECT 1 FROM {p}messages {whose} AND message_id = ?) AS message, "
            f"(SELECT max(message_id) FROM {p}messages {whose}) AS last",
            session_id,
            *ids,
            *ids,
            message_id,
            *ids,
        )

        def read(answers: Answers) -> Found:
            (row,) = answers[0]
            return Found(bool(row["session"]), bool(row["agent"]), bool(row["message"]), row["last"])

        return Query([found], read)

    def agents(self, session_id: str, agent_id: str | None = None) -> Query[list[AgentRecord]]:
        """A session's agents in the order of their ids, or the one named."""
        p = self._prefix
        which, params = ("", (session_id,)) if agent_id is None else (" AND a.agent_id = ?", (session_id, agent_id))
        statements = [
            statement(
                "SELECT a.agent_id AS agent_id, a.revision AS revision, a.live_window AS live_window, a.data AS data, "
                f"a.rewinds AS rewinds, m.message_id AS last_message_id, {written_at('m.data')} AS last_time, "
                f"{session_facts(p, 'a')} FROM {p}agents AS a "
                f"LEFT JOIN {p}messages AS m ON m.session_id = a.session_id "
                f"AND m.agent_id = a.agent_id AND m.message_id = {newest_message(p)} "
                f"WHERE a.session_id = ?{which} ORDER BY a.agent_id",
                *params,
            ),
            self._parts.of(session_id, "agent", agent_id),
        ]

        def read(answers: Answers) -> list[AgentRecord]:
            rows, found = answers
            parts = FoundParts(self._seals.parts(session_id, found))
            return [AgentRecord.of(row, parts) for row in self._seals.agents(session_id, rows)]

        return self._keys.opening(session_id, Query(statements, read))

    def nth_message(self, session_id: str, agent_id: str, skipped: int) -> Query[int | None]:
        """The position of the message after so many; None where there are no more."""
        nth = statement(
            f"SELECT message_id FROM {self._prefix}messages WHERE session_id = ? AND agent_id = ? "
            "ORDER BY message_id LIMIT 1 OFFSET ?",
            session_id,
            agent_id,
            skipped,
        )
        return Query([nth], lambda answers: next((row["message_id"] for row in answers[0]), None))

    def page(self, session_id: str, agent_id: str, ranges: Sequence[Range], limit: int) -> Query[MessagePage]:
        """Messages of ranges of positions, each with both ends, in their order: as they were said, and as seen now.

        Of several ranges, all together hold no more than `limit` positions; of one, the page holds its first `limit`
        messages.
        """
        p = self._prefix
        params: tuple[str | int | None, ...]
        if len(ranges) == 1:
            place = "0"
            source = (
                f"FROM {p}messages AS m WHERE m.session_id = ? AND m.agent_id = ? AND m.message_id >= ? "
                "AND m.message_id <= ? ORDER BY m.message_id LIMIT ?"
            )
            params = (session_id, agent_id, *ranges[0], limit)
        else:
            place = "w.key"
            source = (
                f"FROM json_each(?) AS w CROSS JOIN {p}messages AS m ON m.session_id = ? AND m.agent_id = ? "
                "AND m.message_id >= json_extract(w.value, '$[0]') AND m.message_id <= json_extract(w.value, '$[1]')"
            )
            params = (json.dumps(ranges), session_id, agent_id)
        page = (
            "FROM (SELECT place, message_id, data, live, count(*) OVER () AS found, "
            "sum(size) OVER (ORDER BY place, message_id) - size AS preceding "
            f"FROM (SELECT {place} AS place, m.message_id AS message_id, m.data AS data, m.live AS live, "
            f"{MESSAGE_SIZE} {source})) WHERE preceding < {PAGE_BYTES}"
        )
        statements = [
            statement(f"SELECT place, message_id, data, live, found {page} ORDER BY place, message_id", *params),
            statement(
                f"SELECT {PARTS} FROM {p}chunks WHERE session_id = ? AND kind IN ('live', 'message') AND owner = ? "
                f"AND message_id IN (SELECT message_id {page})",
                session_id,
                agent_id,
                *params,
            ),
        ]

        def read(answers: Answers) -> MessagePage:
            rows, found = answers
            if not rows:
                return MessagePage([], 0, 0)
            parts = FoundParts(self._seals.parts(session_id, found))
            opened = self._seals.messages(session_id, rows, agent_id)
            messages = [StoredMessage.of(row, agent_id, parts) for row in opened]
            return MessagePage(messages, int(rows[-1]["place"]), rows[0]["found"])

        return self._keys.opening(session_id, Query(statements, read))

    def originals(self, session_id: str, agent_id: str, holding: str) -> Query[list[StoredMessage]]:
        """Messages as they were said of which the model sees something else now, the newest first, without their parts.

        Args:
            session_id: The session.
            agent_id: The agent.
            holding: What their document holds, an id for example; empty for all that are not in parts. Of either about
                4 MB.
        """
        p = self._prefix
        is_sealed = self._seals.is_on
        which = f"m.live IS NOT NULL AND NOT {is_in_parts('m.data')}"
        if holding and is_sealed:  # what a sealed document holds is told here, and of one in parts by the caller
            which = "m.live IS NOT NULL"
        elif holding:
            which = (
                f"instr(m.data, ?) > 0 OR EXISTS (SELECT 1 FROM {p}chunks AS c WHERE c.session_id = m.session_id "
                "AND c.kind = 'message' AND c.owner = m.agent_id AND c.message_id = m.message_id "
                "AND instr(c.data, ?) > 0)"
            )
        rows = statement(
            "SELECT message_id, data FROM (SELECT m.message_id, m.data, sum(length(m.data)) OVER "
            f"(ORDER BY m.message_id DESC) - length(m.data) AS preceding FROM {p}messages AS m WHERE m.session_id = ? "
            f"AND m.agent_id = ? AND ({which})) WHERE preceding < {PAGE_BYTES}",
            session_id,
            agent_id,
            *((holding, holding) if holding and not is_sealed else ()),
        )

        def read(answers: Answers) -> list[StoredMessage]:
            opened = self._seals.messages(session_id, answers[0], agent_id)
            found = [StoredMessage.of(row, agent_id, FoundParts()) for row in opened]
            return [each for each in found if each.in_parts or holding in each.data] if is_sealed else found

        return self._keys.opening(session_id, Query([rows], read))

    def usage(self, session_id: str) -> Query[UsageRows]:
        """What the messages of each agent add up to; those in parts come along, to be counted elsewhere."""
        p = self._prefix
        long = (
            f"FROM (SELECT {PARTS}, sum(length(data)) OVER (ORDER BY owner, message_id) AS total "
            f"FROM {p}chunks WHERE session_id = ? AND kind = 'message') WHERE total <= {PAGE_BYTES}"
        )
        statements = [
            statement(f"SELECT agent_id FROM {p}agents WHERE session_id = ? ORDER BY agent_id", session_id),
            statement(f"{_USAGE} FROM {p}messages WHERE session_id = ?) GROUP BY agent_id", session_id),
            statement(
                f"SELECT agent_id, message_id, data FROM {p}messages WHERE session_id = ? "
                f"AND (agent_id, message_id) IN (SELECT owner, message_id {long}) AND {_IN_PARTS}",
                session_id,
                session_id,
            ),
            statement(f"SELECT {PARTS} {long}", session_id),
        ]

        def read(answers: Answers) -> UsageRows:
            agents, sums, rows, found = answers
            parts = FoundParts(found)
            return UsageRows(
                [row["agent_id"] for row in agents],
                {row["agent_id"]: row for row in sums},
                [(row["agent_id"], StoredMessage.of(row, row["agent_id"], parts)) for row in rows],
            )

        return Query(statements, read)


def _size(column: str) -> str:
    size = f"json_extract({column}, '$.persql_parts') * {PART_BYTES}"
    return f"CASE WHEN {is_in_parts(column)} AND json_valid({column}) THEN {size} ELSE length({column}) END"


MESSAGE_SIZE = f"({_size('m.data')} + coalesce({_size('m.live')}, 0)) AS size"
"""The characters of a message `m`, as it was said and as it is seen now; of what is in parts, the most that these hold.

No part is read for it, not even its row.
"""

_IN_PARTS = is_in_parts("data")
_BLOCKS = "(SELECT count(*) FROM json_each(document, '$.message.content') AS b WHERE b.type = 'object' AND {0})"


_USAGE = (
    "SELECT agent_id, count(*) AS messages, sum(in_parts) AS in_parts, "
    "sum(document = '{}' AND NOT in_parts) AS unread, "
    f"sum(json_type(document, '{METADATA}.usage') IS 'object') AS reported, "
    "sum(json_extract(document, '$.message.role') IS 'assistant') AS model_calls, "
    f"sum({_BLOCKS.format('''json_type(b.value, '$.toolUse') IS NOT NULL''')}) AS tool_calls, "
    f"sum({_BLOCKS.format('''json_extract(b.value, '$.toolResult.status') = 'error' ''')}) AS tool_errors, "
    f"{sum_of('usage.inputTokens')} AS input_tokens, {sum_of('usage.outputTokens')} AS output_tokens, "
    f"{sum_of('usage.cacheReadInputTokens')} AS cache_read_tokens, "
    f"{sum_of('usage.cacheWriteInputTokens')} AS cache_write_tokens, {sum_of('metrics.latencyMs')} AS latency_ms "
    f"FROM (SELECT agent_id, {_IN_PARTS} AS in_parts, "
    f"CASE WHEN json_valid(data) AND NOT {_IN_PARTS} THEN data ELSE '{{}}' END AS document"
)
"""The sums of the messages that SQLite can read; the others count as `in_parts` or `unread`."""
