"""A bidirectional model that plays a script, on every release of Strands that has such agents.

A script is a list of steps, made with `hears`, `says`, `uses` …, that one or more connections play in order: after a
`drops` the next connection goes on.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import importlib.util
import itertools
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

HOMES = ("strands.bidi", "strands.experimental.bidi")


def _home() -> str | None:
    for name in HOMES:
        try:
            if importlib.util.find_spec(name) is not None:
                return name
        except ModuleNotFoundError:
            continue
    return None


HOME = _home()
if HOME is None:
    pytest.skip("this Strands has no bidirectional agents", allow_module_level=True)

bidi: Any = importlib.import_module(HOME)
events: Any = importlib.import_module(f"{HOME}.types.events")
models: Any = importlib.import_module(f"{HOME}.models.model")
BidiAgent = bidi.BidiAgent

UPDATES = hasattr(importlib.import_module("strands.hooks"), "MessageUpdatedEvent")
"""Whether a transcript is added to the history empty, and replaced when it is complete (Strands 1.58 on)."""

_Stopped = getattr(events, "BidiConnectionStopEvent", None) or events.BidiConnectionCloseEvent
_TimeoutError = getattr(models, "ConnectionTimeoutError", None) or models.BidiModelTimeoutError

Step = Callable[["ScriptedBidiModel"], AsyncGenerator[Any, None]]
_ids = itertools.count(1)


def hears() -> Step:
    """Wait for something from the user."""

    async def play(model: ScriptedBidiModel) -> AsyncGenerator[Any, None]:
        await model.prompts.get()
        return
        yield

    return play


def says(role: str, words: str) -> Step:
    """A transcript of what was said, by the user or by the model."""
    started, stopped = starts(role), stops(role)
    delta = _delta(role, words)

    async def play(model: ScriptedBidiModel) -> AsyncGenerator[Any, None]:
        for step in (started, delta, stopped):
            async for event in step(model):
                yield event

    return play if UPDATES else delta


def starts(role: str) -> Step:
    """A transcript begins, where its beginning is an event."""
    return _event(lambda: events.BidiTranscriptStartEvent(role, f"transcript-{role}"))


def goes_on(role: str, words: str) -> Step:
    """A part of a transcript that has begun."""
    return _delta(role, words)


def stops(role: str) -> Step:
    """A transcript that has begun is complete."""
    return _event(lambda: events.BidiTranscriptStopEvent(role, f"transcript-{role}"))


def _delta(role: str, words: str) -> Step:
    if hasattr(events, "BidiTranscriptDeltaEvent"):
        return _event(lambda: events.BidiTranscriptDeltaEvent(words, role, f"transcript-{role}"))
    if hasattr(events, "BidiTranscriptCompleteEvent"):
        return _event(lambda: events.BidiTranscriptCompleteEvent(transcript=words, role=role))
    return _event(
        lambda: events.BidiTranscriptStreamEvent(
            delta={"text": words}, text=words, role=role, is_final=True, current_transcript=words
        )
    )


def uses(name: str, arguments: dict[str, Any] | None = None) -> Step:
    """Use a tool, and wait for its result."""
    tool_use = {"toolUseId": f"use-{next(_ids)}", "name": name, "input": arguments or {}}

    async def play(model: ScriptedBidiModel) -> AsyncGenerator[Any, None]:
        if hasattr(events, "BidiToolUseBlocksEvent"):
            yield events.BidiToolUseBlocksEvent([copy.deepcopy(tool_use)])
        else:
            from strands.types._events import ToolUseStreamEvent

            yield ToolUseStreamEvent({"toolUse": {"input": ""}}, copy.deepcopy(tool_use))
        await model.results.get()

    return play


def drops() -> Step:
    """The connection times out; Strands makes another."""

    async def play(model: ScriptedBidiModel) -> AsyncGenerator[Any, None]:
        raise _TimeoutError("the connection is too old")
        yield

    return play


def fails(error: BaseException) -> Step:
    """The connection breaks."""

    async def play(model: ScriptedBidiModel) -> AsyncGenerator[Any, None]:
        raise error
        yield

    return play


def does(call: Callable[[], Any]) -> Step:
    """Something that a test wants to happen in the middle of a conversation."""

    async def play(model: ScriptedBidiModel) -> AsyncGenerator[Any, None]:
        call()
        return
        yield

    return play


def _event(make: Callable[[], Any]) -> Step:
    async def play(model: ScriptedBidiModel) -> AsyncGenerator[Any, None]:
        yield make()

    return play


class ScriptedBidiModel(models.BidiModel):  # type: ignore[misc]  # it lives where the release has it
    """Plays steps, and ends the conversation after the last.

    Attributes:
        given: The history given to each connection, copied.
        prompts: What the user sent and no step has heard yet.
        results: The tool results that were sent and no step has waited for yet.
    """

    def __init__(self, *steps: Step) -> None:
        self.config: dict[str, Any] = {"model_id": "scripted", "audio": {}}
        self.given: list[list[Any]] = []
        self.prompts: asyncio.Queue[Any] = asyncio.Queue()
        self.results: asyncio.Queue[Any] = asyncio.Queue()
        self._steps = list(steps)

    def update_config(self, **model_config: Any) -> None:
        self.config.update(model_config)

    def get_config(self) -> dict[str, Any]:
        return dict(self.config)

    async def start(self, system_prompt: Any = None, tools: Any = None, messages: Any = None, **kwargs: Any) -> None:
        self.given.append(copy.deepcopy(list(messages or [])))

    async def stop(self) -> None:
        pass

    async def send(self, content: Any) -> None:
        is_result = "toolResult" in str(content) or "ToolResultBlock" in str(content) or "tool_result" in str(content)
        (self.results if is_result else self.prompts).put_nowait(content)

    async def receive(self) -> AsyncGenerator[Any, None]:
        while self._steps:
            async for event in self._steps.pop(0)(self):
                yield event
        yield _Stopped(connection_id="scripted", reason="user_request")


async def converse(agent: Any, *prompts: str, stop: bool = True) -> list[Any]:
    """Run a conversation until the script is over, sending the prompts at its beginning; its events."""
    await agent.start()
    try:
        for prompt in prompts:
            await agent.send(prompt)
        return [event async for event in agent.receive()]
    finally:
        if stop:
            await agent.stop()
