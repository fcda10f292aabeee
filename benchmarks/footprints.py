"""What a thousand messages take: in memory while an agent holds them, and on disk."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

from . import agents
from .contenders import Contender
from .run import Run


def run(run: Run) -> list[dict[str, Any]]:
    """One record a contender."""
    return asyncio.run(_run(run))


async def _run(run: Run) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    size = run.scale.held
    with run.field() as contenders:
        bare = 0
        for name, contender in contenders.items():
            run.say(f"footprints: {name}, {size:,} messages")
            before = contender.bytes_on_disk()
            await contender.seed("held", size)
            held = await _held(contender, size)
            bare = bare if name != "none" else held
            contender.close()  # so that a write-ahead log is folded into its database
            records.append(
                {
                    "contender": name,
                    "messages": size,
                    "memory_per_1000": round(held / size * 1000),
                    "memory_added_per_1000": round((held - bare) / size * 1000) if name != "none" else 0,
                    "disk_per_1000": round((contender.bytes_on_disk() - before) / size * 1000),
                }
            )
    return records


async def _held(contender: Contender, size: int) -> int:
    """Bytes that an agent and its manager hold after a restore and a turn; SQLite's own cache is not among them."""
    await agents.turn(contender.agent("held", size))  # whatever is loaded once
    gc.collect()
    tracemalloc.start()
    try:
        agent = contender.agent("held", size + 2 if contender.name == "none" else size)
        await agents.turn(agent)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
