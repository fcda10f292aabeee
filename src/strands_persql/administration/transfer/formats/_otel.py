"""A session as spans of OpenTelemetry, as Strands' own tracer makes them, as JSON of OTLP: a line for each prompt.

Each prompt is a trace: the span `invoke_agent`, below it one `execute_event_loop_cycle` for each answer of the model,
and below that the `chat` and one `execute_tool` for each tool use. Their ids are made of what they are about: a session
that is exported twice has the same. A line is what a collector's `otlpjsonfile` receiver reads, and what the endpoint
`/v1/traces` of OTLP over HTTP takes.

Strands knows two conventions (`_otel_content`): what was said in attributes of the spans, or in events. Either way it
repeats the whole history in each span; here a span has what is new in it.

Source: strands-agents 1.62, `strands/telemetry/tracer.py`; https://opentelemetry.io/docs/specs/semconv/gen-ai/ (1.36
and 1.37), and https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from uuid import UUID

from ....database.encoding import mapping
from .._items import Document, HeadItem, Item, MessageItem, StateItem
from ._content import Said, json_text
from ._otel_content import ATTRIBUTES, EVENTS, Convention, Span, attributes_of
from ._turns import Call, Step, Turn, begins_turn, turns

_SCOPE = "strands.telemetry.tracer"
"""What Strands calls its tracer, by which readers know its spans."""


def chunks(items: Iterable[Item], convention: Convention) -> Iterator[str]:
    """A session's text, piece by piece."""
    session_id, agent_id = "", ""
    waiting: list[tuple[int, Said]] = []
    for item in items:
        if isinstance(item, HeadItem):
            session_id = str(item.data.get("session_id", ""))
            continue
        said = Said.of(item) if isinstance(item, MessageItem) else None
        if waiting and (said is None or begins_turn(said)):
            yield from _lines(session_id, agent_id, waiting, convention)
            waiting = []
        if isinstance(item, StateItem):
            agent_id = item.owner
        elif isinstance(item, MessageItem) and said is not None:
            waiting.append((item.message_id, said))
    yield from _lines(session_id, agent_id, waiting, convention)


with_attributes = partial(chunks, convention=ATTRIBUTES)
with_events = partial(chunks, convention=EVENTS)


def _lines(session_id: str, agent_id: str, messages: list[tuple[int, Said]], convention: Convention) -> Iterator[str]:
    for turn in turns(messages):
        resource = {"attributes": attributes_of({"service.name": "strands-agents"})}
        spans = [span.document() for span in _Trace(session_id, agent_id, turn, convention).spans()]
        scope = {"scope": {"name": _SCOPE}, "spans": spans, "schemaUrl": convention.schema}
        body = {"resource": resource, "scopeSpans": [scope], "schemaUrl": convention.schema}
        yield json_text({"resourceSpans": [body]}) + "\n"


class _Trace:
    """The spans of one prompt."""

    def __init__(self, session_id: str, agent_id: str, turn: Turn, convention: Convention) -> None:
        self._turn = turn
        self._convention = convention
        self._about = {
            "gen_ai.conversation.id": session_id,
            "session.id": session_id,
            "gen_ai.agent.id": agent_id,
            "gen_ai.agent.name": agent_id,
            convention.system: "strands-agents",
        }
        self._id = (session_id, agent_id, turn.position)

    def spans(self) -> Iterator[Span]:
        turn = self._turn
        name = self._about["gen_ai.agent.name"]
        root = self._span(("invoke_agent",), f"invoke_agent {name}", "invoke_agent", (turn.start, turn.end))
        root.attributes |= self._tokens(_summed(step.usage for step in turn.steps), is_sum=True)
        self._convention.given(root, [] if turn.prompt is None else [turn.prompt])
        if turn.steps:
            self._convention.concluded(root, turn.answer, _reason(turn.steps[-1]))
        yield root
        above: Span | None = None
        for step in turn.steps:
            cycle = self._cycle(step, root, above)
            yield cycle
            yield self._chat(step, cycle)
            for number, call in enumerate(step.calls):  # some models repeat the ids of their tool uses
                yield self._tool(call, ("tool", step.position, number), cycle)
            above = cycle

    def _cycle(self, step: Step, root: Span, above: Span | None) -> Span:
        end = max([step.end, *(call.end for call in step.calls)])
        name = "execute_event_loop_cycle"
        span = self._span(("cycle", step.position), name, name, (step.start, end), root)
        span.attributes["event_loop.cycle_id"] = str(UUID(_digest(*self._id, "cycle", step.position, size=16)))
        if above is not None:
            span.attributes["event_loop.parent_cycle_id"] = above.attributes["event_loop.cycle_id"]
        self._convention.given(span, step.given)
        if results := [call.block for call in step.calls if call.result is not None]:
            self._convention.cycled(span, step.said, results)
        return span

    def _chat(self, step: Step, cycle: Span) -> Span:
        span = self._span(("chat", step.position), "chat", "chat", (step.start, step.end), cycle)
        span.attributes |= self._tokens(_counts(step.usage))
        metrics = mapping(step.said.metadata.get("metrics"))
        for name, key in (("timeToFirstByteMs", "time_to_first_token"), ("latencyMs", "request.duration")):
            if isinstance(metrics.get(name), (int, float)) and metrics[name] > 0:
                span.attributes[f"gen_ai.server.{key}"] = metrics[name]
        self._convention.given(span, step.given)
        self._convention.answered(span, step.said, _reason(step))
        return span

    def _tool(self, call: Call, key: tuple[object, ...], cycle: Span) -> Span:
        span = self._span(key, f"execute_tool {call.name}", "execute_tool", (call.start, call.end), cycle)
        span.attributes |= {
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": call.use_id,
        }
        self._convention.called(span, call)
        if call.result is None:  # Strands ends a span that was cancelled without a status, too
            span.is_whole = False
            return span
        span.attributes["gen_ai.tool.status"] = "error" if call.failed else "success"
        if call.failed:
            texts = [block["text"] for block in call.content if isinstance(block.get("text"), str)]
            span.error = texts[0] if texts else "tool returned error status"
        self._convention.returned(span, call)
        return span

    def _span(
        self,
        key: tuple[object, ...],
        name: str,
        operation: str,
        times: tuple[datetime, datetime],
        above: Span | None = None,
    ) -> Span:
        attributes = {
            **self._about,
            "gen_ai.operation.name": operation,
            "gen_ai.event.start_time": times[0].isoformat(),
            "gen_ai.event.end_time": times[1].isoformat(),
        }
        trace_id, span_id = _digest(*self._id, size=16), _digest(*self._id, *key, size=8)
        return Span(trace_id, span_id, None if above is None else above.span_id, name, times, attributes)

    def _tokens(self, usage: dict[str, int], *, is_sum: bool = False) -> dict[str, int]:
        """Tokens as Strands' tracer has them: those of the prompt with the cached ones."""
        if not usage:
            return {}
        given, answered = usage.get("inputTokens", 0), usage.get("outputTokens", 0)
        total = usage.get("totalTokens", given + answered)
        cached = {
            name: usage.get(key, 0)
            for key, names in _CACHED.items()
            if is_sum or key in usage
            for name in names[: self._convention.names_of_cached]
        }
        prompt = given if given + answered == total else given + sum(usage.get(key, 0) for key in _CACHED)
        return {
            "gen_ai.usage.prompt_tokens": prompt,
            "gen_ai.usage.input_tokens": prompt,
            "gen_ai.usage.completion_tokens": answered,
            "gen_ai.usage.output_tokens": answered,
            "gen_ai.usage.total_tokens": total,
            **cached,
        }


_CACHED = {
    "cacheReadInputTokens": ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    "cacheWriteInputTokens": ("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write_input_tokens"),
}
"""Tokens of a model's cache, by what Strands calls them: their attributes, the newer name first."""


def _summed(usages: Iterable[Document]) -> dict[str, int]:
    total: dict[str, int] = {}
    for usage in usages:
        for name, count in _counts(usage).items():
            total[name] = total.get(name, 0) + count
    return total


def _counts(usage: Document) -> dict[str, int]:
    return {name: count for name, count in usage.items() if isinstance(count, int)}


def _reason(step: Step) -> str:
    """Why the model stopped, as Strands calls it; it stores no more of that than the message tells."""
    return "tool_use" if step.calls else "end_turn"


def _digest(*parts: object, size: int) -> str:
    return hashlib.sha256(json_text(parts).encode("utf-8", "surrogatepass")).hexdigest()[: 2 * size]
