"""Writes a file of openai-agents: a plain session, and one with branches.

Written with openai-agents and no model: a scripted one answers.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agents.extensions.memory import AdvancedSQLiteSession
from agents.models.interface import Model
from dump import dumped
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
)
from openai.types.responses.response_reasoning_item import Summary

from agents import Agent, ModelResponse, Runner, SQLiteSession, Usage, function_tool, set_tracing_disabled

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Scripted(Model):
    """Answers what stands in a list."""

    def __init__(self, script: list[list[Any]]) -> None:
        self.script = script

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        usage = Usage(requests=1, input_tokens=11, output_tokens=7, total_tokens=18)
        return ModelResponse(output=self.script.pop(0), usage=usage, response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


def text(words: str, number: int) -> ResponseOutputMessage:
    part = ResponseOutputText(text=words, type="output_text", annotations=[])
    return ResponseOutputMessage(
        id=f"msg_{number}", content=[part], role="assistant", status="completed", type="message"
    )


def call(number: int, city: str) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        call_id=f"call_{number}",
        name="weather",
        arguments=f'{{"city": "{city}"}}',
        type="function_call",
        id=f"fc_{number}",
    )


def thought(words: str) -> ResponseReasoningItem:
    return ResponseReasoningItem(id="rs_1", summary=[Summary(text=words, type="summary_text")], type="reasoning")


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: 21 °C, sunny"


async def main(path: Path) -> None:
    """Write the file."""
    set_tracing_disabled(True)
    plain = [
        [thought("Two cities."), call(1, "Zürich"), call(2, "橋本")],
        [text("Zürich and 橋本: 21 °C", 1)],
        [text("A pixel.", 2)],
    ]
    agent = Agent(name="weatherman", model=Scripted(plain), tools=[weather])
    session = SQLiteSession("plain", path)
    await Runner.run(agent, "The weather in Zürich and 橋本?", session=session)
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    prompt: Any = [{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, image]}]
    await Runner.run(agent, prompt, session=session, run_config=None)
    session.close()

    branched = [[text("Hello Ada.", 3)], [text("Ada.", 4)], [text("You are Ada Lovelace.", 5)]]
    agent = Agent(name="friend", model=Scripted(branched))
    advanced = AdvancedSQLiteSession(session_id="branched", db_path=path, create_tables=True)
    for words in ("I am Ada.", "Who am I?"):
        result = await Runner.run(agent, words, session=advanced)
        await advanced.store_run_usage(result)
    await advanced.create_branch_from_turn(2, "again/2")
    await Runner.run(agent, "Tell me my whole name.", session=advanced)
    advanced.close()


if __name__ == "__main__":
    dumped(lambda path: asyncio.run(main(path)), "openai-agents", "openai")
