"""The emulator's replays, bill, log and faults, and running it by hand."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..systems import needs_interrupts
from . import Emulator, Fault, Server, faults
from .billing import Bill
from .details import Refused
from .engine import Engine

INSERT = "INSERT INTO t (a) VALUES (?)"


class Sender:
    """Sends keyed statements, without a client's retries."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.token = emulator.token()
        self.http = httpx.Client(base_url=emulator.url, verify=False)
        self.ask("CREATE TABLE t (a)")
        emulator.reset()

    def ask(self, sql: str, *params: Any, key: str | None = None, timeout: float = 10) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        if key is not None:
            headers["idempotency-key"] = key
        payload = {"sql": sql, "params": list(params)}
        return self.http.post(f"/v1/db/{self.emulator.name}/query", json=payload, headers=headers, timeout=timeout)

    def count(self) -> int:
        with self.emulator.sqlite() as connection:
            count: int = connection.execute("SELECT count(*) FROM t").fetchone()[0]
        return count


@pytest.fixture
def sender(emulator: Emulator) -> Iterator[Sender]:
    sender = Sender(emulator)
    yield sender
    sender.http.close()


def test_a_key_replays_the_first_answer(sender: Sender) -> None:
    """Whatever the second request says, and for 24 hours."""
    first, second = sender.ask(INSERT, 1, key="k"), sender.ask(INSERT, 2, key="k")
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()
    assert sender.count() == 1
    sender.emulator.advance(24 * 3600 + 1)
    sender.ask(INSERT, 2, key="k")
    assert sender.count() == 2
    assert [record.replayed for record in sender.emulator.log] == [False, True, False]


def test_errors_are_not_replayed(sender: Sender) -> None:
    """A failed request may be tried again under its key."""
    assert sender.ask("INSERT INTO missing VALUES (1)", key="k").status_code == 400
    sender.ask("CREATE TABLE missing (a)")
    assert sender.ask("INSERT INTO missing VALUES (1)", key="k").status_code == 200


def test_a_key_is_at_most_200_characters(sender: Sender) -> None:
    """A longer one is refused, so that nobody counts on it."""
    assert sender.ask(INSERT, 1, key="k" * 200).status_code == 200
    assert sender.ask(INSERT, 1, key="k" * 201).status_code == 400


def test_two_at_once_both_run(sender: Sender) -> None:
    """The replay cache protects sequential repetitions alone."""
    sender.emulator.faults.next(faults.latency(0.3), faults.latency(0.3))
    threads = [threading.Thread(target=sender.ask, args=(INSERT, 1), kwargs={"key": "k"}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sender.count() == 2


@pytest.mark.parametrize(
    ("table", "statement", "written"),
    [
        ("CREATE TABLE x (a TEXT, b TEXT, c, PRIMARY KEY (a, b)) WITHOUT ROWID", "INSERT INTO x VALUES (1, 2, 3)", 1),
        ("CREATE TABLE x (a INTEGER PRIMARY KEY, b)", "INSERT INTO x VALUES (1, 2)", 1),
        ("CREATE TABLE x (a TEXT, b TEXT, PRIMARY KEY (a, b))", "INSERT INTO x VALUES (1, 2)", 2),
        ("CREATE TABLE x (a INTEGER PRIMARY KEY, b UNIQUE)", "INSERT INTO x VALUES (1, 2), (2, 3)", 4),
        ("CREATE TABLE x (a INTEGER PRIMARY KEY, b UNIQUE, c)", "UPDATE t SET a = 5", 3),
        ("CREATE TABLE x (a)", "DELETE FROM t WHERE a > 1", 2),
        ("CREATE TABLE x (a)", "UPDATE t SET a = 9 WHERE a = 77", 0),
        ("CREATE TABLE x (a)", "CREATE TABLE y (a)", 1),
        ("CREATE TABLE x (a)", "CREATE TABLE IF NOT EXISTS x (a)", 0),
        ("CREATE TABLE x (a)", "SELECT * FROM t", 0),
    ],
)
def test_rows_written(sender: Sender, table: str, statement: str, written: int) -> None:
    """Every row counts, and every row of an index; WITHOUT ROWID has none of its own."""
    sender.ask(table)
    sender.ask("INSERT INTO t VALUES (1), (2), (3)")
    sender.emulator.reset()
    assert sender.ask(statement).json()["data"]["rowsWritten"] == written
    assert sender.emulator.billing == Bill(1, sender.emulator.billing.rows_read, written)


def test_an_update_touches_the_indexes_over_its_columns(sender: Sender) -> None:
    """An index over another column isn't rewritten."""
    sender.ask("CREATE TABLE x (a INTEGER PRIMARY KEY, b UNIQUE, c)")
    sender.ask("INSERT INTO x VALUES (1, 2, 3)")
    assert sender.ask("UPDATE x SET c = 4").json()["data"]["rowsWritten"] == 1
    assert sender.ask("UPDATE x SET b = 4").json()["data"]["rowsWritten"] == 2


def test_rows_read(sender: Sender) -> None:
    """A scan reads the whole table, a lookup what comes out of it."""
    sender.ask("CREATE TABLE x (a INTEGER PRIMARY KEY, b) ")
    sender.ask("INSERT INTO x SELECT value, 0 FROM json_each(?)", "[1,2,3,4,5,6,7,8,9]")
    expected = {
        "SELECT * FROM x": 9,
        "SELECT * FROM x WHERE a > 7": 2,
        "SELECT count(*) FROM x AS y WHERE b = 0": 9,
        "SELECT x.a FROM json_each('[1,3]') AS e JOIN x ON x.a = e.value": 2,
        "INSERT INTO x VALUES (10, 0)": 0,
    }
    assert {sql: sender.ask(sql).json()["data"]["rowsRead"] for sql in expected} == expected


def test_the_log_holds_what_was_sent(sender: Sender) -> None:
    """Method, path, statements and headers, and never the token."""
    sender.ask(INSERT, "x", key="k")
    (record,) = sender.emulator.log
    assert (record.method, record.verb, record.statements, record.transaction) == (
        "POST",
        "query",
        [(INSERT, ["x"])],
        None,
    )
    assert record.path == f"/v1/db/{sender.emulator.name}/query"
    assert (record.key, record.status, record.fault) == ("k", 200, None)
    assert sender.token not in repr(record)


@pytest.mark.parametrize(
    ("fault", "outcome", "stored"),
    [
        (faults.latency(0.001), 200, 1),
        (faults.rate_limited("7"), 429, 0),
        (faults.failing(503), 503, 0),
        (faults.failing(524, html=True, runs=True), 524, 1),
        (faults.cut(), httpx.ReadError, 0),
        (faults.cut_after_commit(), httpx.ReadError, 1),
        (faults.truncated(), httpx.RemoteProtocolError, 1),
        (faults.stalled(), httpx.ReadTimeout, 1),
        (faults.garbled(), 200, 1),
        (faults.redirect("https://example.org/"), 307, 0),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
def test_faults(sender: Sender, fault: Fault, outcome: int | type[Exception], stored: int) -> None:
    """Each fault is seen by the client as it is named, after the statements have run or before."""
    sender.emulator.faults.next(fault)
    if isinstance(outcome, int):
        assert sender.ask(INSERT, 1).status_code == outcome
    else:
        with pytest.raises(outcome):
            sender.ask(INSERT, 1, timeout=0.5)
    assert sender.count() == stored
    assert sender.ask("SELECT 1").status_code == 200
    assert [record.fault for record in sender.emulator.log] == [fault.name, None]


@pytest.mark.parametrize(("cached", "stored"), [(True, 1), (False, 2)])
def test_a_commit_whose_answer_no_key_replays(sender: Sender, cached: bool, stored: int) -> None:
    """The worst case for a client: the statements have run, and its repetition runs them again."""
    sender.emulator.faults.next(faults.cut_after_commit(cached=cached))
    with pytest.raises(httpx.ReadError):
        sender.ask(INSERT, 1, key="k")
    sender.ask(INSERT, 1, key="k")
    assert sender.count() == stored


def test_plans(sender: Sender) -> None:
    """Faults are met by number, in turn, at random by a seed, and always, in this order of precedence."""
    plan = sender.emulator.faults
    plan.always(faults.failing(503))
    plan.at(3, faults.failing(502))
    plan.next(faults.failing(500), None)
    assert [sender.ask("SELECT 1").status_code for _ in range(4)] == [500, 200, 502, 503]
    plan.clear()
    sequences: list[list[int]] = []
    for _ in range(2):
        plan.randomly(7, 0.5, (faults.failing(503), faults.rate_limited()))
        sequences.append([sender.ask("SELECT 1").status_code for _ in range(20)])
    assert sequences[0] == sequences[1]
    assert set(sequences[0]) == {200, 429, 503}


def test_a_refused_connection(sender: Sender) -> None:
    """While it refuses, nothing answers; afterwards the same address does."""
    with sender.emulator.refusing(), pytest.raises(httpx.ConnectError):
        sender.ask("SELECT 1")
    assert sender.ask("SELECT 1").status_code == 200


def test_a_file_is_closed_after_what_runs_in_it(tmp_path: Path) -> None:
    """Whoever asks later is refused."""
    engine, runs = Engine(tmp_path / "x.db"), threading.Event()
    engine._connection.create_function("runs", 0, runs.set)
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 FROM (SELECT runs()) UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(engine.run, [(f"{numbers} SELECT max(i) FROM n", [])], transaction=False)
        assert runs.wait(30)
        engine.close()
        assert counted.result()[0]["rows"] == [[200000]]
    with pytest.raises(Refused, match="closed"):
        engine.run([("SELECT 1", [])], transaction=False)


def test_a_late_request_opens_no_file(emulator_server: Server) -> None:
    """One that comes when its namespace has been closed: nobody would close the file."""
    namespace = emulator_server.namespace()
    namespace.close()
    assert namespace.engine("late", create=True) is None


@pytest.mark.slow
@needs_interrupts
def test_by_hand(tmp_path: Path) -> None:
    """`python -m tests.emulator` prints what a client needs, serves one file, and stops by Ctrl-C."""
    command = [sys.executable, "-m", "tests.emulator", "--file", str(tmp_path / "x.db")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = dict(process.stdout.readline().strip().split("=", 1) for _ in range(3))
            url = f"{said['PERSQL_API_URL']}/v1/db/{said['PERSQL_DATABASE']}/query"
            headers = {"authorization": f"Bearer {said['PERSQL_TOKEN']}"}
            assert httpx.post(url, json={"sql": "CREATE TABLE t (a)"}, headers=headers).status_code == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    assert (tmp_path / "x.db").exists()
