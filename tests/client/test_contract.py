"""What any handle does, wherever its database lives."""

from __future__ import annotations

import copy
import enum
import json
import pickle
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from strands_persql.client import Database, PerSQL, Statement
from strands_persql.errors import PerSQLError

from ..processes import python
from .conftest import Place


class Color(str, enum.Enum):
    """A str that prints as something else."""

    RED = "red"


class Level(enum.IntEnum):
    """An int of its own kind."""

    HIGH = 3


def rows(db: Any, sql: str = "SELECT id, name FROM t ORDER BY id") -> list[list[Any]]:
    found: list[list[Any]] = db.query(sql)["rows"]
    return found


def test_a_handle_keeps_the_protocol(db: Any) -> None:
    """It is a `Database`, as any object with the two methods is."""
    assert isinstance(db, Database)
    assert not isinstance(object(), Database)


def test_an_answer_holds_dicts_and_positions(db: Any) -> None:
    """`data` has dict rows, `columns` and `rows` the same by position; a statement without rows has none of any."""
    written = db.query("INSERT INTO t VALUES (?, ?, ?, ?)", [1, "Ada", 2, None])
    assert (written["data"], written["columns"], written["rows"]) == ([], [], [])
    assert written["rows_written"] >= 1
    read = db.query("SELECT id, name, x FROM t WHERE name = ?", ("Ada",))
    assert read["data"] == [{"id": 1, "name": "Ada", "x": None}]
    assert (read["columns"], read["rows"]) == (["id", "name", "x"], [[1, "Ada", None]])
    assert read["rows_written"] == 0


def test_no_rows_still_have_columns(db: Any) -> None:
    """A query that finds nothing says which columns it would have had."""
    found = db.query("SELECT id, name FROM t")
    assert (found["data"], found["columns"]) == ([], ["id", "name"])


def test_a_batch_answers_each_statement_in_order(db: Any) -> None:
    """Writes and reads may be mixed; `params` may be left out."""
    statements: list[Statement] = [
        {"sql": "INSERT INTO t (id, name) VALUES (?, ?) RETURNING id", "params": (5, "a")},
        {"sql": "UPDATE t SET name = ?", "params": ["b"]},
        {"sql": "SELECT name FROM t"},
    ]
    for transaction in (False, True):
        results = db.batch(statements, transaction=transaction)
        assert [result["data"] for result in results] == [[{"id": 5}], [], [{"name": "b"}]]
        db.query("DELETE FROM t WHERE id = 5")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        ("", ""),
        ("plain", "plain"),
        ("naïve 世界 🎈 e\u0301", "naïve 世界 🎈 e\u0301"),
        ("nul \0 line\u2028 quote'\"\\", "nul \0 line\u2028 quote'\"\\"),
        ("x" * 1_900_000, "x" * 1_900_000),
        (0, 0),
        (-(2**53) + 1, -(2**53) + 1),
        (2**53 - 1, 2**53 - 1),
        (0.1, 0.1),
        (1e300, 1e300),
        (True, 1),
        (False, 0),
        (Color.RED, "red"),
        (Level.HIGH, 3),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_values_come_back_as_they_went(db: Any, value: Any, stored: Any) -> None:
    """Text, numbers and None are exact; a bool is 0 or 1; an enum is its value."""
    db.batch([{"sql": "INSERT INTO t (id, x) VALUES (1, ?)", "params": [value]}], transaction=True)
    (row,) = db.query("SELECT x FROM t")["data"]
    assert row == {"x": stored}
    assert type(row["x"]) in (type(stored), int)


def test_params_may_be_any_sequence_or_none(db: Any) -> None:
    """A tuple, a list, a range, nothing."""
    assert db.query("SELECT ? + ? AS sum", range(1, 3))["data"] == [{"sum": 3}]
    assert db.query("SELECT 1 AS one", None)["data"] == [{"one": 1}]
    assert db.query("SELECT 1 AS one", [])["data"] == [{"one": 1}]


def test_an_empty_batch_does_nothing(db: Any) -> None:
    """It answers with no results."""
    assert db.batch([], transaction=True) == []


def test_a_transaction_is_all_or_nothing(db: Any) -> None:
    """A failure takes back what came before it, and the handle works on."""
    inserts = [{"sql": "INSERT INTO t (id, name) VALUES (?, ?)", "params": [i, f"n{i % 2}"]} for i in range(3)]
    with pytest.raises(PerSQLError) as caught:
        db.batch(inserts, transaction=True)
    assert caught.value.kind == "unique_violation"
    assert rows(db) == []
    db.batch(inserts[:2], transaction=True)
    assert rows(db) == [[0, "n0"], [1, "n1"]]


def test_schema_changes_are_part_of_a_transaction(db: Any) -> None:
    """A table that was created in a failed one is gone."""
    with pytest.raises(PerSQLError):
        db.batch([{"sql": "CREATE TABLE u (a)"}, {"sql": "INSERT INTO missing VALUES (1)"}], transaction=True)
    with pytest.raises(PerSQLError, match="unknown_table on u"):
        db.query("SELECT * FROM u")


def test_without_a_transaction_the_first_failure_ends_the_batch(db: Any) -> None:
    """What came before it stays, what comes after it isn't run."""
    inserts = [{"sql": "INSERT INTO t (id, name) VALUES (?, ?)", "params": [i, f"n{i % 2}"]} for i in (0, 2, 3)]
    with pytest.raises(PerSQLError):
        db.batch(inserts)
    assert rows(db) == [[0, "n0"]]


def test_a_failed_condition_aborts_the_transaction(db: Any) -> None:
    """Optimistic locking as it is done over HTTP: NULL into a NOT NULL column."""
    db.query("CREATE TABLE r (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL)")
    db.query("INSERT INTO r VALUES (1, 5)")
    update = "UPDATE r SET revision = CASE WHEN revision = ? THEN revision + 1 END WHERE id = 1"
    db.query(update, [5])
    with pytest.raises(PerSQLError) as caught:
        db.batch(
            [{"sql": "INSERT INTO t (id) VALUES (9)"}, {"sql": update, "params": [5]}, {"sql": "SELECT 1"}],
            transaction=True,
        )
    assert caught.value.kind == "not_null_violation"
    assert rows(db) == [] and rows(db, "SELECT revision FROM r") == [[6]]


@pytest.mark.parametrize(
    ("sql", "kind", "named"),
    [
        ("INSERT INTO t (id) VALUES (1)", "unique_violation", "t.id"),
        ("INSERT INTO t (name) VALUES ('a')", "unique_violation", "t.name"),
        ("INSERT INTO pair VALUES (1, 2)", "unique_violation", "pair.a, pair.b"),
        ("INSERT INTO strict_ (a) VALUES (NULL)", "not_null_violation", "strict_.a"),
        ("INSERT INTO child VALUES (77)", "fk_violation", ""),
        ("INSERT INTO t (id, n) VALUES (2, -1)", "check_violation", ""),
        ("INSERT INTO strict_ (a, b) VALUES (1, -1)", "check_violation", "positive"),
        ("SELECT * FROM missing", "unknown_table", "missing"),
        ("DELETE FROM missing WHERE a = 1", "unknown_table", "missing"),
        ("SELECT missing FROM t", "unknown_column", "missing"),
        ("INSERT INTO t (missing) VALUES (1)", "unknown_column", "t.missing"),
        ("SELEC 1", "syntax_error", ""),
        ("SELECT (1", "syntax_error", ""),
        ("INSERT INTO t (id) VALUES ('x')", "type_mismatch", ""),
        ("SELECT ?", "unknown", "placeholders"),
        ("SELECT 1; SELECT 2", "unknown", "one statement"),
        ("SELECT 1; DROP TABLE t", "unknown", "one statement"),
        ("BEGIN", "unknown", ""),
        ("  begin immediate", "unknown", ""),
        ("-- a comment\n/* another */ SAVEPOINT s", "unknown", ""),
        ("COMMIT", "unknown", ""),
        ("END", "unknown", ""),
        ("ROLLBACK", "unknown", ""),
        ("RELEASE s", "unknown", ""),
        ("CREATE TEMP TABLE x (a)", "unknown", ""),
        ("create /* c */ temporary table x (a)", "unknown", ""),
        ("ATTACH ':memory:' AS other", "unknown", ""),
    ],
)
def test_errors_are_the_same_everywhere(db: Any, sql: str, kind: str, named: str) -> None:
    """One class, one `kind`, and a message that names what it concerns; afterwards everything works on."""
    db.batch(
        [
            {"sql": "CREATE TABLE pair (a, b, PRIMARY KEY (a, b))"},
            {"sql": "CREATE TABLE strict_ (a NOT NULL, b, CONSTRAINT positive CHECK (b > 0))"},
            {"sql": "CREATE TABLE child (t INTEGER REFERENCES t (id))"},
            {"sql": "INSERT INTO t (id, name) VALUES (1, 'a')"},
            {"sql": "INSERT INTO pair VALUES (1, 2)"},
        ]
    )
    calls: list[Callable[[], Any]] = [
        lambda: db.query(sql),
        lambda: db.batch([{"sql": "SELECT 1"}, {"sql": sql}], transaction=True),
    ]
    for call in calls:
        with pytest.raises(PerSQLError) as caught:
            call()
        error = caught.value
        assert type(error) is PerSQLError
        assert error.kind == kind
        assert error.detail is not None and error.detail["kind"] == kind
        assert named in str(error)
        assert rows(db) == [[1, "a"]]


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ([1, b"x"], TypeError, "parameter 1 .*bytes.*base64"),
        ([object()], TypeError, "parameter 0 .*object"),
        ([{"a": 1}], TypeError, "parameter 0 .*dict.*JSON"),
        ("text", TypeError, "list or tuple"),
        ({"a": 1}, TypeError, "list or tuple"),
        (b"text", TypeError, "list or tuple"),
        (["ok", "bad \ud83d"], ValueError, "parameter 1 .*surrogate"),
        ([float("nan")], ValueError, "parameter 0 .*finite"),
        ([float("inf")], ValueError, "parameter 0 .*finite"),
        ([2**53], ValueError, r"parameter 0 .*2\^53"),
        ([-(2**80)], ValueError, r"parameter 0 .*2\^53"),
        ([1] * 101, PerSQLError, "101 parameters"),
    ],
)
def test_bad_parameters_are_told_by_position(db: Any, params: Any, error: type[Exception], words: str) -> None:
    """The caller's mistake is named before anything is sent or run, alone or in a batch."""
    with pytest.raises(error, match=words):
        db.query("SELECT 1", params)
    words = words.replace(" .*", " of statement 1 .*", 1) if words.startswith("parameter") else words
    with pytest.raises(error, match=words) as caught:
        db.batch([{"sql": "INSERT INTO t (id) VALUES (1)"}, {"sql": "SELECT 1", "params": params}])
    assert getattr(caught.value, "kind", "too_many_params") == "too_many_params"
    assert rows(db) == []


@pytest.mark.parametrize(
    ("statements", "error", "words"),
    [
        ([{"sql": "SELECT 1"}] * 101, PerSQLError, "101 statements"),
        ([{"sql": "SELECT '\ud83d'"}], ValueError, "surrogate"),
        ([{"sql": "SELECT '\0'"}], ValueError, "NUL"),
    ],
)
def test_bad_batches(db: Any, statements: Any, error: type[Exception], words: str) -> None:
    """A batch that the service could not take is refused at once."""
    with pytest.raises(error, match=words):
        db.batch(statements)


def test_a_hundred_of_each_is_fine(db: Any) -> None:
    """The limits themselves are allowed."""
    assert len(db.batch([{"sql": "SELECT 1"}] * 100)) == 100
    assert len(db.query("SELECT " + ", ".join(["?"] * 100), [1] * 100)["columns"]) == 100


def test_statements_aren_t_changed(db: Any) -> None:
    """What the caller passed stays as it was."""
    statements = [{"sql": "INSERT INTO t (id, x) VALUES (?, ?)", "params": [1, True]}]
    before = copy.deepcopy(statements)
    db.batch(statements, transaction=True)
    assert statements == before


def test_handles_are_the_same_object_per_name(client: PerSQL, place: Place) -> None:
    """Asking twice opens nothing twice."""
    assert client.database(place.name) is client.database(place.name)
    assert client.database(place.name) is not client.database(place.name + "-2")


@pytest.mark.parametrize(
    "name",
    ["", "acme", "acme/", "/x", "a/b/c", "a/b c", "a/..", "../b", "a/b?c", "a/b#c", "a/b%2f", "ä/b", "a/" + "x" * 129],
)
def test_names_are_checked_at_once(client: PerSQL, name: str) -> None:
    """Exactly two parts, of characters that stay themselves in a path."""
    with pytest.raises(ValueError, match="namespace/slug"):
        client.database(name)


def test_many_threads_share_a_handle(db: Any) -> None:
    """Each write arrives once, and each read sees whole transactions."""

    def write(thread: int) -> None:
        for i in range(10):
            key = thread * 100 + i
            db.batch(
                [{"sql": "INSERT INTO t (id, n) VALUES (?, 1)", "params": [key * 2 + half]} for half in (0, 1)],
                transaction=True,
            )
            assert db.query("SELECT count(*) % 2 AS odd FROM t")["data"] == [{"odd": 0}]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(16)))
    assert db.query("SELECT count(*) AS n, count(DISTINCT id) AS d FROM t")["data"] == [{"n": 320, "d": 320}]


def test_two_clients_see_the_same_database(db: Any, place: Place) -> None:
    """In one process too, while both are open; memory alone is each client's own."""
    db.query("INSERT INTO t (id, name) VALUES (1, 'a')")
    other = place.open().database(place.name)
    if not place.shared:
        with pytest.raises(PerSQLError, match="unknown_table"):
            other.query("SELECT * FROM t")
        return
    assert rows(other) == [[1, "a"]]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(insert_thirty, (db, other), (100, 200)))
    assert rows(db, "SELECT count(*) FROM t") == rows(other, "SELECT count(*) FROM t") == [[61]]


def insert_thirty(db: Any, first: int) -> None:
    """Insert rows one by one."""
    for i in range(30):
        db.query("INSERT INTO t (id) VALUES (?)", [first + i])


@pytest.mark.parametrize("kind", ["file", "folder", "remote"])
def test_several_processes_on_one_database(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """They may begin at the same moment, on a file that doesn't exist yet; no write is lost."""
    name = "acme/agents"
    options: dict[str, Any] = {"local": str(tmp_path / "x.db") if kind == "file" else f"{tmp_path}/x/"}
    if kind == "remote":
        emulator = request.getfixturevalue("emulator")
        name, options = emulator.name, {"token": emulator.token(), "base_url": emulator.url}
    command = [*python(), "-m", "tests.client.counting", json.dumps(options), name, "20"]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0, 0, 0]
    with PerSQL(**options) as client:
        assert client.database(name).query("SELECT n FROM counter")["data"] == [{"n": 60}]


def test_closing(client: PerSQL, db: Any, place: Place) -> None:
    """Closing twice is fine; a call afterwards says what happened."""
    with client as same:
        assert same is client
        assert db.query("SELECT 1 AS one")["data"] == [{"one": 1}]
    client.close()
    for call in (
        lambda: db.query("SELECT 1"),
        lambda: db.batch([{"sql": "SELECT 1"}], transaction=True),
        lambda: client.database(place.name),
        lambda: client.database("acme/other"),
    ):
        with pytest.raises(PerSQLError, match="closed") as caught:
            call()
        assert caught.value.kind == "closed"


def test_nothing_can_be_pickled(client: PerSQL, db: Any) -> None:
    """A pickle would carry the token, or a connection, out of the process."""
    for thing in (client, db):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(thing)


def test_reprs_name_the_place(client: PerSQL, db: Any, place: Place) -> None:
    """And nothing secret."""
    assert place.name in repr(db)
    assert "psql_" not in repr(client) + repr(db)
    client.close()
    assert "closed" in repr(client)


def test_no_thread_is_left_behind(place: Place) -> None:
    """A client starts none of its own."""
    before = set(threading.enumerate())
    place.open().database(place.name).query("SELECT 1")
    assert set(threading.enumerate()) <= before | {t for t in threading.enumerate() if t.name == "emulator"}
