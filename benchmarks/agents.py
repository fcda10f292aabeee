"""The agent that all contenders serve, its model, and the histories it has."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from strands import Agent, tool
from strands.agent.conversation_manager import NullConversationManager, SlidingWindowConversationManager
from strands.models.model import Model
from strands.types.content import Message

AGENT_ID = "assistant"
WINDOW = 40
"""Messages the model sees where a window is measured."""

PROMPT = "Where does my order stand, and when will it be here? It was promised for last Tuesday, and nobody writes."
ANSWER = (
    "I have looked it up: the parcel left the warehouse on Monday and is with the carrier, who expects to deliver it "
    "tomorrow between nine and noon. If nobody is at home it goes to the shop at the corner, where it is kept for a "
    "week. I have noted that the promised day was missed, and you will get the postage back."
)
FOUND = "order 4711: packed Mon 09:12, handed over Mon 17:40, hub Tue 03:05, out for delivery Wed 07:30"

SCENARIOS: dict[str, tuple[int, ...]] = {"plain": (), "tools": (3,), "eight": (1, 1, 1)}
"""What a turn is made of: how many tools each of the model's answers calls, before the last one. So a plain turn adds
2 messages, a tool turn 4 (three calls in one answer), and the long one 8."""

_ids = itertools.count(1)


@tool
async def look_up(order: str) -> str:
    """Look up an order.

    Args:
        order: Its number.
    """
    return FOUND


class QuickModel(Model):
    """Answers at once, or after a delay, with as few events as an answer has.

    Attributes:
        delay: Seconds before each answer.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self._uses: list[int] = []

    def plan(self, scenario: str) -> None:
        """Have the next turn go so."""
        self._uses = list(SCENARIOS[scenario])

    def update_config(self, **model_config: Any) -> None:
        pass

    def get_config(self) -> dict[str, Any]:
        return {}

    async def structured_output(self, *args: Any, **kwargs: Any) -> AsyncGenerator[dict[str, Any], None]:
        raise NotImplementedError
        yield {}

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        if self.delay:
            await asyncio.sleep(self.delay)
        uses = self._uses.pop(0) if self._uses else 0
        yield {"messageStart": {"role": "assistant"}}
        for _ in range(uses):
            use = {"name": "look_up", "toolUseId": f"use-{next(_ids)}"}
            yield {"contentBlockStart": {"start": {"toolUse": use}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps({"order": "4711"})}}}}
            yield {"contentBlockStop": {}}
        if not uses:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": ANSWER}}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use" if uses else "end_turn"}}
        usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}


def history(size: int) -> list[Message]:
    """So many messages, as Strands keeps them: with tracking ids where its release has them."""
    identified = "tracking_id" in Message.__annotations__
    messages: list[Any] = []
    for number in range(size):
        role, words = ("user", PROMPT) if number % 2 == 0 else ("assistant", ANSWER)
        message: dict[str, Any] = {"role": role, "content": [{"text": f"{number}: {words}"}]}
        if identified:
            message["tracking_id"] = f"00000000-0000-4000-8000-{number:012d}"
        messages.append(message)
    return messages


def build(
    manager: Any,
    *,
    messages: Sequence[Message] = (),
    window: int | None = None,
    removed: int = 0,
    delay: float = 0.0,
) -> Agent:
    """The agent.

    Args:
        manager: Its session manager; None for none.
        messages: What it starts with.
        window: Messages the model sees at most; None for all.
        removed: How many have left the window already.
        delay: Seconds that each of the model's answers takes.
    """
    conversation: Any = NullConversationManager()
    if window is not None:
        conversation = SlidingWindowConversationManager(window_size=window)
        conversation.removed_message_count = removed
    return Agent(
        model=QuickModel(delay),
        messages=list(messages),
        tools=[look_up],
        system_prompt="You help with orders.",
        callback_handler=None,
        conversation_manager=conversation,
        session_manager=manager,
        agent_id=AGENT_ID,
        load_tools_from_directory=False,
    )


async def turn(agent: Agent, scenario: str = "plain") -> None:
    """One invocation."""
    model: Any = agent.model
    model.plan(scenario)
    await agent.invoke_async(PROMPT)
