"""Users of a chat server over SSE who press Stop at random and ask again at once: see `tests.agents.stops`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL

from ...emulator import Emulator
from ..stops import stopped_at_random


@pytest.mark.slow
@pytest.mark.parametrize(
    ("durability", "place"),
    [("message", "local"), ("message", "remote"), ("overlap", "local"), ("invocation", "remote")],
)
async def test_stop_and_ask_again(emulator: Emulator, tmp_path: Path, durability: Any, place: str) -> None:
    """No request is refused because of an earlier one that was cut off, and nothing that was said is lost."""
    with PerSQL(local=str(tmp_path / "agents.db")) as client:
        database = client.database("acme/agents") if place == "local" else emulator.database()
        seed = random.randrange(10**6)
        assert await stopped_at_random(database, durability, users=10, rounds=5, seed=seed), f"seed {seed}"
