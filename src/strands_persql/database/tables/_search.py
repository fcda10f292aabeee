"""The full-text index over messages, and the statements that search with it and without.

    {prefix}search_texts   one row for each message that has any text: its key, and the text
    {prefix}search         FTS5 over those texts, of which it keeps no copy

The index is opt-in, since it makes each message cost several rows more. Triggers keep it current, whoever writes
messages. They never make the write of a message fail: to them, a row that SQLite can't read as JSON has no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..encoding import PARTS_MARKER
from ..query import Answers, Query, rows_as, unanswered
from ._fts import FullText, matching
from ._objects import ObjectTables
from ._reading import PAGE_BYTES
from ._statements import statement

__all__ = ["FoundMessage", "IndexState", "MessageKey", "ScannedMessage", "Search"]

EXCERPT = 1000
"""Characters that a search answers of each message it finds."""

_TRIGGERS = (
    *("filled", "learnt", "forgotten", "scrubbed", "rewritten"),
    *("added", "changed", "moved", "deleted", "ended"),
)
"""The ends of all triggers' names."""


def text_of(data: str) -> str:
    """SQL for the text of a message's row: its text blocks, the strings in tool inputs, and what tools answered.

    A row with a `redact_message` has the text of that. For escapes that SQLite makes no text of, there are other
    characters: it ends a text at a NUL, and makes invalid UTF-8 of half a surrogate pair.
    """
    odd = f"(instr({data}, '\\u0000') > 0 OR {_is_odd(data)})"
    # A text may spell an escape: the escaped backslashes are put aside, as a character that can't stand in JSON.
    plain = f"replace({data}, '\\\\', char(1))"
    for escape, instead in (("\\u0000", " "), ("\\ud", "\\ufffd"), ("\\uD", "\\ufffd")):
        plain = f"replace({plain}, '{escape}', '{instead}')"
    plain = f"replace({plain}, char(1), '\\\\')"
    return (
        "(SELECT group_concat(t.atom, char(10)) FROM json_tree("
        f"CASE WHEN json_valid({data}) THEN CASE WHEN {odd} THEN {plain} ELSE {data} END ELSE 'null' END, "
        f"{_message_in(data)} || '.content') AS t WHERE t.type = 'text' "
        "AND (t.key = 'text' OR ((instr(t.fullkey, '.toolUse.input') > 0 "
        "OR (instr(t.fullkey, '.toolResult.content') > 0 AND instr(t.fullkey, '.json') > 0)) "
        f"AND NOT (t.key = 'data' AND instr({data}, '__bytes_encoded__') > 0))))"
    )


def _message_in(data: str) -> str:
    """SQL for the JSON path of the message as the model sees it."""
    return (
        f"CASE WHEN json_valid({data}) THEN CASE json_type({data}, '$.redact_message') WHEN 'object' "
        "THEN '$.redact_message' ELSE '$.message' END ELSE '$.message' END"
    )


def _is_odd(data: str) -> str:
    """SQL for whether a row holds escaped surrogates."""
    # The escaped backslashes are taken out first: a text may spell \ud itself.
    return f"(instr(lower(replace({data}, '\\\\', '')), '\\ud') > 0)"


class MessageKey(NamedTuple):
    """Which message."""

    session_id: str
    agent_id: str
    message_id: int


class IndexState(NamedTuple):
    """What there is of the index in a database.

    Attributes:
        begun: Something.
        current: The index, with the triggers that keep it current.
        complete: The index is current, and has every message.
        needs_merging: Its SQLite is older than 3.42, which leaves deleted words in the index until it is merged.
        of_objects: There is an index of objects.
    """

    begun: bool
    current: bool
    complete: bool
    needs_merging: bool
    of_objects: bool


class PageEnd(NamedTuple):
    """The last message of a page, and how many there are in it."""

    key: MessageKey
    messages: int


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
    """A message and its text; `unread` says that the text has to be taken from the whole document."""

    session_id: str
    agent_id: str
    message_id: int
    role: str
    created_at: str
    text: str
    unread: bool

    @property
    def key(self) -> MessageKey:
        """Which message."""
        return MessageKey(self.session_id, self.agent_id, self.message_id)


class Search:
    """The index over the messages of one table prefix, and its statements.

    Args:
        prefix: Starts the name of each table.
    """

    def __init__(self, prefix: str) -> None:
        self._sessions, self._messages, self._chunks = f"{prefix}sessions", f"{prefix}messages", f"{prefix}chunks"
        self._texts = f"{prefix}search_texts"
        self._index = FullText(f"{prefix}search", ["text"], f"content='{self._texts}'", "content_rowid='id'")
        self._of_objects = f"{prefix}{ObjectTables.INDEX[0]}"
        self._columns = "session_id, agent_id, message_id"

    # The index itself

    def find(self) -> Query[IndexState]:
        """Look what there is of the index: its table and its triggers."""
        index = self._index.name

        def read(answers: Answers) -> IndexState:
            found = {row["name"] for row in answers[0]}
            names = {name.removeprefix(index) for name in found - {self._of_objects}}
            current = "" in names and bool(names & {"_rewritten", "_scrubbed"})
            complete = current and "_filled" in names
            return IndexState(bool(names), current, complete, "_scrubbed" in names, self._of_objects in found)

        names = [f"{index}{suffix}" for suffix in ("", "_rewritten", "_scrubbed", "_filled")]
        master = "SELECT name FROM sqlite_master WHERE name IN (?, ?, ?, ?, ?)"
        return Query([statement(master, *names, self._of_objects)], read)

    def create(self) -> Query[None]:
        """Create the tables of the index; harmless where they exist."""
        texts = (
            f"CREATE TABLE IF NOT EXISTS {self._texts} (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, "
            f"agent_id TEXT NOT NULL, message_id INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE ({self._columns}))"
        )
        return unanswered(statement(texts), self._index.create())

    def delete_securely(self) -> Query[None]:
        """Have the index drop deleted words at once; fails before SQLite 3.42."""
        return unanswered(self._index.delete_securely())

    def merge(self) -> Query[None]:
        """Merge the index, so that no deleted words are left in it."""
        return unanswered(self._index.merge())

    def create_triggers(self, *, merging: bool) -> Query[None]:
        """Create the triggers that keep the index current; harmless where they exist.

        Args:
            merging: Merge the index when a message was rewritten or a session deleted, since SQLite doesn't delete
                words securely.
        """
        texts, index, messages = self._texts, self._index, self._messages
        of_old = "session_id = old.session_id AND agent_id = old.agent_id AND message_id = old.message_id"
        forget = index.remove("VALUES ('delete', old.id, old.text)") + ";"
        learn = index.add("VALUES (new.id, new.text)") + ";"
        merge = index.merge()["sql"] + ";"
        enter = (
            f"INSERT INTO {texts} ({self._columns}, text) SELECT new.session_id, new.agent_id, new.message_id, text "
            f"FROM (SELECT {text_of('new.data')} AS text) WHERE text <> '' ON CONFLICT ({self._columns})"
        )
        add = f"{enter} DO UPDATE SET text = excluded.text;"
        # While the index is being filled, a message may move to a key that the filling has passed already.
        enter_moved = f"{enter} DO NOTHING;"
        move = (
            f"UPDATE {texts} SET session_id = new.session_id, agent_id = new.agent_id, message_id = new.message_id "
            f"WHERE {of_old};"
        )
        clear = (
            f"UPDATE {texts} SET text = '' WHERE session_id = new.session_id AND agent_id = new.agent_id "
            f"AND message_id = new.message_id AND coalesce({text_of('new.data')}, '') = '';"
        )
        rewritten = f"UPDATE OF text ON {texts} WHEN old.text <> new.text"
        triggers = {
            "learnt": (f"INSERT ON {texts}", learn),
            "forgotten": (f"DELETE ON {texts}", forget),
            "scrubbed" if merging else "rewritten": (rewritten, f"{forget} {learn} {merge if merging else ''}"),
            "added": (f"INSERT ON {messages}", add),
            "changed": (f"UPDATE OF data ON {messages}", f"{clear} {add}"),
            "moved": (f"UPDATE OF {self._columns} ON {messages}", f"{move} {enter_moved}"),
            "deleted": (f"DELETE ON {messages}", f"DELETE FROM {texts} WHERE {of_old};"),
        }
        if merging:  # a session's own row is deleted last
            triggers["ended"] = (f"DELETE ON {self._sessions}", merge)
        return unanswered(
            *(
                statement(f"CREATE TRIGGER IF NOT EXISTS {index.name}_{name} AFTER {event} BEGIN {body} END")
                for name, (event, body) in triggers.items()
            )
        )

    def mark_complete(self) -> Query[None]:
        """Mark the index as having every message, by one more trigger, which costs no writer anything.

        The trigger keeps the texts' numbers, by which the index knows them, from being changed by hand.
        """
        mark = (
            f"CREATE TRIGGER IF NOT EXISTS {self._index.name}_filled BEFORE UPDATE OF id ON {self._texts} "
            "BEGIN SELECT RAISE(ABORT, 'the search index knows texts by their id'); END"
        )
        return unanswered(statement(mark))

    def drop(self) -> Query[None]:
        """Drop the index, its texts and its triggers."""
        index = self._index.name
        return unanswered(
            *(statement(f"DROP TRIGGER IF EXISTS {index}_{name}") for name in _TRIGGERS),
            *(statement(f"DROP TABLE IF EXISTS {table}") for table in (index, self._texts)),
        )

    def fill(self, after: MessageKey, limit: int) -> Query[PageEnd | None]:
        """Enter the messages of one page that the index lacks; None where there is no message behind `after`."""

        def read(answers: Answers) -> PageEnd | None:
            for row in answers[-1]:
                return PageEnd(MessageKey(row["session_id"], row["agent_id"], row["message_id"]), row["place"])
            return None

        page = (
            f"SELECT {self._columns}, data FROM {self._messages} WHERE ({self._columns}) > (?, ?, ?) "
            f"ORDER BY {self._columns} LIMIT ?"
        )
        enter = (
            f"INSERT INTO {self._texts} ({self._columns}, text) SELECT {self._columns}, text FROM "
            f"(SELECT {self._columns}, {text_of('data')} AS text FROM ({page})) WHERE text <> '' "
            f"ON CONFLICT ({self._columns}) DO NOTHING"
        )
        last = (
            f"SELECT {self._columns}, place FROM (SELECT {self._columns}, row_number() OVER "
            f"(ORDER BY {self._columns}) AS place FROM ({page})) ORDER BY place DESC LIMIT 1"
        )
        return Query([statement(enter, *after, limit), statement(last, *after, limit)], read)

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
        index = self._index.name
        found = (
            f"SELECT s.session_id, s.agent_id, s.message_id, substr(s.text, max(1, {at}), {EXCERPT}) AS excerpt, "
            f"-{index}.rank AS score FROM {index} CROSS JOIN {self._texts} AS s ON s.id = {index}.rowid "
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

    def scan(self, after: MessageKey, *, session_id: str | None, limit: int) -> Query[list[ScannedMessage]]:
        """Read the next messages and their texts, in the order of their keys."""
        bounds: tuple[str | int, ...]
        if session_id is None:
            where, bounds = f"({self._columns}) > (?, ?, ?)", after
        else:  # in the form in which SQLite begins at the key, and not at the session's first message
            where, bounds = "session_id = ? AND (agent_id, message_id) > (?, ?)", (session_id, *after[1:])
        unread = f"(substr(data, 1, {len(PARTS_MARKER)}) = '{PARTS_MARKER}' OR {_is_odd('data')})"
        page = (
            f"SELECT {self._columns}, {_described('data')}, coalesce({text_of('data')}, '') AS text, "
            f"{unread} AS unread FROM {self._messages} WHERE {where} ORDER BY {self._columns} LIMIT ?"
        )
        # As many as are within the bytes that one request answers.
        short = statement(
            f"SELECT {self._columns}, role, created_at, text, unread FROM (SELECT *, "
            f"sum(length(text)) OVER (ORDER BY {self._columns}) - length(text) AS preceding FROM ({page})) "
            f"WHERE preceding < {PAGE_BYTES} ORDER BY {self._columns}",
            *bounds,
            limit,
        )
        return rows_as(ScannedMessage, short)


def _of_session(session_id: str | None, column: str) -> tuple[str, tuple[str, ...]]:
    """A further condition that holds for one session alone."""
    return ("", ()) if session_id is None else (f" AND {column} = ?", (session_id,))


def _described(data: str) -> str:
    """SQL for a message's role and time; empty where the row is no JSON."""
    return ", ".join(
        f"CASE WHEN json_valid({data}) THEN coalesce(json_extract({data}, {path}), '') ELSE '' END AS {name}"
        for path, name in ((f"{_message_in(data)} || '.role'", "role"), ("'$.created_at'", "created_at"))
    )
