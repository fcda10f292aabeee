"""A model that does what the prompt says, so that the agents which tools and frameworks build can have it as well."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator
from typing import Any

from strands.types.content import Messages
from strands.types.streaming import StreamEvent

from strands_persql.testing import OfflineModel

_numbers = itertools.count(1)


class ObedientModel(OfflineModel):
    """Answers as the offline model does; lines of `use NAME {"argument": …}` are calls of tools, told back when done.

    Args:
        model_id: Heeded no more than it is by any model of one kind.
        pause: Seconds between two words.
    """

    def __init__(self, *, model_id: str = "", pause: float = 0.0) -> None:
        super().__init__()
        self._pause = pause

    async def stream(self, messages: Messages, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent, None]:
        """Stream one answer."""
        content = messages[-1]["content"]
        prompt = "\n".join(block["text"] for block in content if "text" in block)
        wanted = [line.split(" ", 2)[1:] for line in prompt.splitlines() if line.startswith("use ")]
        if any("toolResult" in block for block in content):
            answer: AsyncGenerator[StreamEvent, None] = OfflineModel("Done.").stream(messages)
        elif wanted:
            answer = _calls(wanted)
        else:
            answer = super().stream(messages)
        async for event in answer:
            await asyncio.sleep(self._pause)
            yield event


async def _calls(wanted: list[list[str]]) -> AsyncGenerator[StreamEvent, None]:
    yield {"messageStart": {"role": "assistant"}}
    for name, *arguments in wanted:
        use_id = f"use-{next(_numbers)}"
        yield {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": use_id}}}}
        yield {"contentBlockDelta": {"delta": {"toolUse": {"input": "".join(arguments) or "{}"}}}}
        yield {"contentBlockStop": {}}
    yield {"messageStop": {"stopReason": "tool_use"}}


def use(name: str, /, **arguments: Any) -> str:
    """The line of a prompt that has a tool called."""
    return f"use {name} {json.dumps(arguments)}"
