"""A model for the chat: no key, no network, a word at a time. It calls tools, remembers names, and counts for long.

It keeps nothing between two calls: what it knows of the conversation, it reads in the messages that it is given.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from strands import tool
from strands.models import Model
from strands.types.content import Message, Messages
from strands.types.streaming import StreamEvent

HELP = """\
I am a small script that plays a model, so my repertoire is short. Try one of these:

- what is the weather in Lisbon?
- roll three dice
- tell me a story about a lighthouse
- count, please (and stop me)
- my name is Ada (and later: what is my name?)

Then reload the page, edit what you have asked, or go another way in a copy of the conversation: all of it is in the \
database."""
STORY = """\
There was once {thing} that nobody had looked at for years. Every evening it wrote down what had happened: first on \
paper, which the wind took; then in the sand, which the tide took; at last in a small table with a primary key, which \
nothing took.

One night the power failed, in the middle of a sentence. In the morning a stranger came by, opened the table, and read \
all of it aloud, up to the last word that had been said. "And then?" asked {thing}.

So they went on from there."""
MOST = 20_000
"""How far it counts: nobody may be there to stop it."""

NUMBERS = {"a": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


@tool
def weather(place: str) -> dict[str, Any]:
    """Tell the weather somewhere (made up, and the same each time)."""
    chance = random.Random(place.casefold())
    sky = chance.choice(["clear", "cloudy", "foggy", "raining cats and dogs", "snowing sideways"])
    report = {"place": place, "sky": sky, "celsius": chance.randint(-5, 35)}
    return {"status": "success", "content": [{"json": report}]}


@tool
def roll_dice(dice: int) -> dict[str, Any]:
    """Roll dice of six sides."""
    return {"status": "success", "content": [{"json": {"dice": [random.randint(1, 6) for _ in range(min(dice, 20))]}}]}


TOOLS: list[Any] = [weather, roll_dice]


class ChatModel(Model):
    """Answers by rules, and as slowly as a model would.

    Args:
        pace: Seconds between two words.
    """

    def __init__(self, pace: float = 0.04) -> None:
        self.pace = pace

    def update_config(self, **model_config: Any) -> None:
        """Take no settings: there are none."""

    def get_config(self) -> dict[str, Any]:
        """Return the settings: none."""
        return {}

    def structured_output(self, *args: Any, **kwargs: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Refuse: rules can't fill in a form."""
        raise NotImplementedError("ChatModel only answers in text")

    async def stream(self, messages: Messages, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent, None]:
        """Stream one answer in the events that every Strands model speaks."""
        wanted = wanted_tool(messages[-1])
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": {}}}
        for word in ["Let me see. "] if wanted else answer_to(messages):
            await asyncio.sleep(self.pace)
            yield {"contentBlockDelta": {"delta": {"text": word}}}
        yield {"contentBlockStop": {}}
        if wanted:
            name, arguments = wanted
            tool_use_id = f"call-{len(messages)}"
            yield {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": tool_use_id}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(arguments)}}}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use" if wanted else "end_turn"}}


def wanted_tool(message: Message) -> tuple[str, dict[str, Any]] | None:
    """Return the tool that a prompt takes, and its input."""
    prompt = text_of(message)
    if found := re.search(r"\bweather\b.*?\b(?:in|at|on) (?P<place>[^?.!,]+)", prompt, re.IGNORECASE):
        return "weather", {"place": found["place"].strip()}
    if found := re.search(r"\broll (?:(?P<dice>\w+) )?(?:dice|die)\b", prompt, re.IGNORECASE):
        dice = (found["dice"] or "a").casefold()
        return "roll_dice", {"dice": int(dice[:9]) if dice.isdecimal() else NUMBERS.get(dice, 1)}
    return None


def answer_to(messages: Messages) -> Iterator[str]:
    """Return the words of the answer to the last of `messages`."""
    result = next((block["toolResult"] for block in messages[-1]["content"] if "toolResult" in block), None)
    if result is not None:
        return words(told(next((item["json"] for item in result["content"] if "json" in item), {})))
    prompt = text_of(messages[-1])
    if found := re.search(r"\bcount\b(?: to (?P<end>\d{1,9}))?", prompt, re.IGNORECASE):
        return (f"{number} " for number in range(1, min(int(found["end"] or MOST), MOST) + 1))
    if found := re.search(r"\b(?:story|poem)\b(?: about (?P<thing>[^?.!]+))?", prompt, re.IGNORECASE):
        return words(STORY.format(thing=(found["thing"] or "a lighthouse").strip()))
    if "how many messages" in prompt.casefold():
        return words(f"I was given {len(messages)}, this one included.")
    names = [name for message in messages if message["role"] == "user" and (name := introduced(text_of(message)))]
    if introduced(prompt):
        return words(f"Nice to meet you, {names[-1]}. I will find it in our messages when you ask.")
    if "my name" in prompt.casefold():
        return words(f"Your name is {names[-1]}." if names else "You have not told me your name yet.")
    return words(HELP)


def told(report: Any) -> str:
    """Return a tool's result in a sentence."""
    if "sky" in report:
        return f"In {report['place']} it is {report['sky']}, at {report['celsius']} °C. (I made that up.)"
    dice = report.get("dice", [])
    return f"{' + '.join(map(str, dice))} = {sum(dice)}" if dice else "That did not work."


def introduced(text: str) -> str | None:
    """Return the name in "my name is Ada"."""
    found = re.search(r"\bmy name is (\w+)", text, re.IGNORECASE)
    return found[1] if found else None


def words(text: str) -> Iterator[str]:
    """Yield a text word by word."""
    return (match[0] for match in re.finditer(r"\S+\s*", text))


def text_of(message: Message) -> str:
    """Return the text of a message."""
    return " ".join(block["text"] for block in message["content"] if "text" in block)
