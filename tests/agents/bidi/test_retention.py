"""A conversation in which nobody says a word is in use all the same: its session doesn't expire under it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from strands_persql import PerSQLHooks, PerSQLSessionManager, PerSQLSessions

from ..harness import SESSION, Store
from .scripted import BidiAgent, ScriptedBidiModel, hears

SHORT: Any = timedelta(seconds=1)


def noted(store: Store) -> str:
    """When the session was noted as active last."""
    with store.sqlite() as connection:
        ((time_,),) = connection.execute("SELECT json_extract(data, '$.updated_at') FROM strands_sessions").fetchall()
        return str(time_)


async def wait_for_a_note(store: Store) -> None:
    """Wait until it was noted anew; at most a minute."""
    before, ends = noted(store), time.monotonic() + 60
    while noted(store) == before:
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("mirrored", [False, True], ids=["manager", "mirror"])
async def test_a_silent_conversation_is_noted(store: Store, mirrored: bool) -> None:
    """Again and again as long as it lasts, without a message; before it and after it, it isn't."""
    database = store.database()
    if mirrored:
        hooks = PerSQLHooks(SESSION, database, retention=SHORT)
        agent = BidiAgent(model=ScriptedBidiModel(hears()), hooks=[hooks])
        presence = hooks._recording.presence
    else:
        manager = PerSQLSessionManager(SESSION, database, retention=SHORT)
        agent = BidiAgent(model=ScriptedBidiModel(hears()), session_manager=manager)
        presence = manager._recording.presence
    await agent.start()
    await agent.send("hi")  # the first message stores the session
    for _ in range(2):
        await asyncio.to_thread(lambda: None)
        await wait_for_a_note(store)
    assert presence.is_in_turn
    assert (await asyncio.to_thread(PerSQLSessions(database).prune, expired=True)).rows == 0
    await agent.stop()
    assert not presence.is_in_turn
    last = presence._looked
    ends = time.monotonic() + 60
    while presence._looked == last:  # it is looked at, and not noted
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)
    before = noted(store)
    looked = presence._looked
    while presence._looked == looked:
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)
    assert noted(store) == before


async def test_without_a_retention_nothing_is_watched(store: Store) -> None:
    """A conversation of a session that is kept for ever costs nothing."""
    manager = store.manager()
    agent = BidiAgent(model=ScriptedBidiModel(hears()), session_manager=manager)
    await agent.start()
    assert not manager._recording.presence.is_watched
    await agent.stop()
