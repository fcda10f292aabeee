"""A session that is exported as spans looks as Strands' own tracer has recorded it when it was live."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import strands.telemetry.tracer
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from strands import Agent, tool

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessions

from ....agents.scripted import ScriptedModel, tools, use

OPT_IN = {"otel": "gen_ai_latest_experimental,gen_ai_span_attributes_only", "otel-events": ""}

NOT_STORED = {
    "gen_ai.agent.tools", "gen_ai.tool.description", "gen_ai.tool.json_schema", "gen_ai.system_instructions",
    "gen_ai.system.message", "system_prompt",
    "gen_ai.agent.name",  # the agent's id stands in its place
    "event_loop.cycle_id", "event_loop.parent_cycle_id", "gen_ai.event.start_time", "gen_ai.event.end_time",
}  # fmt: skip
ADDED = {"gen_ai.conversation.id", "session.id", "gen_ai.agent.id", "gen_ai.tool.type"}


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@tool
def fail() -> dict[str, Any]:
    """Fail."""
    return {"status": "error", "content": [{"text": "no luck"}]}


@pytest.fixture(params=sorted(OPT_IN))
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A form of export, with Strands' tracer set to it."""
    name: str = request.param
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", OPT_IN[name])
    return name


@pytest.fixture
def recorded(form: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What Strands' tracer records, by a provider of this test's alone."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with monkeypatch.context() as patched:
        patched.setattr(trace, "get_tracer_provider", lambda: provider)
        tracer = strands.telemetry.tracer.Tracer()
    if form == "otel" and not hasattr(tracer, "_span_attributes_only"):
        pytest.skip("this Strands has no messages in attributes")
    monkeypatch.setattr(strands.telemetry.tracer, "_tracer_instance", tracer)
    yield exporter
    provider.shutdown()


def parsed(value: object) -> Any:
    """A value of an attribute, without the JSON round it, nor the line break that an agent's answer ends with."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value.replace('\\n"', '"'))
    except ValueError:
        return value.rstrip()


def live(span: ReadableSpan) -> dict[str, Any]:
    """A span that was recorded, as far as its session stores it."""
    return {
        "name": span.name.split()[0],
        "status": span.status.status_code.name,
        "why": span.status.description,
        "attributes": {
            name: parsed(value) for name, value in (span.attributes or {}).items() if name not in NOT_STORED
        },
        "events": [
            (event.name, {name: parsed(value) for name, value in (event.attributes or {}).items()})
            for event in span.events
            if event.name not in NOT_STORED
        ],
    }


def values(attributes: list[Any]) -> dict[str, Any]:
    """Attributes of OTLP's."""
    found = {}
    for each in attributes:
        [(kind, value)] = each["value"].items()
        found[each["key"]] = int(value) if kind == "intValue" else parsed(value)
    return found


def stored(span: Mapping[str, Any]) -> dict[str, Any]:
    """A span that was exported."""
    ours = {name: value for name, value in values(span["attributes"]).items() if name not in NOT_STORED | ADDED}
    return {
        "name": span["name"].split()[0],
        "status": ("UNSET", "OK", "ERROR")[span["status"]["code"]],
        "why": span["status"].get("message"),
        "attributes": ours,
        "events": [(event["name"], values(event["attributes"])) for event in span["events"]],
    }


def newest(span: dict[str, Any], messages: int) -> dict[str, Any]:
    """A live span with the newest messages that it was given alone."""
    given = span["attributes"].get("gen_ai.input.messages")
    if span["name"] in ("chat", "execute_event_loop_cycle") and given is not None:
        span["attributes"]["gen_ai.input.messages"] = given[-messages:]
    before = [event for event in span["events"] if event[0] != "gen_ai.choice"]
    span["events"] = [*before[-messages:], *(event for event in span["events"] if event[0] == "gen_ai.choice")]
    return span


def test_a_stored_session_looks_like_a_live_one(form: str, recorded: InMemorySpanExporter) -> None:
    """Span by span: what each is in, its status, its attributes and its events."""
    with PerSQL(local=":memory:") as client:
        database = client.database("test/live")
        agent = Agent(
            model=ScriptedModel([tools(use("add", {"a": 1, "b": 2}), use("fail", {})), "Drei: 橋.", "Again."]),
            tools=[add, fail],
            system_prompt="Be short.",
            session_manager=PerSQLSessionManager("s", database),
            callback_handler=None,
        )
        for prompt in ("1 + 2?", "And again?"):
            agent(prompt)
        stream = io.StringIO()
        PerSQLSessions(database).export("s", stream, form=form)  # type: ignore[arg-type]
    traces = [json.loads(line)["resourceSpans"][0]["scopeSpans"][0] for line in stream.getvalue().splitlines()]
    assert {each["scope"]["name"] for each in traces} == {"strands.telemetry.tracer"}
    ours = [span for each in traces for span in each["spans"]]
    theirs = sorted(
        (span for span in recorded.get_finished_spans() if not span.name.startswith("persql")),
        key=lambda span: span.start_time or 0,
    )
    for spans in (ours, theirs):
        assert len(spans) == 10
    names = {span["spanId"]: span["name"] for span in ours}
    parents = [names.get(span.get("parentSpanId", ""), "").split()[:1] for span in ours]
    live_names = {span.context.span_id: span.name for span in theirs if span.context}
    assert parents == [(live_names[span.parent.span_id] if span.parent else "").split()[:1] for span in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        expected, found = newest(live(other), 1), stored(mine)
        if found["name"] == "invoke_agent":  # Strands has the sums over all invocations there
            for each in (expected, found):
                each["attributes"] = {key: v for key, v in each["attributes"].items() if "usage" not in key}
        for name in ("gen_ai.server.request.duration", "gen_ai.server.time_to_first_token"):
            assert (name in found["attributes"]) == (name in expected["attributes"])
            expected["attributes"].pop(name, None)
            found["attributes"].pop(name, None)
        assert found == expected
