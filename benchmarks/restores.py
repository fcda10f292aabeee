"""How long it takes to build an agent that goes on with a stored session, less building one without."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from . import agents
from .contenders import Contender
from .measure import Samples, settled, shuffled
from .run import Run


def run(run: Run) -> list[dict[str, Any]]:
    """Whole sessions, and windows of 40 messages out of longer ones: one record a contender and size."""
    return asyncio.run(_run(run))


async def _run(run: Run) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for size, rounds in run.scale.restores.items():
        with run.field([name for name in run.names if _takes_part(name, size)]) as contenders:
            run.say(f"restores: {size:,} messages, {rounds} rounds")
            for contender in contenders.values():
                await contender.seed("whole", size)
            samples = Samples()
            with settled():
                for number in range(-1 if rounds > 3 else 0, rounds):
                    for name in shuffled(contenders, number):
                        if not samples.skips(name, number, run.scale.allowance):
                            _restore(contenders[name], "whole", samples, number, expected=size, window=None)
            records += [
                {"contender": name, "kind": "whole", "stored": size, **samples.record(name)} for name in contenders
            ]
    return records + await _windows(run)


async def _windows(run: Run) -> list[dict[str, Any]]:
    """All sizes in turns, since they are compared with each other."""
    sizes = run.scale.windows
    with run.field() as contenders:
        for size in sizes:
            run.say(f"restores: a window of {agents.WINDOW} out of {size:,}")
            for name, contender in contenders.items():
                if _takes_part(name, size):
                    await contender.seed(f"window-{size}", size, window=True)
        samples = {size: Samples() for size in sizes}
        with settled():
            for number in range(-1, max(sizes.values())):
                pairs = [(name, size) for size in sizes for name in contenders if _takes_part(name, size)]
                for name, size in shuffled(pairs, number):
                    if number >= sizes[size] or samples[size].skips(name, number, run.scale.allowance / 4):
                        continue
                    _restore(
                        contenders[name],
                        f"window-{size}",
                        samples[size],
                        number,
                        expected=agents.WINDOW,
                        window=agents.WINDOW,
                    )
        return [
            {"contender": name, "kind": "window", "stored": size, **samples[size].record(name)}
            for size in sizes
            for name in contenders
            if _takes_part(name, size)
        ]


def _takes_part(name: str, size: int) -> bool:
    """A hundred thousand files take minutes to write and to remove, and say no more than ten thousand."""
    return name != "file" or size <= 10_000


def _restore(
    contender: Contender, session_id: str, samples: Samples, number: int, *, expected: int, window: int | None
) -> None:
    began = time.perf_counter()
    manager = contender.manager(session_id)
    agent = agents.build(manager, window=window)
    took = time.perf_counter() - began
    if number >= 0:
        samples.add(contender.name, number, took)
    if manager is not None:
        assert len(agent.messages) == expected, (contender.name, session_id, len(agent.messages))
    contender.release(manager)
