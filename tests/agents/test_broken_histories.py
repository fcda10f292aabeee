"""Histories that no model would take: repaired when they are restored, and the repair is stored by the next event."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from .agents import agent_of
from .harness import assistant, restored, roles_of, user, words_of
from .scripted import ScriptedModel, tools, use


def tool_use(*ids: str) -> dict[str, Any]:
    """An assistant message that uses tools."""
    return {
        "role": "assistant",
        "content": [{"toolUse": {"toolUseId": each, "name": "add", "input": {"a": 1, "b": 2}}} for each in ids],
    }


def tool_result(*ids: str, words: str | None = None) -> dict[str, Any]:
    """A user message with tool results."""
    content: list[dict[str, Any]] = [
        {"toolResult": {"toolUseId": each, "status": "success", "content": [{"text": "3"}]}} for each in ids
    ]
    return {"role": "user", "content": [*content, *([{"text": words}] if words else [])]}


BROKEN = {
    "use without a result": [user("a"), tool_use("t1"), user("b"), assistant("ok")],
    "use before an answer": [user("a"), tool_use("t1"), assistant("ok")],
    "one result of two": [user("a"), tool_use("t1", "t2"), tool_result("t2"), assistant("ok")],
    "a result too many": [user("a"), tool_use("t1"), tool_result("t1", "t9"), assistant("ok")],
    "another's result": [user("a"), tool_use("t1"), tool_result("t9"), assistant("ok")],
    "result first": [tool_result("t1"), assistant("ok"), user("b"), assistant("yes")],
    "result first with words": [tool_result("t1", words="and this"), assistant("ok")],
    "result without a use": [user("a"), assistant("ok"), tool_result("t1"), assistant("yes")],
    "answered twice in a message": [user("a"), tool_use("t1"), tool_result("t1", "t1"), assistant("ok")],
    "answered twice": [user("a"), tool_use("t1"), tool_result("t1"), tool_result("t1"), assistant("ok")],
    "answered late": [user("a"), tool_use("t1"), user("b"), tool_result("t1"), assistant("ok")],
    "swapped": [user("a"), tool_result("t1"), tool_use("t1"), assistant("ok")],
    "an id twice in a message": [user("a"), tool_use("t1", "t1"), tool_result("t1", "t1"), assistant("ok")],
    "a copy in a message": [user("a"), tool_use("t1", "t1"), tool_result("t1"), assistant("ok")],
    "a message twice": [user("a"), tool_use("t1"), tool_use("t1"), tool_result("t1"), assistant("ok")],
    "empty": [user("a"), {"role": "assistant", "content": []}, {"role": "user", "content": []}, user("b"),
              assistant("ok")],
    "several": [tool_result("t0"), user("a"), tool_use("t1"), user("b"), tool_use("t2", "t3"), tool_result("t3"),
                assistant("ok")],
}  # fmt: skip


def valid(messages: list[Any]) -> bool:
    """Every tool use is answered once by the next message, and no result stands anywhere else; nothing is empty."""
    for index, message in enumerate(messages):
        uses = [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]
        following = messages[index + 1]["content"] if index + 1 < len(messages) else []
        results = [block["toolResult"]["toolUseId"] for block in following if "toolResult" in block]
        if (sorted(results) != sorted(uses) or len(set(uses)) < len(uses)) and index + 1 < len(messages):
            return False
    return all(message["content"] for message in messages) and not any(
        "toolResult" in block for block in messages[0]["content"]
    )


@pytest.mark.parametrize("history", BROKEN.values(), ids=BROKEN.keys())
async def test_repaired_on_restore(scenario: Any, history: list[Any]) -> None:
    """A broken history is restored repaired, and after one turn it is stored so."""
    model = ScriptedModel(["one", "two"])
    run = scenario(agent_of(model, messages=history))
    run.restart()
    assert valid(run.agent.messages)
    await run.turn("go on")
    assert valid(model.calls[-1])
    other = restored(run.store, run.build)
    assert valid(other.messages)
    assert words_of(other.messages)[-2:] == ["go on", "one"]
    run.restart()
    await run.turn("and on")


@pytest.mark.parametrize("history", BROKEN.values(), ids=BROKEN.keys())
async def test_a_restore_alone_writes_nothing(scenario: Any, history: list[Any]) -> None:
    """A restored agent that is only looked at leaves the stored rows as they were; every look sees the same repair."""
    run = scenario(agent_of(ScriptedModel(), messages=history))
    before = run.store.dump()
    looks = [restored(run.store, run.build).messages for _ in range(2)]
    assert [each["content"] for each in looks[0]] == [each["content"] for each in looks[1]]
    assert run.store.dump() == before


async def test_trailing_use(scenario: Any) -> None:
    """A kill between a tool's use and its result: the next prompt goes on after an error result."""
    model = ScriptedModel(["one"])
    run = scenario(agent_of(model, messages=[user("a"), tool_use("t1", "t2")]))
    run.restart()
    await run.turn("b")
    assert valid(model.calls[-1])
    assert roles_of(run.agent.messages) == "uauua"


async def test_trailing_use_without_a_prompt(scenario: Any) -> None:
    """A kill between a tool's use and its result: an invocation without a prompt runs the tool."""
    model = ScriptedModel(["three"])
    run = scenario(agent_of(model, messages=[user("a"), tool_use("t1")]))
    run.restart()
    await run.turn(None)
    assert valid(run.agent.messages)


async def test_killed_between_use_and_result(scenario: Any) -> None:
    """A real turn that dies while its tool runs, and a new process."""
    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2}))])
    run = scenario(agent_of(model))
    killed: list[Any] = []
    from strands.hooks import BeforeToolCallEvent

    def look(event: BeforeToolCallEvent) -> None:
        killed.append(run.store.messages())
        raise SystemError("killed here")

    run.agent.hooks.add_callback(BeforeToolCallEvent, look)
    with pytest.raises(Exception, match="killed here"):
        await run.turn("go", check=False)
    assert roles_of(killed[0]) == "ua"
    run.restart()
    model.play("ok")
    await run.turn("go on")
    assert valid(run.agent.messages)


async def test_broken_by_the_user(scenario: Any) -> None:
    """A history that the user broke is restored repaired; every turn after it is stored."""
    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2})), "one", "two", "three"])
    run = scenario(agent_of(model))
    await run.turn("a")
    del run.agent.messages[2]
    await run.turn("b", check=False)
    run.restart()
    assert valid(run.agent.messages)
    await run.turn("c")
    run.restart()
    assert valid(run.agent.messages)


async def test_repairs_keep_what_is_whole(scenario: Any) -> None:
    """A whole history of tool uses is restored untouched, mixed content included."""
    history = [user("a"), tool_use("t1", "t2"), tool_result("t2", "t1", words="by the way"), assistant("ok")]
    run = scenario(agent_of(ScriptedModel(["one"]), messages=copy.deepcopy(history)))
    run.check()
    await run.turn("b")


async def test_answered_after_a_cancellation(scenario: Any) -> None:
    """A tool is cancelled when it resumes, and answers at the next try: its real result is restored, and stored."""
    model = ScriptedModel([tools(use("ask", {"question": "pay?"}, "p1"))])
    run = scenario(agent_of(model))
    answer = [
        {"interruptResponse": {"interruptId": interrupt.id, "response": "yes"}}
        for interrupt in (await run.turn("go")).interrupts
    ]
    # What newer releases of Strands add where the resumed run is cancelled before the tool.
    cancelled = tool_result("p1")
    cancelled["content"][0]["toolResult"].update(status="error", content=[{"text": "Tool execution cancelled"}])
    run.agent.messages.append(cancelled)
    run.manager.sync_agent(run.agent)
    model.play("paid")
    await run.turn(answer, check=False)
    run.restart()
    assert valid(run.agent.messages)
    assert "they said yes" in str(run.agent.messages)
    assert "cancelled" not in str(run.agent.messages)
    assert "cancelled" in str(run.store.messages())
    model.play("on")
    await run.turn("go on")
