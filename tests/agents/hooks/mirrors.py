"""Agents with a mirror beside whatever manages their session."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.session import FileSessionManager

from strands_persql import PerSQLHooks

from ..agents import agent_of
from ..harness import (
    SESSION,
    RecordingDatabase,
    Request,
    Store,
    assert_rows_sound,
    assert_same,
    broken,
    capture,
    restored,
)
from ..scripted import ScriptedModel

Message = dict[str, Any]


def mirror_of(store: Store, database: Any = None, *, session_id: str = SESSION, **options: Any) -> PerSQLHooks:
    """A mirror as a process of its own builds it: over a handle and client of its own, unless a handle is given."""
    return PerSQLHooks(session_id, database or store.database(), **options)


def mirrored(
    store: Store, model: ScriptedModel, other: Any = None, *, mirror: PerSQLHooks | None = None, **options: Any
) -> Agent:
    """An agent with a mirror, fresh unless one is given, and perhaps another session manager."""
    hooks = mirror or mirror_of(store)
    return agent_of(model, hooks=lambda: [hooks], **options)(other)


async def turn(agent: Agent, mode: str, prompt: Any = None, **options: Any) -> Any:
    """One invocation, in either form."""
    return agent(prompt, **options) if mode == "sync" else await agent.invoke_async(prompt, **options)


def assert_mirrored(store: Store, live: Agent, *, ids: bool = True, **options: Any) -> None:
    """What a session manager restores from the mirror's rows is the live agent.

    Without `ids` but for the tracking ids of messages: what an agent brought in under ids of its own and the mirror
    recognised as stored keeps the stored ones.
    """
    options.setdefault("agent_id", live.agent_id)
    again = restored(store, agent_of(ScriptedModel(), **options))
    if ids:
        assert_same(live, again)
    else:
        expected, found = capture(live), capture(again)
        assert without_ids(found.pop("messages")) == without_ids(expected.pop("messages"))
        assert found == expected
    assert_rows_sound(store, live)


def file_manager(folder: Path) -> FileSessionManager:
    """Strands' own session in files."""
    return FileSessionManager(session_id=SESSION, storage_dir=str(folder))


def messages_in_files(folder: Path, agent_id: str = "default") -> list[Message]:
    """The messages of the session in files, in order."""
    stored = file_manager(folder).list_messages(SESSION, agent_id)
    return [dict(each.to_message()) for each in stored]


def without_ids(messages: Any) -> list[Message]:
    """Messages less their tracking ids, which may be fresh in every process."""
    return [{key: value for key, value in message.items() if key != "tracking_id"} for message in messages]


@contextlib.contextmanager
def away(database: RecordingDatabase) -> Iterator[None]:
    """The store is away for a while: every request fails, each with an error of its own."""

    def refuse(request: Request) -> None:
        raise broken(committed=False)

    database.on_call = refuse
    try:
        yield
    finally:
        database.on_call = None


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The levels of what mirrors have logged, warnings and worse."""
    return [
        record.levelname
        for record in caplog.records
        if record.name == "strands_persql.engine.mirror" and record.levelno >= logging.WARNING
    ]
