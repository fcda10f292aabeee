"""Redaction beside another manager: no event tells of it, and yet no raw text stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from strands.hooks import AfterModelCallEvent, HookProvider, HookRegistry

from ..agents import agent_of
from ..harness import (
    RecordingDatabase,
    Store,
    assistant,
    user,
    words_of,
)
from ..scripted import (
    ScriptedModel,
    fail,
    overflow,
    redact_user,
    tools,
    use,
)
from .mirrors import (
    assert_mirrored,
    away,
    file_manager,
    mirror_of,
    mirrored,
    turn,
)

RAW = "MY-RAW-SECRET"
SAFE = "[redacted]"


def sent(database: RecordingDatabase, words: str) -> bool:
    """Whether these words were ever sent to the database."""
    return any(words in str(request.statements) for request in database.requests)


async def test_overwritten(store: Store, mode: str) -> None:
    """A blocked prompt is overwritten in its row once the model has answered, and is nowhere in the file."""
    agent = mirrored(store, ScriptedModel(["one", redact_user(SAFE), "two"]))
    await turn(agent, mode, "a")
    await turn(agent, mode, RAW)
    assert words_of(store.messages())[:3] == ["a", "one", SAFE]
    assert not store.holds(RAW)
    assert RAW.encode() not in store.path.read_bytes()
    await turn(agent, mode, "b")
    assert_mirrored(store, agent)


async def test_overwritten_after_the_model_call(store: Store, mode: str) -> None:
    """The replacement is stored once the model has answered, before the answer becomes part of the history."""
    seen: list[bool] = []

    class Looker(HookProvider):
        def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
            # Callbacks of this event run in reverse: what is registered first looks last.
            registry.add_callback(AfterModelCallEvent, lambda event: seen.append(store.holds(RAW)))

    mirror = mirror_of(store)
    model = ScriptedModel([redact_user(SAFE)])
    model.replies[0].before = lambda: seen.append(store.holds(RAW))
    agent = agent_of(model, hooks=lambda: [Looker(), mirror])(None)
    await turn(agent, mode, RAW)
    assert seen == [True, False]


@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
@pytest.mark.parametrize("redaction_safe", [False, True])
async def test_every_durability(store: Store, mode: str, durability: str, redaction_safe: bool) -> None:
    """Whenever messages are stored, no raw text stays."""
    mirror = mirror_of(store, durability=durability, redaction_safe=redaction_safe)
    agent = mirrored(store, ScriptedModel(["one", redact_user(SAFE), "two"]), mirror=mirror)
    for prompt in ("a", RAW, "b"):
        await turn(agent, mode, prompt)
    assert not store.holds(RAW)
    assert_mirrored(store, agent)


async def test_large_prompt(store: Store, mode: str) -> None:
    """A blocked prompt that was stored in parts leaves none of them."""
    agent = mirrored(store, ScriptedModel([redact_user(SAFE)]))
    await turn(agent, mode, f"{RAW} " * 200_000)
    assert words_of(store.messages())[0] == SAFE
    assert not store.holds(RAW)


async def test_tool_result(store: Store, mode: str) -> None:
    """A guardrail that blocks a tool's result: its row is overwritten."""
    model = ScriptedModel([tools(use("remember", {"key": "k", "value": 1})), redact_user(SAFE)])
    agent = mirrored(store, model)
    await turn(agent, mode, "go")
    assert not store.holds("noted")
    assert_mirrored(store, agent)


async def test_never_sent(store: Store, mode: str) -> None:
    """With `redaction_safe` the raw text is in no request."""
    database = store.database()
    mirror = mirror_of(store, database, redaction_safe=True)
    agent = mirrored(store, ScriptedModel(["one", redact_user(SAFE), "two"]), mirror=mirror)
    for prompt in ("a", RAW, "b"):
        await turn(agent, mode, prompt)
    assert not sent(database, RAW)
    assert words_of(store.messages())[:3] == ["a", "one", SAFE]
    assert_mirrored(store, agent)


async def test_never_sent_of_several(store: Store, mode: str) -> None:
    """The same where a prompt is several messages, of which Strands redacts the last."""
    database = store.database()
    mirror = mirror_of(store, database, redaction_safe=True)
    agent = mirrored(store, ScriptedModel([redact_user(SAFE)]), mirror=mirror)
    await turn(agent, mode, [user("keep me"), assistant("ok"), user(RAW)])
    assert not sent(database, RAW)
    assert words_of(store.messages())[:3] == ["keep me", "ok", SAFE]
    assert_mirrored(store, agent)


async def test_never_sent_of_a_tool(store: Store, mode: str) -> None:
    """The same for a tool's result."""
    database = store.database()
    mirror = mirror_of(store, database, redaction_safe=True)
    model = ScriptedModel([tools(use("remember", {"key": "k", "value": 1})), redact_user(SAFE)])
    agent = mirrored(store, model, mirror=mirror)
    await turn(agent, mode, "go")
    assert not sent(database, "noted")
    assert_mirrored(store, agent)


async def test_never_sent_after_an_overflow(store: Store, mode: str) -> None:
    """The same where a call fails, and the one that Strands makes in its place redacts."""
    database = store.database()
    mirror = mirror_of(store, database, redaction_safe=True)
    agent = mirrored(store, ScriptedModel(["one", "two", overflow(), redact_user(SAFE)]), mirror=mirror)
    for prompt in ("a", "b", RAW):
        await turn(agent, mode, prompt)
    assert not sent(database, RAW)
    assert_mirrored(store, agent)


async def test_held_back_prompts_are_stored(store: Store, mode: str) -> None:
    """With `redaction_safe` a prompt whose model fails is stored at the end of the invocation all the same."""
    mirror = mirror_of(store, redaction_safe=True)
    agent = mirrored(store, ScriptedModel([fail(RuntimeError("down")), "two"]), mirror=mirror)
    with pytest.raises(RuntimeError):
        await turn(agent, mode, "a")
    assert words_of(store.messages()) == ["a"]
    await turn(agent, mode, "b")
    assert words_of(store.messages()) == ["a", "b", "two"]
    assert_mirrored(store, agent)


async def test_held_back_in_a_new_process(store: Store, mode: str) -> None:
    """With `redaction_safe` a first prompt that equals a stored one is a message of its own."""
    for _ in range(2):
        agent = mirrored(store, ScriptedModel(["one"]), mirror=mirror_of(store, redaction_safe=True))
        await turn(agent, mode, "a")
    assert words_of(store.messages()) == ["a", "one"] * 2


async def test_while_the_store_is_away(store: Store, mode: str) -> None:
    """A prompt redacted while the store is away comes to it redacted."""
    database = store.database()
    agent = mirrored(
        store, ScriptedModel(["one", redact_user(SAFE), "two"]), mirror=mirror_of(store, database, on_error="log")
    )
    await turn(agent, mode, "a")
    with away(database):
        await turn(agent, mode, RAW)
    await turn(agent, mode, "b")
    assert not store.holds(RAW)
    assert_mirrored(store, agent)


async def test_redacted_beside_the_mirror(store: Store, tmp_path: Path, mode: str) -> None:
    """What a process without the mirror redacted by hand is overwritten by the next one with it."""
    from strands_persql import PerSQLHooks

    def build(replies: list[Any], mirror: PerSQLHooks) -> Any:
        return mirrored(store, ScriptedModel(replies), file_manager(tmp_path), mirror=mirror)

    agent = build(["one"], mirror_of(store))
    await turn(agent, mode, RAW)
    agent = build([], mirror_of(store, session_id="elsewhere"))
    if "tracking_id" not in agent.messages[0]:
        pytest.skip("without tracking ids it is another message")
    agent.messages[0]["content"] = [{"text": SAFE}]
    agent._session_manager.redact_latest_message(agent.messages[0], agent)
    agent = mirrored(store, ScriptedModel(["two"]), messages=agent.messages)
    await turn(agent, mode, "b")
    assert words_of(store.messages()) == [SAFE, "one", "b", "two"]
    assert not store.holds(RAW)
