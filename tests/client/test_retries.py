"""What a handle does when the service, or the way to it, fails."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from strands_persql.client import _retry
from strands_persql.client._retry import Retries, retry_after_seconds
from strands_persql.errors import PerSQLError, RateLimitError, TransportError

from ..emulator import Emulator, Fault, faults

INSERT = {"sql": "INSERT INTO t (a) VALUES (?)", "params": [1]}
TRANSIENT = [
    faults.latency(0.001),
    faults.rate_limited(),
    faults.rate_limited(None),
    *(
        faults.failing(status, html=True)
        for status in (408, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527)
    ),
    faults.failing(530, html=True),
    faults.failing(500),
    faults.failing(503, runs=True, cached=True),
    faults.cut(),
    faults.cut_after_commit(),
    faults.truncated(),
    faults.garbled(),
    faults.garbled(b"", runs=True),
    faults.garbled(b'{"success":true,"da', runs=True),
]


@pytest.fixture
def db(emulator: Emulator) -> Any:
    """A handle with one table, and an empty log."""
    handle = emulator.database()
    handle.query("CREATE TABLE t (a)")
    emulator.reset()
    return handle


def count(emulator: Emulator) -> int:
    """The rows that are really there."""
    with emulator.sqlite() as connection:
        stored: int = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    return stored


@pytest.mark.parametrize("call", ["query", "batch"])
@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda fault: fault.name)
def test_a_write_gets_over_one_fault(emulator: Emulator, db: Any, fault: Fault, call: str) -> None:
    """It is carried out once, whether its first answer or its first request got lost; the key is the same each time."""
    emulator.faults.next(fault)
    if call == "query":
        db.query(INSERT["sql"], INSERT["params"])
    else:
        db.batch([INSERT, {"sql": "SELECT 1"}], transaction=True)
    assert count(emulator) == 1
    assert len(emulator.log) == (1 if fault.how == "latency" else 2)
    keys = {record.key for record in emulator.log}
    assert len(keys) == 1 and None not in keys
    assert emulator.log[-1].status == 200
    assert len({record.body for record in emulator.log}) == 1


@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda fault: fault.name)
def test_a_read_gets_over_one_fault_without_a_key(emulator: Emulator, db: Any, fault: Fault) -> None:
    """A keyed read would answer old rows for 24 hours."""
    emulator.faults.next(fault)
    assert db.query("SELECT count(*) AS n FROM t")["data"] == [{"n": 0}]
    assert {record.key for record in emulator.log} == {None}


@pytest.mark.parametrize(
    "fault",
    [faults.failing(status) for status in (400, 401, 402, 403, 404, 405, 409, 413, 422, 501, 505)],
    ids=lambda fault: fault.name,
)
def test_what_is_not_tried_again(emulator: Emulator, db: Any, fault: Fault) -> None:
    """Refusals stay refusals."""
    emulator.faults.always(fault)
    with pytest.raises(PerSQLError) as caught:
        db.batch([INSERT])
    assert caught.value.status == fault.status
    assert emulator.requests == 1


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        (faults.rate_limited(), RateLimitError, 429),
        (faults.failing(503), TransportError, 503),
        (faults.failing(502, html=True), TransportError, 502),
        (faults.garbled(), TransportError, 200),
        (faults.cut(), TransportError, None),
        (faults.truncated(), TransportError, None),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
def test_giving_up(emulator: Emulator, fault: Fault, error: type[PerSQLError], status: int | None) -> None:
    """After `max_retries`, the last failure is raised; the outcome of a write is unknown then."""
    db = emulator.database(max_retries=2)
    db.query("CREATE TABLE t (a)")
    emulator.reset()
    emulator.faults.always(fault)
    with pytest.raises(error) as caught:
        db.batch([INSERT])
    assert (type(caught.value), caught.value.status) == (error, status)
    assert emulator.requests == 3
    if isinstance(caught.value, TransportError):
        assert caught.value.sent is True
        assert "may or may not" in str(caught.value)
    assert count(emulator) == (1 if fault.runs else 0)


@pytest.mark.parametrize("status", [400, 409, 423, 500, 503])
def test_a_locked_database_is_tried_again(emulator: Emulator, db: Any, status: int) -> None:
    """Under whatever status it is told; a write to it was certainly not carried out."""
    detail = '{"kind":"database_locked","message":"database is locked"}'
    body = f'{{"success":false,"error":"database is locked","errorDetail":{detail}}}'.encode()
    locked = Fault("locked", "answer", runs=False, status=status, body=body)
    emulator.faults.next(locked)
    db.commit([INSERT], patient=False)
    assert (count(emulator), emulator.requests) == (1, 2)
    emulator.faults.always(locked)
    with pytest.raises(PerSQLError, match=f"{status} database_locked: .*try again") as caught:
        emulator.database(max_retries=1).batch([INSERT])
    assert (type(caught.value), caught.value.kind, count(emulator)) == (PerSQLError, "database_locked", 1)


def test_no_retries_at_all(emulator: Emulator) -> None:
    """`max_retries=0` sends once."""
    emulator.faults.always(faults.failing(503))
    with pytest.raises(TransportError):
        emulator.database(max_retries=0).query("SELECT 1")
    assert emulator.requests == 1


def test_a_stalled_answer_times_out(emulator: Emulator) -> None:
    """A body that stops in the middle is given up after `timeout` seconds, and the write still happens once."""
    db = emulator.database(timeout=0.3)
    db.query("CREATE TABLE t (a)")
    emulator.faults.next(faults.stalled())
    db.query("INSERT INTO t VALUES (1)")
    assert count(emulator) == 1
    emulator.faults.always(faults.stalled())
    with pytest.raises(TransportError, match=r"timed out \(ReadTimeoutError\).*may or may not.*timeout=") as caught:
        emulator.database(timeout=0.1, max_retries=1).query("SELECT 1")
    assert caught.value.sent is True


def test_a_refused_connection_was_certainly_not_sent(emulator: Emulator) -> None:
    """`sent` is False, and the message says what to check."""
    db = emulator.database(max_retries=1)
    with emulator.refusing(), pytest.raises(TransportError, match="nothing was sent; check base_url") as caught:
        db.query("SELECT 1")
    assert caught.value.sent is False and caught.value.status is None
    assert db.query("SELECT 1 AS one")["data"] == [{"one": 1}]


def test_an_unknown_host_was_certainly_not_sent(emulator: Emulator) -> None:
    """The name doesn't exist, by definition of its domain."""
    client = emulator.client(base_url="https://api.persql.invalid", max_retries=0)
    with pytest.raises(TransportError) as caught:
        client.database("acme/a").query("SELECT 1")
    assert caught.value.sent is False


def test_one_attempt_that_arrived_is_enough_to_doubt(emulator: Emulator) -> None:
    """A lost answer and then a refused connection: the write may have happened."""
    db = emulator.database(max_retries=1)
    db.query("CREATE TABLE t (a)")
    emulator.reset()

    class StopAfterFirst(logging.Handler):
        """Closes the port between the two attempts."""

        def emit(self, record: logging.LogRecord) -> None:
            stack.enter_context(emulator.refusing())

    logger, handler = logging.getLogger("strands_persql.client._remote"), StopAfterFirst()
    emulator.faults.next(faults.cut_after_commit())
    level = logger.level
    with contextlib.ExitStack() as stack:
        stack.callback(logger.setLevel, level)
        stack.callback(logger.removeHandler, handler)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        with pytest.raises(TransportError, match="Connection refused") as caught:
            db.query("INSERT INTO t VALUES (1)")
    assert caught.value.sent is True
    assert count(emulator) == 1


def test_each_call_has_a_key_of_its_own(emulator: Emulator, db: Any) -> None:
    """The same write twice is two writes."""
    db.batch([INSERT], transaction=True)
    db.batch([INSERT], transaction=True)
    db.query(INSERT["sql"], INSERT["params"])
    assert count(emulator) == 3
    keys = [record.key for record in emulator.log]
    assert len(set(keys)) == 3 and all(key and len(key) <= 200 for key in keys)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t",
        "  -- why\n/* how */ select 1",
        "VALUES (1)",
        "EXPLAIN QUERY PLAN SELECT 1",
        "WITH x AS (SELECT 1) SELECT * FROM x",
    ],
)
def test_reads_carry_no_key(emulator: Emulator, db: Any, sql: str) -> None:
    """Alone or in a batch, not even a key of the caller's."""
    db.query(sql)
    db.batch([{"sql": sql}, {"sql": sql}], transaction=True, idempotency_key="mine")
    assert [record.key for record in emulator.log] == [None, None]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "DELETE FROM t WHERE a = 1",
        "REPLACE INTO t VALUES (1)",
        "CREATE TABLE u (a)",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "INSERT INTO t VALUES (1) RETURNING a",
    ],
)
def test_writes_carry_a_key(emulator: Emulator, db: Any, sql: str) -> None:
    """Also in a batch that reads as well."""
    db.query(sql)
    db.batch([{"sql": "SELECT 1"}, {"sql": sql.replace("TABLE u", "TABLE v")}])
    assert all(record.key for record in emulator.log)


def test_a_given_key_names_one_write(emulator: Emulator, db: Any) -> None:
    """The same key and content from anywhere is run once; other content under it is run too."""
    other = {"sql": INSERT["sql"], "params": [2]}
    for statements in ([INSERT], [INSERT], [other], [INSERT, other], [INSERT]):
        db.batch(statements, transaction=True, idempotency_key="turn-1")
    emulator.database().batch([INSERT], transaction=True, idempotency_key="turn-1")
    keys = [record.key for record in emulator.log]
    assert [record.replayed for record in emulator.log] == [False, True, False, False, True, True]
    assert len(set(keys)) == 3 and count(emulator) == 4
    assert all(key is not None and key.startswith("turn-1.") for key in keys)
    db.batch([INSERT], transaction=False, idempotency_key="turn-1")
    assert not emulator.log[-1].replayed


@pytest.mark.parametrize("key", ["", "x" * 1000, "spaces and\nlines", "ключ", "\ud800", "a/b?c=d"])
def test_any_key_will_do(emulator: Emulator, db: Any, key: str) -> None:
    """What a header can't carry is hashed; two keys never become one."""
    db.batch([INSERT], idempotency_key=key)
    db.batch([INSERT], idempotency_key=key + "x")
    db.batch([INSERT], idempotency_key=key)
    first, second, third = (record.key for record in emulator.log)
    assert first == third != second
    assert all(found and found.isascii() and len(found) <= 200 for found in (first, second))


def test_retries_are_logged(emulator: Emulator, db: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The first for those who look closely, the next ones as a warning."""
    caplog.set_level(logging.DEBUG, logger="strands_persql.client")
    emulator.faults.next(faults.failing(503), faults.cut(), faults.rate_limited())
    db.query("SELECT 1")
    name = emulator.name
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert logged == [
        ("DEBUG", f"database=<{name}>, attempt=<2>, status=<503> | retrying request"),
        ("WARNING", f"database=<{name}>, attempt=<3>, status=<ConnectionResetError> | retrying request"),
        ("WARNING", f"database=<{name}>, attempt=<4>, status=<429> | retrying request"),
    ]


def test_closing_ends_the_wait(emulator: Emulator) -> None:
    """A call that waits for its next attempt is told that the client is closed."""
    client = emulator.client()
    emulator.faults.always(faults.rate_limited("60"))
    caught: list[BaseException] = []
    waiting = threading.Event()

    class Waits(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waiting.set()

    logger, handler = logging.getLogger("strands_persql.client._remote"), Waits()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)

    def call() -> None:
        try:
            client.database(emulator.name).query("SELECT 1")
        except PerSQLError as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert waiting.wait(30)
    client.close()
    thread.join(30)
    logger.removeHandler(handler)
    logger.setLevel(level)
    assert [getattr(error, "kind", None) for error in caught] == ["closed"]


def test_a_wait_that_is_too_long_is_not_begun(emulator: Emulator) -> None:
    """A `Retry-After` beyond the time for retries is the caller's to wait for."""
    emulator.faults.always(faults.rate_limited("3600"))
    with pytest.raises(RateLimitError) as caught:
        emulator.database().query("SELECT 1")
    assert caught.value.retry_after == 3600 and emulator.requests == 1


def test_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exponential with full jitter, never shorter than asked for, within a number of attempts and a time."""
    ceilings: list[float] = []

    def uniform(low: float, high: float) -> float:
        assert low == 0
        ceilings.append(high)
        return high

    monkeypatch.setattr(random, "uniform", uniform)
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.25)
    retries = Retries(8)
    delays = [retries.next_delay() for _ in range(7)]
    assert delays == ceilings == [0.25, 0.5, 1, 2, 4, 8, 8]
    assert retries.next_delay(5) == 13
    assert retries.next_delay() is None
    assert Retries(3).next_delay(89) is not None
    assert Retries(3).next_delay(91) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999", None),
        ("9" * 10**6, None),
        ("5", 5),
        (" 0.5 ", 0.5),
        ("-3", 0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_as_seconds(header: str | None, seconds: float | None) -> None:
    """Anything that is no number of seconds is no wish at all."""
    assert retry_after_seconds(header) == seconds


def test_retry_after_as_a_date() -> None:
    """HTTP allows a date as well; one in the past is now."""
    now = datetime.now(timezone.utc)
    later = retry_after_seconds(format_datetime(now + timedelta(seconds=60), usegmt=True))
    assert later is not None and 50 < later <= 60
    assert retry_after_seconds(format_datetime(now - timedelta(days=1), usegmt=True)) == 0
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00") == 0


@pytest.mark.slow
def test_a_late_first_attempt_runs_as_well(emulator: Emulator) -> None:
    """The limit of the service's keys: an attempt that outlives its timeout runs too; a primary key bears it."""
    db = emulator.database(timeout=0.3)
    db.query("CREATE TABLE t (a PRIMARY KEY, n)")
    emulator.reset()
    emulator.faults.next(faults.latency(1.0))
    db.query("INSERT INTO t VALUES (1, 1) ON CONFLICT (a) DO UPDATE SET n = n")
    # The server takes requests in order, so the first has run once a later one with a longer way is answered.
    emulator.faults.next(faults.latency(1.5))
    emulator.database().query("SELECT 1")
    assert emulator.billing.rows_written >= 2 and count(emulator) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_faults_lose_nothing_and_double_nothing(emulator: Emulator, seed: int) -> None:
    """Over many requests that fail in every way, each write is stored exactly once."""
    print(f"seed {seed}")
    db = emulator.database(max_retries=50)
    db.query("CREATE TABLE t (a)")
    emulator.faults.randomly(seed, 0.4)

    def write(thread: int) -> None:
        for i in range(10):
            statement = {"sql": INSERT["sql"], "params": [thread * 100 + i]}
            db.batch([statement, {"sql": "SELECT count(*) FROM t"}], transaction=True)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with emulator.sqlite() as connection:
        stored = [row[0] for row in connection.execute("SELECT a FROM t ORDER BY a")]
    assert stored == [thread * 100 + i for thread in range(4) for i in range(10)]
    assert {record.fault for record in emulator.log} >= {None, "cut_after_commit", "truncated", "rate_limited"}
