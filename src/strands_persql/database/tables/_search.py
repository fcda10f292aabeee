"""The full-text index over messages, and the statements that search with it and without.

    {prefix}search_texts   one row per message that has any text: its key, and the text
    {prefix}search         FTS5 over those texts, which it holds no copy of

The index is opt-in, since every message then costs several rows more. Triggers keep it current, whoever writes. They
never fail where the message itself could be written: a row that SQLite can't read as JSON has no text to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._administration import PAGE_BYTES
from ._fts import delete_securely, merge
from ._parts import MARKER
from ._statements import statement
from ._tables import Tables

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["Search"]

Key = tuple[str, str, int]


def text_of(data: str) -> str:
    """The text of a message's row: its text blocks, the strings in tool inputs, and what tools answered.

    Of a row with a `redact_message` it is that one's. A row that holds escaped surrogates has none: SQLite would make
    invalid UTF-8 of a lone one.
    """
    return (
        "(SELECT group_concat(t.atom, char(10)) FROM json_tree("
        f"CASE WHEN json_valid({data}) AND NOT {_is_odd(data)} THEN {data} ELSE 'null' END, "
        f"{_message_in(data)} || '.content') AS t WHERE t.type = 'text' "
        "AND (t.key = 'text' OR ((instr(t.fullkey, '.toolUse.input') > 0 "
        "OR (instr(t.fullkey, '.toolResult.content') > 0 AND instr(t.fullkey, '.json') > 0)) "
        f"AND NOT (t.key = 'data' AND instr({data}, '__bytes_encoded__') > 0))))"
    )


def _message_in(data: str) -> str:
    """The path of what the model sees of a message."""
    return (
        f"CASE WHEN json_valid({data}) THEN CASE json_type({data}, '$.redact_message') WHEN 'object' "
        "THEN '$.redact_message' ELSE '$.message' END ELSE '$.message' END"
    )


def _is_odd(data: str) -> str:
    # Less the escaped backslashes, so that a text that says \ud is none.
    return f"(instr(lower(replace({data}, '\\\\', '')), '\\ud') > 0)"


class Search:
    """The index over the tables of one prefix, and its statements.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Tables) -> None:
        p = self.prefix = tables.prefix
        self._sessions = f"{p}sessions"
        self._messages, self._texts, self._index = f"{p}messages", f"{p}search_texts", f"{p}search"
        self._columns = "session_id, agent_id, message_id"

    # The index itself

    def find(self) -> Statement:
        """What there is of the index: the `name` of its table, of the trigger that rewrites, and of its mark."""
        return statement(
            "SELECT name FROM sqlite_master WHERE name IN (?, ?, ?, ?) ORDER BY name",
            self._index,
            f"{self._index}_rewritten",
            f"{self._index}_scrubbed",
            f"{self._index}_filled",
        )

    def is_kept(self, names: set[str]) -> bool:
        """Whether `find` has found an index that triggers keep current, of what it has."""
        return self._index in names and bool({f"{self._index}_rewritten", f"{self._index}_scrubbed"} & names)

    def is_complete(self, names: set[str]) -> bool:
        """Whether `find` has found an index that has every message."""
        return self.is_kept(names) and f"{self._index}_filled" in names

    def needs_scrubbing(self, names: set[str]) -> bool:
        """Whether SQLite leaves deleted words in the index until it is merged: one before 3.42 does."""
        return f"{self._index}_scrubbed" in names

    def create(self) -> list[Statement]:
        """Create the tables of the index; harmless where they are."""
        return [
            statement(
                f"CREATE TABLE IF NOT EXISTS {self._texts} (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, "
                f"agent_id TEXT NOT NULL, message_id INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE ({self._columns}))"
            ),
            statement(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {self._index} "
                f"USING fts5(text, content='{self._texts}', content_rowid='id')"
            ),
        ]

    def delete_securely(self) -> Statement:
        """Have the index forget deleted words at once; fails before SQLite 3.42."""
        return delete_securely(self._index)

    def scrub(self) -> Statement:
        """Merge the index, so that nothing is left in it of words that were deleted."""
        return merge(self._index)

    def create_triggers(self, *, scrubbing: bool) -> list[Statement]:
        """The triggers that keep the index current; harmless where they are.

        Args:
            scrubbing: Merge the index whenever a message was rewritten or the last of a session deleted, since words
                are not deleted securely.
        """
        texts, index, messages = self._texts, self._index, self._messages
        key = "session_id = old.session_id AND agent_id = old.agent_id AND message_id = old.message_id"
        forget = f"INSERT INTO {index} ({index}, rowid, text) VALUES ('delete', old.id, old.text);"
        learn = f"INSERT INTO {index} (rowid, text) VALUES (new.id, new.text);"
        scrub = f"{merge(index)['sql']};"
        enter = (
            f"INSERT INTO {texts} ({self._columns}, text) SELECT new.session_id, new.agent_id, new.message_id, text "
            f"FROM (SELECT {text_of('new.data')} AS text) WHERE text <> '' ON CONFLICT ({self._columns})"
        )
        add = f"{enter} DO UPDATE SET text = excluded.text;"
        # Where the index is being filled, and has passed the new key already, nobody else enters it.
        move_in = f"{enter} DO NOTHING;"
        move = (
            f"UPDATE {texts} SET session_id = new.session_id, agent_id = new.agent_id, message_id = new.message_id "
            f"WHERE {key};"
        )
        clear = (
            f"UPDATE {texts} SET text = '' WHERE session_id = new.session_id AND agent_id = new.agent_id "
            f"AND message_id = new.message_id AND coalesce({text_of('new.data')}, '') = '';"
        )
        return [
            statement(f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} BEGIN {body} END")
            for name, event, body in (
                (f"{index}_learnt", f"INSERT ON {texts}", learn),
                (f"{index}_forgotten", f"DELETE ON {texts}", forget),
                (
                    f"{index}_{'scrubbed' if scrubbing else 'rewritten'}",
                    f"UPDATE OF text ON {texts} WHEN old.text <> new.text",
                    f"{forget} {learn} {scrub if scrubbing else ''}",
                ),
                (f"{index}_added", f"INSERT ON {messages}", add),
                (f"{index}_changed", f"UPDATE OF data ON {messages}", f"{clear} {add}"),
                (f"{index}_moved", f"UPDATE OF {self._columns} ON {messages}", f"{move} {move_in}"),
                (f"{index}_deleted", f"DELETE ON {messages}", f"DELETE FROM {texts} WHERE {key};"),
                # Whoever deletes a session deletes its own row last.
                *([(f"{index}_ended", f"DELETE ON {self._sessions}", scrub)] if scrubbing else ()),
            )
        ]

    def mark_filled(self) -> Statement:
        """Create what says that the index has every message: a trigger, last of all, that costs no writer anything.

        It keeps the texts' numbers, by which the index knows them, from being changed by hand.
        """
        return statement(
            f"CREATE TRIGGER IF NOT EXISTS {self._index}_filled BEFORE UPDATE OF id ON {self._texts} "
            "BEGIN SELECT RAISE(ABORT, 'the search index knows texts by their id'); END"
        )

    def drop(self) -> list[Statement]:
        """Drop the index, its texts and its triggers."""
        return [
            *(
                statement(f"DROP TRIGGER IF EXISTS {self._index}_{name}")
                for name in (
                    *("filled", "learnt", "forgotten", "scrubbed", "rewritten"),
                    *("added", "changed", "moved", "deleted", "ended"),
                )
            ),
            statement(f"DROP TABLE IF EXISTS {self._index}"),
            statement(f"DROP TABLE IF EXISTS {self._texts}"),
        ]

    def fill(self, after: Key, limit: int) -> list[Statement]:
        """Index the messages of one page that are not yet; the last statement answers as `page_end`."""
        page = (
            f"SELECT {self._columns}, data FROM {self._messages} WHERE ({self._columns}) > (?, ?, ?) "
            f"ORDER BY {self._columns} LIMIT ?"
        )
        return [
            statement(
                f"INSERT INTO {self._texts} ({self._columns}, text) SELECT {self._columns}, text FROM "
                f"(SELECT {self._columns}, {text_of('data')} AS text FROM ({page})) WHERE text <> '' "
                f"ON CONFLICT ({self._columns}) DO NOTHING",
                *after,
                limit,
            ),
            statement(
                f"SELECT {self._columns}, place FROM (SELECT {self._columns}, row_number() OVER "
                f"(ORDER BY {self._columns}) AS place FROM ({page})) ORDER BY place DESC LIMIT 1",
                *after,
                limit,
            ),
        ]

    # Searching

    def search(self, match: str, *, session_id: str | None, limit: int) -> Statement:
        """Messages by the index, best first: `session_id, agent_id, message_id, snippet, score, role, created_at`.

        Args:
            match: An FTS5 query.
            session_id: Of this session alone.
            limit: The most.
        """
        where = "" if session_id is None else " AND s.session_id = ?"
        bounds = () if session_id is None else (session_id,)
        return statement(
            f"SELECT s.session_id AS session_id, s.agent_id AS agent_id, s.message_id AS message_id, s.snippet "
            f"AS snippet, s.score AS score, {_described('m.data')} FROM (SELECT s.session_id, s.agent_id, "
            f"s.message_id, snippet({self._index}, 0, '', '', '…', 24) AS snippet, -{self._index}.rank AS score "
            f"FROM {self._index} CROSS JOIN {self._texts} AS s ON s.id = {self._index}.rowid "
            f"WHERE {self._index} MATCH ?{where} ORDER BY {self._index}.rank LIMIT ?) AS s "
            f"LEFT JOIN {self._messages} AS m ON m.session_id = s.session_id AND m.agent_id = s.agent_id "
            "AND m.message_id = s.message_id ORDER BY s.score DESC, s.session_id, s.agent_id, s.message_id",
            match,
            *bounds,
            limit,
        )

    def find_in_parts(self, *, session_id: str | None, limit: int) -> Statement:
        """Messages that are stored in parts, which no trigger can read: `session_id, agent_id, message_id`."""
        where = "" if session_id is None else " AND session_id = ?"
        bounds = () if session_id is None else (session_id,)
        return statement(
            f"SELECT DISTINCT session_id, owner AS agent_id, message_id FROM {self._messages[:-8]}chunks "
            f"WHERE kind = 'message'{where} ORDER BY session_id, owner, message_id LIMIT ?",
            *bounds,
            limit,
        )

    def scan(self, after: Key, *, session_id: str | None, limit: int) -> Statement:
        """Messages in the order of their keys: `session_id, agent_id, message_id, role, created_at, text, unread`.

        `unread` says that the text has to be taken from the whole document.
        """
        if session_id is None:
            where, bounds = f"({self._columns}) > (?, ?, ?)", after
        else:
            where, bounds = "session_id = ? AND (agent_id, message_id) > (?, ?)", (session_id, *after[1:])
        unread = f"(substr(data, 1, {len(MARKER)}) = '{MARKER}' OR {_is_odd('data')})"
        return statement(
            f"SELECT {self._columns}, role, created_at, text, unread FROM (SELECT {self._columns}, role, created_at, "
            f"text, unread, sum(length(text)) OVER (ORDER BY {self._columns}) - length(text) AS preceding FROM (SELECT "
            f"{self._columns}, {_described('data')}, coalesce({text_of('data')}, '') AS text, {unread} AS unread "
            f"FROM {self._messages} WHERE {where} ORDER BY {self._columns} LIMIT ?)) "
            f"WHERE preceding < {PAGE_BYTES} ORDER BY {self._columns}",
            *bounds,
            limit,
        )


def _described(data: str) -> str:
    return ", ".join(
        f"CASE WHEN json_valid({data}) THEN coalesce(json_extract({data}, {path}), '') ELSE '' END AS {name}"
        for path, name in ((f"{_message_in(data)} || '.role'", "role"), ("'$.created_at'", "created_at"))
    )
