"""How long a turn keeps the event loop from everything else, with a storage that answers after 20 ms.

Two measures: the longest time by which a task that wakes each millisecond was late, and all the time in which the loop
ran something rather than waited, less what it runs without a session manager. The beats themselves are taken off: a
turn that waits for requests has more of them.
"""

from __future__ import annotations

from typing import Any

from . import agents
from .contenders import Contender
from .measure import Samples, settled, shuffled
from .run import Run
from .watched import run_watched, watched

THINKING = 0.01
"""Seconds the model takes: time in which the loop is free, and a stall would be felt."""
SCENARIOS = ("plain", "tools")


def run(run: Run) -> list[dict[str, Any]]:
    """Plain turns and tool turns: one record a contender."""
    return run_watched(_run(run))


async def _run(run: Run) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    scenarios = [scenario for scenario in SCENARIOS if scenario in run.scenarios]
    with run.field(latency=run.remote(run.scale.latency)) as contenders:
        for scenario in scenarios:
            run.say(f"stalls: {scenario}, {run.scale.latency * 1e3:g} ms a request")
            built = {name: await _agent(contender, f"stalls-{scenario}") for name, contender in contenders.items()}
            stall, busy, worked = Samples(), Samples(), Samples()
            for agent in built.values():
                await agents.turn(agent, scenario)
            with settled():
                for number in range(run.scale.stall_turns):
                    for name in shuffled(contenders, number):
                        async with watched() as watch:
                            await agents.turn(built[name], scenario)
                        stall.add(name, number, watch.stall)
                        busy.add(name, number, watch.busy)
                        worked.add(name, number, watch.worked)
            records += [
                {
                    "contender": name,
                    "scenario": scenario,
                    "request_ms": run.scale.latency * 1e3,
                    "worst_stall_ms": round(max(stall.values(name)) * 1e3, 3),
                    **stall.record(name, prefix="stall_"),
                    **busy.record(name, prefix="blocked_"),
                    **worked.record(name, prefix="blocked_cpu_"),
                }
                for name in contenders
            ]
    return records


async def _agent(contender: Contender, session_id: str) -> Any:
    return agents.build(await contender.opened(session_id), delay=THINKING)
