"""How much of the storage's time a turn spends while the model works: 20 ms a request, a model of 200 ms."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from . import agents
from .contenders import OURS, Repository
from .measure import Samples, ratio, settled, shuffled, summary
from .run import Run


def run(run: Run) -> list[dict[str, Any]]:
    """Plain turns: one record a contender, and what one request takes by itself."""
    return asyncio.run(_run(run))


async def _run(run: Run) -> list[dict[str, Any]]:
    names = run.taking_part("none", Repository.name, *OURS)
    run.say(f"overlaps: {run.scale.latency * 1e3:g} ms a request, a model of {run.scale.thinking * 1e3:g} ms")
    with run.field(names, run.remote(run.scale.latency)) as contenders:
        built = {
            name: agents.build(await contender.opened("overlaps"), delay=run.scale.thinking)
            for name, contender in contenders.items()
        }
        for agent in built.values():
            await agents.turn(agent)
        samples = Samples()
        remote: Any = next((contender for contender in contenders.values() if contender.remote), None)
        with settled():
            for number in range(run.scale.overlap_turns):
                for name in shuffled(contenders, number):
                    began = time.perf_counter()
                    await agents.turn(built[name])
                    samples.add(name, number, time.perf_counter() - began)
                if remote is not None:
                    began = time.perf_counter()
                    await asyncio.to_thread(remote.database.query, "SELECT 1")
                    samples.add("request", number, time.perf_counter() - began)
        # What the target allows: the turn without a manager, and one request.
        allowed = [
            one + samples.taken["request"][number]
            for number, one in samples.taken["none"].items()
            if "request" in samples.taken
        ]
        return [
            {
                "contender": name,
                "request_ms": run.scale.latency * 1e3,
                "model_ms": run.scale.thinking * 1e3,
                **({"total": summary(samples.values(name))} if name == "request" else samples.record(name)),
                "ratio_to_turn_and_request": ratio(samples.values(name), allowed) if name in OURS else None,
            }
            for name in samples.taken
        ]
