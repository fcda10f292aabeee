"""The three durabilities: live == restored after each invocation, whatever is sent when."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from strands.agent.conversation_manager import NullConversationManager, SlidingWindowConversationManager
from strands.hooks import MessageAddedEvent

from strands_persql import PerSQLError
from strands_persql.engine.window import RECENT

from .agents import agent_of
from .harness import Mode, Scenario, Store, restored, user, words_of
from .scripted import ScriptedModel, fail, overflow, redact_user, tools, use

EVERY = ("message", "overlap", "invocation")


@pytest.fixture(params=EVERY)
def lasting(request: pytest.FixtureRequest, store: Store, mode: Mode) -> Any:
    """Starts scenarios under each durability."""
    store.durability = request.param

    def start(build: Any) -> Scenario:
        return Scenario(store, build, mode)

    return start


async def test_mixed_session(lasting: Any) -> None:
    """Plain turns, tools, state, trims, an overflow, a redaction, an error, edits and restarts."""
    model = ScriptedModel()
    run = lasting(agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=6)))
    for number in range(4):
        model.play(tools(use("add", {"a": 1, "b": 2}), use("remember", {"key": "turn", "value": number})), f"a{number}")
        await run.turn(f"q{number}")
    run.restart()
    model.play(overflow(), "after the overflow")
    await run.turn("too long")
    model.play(redact_user("[redacted]"))
    await run.turn("MY-SECRET")
    assert not run.store.holds("MY-SECRET")
    model.play(fail(RuntimeError("down")))
    with pytest.raises(RuntimeError):
        await run.turn("fails")
    run.check()
    run.agent.messages[-1]["content"].append({"text": "edited"})
    run.agent.state.set("late", True)
    model.play("fine")
    await run.turn("on")
    run.restart()
    model.play("and on")
    await run.turn("and on")
    transcript = words_of(run.store.messages())
    assert transcript[:2] == ["q0", "a0"]
    assert transcript[-2:] == ["and on", "and on"]


async def test_interrupts(lasting: Any) -> None:
    """An interrupt and its resume in a new process."""
    model = ScriptedModel([tools(use("ask", {"question": "?"}), use("add", {"a": 1, "b": 2}))])
    run = lasting(agent_of(model))
    result = await run.turn("go")
    run.restart()
    model.play("done")
    await run.turn([{"interruptResponse": {"interruptId": each.id, "response": "yes"}} for each in result.interrupts])


@pytest.mark.parametrize("committed", [False, True], ids=["refused", "answer lost"])
async def test_failing_writes(lasting: Any, committed: bool) -> None:
    """A write that fails surfaces by the end of the invocation, and the next one heals."""
    model = ScriptedModel(["one"])
    run = lasting(agent_of(model))
    await run.turn("a")
    for number in (1, 2, 3):
        model.replies.clear()
        model.play(tools(use("add", {"a": 1, "b": 2})), "x")
        run.database.fail_next(number, committed=committed)
        with contextlib.suppress(Exception):
            await run.turn("b", check=False)
        run.database.heal()
        model.replies.clear()
        model.play("y")
        await run.turn("c")


async def test_outage_surfaces(lasting: Any) -> None:
    """While the database is away the invocation raises, under every durability."""
    model = ScriptedModel(["one", "two", "three"])
    run = lasting(agent_of(model))
    await run.turn("a")
    with run.database.outage(), pytest.raises(Exception) as caught:
        await run.turn("b", check=False)
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, PerSQLError):
        error = error.__cause__
    assert isinstance(error, PerSQLError)
    model.replies.clear()
    model.play("four")
    await run.turn("c")


async def test_one_request_per_invocation(store: Store, mode: Mode) -> None:
    """Under `invocation` a turn of any length is one request, and one row per message."""
    store.durability = "invocation"
    model = ScriptedModel(["one", tools(use("add", {"a": 1, "b": 2})), tools(use("boom")), "two", "three"])
    run = Scenario(store, agent_of(model), mode)
    await run.turn("a")
    run.database.clear()
    with store.counted_writes() as written:
        await run.turn("b", check=False)
    assert run.database.kinds == [["INSERT messages"] * 6]
    assert written == ["messages"] * 6
    await run.turn("c")


async def test_redacted_text_is_never_sent(store: Store, mode: Mode) -> None:
    """Under `invocation` a redacted prompt never leaves the process."""
    store.durability = "invocation"
    model = ScriptedModel(["one", redact_user("[redacted]")])
    run = Scenario(store, agent_of(model), mode)
    await run.turn("a")
    run.database.clear()
    await run.turn("MY-SECRET")
    sent = [str(value) for request in run.database.requests for _, values in request.statements for value in values]
    assert sent
    assert not any("MY-SECRET" in value for value in sent)
    assert not store.holds("MY-SECRET")


async def test_redacted_copies_of_a_failed_turn(store: Store, mode: Mode) -> None:
    """Under `invocation` a retried prompt was stored by the turn that failed, and is overwritten."""
    store.durability = "invocation"
    model = ScriptedModel([fail(RuntimeError("down")), redact_user("[redacted]"), "two"])
    run = Scenario(store, agent_of(model), mode)
    with pytest.raises(RuntimeError):
        await run.turn("MY-SECRET")
    run.check()
    await run.turn("MY-SECRET")
    assert not store.holds("MY-SECRET")
    assert words_of(store.messages())[:2] == ["[redacted]", "[redacted]"]
    await run.turn("b")


async def test_overlap_writes_while_the_model_works(store: Store) -> None:
    """Under `overlap` the model is called while the prompt's write is still running."""
    store.durability = "overlap"
    called = threading.Event()
    model = ScriptedModel(["one", "two"])
    run = Scenario(store, agent_of(model), at_once=False)
    await run.turn("a")
    model.on_call = lambda messages: called.set()
    waited: list[bool] = []

    def hold(request: Any) -> None:
        if not waited:
            waited.append(called.wait(30))

    called.clear()
    run.database.on_call = hold
    await run.turn("b", check=False)
    assert waited == [True]
    run.database.on_call = None
    model.on_call = None
    run.check()


async def test_preloaded_messages(lasting: Any) -> None:
    """Preloaded messages are stored under each durability."""
    run = lasting(agent_of(ScriptedModel(["one"]), messages=[user("before")]))
    await run.turn("a")
    assert words_of(run.store.messages()) == ["before", "a", "one"]


@pytest.mark.usefixtures("quick_files")
@pytest.mark.parametrize("place", [5, -3])
async def test_edits_within_an_invocation(store: Store, place: int) -> None:
    """Its own messages go out in one request, changes in place included; one far back is found at its very end."""
    store.durability = "invocation"
    messages = [user(f"message {number}") for number in range(2 * RECENT)]
    agent = agent_of(ScriptedModel(["one!"]), messages=messages, conversation_manager=NullConversationManager)(
        store.manager(store.database())
    )
    await agent.invoke_async("one")
    database = store.database(at_once=True)  # else the second look comes before a worker has begun
    again = agent_of(ScriptedModel(["two!", "three!"]), conversation_manager=NullConversationManager)(
        store.manager(database)
    )
    await again.invoke_async("two")
    database.clear()

    def edit(event: Any) -> None:
        if event.message["role"] == "assistant":
            again.messages[place]["content"] = [{"text": "edited"}]

    again.hooks.add_callback(MessageAddedEvent, edit)
    await again.invoke_async("three")
    assert len([request for request in database.requests if request.writes]) == (1 if place < 0 else 2)
    assert (
        restored(store, agent_of(ScriptedModel(), conversation_manager=NullConversationManager)).messages
        == again.messages
    )
