"""Agents, tools and schemas that the scenarios are made of."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from strands import Agent, ToolContext, tool
from strands.session.session_manager import SessionManager

from .harness import Build
from .scripted import ScriptedModel

PIXEL = b"\x89PNG\r\n\x1a\n\x00\xff\xfe pixels"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def boom() -> str:
    """Fail."""
    raise ValueError("boom")


@tool
def long_answer(length: int) -> str:
    """Answer at length."""
    return "".join(f"{number}." for number in range(length))[:length]


@tool
def picture() -> dict[str, Any]:
    """Answer with an image and a document."""
    return {
        "status": "success",
        "content": [
            {"text": "a picture"},
            {"image": {"format": "png", "source": {"bytes": PIXEL}}},
            {"document": {"format": "pdf", "name": "paper", "source": {"bytes": b"%PDF-1.7\x00\x80"}}},
        ],
    }


@tool(context=True)
def remember(key: str, value: Any, tool_context: ToolContext) -> str:
    """Put something into the agent's state."""
    tool_context.agent.state.set(key, value)
    return "noted"


@tool(context=True)
def ask(question: str, tool_context: ToolContext) -> str:
    """Ask the user, through an interrupt."""
    return f"they said {tool_context.interrupt('ask', reason={'question': question})}"


TOOLS = [add, boom, long_answer, picture, remember, ask]


class Weather(BaseModel):
    """A structured answer."""

    city: str
    celsius: float


def agent_of(
    model: ScriptedModel,
    *,
    conversation_manager: Callable[[], Any] | None = None,
    messages: list[Any] | None = None,
    hooks: Callable[[], list[Any]] | None = None,
    **options: Any,
) -> Build:
    """How each process builds its agent: the same every time, with parts of its own."""

    def build(session_manager: SessionManager | None) -> Agent:
        fresh = dict(options)
        if conversation_manager is not None:
            fresh["conversation_manager"] = conversation_manager()
        if messages is not None:
            fresh["messages"] = copy.deepcopy(messages)
        if hooks is not None:
            fresh["hooks"] = hooks()
        fresh.setdefault("tools", list(TOOLS))
        return Agent(model=model, session_manager=session_manager, callback_handler=None, **fresh)

    return build
