"""What a turn and a restore cost at the service: counted by the emulator of the tests, at PerSQL's prices.

Counts, not times, so each is the same in every run; the emulator's prices are those of PerSQL's list, and its meters a
reconstruction (see `tests/emulator/billing.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.emulator import Emulator, Server

from . import agents
from .contenders import NAMESPACE, OURS, Contender, Repository
from .latency import Latency
from .run import Run

MILLION = 1_000_000
THINKING = 0.03
"""Seconds the model takes: as with a real one, a write that overlaps with its work is through when it answers."""


def run(run: Run) -> list[dict[str, Any]]:
    """Turns of every scenario, turns in a full window, restores: one record a contender."""
    return asyncio.run(_run(run))


async def _run(run: Run) -> list[dict[str, Any]]:
    names = run.taking_part(Repository.name, *OURS)
    records: list[dict[str, Any]] = []
    if not names:
        return records
    run.say("costs: counting requests and rows")
    with Server() as server:
        for name in names:
            emulator = server.namespace(NAMESPACE)
            latency = Latency(url=emulator.url, token=emulator.token())
            with run.field([name], latency) as contenders:
                records += await _of(contenders[name], emulator, run)
            emulator.close()
    return records


async def _of(contender: Contender, emulator: Emulator, run: Run) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    # The first session lays the tables out.
    await agents.turn(agents.build(contender.manager("first")))

    def bill(scenario: str, turns: int) -> None:
        spent = emulator.billing
        records.append(
            {
                "contender": contender.name,
                "scenario": scenario,
                "requests": spent.requests / turns,
                "rows_read": spent.rows_read / turns,
                "rows_written": spent.rows_written / turns,
                "bytes_sent": round(sum(record.body for record in emulator.log) / turns),
                "dollars_per_million": round(spent.dollars / turns * MILLION, 4),
            }
        )
        emulator.reset()

    turns = run.scale.billed_turns
    for scenario in run.scenarios:
        agent = agents.build(contender.manager(scenario), delay=THINKING)
        await agents.turn(agent, scenario)
        emulator.reset()
        for _ in range(turns):
            await agents.turn(agent, scenario)
        bill(scenario, turns)
    await contender.seed("sliding", 2 * agents.WINDOW, window=True)
    emulator.reset()
    agent = agents.build(contender.manager("sliding"), window=agents.WINDOW, delay=THINKING)
    bill("restore window", 1)
    await agents.turn(agent)
    emulator.reset()
    for _ in range(turns):
        await agents.turn(agent)
    bill("plain, full window", turns)
    await contender.seed("whole", 10 * agents.WINDOW)
    emulator.reset()
    agents.build(contender.manager("whole"))
    bill(f"restore {10 * agents.WINDOW}", 1)
    emulator.reset()
    await agents.turn(agents.build(contender.manager("new"), delay=THINKING))
    bill("new session, first turn", 1)
    return records
