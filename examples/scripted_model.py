"""A model of four rules for the examples: no key, no network, and every answer comes from the history it is given.

It keeps nothing between two calls, so what it "remembers" it has read in the messages that Strands handed it. In a new
process those are the messages that the session manager restored.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any

from strands.models import Model
from strands.types.content import Message, Messages
from strands.types.streaming import StreamEvent

INTRODUCTION = re.compile(r"\b(?P<phrase>my name is|i am|i'm)\s+(?P<rest>.+)", re.IGNORECASE)


class ScriptedModel(Model):
    """Remembers "my name is …", answers "what is my name?", counts messages, and echoes everything else."""

    def update_config(self, **model_config: Any) -> None:
        """Take no settings: there are none."""

    def get_config(self) -> dict[str, Any]:
        """Return the settings: none."""
        return {}

    def structured_output(self, *args: Any, **kwargs: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Refuse: four rules can't fill in a form."""
        raise NotImplementedError("ScriptedModel only answers in text")

    # Strands hands over more keyword arguments with each release; the rules need the messages alone.
    async def stream(self, messages: Messages, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent, None]:
        """Stream one answer in the events every Strands model speaks, a word at a time."""
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": {}}}
        for word in re.findall(r"\s*\S+", answer_to(messages)):
            yield {"contentBlockDelta": {"delta": {"text": word}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}
        yield {
            "metadata": {
                "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
                "metrics": {"latencyMs": 0},
            }
        }


def answer_to(messages: Messages) -> str:
    """Return the answer to the last of `messages`, from what the earlier ones say."""
    said = [text_of(message) for message in messages if message["role"] == "user"]
    prompt = said[-1] if said else ""
    if name := introduced_name(prompt):
        return f"Nice to meet you, {name}."
    if "my name" in prompt.casefold():
        names = [name for name in map(introduced_name, said) if name]
        return f"Your name is {names[-1]}." if names else "You have not told me your name yet."
    if "how many messages" in prompt.casefold():
        return f"I was given {len(messages)} messages, this one included."
    return f"You said: {prompt}"


def introduced_name(text: str) -> str | None:
    """Return the name in "my name is Ada Lovelace", "I am Ada"; None where `text` introduces nobody."""
    for match in INTRODUCTION.finditer(text):
        name: list[str] = []
        for word in match["rest"].split():
            # "my name is ada" is a name all the same; "I am tired" is not.
            informal = not name and match["phrase"].casefold() == "my name is"
            if not (word[:1].isupper() or informal):
                break
            name.append(word.strip(".,;:!?\"'()"))
            if word[-1] in ".,;:!?":
                break
        if any(name):
            return " ".join(name)
    return None


def text_of(message: Message) -> str:
    """Return the text of `message`, its blocks joined; other blocks (tool uses, images) count as nothing."""
    return " ".join(block["text"] for block in message["content"] if "text" in block).strip()
