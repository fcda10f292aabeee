"""Turns on the shared threads: one at a time, none forgotten, never stuck."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import random
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import wait as wait_for
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from strands_persql import PerSQLError
from strands_persql.client import _remote
from strands_persql.engine import threads as workers
from strands_persql.engine.threads import (
    MAX_WORKERS,
    Turns,
    awaited,
    submit,
    submit_call,
)

from ..emulator import Emulator, faults
from ..processes import python
from ..systems import needs_fork, needs_requests_that_end

PATIENCE = 10.0
"""Seconds after which a test fails instead of hanging."""


class Lane:
    """Work that is done in turns, on the shared threads."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._turns = Turns(lambda at_once: submit(self._turn))

    def run(self) -> Future[None]:
        """Ask for a turn."""
        return self._turns.ask()

    def _turn(self) -> None:
        if self._turns.begin():
            error: BaseException | None = None
            try:
                self._work()
            except BaseException as caught:
                error = caught
            self._turns.end(error)


class Gate:
    """Work that waits until it is let through."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.open = threading.Semaphore(0)
        self.runs = 0

    def __call__(self) -> None:
        """Run once."""
        self.started.release()
        assert self.open.acquire(timeout=PATIENCE)
        self.runs += 1


def test_calls_that_wait_share_one_run() -> None:
    """All that is asked for during a run is done by one more, which began after each of the calls."""
    gate = Gate()
    lane = Lane(gate)
    first = lane.run()
    assert gate.started.acquire(timeout=PATIENCE)
    later = [lane.run() for _ in range(50)]
    gate.open.release()
    first.result(PATIENCE)
    assert not any(future.done() for future in later)
    gate.open.release()
    for future in later:
        future.result(PATIENCE)
    assert gate.runs == 2


def test_a_lane_never_runs_twice_at_once() -> None:
    """Many threads ask at once: runs follow one another, and each call sees what was there when it was made."""
    busy, overlaps, pending, done = threading.Lock(), [], list[int](), set[int]()

    def work() -> None:
        if not busy.acquire(blocking=False):
            overlaps.append(1)
            return
        taken = pending[:]
        done.update(taken)
        busy.release()

    lane = Lane(work)
    missed: list[int] = []

    def caller(number: int) -> None:
        for i in range(50):
            item = number * 1000 + i
            pending.append(item)
            lane.run().result(PATIENCE)
            if item not in done:
                missed.append(item)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not overlaps
    assert not missed


def test_an_error_reaches_those_who_wait_for_that_run() -> None:
    """A failed run fails its waiters alone; the next runs."""
    outcomes: list[Exception | None] = [ValueError("one"), None]

    def work() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    lane = Lane(work)
    with pytest.raises(ValueError, match="one"):
        lane.run().result(PATIENCE)
    lane.run().result(PATIENCE)


def test_a_cancelled_wait_stops_nothing() -> None:
    """Who gives up waiting takes nothing from the others, and the lane goes on."""
    gate = Gate()
    lane = Lane(gate)
    first = lane.run()
    assert gate.started.acquire(timeout=PATIENCE)
    given_up, kept = lane.run(), lane.run()
    given_up.cancel()
    gate.open.release(3)
    first.result(PATIENCE)
    kept.result(PATIENCE)
    lane.run().result(PATIENCE)
    assert gate.runs == 3
    with pytest.raises(CancelledError):
        given_up.result(0)


async def test_a_cancelled_task_stops_nothing() -> None:
    """The same for a task that awaits the run."""
    gate = Gate()
    lane = Lane(gate)
    lane.run()
    await asyncio.to_thread(gate.started.acquire)
    task = asyncio.ensure_future(asyncio.wait_for(asyncio.wrap_future(lane.run()), 0.001))
    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        await task
    gate.open.release(3)
    await asyncio.wait_for(asyncio.wrap_future(lane.run()), PATIENCE)


def test_a_thousand_lanes_share_few_threads() -> None:
    """A process has no more threads than it is allowed, however many sessions write at once."""
    threads: set[int] = set()
    random_work = random.Random(0)

    def work() -> None:
        threads.add(threading.get_ident())
        sum(range(random_work.randrange(2000)))

    lanes = [Lane(work) for _ in range(1000)]
    futures = [lane.run() for lane in lanes for _ in range(2)]
    done, open_ = wait_for(futures, timeout=PATIENCE)
    assert not open_
    assert all(future.exception() is None for future in done)
    assert len(threads) <= MAX_WORKERS
    workers = [thread for thread in threading.enumerate() if re.fullmatch(r"strands-persql-\d+", thread.name)]
    assert len(workers) <= MAX_WORKERS


def test_a_call_has_an_outcome() -> None:
    """A result or an error comes in the future, from a worker thread."""
    assert submit_call(threading.get_ident).result(PATIENCE) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        submit_call(lambda: 1 // 0).result(PATIENCE)


def test_many_waits_end_together() -> None:
    """Tasks of several loops, whose work is done by many threads at the same moment: each goes on, with its outcome."""
    start = threading.Event()

    def work(number: int) -> int:
        assert start.wait(PATIENCE)
        if number % 5 == 0:
            raise ValueError(number)
        return number

    async def crowd(numbers: range) -> list[Any]:
        waits = [awaited(submit_call(partial(work, number))) for number in numbers]
        given_up = asyncio.ensure_future(awaited(submit_call(partial(work, 1))))
        await asyncio.sleep(0)
        given_up.cancel()
        asyncio.get_running_loop().call_later(0.01, start.set)
        return await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), PATIENCE)

    outcomes: dict[int, list[Any]] = {}
    threads = [
        threading.Thread(target=lambda n=n: outcomes.update({n: asyncio.run(crowd(range(n, n + 200)))}))
        for n in (0, 1000, 2000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for first, found in outcomes.items():
        assert len(found) == 200
        for number, outcome in enumerate(found, first):
            assert (outcome.args == (number,)) if isinstance(outcome, ValueError) else (outcome == number)
            assert isinstance(outcome, ValueError) is (number % 5 == 0)
    assert len(outcomes) == 3


def test_a_loop_that_was_closed_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Work that ends after the loop of the one who waited for it, as Strands closes one after each call."""
    gate, loops = Gate(), list[asyncio.AbstractEventLoop]()
    lane = Lane(gate)

    async def give_up() -> None:
        loops.append(asyncio.get_running_loop())
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await asyncio.wait_for(awaited(lane.run()), 0.001)

    asyncio.run(give_up())
    assert loops[0].is_closed()
    gate.open.release(2)
    lane.run().result(PATIENCE)
    assert not caplog.records
    left = weakref.ref(loops.pop())
    gc.collect()
    assert left() is None


def test_each_turn_is_handed_over_anew() -> None:
    """What is asked for during a turn is another turn, handed over at its end; at once, if one blocks meanwhile."""
    handed: list[bool] = []
    turns = Turns(handed.append)
    waits = [turns.ask()]
    assert turns.begin()
    waits += [turns.ask(), turns.ask(at_once=True), turns.ask()]
    assert handed == [False]
    turns.end()
    assert [wait.done() for wait in waits] == [True, False, False, False]
    assert turns.begin()
    turns.ask()
    turns.end()
    assert all(wait.done() for wait in waits)
    assert handed == [False, True, False]


def test_who_blocks_passes_a_queued_turn() -> None:
    """A turn that waits for others is passed by one that somebody blocks for, and then finds nothing to do."""
    handed: list[bool] = []
    turns = Turns(handed.append)
    waits = [turns.ask(), turns.ask(), turns.ask(at_once=True)]
    assert handed == [False, True]
    assert turns.begin()
    turns.end()
    assert all(wait.done() for wait in waits)
    assert not turns.begin()
    assert not turns.ask().done()
    assert handed == [False, True, False]


def test_a_turn_at_once() -> None:
    """Nobody is asked to wait for it, and it passes nobody; what is asked for during it is handed over at its end."""
    handed: list[bool] = []
    turns = Turns(handed.append)
    here = threading.get_ident()
    assert turns.begin_now(here)
    assert not turns.begin_now(here)
    asked = turns.ask()
    assert not turns.begin_now(here) and not handed
    turns.end_now(here)
    assert handed == [False] and not asked.done()
    assert not turns.begin_now(here)
    assert turns.begin()
    assert not turns.begin_now(here)
    turns.end()
    assert asked.done()
    assert turns.begin_now(here)


def test_a_turn_that_was_handed_over_all_the_same() -> None:
    """A call that is interrupted after it has handed its turn over: the next hands over another, and one is enough."""
    handed: list[bool] = []

    def interrupted(at_once: bool) -> None:
        handed.append(at_once)
        if len(handed) == 1:
            raise KeyboardInterrupt

    turns = Turns(interrupted)
    with pytest.raises(KeyboardInterrupt):
        turns.ask()
    later = turns.ask()
    assert len(handed) == 2
    assert turns.begin()
    last = turns.ask()
    assert not turns.begin()
    turns.end()
    later.result(0)
    assert len(handed) == 3
    assert turns.begin()
    turns.end()
    last.result(0)


def test_calls_that_wait_take_no_thread() -> None:
    """However often a stuck session is asked to write, the others find a thread."""
    gate = Gate()
    stuck = Lane(gate)
    waiting = [stuck.run()]
    assert gate.started.acquire(timeout=PATIENCE)
    waiting += [stuck.run() for _ in range(3 * MAX_WORKERS)]
    Lane(lambda: None).run().result(PATIENCE)
    gate.open.release(2)
    for future in waiting:
        future.result(PATIENCE)


def test_a_lane_goes_on_where_no_thread_could_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane for which no thread could be started runs on the next there is, and still never twice at once."""
    monkeypatch.setattr(workers, "_pool", workers._Pool())
    other, gate, busy, overlaps = Gate(), Gate(), threading.Lock(), list[int]()

    def work() -> None:
        if not busy.acquire(blocking=False):
            overlaps.append(1)
            gate.started.release()
            return
        gate()
        busy.release()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    submit(other)  # the only thread of the pool is busy
    assert other.started.acquire(timeout=PATIENCE)
    lane = Lane(work)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        first = lane.run()
    submit(lambda: None)  # has the thread started that was missing
    assert gate.started.acquire(timeout=PATIENCE)
    second = lane.run()
    other.open.release()
    gate.started.acquire(timeout=0.2)  # the other thread, were it to run the work as well
    gate.open.release(3)
    for future in (first, second):
        future.result(PATIENCE)
    assert not overlaps


def test_work_is_done_once_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has reached its limit of threads neither loses the work nor does it twice."""
    monkeypatch.setattr(workers, "_pool", workers._Pool())  # a pool of its own, which has no idle thread
    done: list[str] = []

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    gates = [Gate() for _ in range(2)]
    for gate in gates:  # both of its threads are busy
        submit(gate)
    for gate in gates:
        assert gate.started.acquire(timeout=PATIENCE)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        submit(lambda: done.append("work"))
    for gate in gates:
        gate.open.release()
    for _ in gates:  # whatever is queued has been taken
        submit_call(lambda: None).result(PATIENCE)
    assert done == ["work"]


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("busy", [False, True])
def test_a_forked_child_goes_on(busy: bool) -> None:
    """A child process runs its lanes on threads of its own, even if it was forked in the midst of a run."""
    gate = Gate()
    lane = Lane(gate)
    first = lane.run()
    assert gate.started.acquire(timeout=PATIENCE)
    if not busy:
        gate.open.release()
        first.result(PATIENCE)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            gate.open = threading.Semaphore(9)
            lane.run().result(PATIENCE)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    gate.open.release()
    first.result(PATIENCE)
    assert os.waitstatus_to_exitcode(status) == 0


def test_work_is_done_at_once_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a single thread the work runs where it comes from, and the pool still ends."""
    pool = workers._Pool()
    monkeypatch.setattr(workers, "_pool", pool)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert submit_call(threading.get_ident).result(0) == threading.get_ident()
    assert submit_call(threading.get_ident).result(PATIENCE) != threading.get_ident()
    pool.end()


def test_work_at_the_end_of_the_interpreter_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the pool has ended, work runs on the thread that brings it."""
    pool = workers._Pool()
    monkeypatch.setattr(workers, "_pool", pool)
    pool.end()
    assert submit_call(threading.get_ident).result(0) == threading.get_ident()
    Lane(lambda: None).run().result(0)


SLOW = """
import pathlib, sys, time
from strands_persql.engine.threads import submit

def work(name="done"):
    time.sleep(0.2)
    pathlib.Path(sys.argv[1], name).touch()
"""


def ended(script: str, folder: Path) -> set[str]:
    """Run a program to its end; the names of the files it leaves."""
    subprocess.run([*python(), "-c", SLOW + script, str(folder)], check=True, timeout=60)
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_work_is_done_before_what_users_register_for_the_end(tmp_path: Path) -> None:
    """A client that is closed by `atexit` is closed after the work that needs it."""
    script = """
import atexit
atexit.register(lambda: pathlib.Path(sys.argv[1], "done").exists() and work("in order"))
submit(work)
"""
    assert ended(script, tmp_path) == {"done", "in order"}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_ends_after_its_work(method: str, tmp_path: Path) -> None:
    """Such a process ends without `atexit`, and does all the same what was handed over."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=_hand_over, args=(str(tmp_path / "done"),))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert (tmp_path / "done").exists()


def _hand_over(path: str) -> None:
    def work() -> None:
        threading.Event().wait(0.3)
        Path(path).touch()

    submit(work)


def test_threads_that_go_on_do_not_hold_up_the_end(tmp_path: Path) -> None:
    """Work that others keep bringing while the interpreter ends runs where it comes from."""
    script = """
import threading

def bring():
    while True:
        done = threading.Event()
        submit(lambda: (time.sleep(0.01), done.set()))
        done.wait()

for _ in range(40):
    threading.Thread(target=bring, daemon=True).start()
time.sleep(0.3)
work()
"""
    assert ended(script, tmp_path) == {"done"}


def test_the_interpreter_ends_after_the_work(tmp_path: Path) -> None:
    """What was handed over is done when the process ends by itself, even what is handed over while it ends."""
    script = f"""
import atexit, pathlib, time
from strands_persql.engine.threads import submit

def work(name):
    time.sleep(0.2)
    pathlib.Path({str(tmp_path)!r}, name).touch()

atexit.register(lambda: submit(lambda: work("late")))
for number in range(40):
    submit(lambda number=number: work(str(number)))
"""
    subprocess.run([*python(), "-c", script], check=True, timeout=60)
    assert {path.name for path in tmp_path.iterdir()} == {*map(str, range(40)), "late"}


@needs_requests_that_end
def test_who_interrupts_the_program_does_not_wait_for_a_request(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C, requests under way get a few seconds; then they fail, and their threads end."""
    monkeypatch.setattr(_remote, "_services", WeakSet[Any]())
    monkeypatch.setattr(workers, "INTERRUPTED_SECONDS", 0.01)
    monkeypatch.setattr(sys, "last_type", KeyboardInterrupt, raising=False)
    emulator.faults.always(faults.stalled())
    db = emulator.database(timeout=600.0)
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            db.query("SELECT 1")
        except PerSQLError as error:
            outcome.append(error)

    pool = workers._Pool()
    assert pool.takes(work)
    pool.end()
    assert [getattr(error, "kind", None) for error in outcome] == ["closed"]
