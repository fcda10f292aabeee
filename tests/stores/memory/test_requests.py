"""What memories cost at the service, and what a lost answer does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from strands_persql import TransportError

from ...emulator import faults
from .conftest import Place
from .features import needs_memory

pytestmark = needs_memory


def cost(remote: Place) -> tuple[int, int]:
    """Requests and rows written since the last look."""
    assert remote.emulator is not None
    bill = remote.emulator.billing
    seen = bill.requests, bill.rows_written
    remote.emulator.reset()
    return seen


async def test_requests(remote: Place) -> None:
    """Each call is one request, and neither a search nor a memory that is there writes a row."""
    store = remote.store()
    await store.initialize()
    cost(remote)
    memory = await store.add("Ada prefers dark mode")
    requests, rows = cost(remote)
    assert requests == 1
    assert 1 < rows <= 7  # one of ours, the rest the index's own
    await store.add("Ada  prefers dark mode")
    assert cost(remote) == (1, 0)
    await store.search("mode")
    assert cost(remote) == (1, 0)
    await store.list_memories()
    assert cost(remote) == (1, 0)
    assert await store.forget(memory)
    assert cost(remote)[0] <= 2  # the first asks whether the index can drop words by itself
    assert not await store.forget(memory)
    assert cost(remote)[0] == 1


async def test_messages_share_a_request(remote: Place) -> None:
    """Ninety messages are written by one request, and cost the index less than each by itself."""
    store = remote.store()
    await store.initialize()
    cost(remote)
    messages: Any = [{"role": "user", "content": [{"text": f"fact {number}"}]} for number in range(180)]
    await store.add_messages(messages)
    requests, rows = cost(remote)
    assert requests == 2
    assert rows < 180 * 4
    await store.add_messages(messages)
    assert cost(remote) == (2, 0)


class Held:
    """A handle whose first request waits until it is let go."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._database.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        self.reached.set()
        assert self.go_on.wait(60)
        return self._database.batch(statements, transaction=transaction)


async def test_added_together(remote: Place) -> None:
    """What is added while a request is under way, as an extractor's facts are, shares the next one."""
    assert remote.emulator is not None
    await remote.store().initialize()
    database = Held(remote.database())
    store = remote.store(database=database)
    first = asyncio.ensure_future(store.add("fact 0"))
    while not database.reached.is_set():
        await asyncio.sleep(0.001)
    others = [asyncio.ensure_future(store.add(f"fact {number % 20}")) for number in range(30)]
    await asyncio.sleep(0)
    cost(remote)
    database.go_on.set()
    ids = await asyncio.gather(first, *others)
    assert cost(remote)[0] == 2
    assert len(set(ids)) == 20
    assert ids[0] == ids[1] == ids[21]


async def test_a_failure_of_what_was_added_together(remote: Place) -> None:
    """Each of them is told, and adding again succeeds."""
    assert remote.emulator is not None
    store = remote.store(database=remote.emulator.database(max_retries=0))
    await store.initialize()
    with remote.emulator.refusing():
        outcomes = await asyncio.gather(*(store.add(f"fact {number}") for number in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TransportError] * 5
    await asyncio.gather(*(store.add(f"fact {number}") for number in range(5)))
    assert len(await store.search("fact")) == 5


async def test_without_an_index_a_row_a_memory(remote: Place) -> None:
    """full_text=False writes one row for a memory."""
    store = remote.store(full_text=False)
    await store.initialize()
    cost(remote)
    await store.add("Ada prefers dark mode")
    assert cost(remote) == (1, 1)


@pytest.mark.parametrize("cached", [True, False])
async def test_a_lost_answer(remote: Place, cached: bool) -> None:
    """A write whose answer is lost is made again by itself, and leaves one memory; so with forgetting."""
    emulator = remote.emulator
    assert emulator is not None
    store = remote.store()
    await store.add("another fact")
    emulator.faults.next(faults.cut_after_commit(cached=cached))
    memory = await store.add("Ada prefers dark mode")
    assert [entry.content for entry in await store.search("mode")] == ["Ada prefers dark mode"]
    assert len((await store.list_memories()).memories) == 2
    emulator.faults.next(faults.cut_after_commit(cached=cached))
    await store.forget(memory)
    assert await store.search("mode") == []
    with remote.sqlite() as connection:
        connection.execute(
            "INSERT INTO strands_memories_index (strands_memories_index, rank) VALUES ('integrity-check', 0)"
        )
