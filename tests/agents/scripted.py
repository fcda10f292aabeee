"""A Strands model that plays a script: a real `Model`, without a network.

A script is a list of replies, made with `text`, `tools`, `redact_user` … below. The model plays one per call, records
what it was given, and says so when the script is over.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from strands.models.model import Model
from strands.types.exceptions import ContextWindowOverflowException

Chunk = dict[str, Any]
Hook = Callable[[], "Awaitable[None] | None"]


@dataclass
class Reply:
    """What the model does at one call.

    Attributes:
        chunks: The chunks it streams, in the form of `strands.types.streaming`.
        before: Called (and awaited, where it gives an awaitable) before the first chunk.
        halfway: Called (and awaited) after half of the chunks.
        error: Raised instead of the last chunk.
        model_state: What a stateful model remembers of the call.
    """

    chunks: list[Chunk] = field(default_factory=list)
    before: Hook | None = None
    halfway: Hook | None = None
    error: BaseException | None = None
    model_state: dict[str, Any] = field(default_factory=dict)


_ids = itertools.count(1)


def _start() -> list[Chunk]:
    return [{"messageStart": {"role": "assistant"}}]


def _block(delta: dict[str, Any], start: dict[str, Any] | None = None) -> list[Chunk]:
    return [
        {"contentBlockStart": {"start": start or {}}},
        {"contentBlockDelta": {"delta": delta}},
        {"contentBlockStop": {}},
    ]


def _stop(reason: str) -> list[Chunk]:
    usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
    return [{"messageStop": {"stopReason": reason}}, {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}]


def text(words: str, *, reasoning: str | None = None, signature: str | None = None, **options: Any) -> Reply:
    """A plain answer, after reasoning where there is some."""
    chunks = _start()
    if reasoning is not None:
        thought = _block({"reasoningContent": {"text": reasoning}})
        if signature is not None:
            thought.insert(2, {"contentBlockDelta": {"delta": {"reasoningContent": {"signature": signature}}}})
        chunks += thought
    return Reply(chunks + _block({"text": words}) + _stop("end_turn"), **options)


def use(name: str, arguments: dict[str, Any] | None = None, tool_use_id: str | None = None) -> dict[str, Any]:
    """One tool use, for `tools`; its id is fresh unless given."""
    return {"name": name, "arguments": arguments or {}, "id": tool_use_id or f"use-{next(_ids)}"}


def tools(*uses: dict[str, Any], words: str | None = None, **options: Any) -> Reply:
    """An answer that uses tools, several in one message."""
    chunks = _start()
    if words is not None:
        chunks += _block({"text": words})
    for each in uses:
        chunks += _block(
            {"toolUse": {"input": json.dumps(each["arguments"])}},
            {"toolUse": {"name": each["name"], "toolUseId": each["id"]}},
        )
    return Reply(chunks + _stop("tool_use"), **options)


def redact_user(replacement: str, words: str = "I can't help with that.", **options: Any) -> Reply:
    """A guardrail blocks the input: the user's message is replaced, then an answer follows."""
    blocked = {"redactContent": {"redactUserContentMessage": replacement}}
    return Reply([*_start(), blocked, *_block({"text": words}), *_stop("guardrail_intervened")], **options)


def redact_assistant(replacement: str, words: str, **options: Any) -> Reply:
    """A guardrail blocks the output: the answer's own words are replaced before the message exists."""
    blocked = {"redactContent": {"redactAssistantContentMessage": replacement}}
    return Reply([*_start(), *_block({"text": words}), *_stop("guardrail_intervened"), blocked], **options)


def fail(error: BaseException, *, after: int = 0) -> Reply:
    """The call fails, after as many chunks of an answer."""
    return Reply((_start() + _block({"text": "half an ans"}))[:after], error=error)


def overflow() -> Reply:
    """The history is too long for the model's context window."""
    return fail(ContextWindowOverflowException("the input is too long"))


@dataclass
class Pause:
    """A place where the model stops until the test lets it go on, within one event loop; at most a minute."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        self.reached.set()
        await asyncio.wait_for(self.go_on.wait(), 60)


class ScriptedModel(Model):
    """Plays replies in order.

    Attributes:
        calls: The messages given to each call, copied.
        on_call: Called with the messages at the start of each call, before the reply.
    """

    def __init__(self, replies: Iterable[Reply | str] = (), *, stateful: bool = False, **config: Any) -> None:
        self.replies = [text(reply) if isinstance(reply, str) else reply for reply in replies]
        self.calls: list[list[dict[str, Any]]] = []
        self.on_call: Callable[[list[dict[str, Any]]], None] | None = None
        self._stateful = stateful
        self._config = config

    def play(self, *replies: Reply | str) -> None:
        """Add replies to the end of the script."""
        self.replies += [text(reply) if isinstance(reply, str) else reply for reply in replies]

    @property
    def stateful(self) -> bool:
        return self._stateful

    def update_config(self, **model_config: Any) -> None:
        self._config.update(model_config)

    def get_config(self) -> dict[str, Any]:
        return self._config

    async def stream(
        self, messages: Any, tool_specs: Any = None, system_prompt: Any = None, **kwargs: Any
    ) -> AsyncGenerator[Any, None]:
        self.calls.append(copy.deepcopy(list(messages)))
        if self.on_call is not None:
            self.on_call(list(messages))
        if not self.replies:
            raise AssertionError(f"the script is over at call {len(self.calls)}")
        reply = self.replies.pop(0)
        await _run(reply.before)
        if reply.model_state:
            kwargs["model_state"].update(reply.model_state)
        for position, chunk in enumerate(reply.chunks):
            if position == len(reply.chunks) // 2:
                await _run(reply.halfway)
            yield copy.deepcopy(chunk)
        if reply.error is not None:
            raise reply.error

    async def structured_output(
        self, output_model: Any, prompt: Any, system_prompt: Any = None, **kwargs: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        self.calls.append(copy.deepcopy(list(prompt)))
        yield {"output": output_model.model_validate_json(self._config["structured_output"])}


async def _run(hook: Hook | None) -> None:
    if hook is not None:
        waiting = hook()
        if inspect.isawaitable(waiting):
            await waiting
