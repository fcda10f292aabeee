"""AG-UI's adapter: the answer of a tool that the browser runs replaces its placeholder in the stored history."""

from __future__ import annotations

import json
from typing import Any

import pytest
from strands import Agent

from ..agents import ask
from ..harness import Store
from ..scripted import ScriptedModel, tools, use

core: Any = pytest.importorskip("ag_ui.core")
adapter: Any = pytest.importorskip("ag_ui_strands")

TOOLS = [
    core.Tool(name="set_color", description="Set the page's colour", parameters={"type": "object", "properties": {}})
]


class Page:
    """A browser's page, and the agent behind it."""

    def __init__(self, store: Store, model: ScriptedModel) -> None:
        self._store = store
        self._model = model
        self.restart()

    def restart(self) -> None:
        """Serve it from a new process."""
        agent = Agent(model=self._model, tools=[ask], callback_handler=None)
        config = adapter.StrandsAgentConfig(session_manager_provider=lambda _: self._store.manager())
        self._agent = adapter.StrandsAgent(agent=agent, name="page", config=config)

    async def run(self, *messages: Any, **options: Any) -> list[Any]:
        """One run; the events that come of it."""
        asked = core.RunAgentInput(
            thread_id="t",
            run_id="r",
            state={},
            messages=messages,
            tools=TOOLS,
            context=[],
            forwarded_props={},
            **options,
        )
        events = [event async for event in self._agent.run(asked)]
        assert not [event for event in events if event.type.value == "RUN_ERROR"]
        return events


def said(*uses: str) -> list[Any]:
    """The page's own history: a prompt, the tools that were used, and what the browser's own has answered."""
    calls = [
        core.ToolCall(id=each, type="function", function=core.FunctionCall(name="x", arguments="{}")) for each in uses
    ]
    return [
        core.UserMessage(id="m1", role="user", content="make it red"),
        core.AssistantMessage(id="m2", role="assistant", tool_calls=calls),
        core.ToolMessage(id="m3", role="tool", tool_call_id=uses[0], content="it is RED"),
    ]


def assert_answered(store: Store) -> None:
    """The stored history holds the answer, and no placeholder."""
    again = Agent(model=ScriptedModel(), session_manager=store.manager(), callback_handler=None)
    stored = json.dumps(list(again.messages))
    assert "it is RED" in stored
    assert "Forwarded to client" not in stored


@pytest.mark.parametrize("restarts", [False, True])
async def test_the_answer_of_a_frontend_tool(store: Store, restarts: bool) -> None:
    """The browser's answer stands in the place of the placeholder, and the run goes on."""
    page = Page(store, ScriptedModel([tools(use("set_color", {}, "u1")), "done"]))
    await page.run(said("u1")[0])
    if restarts:
        page.restart()
    await page.run(*said("u1"))
    assert_answered(store)


@pytest.mark.parametrize("restarts", [False, True])
async def test_beside_an_interrupt(store: Store, restarts: bool) -> None:
    """The same where a tool of the server's waits for a person meanwhile."""
    page = Page(store, ScriptedModel([tools(use("set_color", {}, "u1"), use("ask", {"question": "?"}, "u2")), "done"]))
    events = await page.run(said("u1")[0])
    resume = [
        {"interruptId": each.id, "status": "resolved", "payload": {"approved": True}}
        for each in events[-1].outcome.interrupts
    ]
    if restarts:
        page.restart()
    await page.run(*said("u1", "u2"), resume=resume)
    assert_answered(store)
