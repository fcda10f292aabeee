"""Interrupts: asked in one process, answered in another."""

from __future__ import annotations

from typing import Any

import pytest
from strands.hooks import BeforeToolCallEvent

from .agents import PIXEL, agent_of
from .features import BYTES_IN_SESSION_AGENTS, needs, needs_interventions
from .harness import roles_of, words_of
from .scripted import ScriptedModel, tools, use


def answers_to(result: Any, response: Any = "yes") -> list[dict[str, Any]]:
    """An answer to each interrupt of a result."""
    return [{"interruptResponse": {"interruptId": each.id, "response": response}} for each in result.interrupts]


@pytest.mark.parametrize("restart", [True, False])
async def test_interrupt_in_a_tool(scenario: Any, restart: bool) -> None:
    """A tool asks; the answer comes from another process, and the tools that had run do not run again."""
    model = ScriptedModel(
        [tools(use("ask", {"question": "sure?"}), use("remember", {"key": "k", "value": 1}), use("boom"))]
    )
    run = scenario(agent_of(model))
    result = await run.turn("go")
    assert result.stop_reason == "interrupt"
    assert roles_of(run.agent.messages) == "ua"
    if restart:
        run.restart()
    model.play("done")
    result = await run.turn(answers_to(result))
    assert result.stop_reason == "end_turn"
    assert roles_of(run.agent.messages) == "uaua"
    found = [item["text"] for block in run.agent.messages[2]["content"] for item in block["toolResult"]["content"]]
    assert "they said yes" in found
    run.restart()
    model.play("hello")
    await run.turn("hi")


@pytest.mark.parametrize("restart", [True, False])
async def test_interrupt_in_a_hook(scenario: Any, restart: bool) -> None:
    """A BeforeToolCall hook asks before a tool runs."""

    class Approval:
        def register_hooks(self, registry: Any, **kwargs: Any) -> None:
            registry.add_callback(BeforeToolCallEvent, self.approve)

        def approve(self, event: BeforeToolCallEvent) -> None:
            if event.tool_use["name"] == "add" and event.interrupt("approval", reason="may I?") != "yes":
                event.cancel_tool = "denied"

    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2}), use("long_answer", {"length": 5}))])
    run = scenario(agent_of(model, hooks=lambda: [Approval()]))
    result = await run.turn("go")
    assert result.stop_reason == "interrupt"
    if restart:
        run.restart()
    model.play("done")
    result = await run.turn(answers_to(result))
    assert result.stop_reason == "end_turn"


async def test_interrupts_in_a_row(scenario: Any) -> None:
    """Two tools ask at once, one of them is answered first, and each step is in a new process."""
    model = ScriptedModel([tools(use("ask", {"question": "one?"}), use("ask", {"question": "two?"}))])
    run = scenario(agent_of(model))
    result = await run.turn("go")
    assert len(result.interrupts) == 2
    run.restart()
    result = await run.turn(answers_to(result)[:1])
    assert result.stop_reason == "interrupt"
    run.restart()
    model.play("done")
    left = [each for each in result.interrupts if each.response is None] or result.interrupts
    result = await run.turn([{"interruptResponse": {"interruptId": each.id, "response": "no"}} for each in left])
    assert result.stop_reason == "end_turn"


async def test_interrupted_twice(scenario: Any) -> None:
    """A second tool cycle of the same turn interrupts again."""
    model = ScriptedModel([tools(use("ask", {"question": "one?"}))])
    run = scenario(agent_of(model))
    result = await run.turn("go")
    for _ in range(2):
        run.restart()
        model.play(tools(use("ask", {"question": "again?"})))
        result = await run.turn(answers_to(result))
        assert result.stop_reason == "interrupt"
    run.restart()
    model.play("done")
    await run.turn(answers_to(result, {"nested": ["answer", 1, None]}))
    assert roles_of(run.agent.messages) == "uauauaua"


async def test_wrong_answer(scenario: Any) -> None:
    """A prompt in place of an answer is refused by Strands, and the interrupt still stands."""
    model = ScriptedModel([tools(use("ask", {"question": "?"}))])
    run = scenario(agent_of(model))
    result = await run.turn("go")
    with pytest.raises(TypeError):
        await run.turn("not an answer")
    run.check()
    run.restart()
    model.play("done")
    await run.turn(answers_to(result))
    assert words_of(run.agent.messages)[-1] == "done"


async def test_bytes_in_interrupt_state(scenario: Any) -> None:
    """A tool that answered with an image before another asked: the image is kept in the interrupt state."""
    model = ScriptedModel([tools(use("picture"), use("ask", {"question": "?"}))])
    run = scenario(agent_of(model))
    result = await run.turn("go")
    assert result.stop_reason == "interrupt"
    run.restart()
    model.play("done")
    await run.turn(answers_to(result))
    images = [
        item["image"]["source"]["bytes"]
        for block in run.agent.messages[2]["content"]
        for item in block["toolResult"]["content"]
        if "image" in item
    ]
    assert images == [PIXEL]


async def test_interrupt_with_state(scenario: Any) -> None:
    """State set by a tool of an interrupted turn is stored with the interrupt."""
    model = ScriptedModel(
        [tools(use("remember", {"key": "k", "value": [1, {"two": None}]}), use("ask", {"question": ""}))]
    )
    run = scenario(agent_of(model))
    await run.turn("go")
    run.restart()
    assert run.agent.state.get("k") == [1, {"two": None}]


@needs_interventions
async def test_confirmation(scenario: Any) -> None:
    """An intervention's confirmation, answered in another process."""
    from strands.interventions import InterventionHandler

    try:
        from strands.interventions import Confirm
    except ImportError:
        pytest.skip("this Strands has no confirmations")

    class Confirming(InterventionHandler):
        name = "confirming"

        def before_tool_call(self, event: Any, **kwargs: Any) -> Any:
            return Confirm(prompt="really?")

    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2}))])
    run = scenario(agent_of(model, interventions=[Confirming()]))
    result = await run.turn("go")
    assert result.stop_reason == "interrupt"
    run.restart()
    model.play("done")
    await run.turn(answers_to(result, "yes"))
    assert roles_of(run.agent.messages) == "uaua"


@needs(BYTES_IN_SESSION_AGENTS, "sub-agents' interrupts that survive a restart")
async def test_interrupt_in_a_sub_agent(scenario: Any) -> None:
    """An agent used as a tool asks: its interrupted turn is kept in the orchestrator's interrupt state."""
    from strands import Agent

    from .agents import ask

    inner = ScriptedModel([tools(use("ask", {"question": "inner?"}))])
    outer = ScriptedModel([tools(use("helper", {"input": "help"}))])

    def build(manager: Any) -> Agent:
        helper = Agent(model=inner, tools=[ask], name="helper", agent_id="helper", callback_handler=None)
        return Agent(model=outer, tools=[helper.as_tool(name="helper")], session_manager=manager, callback_handler=None)

    run = scenario(build)
    result = await run.turn("go")
    if result.stop_reason != "interrupt":
        pytest.skip("this Strands does not pass a sub-agent's interrupts on")
    run.restart()
    inner.play("helped")
    outer.play("done")
    inner.replies.extend([])
    await run.turn(answers_to(result), check=True)
    assert words_of(run.agent.messages)[-1] == "done"
