"""A store that is away: with `on_error="log"` no agent notices, with `"raise"` the turn fails, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.hooks import AfterInvocationEvent, MessageAddedEvent
from strands.types.exceptions import SessionException

from strands_persql import PerSQLError, PerSQLHooks, SessionConflictError
from strands_persql.engine import mirror as mirroring

from ..agents import agent_of
from ..harness import RecordingDatabase, Store, words_of
from ..scripted import ScriptedModel, tools, use
from .mirrors import (
    assert_mirrored,
    away,
    file_manager,
    logged,
    messages_in_files,
    mirror_of,
    mirrored,
    turn,
)


def patient(store: Store, **options: Any) -> tuple[PerSQLHooks, RecordingDatabase]:
    """A mirror that only logs, and its handle."""
    database = store.database()
    return mirror_of(store, database, on_error="log", **options), database


@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_away_and_back(
    store: Store, tmp_path: Path, mode: str, durability: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Away for three turns: the agent goes on, it is logged once, and all is stored with the first turn after."""
    mirror, database = patient(store, durability=durability)
    model = ScriptedModel(["one", tools(use("remember", {"key": "k", "value": 1})), "two", "three", "four", "five"])
    agent = mirrored(store, model, file_manager(tmp_path), mirror=mirror)
    await turn(agent, mode, "a")
    with away(database):
        for number, prompt in enumerate("bcd", start=1):
            await turn(agent, mode, prompt)
            assert mirror.pending == 2 + 2 * number + 1  # the tool's two messages, two a turn, and the agent's row
        assert logged(caplog) == ["WARNING"]
        assert len(store.messages()) == 2
    await turn(agent, mode, "e")
    assert mirror.pending == 0
    assert store.messages() == messages_in_files(tmp_path)
    assert logged(caplog) == ["WARNING", "WARNING"]
    assert "back" in caplog.records[-1].message
    assert_mirrored(store, agent)


async def test_away_again(store: Store, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """A store that goes away a second time is logged a second time."""
    mirror, database = patient(store)
    agent = mirrored(store, ScriptedModel([str(number) for number in range(6)]), mirror=mirror)
    for _ in range(2):
        with away(database):
            await turn(agent, mode, "a")
            await turn(agent, mode, "b")
        await turn(agent, mode, "c")
    assert len(logged(caplog)) == 4
    assert words_of(store.messages()) == ["a", "0", "b", "1", "c", "2", "a", "3", "b", "4", "c", "5"]


async def test_flushed_by_hand(store: Store, mode: str) -> None:
    """What is pending can be stored by hand, and a flush that fails says so."""
    mirror, database = patient(store)
    agent = mirrored(store, ScriptedModel(["one"]), mirror=mirror)
    with away(database):
        await turn(agent, mode, "a")
        with pytest.raises(PerSQLError):
            mirror.flush()
        assert mirror.pending == 3
        assert repr(mirror) == "PerSQLHooks('session-1', pending=3)"
    await mirror.aflush()
    assert mirror.pending == 0
    assert_mirrored(store, agent)


async def test_closed_when_back(store: Store, mode: str) -> None:
    """Leaving a mirror's `with` block stores what is pending."""
    mirror, database = patient(store)
    with mirror:
        agent = mirrored(store, ScriptedModel(["one"]), mirror=mirror)
        with away(database):
            await turn(agent, mode, "a")
    assert_mirrored(store, agent)


@pytest.mark.parametrize("turns", [0, 2])
async def test_away_at_construction(store: Store, mode: str, turns: int, caplog: pytest.LogCaptureFixture) -> None:
    """Away while the agent is built, and for some turns: it is built, it runs, and all is stored in the end."""
    store.manager().close()
    mirror, database = patient(store)
    model = ScriptedModel(["one", "two", "three"])
    with away(database):
        agent = mirrored(store, model, mirror=mirror)
        for prompt in "ab"[:turns]:
            await turn(agent, mode, prompt)
        assert logged(caplog) == ["WARNING"]
    await turn(agent, mode, "c")
    assert len(store.messages()) == 2 * turns + 2
    assert logged(caplog)[1:] == ["WARNING"]
    assert_mirrored(store, agent)


async def test_away_at_construction_of_a_stored_session(store: Store, tmp_path: Path, mode: str) -> None:
    """The same where the session is stored already: it is recognised once the store is back."""
    await turn(mirrored(store, ScriptedModel(["one"]), file_manager(tmp_path)), mode, "a")
    mirror, database = patient(store)
    with away(database):
        agent = mirrored(store, ScriptedModel(["two", "three"]), file_manager(tmp_path), mirror=mirror)
        await turn(agent, mode, "b")
    await turn(agent, mode, "c")
    assert store.messages() == messages_in_files(tmp_path)
    assert_mirrored(store, agent)


@pytest.mark.parametrize("from_the_start", [False, True])
async def test_trimmed_while_away(store: Store, mode: str, from_the_start: bool) -> None:
    """Messages that leave the history while the store is away are stored all the same, if it was from the start too."""
    mirror, database = patient(store)
    waiting = contextlib.ExitStack()
    if from_the_start:
        waiting.enter_context(away(database))
    agent = mirrored(
        store,
        ScriptedModel(["one", "two", "three", "four"]),
        mirror=mirror,
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=2),
    )
    with waiting, away(database):
        for prompt in "abc":
            await turn(agent, mode, prompt)
    await turn(agent, mode, "d")
    assert words_of(store.messages()) == ["a", "one", "b", "two", "c", "three", "d", "four"]
    assert_mirrored(store, agent, conversation_manager=lambda: SlidingWindowConversationManager(window_size=2))


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """No log records: pytest keeps them, and with them the frames of an error, and with them the agent of a test."""
    monkeypatch.setattr(mirroring.logger, "disabled", True)


async def test_agents_come_and_go_while_away(store: Store, mode: str, unlogged: None) -> None:
    """One mirror, a new agent for each request: each is built and runs while the store is away.

    Of an agent that was built and gone before the store was back nothing is known; the others are stored in order.
    """
    mirror, database = patient(store)
    agent = mirrored(store, ScriptedModel(["one"]), mirror=mirror)
    with away(database):
        await turn(agent, mode, "a")
        for number in range(3):
            del agent
            await asyncio.sleep(0)  # the loop lets go of the last error, whose frames hold the agent
            agent = mirrored(store, ScriptedModel([f"gone {number}", "the end"]), mirror=mirror)
            await turn(agent, mode, f"x {number}")
    await turn(agent, mode, "end")
    assert words_of(store.messages()) == ["a", "one", "x 2", "gone 2", "end", "the end"]
    assert mirror.pending == 0
    assert_mirrored(store, agent)


async def test_added_late_behind_pending_rows(store: Store, mode: str, unlogged: None) -> None:
    """A mirror with another agent's rows pending stores them before it takes in a new agent of the same id."""
    mirror, database = patient(store)
    agent = mirrored(store, ScriptedModel(["one"]), mirror=mirror)
    with away(database):
        await turn(agent, mode, "a")
    del agent
    await asyncio.sleep(0)  # as above
    agent = agent_of(ScriptedModel(["two"]))(None)
    agent.hooks.add_hook(mirror)
    await turn(agent, mode, "b")
    assert words_of(store.messages()) == ["a", "one", "b", "two"]
    assert mirror.pending == 0


@pytest.fixture
def small_bound(monkeypatch: pytest.MonkeyPatch) -> int:
    """A bound on pending rows that a few turns reach."""
    monkeypatch.setattr(mirroring, "MAX_PENDING", 5)
    return 5


async def test_bound(store: Store, mode: str, small_bound: int, caplog: pytest.LogCaptureFixture) -> None:
    """Past the bound no more is taken in, which is logged as an error; what the agent still has is stored later."""
    mirror, database = patient(store)
    agent = mirrored(store, ScriptedModel(["one", "two", "three", "four", "five"]), mirror=mirror)
    with away(database):
        for prompt in "abcd":
            await turn(agent, mode, prompt)
            assert mirror.pending <= small_bound
        assert mirror.pending == small_bound
    assert logged(caplog) == ["WARNING", "ERROR"]
    await turn(agent, mode, "e")
    assert mirror.pending == 0
    assert words_of(store.messages()) == ["a", "one", "b", "two", "c", "three", "d", "four", "e", "five"]
    assert_mirrored(store, agent)


@pytest.mark.parametrize("event_type", [MessageAddedEvent, AfterInvocationEvent])
async def test_back_at_the_end(store: Store, mode: str, small_bound: int, event_type: Any) -> None:
    """A store that is back at a turn's last events gets all of it, although the bound was reached."""
    mirror, database = patient(store)
    model = ScriptedModel(["one", "two", "three"])
    agent = mirrored(store, model, mirror=mirror)
    waiting = contextlib.ExitStack()
    waiting.enter_context(away(database))
    for prompt in "ab":
        await turn(agent, mode, prompt)
    agent.hooks.add_callback(
        event_type, lambda event: waiting.close() if agent.messages[-1]["role"] == "assistant" else None
    )
    await turn(agent, mode, "c")
    assert words_of(store.messages()) == ["a", "one", "b", "two", "c", "three"]
    assert mirror.pending == 0


async def test_state_is_one_row(store: Store, mode: str) -> None:
    """However often an agent's state changes while the store is away, it is one pending row."""
    mirror, database = patient(store)
    agent = mirrored(store, ScriptedModel(["one", "two", "three", "four"]), mirror=mirror)
    await turn(agent, mode, "a")
    with away(database):
        for number, prompt in enumerate("bc"):
            agent.state.set("k", number)
            await turn(agent, mode, prompt)
        assert mirror.pending == 5
    await turn(agent, mode, "d")
    assert_mirrored(store, agent)


async def test_conflict_is_logged(store: Store, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """A session lost to another writer is logged once, as an error, and disturbs no agent."""
    mirror, _ = patient(store)
    agent = mirrored(store, ScriptedModel(["one", "two", "three"]), mirror=mirror)
    await turn(agent, mode, "a")
    rival = mirrored(store, ScriptedModel(["rival"]))
    await turn(rival, mode, "b")
    await turn(agent, mode, "c")
    await turn(agent, mode, "d")
    assert logged(caplog) == ["ERROR"]
    assert words_of(store.messages()) == ["a", "one", "b", "rival"]
    assert words_of(agent.messages) == ["a", "one", "c", "two", "d", "three"]


async def test_unstorable_state_is_logged(store: Store, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """A message that can't be stored is logged, named, and left out; the rest is stored."""
    mirror, _ = patient(store)
    agent = mirrored(store, ScriptedModel(["one", "two"]), mirror=mirror)
    await turn(agent, mode, "a")
    agent.messages.append({"role": "user", "content": [{"text": object()}]})  # type: ignore[typeddict-item]
    agent.messages.append({"role": "assistant", "content": [{"text": "ok"}]})
    await turn(agent, mode, "b")
    assert logged(caplog)[0] == "ERROR"
    assert words_of(store.messages()) == ["a", "one", "ok", "b", "two"]


async def test_raise(store: Store, mode: str) -> None:
    """With `on_error="raise"` a failed write fails the turn, and goes along with the next."""
    database = store.database()
    mirror = mirror_of(store, database)
    agent = mirrored(store, ScriptedModel(["one", "two", "three"]), mirror=mirror)
    await turn(agent, mode, "a")
    with away(database), pytest.raises(PerSQLError, match="out of order"):
        await turn(agent, mode, "b")
    assert mirror.pending == 1
    await turn(agent, mode, "c")
    assert words_of(store.messages()) == ["a", "one", "b", "c", "two"]
    assert_mirrored(store, agent)


def test_raise_at_construction(store: Store) -> None:
    """With `on_error="raise"` an agent whose store is away can't be built."""
    database = store.database()
    with away(database), pytest.raises(PerSQLError, match="out of order"):
        mirrored(store, ScriptedModel(), mirror=mirror_of(store, database))


async def test_raise_conflict(store: Store, mode: str) -> None:
    """With `on_error="raise"` a session lost to another writer fails the turn."""
    agent = mirrored(store, ScriptedModel(["one", "two"]))
    await turn(agent, mode, "a")
    await turn(mirrored(store, ScriptedModel(["rival"])), mode, "b")
    with pytest.raises(SessionConflictError):
        await turn(agent, mode, "c")


@pytest.mark.slow
@pytest.mark.parametrize("on_error", ["raise", "log"])
def test_shared_agent_id(store: Store, on_error: Any) -> None:
    """Two live agents of one id are a mistake in the program: said at once, with its remedy, whatever `on_error`."""
    mirror = mirror_of(store, on_error=on_error)
    first = mirrored(store, ScriptedModel(), mirror=mirror)
    with pytest.raises(SessionException, match=r"'default'.*agent_id="):
        mirrored(store, ScriptedModel(), mirror=mirror)
    del first
    mirrored(store, ScriptedModel(), mirror=mirror)


@pytest.mark.slow
async def test_shared_agent_id_late(store: Store, mode: str) -> None:
    """The same where the mirror is added to the second agent late: at its first event."""
    mirror = mirror_of(store)
    first = mirrored(store, ScriptedModel(["one", "two"]), mirror=mirror)
    await turn(first, mode, "a")
    second = agent_of(ScriptedModel(["three"]))(None)
    second.hooks.add_hook(mirror)
    with pytest.raises(SessionException, match="agent_id="):
        await turn(second, mode, "b")
    await turn(first, mode, "c")
    assert words_of(store.messages()) == ["a", "one", "c", "two"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"session_id": ""}, ValueError),
        ({"session_id": 7}, TypeError),
        ({"on_error": "ignore"}, ValueError),
        ({"durability": "never"}, ValueError),
        ({"table_prefix": "x; --"}, ValueError),
        ({"database": object()}, TypeError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.__name__,
)
def test_mistaken_arguments(store: Store, options: dict[str, Any], error: type[Exception]) -> None:
    """A mistake in the arguments is told at construction."""
    arguments: dict[str, Any] = {"session_id": "s", "database": store.database(), **options}
    with pytest.raises(error):
        PerSQLHooks(arguments.pop("session_id"), arguments.pop("database"), **arguments)
