"""A session as spans of OpenTelemetry, in the conventions for generative AI, as JSON of OTLP: a line for each prompt.

Each prompt is a trace: the span `invoke_agent`, below it one `chat` for each answer of the model and one `execute_tool`
for each tool use. Their ids are made of what they are about: a session that is exported twice has the same. A line is
what a collector's `otlpjsonfile` receiver reads, and what the endpoint `/v1/traces` of OTLP over HTTP takes.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/ (1.37) and
https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from ....database.encoding import mapping
from .._items import Document, HeadItem, Item, MessageItem, StateItem
from ._content import Media, Said, json_text, result_text, text_of
from ._turns import EPOCH, Call, Step, Turn, begins_turn, turns

SCHEMA = "https://opentelemetry.io/schemas/1.37.0"

_INTERNAL, _CLIENT = 1, 3
_OK, _ERROR = 1, 2


def chunks(items: Iterable[Item]) -> Iterator[str]:
    """A session's text, piece by piece."""
    session_id, agent_id = "", ""
    waiting: list[tuple[int, Said]] = []
    for item in items:
        if isinstance(item, HeadItem):
            session_id = str(item.data.get("session_id", ""))
            continue
        said = Said.of(item) if isinstance(item, MessageItem) else None
        if waiting and (said is None or begins_turn(said)):
            yield from _lines(session_id, agent_id, waiting)
            waiting = []
        if isinstance(item, StateItem):
            agent_id = item.owner
        elif isinstance(item, MessageItem) and said is not None:
            waiting.append((item.message_id, said))
    yield from _lines(session_id, agent_id, waiting)


def _lines(session_id: str, agent_id: str, messages: list[tuple[int, Said]]) -> Iterator[str]:
    for turn in turns(messages):
        resource = {"attributes": _attributes({"service.name": "strands-agents"})}
        spans = _Trace(session_id, agent_id, turn).spans()
        scope = {"scope": {"name": "strands-persql"}, "spans": spans, "schemaUrl": SCHEMA}
        yield json_text({"resourceSpans": [{"resource": resource, "scopeSpans": [scope], "schemaUrl": SCHEMA}]}) + "\n"


class _Trace:
    """The spans of one prompt."""

    def __init__(self, session_id: str, agent_id: str, turn: Turn) -> None:
        self._turn = turn
        self._about = {
            "gen_ai.conversation.id": session_id,
            "session.id": session_id,
            "gen_ai.agent.id": agent_id,
            "gen_ai.agent.name": agent_id,
            "gen_ai.provider.name": "strands-agents",
        }
        self._id = (session_id, agent_id, turn.position)
        self._trace_id = _digest(*self._id, size=16)
        self._root = _digest(*self._id, "invoke_agent", size=8)

    def spans(self) -> list[Document]:
        turn = self._turn
        totals: dict[str, int] = {}
        for step in turn.steps:
            for name, count in _tokens(step.usage).items():
                totals[name] = totals.get(name, 0) + count
        prompt = [] if turn.prompt is None else [turn.prompt]
        answer = [turn.steps[-1].said] if turn.steps else []
        root = self._span(
            self._root,
            f"invoke_agent {self._about['gen_ai.agent.name']}",
            (turn.start, turn.end),
            {"gen_ai.operation.name": "invoke_agent", **totals, **_messages(prompt, answer)},
        )
        below = [span for step in turn.steps for span in (self._chat(step), *map(self._tool, step.calls))]
        return [root, *({**span, "parentSpanId": self._root} for span in below)]

    def _chat(self, step: Step) -> Document:
        reason = "tool_call" if step.calls else "stop"
        return self._span(
            _digest(*self._id, "chat", step.position, size=8),
            "chat",
            (step.start, step.end),
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.response.finish_reasons": [reason],
                **_tokens(step.usage),
                **_messages(step.given, [step.said], reason),
            },
            kind=_CLIENT,
        )

    def _tool(self, call: Call) -> Document:
        result = {} if call.result is None else {"gen_ai.tool.call.result": call.result}
        return self._span(
            _digest(*self._id, "tool", call.use_id, size=8),
            f"execute_tool {call.name}",
            (call.start, call.end),
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": call.name,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": call.use_id,
                "gen_ai.tool.call.arguments": json_text(call.given),
                **result,
            },
            failed=call.failed,
        )

    def _span(
        self,
        span_id: str,
        name: str,
        times: tuple[datetime, datetime],
        attributes: Mapping[str, Any],
        *,
        kind: int = _INTERNAL,
        failed: bool = False,
    ) -> Document:
        return {
            "traceId": self._trace_id,
            "spanId": span_id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": _nanoseconds(times[0]),
            "endTimeUnixNano": _nanoseconds(times[1]),
            "attributes": _attributes({**self._about, **attributes}),
            "status": {"code": _ERROR if failed else _OK},
        }


def _digest(*parts: object, size: int) -> str:
    return hashlib.sha256(json_text(parts).encode("utf-8", "surrogatepass")).hexdigest()[: 2 * size]


def _nanoseconds(time: datetime) -> str:
    return str((time - EPOCH) // timedelta(microseconds=1) * 1000)


def _attributes(values: Mapping[str, Any]) -> list[Document]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> Document:
    if isinstance(value, list):
        return {"arrayValue": {"values": [{"stringValue": each} for each in cast("list[str]", value)]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def _tokens(usage: Document) -> dict[str, int]:
    names = {
        "inputTokens": "gen_ai.usage.input_tokens",
        "outputTokens": "gen_ai.usage.output_tokens",
        "cacheReadInputTokens": "gen_ai.usage.cache_read.input_tokens",
        "cacheWriteInputTokens": "gen_ai.usage.cache_creation.input_tokens",
    }
    return {names[name]: count for name, count in usage.items() if name in names and isinstance(count, int)}


def _messages(given: Iterable[Said], answers: Iterable[Said], reason: str = "stop") -> Document:
    """What the model was given that it had not seen before, and what it answered, as the conventions have messages."""
    return {
        "gen_ai.input.messages": json_text([_message(said) for said in given]),
        "gen_ai.output.messages": json_text([{**_message(said), "finish_reason": reason} for said in answers]),
    }


def _message(said: Said) -> Document:
    role = "tool" if said.results and not said.texts else said.role
    return {"role": role, "parts": [part for block in said.content for part in _parts(block)]}


def _parts(block: Document) -> list[Document]:
    media = Media.of(block)
    if media is not None:
        if media.data is None:
            return [{"type": "text", "content": media.label}]
        return [{"type": "blob", "modality": media.kind, "mime_type": media.mime, "content": media.data}]
    if "toolUse" in block:
        use = mapping(block["toolUse"])
        call = {"id": use.get("toolUseId", ""), "name": use.get("name", ""), "arguments": use.get("input", {})}
        return [{"type": "tool_call", **call}]
    if "toolResult" in block:
        result = mapping(block["toolResult"])
        return [{"type": "tool_call_response", "id": result.get("toolUseId", ""), "response": result_text(result)}]
    thought = mapping(mapping(block.get("reasoningContent")).get("reasoningText")).get("text")
    if isinstance(thought, str) and thought:
        return [{"type": "reasoning", "content": thought}]
    return [{"type": "text", "content": text_of(block)}] if text_of(block) else []
