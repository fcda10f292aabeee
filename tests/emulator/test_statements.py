"""The emulator's endpoints for statements: what passes, what is refused, and with which body."""

from __future__ import annotations

import sys
from typing import Any

import httpx
import pytest

from . import Emulator

limits_of_sqlite = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="sqlite3 can't set SQLite's limits before 3.11"
)


class Caller:
    """Sends what no client would."""

    def __init__(self, emulator: Emulator, http: httpx.Client) -> None:
        self.emulator = emulator
        self.http = http
        self.token = emulator.token()

    def post(self, verb: str, payload: object, **headers: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", **headers}
        return self.http.post(f"{self.emulator.url}/v1/db/{self.emulator.name}/{verb}", json=payload, headers=headers)

    def query(self, sql: str, *params: Any, **headers: str) -> httpx.Response:
        return self.post("query", {"sql": sql, "params": list(params)}, **headers)

    def rows(self, sql: str, *params: Any) -> list[list[Any]]:
        answer = self.query(sql, *params)
        assert answer.status_code == 200, answer.text
        rows: list[list[Any]] = answer.json()["data"]["rows"]
        return rows


@pytest.fixture
def caller(emulator: Emulator) -> Any:
    with httpx.Client(verify=False) as http:
        caller = Caller(emulator, http)
        caller.query("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, n INTEGER CHECK (n > 0))")
        yield caller


def test_a_query_is_answered_by_position(caller: Caller) -> None:
    """Columns stand apart from the rows, as the service documents them."""
    caller.query("INSERT INTO t VALUES (?, ?, ?)", 1, "Ada", 2)
    answer = caller.query("SELECT id, name FROM t").json()
    assert answer["success"] is True
    assert {key: answer["data"][key] for key in ("columns", "rows")} == {
        "columns": ["id", "name"],
        "rows": [[1, "Ada"]],
    }


@pytest.mark.parametrize("meta", ["absent", "inside", "beside"])
def test_the_cost_envelope_stands_where_the_switch_says(caller: Caller, meta: Any) -> None:
    """Its place is not documented, so each can be asked for."""
    caller.emulator.switches.meta = meta
    answer = caller.query("SELECT 1").json()
    assert ("meta" in answer["data"], "meta" in answer) == (meta == "inside", meta == "beside")


@pytest.mark.parametrize(
    ("sql", "params", "kind", "names"),
    [
        ("INSERT INTO t VALUES (1, 'b', 1)", [], "unique_violation", {"table": "t", "column": "id"}),
        ("INSERT INTO t VALUES (2, 'a', 1)", [], "unique_violation", {"table": "t", "column": "name"}),
        ("INSERT INTO t VALUES (2, NULL, 1)", [], "not_null_violation", {"table": "t", "column": "name"}),
        ("INSERT INTO t VALUES (2, 'b', 0)", [], "check_violation", {"constraint": "n > 0"}),
        ("SELECT * FROM missing", [], "unknown_table", {"table": "missing"}),
        ("SELECT missing FROM t", [], "unknown_column", {"column": "missing"}),
        ("INSERT INTO t (missing) VALUES (1)", [], "unknown_column", {"table": "t", "column": "missing"}),
        ("SELEC 1", [], "syntax_error", {"near": "SELEC"}),
        ("INSERT INTO t VALUES ('x', 'b', 1)", [], "type_mismatch", {}),
        ("SELECT ?" + ", ?" * 100, [1] * 101, "too_many_params", {}),
        ("SELECT ?", [True], "type_mismatch", {}),
        ("SELECT x'00'", [], "type_mismatch", {}),
        ("BEGIN", [], "unknown", {}),
        ("SAVEPOINT s", [], "unknown", {}),
        ("COMMIT", [], "unknown", {}),
        ("PRAGMA user_version", [], "unknown", {}),
        ("ATTACH ':memory:' AS other", [], "unknown", {}),
        ("CREATE TEMP TABLE x (a)", [], "unknown", {}),
        ("SELECT 1; SELECT 2", [], "unknown", {}),
        ("SELECT sqlite_version()", [], "unknown", {}),
        ("CREATE TABLE _cf_x (a)", [], "unknown", {}),
        ("CREATE VIRTUAL TABLE v USING rtree(a, b, c)", [], "unknown", {}),
        ("SELECT ?", [], "unknown", {}),
        (f"SELECT '{'x' * 100_000}'", [], "unknown", {}),
        ("INSERT INTO t VALUES (2, ?, 1)", ["x" * 2_000_001], "unknown", {}),
    ],
)
def test_refused_statements(caller: Caller, sql: str, params: list[Any], kind: str, names: dict[str, str]) -> None:
    """A refused statement is a 400 whose `errorDetail` has the documented kind and names."""
    caller.query("INSERT INTO t VALUES (1, 'a', 1)")
    answer = caller.query(sql, *params)
    assert answer.status_code == 400
    detail = answer.json()["errorDetail"]
    assert detail["kind"] == kind
    assert detail["message"] == answer.json()["error"]
    assert {name: detail.get(name) for name in names} == names
    assert caller.rows("SELECT count(*) FROM t") == [[1]]


@limits_of_sqlite
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE wide (" + ", ".join(f"c{i}" for i in range(101)) + ")",
        " UNION ALL ".join(["SELECT 1"] * 6),
        "SELECT max(" + ", ".join(["1"] * 33) + ")",
        f"SELECT 'a' LIKE '{'%' * 51}'",
        "SELECT zeroblob(2000001) IS NULL",
    ],
)
def test_limits_of_the_engine(caller: Caller, sql: str) -> None:
    """The limits of a Durable Object's SQLite hold."""
    assert caller.query(sql).status_code == 400


def test_a_hint_depends_on_the_verb(caller: Caller) -> None:
    """A unique violation gives an INSERT other advice than an UPDATE."""
    caller.query("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)")
    inserted = caller.query("INSERT INTO t VALUES (1, 'c', 1)").json()["errorDetail"]["hint"]
    updated = caller.query("UPDATE t SET name = 'a' WHERE id = 2").json()["errorDetail"]["hint"]
    assert "ON CONFLICT" in inserted
    assert inserted != updated


def test_numbers_are_doubles(caller: Caller) -> None:
    """Numbers go through JavaScript: they arrive as REAL, print without `.0`, and are exact to 2^53."""
    assert caller.rows("SELECT typeof(?), ?, 9007199254740993, 1e999, 0.5", 1, 1) == [
        ["real", 1, 9007199254740992, None, 0.5]
    ]
    caller.query("INSERT INTO t VALUES (?, 'x', 1)", 7)
    assert caller.rows("SELECT typeof(id), id FROM t WHERE id = ?", 7) == [["integer", 7]]


def test_half_a_surrogate_pair_is_replaced(caller: Caller) -> None:
    """JSON can say what UTF-8 can't; the engine stores a replacement character."""
    answer = caller.http.post(
        f"{caller.emulator.url}/v1/db/{caller.emulator.name}/query",
        content=b'{"sql": "SELECT ?", "params": ["a\\ud800b"]}',
        headers={"authorization": f"Bearer {caller.token}"},
    )
    assert answer.json()["data"]["rows"] == [["a\ufffdb"]]


def test_foreign_keys_are_enforced(caller: Caller) -> None:
    """A row that refers to nothing is refused."""
    caller.query("CREATE TABLE child (t INTEGER REFERENCES t (id))")
    assert caller.query("INSERT INTO child VALUES (5)").json()["errorDetail"]["kind"] == "fk_violation"


def test_a_batch_answers_each_statement(caller: Caller) -> None:
    """One result for each, in order."""
    answer = caller.post(
        "batch",
        {
            "statements": [{"sql": "INSERT INTO t VALUES (?, 'a', 1)", "params": [1]}, {"sql": "SELECT id FROM t"}],
            "transaction": True,
        },
    )
    assert [result["rows"] for result in answer.json()["data"]] == [[], [[1]]]


@pytest.mark.parametrize(("transaction", "left"), [(True, 0), (False, 1)])
def test_a_failing_batch(caller: Caller, transaction: bool, left: int) -> None:
    """A transaction leaves nothing; without one, what came before the failure stays and nothing after it runs."""
    statements = [f"INSERT INTO t VALUES ({i}, '{name}', 1)" for i, name in ((1, "a"), (1, "b"), (2, "c"))]
    answer = caller.post("batch", {"statements": [{"sql": sql} for sql in statements], "transaction": transaction})
    assert answer.status_code == 400
    assert answer.json()["errorDetail"]["kind"] == "unique_violation"
    assert caller.rows("SELECT count(*) FROM t") == [[left]]


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"statements": [{"sql": "SELECT 1"}] * 100}, 200),
        ({"statements": [{"sql": "SELECT 1"}] * 101}, 400),
        ({"statements": []}, 400),
        ({"statements": [{"params": []}]}, 400),
        ({"statements": [{"sql": "SELECT 1", "params": {"a": 1}}]}, 400),
        ({"statements": [{"sql": "SELECT 1"}], "transaction": 1}, 400),
        (["SELECT 1"], 400),
        ("SELECT 1", 400),
    ],
)
def test_shapes_of_a_batch(caller: Caller, payload: object, status: int) -> None:
    """At most 100 statements, each with its SQL."""
    assert caller.post("batch", payload).status_code == status


def test_a_body_that_is_not_json_is_refused(caller: Caller) -> None:
    """NaN is no JSON either, whatever Python thinks."""
    for body in (b"", b"{", b'{"sql": "SELECT ?", "params": [NaN]}'):
        answer = caller.http.post(
            f"{caller.emulator.url}/v1/db/{caller.emulator.name}/query",
            content=body,
            headers={"authorization": f"Bearer {caller.token}"},
        )
        assert (answer.status_code, answer.json()["success"]) == (400, False)


def test_an_unknown_database_comes_into_being_or_not(caller: Caller) -> None:
    """Whether its first use creates a database is not documented, so it can be switched."""
    url = f"{caller.emulator.url}/v1/db/{caller.emulator.namespace}/other/query"
    headers = {"authorization": f"Bearer {caller.token}"}
    caller.emulator.switches.auto_create = False
    assert caller.http.post(url, json={"sql": "SELECT 1"}, headers=headers).status_code == 404
    caller.emulator.switches.auto_create = True
    assert caller.http.post(url, json={"sql": "SELECT 1"}, headers=headers).status_code == 200
