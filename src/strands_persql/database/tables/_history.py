"""An agent's messages from the newest backwards, with what stands round a page of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..decoding import FoundParts, StoredMessage
from ..query import Query
from ._excerpts import message_in
from ._parts import PARTS
from ._reading import MESSAGE_SIZE
from ._statements import PAGE_BYTES, is_in_parts, is_sealed, statement

if TYPE_CHECKING:
    from ..query import Answers, Row
    from ._tables import Tables


class Neighbour(NamedTuple):
    """A message next to a page, read as far as the joining of calls and results needs it.

    Attributes:
        position: Its position.
        data: Its document, or one that has its role and the ids of its tool calls and results alone; None where it is
            stored in parts.
    """

    position: int
    data: str | None


class HistoryPage(NamedTuple):
    """Some messages of one agent, and those next to them.

    Attributes:
        messages: The newest first.
        older: Those before them, the newest first; none where the page has the first one.
        newer: Those after them, the oldest first; none where none of the last ones holds a call.
    """

    messages: list[StoredMessage]
    older: list[Neighbour]
    newer: list[Neighbour]


class History:
    """The statements that read messages backwards.

    Args:
        tables: The tables of sessions.
        around: How many messages on each side of a page are looked at.
    """

    def __init__(self, tables: Tables, around: int) -> None:
        self._prefix = tables.prefix
        self._keys = tables.keys
        self._seals = tables.seals
        self._around = around

    def page(self, session_id: str, agent_id: str | None, below: int, limit: int) -> Query[HistoryPage]:
        """The last messages before a position: about 4 MB, and one at least.

        Args:
            session_id: The session.
            agent_id: The agent; None for its first one.
            below: The position.
            limit: The most messages.
        """
        p, around = self._prefix, self._around
        agent = "?" if agent_id is not None else f"(SELECT min(agent_id) FROM {p}agents WHERE session_id = ?)"
        owner = (session_id, session_id if agent_id is None else agent_id)
        whose = f"m.session_id = ? AND m.agent_id = {agent}"
        before = f"FROM {p}messages AS m WHERE {whose} AND m.message_id < ? ORDER BY m.message_id DESC LIMIT"
        page = (
            f"FROM (SELECT *, place <= ? AND preceding < {PAGE_BYTES} AS inside FROM (SELECT *, "
            "row_number() OVER (ORDER BY message_id DESC) AS place, sum(size) OVER (ORDER BY message_id DESC) - size "
            "AS preceding FROM (SELECT m.agent_id AS agent_id, m.message_id AS message_id, m.data AS data, "
            f"m.live AS live, {MESSAGE_SIZE} {before} ?)))"
        )
        params = (limit, *owner, below, limit + around)
        statements = [
            statement(
                "SELECT agent_id, message_id, inside, CASE WHEN inside THEN live END AS live, CASE WHEN inside THEN "
                f"data ELSE {_OUTLINE} END AS data FROM (SELECT *, sum(inside) OVER () AS whole {page}) "
                f"WHERE place <= whole + {around} ORDER BY place",
                *params,
            ),
            statement(
                f"SELECT {PARTS} FROM {p}chunks AS m WHERE m.session_id = ? AND m.kind IN ('live', 'message') "
                f"AND m.owner = {agent} AND m.message_id IN (SELECT message_id {page} WHERE inside)",
                *owner,
                *params,
            ),
            statement(
                "SELECT m.agent_id AS agent_id, m.message_id AS message_id, "
                f"CASE WHEN instr(data, '\"toolResult\"') > 0 THEN data ELSE {_OUTLINE} END AS data "
                f"FROM {p}messages AS m WHERE {whose} AND m.message_id >= ? AND EXISTS "
                f"(SELECT 1 FROM (SELECT m.data AS data {before} {around}) WHERE {is_in_parts('data')} "
                f"OR {is_sealed('data')} OR instr(data, '\"toolUse\"') > 0) ORDER BY m.message_id LIMIT {around}",
                *owner,
                below,
                *owner,
                below,
            ),
        ]

        def read(answers: Answers) -> HistoryPage:
            rows, found, newer = answers
            rows, parts = self._seals.messages(session_id, rows), FoundParts(self._seals.parts(session_id, found))
            newer = self._seals.messages(session_id, newer)
            return HistoryPage(
                [StoredMessage.of(row, row["agent_id"], parts) for row in rows if row["inside"]],
                [_neighbour(row) for row in rows if not row["inside"]],
                [_neighbour(row) for row in newer],
            )

        return self._keys.opening(session_id, Query(statements, read))


def _neighbour(row: Row) -> Neighbour:
    return Neighbour(row["message_id"], row["data"])


def _only(key: str, *names: str) -> str:
    # json_extract makes numbers of true and false; anything else stays what it is.
    value = (
        "CASE json_type(b.value, '{0}') WHEN 'true' THEN json('true') WHEN 'false' THEN json('false') "
        "ELSE json_extract(b.value, '{0}') END"
    )
    fields = ", ".join(f"'{name}', {value.format(f'$.{key}.{name}')}" for name in names)
    return f"'{key}', json(CASE json_type(b.value, '$.{key}') WHEN 'object' THEN json_object({fields}) ELSE 'null' END)"


_OUTLINE = (
    f"CASE WHEN {is_in_parts('data')} THEN NULL WHEN {is_sealed('data')} THEN data "
    "WHEN json_valid(data) THEN json_object('message', json_object("
    f"'role', json_extract(data, {message_in('data')} || '.role'), 'content', "
    "json((SELECT json_group_array(json(json_object("
    f"{_only('toolUse', 'toolUseId', 'name')}, {_only('toolResult', 'toolUseId')}))) "
    f"FROM json_each(data, {message_in('data')} || '.content') AS b WHERE b.type = 'object')))) ELSE '{{}}' END"
)
"""The document of a message that holds of its content no more than the ids of calls and results; a sealed one whole."""
