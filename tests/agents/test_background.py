"""Messages merged into the one before them, as background tasks do: an update of a row, not a second one."""

from __future__ import annotations

import copy
import threading
from typing import Any

from strands import Agent, tool
from strands.hooks import MessageAddedEvent

from .agents import agent_of
from .features import needs_background_tasks, needs_tracking_ids
from .harness import assert_rows_sound, words_of
from .scripted import ScriptedModel, text, tools, use


@needs_tracking_ids
async def test_merged_message(scenario: Any) -> None:
    """MessageAdded that fires again for a copy of the last message, with more content and the same tracking id."""
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    await run.turn("a")
    agent: Agent = run.agent
    merged = copy.copy(agent.messages[-1])
    merged["content"] = [*merged["content"], {"text": "and more"}]
    agent.messages[-1] = merged
    run.database.clear()
    with run.store.counted_writes() as written:
        await agent.hooks.invoke_callbacks_async(MessageAddedEvent(agent=agent, message=merged))
    run.check()
    assert "messages" in written
    assert written.count("messages") == 1
    assert words_of(run.store.messages()) == ["a", "one", "and more"]
    await run.turn("b")


@needs_tracking_ids
async def test_merged_after_a_restart(scenario: Any) -> None:
    """A merge into a message that this process only restored."""
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    await run.turn("a")
    run.restart()
    merged = copy.copy(run.agent.messages[-1])
    merged["content"] = [*merged["content"], {"text": "and more"}]
    run.agent.messages[-1] = merged
    await run.agent.hooks.invoke_callbacks_async(MessageAddedEvent(agent=run.agent, message=merged))
    run.check()
    assert_rows_sound(run.store)
    await run.turn("b")


@needs_background_tasks
async def test_background_task(scenario: Any) -> None:
    """A tool that runs in the background, its result delivered as a continuation of the history."""
    release = threading.Event()

    @tool
    def slow() -> str:
        """Take a while."""
        assert release.wait(30)
        return "the slow result"

    def go_on() -> None:
        release.set()

    model = ScriptedModel([tools(use("slow")), text("I will wait.", before=go_on), "it is done", "bye"])
    run = scenario(agent_of(model, tools=[slow], background_tasks={"always": ["slow"]}))
    await run.turn("go")
    assert any("the slow result" in str(message) for message in run.agent.messages)
    run.restart()
    await run.turn("thanks")


@needs_background_tasks
async def test_background_tasks_of_several_turns(scenario: Any) -> None:
    """Several background tasks, and a process between the turns."""
    done = threading.Event()
    done.set()

    @tool
    def work(number: int) -> str:
        """Work."""
        assert done.wait(30)
        return f"result {number}"

    model = ScriptedModel()
    run = scenario(agent_of(model, tools=[work], background_tasks={"always": ["work"]}))
    for number in range(3):
        model.replies.clear()
        model.play(tools(use("work", {"number": number}), use("work", {"number": number + 10})), *["go on"] * 6)
        await run.turn(f"q{number}")
        run.restart()
    assert all(f"result {number}" in str(run.agent.messages) for number in range(3))
