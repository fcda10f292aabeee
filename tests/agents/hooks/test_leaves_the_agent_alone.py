"""A mirror changes nothing of the agent it watches."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager

from ..agents import agent_of
from ..harness import (
    Store,
    assistant,
    capture,
    user,
)
from ..scripted import (
    Reply,
    ScriptedModel,
    fail,
    overflow,
    redact_user,
    tools,
    use,
)
from .mirrors import (
    file_manager,
    messages_in_files,
    mirror_of,
    turn,
)

SCRIPT: list[Reply | str] = [
    "one",
    tools(use("add", {"a": 1, "b": 2}, "use-1"), use("remember", {"key": "k", "value": [1]}, "use-2"), words="hm"),
    tools(use("boom", tool_use_id="use-3")),
    "two",
    redact_user("[redacted]"),
    fail(RuntimeError("down")),
    overflow(),
    "three",
]


async def run(mode: str, mirrors: list[Any], other: Any, messages: list[Any]) -> tuple[Agent, list[Any]]:
    """The script, played to an agent with or without mirrors; the agent, and what its model was given."""
    model = ScriptedModel(copy.deepcopy(SCRIPT))
    agent = agent_of(
        model,
        messages=messages,
        hooks=lambda: mirrors,
        state={"from": "the start"},
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=12),
    )(other)
    for prompt in ("a", "b", "SECRET"):
        await turn(agent, mode, prompt)
    with pytest.raises(RuntimeError):
        await turn(agent, mode, "c")
    await turn(agent, mode, "d")
    return agent, model.calls


def comparable(value: Any) -> Any:
    """A copy with ids and durations masked, keys kept: what is there and what is not still counts."""
    if isinstance(value, dict):
        return {
            key: "<masked>" if key in ("tracking_id", "latencyMs", "timeToFirstByteMs") else comparable(item)
            for key, item in value.items()
            if key != "timeToFirstByteMs"  # there only where the first byte took a millisecond
        }
    return [comparable(item) for item in value] if isinstance(value, list) else value


PRELOADED = [user("p"), assistant("q"), {**user("r"), "metadata": {"custom": {"mark": 1}}}, assistant("s")]


@pytest.mark.parametrize("messages", [[], PRELOADED], ids=["empty", "preloaded"])
@pytest.mark.parametrize(
    "options",
    [{}, {"redaction_safe": True}, {"durability": "overlap"}, {"durability": "invocation"}, {"on_error": "log"}],
    ids=lambda options: "-".join(f"{key}={value}" for key, value in options.items()) or "default",
)
async def test_with_and_without(store: Store, mode: str, options: Any, messages: list[Any]) -> None:
    """An agent with a mirror ends as one without, and its model was given the same."""
    plain, given = await run(mode, [], None, messages)
    watched, given_watched = await run(mode, [mirror_of(store, **options)], None, messages)
    assert comparable(capture(watched)) == comparable(capture(plain))
    assert comparable(given_watched) == comparable(given)


async def test_beside_files(store: Store, tmp_path: Path, mode: str) -> None:
    """The files of a session are the same with a mirror beside it and without, and so is what they restore."""
    agents = {}
    for name, mirrors in {"plain": [], "watched": [mirror_of(store)]}.items():
        agents[name], _ = await run(mode, mirrors, file_manager(tmp_path / name), [])
    assert comparable(capture(agents["watched"])) == comparable(capture(agents["plain"]))
    plain, watched = (messages_in_files(tmp_path / name) for name in ("plain", "watched"))
    assert comparable(watched) == comparable(plain)


async def test_objects_stay_the_agents_own(store: Store, mode: str) -> None:
    """The history's list and the messages in it are never exchanged for others."""
    history: list[Any] = [user("p"), assistant("q")]
    agent = agent_of(ScriptedModel(["one"]))(None)
    agent.messages = history
    first = history[0]
    keys = set(first)
    agent.hooks.add_hook(mirror_of(store))
    state = agent.state
    await turn(agent, mode, "a")
    assert agent.messages is history
    assert history[0] is first
    assert set(first) - {"tracking_id"} == keys
    assert agent.state is state


def test_construction_adds_no_ids(store: Store) -> None:
    """A preloaded message gets no tracking id from the mirror, at its construction or when the mirror is flushed."""
    mirror = mirror_of(store)
    agent = agent_of(ScriptedModel(), messages=[user("p")], hooks=lambda: [mirror])(None)
    mirror.flush()
    assert agent.messages == [user("p")]
