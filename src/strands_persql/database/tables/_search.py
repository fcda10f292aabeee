"""The full-text index over messages, and the statements that search with it and without.

The index, `{prefix}search`, is opt-in, since it makes each message cost several rows more. It never makes the write of
a message fail: to it, a row that SQLite can't read as JSON has no text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..query import Query, rows_as, unanswered
from ._excerpts import is_odd, message_in, text_of
from ._fts import create_triggers, matching, without_deleted_words
from ._statements import PAGE_BYTES, is_in_parts, statement
from ._texts import Texts, unparted

if TYPE_CHECKING:
    from ...client import Statement

EXCERPT = 1000
"""Characters that a search answers of each message it finds."""

MOST_SESSIONS = 1000
"""The most sessions whose messages are scanned where some are chosen: a user's newest, of all users the first."""


class MessageKey(NamedTuple):
    """Which message."""

    session_id: str
    agent_id: str
    message_id: int


class Within(NamedTuple):
    """Where a search looks: in one session, in those of one user, in those with a tag, or in all."""

    session_id: str | None = None
    user: str | None = None
    tag: str | None = None

    @property
    def is_chosen(self) -> bool:
        """Whether a session's own row tells if it is looked into."""
        return self.user is not None or self.tag is not None


class FoundMessage(NamedTuple):
    """A message that the index found, and part of its text: the better it matches, the higher is the score."""

    session_id: str
    agent_id: str
    message_id: int
    excerpt: str
    score: float
    role: str
    created_at: str


class ScannedMessage(NamedTuple):
    """A message and its text; `unread` says that the text has to be taken from the whole document, or its parts."""

    session_id: str
    agent_id: str
    message_id: int
    role: str
    created_at: str
    text: str
    unread: bool
    in_parts: bool

    @property
    def key(self) -> MessageKey:
        """Which message."""
        return MessageKey(self.session_id, self.agent_id, self.message_id)


class Search(Texts):
    """The index over the messages of one table prefix, and its statements.

    Args:
        prefix: Starts the name of each table.
    """

    def __init__(self, prefix: str) -> None:
        self._sessions, self._messages, self._chunks = f"{prefix}sessions", f"{prefix}messages", f"{prefix}chunks"
        key = {"session_id": "TEXT", "agent_id": "TEXT", "message_id": "INTEGER"}
        super().__init__(f"{prefix}search", self._messages, key, lambda row: text_of(f"{row}data"))

    def create(self, *, secure: bool) -> list[Statement]:
        """Create the index; harmless where it exists. See `FullText.create`."""
        # A session's own row is deleted last.
        merge = {"ended": (f"DELETE ON {self._sessions}", f"{without_deleted_words(self.name)['sql']};")}
        return [*super().create(secure=secure), *create_triggers(self.name, merge)]

    def drop(self) -> Query[None]:
        """Drop the index, its texts and its triggers."""
        ends = ("added", "changed", "moved", "deleted", "ended")  # the others go with the texts
        return unanswered(
            *(statement(f"DROP TRIGGER IF EXISTS {self.name}_{end}") for end in ends),
            *(statement(f"DROP TABLE IF EXISTS {table}") for table in (self.name, self.table)),
        )

    # Searching

    def search(
        self, words: Sequence[str], *, session_id: str | None, limit: int, around: str
    ) -> Query[list[FoundMessage]]:
        """Find the messages that have all of some words, or words that begin with them, best first.

        FTS5's own `snippet` takes time by the square of how often a message has a word.

        Args:
            words: The words.
            session_id: Of this session alone.
            limit: The most.
            around: Of a long text, the part round this word is answered, or else its beginning.
        """
        where, bounds = _of_session(session_id, "s.session_id")
        at = f"coalesce(nullif(instr(lower(s.text), ?), 0), instr(s.text, ?)) - {EXCERPT // 2}"
        index = self.name
        found = (
            f"SELECT s.session_id, s.agent_id, s.message_id, substr(s.text, max(1, {at}), {EXCERPT}) AS excerpt, "
            f"-{index}.rank AS score FROM {index} CROSS JOIN {self.table} AS s ON s.id = {index}.rowid "
            f"WHERE {index} MATCH ?{where} ORDER BY {index}.rank LIMIT ?"
        )
        described = statement(
            f"SELECT s.session_id AS session_id, s.agent_id AS agent_id, s.message_id AS message_id, s.excerpt "
            f"AS excerpt, s.score AS score, {_described('m.data')} FROM ({found}) AS s "
            f"LEFT JOIN {self._messages} AS m ON m.session_id = s.session_id AND m.agent_id = s.agent_id "
            "AND m.message_id = s.message_id ORDER BY s.score DESC, s.session_id, s.agent_id, s.message_id",
            around.lower(),
            around,
            matching(words, "AND", prefix_from=1),
            *bounds,
            limit,
        )
        return rows_as(FoundMessage, described)

    def find_in_parts(self, *, session_id: str | None, limit: int) -> Query[list[MessageKey]]:
        """Find the messages that are stored in parts, which no trigger can read."""
        where, bounds = _of_session(session_id, "session_id")
        in_parts = statement(
            f"SELECT DISTINCT session_id, owner AS agent_id, message_id FROM {self._chunks} "
            f"WHERE kind = 'message'{where} ORDER BY session_id, owner, message_id LIMIT ?",
            *bounds,
            limit,
        )
        return rows_as(MessageKey, in_parts)

    def has_more_sessions(self, user: str | None) -> Query[bool]:
        """Whether a user has more sessions than are scanned, or the whole database."""
        of_user, bounds = ("", ()) if user is None else ("WHERE user = ? ", (user,))
        more = statement(f"SELECT session_id FROM {self._sessions} {of_user}LIMIT 1 OFFSET {MOST_SESSIONS}", *bounds)
        return Query([more], lambda answers: bool(answers[0]))

    def scan(
        self, after: MessageKey, *, within: Within, limit: int, holding: Sequence[str] | None = None
    ) -> Query[list[ScannedMessage]]:
        """Read the next messages and their texts, in the order of their keys.

        Args:
            after: The message before them.
            within: Of these sessions alone.
            limit: The most.
            holding: Only those of which the index can't tell all words, as their texts are `unparted`, and only where
                these hold all of some words, in small letters.
        """
        bounds: tuple[str | int, ...]
        source, order = f"{self._messages} AS m", f"ORDER BY {self.key}"
        # In forms in which SQLite begins at the key, and not at a session's first message.
        if within.is_chosen:
            chosen, own = self._chosen(within)
            source, order = f"({chosen}) AS u CROSS JOIN {source} USING (session_id)", ""
            after_own = "CASE session_id WHEN ? THEN ? ELSE {} END"
            where = f"(agent_id, message_id) > ({after_own.format(repr(''))}, {after_own.format(-1)})"
            bounds = (*own, after.session_id, *after[:2], after.session_id, after.message_id)
        elif within.session_id is not None:
            where, bounds = "session_id = ? AND (agent_id, message_id) > (?, ?)", (within.session_id, *after[1:])
        else:
            where, bounds = f"({self.key}) > (?, ?, ?)", after
        if holding is not None:
            source = f"{self.table} AS s CROSS JOIN {source} USING ({self.key})"
            lacking = "SELECT 1 FROM json_each(?) AS w WHERE instr(lower(s.text), w.value) = 0"
            where = f"{where} AND {unparted('s.text')} AND NOT EXISTS ({lacking})"
            bounds = (*bounds, json.dumps(holding))
        unread = f"({is_in_parts('data')} OR {is_odd('data')})"
        page = (
            f"SELECT {self.key}, {_described('data')}, coalesce({text_of('data')}, '') AS text, "
            f"{unread} AS unread, {is_in_parts('data')} AS in_parts FROM {source} WHERE {where} {order} LIMIT ?"
        )
        # As many as are within the bytes that one request answers.
        short = statement(
            f"SELECT {self.key}, role, created_at, text, unread, in_parts FROM (SELECT *, "
            f"sum(length(text)) OVER (ORDER BY {self.key}) - length(text) AS preceding FROM ({page})) "
            f"WHERE preceding < {PAGE_BYTES} ORDER BY {self.key}",
            *bounds,
            limit,
        )
        return rows_as(ScannedMessage, short)

    def _chosen(self, within: Within) -> tuple[str, list[str | int]]:
        """The sessions to look into from an id on, in the order of their ids, which then is that of their messages."""
        ids = {"user": within.user, "session_id": within.session_id}
        given = {name: value for name, value in ids.items() if value is not None}
        where = f"WHERE {' AND '.join(f'{name} = ?' for name in given)} " if given else ""
        order = "session_id" if within.user is None else "active DESC, session_id DESC"
        some = f"SELECT session_id, tags FROM {self._sessions} {where}ORDER BY {order} LIMIT {MOST_SESSIONS}"
        tagged, bounds = "", list[str | int](given.values())
        if within.tag is not None:
            known = "json_each(CASE WHEN json_valid(tags) THEN tags ELSE '[]' END)"
            tagged = f"EXISTS (SELECT 1 FROM {known} AS t WHERE t.value = ?) AND "
            bounds.append(within.tag)
        return f"SELECT session_id FROM ({some}) WHERE {tagged}session_id >= ? ORDER BY session_id", bounds


def _of_session(session_id: str | None, column: str) -> tuple[str, tuple[str, ...]]:
    """A further condition that holds for one session alone."""
    return ("", ()) if session_id is None else (f" AND {column} = ?", (session_id,))


def _described(data: str) -> str:
    """SQL for a message's role and time; empty where the row is no JSON."""
    return ", ".join(
        f"CASE WHEN json_valid({data}) THEN coalesce(json_extract({data}, {path}), '') ELSE '' END AS {name}"
        for path, name in ((f"{message_in(data)} || '.role'", "role"), ("'$.created_at'", "created_at"))
    )
