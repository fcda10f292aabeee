"""Cancelled tasks, closed scopes and consumers that leave: no message is lost, and the next turn is stored whole."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from typing import Any

import anyio
import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.hooks import AfterInvocationEvent

from .agents import agent_of
from .harness import Scenario, Store, soon, words_of
from .scripted import Pause, ScriptedModel, text, tools, use


class Held:
    """A database call that waits, in its worker thread, until the test lets it go on."""

    def __init__(self, run: Scenario, nth: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = nth
        self._release = threading.Event()
        self.reached = asyncio.Event()
        run.database.on_call = self

    def __call__(self, request: Any) -> None:
        self._left -= 1
        if self._left == 0:
            self._loop.call_soon_threadsafe(self.reached.set)
            assert self._release.wait(30)

    def release(self) -> None:
        """Let the call go on."""
        self._release.set()


async def begun(store: Store, *replies: Any, at_once: bool | None = None, **options: Any) -> Scenario:
    """A session past its first turn."""
    run = Scenario(store, agent_of(ScriptedModel(["one", *replies]), **options), at_once=at_once)
    await run.turn("a")
    return run


async def cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait until it is."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancel_during_a_model_call(store: Store) -> None:
    """A task cancelled while the model works: its prompt is stored, and the next turn follows it."""
    pause = Pause()
    run = await begun(store, text("never", before=pause), "two")
    task = asyncio.ensure_future(run.agent.invoke_async("b"))
    await soon(pause.reached.wait())
    await cancelled(task)
    run.check()
    await run.turn("c")
    assert words_of(run.store.messages()) == ["a", "one", "b", "c", "two"]


async def test_cancel_in_the_middle_of_a_stream(store: Store) -> None:
    """A task cancelled between two chunks: the half answer is nowhere."""
    pause = Pause()
    run = await begun(store, text("never", halfway=pause), "two")
    task = asyncio.ensure_future(run.agent.invoke_async("b"))
    await soon(pause.reached.wait())
    await cancelled(task)
    run.check()
    await run.turn("c")


async def test_cancel_after_tools(store: Store) -> None:
    """A task cancelled in the call after its tools: use and result are both stored."""
    pause = Pause()
    used = tools(use("add", {"a": 1, "b": 2}), use("remember", {"key": "k", "value": 1}))
    run = await begun(store, used, text("never", before=pause), "two")
    task = asyncio.ensure_future(run.agent.invoke_async("b"))
    await soon(pause.reached.wait())
    await cancelled(task)
    run.check()
    run.restart()
    assert run.agent.state.get("k") == 1
    await run.turn("c")


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
async def test_cancel_in_the_middle_of_a_write(store: Store, nth: int) -> None:
    """A task cancelled while a write is under way: the write finishes, and nothing is lost or doubled."""
    run = await begun(store, tools(use("add", {"a": 1, "b": 2})), "two", at_once=False)
    held = Held(run, nth)
    task = asyncio.ensure_future(run.agent.invoke_async("b"))
    await soon(held.reached.wait())
    task.cancel()
    await asyncio.sleep(0)
    held.release()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await run.manager.aflush()
    run.check()
    run.restart()
    model: Any = run.agent.model
    model.replies.clear()
    model.play("three", "four")
    await run.turn("c")


async def test_timeout(store: Store) -> None:
    """`asyncio.wait_for` that runs out while the model works."""
    pause = Pause()
    run = await begun(store, text("never", before=pause), "two")
    task = asyncio.ensure_future(run.agent.invoke_async("b"))
    await soon(pause.reached.wait())
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(task, 0.01)
    run.check()
    await run.turn("c")


async def test_scope_cancelled_during_a_model_call(store: Store) -> None:
    """An anyio scope, as web frameworks put round a request, cancelled while the model works."""
    pause = Pause()
    run = await begun(store, text("never", before=pause), "two")
    async with anyio.create_task_group() as group:
        group.start_soon(run.agent.invoke_async, "b")
        await soon(pause.reached.wait())
        group.cancel_scope.cancel()
    await run.manager.aflush()
    run.check()
    await run.turn("c")
    assert words_of(run.store.messages()) == ["a", "one", "b", "c", "two"]


async def test_scope_cancelled_after_changes(store: Store) -> None:
    """What changed during the call is recorded by the last event, although its first await is cancelled at once."""
    pause = Pause()
    run = await begun(store)

    async def change() -> None:
        run.agent.state.set("late", True)
        run.agent.messages[0]["content"].append({"text": "edited"})
        await pause()

    run.agent.model.play(text("never", before=change), "two")  # type: ignore[attr-defined]
    async with anyio.create_task_group() as group:
        group.start_soon(run.agent.invoke_async, "b")
        await soon(pause.reached.wait())
        group.cancel_scope.cancel()
    await run.manager.aflush()
    other = run.check()
    assert other.state.get("late") is True
    await run.turn("c")


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
async def test_scope_cancelled_in_the_middle_of_a_write(store: Store, nth: int) -> None:
    """An anyio scope cancelled while a write is under way: every message so far is stored all the same."""
    run = await begun(store, tools(use("add", {"a": 1, "b": 2})), "two", at_once=False)
    held = Held(run, nth)
    async with anyio.create_task_group() as group:
        group.start_soon(run.agent.invoke_async, "b")
        await soon(held.reached.wait())
        group.cancel_scope.cancel()
        held.release()
    await run.manager.aflush()
    run.check()
    run.agent.model.replies.clear()  # type: ignore[attr-defined]
    run.agent.model.play("three")  # type: ignore[attr-defined]
    await run.turn("c")


async def test_scope_cancelled_with_other_hooks(store: Store) -> None:
    """A scope cancelled while a hook of the user's awaits in AfterInvocation: the next turn stores what it left out."""
    pause = Pause()
    run = await begun(
        store,
        "two",
        "three",
        "four",
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=2),
    )

    async def slow(event: AfterInvocationEvent) -> None:
        if not pause.go_on.is_set():
            await pause()

    run.agent.hooks.add_callback(AfterInvocationEvent, slow)
    async with anyio.create_task_group() as group:
        group.start_soon(run.agent.invoke_async, "b")
        await soon(pause.reached.wait())
        group.cancel_scope.cancel()
    pause.go_on.set()
    await run.manager.aflush()
    assert words_of(run.store.messages()) == ["a", "one", "b", "two"]
    await run.turn("c")


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3, 8])
async def test_consumer_that_closes_the_stream(store: Store, after: int) -> None:
    """A consumer that leaves `stream_async` early and closes it: the prompt is stored, and the next turn is whole."""
    run = await begun(store, "two", "three", "four")
    stream: Any = run.agent.stream_async("b")
    count = 0
    async for _ in stream:
        count += 1
        if count == after:
            break
    await stream.aclose()
    await _finalized(run)
    run.check()
    await run.turn("c")
    assert words_of(run.store.messages())[:2] == ["a", "one"]


async def test_consumer_that_just_leaves(store: Store) -> None:
    """A consumer that leaves `stream_async` without closing it: the garbage collector ends the invocation."""
    run = await begun(store, "two", "three", "four")

    async def consume() -> None:
        async for event in run.agent.stream_async("b"):
            if "data" in event:
                break

    await consume()
    await _finalized(run)
    run.check()
    await run.turn("c")
    run.restart()
    await run.turn("d")


async def test_stream_to_its_end(store: Store) -> None:
    """A stream read to its end is an invocation like any other."""
    run = await begun(store, tools(use("add", {"a": 1, "b": 2})), "two")
    async for _ in run.agent.stream_async("b"):
        pass
    run.check()


async def test_loops_that_end(store: Store) -> None:
    """Invocations in loops that are closed after each, as `asyncio.run` does."""
    run = Scenario(store, agent_of(ScriptedModel(["one", "two", "three"])))

    def in_a_loop(prompt: str) -> None:
        asyncio.run(run.agent.invoke_async(prompt))

    for prompt in ("a", "b", "c"):
        thread = threading.Thread(target=in_a_loop, args=(prompt,))
        thread.start()
        await asyncio.to_thread(thread.join)
        run.check()


async def test_concurrent_agents(store: Store) -> None:
    """Many agents of one manager that run at once, each with its own history."""
    manager = store.manager()
    names = [f"agent-{number}" for number in range(8)]
    models = {name: ScriptedModel() for name in names}
    builds = {name: agent_of(models[name], agent_id=name) for name in names}
    agents = {name: builds[name](manager) for name in names}
    for turn in range(3):
        for name in names:
            models[name].play(tools(use("add", {"a": turn, "b": 2})), f"{name} {turn}")
        await asyncio.gather(*(agents[name].invoke_async(f"{turn}") for name in names))
    fresh = store.manager()
    for name in names:
        restored = builds[name](fresh)
        assert restored.messages == agents[name].messages


async def _finalized(run: Scenario) -> None:
    """Let an abandoned invocation be finalized: collected, run to its end by the loop, and its last rows written."""
    gc.collect()
    for _ in range(1000):
        await asyncio.sleep(0)
    await run.manager.aflush()
