"""Which sessions there are, and what the newest rows of each tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..about import About
from ..query import Query, Row
from ..rewinds import OPENING, Rewinds
from ._excerpts import SHOWN, beginning_of, message_in, readable
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement
    from ..query import Answers
    from ._tables import Tables

AMONG = 1000
"""How many sessions are put in order at a time where no index has them in order."""

ALL_TABLES = ("sessions", "agents", "messages", "multi_agents", "chunks")

_OPENING = (
    "CASE WHEN json_valid(a.rewinds) THEN json_extract(a.rewinds, '$.opening') "
    f"ELSE '{json.dumps(list(range(OPENING)))}' END"
)
"""Where an agent's first prompt is looked for: greetings may come before it, and others may be taken back."""

_LONGEST_SHOWN = 200_000
"""Characters of a sealed document that a list of sessions opens for a title or a preview."""


class SessionRow(NamedTuple):
    """What a list shows of one session; times are "" where nothing tells.

    Attributes:
        taken_back: How many of the messages a rewind took back.
        about: Whose it is, what people call it, and what it is a copy of.
        opening: How its first prompt begins, where it has no title; "" where that was not asked for.
        newest: How the last message begins that was not taken back; "" where that was not asked for.
    """

    session_id: str
    created_at: str
    last_active: str
    agents: int
    messages: int
    multi_agents: int
    bytes: int | None
    taken_back: int
    about: About
    opening: str
    newest: str

    @classmethod
    def of(cls, row: Row) -> SessionRow:
        """From a row of the answer."""
        numbers = {name: row[name] for name in cls._fields[:7]}
        rewinds = json.loads(row["rewinds"])
        return cls(
            **numbers,
            taken_back=sum(Rewinds.of_row(text).taken_back(last) for text, last in rewinds),
            about=About.of_row(row),
            opening=row["opening"] or "",
            newest=row["newest"] or "",
        )


SessionRows: TypeAlias = list[SessionRow]


class Place(NamedTuple):
    """A session's place among those that were active lately: the newest first, then by the id, backwards."""

    active: str
    session_id: str


class Which(NamedTuple):
    """Which sessions: of one user, and copies of one session; None for all."""

    user: str | None = None
    origin: str | None = None

    @property
    def conditions(self) -> list[str]:
        """The conditions that hold for them; with `bounds`."""
        return [f"{name} = ?" for name, value in self._asdict().items() if value is not None]

    @property
    def bounds(self) -> list[str | int]:
        """The values in the conditions."""
        return [value for value in self if value is not None]


_ALL = Which()


class Ids(NamedTuple):
    """A range of session ids: from the first one, or after it, up to the end, which is not in it; None for no end."""

    first: str = ""
    end: str | None = None
    is_after: bool = False

    @property
    def conditions(self) -> list[str]:
        """The conditions that hold inside it; with `bounds`."""
        return [f"session_id {'>' if self.is_after else '>='} ?", *([] if self.end is None else ["session_id < ?"])]

    @property
    def bounds(self) -> list[str | int]:
        """The values in the conditions."""
        return [self.first] if self.end is None else [self.first, self.end]


class Listing:
    """The statements that list sessions.

    Args:
        tables: The tables of sessions.
    """

    def __init__(self, tables: Tables) -> None:
        p = self._prefix = tables.prefix
        self._seals = tables.seals
        self._bytes = " + ".join(
            f"(SELECT coalesce(sum(length(CAST(b.{column} AS BLOB))), 0) FROM {p}{name} AS b "
            "WHERE b.session_id = page.session_id)"
            for name, column in (*((name, "data") for name in ALL_TABLES), ("messages", "live"))
        )
        begins = beginning_of("m", f"{p}chunks")
        of_agent = "m.session_id = a.session_id AND m.agent_id = a.agent_id"
        self._opening = (
            f"SELECT beginning FROM (SELECT {begins} AS beginning, m.message_id AS message_id, {_created_at('m.data')} "
            f"AS created_at FROM {p}agents AS a CROSS JOIN {p}messages AS m ON {of_agent} AND m.message_id IN "
            f"(SELECT value FROM json_each({_OPENING})) "
            f"WHERE a.session_id = found.session_id AND {_is_prompt('m.data')}) "
            "WHERE length(beginning) > 1 ORDER BY created_at, message_id LIMIT 1"
        )
        task = f"json_extract({readable('u.data')}, '{{}}')"
        self._task = (
            f"SELECT 't' || substr(coalesce({task.format('$.current_task[0].text')}, {task.format('$.current_task')}), "
            f"1, {SHOWN}) FROM {p}multi_agents AS u WHERE u.session_id = found.session_id "
            "AND length(u.data) > 2 ORDER BY u.multi_agent_id LIMIT 1"
        )
        self._newest = (
            f"SELECT {begins} FROM {p}agents AS a CROSS JOIN {p}messages AS m ON {of_agent} "
            f"AND m.message_id = {_last_standing(p)} WHERE a.session_id = found.session_id "
            f"ORDER BY {written_at('m.data')} DESC LIMIT 1"
        )
        if self._seals.is_on:
            self._opening, self._newest = self._sealed(self._opening, self._newest)

    def _sealed(self, opening: str, newest: str) -> tuple[str, str]:
        """The same of sessions that are encrypted: the documents, from which `Seals.listed` takes the texts."""
        p = self._prefix
        columns = f"m.agent_id AS owner, m.message_id AS message_id, {_short('m.data')} AS data"
        messages = (
            f"FROM {p}agents AS a CROSS JOIN {p}messages AS m ON m.session_id = a.session_id "
            "AND m.agent_id = a.agent_id"
        )
        whose = "WHERE a.session_id = found.session_id"
        first = (
            f"SELECT {columns}, {_created_at('m.data')} AS time {messages} {whose} "
            f"AND m.message_id IN (SELECT value FROM json_each({_OPENING})) ORDER BY time, m.message_id LIMIT {OPENING}"
        )
        last = (
            f"SELECT {columns} {messages} AND m.message_id = {_last_standing(p)} {whose} "
            f"ORDER BY {written_at('m.data')} DESC LIMIT 1"
        )
        task = (
            f"SELECT u.multi_agent_id AS owner, NULL AS message_id, {_short('u.data')} AS data "
            f"FROM {p}multi_agents AS u WHERE u.session_id = found.session_id ORDER BY u.multi_agent_id LIMIT 1"
        )

        def chosen(text: str, *sealed: str) -> str:
            listed = ", ".join(
                f"json((SELECT json_group_array(json_array(owner, message_id, data)) FROM ({each})))" for each in sealed
            )
            return f"SELECT CASE WHEN found.data_key IS NULL THEN ({text}) ELSE json_array({listed}) END"

        return chosen(opening, first, task), chosen(newest, last)

    def page(
        self, ids: Ids, *, limit: int, which: Which = _ALL, sizes: bool = False, texts: bool = True
    ) -> Query[list[SessionRow]]:
        """A page of sessions in the order of their ids.

        Args:
            ids: Where the page begins, and where it ends at the latest.
            limit: The most sessions.
            which: Which sessions: of one user, it reads the places of all of them.
            sizes: Add up the bytes of their documents.
            texts: Answer how they begin and end.
        """
        chosen = " AND ".join([*which.conditions, *ids.conditions])
        page = self.summaries(chosen, "ORDER BY session_id LIMIT ?", sizes=sizes)
        return self._found(page, "session_id", *which.bounds, *ids.bounds, limit, texts=texts)

    def recent(
        self, ids: Ids, *, user: str, after: Place | None, limit: int, sizes: bool = False
    ) -> Query[SessionRows]:
        """A page of one user's sessions in the order of `About.active`, the newest first.

        Args:
            ids: Those whose ids are in a range.
            user: The user.
            after: The place of the last one before the page.
            limit: The most sessions.
            sizes: Add up the bytes of their documents.
        """
        return self._by_activity(["user = ?", *ids.conditions], [user, *ids.bounds], after, limit, sizes=sizes)

    def newest(self, *, after: Place | None, limit: int, sizes: bool = False) -> Query[SessionRows]:
        """The same of all users' sessions; it takes the index of `Recency`."""
        return self._by_activity(["active IS NOT NULL"], [], after, limit, sizes=sizes)

    def _by_activity(
        self, where: list[str], bounds: list[str | int], after: Place | None, limit: int, *, sizes: bool
    ) -> Query[SessionRows]:
        place = [] if after is None else ["(active, session_id) < (?, ?)"]
        order = "active DESC, session_id DESC"
        page = self.summaries(" AND ".join([*where, *place]), f"ORDER BY {order} LIMIT ?", sizes=sizes)
        return self._found(page, order, *bounds, *(after or ()), limit)

    def newest_among(
        self, ids: Ids, *, after: Place | None, limit: int, sizes: bool = False
    ) -> Query[tuple[SessionRows, str | None]]:
        """The newest first among the first `AMONG` sessions of a range of ids, and the id of the one behind those.

        Args:
            ids: The range.
            after: The place of the last one before the page, by `last_active`.
            limit: The most sessions.
            sizes: Add up the bytes of their documents.
        """
        where = " AND ".join(ids.conditions)
        some = self.summaries(where, f"ORDER BY session_id LIMIT {AMONG}", sizes=sizes)
        rest = "" if after is None else " WHERE (last_active, session_id) < (?, ?)"
        order = "last_active DESC, session_id DESC"
        page = f"SELECT * FROM ({some}){rest} ORDER BY {order} LIMIT ?"
        found = self._found(page, order, *ids.bounds, *(after or ()), limit)
        behind = statement(
            f"SELECT session_id FROM {self._prefix}sessions WHERE {where} ORDER BY session_id LIMIT 1 OFFSET {AMONG}",
            *ids.bounds,
        )

        def read(answers: Answers) -> tuple[SessionRows, str | None]:
            return found.read(answers[:-1]), next((row["session_id"] for row in answers[-1]), None)

        return Query([*found.statements, behind], read)

    def summary(self, session_id: str) -> Query[SessionRow | None]:
        """One session; None where it has no row."""
        found = self._found(self.summaries("session_id = ?"), "session_id", session_id)
        return Query(found.statements, lambda answers: next(iter(found.read(answers)), None))

    def last_active(self, session_id: str) -> Statement:
        """When a session was last active: one row, `last_active`."""
        return statement(f"SELECT last_active FROM ({self.summaries('session_id = ?')})", session_id)

    def size(self, session_id: str) -> Query[int]:
        """The bytes of a session's documents."""
        size = statement(f"SELECT {self._bytes} AS bytes FROM (SELECT ? AS session_id) AS page", session_id)
        return Query([size], lambda answers: answers[0][0]["bytes"])

    def summaries(self, where: str, chosen: str = "", *, sizes: bool = False) -> str:
        """The SQL that gives what rows tell of each session that a condition chooses, or some of them."""
        p = self._prefix
        return (
            "SELECT page.session_id AS session_id, page.created_at AS created_at, page.user AS user, "
            "page.active AS active, page.title AS title, page.tags AS tags, page.metadata AS metadata, "
            "page.retention AS retention, page.expires AS expires, page.origin AS origin, "
            "page.data_key AS data_key, "
            "max(page.updated_at, page.created_at, coalesce((SELECT max(u.updated_at) "
            f"FROM {p}multi_agents AS u WHERE u.session_id = page.session_id), ''), "
            f"coalesce(max({written_at('a.data')}), ''), coalesce(max({written_at('m.data')}), '')) AS last_active, "
            "count(a.agent_id) AS agents, coalesce(sum(m.message_id + 1), 0) AS messages, "
            "json_group_array(json_array(a.rewinds, m.message_id)) "
            "FILTER (WHERE a.rewinds IS NOT NULL AND m.message_id IS NOT NULL) AS rewinds, "
            f"(SELECT count(*) FROM {p}multi_agents AS u WHERE u.session_id = page.session_id) AS multi_agents, "
            f"{self._bytes if sizes else 'NULL'} AS bytes "
            f"FROM (SELECT session_id, {_field('created_at')} AS created_at, {_field('updated_at')} AS updated_at, "
            "user, active, title, tags, metadata, retention, expires, origin, data_key "
            f"FROM {p}sessions WHERE {where} {chosen}) AS page "
            f"LEFT JOIN {p}agents AS a ON a.session_id = page.session_id "
            f"LEFT JOIN {p}messages AS m ON m.session_id = a.session_id AND m.agent_id = a.agent_id "
            f"AND m.message_id = {newest_message(p)} "
            "GROUP BY page.session_id"
        )

    def _found(self, summaries: str, order: str, *params: str | int, texts: bool = True) -> Query[list[SessionRow]]:
        # Of an encrypted session nothing is shown without its key.
        seen = "1" if self._seals.is_on else "data_key IS NULL"
        opening = f"CASE WHEN title IS NULL AND {seen} THEN coalesce(({self._opening}), ({self._task})) END"
        newest = f"CASE WHEN {seen} THEN ({self._newest}) END"
        opening, newest = (opening, newest) if texts else ("NULL", "NULL")
        rows = f"SELECT found.*, {opening} AS opening, {newest} AS newest FROM ({summaries}) AS found ORDER BY {order}"
        return Query(
            [statement(rows, *params)], lambda answers: [SessionRow.of(self._seals.listed(row)) for row in answers[0]]
        )


def newest_message(prefix: str) -> str:
    """The position of the last message of an agent `a`: one seek from the end of its key."""
    return (
        f"(SELECT max(x.message_id) FROM {prefix}messages AS x "
        "WHERE x.session_id = a.session_id AND x.agent_id = a.agent_id)"
    )


def _last_standing(prefix: str) -> str:
    """The position of the last message of an agent `a` that no rewind took back; NULL where all were.

    The last rewind tells: what was said since then stands from its second number on, and before that up to its first.
    """
    last = newest_message(prefix)
    end = "json_extract(a.rewinds, '$.rewinds[#-1][{}]')".format
    kept = f"{last[:-1]} AND x.message_id <= {end(0)})"
    return f"CASE WHEN json_valid(a.rewinds) AND {end(1)} > {last} THEN {kept} ELSE {last} END"


def written_at(column: str) -> str:
    """When a row was written last, as far as it says; of a document in parts it says when it was created."""
    return (
        f"CASE WHEN json_valid({column}) THEN "
        f"coalesce(json_extract({column}, '$.updated_at'), json_extract({column}, '$.created_at')) END"
    )


def _short(column: str) -> str:
    """A document, if it is not so long that a list of sessions leaves it out."""
    return f"CASE WHEN length({column}) <= {_LONGEST_SHOWN} THEN {column} END"


def _created_at(column: str) -> str:
    return f"CASE WHEN json_valid({column}) THEN json_extract({column}, '$.created_at') END"


def _is_prompt(column: str) -> str:
    """Whether a message is the user's, as far as its row tells: of a document in parts it does not."""
    role = f"json_extract({column}, {message_in(column)} || '.role')"
    return f"CASE WHEN json_valid({column}) THEN coalesce({role}, 'user') = 'user' ELSE 0 END"


def _field(name: str) -> str:
    return f"coalesce(CASE WHEN json_valid(data) THEN json_extract(data, '$.{name}') END, '')"
