"""What the newest messages of several sessions took: SQLite adds it up, but of sessions that are encrypted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...errors import EncryptionError
from ..decoding import FoundParts, StoredMessage
from ..query import Query
from ._listing import newest_message
from ._search import MessageKey
from ._statements import PAGE_BYTES, is_in_parts, statement

if TYPE_CHECKING:
    from ..query import Answers, Row
    from ._tables import Tables

METADATA = "$.message.metadata"
"""Where a document has what a model call reports."""


class DayOfUsage(NamedTuple):
    """What some messages of a session took that were stored on one day.

    Attributes:
        session_id: The session.
        day: The day, `"2026-11-28"`.
        answers: How many of them tell of tokens.
        input_tokens: Tokens sent to the model.
        output_tokens: Tokens it answered with.
    """

    session_id: str
    day: str
    answers: int
    input_tokens: int
    output_tokens: int


class UsageByDay(NamedTuple):
    """What some sessions took lately.

    Attributes:
        days: Of those that are stored in clear.
        sealed: The encrypted ones among them that can be opened.
        locked: How many others are encrypted.
    """

    days: list[DayOfUsage]
    sealed: list[str]
    locked: int


class SealedPage(NamedTuple):
    """Some messages of encrypted sessions.

    Attributes:
        messages: They, opened, each with its session's id; those in parts are left out.
        unread: How many can't be opened.
        end: The last one; None where there is none.
    """

    messages: list[tuple[str, StoredMessage]]
    unread: int
    end: MessageKey | None


def sum_of(path: str) -> str:
    """SQL for the sum of a number in the metadata of each `document`."""
    value = f"json_extract(document, '{METADATA}.{path}')"
    return f"sum(CASE WHEN typeof({value}) IN ('integer', 'real') THEN {value} ELSE 0 END)"


def usage_by_day(tables: Tables, session_ids: Sequence[str], newest: int) -> Query[UsageByDay]:
    """What the newest messages of each agent of some sessions took, by the day; it reads a row for each of them.

    Those in parts, and those that SQLite can't read, are left out.
    """
    p = tables.prefix
    days = statement(
        "SELECT session_id, day, count(*) AS answers, "
        f"{sum_of('usage.inputTokens')} AS input_tokens, {sum_of('usage.outputTokens')} AS output_tokens FROM "
        "(SELECT session_id, document, substr(json_extract(document, '$.created_at'), 1, 10) AS day FROM "
        f"(SELECT a.session_id AS session_id, CASE WHEN json_valid(m.data) AND NOT {is_in_parts('m.data')} "
        f"THEN m.data ELSE '{{}}' END AS document {_newest(p)}) "
        f"WHERE json_type(document, '{METADATA}.usage') IS 'object') "
        "WHERE day IS NOT NULL GROUP BY session_id, day",
        json.dumps(session_ids),
        newest,
    )
    keys = statement(
        f"SELECT s.session_id AS session_id, s.data_key AS data_key FROM json_each(?) AS chosen CROSS JOIN {p}sessions "
        "AS s ON s.session_id = chosen.value WHERE s.data_key IS NOT NULL",
        json.dumps(session_ids),
    )

    def read(answers: Answers) -> UsageByDay:
        found, sealed = answers
        opened = [row["session_id"] for row in sealed if _is_opened(tables, row)]
        return UsageByDay([DayOfUsage(**row) for row in found], opened, len(sealed) - len(opened))

    return Query([days, keys], read)


def _is_opened(tables: Tables, row: Row) -> bool:
    try:
        tables.seals.load(row["session_id"], [row])
    except EncryptionError:
        return False
    return True


def sealed_page(tables: Tables, session_ids: Sequence[str], newest: int, after: MessageKey) -> Query[SealedPage]:
    """The newest messages of each agent of some encrypted sessions, a page of them; it reads a row for each.

    Args:
        tables: The tables, which have had the sessions' keys from `usage_by_day`.
        session_ids: The sessions.
        newest: How many messages of each agent.
        after: The end of the page before; `MessageKey("", "", -1)` for the first one.
    """
    key = "a.session_id, a.agent_id, m.message_id"
    rows = statement(
        "SELECT session_id, agent_id, message_id, data FROM (SELECT a.session_id AS session_id, "
        "a.agent_id AS agent_id, m.message_id AS message_id, m.data AS data, "
        f"sum(length(m.data)) OVER (ORDER BY {key}) - length(m.data) AS preceding {_newest(tables.prefix)} "
        f"AND NOT {is_in_parts('m.data')} AND ({key}) > (?, ?, ?)) "
        f"WHERE preceding < {PAGE_BYTES} ORDER BY session_id, agent_id, message_id",
        json.dumps(session_ids),
        newest,
        *after,
    )

    def read(answers: Answers) -> SealedPage:
        found = answers[0]
        opened = [_opened(tables, row) for row in found]
        messages = [each for each in opened if each is not None]
        end = MessageKey(*(found[-1][name] for name in MessageKey._fields)) if found else None
        return SealedPage(messages, len(opened) - len(messages), end)

    return Query([rows], read)


def _opened(tables: Tables, row: Row) -> tuple[str, StoredMessage] | None:
    """A message with its session's id; None where it can't be opened."""
    session_id, agent_id = row["session_id"], row["agent_id"]
    try:
        (opened,) = tables.seals.messages(session_id, [row], agent_id)
    except EncryptionError:
        return None
    return session_id, StoredMessage.of(opened, agent_id, FoundParts())


def _newest(prefix: str) -> str:
    """The SQL that chooses the newest messages `m` of each agent `a` of some sessions: a JSON list, and how many."""
    return (
        f"FROM json_each(?) AS s CROSS JOIN {prefix}agents AS a ON a.session_id = s.value "
        f"CROSS JOIN {prefix}messages AS m ON m.session_id = a.session_id AND m.agent_id = a.agent_id "
        f"AND m.message_id > {newest_message(prefix)} - ?"
    )
