"""Calls run off the event loop, in order, and whoever is cancelled only stops waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from .conftest import Place
from .features import needs_storage

pytestmark = needs_storage


def waits_for(event: threading.Event) -> Callable[[int], None]:
    """What lets a request wait for the test."""

    def wait(number: int) -> None:
        event.wait(30)

    return wait


async def test_the_loop_turns_while_a_request_is_under_way(local: Place) -> None:
    """No request runs on the loop's thread."""
    database = local.database()
    threads: set[int] = set()
    database.before = lambda number: threads.add(threading.get_ident())
    storage = local.storage(database)
    await storage.write("k", b"1")
    await storage.read("k")
    await storage.list("")
    await storage.delete("k")
    assert threads
    assert threading.get_ident() not in threads


async def test_a_cancelled_write_is_written_and_what_comes_later_comes_after_it(local: Place) -> None:
    """The older of two values never overwrites the newer one, and a read sees what was asked for before."""
    database = local.database()
    storage = local.storage(database)
    await storage.write("k", b"0")
    going, go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == 1:
            going.set()
            go_on.wait(30)

    database.requests.clear()
    database.before = hold
    first = asyncio.ensure_future(storage.write("k", b"first"))
    await asyncio.to_thread(going.wait, 30)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(storage.write("k", b"second"))
    read = asyncio.ensure_future(storage.namespace("").read("k"))
    await storage.write("other", b"is not held up")
    assert not second.done()
    go_on.set()
    await second
    assert await read == b"second"
    assert await storage.read("k") == b"second"


async def test_a_write_that_waits_for_its_turn_is_written_when_cancelled(local: Place) -> None:
    """Not only one that is under way already."""
    database = local.database()
    storage = local.storage(database)
    go_on = threading.Event()
    database.before = waits_for(go_on)
    writes = [asyncio.ensure_future(storage.write("k", str(number).encode())) for number in range(3)]
    await asyncio.sleep(0)
    for write in writes:
        write.cancel()
    go_on.set()
    assert await storage.read("k") == b"2"


def test_one_storage_serves_one_loop_after_another(local: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Strands opens a fresh one for each synchronous call; a write left by one that is closed is written."""
    database = local.database()
    storage = local.storage(database)
    asyncio.run(storage.write("k", b"0"))
    go_on = threading.Event()
    database.before = waits_for(go_on)

    async def leave() -> None:
        asyncio.ensure_future(storage.write("k", b"left"))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(leave())
    go_on.set()
    assert asyncio.run(storage.read("k")) == b"left"
    assert caplog.records == []


async def test_a_failed_write_does_not_hold_up_the_next(local: Place) -> None:
    """Each has its own outcome."""
    from strands.types.exceptions import StorageError

    database = local.database()
    storage = local.storage(database)

    def fail(number: int) -> None:
        if number == 1:
            raise ConnectionError

    database.before = fail
    outcomes = await asyncio.gather(storage.write("k", b"1"), storage.write("k", b"2"), return_exceptions=True)
    assert isinstance(outcomes[0], StorageError)
    assert outcomes[1] is None
    assert await storage.read("k") == b"2"


async def test_no_write_is_made_in_the_context_of_another(local: Place) -> None:
    """What follows the spans of one caller doesn't take in the writes that others queue behind it."""
    asked_by: ContextVar[str] = ContextVar("asked_by", default="nobody")
    seen: list[str] = []
    go_on = threading.Event()

    def note(number: int) -> None:
        go_on.wait(30)
        seen.append(asked_by.get())

    database = local.database()
    storage = local.storage(database)
    await storage.list("")
    database.before = note
    writes: list[asyncio.Future[None]] = []
    for name in ("ada", "bob"):
        asked_by.set(name)
        writes.append(asyncio.ensure_future(storage.write("k", name.encode())))
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*writes)
    assert set(seen) == {"nobody"}
