"""What messages may hold: bytes, any text, odd numbers, large documents; and what can't be stored."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

import pytest
from strands import tool

from strands_persql import SessionDataError

from .agents import PIXEL, TOOLS, agent_of
from .harness import capture, restored, words_of
from .scripted import ScriptedModel, text, tools, use

TEXTS = {
    "nul": "a\x00b",
    "control": "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "separators": "line\u2028paragraph\u2029next\u0085\ufeff",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 \U0001f600",
    "lone surrogate": "half \ud83d an emoji \udc00",
    "quotes": "'; DROP TABLE strands_messages; -- \" \\ ` %s ? :a @b $c",
    "json": '{"__bytes_encoded__": true, "data": "eA=="}',
    "empty": "",
    "blank": " \n\t ",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "right to left": "שלום\u202e مرحبا",
    "parts marker": '{"persql_parts":2,"generation":"x"}',
}


@pytest.mark.parametrize("words", TEXTS.values(), ids=TEXTS.keys())
async def test_any_text(scenario: Any, words: str) -> None:
    """Any text is restored exactly, from a prompt, an answer, a tool's arguments and result, and the state."""
    model = ScriptedModel([tools(use("echo", {"words": words})), text(words)])

    @tool
    def echo(words: str) -> str:
        """Say it again."""
        return words

    run = scenario(agent_of(model, tools=[echo], state={"words": words, words or "k": [words]}))
    await run.turn(words)
    run.restart()
    assert run.agent.messages[0]["content"][0]["text"] == words
    assert words_of(run.agent.messages[-1:]) == ([words] if words else [])
    assert run.agent.state.get("words") == words


async def test_images_and_documents(scenario: Any) -> None:
    """Bytes in a prompt and in a tool's result."""
    model = ScriptedModel([tools(use("picture")), "nice"])
    run = scenario(agent_of(model))
    await run.turn(
        [
            {"text": "look"},
            {"image": {"format": "png", "source": {"bytes": PIXEL}}},
            {"document": {"format": "pdf", "name": "paper", "source": {"bytes": bytes(range(256))}}},
            {"video": {"format": "mp4", "source": {"bytes": b""}}},
        ]
    )
    run.restart()
    content = run.agent.messages[0]["content"]
    assert content[1]["image"]["source"]["bytes"] == PIXEL
    assert content[2]["document"]["source"]["bytes"] == bytes(range(256))


async def test_redacted_reasoning(scenario: Any) -> None:
    """Encrypted reasoning is bytes in an answer."""
    model = ScriptedModel([text("so be it")])
    model.replies[0].chunks[1:1] = [
        {"contentBlockStart": {"start": {}}},
        {"contentBlockDelta": {"delta": {"reasoningContent": {"redactedContent": b"\x00\xffencrypted"}}}},
        {"contentBlockStop": {}},
    ]
    run = scenario(agent_of(model))
    await run.turn("why?")
    assert any("reasoningContent" in block for block in run.agent.messages[1]["content"])


async def test_what_looks_like_encoded_bytes(scenario: Any) -> None:
    """A tool's own dict that looks much like encoded bytes, and isn't, stays a dict."""

    @tool
    def odd() -> dict[str, Any]:
        """Answer oddly."""
        return {"status": "success", "content": [{"json": {"__bytes_encoded__": True, "data": "not base64!"}}]}

    run = scenario(agent_of(ScriptedModel([tools(use("odd")), "ok"]), tools=[odd]))
    await run.turn("go")


async def test_numbers_json_has_no_word_for(scenario: Any) -> None:
    """NaN and the infinities in a tool's result, with plain turns after them and a trim."""
    model = ScriptedModel([tools(use("odd")), "ok", "more", "and more"])

    @tool
    def odd() -> dict[str, Any]:
        """Answer with odd numbers."""
        numbers = {"values": [math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324, 2**70, 0.1 + 0.2, 1.0, 1]}
        return {"status": "success", "content": [{"json": numbers}]}

    run = scenario(agent_of(model, tools=[odd]))
    await run.turn("go")
    run.restart()
    await run.turn("on")
    await run.turn("and on")


async def test_odd_numbers_in_state(scenario: Any) -> None:
    """NaN in the agent's state does not hinder the reading of its row."""
    run = scenario(agent_of(ScriptedModel(["one", "two"]), state={"worst": math.inf, "best": math.nan}))
    await run.turn("a")
    run.restart()
    await run.turn("b")
    assert math.isnan(run.agent.state.get("best"))


async def test_deep_nesting(scenario: Any) -> None:
    """A tool's result of a hundred levels."""
    deep: Any = "bottom"
    for _ in range(100):
        deep = {"down": [deep]}

    @tool
    def dig() -> dict[str, Any]:
        """Dig."""
        return {"status": "success", "content": [{"json": deep}]}

    run = scenario(agent_of(ScriptedModel([tools(use("dig")), "ok"]), tools=[dig]))
    await run.turn("go")


@pytest.mark.parametrize("megabytes", [1, 5])
async def test_large_documents(scenario: Any, megabytes: int) -> None:
    """A document larger than one row may be is stored in parts and restored whole."""
    content = bytes(range(256)) * 4096 * megabytes
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    prompt = [{"text": "read"}, {"document": {"format": "pdf", "name": "long", "source": {"bytes": content}}}]
    await run.turn(prompt)
    run.restart()
    assert run.agent.messages[0]["content"][1]["document"]["source"]["bytes"] == content
    await run.turn("and?")


@pytest.mark.slow
async def test_large_text_that_changes(scenario: Any) -> None:
    """Growing, shrinking to one row, growing again, it leaves no parts behind but those of what was said."""
    run = scenario(agent_of(ScriptedModel(["ok"] * 5)))
    await run.turn("ü" * 1_500_000)
    with run.store.sqlite() as connection:
        said = connection.execute("SELECT * FROM strands_chunks ORDER BY part").fetchall()
    for number, words in enumerate(["✨" * 1_200_000, "short", "🏳️‍🌈" * 400_000, "z"]):
        run.agent.messages[0]["content"][0]["text"] = words
        await run.turn(f"again {number}")
    with run.store.sqlite() as connection:
        assert said and connection.execute("SELECT * FROM strands_chunks ORDER BY part").fetchall() == said


async def test_large_state(scenario: Any) -> None:
    """A large agent state is stored in parts too."""
    run = scenario(agent_of(ScriptedModel(["one", "two"]), state={"notes": "n" * 3_000_000}))
    await run.turn("a")
    run.restart()
    run.agent.state.set("notes", "m" * 2_500_000)
    await run.turn("b")
    run.agent.state.set("notes", "short")
    run.manager.sync_agent(run.agent)
    run.check()


# What can't be stored


@tool
def today() -> dict[str, Any]:
    """Answer with something that is no JSON."""
    return {"status": "success", "content": [{"json": {"at": datetime.datetime(1815, 12, 10)}}]}


def chain(error: BaseException) -> list[BaseException]:
    """An error and all that caused it."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


async def test_a_datetime_in_a_tool_result(scenario: Any) -> None:
    """What JSON can't hold is refused before anything is sent, and the session stays usable."""
    model = ScriptedModel(["one", tools(use("today"))])
    run = scenario(agent_of(model, tools=[*TOOLS, today]))
    await run.turn("a")
    run.database.clear()
    with pytest.raises(Exception) as caught:
        await run.turn("b", check=False)
    errors = [error for error in chain(caught.value) if isinstance(error, SessionDataError)]
    assert errors, caught.value
    assert "datetime" in str(errors[0])
    sent = str([request.statements for request in run.database.requests])
    assert not re.search(r"1815\D+12\D+10", sent)  # the year alone may stand in an id

    # Later turns are stored all the same, and what a new process gets is a history that a model takes.
    model.play("two")
    await run.turn("c", check=False)
    other = restored(run.store, run.build)
    assert words_of(other.messages) == ["a", "one", "b", "c", "two"]
    assert answered(other.messages)

    # The user takes the value out, as the error says, and what was held back is stored.
    for message in run.agent.messages:
        for block in message["content"]:
            if "toolResult" in block and "json" in block["toolResult"]["content"][0]:
                block["toolResult"]["content"][0]["json"]["at"] = "1815-12-10"
    model.play("three", "four")
    await run.turn("d")
    run.restart()
    await run.turn("e")


def answered(messages: list[Any]) -> bool:
    """Every tool use has its result, in order, and nothing else has one."""
    uses = [block["toolUse"]["toolUseId"] for each in messages for block in each["content"] if "toolUse" in block]
    results = [
        block["toolResult"]["toolUseId"] for each in messages for block in each["content"] if "toolResult" in block
    ]
    return uses == results


async def test_a_datetime_and_a_new_process(scenario: Any) -> None:
    """After a tool result that can't be stored, a new process restores a valid history and goes on."""
    model = ScriptedModel(["one", tools(use("today"))])
    run = scenario(agent_of(model, tools=[*TOOLS, today]))
    await run.turn("a")
    with pytest.raises(Exception):  # noqa: B017
        await run.turn("b", check=False)
    run.restart()
    model.play("two", "three")
    await run.turn("c")
    await run.turn("d")
    assert answered(run.agent.messages)
    assert words_of(run.agent.messages)[-4:] == ["c", "two", "d", "three"]


@pytest.mark.parametrize("value", [{1, 2}, object(), datetime.date(1815, 12, 10)], ids=["set", "object", "date"])
async def test_other_things_in_a_prompt(scenario: Any, value: Any) -> None:
    """Values in a user's message that JSON can't hold."""
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    await run.turn("a")
    with pytest.raises(SessionDataError, match=type(value).__name__):
        await run.turn([{"text": "b", "odd": value}], check=False)
    run.agent.messages.pop()
    await run.turn("c")


async def test_error_names_no_content(scenario: Any) -> None:
    """The error says where the value stands and holds nothing of the message."""
    run = scenario(agent_of(ScriptedModel()))
    with pytest.raises(SessionDataError) as caught:
        await run.turn([{"text": "MY-SECRET"}, {"text": "b", "odd": {"MY-SECRET": {1}}}], check=False)
    assert "set" in str(caught.value)
    assert "default" in str(caught.value) or "content" in str(caught.value)


async def test_bytes_of_other_kinds(scenario: Any) -> None:
    """A bytearray and a memoryview are restored as the bytes they hold."""
    run = scenario(agent_of(ScriptedModel(["one"])))
    images = [{"image": {"format": "png", "source": {"bytes": kind(PIXEL)}}} for kind in (bytearray, bytes)]
    await run.turn([{"text": "look"}, *images], check=False)
    other = restored(run.store, run.build)
    assert [block["image"]["source"]["bytes"] for block in other.messages[0]["content"][1:]] == [PIXEL, PIXEL]
    run.restart()
    assert capture(run.agent) == capture(other)
