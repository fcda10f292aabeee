"""Histories that differ from what is stored: the mirror follows the agent, and the old rows stay."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from strands import Agent

from ..harness import (
    Store,
    assistant,
    user,
    words_of,
)
from ..scripted import ScriptedModel
from .mirrors import (
    assert_mirrored,
    mirrored,
    turn,
    without_ids,
)


async def two_turns(store: Store, mode: str) -> Agent:
    """A process with a conversation of two turns."""
    agent = mirrored(store, ScriptedModel(["one", "two"]))
    await turn(agent, mode, "a")
    await turn(agent, mode, "b")
    return agent


async def next_process(store: Store, mode: str, history: Any, *, prompt: str = "c") -> Agent:
    """A process that brings in a history of its own making and runs a turn."""
    agent = mirrored(store, ScriptedModel(["three"]), messages=history)
    await turn(agent, mode, prompt)
    assert_mirrored(store, agent, ids=False)
    return agent


OLD = ["a", "one", "b", "two"]


@pytest.mark.parametrize("ids", ["same ids", "fresh ids", "no ids"])
async def test_continued(store: Store, mode: str, ids: str) -> None:
    """A history brought in whole is continued, whatever its ids."""
    history: list[Any] = copy.deepcopy((await two_turns(store, mode)).messages)
    if ids != "same ids":
        history = without_ids(history)
    if ids == "fresh ids":
        history = [{**message, "tracking_id": f"fresh-{place}"} for place, message in enumerate(history)]
    agent = mirrored(store, ScriptedModel(["three", "four"]), messages=history)
    await turn(agent, mode, "c")
    await turn(agent, mode, "d")
    assert words_of(store.messages()) == [*OLD, "c", "three", "d", "four"]


async def test_continued_twice(store: Store, mode: str) -> None:
    """A second process goes on from the first one's fresh ids, and a session manager from both."""
    history: Any = (await two_turns(store, mode)).messages
    for _ in range(2):
        agent = mirrored(store, ScriptedModel(["yes"]), messages=without_ids(copy.deepcopy(history)))
        await turn(agent, mode, "sure?")
        history = agent.messages
    assert words_of(store.messages()) == [*OLD, "sure?", "yes", "sure?", "yes"]


async def test_rewound(store: Store, mode: str) -> None:
    """A history cut back to its first turn: what was cut stays in the transcript, out of the window."""
    history = copy.deepcopy((await two_turns(store, mode)).messages[:2])
    agent = await next_process(store, mode, history)
    assert words_of(agent.messages) == ["a", "one", "c", "three"]
    assert words_of(store.messages()) == [*OLD, "c", "three"]


async def test_rewound_in_one_process(store: Store, mode: str) -> None:
    """The same while the agent lives."""
    agent = mirrored(store, ScriptedModel(["one", "two", "three"]))
    await turn(agent, mode, "a")
    await turn(agent, mode, "b")
    del agent.messages[2:]
    await turn(agent, mode, "c")
    assert_mirrored(store, agent)
    assert words_of(store.messages()) == [*OLD, "c", "three"]


async def test_begun_anew(store: Store, mode: str) -> None:
    """The same prompt in a process that restored nothing is a message of its own, not the stored one."""
    for _ in range(3):
        agent = mirrored(store, ScriptedModel(["one"]))
        await turn(agent, mode, "a")
        assert_mirrored(store, agent)
    assert words_of(store.messages()) == ["a", "one"] * 3


async def test_rewound_and_said_again(store: Store, mode: str) -> None:
    """A history cut back in whose place the same is said again: again it is a message of its own."""
    history = copy.deepcopy((await two_turns(store, mode)).messages[:2])
    agent = mirrored(store, ScriptedModel(["two"]), messages=without_ids(history))
    await turn(agent, mode, "b")
    assert words_of(store.messages()) == [*OLD, "b", "two"]
    assert_mirrored(store, agent, ids=False)


@pytest.mark.parametrize("keep", [1, 2, 3])
async def test_trimmed(store: Store, mode: str, keep: int) -> None:
    """A history that another process has cut at its head."""
    history = copy.deepcopy((await two_turns(store, mode)).messages[-keep:])
    agent = await next_process(store, mode, history)
    assert words_of(agent.messages) == [*OLD[-keep:], "c", "three"]
    assert words_of(store.messages()) == [*OLD, "c", "three"]


@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_another_message_in_its_place(store: Store, mode: str, place: int) -> None:
    """A message that was exchanged for another one: the mirror's window has the new one, the old row stays."""
    history: Any = without_ids(copy.deepcopy((await two_turns(store, mode)).messages))
    history[place] = {"role": history[place]["role"], "content": [{"text": "another"}]}
    agent = await next_process(store, mode, history)
    assert words_of(agent.messages)[place] == "another"
    assert words_of(store.messages())[:4] == OLD


async def test_another_conversation(store: Store, mode: str) -> None:
    """A history that has nothing in common with what is stored."""
    await two_turns(store, mode)
    agent = await next_process(store, mode, [user("p"), assistant("q")])
    assert words_of(agent.messages) == ["p", "q", "c", "three"]
    assert words_of(store.messages()) == [*OLD, "p", "q", "c", "three"]


async def test_another_conversation_of_the_same_words(store: Store, mode: str) -> None:
    """What is said after a history that has nothing in common with what is stored is new, whatever was said before."""
    await two_turns(store, mode)
    agent = await next_process(store, mode, [user("p"), assistant("q")], prompt="b")
    assert words_of(agent.messages) == ["p", "q", "b", "three"]
    assert words_of(store.messages()) == [*OLD, "p", "q", "b", "three"]


async def test_bound_anew(store: Store, mode: str) -> None:
    """Messages that are bound to the agent after its construction, before its first turn."""
    history = copy.deepcopy((await two_turns(store, mode)).messages)
    agent = mirrored(store, ScriptedModel(["three"]))
    agent.messages = history
    await turn(agent, mode, "c")
    assert words_of(store.messages()) == [*OLD, "c", "three"]
    assert_mirrored(store, agent)


async def test_cleared(store: Store, mode: str) -> None:
    """A history that is cleared: the mirror's window is empty too, the transcript is not."""
    agent = await two_turns(store, mode)
    agent.messages.clear()
    model: Any = agent.model
    model.play("three")
    await turn(agent, mode, "c")
    assert words_of(agent.messages) == ["c", "three"]
    assert words_of(store.messages()) == [*OLD, "c", "three"]
    assert_mirrored(store, agent)


async def test_large_messages_are_recognised(store: Store, mode: str) -> None:
    """Messages that are stored in parts are recognised like others."""
    large = "large " * 300_000
    agent = mirrored(store, ScriptedModel(["one"]))
    await turn(agent, mode, large)
    agent = mirrored(store, ScriptedModel(["two"]), messages=without_ids(copy.deepcopy(agent.messages)))
    await turn(agent, mode, "b")
    assert words_of(store.messages()) == [large, "one", "b", "two"]
