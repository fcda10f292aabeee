"""What was said stays as it was said, whatever the model sees of it later."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.session import RepositorySessionManager

from strands_persql import PerSQLHooks, PerSQLSessionRepository, PerSQLStorage
from strands_persql.database.encoding import PART_BYTES

from .agents import agent_of
from .features import needs
from .harness import (
    SESSION,
    Scenario,
    Store,
    assert_same,
    restored,
    words_of,
)
from .scripted import ScriptedModel, overflow, redact_user, tools, use

LENGTH = 20_000
WHOLE = "".join(f"{number}." for number in range(LENGTH))[:LENGTH]
CALL = tools(use("long_answer", {"length": LENGTH}, "u1"))

needs_stash = needs(hasattr(Agent, "context_manager"), "stash")
try:
    from strands._context_manager.stash import Stash

    keeps_stash = "keep_existing" in inspect.signature(Stash.store_message).parameters
except ImportError:
    keeps_stash = False
needs_kept_stash = needs(keeps_stash, "stash that outlives a restart")


def said(store: Store) -> str:
    """All that was said, as the transcript has it."""
    return json.dumps(store.messages())


def seen(store: Store) -> list[Any]:
    """What the model sees now of each message, where that is something else than what was said."""
    return [row["live"]["message"] if "live" in row else None for row in store.rows()["messages"]]


def results_of(messages: Any) -> list[str]:
    """The texts of tool results."""
    return [
        item["text"]
        for message in messages
        for block in message["content"]
        if "toolResult" in block
        for item in block["toolResult"]["content"]
    ]


def truncating(model: ScriptedModel, **options: Any) -> Any:
    """An agent whose long tool results are truncated in place when the window overflows."""
    return agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=50), **options)


async def offloaded(store: Store, *, durability: Any = "message", **options: Any) -> tuple[ScriptedModel, Scenario]:
    """An agent that has a long tool result in its history, of which its context manager has left a preview."""
    store.durability = durability
    model = ScriptedModel(context_window_limit=200_000)
    options.setdefault("context_manager", "auto")
    run = Scenario(store, agent_of(model, **options), "async")
    model.play(CALL, "done")
    await run.turn("go")
    assert results_of(run.agent.messages)[0] != WHOLE, "nothing was taken out"
    return model, run


@needs_stash
@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_offloaded(store: Store, durability: str) -> None:
    """The transcript keeps an offloaded result, and the model's view of it is restored."""
    _, run = await offloaded(store, durability=durability)
    assert results_of(store.messages()) == [WHOLE]
    assert [view is not None for view in seen(store)] == [False, False, True, False]
    run.check()


@needs_stash
@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_reference_after_a_restart(store: Store, durability: str) -> None:
    """With no storage for it, the reference leads to the whole original in a new process, once and again."""
    model, run = await offloaded(store, durability=durability)
    for number in (1, 2):
        run.restart()
        assert_same(run.agent, restored(store, run.build))
        model.play(tools(use("retrieve_context", {"reference": "u1_0"}, f"r{number}")), "fetched")
        await run.turn("fetch it")
        assert WHOLE in results_of(run.agent.messages)[-1]


@needs_stash
async def test_reference_called_by_hand(store: Store) -> None:
    """The same where nobody has asked the model before."""
    _, run = await offloaded(store)
    run.restart()
    found = run.agent.tool.retrieve_context(reference="u1_0", record_direct_tool_call=False)
    assert WHOLE in found["content"][0]["text"]


@needs_stash
async def test_reference_to_a_long_document(store: Store) -> None:
    """The same for a result that is stored in parts, which restoring doesn't read."""
    length = PART_BYTES
    model, run = await offloaded(store)
    model.play(tools(use("long_answer", {"length": length}, "u2")), "done")
    await run.turn("go")
    run.restart()
    assert sum(len(str(each)) for each in run.agent.messages) < length
    found = run.agent.tool.retrieve_context(
        reference="u2_0", line_range={"start": 1, "end": 1}, record_direct_tool_call=False
    )
    assert "error" not in found["status"]
    originals = run.manager._recording.opening.originals("default", "u2")
    assert [len(text) for text in results_of(originals)] == [length]


@needs_stash
async def test_reference_when_the_store_is_away(store: Store) -> None:
    """An original that can't be read doesn't fail a turn; it is had when the store is back."""
    model, run = await offloaded(store)
    run.restart()
    run.database.on_call = lambda request: (_ for _ in ()).throw(OSError()) if not request.writes else None
    model.play("one")
    await run.turn("a", check=False)
    run.database.on_call = None
    model.play(tools(use("retrieve_context", {"reference": "u1_0"}, "r1")), "fetched")
    await run.turn("fetch it")
    assert WHOLE in results_of(run.agent.messages)[-1]


@needs_kept_stash
@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_durable_stash(store: Store, durability: str) -> None:
    """With `PerSQLStorage` the reference leads to the original, of which nothing is read when restoring."""
    model, run = await offloaded(store, durability=durability, storage=PerSQLStorage(store.database()))
    run.restart()
    run.database.clear()
    model.play(tools(use("retrieve_context", {"reference": "u1_0"}, "r1")), "fetched")
    await run.turn("fetch it")
    assert WHOLE in results_of(run.agent.messages)[-1]
    assert not any(request.kinds[0].startswith("SELECT") for request in run.database.requests)


@needs_stash
@pytest.mark.parametrize("context_manager", ["auto", "agentic", "stale", "strategies"])
async def test_strategies(store: Store, context_manager: str) -> None:
    """Whatever takes results out, now or later, the transcript keeps them."""
    length = 40_000
    configured: Any = {
        "stale": {"strategies": ["stale_tool_cleanup"]},
        "strategies": {"strategies": ["large_tool_offloading", "proactive_summarization", "overflow_protection"]},
    }.get(context_manager, context_manager)
    model = ScriptedModel(context_window_limit=200_000)
    run = Scenario(store, agent_of(model, context_manager=configured), "async")
    for number in range(7):
        model.play(tools(use("long_answer", {"length": length}, f"u{number}")), "done")
        await run.turn("go", check=number == 6)
    assert [len(text) for text in results_of(store.messages())] == [length] * 7
    assert sum(map(len, results_of(run.agent.messages))) < 6 * length
    run.restart()
    model.play(tools(use("retrieve_context", {"reference": "u0_0", "pattern": "1."}, "r1")), "fetched")
    await run.turn("fetch it")
    assert "not found" not in results_of(run.agent.messages)[-1]


@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_truncated_on_overflow(store: Store, durability: Any) -> None:
    """A result that Strands truncates in place, as the window overflows, stays whole in the transcript."""
    store.durability = durability
    model = ScriptedModel([CALL, overflow(), "done"])
    run = Scenario(store, truncating(model), "async")
    await run.turn("go")
    assert results_of(store.messages()) == [WHOLE]
    assert results_of(run.agent.messages) != [WHOLE]


@pytest.mark.parametrize("durability", ["message", "invocation"])
async def test_truncated_costs(store: Store, durability: Any) -> None:
    """What the model sees instead is one row written, and none more where nothing was sent before."""
    store.durability = durability
    model = ScriptedModel(["one"])
    run = Scenario(store, truncating(model), "async")
    await run.turn("a")
    run.database.clear()
    with store.counted_writes() as written:
        model.play(CALL, overflow(), "done")
        await run.turn("go", check=False)
    rewritten = {"messages": 5, "agents": 1} if durability == "message" else {"messages": 4}
    assert Counter(written) == Counter(rewritten)
    assert len(run.database.requests) == (5 if durability == "message" else 2)  # Strands syncs when it overflows


async def test_edited_and_back(store: Store) -> None:
    """An edit stands beside what was said; taken back, in this process, nothing stands beside it."""
    model = ScriptedModel(["one", "two", "three", "four"])
    run = Scenario(store, agent_of(model), "async")
    await run.turn("a")
    for words, view in (("b", "b"), ("c", "c"), ("a", None)):
        run.agent.messages[0]["content"][0]["text"] = words
        await run.turn("go")
        assert words_of(store.messages())[0] == "a"
        found = seen(store)[0]
        assert found == view or words_of([found]) == [view]


async def test_edited_after_a_restart(store: Store) -> None:
    """What was said before a restart stays, however often it is edited, its facts as well."""
    model = ScriptedModel(["one", "two", "three"])
    run = Scenario(store, agent_of(model), "async")
    await run.turn("a")
    for words in ("b", "c"):
        run.agent.messages[0]["content"][0]["text"] = words
        run.agent.messages[0]["metadata"] = {"custom": {"words": words}}
        await run.turn("go")
        run.restart()
    assert words_of(store.messages())[0] == "a"
    assert words_of([seen(store)[0]]) == ["c"]
    assert seen(store)[0]["metadata"] == {"custom": {"words": "c"}}


async def test_facts_beside_what_was_said(store: Store) -> None:
    """What a message carries besides its content, a pin for example, makes no second version of it."""
    run = Scenario(store, agent_of(ScriptedModel(["one", "two"])), "async")
    await run.turn("a")
    run.agent.messages[0]["metadata"] = {"custom": {"pinned": True}}
    await run.turn("go")
    assert seen(store) == [None] * 4
    assert store.messages()[0]["metadata"] == {"custom": {"pinned": True}}


async def test_redacted(store: Store) -> None:
    """A redaction overwrites what was said and what the model sees, of the message and of its copies."""
    model = ScriptedModel(["one", "two", redact_user("[redacted]")])
    run = Scenario(store, agent_of(model), "async")
    await run.turn("RAW-SECRET one")
    run.agent.messages[0]["content"] = [{"text": "SHORT-SECRET"}]
    await run.turn("go")
    assert store.holds("RAW-SECRET")
    await run.turn("SHORT-SECRET")
    assert not store.holds("SECRET")
    assert words_of(store.messages())[0] == words_of(store.messages())[4] == "[redacted]"
    assert seen(store) == [None] * 6


async def test_redacted_copy_that_was_edited(store: Store) -> None:
    """The same for an earlier copy of which the model sees something else by now."""
    model = ScriptedModel(["one", "two", redact_user("[redacted]")])
    run = Scenario(store, agent_of(model), "async")
    await run.turn("RAW-SECRET")
    run.agent.messages[0]["content"] = [{"text": "shortened"}]
    await run.turn("go")
    await run.turn("RAW-SECRET")
    assert not store.holds("RAW-SECRET")
    assert words_of(store.messages())[0] == "[redacted]"
    run.check()


@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_redacted_in_parts(store: Store, durability: Any) -> None:
    """No part of a long message stays, of either version."""
    store.durability = durability
    model = ScriptedModel(["one", redact_user("[redacted]"), "two"])
    run = Scenario(store, agent_of(model), "async")
    await run.turn("RAW-SECRET " * (PART_BYTES // 10))
    run.agent.messages[0]["content"] = [{"text": "OTHER-SECRET " * (PART_BYTES // 12)}]
    run.manager.sync_agent(run.agent)
    run.manager.flush()
    run.restart()
    await run.turn("OTHER-SECRET " * (PART_BYTES // 12))
    assert not store.holds("SECRET")
    with store.sqlite() as connection:
        assert connection.execute("SELECT count(*) FROM strands_chunks").fetchone() == (0,)


@pytest.mark.slow
async def test_long_versions(store: Store) -> None:
    """Either version may be stored in parts; those of the one that is gone go too."""
    run = Scenario(store, agent_of(ScriptedModel(["one", "two", "three"])), "async")
    await run.turn("long " * (PART_BYTES // 4))
    count = "SELECT kind, count(*) FROM strands_chunks GROUP BY kind"
    with store.sqlite() as connection:
        (before,) = connection.execute(count).fetchall()
    for length in (PART_BYTES, 2 * PART_BYTES, 1):
        run.agent.messages[0]["content"] = [{"text": "x" * length}]
        run.manager.sync_agent(run.agent)
        run.manager.flush()
        run.check()
        with store.sqlite() as connection:
            found = dict(connection.execute(count).fetchall())
        assert found.pop("live", 0) == (0 if length == 1 else length // PART_BYTES + 1)
        assert found == dict([before])
        run.restart()
    assert words_of(store.messages())[0] == "long " * (PART_BYTES // 4)


@needs_stash
@pytest.mark.parametrize("redaction_safe", [False, True])
@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_mirrored(store: Store, durability: Any, redaction_safe: bool) -> None:
    """A mirror keeps what was said too, and tells an offload from a redaction."""
    mirror = PerSQLHooks(SESSION, store.database(), durability=durability, redaction_safe=redaction_safe)
    model = ScriptedModel([CALL, "done", redact_user("[redacted]"), "two"], context_window_limit=200_000)
    agent = agent_of(model, hooks=lambda: [mirror], context_manager="auto")(None)
    await agent.invoke_async("go")
    await agent.invoke_async("RAW-SECRET")
    await agent.invoke_async("on")
    assert results_of(store.messages()) == [WHOLE]
    assert [view is not None for view in seen(store)] == [False, False, True] + [False] * 5
    assert not store.holds("RAW-SECRET")
    assert_same(agent, restored(store, agent_of(model, context_manager="auto")))


async def test_mirrored_truncation(store: Store) -> None:
    """What is truncated between two calls of the model is no redaction to a mirror."""
    mirror = PerSQLHooks(SESSION, store.database())
    agent = truncating(ScriptedModel([CALL, overflow(), "done"]), hooks=lambda: [mirror])(None)
    await agent.invoke_async("go")
    assert results_of(store.messages()) == [WHOLE]
    assert_same(agent, restored(store, truncating(ScriptedModel())))


async def test_repository(store: Store) -> None:
    """Strands' own manager over the repository sees what was said; what it updates is said anew."""
    run = Scenario(store, truncating(ScriptedModel([CALL, overflow(), "done"])), "async")
    await run.turn("go")
    repository = PerSQLSessionRepository(store.database())
    agent = truncating(ScriptedModel())(RepositorySessionManager(SESSION, repository))
    assert results_of(agent.messages) == [WHOLE]
    stored = repository.read_message(SESSION, "default", 2)
    assert stored is not None
    stored.message["content"] = [{"text": "anew"}]
    repository.update_message(SESSION, "default", stored)
    assert store.messages()[2]["content"] == [{"text": "anew"}]
    assert seen(store)[2] is None
