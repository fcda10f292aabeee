"""Every statement over a real SQLite: what it writes, and how it fails for a writer that is not up to date."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strands_persql import SessionDataError
from strands_persql.client import Statement
from strands_persql.database.decoding import (
    Part,
    Settlement,
    StoredDocument,
    StoredMessage,
    is_in_parts,
    marker_of,
)
from strands_persql.database.encoding import Document
from strands_persql.database.query import Query
from strands_persql.database.tables import ChunkKind, Listing, Tables, first_revision, revision_step

TABLES = Tables("t_")
Connection = sqlite3.Connection
T = TypeVar("T")


@pytest.fixture
def connection() -> Iterator[Connection]:
    """An empty database with the layout."""
    connection = fresh()
    yield connection
    connection.close()


class Closing(Connection):
    """A connection that closes itself: Python 3.13 warns of one that is left open."""

    def __del__(self) -> None:
        self.close()


def fresh() -> Connection:
    """An empty database with the layout."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=Closing)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    run(connection, *TABLES.lay_out())
    return connection


def run(connection: Connection, *statements: Statement) -> list[list[dict[str, Any]]]:
    """Run statements as one transaction; the rows of each."""
    connection.execute("BEGIN")
    try:
        answers = [
            [dict(row) for row in connection.execute(statement["sql"], tuple(statement.get("params", ())))]
            for statement in statements
        ]
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return answers


def ask(connection: Connection, query: Query[T]) -> T:
    """Run a query; what its reader says."""
    return query.read(run(connection, *query.statements))


def refused(connection: Connection, *statements: Statement) -> str:
    """The words of the refusal; nothing has changed then."""
    before = dump(connection)
    with pytest.raises(sqlite3.IntegrityError) as raised:
        run(connection, *statements)
    assert dump(connection) == before
    return str(raised.value).split(" constraint")[0]


def dump(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """All rows."""
    names = ("sessions", "agents", "messages", "multi_agents", "chunks")
    return dict(zip(names, run(connection, *(TABLES.dump(name) for name in names)), strict=True))


def agent_row(connection: Connection) -> tuple[Any, ...] | None:
    """The revision, window and data of agent a."""
    row = connection.execute("SELECT revision, live_window, data FROM t_agents WHERE agent_id = 'a'").fetchone()
    return None if row is None else tuple(row)


def with_agent(connection: Connection, window: str | None = "[[0,null]]") -> int:
    """A session with agent a; its revision."""
    run(connection, TABLES.sessions.ensure("s", "{}"), TABLES.agents.create("s", "a", window, "{}", new_revision=7))
    return 7


# The layout


def test_every_table_costs_one_row_a_write() -> None:
    """No table has an index besides its primary key, but of sessions with a user and of copies, and none a row id."""
    connection = fresh()
    found = run(connection, {"sql": "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"})[0]
    assert [index["sql"].partition(" ON ")[2] for index in found] == [
        "t_sessions (user, active) WHERE user IS NOT NULL",
        "t_sessions (origin) WHERE origin IS NOT NULL",
    ]
    for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'"):
        assert sql.endswith("WITHOUT ROWID")


@pytest.mark.parametrize("prefix", ["strands_", "a", "A1_", "x" * 40])
def test_safe_prefixes(prefix: str) -> None:
    """A prefix is a letter and then letters, digits, underscores."""
    assert Tables(prefix).names[0] == f"{prefix}sessions"


@pytest.mark.parametrize(
    "prefix",
    ["", "1a", "_a", "a-b", "a b", "a;DROP TABLE x", 'a"', "a\n", "é", "x" * 41, "sqlite_", "SQLITE_x", None, 5, b"a_"],
)
def test_unsafe_prefixes(prefix: Any) -> None:
    """Anything else is refused before it gets into SQL."""
    with pytest.raises(ValueError, match="table_prefix"):
        Tables(prefix)


def every_statement() -> list[tuple[str, Statement]]:
    """What each builder of `Tables` and of its subjects makes, by its name."""
    t, doc = TABLES, Document.of("x" * 30, generation="g", size=10)
    made: dict[str, Statement | Sequence[Statement] | Query[Any]] = {
        "sessions.create": t.sessions.create("s", "{}"),
        "sessions.ensure": t.sessions.ensure("s", "{}"),
        "sessions.read": t.sessions.read("s"),
        "sessions.about": t.sessions.about("s"),
        "sessions.touch": t.sessions.touch("s", "2026", before="2025"),
        "sessions.note_use": t.sessions.note_use("s", "2026"),
        "sessions.update": [
            *t.sessions.update("s", {"title": "x"}, Listing(t).last_active("s")).statements,
            *t.sessions.update("s", {"user": "ada", "tags": None}, Listing(t).last_active("s")).statements,
        ],
        "sessions.delete": t.sessions.delete("s"),
        "restore.agents": [*t.restore.agents("s").statements, *t.restore.agents("s", "a").statements],
        "multi_agents.read": [*t.multi_agents.read("s").statements, *t.multi_agents.read("s", "m").statements],
        "agents.create": t.agents.create("s", "a", None, "{}", new_revision=7),
        "agents.update": t.agents.update("s", "a", None, "{}", next_id=1, revisions=(1, 2)),
        "agents.touch": t.agents.touch("s", "a", revision=1, new_revision=2),
        "agents.note_rewinds": t.agents.note_rewinds("s", "a", None),
        "messages.add": t.messages.add("s", "a", 0, "{}", revision=1),
        "messages.put": t.messages.put("s", "a", 0, "{}", revision=1),
        "messages.find_blocks": t.messages.find_blocks("s", {"a": 9}, [5], "Context:"),
        "multi_agents.create": t.multi_agents.create("s", "m", "{}", new_revision=7),
        "multi_agents.update": t.multi_agents.update("s", "m", "{}", revision=1, new_revision=2),
        "agents.add": t.agents.add("s", "a", doc),
        "agents.replace": t.agents.replace("s", "a", doc),
        "agents.read": t.agents.read("s", "a"),
        "messages.append": t.messages.append("s", "a", 0, doc),
        "messages.replace": t.messages.replace("s", "a", 0, doc),
        "messages.page": t.messages.page("s", "a", limit=None, offset=0),
        "messages.read": t.messages.read("s", "a", 0),
        "multi_agents.put": t.multi_agents.put("s", "m", doc),
        "multi_agents.replace": t.multi_agents.replace("s", "m", doc),
        "parts.add": [
            *t.parts.add("s", "message", "a", 0, doc),
            *t.parts.add("s", "agent", "a", 0, doc, revision=1),
            *t.parts.add("s", "multi_agent", "m", 0, doc, revision=1),
        ],
        "parts.of": t.parts.of("s", "message", "a", 0),
        "parts.some": t.parts.some("s", "a", StoredMessage("it", doc.data), range(9)),
        "parts.with_row": t.parts.with_row("s", "agent", "a", 0, doc, t.sessions.ensure("s", "{}")),
        "parts.drop": t.parts.drop("s", "message", "a", 0),
        "settlement": t.settlement("s", ["a"], ["m"], {"a": range(500), "b": [1]}),
        "documents": t.documents(),
        "restore.positions_in_parts": [
            *t.restore.positions_in_parts("s").statements,
            *t.restore.positions_in_parts("s", "a").statements,
        ],
        "restore.messages_between": t.restore.messages_between("s", "a", 0, 9, limit=5),
        "missing": t.missing(),
        "read_version": t.read_version(),
        "dump": [t.dump(name) for name in ("sessions", "agents", "messages", "multi_agents", "chunks", "schema")],
    }
    builders = {name for name in vars(Tables) if not name.startswith("_")} - {"lay_out", "steps"}
    for subject in ("sessions", "agents", "messages", "multi_agents", "parts", "restore"):
        builders |= {f"{subject}.{name}" for name in vars(type(getattr(t, subject))) if not name.startswith("_")}
    unknown = sorted(builders - made.keys())
    assert not unknown, f"call each of these above, with arguments that make an example of it: {unknown}"
    return [(name, statement) for name, statements in made.items() for statement in listed(statements)]


def listed(made: Statement | Sequence[Statement] | Query[Any]) -> Sequence[Statement]:
    """What a builder made, as a list of statements."""
    if isinstance(made, Query):
        return made.statements
    return [made] if isinstance(made, dict) else made


@pytest.mark.parametrize(("name", "statement"), every_statement())
def test_statements_that_the_service_runs(name: str, statement: Statement) -> None:
    """A readwrite token may run each: a plain verb first, nothing that takes a snapshot first, few parameters."""
    sql, params = statement["sql"], statement.get("params", ())
    assert sql.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert not re.search(r"\b(REPLACE|PRAGMA|BEGIN|ATTACH|TEMP|TRUNCATE)\b", re.sub(r"'[^']*'", "", sql), re.I)
    assert "->" not in sql, "SQLite of 3.35 has no such operator"
    assert ";" not in sql
    if sql.startswith(("DELETE", "UPDATE")):
        assert " WHERE session_id = ?" in sql or " WHERE (key >= ? AND key < ?)" in sql
    assert len(params) <= 100
    assert len(params) == sql.count("?")
    assert len(sql) < 100_000
    assert not any(isinstance(value, bool) for value in params)
    connection = fresh()
    strands = {"agents.add", "messages.append", "agents.replace", "messages.replace", "multi_agents.replace"}
    if name not in strands:
        run_allowing_refusal(connection, statement)
    connection.close()


def run_allowing_refusal(connection: Connection, statement: Statement) -> None:
    """Run a statement that a constraint may refuse, but that must be valid SQL."""
    with contextlib.suppress(sqlite3.IntegrityError):
        run(connection, statement)


# Guards


def created(agent: str = "a", window: str | None = None) -> Statement:
    """A new agent's row."""
    return TABLES.agents.create("s", agent, window, "{}", new_revision=9)


def updated(revision: int, *, session: str = "s", agent: str = "a") -> Statement:
    """An agent's row, written over."""
    return TABLES.agents.update(session, agent, "[[1,null]]", '{"n":1}', next_id=99, revisions=(revision, 20))


def test_an_agents_row_is_created_once(connection: Connection) -> None:
    """A second creation fails: somebody else's row is not written over."""
    with_agent(connection)
    assert refused(connection, created()) == "UNIQUE"


def test_an_agents_row_is_updated_under_its_revision(connection: Connection) -> None:
    """The known revision is followed by the new one; a stale, a future and a missing one fail."""
    first = with_agent(connection)
    run(connection, updated(first))
    assert agent_row(connection) == (20, "[[1,null]]", '{"n":1}')
    for wrong in (first, 21, 0):
        assert refused(connection, updated(wrong)) == "NOT NULL"
    assert refused(connection, updated(20, agent="b")) == "NOT NULL"
    assert refused(connection, updated(20, session="other")) == "NOT NULL"


def test_touching_an_agent(connection: Connection) -> None:
    """The revision alone changes, and a stale one fails."""
    first = with_agent(connection)
    run(connection, TABLES.agents.touch("s", "a", revision=first, new_revision=20))
    assert agent_row(connection) == (20, "[[0,null]]", "{}")
    assert refused(connection, TABLES.agents.touch("s", "a", revision=first, new_revision=21)) == "NOT NULL"


def test_a_message_is_added_under_the_revision(connection: Connection) -> None:
    """A taken place, a stale revision and a missing agent fail."""
    first = with_agent(connection)
    run(connection, TABLES.messages.add("s", "a", 0, "{}", revision=first))
    assert refused(connection, TABLES.messages.add("s", "a", 0, "{}", revision=first)) == "UNIQUE"
    assert refused(connection, TABLES.messages.add("s", "a", 1, "{}", revision=first + 1)) == "NOT NULL"
    assert refused(connection, TABLES.messages.add("s", "b", 0, "{}", revision=first)) == "NOT NULL"
    assert [row["message_id"] for row in dump(connection)["messages"]] == [0]


def test_a_message_is_put_under_the_revision(connection: Connection) -> None:
    """New content replaces old, unless the revision is stale."""
    first = with_agent(connection)
    for text in ('{"n":1}', '{"n":2}'):
        run(connection, TABLES.messages.put("s", "a", 0, text, revision=first))
    assert [row["data"] for row in dump(connection)["messages"]] == ['{"n":2}']
    assert refused(connection, TABLES.messages.put("s", "a", 0, "{}", revision=first - 1)) == "NOT NULL"


def test_a_graphs_row(connection: Connection) -> None:
    """Created once, updated under its revision."""
    run(connection, TABLES.sessions.create("s", "{}"))
    run(connection, TABLES.multi_agents.create("s", "m", "{}", new_revision=7))
    assert refused(connection, TABLES.multi_agents.create("s", "m", "{}", new_revision=8)) == "UNIQUE"

    def updated(graph: str, revision: int) -> Statement:
        return TABLES.multi_agents.update("s", graph, '{"n":1}', revision=revision, new_revision=20)

    run(connection, updated("m", 7))
    assert refused(connection, updated("m", 7)) == "NOT NULL"
    assert refused(connection, updated("other", 7)) == "NOT NULL"
    assert [(row["revision"], row["data"]) for row in dump(connection)["multi_agents"]] == [(20, '{"n":1}')]


def test_revisions_do_not_come_back() -> None:
    """A session that is begun anew has other revisions, and all are exact as JavaScript's numbers."""
    firsts = {first_revision() for _ in range(100)}
    assert len(firsts) == 100
    assert all(0 < first < 2**51 for first in firsts)
    assert all(0 < revision_step() < 2**30 for _ in range(100))


def test_strands_own_writes_change_the_revision(connection: Connection) -> None:
    """What goes through the repository is a new revision too, which a live writer notices."""
    first = with_agent(connection)
    run(connection, *TABLES.agents.replace("s", "a", Document("{}")))
    assert refused(connection, TABLES.messages.add("s", "a", 0, "{}", revision=first)) == "NOT NULL"
    found = agent_row(connection)
    assert found is not None
    assert (found[0] > first, found[1]) == (True, None)


def test_a_refused_statement_undoes_its_batch(connection: Connection) -> None:
    """A stale update takes the messages in its transaction with it."""
    first = with_agent(connection)
    refused(connection, TABLES.messages.add("s", "a", 0, "{}", revision=first), updated(first + 5))
    assert not dump(connection)["messages"]


def test_a_row_is_written_once_a_write() -> None:
    """Each write of one row changes one row: that is what it costs."""
    connection = fresh()
    first = with_agent(connection)
    for statement in (
        TABLES.messages.add("s", "a", 0, "{}", revision=first),
        TABLES.messages.put("s", "a", 0, '{"n":1}', revision=first),
        updated(first),
    ):
        before = connection.total_changes
        run(connection, statement)
        assert connection.total_changes == before + 1
    before = connection.total_changes
    run(connection, TABLES.sessions.ensure("s", '{"other":1}'), TABLES.parts.drop("s", "agent", "a", 0))
    assert connection.total_changes == before


# Restoring


def message(text: str, role: str = "user", **more: Any) -> str:
    """A message row's data."""
    return json.dumps({"message": {"role": role, "content": [{"text": text}]}, "message_id": 0, **more})


WINDOWS = st.lists(
    st.tuples(st.integers(0, 12), st.none() | st.integers(0, 12)).map(list)
    | st.just({"message": {"role": "user", "content": [{"text": "inline"}]}})
    | st.just({"encoded": '{"role":"user","content":[NaN]}'}),
    max_size=4,
)


@given(WINDOWS, st.sets(st.integers(0, 12)))
def test_restore_reads_what_the_window_names(window: list[Any], positions: set[int]) -> None:
    """SQLite expands the window: exactly the rows in its ranges are read, of this agent and session alone."""
    connection = fresh()
    first = with_agent(connection, json.dumps(window))
    run(
        connection,
        TABLES.agents.create("s", "b", "[[0,null]]", "{}", new_revision=first),
        TABLES.sessions.create("s2", "{}"),
        TABLES.agents.create("s2", "a", "[]", "{}", new_revision=first),
    )
    for i in positions:
        run(connection, TABLES.messages.add("s", "a", i, message(str(i)), revision=first))
    for session, agent in (("s", "b"), ("s2", "a")):
        run(connection, TABLES.messages.add(session, agent, 3, message("other"), revision=first))
    ranges = [item for item in window if isinstance(item, list)]
    named = {i for i in positions if any(low <= i and (high is None or i <= high) for low, high in ranges)}
    page = ask(connection, TABLES.restore.agents("s", "a"))
    assert {row["message_id"] for row in page.windowed} == named
    assert not page.unwindowed
    assert [(agent.agent_id, agent.revision) for agent in page.agents] == [("a", first)]
    assert page.agents[0].last_message_id == max(positions, default=None)
    page = ask(connection, TABLES.restore.agents("s"))
    assert {(row["agent_id"], row["message_id"]) for row in page.windowed} == {("a", i) for i in named} | {("b", 3)}
    connection.close()


def test_restore_reads_the_window_by_its_key(connection: Connection) -> None:
    """The messages are found by the primary key: no table is read whole."""
    with_agent(connection)
    for statement in TABLES.restore.agents("s", "a").statements:
        plan = connection.execute("EXPLAIN QUERY PLAN " + statement["sql"], tuple(statement["params"])).fetchall()
        details = [row["detail"] for row in plan]
        assert not [detail for detail in details if re.match(r"SCAN (TABLE )?(t_|[amc]\b)", detail)], details


def test_parts_in_the_window(connection: Connection) -> None:
    """The parts of messages in the window come along, those of others don't."""
    first = with_agent(connection, "[[2,null]]")
    for i in range(4):
        document = Document.of(message("z" * 50), generation=f"g{i}", size=20)
        run(connection, *TABLES.parts.add("s", "message", "a", i, document))
        run(connection, TABLES.messages.add("s", "a", i, document.data, revision=first))
    page = ask(connection, TABLES.restore.agents("s", "a"))
    assert {row["message_id"] for row in page.windowed} == {2, 3}
    assert {position for _, position in page.parts.messages()} == {2, 3}
    assert {position for _, position in ask(connection, TABLES.restore.positions_in_parts("s"))} == {2, 3}


# Redaction


@pytest.mark.parametrize("size", [10**6, 400, 40])
def test_where_a_redacted_text_may_stand(connection: Connection, size: int) -> None:
    """Every message with a block of that length or start before a position is found, and those in parts."""
    first = with_agent(connection)
    long = len(message("raw", more=1)) > size
    rows = [message("raw", more=1), message("begin"), message("raw too"), message("raw"), "no JSON"]
    for i, data in enumerate([*rows, message("raw")]):
        document = Document.of(data, size=size)
        run(connection, *TABLES.parts.add("s", "message", "a", i, document, revision=first))
        run(connection, TABLES.messages.add("s", "a", i, document.data, revision=first))
    found = ask(connection, TABLES.messages.find_blocks("s", {"a": 5, "b": 5}, [4, len('{"text":"raw"}')], "beg"))
    assert [(owner, stored.position) for owner, stored in found] == [
        ("a", i) for i in ((0, 1, 2, 3) if long else (0, 1, 3))
    ]
    assert all(bool(stored.missing(1)) == long for _, stored in found)


def test_a_redacted_text_beside_a_number_that_json_lacks(connection: Connection) -> None:
    """A short message that stands in a part, since SQLite can't read its NaN, is found too."""
    first = with_agent(connection)
    document = Document.of(message("raw", more=float("nan")))
    assert len(document.parts) == 1
    run(connection, *TABLES.parts.add("s", "message", "a", 0, document, revision=first))
    run(connection, TABLES.messages.add("s", "a", 0, document.data, revision=first))
    found = ask(connection, TABLES.messages.find_blocks("s", {"a": 5}, [], "Context:"))
    assert [stored.record()["message"]["content"] for _, stored in found] == [[{"text": "raw"}]]


# After a refusal


def test_what_a_refused_batch_ran_into(connection: Connection) -> None:
    """The rows that were named, and no others: agents, Graphs, messages by their positions, and the session."""
    nothing = ask(connection, TABLES.settlement("s", ["a"], ["m"], {"a": [0]}))
    assert nothing == Settlement(False, {}, {}, {})
    first = with_agent(connection)
    run(
        connection,
        TABLES.agents.create("s", "b", None, "{}", new_revision=first),
        *(TABLES.messages.add("s", agent, i, f'"{agent}{i}"', revision=first) for agent in "ab" for i in range(3)),
        *(TABLES.multi_agents.create("s", owner, "{}", new_revision=8) for owner in "mn"),
    )
    found = ask(connection, TABLES.settlement("s", ["a", "gone"], ["m"], {"a": [0, 2, 5], "b": [1]}))
    assert found.session_exists
    assert {key: (agent.revision, agent.last_message_id) for key, agent in found.agents.items()} == {"a": (first, 2)}
    assert found.multi_agents == {"m": (8, "{}")}
    assert found.messages == {("a", 0): '"a0"', ("a", 2): '"a2"', ("b", 1): '"b1"'}
    revisions = [found.revision(kind, owner) for kind in ("agent", "multi_agent") for owner in ("a", "m")]
    assert revisions == [first, None, None, 8]


# Documents in parts


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(4, 30))
def test_a_document_in_parts_is_joined(text: str, size: int) -> None:
    """What is laid out is joined again, whatever the order of its parts and whatever other generations stand there."""
    document = Document.of(text, generation="new", size=size)
    old = Part("old", 0, "stale")
    parts = [old, *(Part("new", i, part) for i, part in enumerate(document.parts)), old]
    if not document.parts:
        assert document.data == text
        if text.startswith('{"persql_parts":'):
            return
    assert StoredDocument("a row", document.data, list(reversed(parts))).text() == text


@pytest.mark.parametrize(
    "data",
    [
        '{"persql_parts":2,"generation":"g"}',
        '{"persql_parts":2,"generation":"other"}',
        '{"persql_parts":',
        '{"persql_parts":2}',
        '{"persql_parts":"x","generation":"g"}',
        '{"persql_parts":3,"generation":"g"}',
    ],
)
def test_parts_that_are_missing(data: str) -> None:
    """A marker that is broken, or whose parts are not there, is a clear error that names the row."""
    parts = [Part("g", 0, "a"), *([Part("g", 5, "b")] if '"g"' in data else [])]
    with pytest.raises(SessionDataError, match="A row of mine"):
        StoredDocument("A row of mine", data, parts).text()


def test_parts_are_written_over_and_dropped(connection: Connection) -> None:
    """A retry writes the same parts again; other generations can be dropped."""
    one = Document.of("x" * 30, generation="one", size=10)
    two = Document.of("y" * 20, generation="two", size=10)
    run(connection, TABLES.sessions.ensure("s", "{}"))
    for _ in range(2):
        run(connection, *TABLES.parts.add("s", "message", "a", 0, one))
    run(connection, *TABLES.parts.add("s", "message", "a", 0, two), *TABLES.parts.add("s", "message", "a", 1, one))
    assert len(dump(connection)["chunks"]) == 8
    run(connection, TABLES.parts.drop("s", "message", "a", 0, but="two"))
    assert [(row["message_id"], row["generation"]) for row in dump(connection)["chunks"]] == [
        (0, "two"),
        (0, "two"),
        (1, "one"),
        (1, "one"),
        (1, "one"),
    ]
    assert is_in_parts(one.data)
    assert not is_in_parts("{}")
    assert marker_of(one.data, what="a row").count == 3


def test_parts_go_with_the_row_that_will_name_them(connection: Connection) -> None:
    """They are refused where their row would be: without their session, or under another revision than the stored."""
    parts = Document.of("x" * 20, generation="g", size=10)
    owners: list[tuple[ChunkKind, str]] = [("agent", "a"), ("message", "a"), ("multi_agent", "m")]
    for kind, owner in owners:
        for revision in (None, 0, 7):
            assert "NOT NULL" in refused(connection, *TABLES.parts.add("s", kind, owner, 0, parts, revision=revision))
    first = with_agent(connection)
    run(connection, TABLES.multi_agents.create("s", "m", "{}", new_revision=first + 2))
    for (kind, owner), stored in zip(owners, (first, first, first + 2), strict=True):
        for revision in (None, stored):
            run(connection, *TABLES.parts.add("s", kind, owner, 0, parts, revision=revision))
        for revision in (0, 2 * first + 2 - stored):
            assert "NOT NULL" in refused(connection, *TABLES.parts.add("s", kind, owner, 0, parts, revision=revision))
    assert len(dump(connection)["chunks"]) == 6


def test_deleting_a_session_leaves_nothing(connection: Connection) -> None:
    """Rows of every table go, those of other sessions stay, and it is told whether there was anything."""
    for session in ("s", "s2"):
        run(
            connection,
            TABLES.sessions.ensure(session, "{}"),
            TABLES.agents.create(session, "a", None, "{}", new_revision=7),
            *TABLES.messages.append(session, "a", 0, Document("{}")),
            *TABLES.multi_agents.put(session, "m", Document("{}")),
            *TABLES.parts.add(session, "agent", "a", 0, Document.of("x" * 20, generation="g", size=10)),
        )
    assert ask(connection, TABLES.sessions.delete("s")) is True
    assert {row["session_id"] for row in itertools.chain.from_iterable(dump(connection).values())} == {"s2"}
    assert ask(connection, TABLES.sessions.delete("s")) is False
