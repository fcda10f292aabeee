"""Redaction: once `redact_latest_message` returns, no row of any table holds the raw text."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.hooks import AfterModelCallEvent

from .agents import agent_of
from .features import needs_pins
from .harness import Scenario, Store, assert_same, assistant, restored, soon, user, words_of
from .scripted import Pause, ScriptedModel, fail, overflow, redact_user, text, tools, use

RAW = "MY-RAW-SECRET"
SAFE = "[redacted]"


async def test_redacted_prompt(scenario: Any) -> None:
    """A blocked prompt is overwritten in its row, and the restored agent has the replacement."""
    run = scenario(agent_of(ScriptedModel(["one", redact_user(SAFE), "two"])))
    await run.turn("a")
    await run.turn(RAW)
    assert not run.store.holds(RAW)
    assert words_of(run.agent.messages)[2] == SAFE
    await run.turn("b")
    assert words_of(run.store.messages())[2] == SAFE


async def test_stored_at_once(scenario: Any) -> None:
    """The replacement is stored, and the raw text gone, before the model's next chunk."""
    run = scenario(agent_of(ScriptedModel([redact_user(SAFE)])))
    seen: list[bool] = []
    before = run.manager.redact_latest_message

    def looking(message: Any, agent: Any, **options: Any) -> None:
        seen.append(run.store.holds(RAW))
        before(message, agent, **options)
        seen.append(run.store.holds(RAW))
        assert words_of(run.store.messages()) == [SAFE]

    run.manager.redact_latest_message = looking
    await run.turn(RAW)
    assert seen == [True, False]


async def test_retried_string(scenario: Any) -> None:
    """A prompt retried as a string after an error: the first copy is redacted too, live and stored."""
    model = ScriptedModel([fail(RuntimeError("down")), redact_user(SAFE), "two"])
    run = scenario(agent_of(model))
    with pytest.raises(RuntimeError):
        await run.turn(RAW)
    await run.turn(RAW)
    assert not run.store.holds(RAW)
    assert words_of(run.agent.messages)[:2] == [SAFE, SAFE]
    await run.turn("b")


async def test_retried_dict(scenario: Any) -> None:
    """A prompt retried as one and the same object: it is redacted in both its places."""
    model = ScriptedModel([fail(RuntimeError("down")), redact_user(SAFE), "two"])
    run = scenario(agent_of(model))
    prompt = [user(RAW)]
    with pytest.raises(RuntimeError):
        await run.turn(prompt)
    await run.turn(prompt)
    assert not run.store.holds(RAW)
    assert words_of(run.agent.messages)[:2] == [SAFE, SAFE]
    await run.turn("b")


async def test_retried_in_a_new_process(scenario: Any) -> None:
    """A prompt retried after a restart: the restored copy is redacted too."""
    model = ScriptedModel([fail(RuntimeError("down")), redact_user(SAFE), "two"])
    run = scenario(agent_of(model))
    with pytest.raises(RuntimeError):
        await run.turn(RAW)
    run.restart()
    await run.turn(RAW)
    assert not run.store.holds(RAW)
    assert words_of(run.agent.messages)[:2] == [SAFE, SAFE]
    await run.turn("b")


async def test_copies_trimmed_out_of_the_window(scenario: Any) -> None:
    """An earlier copy that left the window but stands in the transcript is overwritten there."""
    model = ScriptedModel(["ok", "one", "two", "three", redact_user(SAFE), "four"])
    run = scenario(agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=2)))
    for prompt in (RAW, "a", "b", "c"):
        await run.turn(prompt)
    assert RAW not in words_of(run.agent.messages)
    assert run.store.holds(RAW)
    await run.turn(RAW)
    assert not run.store.holds(RAW)
    run.restart()
    await run.turn("d")
    assert words_of(run.store.messages())[0] == SAFE


@pytest.mark.parametrize(
    "prompt",
    [f'{RAW} "quoted" \\\\ \n\u2028\x00 ünï ✨', f"{RAW} \ud800", f"{RAW} " * 200_000],
    ids=["escaped", "surrogate", "large"],
)
async def test_odd_copies_trimmed_out_of_the_window(scenario: Any, prompt: str) -> None:
    """Copies whose text JSON escapes, or that are too large for one row, are found in the transcript too."""
    model = ScriptedModel(["ok", "one", "two", "three", redact_user(SAFE)])
    run = scenario(agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=2)))
    for words in (prompt, "a", "b", "c"):
        await run.turn(words)
    assert run.store.holds(RAW)
    await run.turn(prompt)
    assert not run.store.holds(RAW)
    assert words_of(run.store.messages())[0] == SAFE


async def test_trimmed_copies_after_a_restart(scenario: Any) -> None:
    """The copy that a restarted process never loaded is overwritten as well."""
    model = ScriptedModel(["ok", "one", "two", redact_user(SAFE)])
    run = scenario(agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=2)))
    for prompt in (RAW, "a", "b"):
        await run.turn(prompt)
    run.restart()
    await run.turn(RAW)
    assert not run.store.holds(RAW)


@needs_pins
async def test_pinned_copy(scenario: Any) -> None:
    """A pinned earlier copy keeps its pin and loses its words."""
    model = ScriptedModel(["ok", "one", "two", redact_user(SAFE), "three"])
    build = agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=4, pin_first=1))
    run = scenario(build)
    for prompt in (RAW, "a", "b"):
        await run.turn(prompt)
    await run.turn(RAW)
    assert not run.store.holds(RAW)
    assert run.agent.messages[0]["content"] == [{"text": SAFE}]
    assert run.agent.messages[0]["metadata"]["custom"]["pinned"] is True
    await run.turn("c")


async def test_other_messages_stay(scenario: Any) -> None:
    """What is not the same message stays as it was."""
    model = ScriptedModel(["one", f"you said {RAW}", redact_user(SAFE)])
    run = scenario(agent_of(model))
    await run.turn(f"{RAW} and more")
    await run.turn("a")
    await run.turn(RAW)
    assert words_of(run.agent.messages)[:4] == [f"{RAW} and more", "one", "a", f"you said {RAW}"]


async def test_tool_result(scenario: Any) -> None:
    """A guardrail that blocks a tool's result: the content inside the block is overwritten."""
    model = ScriptedModel([tools(use("remember", {"key": "k", "value": 1})), redact_user(SAFE), "two"])
    run = scenario(agent_of(model))
    await run.turn("go")
    assert not run.store.holds("noted")
    await run.turn("on")


async def test_several_messages(scenario: Any) -> None:
    """Of several messages in one prompt Strands redacts the last."""
    run = scenario(agent_of(ScriptedModel([redact_user(SAFE), "two"])))
    await run.turn([user("keep me"), assistant("ok"), user(RAW)])
    assert words_of(run.agent.messages)[:3] == ["keep me", "ok", SAFE]
    assert not run.store.holds(RAW)
    await run.turn("b")


async def test_image_prompt(scenario: Any) -> None:
    """A blocked prompt with bytes in it, which are stored as base64."""
    run = scenario(agent_of(ScriptedModel([redact_user(SAFE)])))
    await run.turn([{"text": RAW}, {"image": {"format": "png", "source": {"bytes": f"..{RAW}..".encode() * 20}}}])
    assert not run.store.holds(RAW)


@pytest.mark.slow
async def test_large_prompt(scenario: Any) -> None:
    """A blocked prompt too large for one row: its parts are gone too."""
    run = scenario(agent_of(ScriptedModel([fail(RuntimeError("down")), redact_user(SAFE), "two"])))
    prompt = f"{RAW} " * 200_000
    with pytest.raises(RuntimeError):
        await run.turn(prompt)
    await run.turn(prompt)
    assert not run.store.holds(RAW)
    await run.turn("b")


async def test_prompt_of_odd_text(scenario: Any) -> None:
    """A retried prompt whose text JSON has to escape is recognised as the same."""
    model = ScriptedModel([fail(RuntimeError("down")), redact_user(SAFE)])
    run = scenario(agent_of(model))
    prompt = f'{RAW} "quoted" \\ \u2028 \x00 ünï ✨ \ud800'
    with pytest.raises(RuntimeError):
        await run.turn(prompt)
    await run.turn(prompt)
    assert not run.store.holds(RAW)
    assert words_of(run.agent.messages)[:2] == [SAFE, SAFE]


async def test_same_words_in_other_blocks(scenario: Any) -> None:
    """A retried prompt whose keys stand in another order is the same content."""
    model = ScriptedModel([fail(RuntimeError("down")), redact_user(SAFE)])
    run = scenario(agent_of(model))
    image = {"format": "png", "source": {"bytes": b"pixels"}}
    with pytest.raises(RuntimeError):
        await run.turn([{"text": RAW}, {"image": image}])
    await run.turn([{"text": RAW}, {"image": dict(reversed(list(image.items())))}])
    assert not run.store.holds(RAW)


async def test_copy_in_interrupt_state(scenario: Any) -> None:
    """A redacted tool result leaves no copy in the interrupt state of an interrupt before it."""
    model = ScriptedModel([tools(use("ask", {"question": "?"}), use("remember", {"key": "k", "value": RAW}))])
    run = scenario(agent_of(model))
    result = await run.turn("go")
    assert result.stop_reason == "interrupt"
    model.play(redact_user(SAFE), "two")
    answers = [{"interruptResponse": {"interruptId": each.id, "response": RAW * 2}} for each in result.interrupts]
    await run.turn(answers)
    assert not run.store.holds(f"they said {RAW}")
    assert not run.store.holds(RAW * 2)


@pytest.mark.parametrize("restart", [False, True])
async def test_copy_in_pending_interrupt_state(scenario: Any, restart: bool) -> None:
    """What the interrupt state copies of the message being redacted is overwritten in the agent's row.

    Live the copy is the message itself; once restored, it is an object of its own.
    """
    model = ScriptedModel([tools(use("ask", {"question": "?"}), use("unknown", {"secret": RAW}), words=RAW)])
    run = scenario(agent_of(model))
    await run.turn("go")
    assert run.store.dump().count(RAW) > 2
    if restart:
        run.restart()
    message = run.agent.messages[-1]
    message["content"] = [{"text": SAFE}]
    run.manager.redact_latest_message(message, run.agent)
    assert not run.store.holds(RAW)
    run.check()


async def test_a_message_it_has_never_seen(scenario: Any) -> None:
    """A foreign message, as Strands 1.53 gives one for a delegated answer, replaces the latest stored one."""
    run = scenario(agent_of(ScriptedModel([RAW])))
    await run.turn("a")
    foreign = {**assistant("the delegate's answer"), "tracking_id": "00000000-0000-0000-0000-000000000000"}
    run.agent.messages[-1] = foreign
    run.manager.redact_latest_message(foreign, run.agent)
    assert words_of(run.store.messages()) == ["a", "the delegate's answer"]
    assert not run.store.holds(RAW)
    run.check()


async def test_redaction_during_a_parallel_call(scenario: Any) -> None:
    """A redaction in the middle of a stream, while the loop's thread waits for nothing else."""
    model = ScriptedModel([redact_user(SAFE)])
    run = scenario(agent_of(model))
    model.replies[0].halfway = lambda: run.store.holds(RAW) and pytest.fail("still there")
    await run.turn(RAW)


async def test_redaction_then_error(scenario: Any) -> None:
    """A redaction stands although the model fails right after it."""
    model = ScriptedModel([redact_user(SAFE)])
    run = scenario(agent_of(model))
    model.replies[0].chunks = model.replies[0].chunks[:2]
    model.replies[0].error = RuntimeError("down")
    with pytest.raises(RuntimeError):
        await run.turn(RAW)
    assert not run.store.holds(RAW)
    run.check()


async def test_redaction_after_overflow(scenario: Any) -> None:
    """A prompt redacted in the call after an overflow."""
    model = ScriptedModel(["one", "two", overflow(), redact_user(SAFE)])
    run = scenario(agent_of(model))
    await run.turn("a")
    await run.turn("b")
    await run.turn(RAW)
    assert not run.store.holds(RAW)


async def test_hooks_see_a_stored_redaction(scenario: Any) -> None:
    """By the time of the AfterModelCall event nothing raw is left."""
    run = scenario(agent_of(ScriptedModel([redact_user(SAFE)])))
    seen: list[bool] = []

    def look(event: AfterModelCallEvent) -> None:
        seen.append(run.store.holds(RAW))

    run.agent.hooks.add_callback(AfterModelCallEvent, look)
    await run.turn(RAW)
    assert seen == [False]


async def test_redacted_preload(scenario: Any) -> None:
    """A preloaded copy of the prompt is redacted with it."""
    run = scenario(agent_of(ScriptedModel([redact_user(SAFE), "two"]), messages=[user(RAW), assistant("ok")]))
    await run.turn(RAW)
    assert not run.store.holds(RAW)
    await run.turn("b")


async def test_redaction_while_paused(store: Any) -> None:
    """A kill right after the redaction restores the replacement."""
    pause = Pause()
    model = ScriptedModel([redact_user(SAFE, halfway=pause)])
    build = agent_of(model)
    agent: Agent = build(store.manager())
    task = asyncio.ensure_future(agent.invoke_async(RAW))
    await soon(pause.reached.wait())
    killed = restored(store, build)
    assert words_of(killed.messages) == [SAFE]
    assert not store.holds(RAW)
    pause.go_on.set()
    await task
    assert_same(agent, restored(store, build))


async def test_odd_replacement(scenario: Any) -> None:
    """A replacement that itself has odd characters."""
    odd = "\u2028[\x00]\ud83d"
    run = scenario(agent_of(ScriptedModel([redact_user(odd), text("two")])))
    await run.turn(RAW)
    assert words_of(run.agent.messages)[0] == odd
    assert not run.store.holds(RAW)


async def test_what_has_left_and_was_redacted_is_new_when_it_comes_back(store: Store) -> None:
    """A message that left the history is not referred to once its row may have been overwritten."""
    run = Scenario(store, agent_of(ScriptedModel(["one", redact_user(SAFE)])))
    await run.turn(RAW)
    run.agent.messages.clear()
    run.manager.sync_agent(run.agent)
    await run.turn(RAW)
    assert not store.holds(RAW)
    run.agent.messages[:] = [user(RAW)]  # type: ignore[list-item]
    run.manager.sync_agent(run.agent)
    run.check()
