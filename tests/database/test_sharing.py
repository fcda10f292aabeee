"""Writes of many sessions in one request: each stored exactly once, each with its own outcome."""

from __future__ import annotations

import gc
import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from traceback import TracebackException
from types import FrameType, MappingProxyType
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from strands import Agent

from strands_persql import (
    PerSQLError,
    PerSQLSessionManager,
    RateLimitError,
    SessionConflictError,
    TransportError,
)
from strands_persql.database import sharing
from strands_persql.database.connector import Connector
from strands_persql.database.encoding import PART_BYTES
from strands_persql.database.sharing import (
    LAST_REQUESTS,
    MOST_DOUBLINGS,
    REQUESTS_AT_ONCE,
    SHARED_CHARACTERS,
    SHORTEST_WAIT,
    _by_handle,
)
from strands_persql.database.tables import Document, Tables
from strands_persql.engine import threads as workers
from strands_persql.engine import tracing
from strands_persql.engine.outgoing import AgentRow, MessageRow
from strands_persql.engine.threads import submit_call
from strands_persql.engine.writer import Writer

from ..agents.scripted import ScriptedModel
from ..databases import local, table
from ..emulator import Emulator, Fault, faults
from ..systems import needs_fork

PATIENCE = 20.0
SEED = int(os.environ.get("STRANDS_PERSQL_SEED", "0")) or random.SystemRandom().getrandbits(32)


_doorways: list[Doorway] = []


@pytest.fixture(autouse=True)
def _opened() -> Iterator[None]:
    """No thread is left waiting for a doorway, should a test fail."""
    yield
    while _doorways:
        _doorways.pop().go()


class Doorway:
    """A handle over a network, of which nothing but the shape is known: requests can be held up, and fail as planned.

    Attributes:
        sent: Every batch that was sent.
        fault: Is asked at each batch of more than one session; what it gives is raised, after the batch was carried
            out where `carried_out` says so.
        check: Is asked at each batch.
        unreachable: Batches of one session fail before they are sent.
    """

    def __init__(self) -> None:
        self.inner = local()
        self.sent: list[list[Mapping[str, Any]]] = []
        self.fault: Callable[[], BaseException | None] = lambda: None
        self.check: Callable[[Sequence[Mapping[str, Any]]], None] = lambda statements: None
        self.unreachable = False
        self.carried_out = False
        self.arrived = threading.Semaphore(0)
        self._held = False
        self._passes = threading.Semaphore(0)
        _doorways.append(self)

    def query(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """One statement."""
        return self.inner.query(sql, params)

    def batch(self, statements: Sequence[Mapping[str, Any]], *, transaction: bool = False) -> Any:
        """One request."""
        assert transaction
        self.sent.append(list(statements))
        assert 0 < len(statements) <= 100, "PerSQL takes 100 statements"
        held = self._held
        self.arrived.release()
        if held:
            assert self._passes.acquire(timeout=PATIENCE)
        if self.unreachable and len(sessions_in(statements)) == 1 and not held:
            raise TransportError("nobody there", sent=False)
        self.check(statements)
        error = self.fault() if len(sessions_in(statements)) > 1 else None
        if error is not None and not self.carried_out:
            raise error
        answers = self.inner.batch(statements, transaction=True)
        if error is not None:
            raise error
        return answers

    def hold(self) -> None:
        """Let no request through from now on."""
        self.arrived = threading.Semaphore(0)
        self._passes = threading.Semaphore(0)
        self._held = True

    def go(self) -> None:
        """Let all through."""
        self._held = False
        self._passes.release(1000)

    def next(self, count: int = 1) -> list[int]:
        """Let one through; how long the batches are that are sent in its place."""
        self._passes.release()
        for _ in range(count):
            assert self.arrived.acquire(timeout=PATIENCE)
        return sorted(len(statements) for statements in self.sent[-count:])


def sessions_in(statements: Sequence[Mapping[str, Any]]) -> set[str]:
    """The sessions that a batch is about: theirs is the first parameter that looks like one of these tests' ids."""
    return {value for each in statements for value in each.get("params", ()) if str(value).startswith("session-")}


def message(position: int, text: str) -> MessageRow:
    """A message's row."""
    return MessageRow("a", position, Document.of(f'{{"message":"{text}","message_id":{position}}}'), new=True)


def agent_row() -> AgentRow:
    """An agent's row."""
    return AgentRow("a", "[[0,null]]", Document.of('{"agent_id":"a","state":{}}'))


class Crowd:
    """Sessions of one database, each with a writer that has begun it.

    Args:
        size: How many.
        database: Where; a fresh one by default.
        prefixes: Of the tables, in turns.
    """

    def __init__(self, size: int, database: Any = None, prefixes: Sequence[str] = ("strands_",)) -> None:
        self.database = database or Doorway()
        self.prefixes = prefixes
        self.ids = [f"session-{number}" for number in range(size)]
        self.writers = [
            Writer(Connector(self.database, Tables(prefix)), session_id)
            for session_id, prefix in zip(self.ids, itertools.cycle(prefixes), strict=False)
        ]
        self.words: dict[str, list[str]] = {session_id: [] for session_id in self.ids}
        for writer in self.writers:
            writer.known.go_on_from("a", 0)
            writer.put([agent_row()])
            writer.drain().result(PATIENCE)
        self.database.sent.clear()

    def say(self, number: int, text: str) -> Future[None]:
        """Add a message to one session, and have it stored."""
        words = self.words[self.ids[number]]
        self.writers[number].put([message(len(words), text)])
        words.append(text)
        return self.writers[number].drain()

    def stored(self) -> dict[str, list[str]]:
        """What is in the tables, by session, in order."""
        found: dict[str, list[str]] = {session_id: [] for session_id in self.ids}
        for prefix in self.prefixes:
            for row in table(self.database.inner, "messages", prefix=prefix):
                text = row["data"].split('"message":"', 1)[1].split('"', 1)[0]
                assert row["message_id"] == len(found[row["session_id"]])
                found[row["session_id"]].append(text)
        return found

    def held_up(self, texts: Mapping[int, str] = MappingProxyType({})) -> list[Future[None]]:
        """Every session says something, and all of it waits for the doorway: a few requests are under way."""
        self.database.hold()
        futures: list[Future[None]] = []
        for number in range(len(self.ids)):
            futures.append(self.say(number, texts.get(number, f"x {number}")))
            if number < REQUESTS_AT_ONCE:
                assert self.database.arrived.acquire(timeout=PATIENCE)
        return futures

    def shared_by_all(self) -> int:
        """After `held_up`: let through what is held; how many of those that wait the first leader has taken along.

        The first request alone is answered before the rest is: two leaders would share those that wait between them.
        """
        (taken,) = self.database.next()
        self.database.go()
        return taken


def done(futures: Sequence[Future[None]]) -> list[BaseException | None]:
    """Their outcomes."""
    _, waiting = wait_for(futures, timeout=PATIENCE)
    assert not waiting
    return [future.exception() for future in futures]


def test_what_waits_goes_in_one_request() -> None:
    """A few requests at once; what comes meanwhile shares the next, up to 100 statements of it."""
    crowd = Crowd(REQUESTS_AT_ONCE + 230)
    futures = crowd.held_up()
    assert [crowd.database.next() for _ in range(3)] == [[100], [100], [30]]
    crowd.database.go()
    assert not any(done(futures))
    assert crowd.stored() == crowd.words
    assert [len(statements) for statements in crowd.database.sent] == [1] * REQUESTS_AT_ONCE + [100, 100, 30]


@pytest.mark.slow
def test_a_thousand_sessions_make_dozens_of_requests() -> None:
    """Two messages each, at the same moment: 2,000 writes in at most 60 requests, on few threads."""
    crowd = Crowd(1000)
    futures = crowd.held_up()
    threads = sum(thread.name.startswith("strands-persql") for thread in threading.enumerate())
    crowd.database.go()
    assert not any(done(futures))
    futures = crowd.held_up()
    crowd.database.go()
    assert not any(done(futures))
    assert len(crowd.database.sent) <= 60
    assert threads <= 64
    assert crowd.stored() == crowd.words


def test_what_has_no_room_goes_with_the_next() -> None:
    """Writes of three statements each, of which 33 fill a request: the next was begun, and goes by itself."""
    crowd = Crowd(REQUESTS_AT_ONCE + 70)
    for writer in crowd.writers:
        writer.put([message(0, "one"), message(1, "two")])
    for words in crowd.words.values():
        words += ["one", "two"]
    futures = crowd.held_up()
    assert crowd.database.next(2) == [3, 99]
    crowd.database.go()
    assert not any(done(futures))
    assert crowd.stored() == crowd.words


def test_what_is_too_long_together_goes_apart() -> None:
    """A request is as long as it may be, and what was begun besides goes by itself."""
    crowd = Crowd(REQUESTS_AT_ONCE + 10)
    futures = crowd.held_up(dict.fromkeys(range(20), "y" * (SHARED_CHARACTERS // 4)))
    assert crowd.database.next(2) == [1, 3]
    crowd.database.go()
    assert not any(done(futures))
    assert crowd.stored() == crowd.words


def test_nothing_waits_where_nothing_is_under_way() -> None:
    """One session after the other: a request each, at once."""
    crowd = Crowd(5)
    for turn in range(3):
        for number in range(5):
            crowd.say(number, f"{turn} {number}").result(PATIENCE)
    assert [len(statements) for statements in crowd.database.sent] == [1] * 15
    assert crowd.stored() == crowd.words


def test_who_blocks_is_not_held_up_by_what_waits_of_its_own() -> None:
    """A write of the same session that waits for company already goes along, at once."""
    crowd = Crowd(REQUESTS_AT_ONCE + 2)
    futures = crowd.held_up()
    writer = crowd.writers[-1]
    assert writer.pending == 1
    futures.append(writer.drain(at_once=True))
    assert crowd.database.arrived.acquire(timeout=PATIENCE)
    assert sessions_in(crowd.database.sent[-1]) == {crowd.ids[-1]}
    crowd.database.go()
    assert not any(done(futures))
    assert crowd.stored() == crowd.words


def test_who_blocks_waits_for_no_request_of_others() -> None:
    """A write that somebody blocks for goes at once, whatever is under way, and however many rows it has."""
    crowd = Crowd(REQUESTS_AT_ONCE + 1)
    futures = crowd.held_up()
    other = Writer(Connector(crowd.database, Tables()), "session-blocking")
    other.known.go_on_from("a", 0)
    other.put([agent_row(), message(0, "blocking")])
    futures.append(other.drain(at_once=True))
    assert crowd.database.arrived.acquire(timeout=PATIENCE)
    assert sessions_in(crowd.database.sent[-1]) == {"session-blocking"}
    crowd.database.go()
    assert not any(done(futures))


def _append(agent: Any, manager: Any) -> None:
    manager.append_message({"role": "user", "content": [{"text": "by hand"}]}, agent)


def _sync(agent: Any, manager: Any) -> None:
    agent.state.set("changed", True)
    manager.sync_agent(agent)


def _redact(agent: Any, manager: Any) -> None:
    agent.messages[-1]["content"] = [{"text": "redacted"}]
    manager.redact_latest_message(agent.messages[-1], agent)


def _flush(agent: Any, manager: Any) -> None:
    manager._recording.writer.put([message(9, "left over")])
    manager.flush()


@pytest.mark.parametrize("call", [_append, _sync, _redact, _flush])
def test_what_strands_calls_synchronously_waits_for_no_request_of_others(call: Callable[..., None]) -> None:
    """It blocks the event loop, so it goes at once, whatever other sessions have under way."""
    crowd = Crowd(REQUESTS_AT_ONCE)
    model = ScriptedModel()
    model.play("one")
    manager = PerSQLSessionManager("session-agent", crowd.database)
    agent = Agent(model=model, agent_id="a", session_manager=manager, callback_handler=None)
    agent("hello")
    futures = crowd.held_up()
    thread = threading.Thread(target=call, args=(agent, manager))
    thread.start()
    assert crowd.database.arrived.acquire(timeout=PATIENCE)
    assert sessions_in(crowd.database.sent[-1]) == {"session-agent"}
    crowd.database.go()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert manager.pending == 0
    assert not any(done(futures))


def test_a_rival_fails_alone() -> None:
    """A conflict is told to the one that has it, and nothing of the others is lost or doubled."""
    crowd = Crowd(40)
    rival = Writer(Connector(crowd.database, Tables()), "session-20")
    agents = table(crowd.database.inner, "agents")
    rival.known.go_on_from("a", next(row["revision"] for row in agents if row["session_id"] == "session-20"))
    rival.put([message(0, "rival's")])
    rival.drain().result(PATIENCE)
    futures = crowd.held_up()
    crowd.database.go()
    outcomes = done(futures)
    assert isinstance(outcomes[20], SessionConflictError)
    assert not any(outcome for number, outcome in enumerate(outcomes) if number != 20)
    assert crowd.stored() == {**crowd.words, "session-20": ["rival's"]}
    assert crowd.writers[20].pending == 1
    assert all(writer.pending == 0 for number, writer in enumerate(crowd.writers) if number != 20)


@pytest.mark.parametrize("carried_out", [False, True], ids=["not carried out", "carried out"])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("lost"),
        TransportError("lost", sent=True),
        TransportError("overloaded", status=503),
        PerSQLError("too large", status=413),
        PerSQLError("refused", status=400, kind="not_null_violation"),
    ],
    ids=["unknown", "reset or stalled", "5xx", "413", "constraint"],
)
def test_a_failure_that_may_be_a_part_s_is_split_at_once(error: BaseException, carried_out: bool) -> None:
    """Each session writes by itself, one request more: nobody hears of it, and nothing is doubled."""
    crowd = Crowd(40)
    errors: list[BaseException] = [error]
    crowd.database.fault = lambda: errors.pop() if errors else None
    crowd.database.carried_out = carried_out
    futures = crowd.held_up()
    assert crowd.shared_by_all() == 40 - REQUESTS_AT_ONCE
    assert not any(done(futures))
    assert not errors, "the fault has struck a shared request"
    shared = next(sessions for each in crowd.database.sent if len(sessions := sessions_in(each)) > 1)
    again = [sessions_in(each) for each in crowd.database.sent if sessions_in(each) & shared]
    most = 3 if carried_out else 2  # where it was carried out, its rows are found in their places
    assert all(sum(session in sessions for sessions in again) <= most for session in shared)
    assert crowd.stored() == crowd.words
    assert not any(writer.pending for writer in crowd.writers)


@pytest.mark.parametrize(
    "fault",
    [
        faults.failing(500),
        faults.failing(502, html=True),
        faults.failing(503),
        faults.failing(413),
        faults.cut(),
        faults.stalled(),
    ],
    ids=lambda fault: f"{fault.name} {fault.status}",
)
def test_nobody_waits_for_another_s_retries(emulator: Emulator, fault: Fault) -> None:
    """A session that the service fails on is retried by itself: its neighbours are stored before that has ended."""
    client = emulator.client(max_retries=3, timeout=1.5 if fault.how == "stall" else 10.0)
    database = client.database(emulator.name)
    writers = [Writer(Connector(database, Tables()), f"session-{number}") for number in range(12)]
    for writer in writers:
        writer.known.go_on_from("a", 0)
        writer.put([agent_row()])
        writer.drain().result(PATIENCE)
    emulator.reset()
    emulator.faults.poisoned("POISON", fault)
    emulator.faults.always(faults.latency(0.05))
    for number, writer in enumerate(writers):
        writer.put([message(0, "POISON" if number == 5 else "x")])
    futures = [writer.drain() for writer in writers]
    outcomes = done(futures)
    assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == [5]
    requests = [str(record.statements) for record in emulator.log]
    assert sum("POISON" in request for request in requests) <= 1 + 4
    most = 3 if fault.runs else 2  # where it was carried out, its rows are found in their places
    for number in (each for each in range(12) if each != 5):
        assert sum(f"session-{number}'" in request for request in requests) <= most, number


def writers_of(database: Any, size: int) -> list[Writer]:
    """Sessions of a database, each with a writer that has begun it, by itself: how long a request takes is known."""
    writers = [Writer(Connector(database, Tables()), f"session-{number}") for number in range(size)]
    for writer in writers:
        writer.known.go_on_from("a", 0)
        writer.put([agent_row()])
        writer.drain().result(PATIENCE)
    return writers


def test_nobody_waits_for_a_part_on_which_the_service_hangs(emulator: Emulator) -> None:
    """A client that would wait for ten minutes: the shared request is given up long before, and stored once."""
    client = emulator.client(timeout=600.0)
    writers = writers_of(client.database(emulator.name), 12)
    emulator.faults.poisoned("POISON", faults.stalled())
    emulator.faults.always(faults.latency(0.05))
    for number, writer in enumerate(writers):
        writer.put([message(0, "POISON" if number == 5 else "x")])
    futures = [writer.drain() for writer in writers]
    hanging = futures.pop(5)
    assert not any(done(futures))
    assert not hanging.done(), "what is sent by itself has the client's own time"
    client.close()
    assert isinstance(done([hanging])[0], PerSQLError)
    stored = table(emulator.database(), "messages")
    assert sorted(row["session_id"] for row in stored) == sorted(writer.session_id for writer in writers)


@pytest.mark.slow
@pytest.mark.parametrize("where", [0, 1, 2])
def test_nobody_waits_for_the_part_that_is_sent_first(emulator: Emulator, where: int) -> None:
    """The few that are sent to find whose fault it is are waited for no longer."""
    client = emulator.client(timeout=600.0)
    writers = writers_of(client.database(emulator.name), REQUESTS_AT_ONCE + 3)
    emulator.reset()
    emulator.faults.poisoned("POISON", faults.stalled())
    emulator.faults.always(faults.latency(0.2))
    futures: list[Future[None]] = []
    for number, writer in enumerate(writers):
        writer.put([message(0, "POISON" if number == REQUESTS_AT_ONCE + where else "x")])
        futures.append(writer.drain())
        while len(emulator.log) < min(number + 1, REQUESTS_AT_ONCE):  # else the first request might take all along
            assert not futures[-1].done()
            time.sleep(0.001)
    futures.pop(REQUESTS_AT_ONCE + where)
    assert not any(done(futures))
    client.close()


@pytest.mark.slow
def test_a_service_that_has_become_slow_is_not_asked_ever_more(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wait that was too short makes the next one longer: soon requests are shared as before."""
    monkeypatch.setattr(sharing, "SHORTEST_WAIT", 0.01)
    monkeypatch.setattr(sharing, "LONGER_THAN_LATELY", 0.25)
    writers = writers_of(emulator.database(timeout=20.0), 40)
    emulator.faults.always(faults.latency(0.2))
    asked: list[int] = []
    while not asked or asked[-1] > 12:
        turn = len(asked)
        assert turn < 15, asked
        emulator.log.clear()
        for writer in writers:
            writer.put([message(turn, f"x {turn}")])
        assert not any(done([writer.drain() for writer in writers]))
        asked.append(len(emulator.log))
    assert len(asked) > 1, "the first waits were too short"
    stored = [(row["session_id"], row["message_id"]) for row in table(emulator.database(), "messages")]
    assert sorted(stored) == sorted((writer.session_id, turn) for writer in writers for turn in range(len(asked)))


def test_how_long_a_shared_request_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the client does until requests are known; then by the slowest of the last ones."""
    outcomes: list[tuple[float, BaseException | None]] = []
    now = 0.0

    def send(followers: Any, **options: Any) -> BaseException | None:
        nonlocal now
        seconds, failure = outcomes.pop(0)
        now += seconds
        return failure

    def wait_after(size: int, seconds: float, failure: BaseException | None = None) -> float | None:
        outcomes.append((seconds, failure))
        pace.failure_of([None] * size, pace.wait())  # type: ignore[list-item]
        return pace.wait()

    monkeypatch.setattr(sharing, "_failure_of", send)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    pace = sharing._RecentRequests()
    lost = TransportError("lost")
    assert pace.wait() is None
    assert wait_after(9, 30.0, lost) is None
    assert wait_after(1, 0.02) == SHORTEST_WAIT
    assert wait_after(9, 1.0) == 2.0
    assert wait_after(9, 1.0, lost) == 2.0, "it has failed otherwise"
    assert [wait_after(9, seconds, lost) for seconds in (2.0, 4.0, 8.0)] == [4.0, 8.0, 16.0]
    assert wait_after(1, 99.0, lost) == 16.0, "what goes by itself has the client's own time"
    assert wait_after(1, 3.0) == 48.0
    assert wait_after(9, 3.0) == 6.0, "a shared one was long enough"
    for _ in range(LAST_REQUESTS):
        wait_after(9, 0.01)
    assert pace.wait() == SHORTEST_WAIT
    for _ in range(50):
        wait_after(9, 1e9, lost)
    assert pace.wait() == SHORTEST_WAIT * 2**MOST_DOUBLINGS


def test_a_write_by_itself_has_the_client_s_time(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the last ones took: it is sent once."""
    monkeypatch.setattr(sharing, "SHORTEST_WAIT", 0.01)
    _, writer = writers_of(emulator.database(timeout=20.0), 2)
    emulator.reset()
    emulator.faults.next(faults.latency(1.0))
    writer.put([message(0, "x")])
    assert not any(done([writer.drain()]))
    assert len(emulator.log) == 1


@pytest.mark.parametrize(
    "error",
    [RateLimitError("slow down", status=429), PerSQLError("who?", status=401), TransportError("nobody", sent=False)],
    ids=lambda error: str(error),
)
def test_a_service_that_serves_nobody_is_asked_once(error: PerSQLError) -> None:
    """What each would hear by itself, all hear at once."""
    crowd = Crowd(30)
    crowd.database.fault = lambda: error
    futures = crowd.held_up()
    assert crowd.shared_by_all() == 30 - REQUESTS_AT_ONCE
    failed = [outcome for outcome in done(futures) if outcome is not None]
    assert len(failed) == 30 - REQUESTS_AT_ONCE
    assert {(type(each), str(each), each.status) for each in failed if isinstance(each, PerSQLError)} == {
        (type(error), str(error), error.status)
    }
    assert len(crowd.database.sent) < 10
    crowd.database.fault = lambda: None
    assert not any(done([writer.drain() for writer in crowd.writers]))
    assert crowd.stored() == crowd.words


def test_an_error_that_all_hear_of_tells_nothing_of_the_others() -> None:
    """Each has its own, which leads to no frame, no cause and no context that holds another session's words."""
    crowd = Crowd(12)
    errors: list[BaseException] = [TransportError("lost", sent=False)]
    crowd.database.fault = lambda: errors.pop() if errors else None
    futures = crowd.held_up({number: f"private {number}" for number in range(12)})
    assert crowd.shared_by_all() == 12 - REQUESTS_AT_ONCE
    failed = {number: outcome for number, outcome in enumerate(done(futures)) if outcome is not None}
    assert len(failed) == 12 - REQUESTS_AT_ONCE
    assert len({id(error) for error in failed.values()}) == len(failed)
    for number, error in failed.items():
        assert (type(error), str(error), error.sent) == (TransportError, "lost", False)  # type: ignore[attr-defined]
        assert error.__cause__ is None
        assert error.__context__ is None
        trace = "".join(TracebackException.from_exception(error, capture_locals=True).format())
        others = [other for other in failed if other != number]
        assert not any(f"private {other}'" in trace or f"session-{other}'" in trace for other in others)
        held = repr([frame.f_locals for frame in frames_behind(error)])
        assert not any(f'"private {other}"' in held for other in others)


def frames_behind(error: BaseException) -> Iterator[FrameType]:
    """This package's frames that an error leads to; from Python 3.12 on also those that had called them."""
    trace = error.__traceback__
    while trace is not None:
        frame: FrameType | None = trace.tb_frame
        while frame is not None:
            if str(frame.f_globals["__name__"]).startswith("strands_persql"):
                yield frame
            frame = frame.f_back
        trace = trace.tb_next


class Opaque(Exception):
    """An error that can't even be looked at."""

    @property
    def status(self) -> int:
        """Of no use."""
        raise RuntimeError("not now")


def test_an_error_that_cannot_be_looked_at_hangs_nobody() -> None:
    """Whatever a handle raises, each is sent by itself, and the database serves on."""
    crowd = Crowd(30)
    for _ in range(2 * REQUESTS_AT_ONCE):
        errors: list[BaseException] = [Opaque()]
        crowd.database.fault = lambda errors=errors: errors.pop() if errors else None
        futures = crowd.held_up()
        assert crowd.shared_by_all() == 30 - REQUESTS_AT_ONCE
        assert not any(done(futures))
        assert not errors
    assert crowd.stored() == crowd.words


def test_a_handle_that_raises_generator_exit_stops_nothing() -> None:
    """It is told as it is, and the next write goes through."""
    crowd = Crowd(1)
    raised: list[BaseException] = [GeneratorExit()]

    def check(statements: Sequence[Mapping[str, Any]]) -> None:
        if raised:
            raise raised.pop()

    crowd.database.check = check
    (outcome,) = done([crowd.say(0, "one")])
    assert isinstance(outcome, GeneratorExit)
    assert not any(done([crowd.say(0, "two")]))
    assert crowd.stored() == crowd.words


@pytest.mark.slow
def test_at_the_end_of_the_interpreter_what_waits_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests wait when the threads have ended: they go one after the other, where they come from."""
    pool = workers._Pool()
    monkeypatch.setattr(workers, "_pool", pool)
    crowd = Crowd(600)
    futures = crowd.held_up(dict.fromkeys(range(600), "y" * (SHARED_CHARACTERS - 200)))
    ending = threading.Thread(target=pool.end)
    ending.start()
    while not pool._ended:
        pass
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)  # that of a thousand is reached by some thousand requests
    try:
        crowd.database.go()
        assert not any(done(futures))
    finally:
        sys.setrecursionlimit(limit)
    ending.join(PATIENCE)
    assert not ending.is_alive()
    assert len(crowd.database.sent) == 600


def test_nobody_waits_for_ever_whatever_happens(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure in the middle of telling a failure each session writes by itself, and the database serves on."""

    def broken(followers: Any) -> None:
        raise ZeroDivisionError

    crowd = Crowd(30)
    monkeypatch.setattr(sharing, "_split", broken)
    for _ in range(2 * REQUESTS_AT_ONCE):
        errors: list[BaseException] = [ValueError("lost")]
        crowd.database.fault = lambda errors=errors: errors.pop() if errors else None
        futures = crowd.held_up()
        crowd.database.go()
        assert not any(done(futures))
        assert not errors
    assert crowd.stored() == crowd.words
    assert {record.getMessage().split(" | ")[1] for record in caplog.records if record.levelname == "ERROR"} == {
        "a shared request failed for an unexpected reason"
    }


@pytest.mark.slow
def test_an_outage_is_told_to_all_on_few_threads(emulator: Emulator) -> None:
    """Where every part fails it is the service: the crowd makes few requests, and holds no worker for its retries."""
    client = emulator.client(max_retries=2)
    database = client.database(emulator.name)
    writers = [Writer(Connector(database, Tables()), f"session-{number}") for number in range(100)]
    for writer in writers:
        writer.known.go_on_from("a", 0)
        writer.put([agent_row()])
    assert not any(done([writer.drain() for writer in writers]))
    emulator.reset()
    emulator.faults.always(faults.failing(503))
    for writer in writers:
        writer.put([message(0, "x")])
    outcomes = done([writer.drain() for writer in writers])
    assert all(isinstance(outcome, TransportError) for outcome in outcomes)
    assert len(emulator.log) <= 60
    emulator.faults.clear()
    emulator.reset()
    assert not any(done([writer.drain() for writer in writers]))
    assert len(emulator.log) <= 20, "they share their requests again"


def test_who_blocks_during_a_turn_waits_for_no_request_of_others() -> None:
    """A session's write is under way when somebody blocks for its next one: that goes by itself, at once."""
    crowd = Crowd(1)
    crowd.database.hold()
    first = crowd.say(0, "one")
    assert crowd.database.arrived.acquire(timeout=PATIENCE)
    writer, handed = crowd.writers[0], list[bool]()
    hand_over = writer._turns._hand_over

    def noted(at_once: bool) -> None:
        handed.append(at_once)
        hand_over(at_once)

    writer._turns._hand_over = noted
    writer.put([message(1, "two")])
    crowd.words[crowd.ids[0]].append("two")
    blocking = writer.drain(at_once=True)
    assert not blocking.done()
    crowd.database.go()
    assert not any(done([first, blocking]))
    assert handed == [True]
    assert crowd.stored() == crowd.words


def test_a_shared_attempt_in_doubt_is_remembered() -> None:
    """It was carried out although it seemed refused, and sending each alone fails: the next event knows its own."""
    crowd = Crowd(12)
    for writer in crowd.writers:
        writer.put([AgentRow("a", "[[0,null]]", Document.of('{"agent_id":"a","state":{"new":true}}'))])
    crowd.database.carried_out = True
    errors: list[BaseException] = [PerSQLError("seen before", status=400, kind="unique_violation")]
    crowd.database.fault = lambda: errors.pop() if errors else None
    futures = crowd.held_up()
    crowd.database.unreachable = True  # from the next on, for those that are alone
    crowd.database.go()
    outcomes = done(futures)
    assert not errors
    shared = next(sessions for each in crowd.database.sent if len(sessions := sessions_in(each)) > 1)
    for number, session_id in enumerate(crowd.ids):
        if session_id in shared:
            assert isinstance(outcomes[number], TransportError)
    crowd.database.unreachable = False
    assert not any(done([writer.drain() for writer in crowd.writers]))
    assert crowd.stored() == crowd.words


def test_a_session_that_is_always_refused_spoils_no_more_requests() -> None:
    """Once it was refused by itself it goes by itself, until it is stored."""
    crowd = Crowd(40)
    poison = {"on": True}

    def refuse(statements: Sequence[Mapping[str, Any]]) -> None:
        if poison["on"] and "session-20" in sessions_in(statements):
            raise PerSQLError("not this table", status=403)

    crowd.database.check = refuse
    for turn, most in ((0, 100), (1, 12), (2, 12)):
        crowd.database.sent.clear()
        futures = crowd.held_up()
        crowd.database.go()
        outcomes = done(futures)
        assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == [20], turn
        assert len(crowd.database.sent) <= most, turn
    poison["on"] = False
    for _ in range(2):
        crowd.database.sent.clear()
        futures = crowd.held_up()
        crowd.database.go()
        assert not any(done(futures))
    assert any("session-20" in sessions_in(each) and len(sessions_in(each)) > 1 for each in crowd.database.sent)
    assert crowd.stored() == crowd.words


def test_a_database_under_load_leaves_threads_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two of its requests, whoever came meanwhile has a turn on the shared threads."""
    pool = workers._Pool()
    monkeypatch.setattr(workers, "_pool", pool)
    monkeypatch.setattr(workers, "MAX_WORKERS", REQUESTS_AT_ONCE)
    crowd = Crowd(60)
    futures = crowd.held_up(dict.fromkeys(range(60), "y" * (SHARED_CHARACTERS - 200)))
    other = submit_call(lambda: len(crowd.database.sent))
    crowd.database.go()
    assert other.result(PATIENCE) <= 4 * REQUESTS_AT_ONCE
    assert not any(done(futures))
    assert len(crowd.database.sent) == 60
    pool.end()


def test_spans_tell_nothing_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared request that another has spoilt leaves no span; one that concerns all leaves each its own."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    crowd = Crowd(12)
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    current: set[tuple[bool, bool]] = set()  # whether a batch is shared, and whether it is sent inside a span

    def look(statements: Sequence[Mapping[str, Any]]) -> None:
        current.add((len(sessions_in(statements)) > 1, trace.get_current_span().get_span_context().is_valid))

    crowd.database.check = look
    errors: list[BaseException] = [PerSQLError("refused", status=400)]
    crowd.database.fault = lambda: errors.pop() if errors else None
    for failed in (False, True):
        futures = crowd.held_up()
        crowd.database.go()
        assert any(done(futures)) is failed
        spans = exporter.get_finished_spans()
        assert sorted(str((span.attributes or {})["strands_persql.session_id"]) for span in spans) == sorted(crowd.ids)
        assert sum(not span.status.is_ok for span in spans) == (12 - REQUESTS_AT_ONCE if failed else 0)
        assert all(span.parent is None for span in spans)
        assert all(span.end_time >= span.start_time for span in spans if span.end_time and span.start_time)
        exporter.clear()
        errors.append(TransportError("lost", sent=False))
    provider.shutdown()
    assert current == {(True, False), (False, True)}


def test_a_refusal_that_concerns_one_is_not_told_to_the_others() -> None:
    """A statement that was refused, with a status like a gateway's: each is sent by itself."""
    crowd = Crowd(30)
    crowd.database.fault = lambda: PerSQLError("refused", status=500, kind="syntax_error")
    futures = crowd.held_up()
    crowd.database.go()
    assert not any(done(futures))
    assert crowd.stored() == crowd.words


def test_tables_that_are_gone_are_created_for_all() -> None:
    """Sessions of several prefixes in one group, whose tables are missing: each finds its own made anew."""
    crowd = Crowd(60, prefixes=("one_", "two_", "three_"))
    for prefix, name in itertools.product(crowd.prefixes, ("messages", "agents", "sessions")):
        crowd.database.inner.query(f"DROP TABLE {prefix}{name}")
    for writer in crowd.writers:  # as a process finds them that knows of no session yet
        writer.known.go_on_from("a", 0)
        writer.put([agent_row()])
    futures = crowd.held_up()
    crowd.database.go()
    assert not any(done(futures))
    assert crowd.stored() == crowd.words


def test_long_writes_go_by_themselves() -> None:
    """A document in parts, or a message that is long, holds nobody up, and nobody holds it up."""
    crowd = Crowd(12)
    long = {5: "y" * (SHARED_CHARACTERS + 1), 6: "z" * (3 * PART_BYTES)}
    futures = crowd.held_up(long)
    crowd.database.go()
    assert not any(done(futures))
    for statements in crowd.database.sent:
        if sessions_in(statements) & {"session-5", "session-6"}:
            assert len(sessions_in(statements)) == 1
    found = {row["session_id"]: row["data"] for row in table(crowd.database.inner, "messages")}
    assert len(found) == 12
    assert long[5] in found["session-5"]
    assert len(table(crowd.database.inner, "chunks")) >= 3


def test_a_session_that_needs_more_requests_leaves_the_road_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions whose next step hangs don't keep the others from being written."""
    crowd = Crowd(3 * REQUESTS_AT_ONCE)
    stuck, rest = crowd.writers[:REQUESTS_AT_ONCE], range(REQUESTS_AT_ONCE, len(crowd.writers))
    for writer in stuck:  # taken places: each will be refused, and ask what stands there
        rival = Writer(Connector(crowd.database.inner, Tables()), writer.session_id)
        rows = {row["session_id"]: row["revision"] for row in table(crowd.database.inner, "agents")}
        rival.known.go_on_from("a", rows[writer.session_id])
        rival.put([message(0, "rival's")])
        rival.drain().result(PATIENCE)
    hanging = threading.Event()
    batch = crowd.database.inner.batch

    def slow_to_read(statements: Any, **options: Any) -> Any:
        if statements[0]["sql"].startswith("SELECT"):
            assert hanging.wait(PATIENCE)
        return batch(statements, **options)

    monkeypatch.setattr(crowd.database.inner, "batch", slow_to_read)
    lost = [crowd.say(number, "late") for number in range(REQUESTS_AT_ONCE)]
    won = [crowd.say(number, "x") for number in rest]
    assert not any(done(won))
    assert not any(future.done() for future in lost)
    hanging.set()
    assert all(isinstance(outcome, SessionConflictError) for outcome in done(lost))


class Slotted:
    """A handle that can't be referred to weakly."""

    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def query(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """One statement."""
        return self.inner.query(sql, params)

    def batch(self, statements: Sequence[Mapping[str, Any]], *, transaction: bool = False) -> Any:
        """One request."""
        return self.inner.batch(statements, transaction=transaction)


def test_a_handle_that_cannot_be_told_from_others_serves_alone() -> None:
    """One that can't be referred to weakly: each session by itself."""
    crowd = Crowd(1)
    writers = [Writer(Connector(Slotted(crowd.database), Tables()), f"session-x{number}") for number in range(20)]
    crowd.database.hold()
    for writer in writers:
        writer.known.go_on_from("a", 0)
        writer.put([agent_row()])
    futures = [writer.drain() for writer in writers]
    for _ in futures:
        assert crowd.database.arrived.acquire(timeout=PATIENCE)
    crowd.database.go()
    assert not any(done(futures))
    assert all(len(sessions_in(statements)) == 1 for statements in crowd.database.sent)


@dataclass(frozen=True)
class Tenant:
    """A handle that calls another equal although its token isn't."""

    inner: Any = field(compare=False)
    token: str = field(compare=False)
    sent: list[tuple[str, set[str]]] = field(compare=False)

    def query(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """One statement."""
        return self.inner.query(sql, params)

    def batch(self, statements: Sequence[Mapping[str, Any]], *, transaction: bool = False) -> Any:
        """One request."""
        self.sent.append((self.token, sessions_in(statements)))
        return self.inner.batch(statements, transaction=transaction)


def test_equal_handles_are_not_the_same() -> None:
    """Each session's rows go through the handle that it was given."""
    crowd, sent = Crowd(1), list[tuple[str, set[str]]]()
    tenants = [Tenant(crowd.database, f"session-t{number}", sent) for number in range(12)]
    assert len(set(tenants)) == 1
    writers = [Writer(Connector(each, Tables()), each.token) for each in tenants]
    crowd.database.hold()
    for writer in writers:
        writer.known.go_on_from("a", 0)
        writer.put([agent_row()])
    futures = [writer.drain() for writer in writers]
    crowd.database.go()
    assert not any(done(futures))
    assert sorted(sent) == sorted((each.token, {each.token}) for each in tenants)


def test_local_databases_have_no_groups() -> None:
    """A call in this process is answered before another could wait for it."""
    database = local()
    writers = [Writer(Connector(database, Tables()), f"session-{number}") for number in range(20)]
    for writer in writers:
        writer.known.go_on_from("a", 0)
        writer.put([agent_row(), message(0, "x")])
    assert not any(done([writer.drain() for writer in writers]))
    assert len(table(database, "messages")) == 20
    assert id(database) not in _by_handle._requests


def test_groups_go_with_their_handles() -> None:
    """A handle that nobody holds any more leaves nothing behind."""
    before = len(_by_handle._requests)
    crowd = Crowd(3)
    assert len(_by_handle._requests) == before + 1
    _doorways.clear()
    del crowd
    gc.collect()
    assert len(_by_handle._requests) <= before


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_no_request_of_its_parent() -> None:
    """Every road was taken when the process was forked: in the child they are free."""
    crowd = Crowd(10)
    futures = crowd.held_up()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            crowd.database.inner = local()  # a database in memory stays the parent's
            crowd.database._held = False
            Crowd(1, crowd.database)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    crowd.database.go()
    assert not any(done(futures))
    assert os.waitstatus_to_exitcode(status) == 0


def test_many_sessions_over_a_database_that_fails_at_random() -> None:
    """Hundreds of writes from several threads, groups lost before or after they were carried out: each stored once."""
    print(f"STRANDS_PERSQL_SEED={SEED}")
    choice = random.Random(SEED)
    crowd = Crowd(60)
    lock = threading.Lock()

    def fault() -> BaseException | None:
        with lock:
            crowd.database.carried_out = choice.random() < 0.5
            kinds = [None, None, ValueError("odd"), TransportError("lost", sent=True), PerSQLError("full", status=503)]
            return choice.choice(kinds)

    crowd.database.fault = fault
    for turn in range(25):
        crowd.database.hold()
        speaking = choice.sample(range(60), choice.randint(1, 60))
        futures = [crowd.say(number, f"{turn} {number}") for number in speaking]
        crowd.database.go()
        done(futures)
    crowd.database.fault = lambda: None
    for _ in range(2):  # what a late answer has hidden is read back by the first
        done([writer.drain() for writer in crowd.writers])
    assert not any(writer.pending for writer in crowd.writers)
    assert crowd.stored() == crowd.words
