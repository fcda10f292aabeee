"""Any order of adding, finding and forgetting: nobody finds what is forgotten, or another's."""

from __future__ import annotations

import os
import random

import pytest

from ...thorough import tries
from .conftest import Place
from .features import needs_memory

pytestmark = needs_memory

CHECK = "INSERT INTO strands_memories_index (strands_memories_index) VALUES ('integrity-check')"
WORDS = ["tea", "coffee", "dark", "light", "London", "東京", "茶", "chat", "mode", "12"]


@pytest.mark.parametrize("full_text", [True, False], ids=["index", "scan"])
@pytest.mark.parametrize("turn", range(tries(1, 2)))
async def test_any_order(place: Place, turn: int, full_text: bool) -> None:
    """Three users and two stores of each, against a plain dict of what each remembers."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    stores = {
        (name, scope): place.store(scope, name=name, full_text=full_text, max_search_results=100)
        for name in ("facts", "notes")
        for scope in ("ada", "bob", "ada' --")
    }
    known: dict[tuple[str, str], dict[str, str]] = {key: {} for key in stores}
    forgotten: list[str] = []
    for step in range(60):
        key = rng.choice(list(stores))
        store, mine = stores[key], known[key]
        what = rng.random()
        if what < 0.55 or not mine:
            repeated = rng.choice([content for one in known.values() for content in one.values()] or [""])
            new = f"{' '.join(rng.choices(WORDS, k=4))} qz{turn}x{step:03}"
            content = rng.choice([new, repeated or new])
            mine[await store.add(content)] = content
        elif what < 0.85:
            gone = rng.choice(list(mine))
            assert await store.forget(gone)
            forgotten.append(mine.pop(gone))
        elif what < 0.9:
            forgotten += mine.values()
            assert await store.forget_all() == len(mine)
            mine.clear()
        key = rng.choice(list(stores))
        word = rng.choice([*WORDS, f"qz{turn}x{rng.randrange(step + 1):03}"])
        found = {(entry.metadata or {})["_id"]: entry.content for entry in await stores[key].search(word)}
        assert found == {i: content for i, content in known[key].items() if word in content.split()}
    for key, store in stores.items():
        page = await store.list_memories()
        assert {memory.memory_id: memory.content for memory in page.memories} == known[key]
    kept = {content for one in known.values() for content in one.values()}
    for content in set(forgotten) - kept:
        assert not place.holds(content)
        assert not place.holds(content.split()[-1])
    if full_text:
        with place.sqlite() as connection:
            connection.execute(CHECK)
