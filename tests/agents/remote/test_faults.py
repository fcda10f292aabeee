"""A service that fails in every way it can: nothing is lost, nothing doubled, and the agent hears nothing of it."""

from __future__ import annotations

import logging
import os
import random
import threading
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager

from ...emulator import faults
from ...thorough import tries
from ..agents import agent_of
from ..harness import Durability, Scenario, words_of
from ..scripted import (
    ScriptedModel,
    overflow,
    redact_user,
    tools,
    use,
)
from .places import Remote

TURNS = int(os.environ.get("STRANDS_PERSQL_TURNS", tries(60, 150)))
SEED = int(os.environ.get("STRANDS_PERSQL_SEED", "0")) or random.SystemRandom().getrandbits(32)

EVERY_WAY = (
    *faults.HARSH,
    faults.rate_limited(None),
    faults.failing(504, html=True, runs=True),
    faults.latency(0.002),
    faults.garbled(b""),
    faults.garbled(b'{"success":true}', runs=False),
)


def script(model: ScriptedModel, choice: random.Random, number: int) -> str:
    """What one turn is: its prompt, and what the model plays."""
    model.replies.clear()
    kind = choice.choice(["plain", "plain", "tools", "tools", "secret", "long"]) if number > 6 else "plain"
    if kind == "tools":
        remembering = use("remember", {"key": "turn", "value": number})
        model.play(tools(use("add", {"a": number, "b": 1}), remembering, use("picture")))
    if kind == "long":
        model.play(overflow())
    if kind == "secret":
        model.play(redact_user(f"redacted {number}", words=f"a{number}"))
        return f"SECRET {number}"
    model.play(f"a{number}")
    return f"q{number}"


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_many_turns_over_a_failing_service(
    remote: Remote, durability: Durability, caplog: pytest.LogCaptureFixture
) -> None:
    """A fifth of all requests fail: each is sent again, as the log tells, and live == restored."""
    print(f"STRANDS_PERSQL_SEED={SEED}")
    choice = random.Random(SEED)
    remote.durability = durability
    emulator, model = remote.emulator, ScriptedModel()
    emulator.faults.randomly(SEED, 0.2, EVERY_WAY)
    turns = TURNS if durability == "message" else TURNS // 5
    window = lambda: SlidingWindowConversationManager(window_size=12)  # noqa: E731
    with caplog.at_level(logging.DEBUG, logger="strands_persql"):
        run = Scenario(remote, agent_of(model, conversation_manager=window))
        for number in range(turns):
            await run.turn(script(model, choice, number), check=number % 25 == 24)
            if number % 40 == 39:
                run.restart()
        run.check()
        logged = [record for record in caplog.records if "retrying request" in record.message]
    emulator.faults.clear()
    transcript = words_of(remote.messages())
    for number in range(turns):
        assert transcript.count(f"a{number}") == 1, number
        assert transcript.count(f"q{number}") + transcript.count(f"redacted {number}") == 1, number
    assert "SECRET" not in remote.dump()
    failed = [record for record in emulator.log if record.fault not in (None, "latency")]
    assert {record.fault for record in failed} >= {fault.name for fault in EVERY_WAY} - {"latency"} or turns < 1000
    assert len(logged) == len(failed)
    for record in logged:
        again = "attempt=<2>" not in record.message
        assert (record.levelno == logging.WARNING) is again, record.message
    print(f"{durability}: {turns} turns, {len(emulator.log)} requests, {len(failed)} failed, {len(logged)} retries")


@pytest.mark.slow
async def test_refused_connections_and_stalled_answers(remote: Remote) -> None:
    """A service that is away, and one that stops in the midst of an answer, are waited for."""
    remote.options = {"max_retries": 60, "timeout": 1.0}
    emulator, model = remote.emulator, ScriptedModel()
    run = Scenario(remote, agent_of(model))
    for number in range(4):
        model.play(tools(use("add", {"a": number, "b": 1})), f"a{number}")
        emulator.faults.next(None, faults.stalled())
        closed, reopen = threading.Event(), threading.Event()

        def away(closed: threading.Event = closed, reopen: threading.Event = reopen) -> None:
            with emulator.refusing():
                closed.set()
                reopen.wait(0.05)

        thread = threading.Thread(target=away)
        thread.start()
        closed.wait(10)
        await run.turn(f"q{number}", check=False)
        reopen.set()
        thread.join()
    run.check()
    assert words_of(remote.messages()) == [words for number in range(4) for words in (f"q{number}", f"a{number}")]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [faults.cut_after_commit(), faults.failing(500, runs=True), faults.truncated()])
@pytest.mark.parametrize("number", range(1, 7))
async def test_a_lost_answer_over_a_handle_without_keys(remote: Remote, fault: Any, number: int) -> None:
    """A handle with no retries and no keys: the agent hears of it, and the next event finds its own rows again."""
    remote.sdk = True
    model = ScriptedModel()
    run = Scenario(remote, agent_of(model))
    remote.emulator.reset()
    remote.emulator.faults.at(number, fault)
    heard = 0
    for turn in range(3):
        model.replies.clear()
        model.play(tools(use("add", {"a": 1, "b": 2}), use("remember", {"key": "turn", "value": turn})), f"a{turn}")
        try:
            await run.turn(f"q{turn}", check=False)
        except Exception as error:
            heard += 1
            assert "request failed" in str(error) or "Internal error" in str(error)
    assert heard == 1
    model.replies.clear()
    model.play("the end")
    await run.turn("last")
    assert words_of(remote.messages()) == words_of(run.agent.messages)
