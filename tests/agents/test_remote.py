"""The same agents over HTTP: sessions in the emulator of the service, restored by another client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager

from strands_persql.testing import stored_rows

from .agents import agent_of
from .harness import Durability, Mode, RecordingDatabase, Scenario, Store, words_of
from .scripted import ScriptedModel, fail, overflow, redact_user, tools, use


@dataclass
class Remote(Store):
    """One database of the service, each manager with a client of its own."""

    emulator: Any = None

    def database(self, *, at_once: bool = False) -> RecordingDatabase:
        return RecordingDatabase(self.emulator.database())

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        return stored_rows(self.emulator.database(), mask=False)


@pytest.fixture
def remote(emulator: Any, store: Store) -> Remote:
    """A store in the emulator."""
    return Remote(store.path, emulator=emulator)


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_mixed_session(remote: Remote, mode: Mode, durability: Durability) -> None:
    """Tools, state, trims, an overflow, a redaction, an error, edits, large documents and restarts, over HTTP."""
    remote.durability = durability
    model = ScriptedModel()
    build = agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=6))
    run = Scenario(remote, build, mode)
    for number in range(3):
        remembering = use("remember", {"key": "turn", "value": number})
        model.play(tools(use("add", {"a": 1, "b": 2}), remembering, use("picture")), f"a{number}")
        await run.turn(f"q{number} ✨\u2028\x00")
    run.restart()
    model.play(overflow(), "after the overflow")
    await run.turn("too long")
    model.play(redact_user("[redacted]"))
    await run.turn("MY-SECRET")
    assert "MY-SECRET" not in str(remote.rows())
    model.play(fail(RuntimeError("down")))
    with pytest.raises(RuntimeError):
        await run.turn("fails")
    run.check()
    run.agent.messages[0]["content"].append({"text": "edited"})
    run.agent.state.set("late", True)
    model.play("read")
    document = {"document": {"format": "pdf", "name": "long", "source": {"bytes": bytes(range(256)) * 10_000}}}
    await run.turn([{"text": "read this"}, document])
    run.restart()
    model.play("and on")
    await run.turn("and on")
    assert words_of(remote.messages())[-2:] == ["and on", "and on"]


async def test_requests(remote: Remote, mode: Mode) -> None:
    """A plain turn is two requests on the wire, and constructing an agent is one."""
    model = ScriptedModel(["one", "two"])
    run = Scenario(remote, agent_of(model), mode)
    await run.turn("a")
    remote.emulator.reset()
    run.restart()
    assert remote.emulator.requests == 1
    remote.emulator.reset()
    await run.turn("b", check=False)
    assert remote.emulator.requests == 2
    run.check()
