"""Many turns in local files while the disk and other processes get in the way: how long the event loop is kept.

Another process holds each file's write lock for 300 ms again and again, and the write-ahead log grows long enough for a
checkpoint many times over. The figures are of the longest stall in each turn: at this number, the rare ones show.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import agents
from .contenders import OURS
from .measure import settled, shuffled, tail
from .run import Run

BEAT = 0.001
"""Seconds between two beats of the task that feels the stalls."""
THINKING = 0.001
"""Seconds the model takes."""
ROUND = 25
"""Turns of one contender in a row, with a session of their own."""
HELD, APART = 0.3, 1.0
"""Seconds for which the other process holds a file's lock, and between two times on average."""

_RIVAL = """
import random, sqlite3, sys, time
held, apart, *paths = sys.argv[1:]
files = [sqlite3.connect(path, isolation_level=None, timeout=5) for path in paths]
dice = random.Random(0)
ends = time.monotonic() + 3600
while time.monotonic() < ends and sys.stdin.readline():
    for file in files:
        file.execute("BEGIN IMMEDIATE")
    time.sleep(float(held))
    for file in files:
        file.execute("ROLLBACK")
    time.sleep(dice.expovariate(1 / float(apart)))
    print(flush=True)
"""


def run(run: Run) -> list[dict[str, Any]]:
    """One record a contender."""
    return asyncio.run(_run(run))


async def _run(run: Run) -> list[dict[str, Any]]:
    names = run.taking_part("none", *OURS)
    run.say(f"soak: {run.scale.soak_turns:,} turns each")
    with run.field(names) as contenders:
        stalls: dict[str, list[float]] = {name: [] for name in names}
        longest = dict.fromkeys(names, 0)
        for name in names:  # the files are there before the other process opens them
            await agents.turn(agents.build(contenders[name].manager("first")))
        files = [contenders[name].folder / "agents.db" for name in names if name in OURS]
        beats = _Beats()
        with _rival(files), settled():
            for number in range(max(1, run.scale.soak_turns // ROUND)):
                for name in shuffled(names, number):
                    agent = agents.build(contenders[name].manager(f"soak-{number}"), delay=THINKING)
                    for _ in range(ROUND):
                        stalls[name].append(await beats.during(agents.turn(agent)))
                    log = contenders[name].folder / "agents.db-wal"
                    longest[name] = max(longest[name], log.stat().st_size if log.exists() else 0)
        await beats.end()
    return [
        {
            "contender": name,
            "turns": len(stalls[name]),
            "held_ms": HELD * 1e3,
            "log_bytes": longest[name],
            **tail(stalls[name]),
            "above": {key: round(value - tail(stalls["none"])[key], 3) for key, value in tail(stalls[name]).items()},
        }
        for name in names
    ]


class _Beats:
    """A task that wakes each millisecond, and how late it was."""

    def __init__(self) -> None:
        self._late = 0.0
        self._task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(BEAT)
            self._late = max(self._late, time.perf_counter() - began - BEAT)

    async def during(self, turn: Any) -> float:
        """The longest stall of a turn, in seconds."""
        self._late = 0.0
        await turn
        await asyncio.sleep(BEAT)  # the beat that was kept waiting comes first
        return self._late

    async def end(self) -> None:
        """No more of them."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@contextmanager
def _rival(files: list[Path]) -> Generator[None, None, None]:
    """Another process that locks the files, as long as this one is there."""
    command = [sys.executable, "-c", _RIVAL, str(HELD), str(APART), *map(str, files)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None
        process.stdin.write("\n" * 5_000)
        process.stdin.flush()
        try:
            yield
        finally:
            process.kill()
