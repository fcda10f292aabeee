"""Many agents at once in one process, each with a turn of its own: 20 ms a request, a model of one second.

Those that block the event loop take part up to a smaller crowd only: their turns come one after the other.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from . import agents
from .contenders import OURS, Contender, PerSQLApart, Repository
from .measure import Samples, ratio, settled, shuffled, summary
from .run import Run

SETTING_UP = 64
"""Sessions opened at once while a crowd is built."""


def run(run: Run) -> list[dict[str, Any]]:
    """One record a contender and crowd."""
    return asyncio.run(_run(run))


async def _run(run: Run) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for size, rounds in run.scale.crowds.items():
        names = run.taking_part("none", *OURS) if size > run.scale.blocking_crowd else list(run.names)
        names = [*names, *([PerSQLApart.name] if run.taking_part(*OURS) else [])]
        run.say(f"crowds: {size:,} agents at once")
        with run.field(names, run.remote(0)) as contenders:
            wall, cpu, threads = Samples(), Samples(), Samples()
            for number in range(rounds):
                for name in shuffled(contenders, number):
                    contenders[name].latency.seconds = 0.0
                    run.remote(0)
                    crowd = await _crowd(contenders[name], size, number, run.scale.crowd_thinking)
                    contenders[name].latency.seconds = run.scale.latency
                    run.remote(run.scale.latency)
                    with settled():
                        counted = _Threads(name)
                        began, used = time.perf_counter(), time.process_time()
                        await asyncio.gather(*(agents.turn(agent) for agent in crowd))
                        wall.add(name, number, time.perf_counter() - began)
                        cpu.add(name, number, time.process_time() - used)
                        threads.add(name, number, await counted.end())
                    del crowd
        records += [
            {
                "contender": name,
                "agents": size,
                "request_ms": run.scale.latency * 1e3,
                "model_ms": run.scale.crowd_thinking * 1e3,
                "total": summary(wall.values(name)),
                "cpu": summary(cpu.values(name)),
                "ratio_to_none": ratio(wall.values(name), wall.values("none")),
                "threads": int(max(threads.values(name))),
            }
            for name in contenders
        ]
    return records


async def _crowd(contender: Contender, size: int, number: int, thinking: float) -> list[Any]:
    """Agents with a session each, which have had a turn."""
    managers: list[Any] = []
    for start in range(0, size, SETTING_UP):
        sessions = [f"crowd-{size}-{number}-{each}" for each in range(start, min(size, start + SETTING_UP))]
        managers += await asyncio.gather(*map(contender.opened, sessions))
    crowd = [agents.build(manager) for manager in managers]
    for start in range(0, size, SETTING_UP):
        await asyncio.gather(*map(agents.turn, crowd[start : start + SETTING_UP]))
    for agent in crowd:
        model: Any = agent.model
        model.delay = thinking
    return crowd


class _Threads:
    """The most threads there were in the process, by looking again and again.

    This package's own stay for the sessions to come: with the others they are not counted.
    """

    def __init__(self, name: str) -> None:
        self._ours = name in (*OURS, Repository.name, PerSQLApart.name)
        self._most = 0
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            self._most = max(self._most, self._now())
            await asyncio.sleep(0.02)

    def _now(self) -> int:
        names = [thread.name for thread in threading.enumerate()]
        return sum(self._ours or not name.startswith("strands-persql") for name in names)

    async def end(self) -> int:
        """The number."""
        self._looking.cancel()
        return max(self._most, self._now())
