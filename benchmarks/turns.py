"""What a turn takes longer with a session than without, by the history before it; wall time and CPU time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from . import agents
from .clock import Clock
from .contenders import OURS, Contender, HandOver
from .measure import Samples, settled, shuffled
from .run import Run

SESSION_TURNS = 10
"""Turns after which a session that began empty makes way for a new one, lest its history grow."""
WARM_UP = 1


def run(run: Run) -> list[dict[str, Any]]:
    """Every scenario at every history: one record a contender."""
    return asyncio.run(_run(run))


async def _run(run: Run) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for size, most in run.scale.histories.items():
        with run.field([*run.names, *([HandOver.name] if run.taking_part(*OURS) else [])]) as contenders:
            if size:
                run.say(f"turns: seeding {size:,} messages")
            clocks = {name: Clock() for name in contenders}
            built = {
                name: await _agent(contender, "seeded", size, clocks[name]) for name, contender in contenders.items()
            }
            for scenario in run.scenarios:
                # The long turn takes as long as three others, and bears no target.
                rounds = most // 2 if scenario == "eight" else most
                run.say(f"turns: {scenario}, history {size:,}, {rounds} rounds")
                wall, cpu, hooks = Samples(), Samples(), Samples()
                with settled():
                    await _rounds(run, contenders, built, clocks, scenario, size, rounds, (wall, cpu, hooks))
                records += [
                    {
                        "contender": name,
                        "scenario": scenario,
                        "history": size,
                        **wall.record(name),
                        **cpu.record(name, prefix="cpu_"),
                        **({} if name == "none" else hooks.alone(name, "callbacks")),
                    }
                    for name in contenders
                ]
    return records


async def _rounds(
    run: Run,
    contenders: dict[str, Contender],
    built: dict[str, Any],
    clocks: dict[str, Clock],
    scenario: str,
    size: int,
    rounds: int,
    samples: tuple[Samples, Samples, Samples],
) -> None:
    wall, cpu, hooks = samples
    for number in range(-WARM_UP, rounds):
        if not size and number >= 0 and number % SESSION_TURNS == 0:
            for name, contender in contenders.items():
                built[name] = await _agent(contender, f"{scenario}-{number}", 0, clocks[name])
                await agents.turn(built[name], scenario)
        for name in shuffled(contenders, number):
            if wall.skips(name, number, run.scale.allowance):
                continue
            clocks[name].read()
            began, used = time.perf_counter(), time.process_time()
            await agents.turn(built[name], scenario)
            took, worked = time.perf_counter() - began, time.process_time() - used
            if number >= 0:
                wall.add(name, number, took)
                cpu.add(name, number, worked)
                hooks.add(name, number, clocks[name].read())


async def _agent(contender: Contender, session_id: str, size: int, clock: Clock) -> Any:
    if size:
        await contender.seed(session_id, size)
    agent = contender.agent(session_id, size, clock)
    assert len(agent.messages) == size, (contender.name, len(agent.messages))
    return agent
