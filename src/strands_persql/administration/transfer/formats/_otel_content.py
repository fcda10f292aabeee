"""Spans as OTLP has them in JSON, and Strands' two conventions of saying in them what was said.

`ATTRIBUTES` is what Strands does with `OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental,
gen_ai_span_attributes_only`: messages of the conventions 1.37, in attributes. `EVENTS` is what it does by default:
those of 1.36, an event for each message.

Source: strands-agents 1.62, `strands/telemetry/tracer.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from ....database.encoding import mapping
from .._items import Document
from ._content import Media, Said, json_text, text_of
from ._turns import EPOCH, Call

_INTERNAL = 1
_UNSET, _OK, _ERROR = 0, 1, 2


@dataclass
class Span:
    """A span.

    Attributes:
        trace_id: Its trace.
        span_id: Its id.
        parent_id: The span above it; None of the highest.
        name: Its name.
        times: When it began, and when it ended.
        attributes: Its attributes.
        events: Its events: name, time and attributes.
        error: Why it failed; None where it didn't.
        is_whole: Whether what it is about came to an end.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    times: tuple[datetime, datetime]
    attributes: dict[str, Any]
    events: list[tuple[str, datetime, Document]] = field(default_factory=lambda: [])
    error: str | None = None
    is_whole: bool = True

    def began(self, name: str, attributes: Document) -> None:
        """Add an event at its beginning."""
        self.events.append((name, self.times[0], attributes))

    def ended(self, name: str, attributes: Document) -> None:
        """Add an event at its end."""
        self.events.append((name, self.times[1], attributes))

    def document(self) -> Document:
        """The span in JSON."""
        status: Document = {"code": _OK if self.is_whole else _UNSET}
        if self.error is not None:
            status = {"code": _ERROR, "message": self.error}
        return {
            "traceId": self.trace_id,
            "spanId": self.span_id,
            **({} if self.parent_id is None else {"parentSpanId": self.parent_id}),
            "name": self.name,
            "kind": _INTERNAL,
            "startTimeUnixNano": _nanoseconds(self.times[0]),
            "endTimeUnixNano": _nanoseconds(self.times[1]),
            "attributes": attributes_of(self.attributes),
            "events": [
                {"name": name, "timeUnixNano": _nanoseconds(time), "attributes": attributes_of(attributes)}
                for name, time, attributes in self.events
            ],
            "status": status,
        }


class Convention(Protocol):
    """How spans have what was said.

    Attributes:
        schema: The conventions' version.
        system: The attribute that names Strands.
        names_of_cached: How many names the tokens of a model's cache have.
    """

    schema: str
    system: str
    names_of_cached: int

    def given(self, span: Span, messages: Sequence[Said]) -> None:
        """Note what an agent, a cycle or a model was given."""
        ...

    def answered(self, span: Span, said: Said, reason: str) -> None:
        """Note what the model has answered, and why it stopped."""
        ...

    def concluded(self, span: Span, text: str, reason: str) -> None:
        """Note the agent's last answer."""
        ...

    def called(self, span: Span, call: Call) -> None:
        """Note what a tool was given."""
        ...

    def returned(self, span: Span, call: Call) -> None:
        """Note what a tool has answered."""
        ...

    def cycled(self, span: Span, said: Said, results: list[Document]) -> None:
        """Note what a cycle has come to: the model's answer, and the results of its tools."""
        ...


class _Attributes:
    """Messages in attributes."""

    schema = "https://opentelemetry.io/schemas/1.37.0"
    system = "gen_ai.provider.name"
    names_of_cached = 1

    def given(self, span: Span, messages: Sequence[Said]) -> None:
        self._messages(span, "input", [_message(said.role, _parts(said.content)) for said in messages])

    def answered(self, span: Span, said: Said, reason: str) -> None:
        self._messages(span, "output", [{**_message(said.role, _parts(said.content)), "finish_reason": reason}])

    def concluded(self, span: Span, text: str, reason: str) -> None:
        parts = [{"type": "text", "content": text}]
        self._messages(span, "output", [{**_message("assistant", parts), "finish_reason": reason}])

    def called(self, span: Span, call: Call) -> None:
        span.attributes["gen_ai.tool.call.arguments"] = json_text(call.given)
        part = {"type": "tool_call", "name": call.name, "id": call.use_id, "arguments": call.given}
        self._messages(span, "input", [_message("tool", [part])])

    def returned(self, span: Span, call: Call) -> None:
        content = _plain(call.content)
        if not call.failed:
            span.attributes["gen_ai.tool.call.result"] = json_text(content)
        part = {"type": "tool_call_response", "id": call.use_id, "response": content}
        self._messages(span, "output", [_message("tool", [part])])

    def cycled(self, span: Span, said: Said, results: list[Document]) -> None:
        self._messages(span, "input", [_message("user", _parts(results))])

    def _messages(self, span: Span, side: str, messages: list[Document]) -> None:
        span.attributes[f"gen_ai.{side}.messages"] = json_text(messages)


class _Events:
    """An event for each message."""

    schema = "https://opentelemetry.io/schemas/1.36.0"
    system = "gen_ai.system"
    names_of_cached = 2

    def given(self, span: Span, messages: Sequence[Said]) -> None:
        for said in messages:
            kind = "tool" if said.results else said.role
            span.began(f"gen_ai.{kind}.message", {"content": _content(said.content)})

    def answered(self, span: Span, said: Said, reason: str) -> None:
        span.ended("gen_ai.choice", {"finish_reason": reason, "message": _content(said.content)})

    def concluded(self, span: Span, text: str, reason: str) -> None:
        span.ended("gen_ai.choice", {"message": text, "finish_reason": reason})

    def called(self, span: Span, call: Call) -> None:
        span.began("gen_ai.tool.message", {"role": "tool", "content": json_text(call.given), "id": call.use_id})

    def returned(self, span: Span, call: Call) -> None:
        span.ended("gen_ai.choice", {"message": _content(call.content), "id": call.use_id})

    def cycled(self, span: Span, said: Said, results: list[Document]) -> None:
        span.ended("gen_ai.choice", {"message": _content(said.content), "tool.result": _content(results)})


ATTRIBUTES: Convention = _Attributes()
EVENTS: Convention = _Events()


def attributes_of(values: Mapping[str, Any]) -> list[Document]:
    """Attributes as OTLP has them."""
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _nanoseconds(time: datetime) -> str:
    return str((time - EPOCH) // timedelta(microseconds=1) * 1000)


def _value(value: Any) -> Document:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _message(role: str, parts: list[Document]) -> Document:
    return {"role": role, "parts": parts}


def _content(blocks: Sequence[Document]) -> str:
    """Content blocks as JSON; bytes as base64."""
    return json_text(_plain(blocks))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    document = mapping(value)
    if document.get("__bytes_encoded__") is True:
        return document.get("data")
    return {name: _plain(each) for name, each in document.items()} if isinstance(value, dict) else value


def _parts(blocks: Iterable[Document]) -> list[Document]:
    return [part for block in blocks for part in _parts_of(block)]


def _parts_of(block: Document) -> list[Document]:
    media = Media.of(block)
    if media is not None:
        if media.data is None:
            return [{"type": "text", "content": media.label}]
        return [{"type": "blob", "modality": media.kind, "mime_type": media.mime, "content": media.data}]
    if "toolUse" in block:
        use = mapping(block["toolUse"])
        call = {"name": use.get("name", ""), "id": use.get("toolUseId", ""), "arguments": use.get("input", {})}
        return [{"type": "tool_call", **call}]
    if "toolResult" in block:
        result = mapping(block["toolResult"])
        response = _plain(result.get("content") or [])
        return [{"type": "tool_call_response", "id": result.get("toolUseId", ""), "response": response}]
    thought = mapping(mapping(block.get("reasoningContent")).get("reasoningText")).get("text")
    if isinstance(thought, str) and thought:
        return [{"type": "reasoning", "content": thought}]
    if text_of(block):
        return [{"type": "text", "content": text_of(block)}]
    return []
