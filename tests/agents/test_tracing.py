"""OpenTelemetry spans round each batch: under the agent's own, with what was sent, and never with content."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import strands.telemetry.tracer
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from strands import Agent

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.engine import tracing

from ..emulator import faults
from .agents import agent_of
from .scripted import ScriptedModel, tools, use


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is recorded, by a provider of this test's alone."""
    strands.telemetry.tracer.get_tracer()  # Strands' own, which is made once, is no test's
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    """The spans of one name, in the order in which they ended."""
    return [span for span in spans.get_finished_spans() if span.name == name]


def test_each_batch_has_a_span(spans: InMemorySpanExporter, emulator: Any) -> None:
    """A turn: one restore, and a write for each message; the first brings the agent's row along."""
    model = ScriptedModel()
    model.play("SECRET answer")
    manager = PerSQLSessionManager("user-42", emulator.database())
    with tracing._tracer.start_as_current_span("request"):
        agent = Agent(model=model, agent_id="a", session_manager=manager, callback_handler=None)
    agent("SECRET question")
    restore, *_ = named(spans, "persql.restore")
    assert restore.attributes is not None
    assert restore.attributes["strands_persql.rows"] == 0
    first, second = named(spans, "persql.write")
    assert first.attributes is not None
    assert second.attributes is not None
    assert dict(first.attributes) | {"strands_persql.bytes": 0} == {
        "strands_persql.session_id": "user-42",
        "db.system.name": "persql",
        "db.operation.batch.size": 3,
        "strands_persql.agent_ids": ("a",),
        "strands_persql.bytes": 0,
        "strands_persql.rows": 2,
        "strands_persql.retries": 0,
    }
    assert int(str(first.attributes["strands_persql.bytes"])) > 100
    assert second.attributes["db.operation.batch.size"] == second.attributes["strands_persql.rows"] == 1
    assert first.kind is trace.SpanKind.CLIENT
    ours = [span for span in spans.get_finished_spans() if span.name.startswith("persql.")]
    assert "SECRET" not in "".join(span.to_json() for span in ours)


@pytest.mark.parametrize("opened", [False, True])
async def test_a_restore_is_no_trace_of_its_own(
    spans: InMemorySpanExporter, tmp_path: Any, emulator: Any, opened: bool
) -> None:
    """It belongs to the span in which the agent is built; where there is none, it is not recorded. The kind is told."""
    with PerSQL(local=str(tmp_path / "a.db")) as client:
        for database, system in ((client.database("a/b"), "sqlite"), (emulator.database(), "persql")):

            async def built(handle: Any = database) -> Agent:
                manager = await PerSQLSessionManager.open("s", handle) if opened else PerSQLSessionManager("s", handle)
                return Agent(model=ScriptedModel(["one!"]), session_manager=manager, callback_handler=None)

            spans.clear()
            await (await built()).invoke_async("one")
            assert not named(spans, "persql.restore")
            assert {(each.attributes or {})["db.system.name"] for each in named(spans, "persql.write")} == {system}
            with tracing._tracer.start_as_current_span("request") as request:
                await built()
            (restore,) = named(spans, "persql.restore")
            assert restore.parent is not None and restore.parent.span_id == request.get_span_context().span_id
            assert (restore.attributes or {})["db.system.name"] == system


@pytest.mark.parametrize("place", ["memory", "service"])
async def test_each_write_tells_whose_it_is(spans: InMemorySpanExporter, emulator: Any, place: str) -> None:
    """One that is made at once, and one whose request many sessions share."""
    database = emulator.database() if place == "service" else PerSQL(local=":memory:").database("a/b")

    async def session(number: int) -> None:
        model = ScriptedModel()
        model.play("one", "two")
        manager = PerSQLSessionManager(f"s{number}", database)
        agent = Agent(model=model, agent_id=f"a{number}", session_manager=manager, callback_handler=None)
        await agent.invoke_async("hello")
        await agent.invoke_async("again")

    await asyncio.gather(*map(session, range(8)))
    told = [dict(span.attributes or {}) for span in named(spans, "persql.write")]
    assert len(told) == 32
    for attributes in told:
        number = str(attributes["strands_persql.session_id"])[1:]
        assert attributes["strands_persql.agent_ids"] == (f"a{number}",)


async def test_a_span_belongs_to_the_event_it_came_from(spans: InMemorySpanExporter) -> None:
    """Two agents at once on the same worker threads, each under a span of its own; `open` likewise."""
    tracer = tracing._tracer
    database = PerSQL(local=":memory:").database("a/b")

    async def session(name: str) -> None:
        with tracer.start_as_current_span(name):
            manager = await PerSQLSessionManager.open(name, database)
            model = ScriptedModel()
            model.play("one", "two")
            agent = Agent(model=model, session_manager=manager, callback_handler=None)
            await agent.invoke_async("hello")
            await agent.invoke_async("again")

    ids = await asyncio.gather(*(session(f"session {number}") for number in range(4)))
    trace_of = {
        span.name: span.context.trace_id for span in spans.get_finished_spans() if span.name.startswith("session")
    }
    for number, _ in enumerate(ids):
        name = f"session {number}"
        own = [
            span
            for span in spans.get_finished_spans()
            if (span.attributes or {}).get("strands_persql.session_id") == name
        ]
        assert len([span for span in own if span.name == "persql.restore"]) == 1
        assert len([span for span in own if span.name == "persql.write"]) == 4
        assert {span.context.trace_id for span in own} == {trace_of[name]}


def test_retries_and_errors_are_told(spans: InMemorySpanExporter, emulator: Any) -> None:
    """A request that was sent again counts; one that failed for good has its error's type, and no words of it."""
    database = emulator.database()
    model = ScriptedModel()
    model.play("one", "two")
    agent = Agent(model=model, session_manager=PerSQLSessionManager("s", database), callback_handler=None)
    emulator.faults.next(faults.rate_limited(), faults.rate_limited())
    agent("hello")
    first = named(spans, "persql.write")[0]
    assert (first.attributes or {})["strands_persql.retries"] == 2
    database.batch([{"sql": "DELETE FROM strands_agents WHERE session_id = ?", "params": ["s"]}], transaction=True)
    with pytest.raises(Exception, match="deleted"):
        agent("again")
    failed = next(span for span in named(spans, "persql.write") if not span.status.is_ok)
    assert (failed.attributes or {})["error.type"] == "PerSQLError"
    assert not failed.events
    assert not failed.status.description
    (settled,) = named(spans, "persql.settle")
    assert settled.status.is_ok


def test_an_exporter_that_fails_disturbs_nobody(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn goes on, and what it stored is stored."""

    class Failing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("the exporter is broken")

    provider = TracerProvider()
    provider.add_span_processor(Failing())
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    model = ScriptedModel()
    model.play("one", "two")
    manager = PerSQLSessionManager("s", PerSQL(local=":memory:").database("a/b"))
    agent = Agent(model=model, session_manager=manager, callback_handler=None)
    agent("hello")
    agent("again")
    assert manager.pending == 0
    assert len(manager.list_messages("s", "default")) == 4


def test_a_worker_keeps_no_context(spans: InMemorySpanExporter) -> None:
    """What a handle records belongs to the event it came from, be that sampled or not, and not to an earlier one."""
    provider = TracerProvider()
    tracer = provider.get_tracer("app")
    parents: list[int | None] = []

    class Handle:
        def __init__(self) -> None:
            self.inner = PerSQL(local=":memory:").database("a/b")

        def query(self, sql: str, params: Any = ()) -> Any:
            return self.inner.query(sql, params)

        def batch(self, statements: Any, *, transaction: bool = False) -> Any:
            parents.append(trace.get_current_span().get_span_context().trace_id)
            return self.inner.batch(statements, transaction=transaction)

    model = ScriptedModel()
    model.play("one", "two")
    manager = PerSQLSessionManager("s", Handle())
    agent = Agent(model=model, session_manager=manager, callback_handler=None)
    traces: list[int] = []
    for prompt in ("hello", "again"):
        parents.clear()
        with tracer.start_as_current_span(prompt) as span:
            agent(prompt)
        traces.append(span.get_span_context().trace_id)
        assert set(parents) == {traces[-1]}
    assert len(set(traces)) == 2


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("convention", ["", "gen_ai_latest_experimental"])
async def test_an_evaluation_reads_the_agents_spans(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, convention: str, mode: str
) -> None:
    """strands-evals makes the same of an agent's trace with our spans in it and without."""
    mappers = pytest.importorskip("strands_evals.mappers")
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", convention)
    trajectories: list[Any] = []
    for manager in (None, PerSQLSessionManager("user-42", PerSQL(local=":memory:").database("a/b"))):
        monkeypatch.setattr(strands.telemetry.tracer, "_tracer_instance", None)
        spans.clear()
        model = ScriptedModel([tools(use("add", {"a": 1, "b": 2}, "u")), "three"])
        agent = agent_of(model)(manager)
        _ = agent("1 + 2?") if mode == "sync" else await agent.invoke_async("1 + 2?")
        session = mappers.StrandsInMemorySessionMapper().map_to_session(list(spans.get_finished_spans()), "case-1")
        trajectories.append([[_shape(span) for span in each.spans] for each in session.traces])
    assert trajectories[0] == trajectories[1]
    assert len(trajectories[0][0]) == 4


def _shape(span: Any) -> tuple[str, str]:
    """What an evaluation reads of a span, its times and ids apart."""
    fields = span.model_dump(exclude={"span_info", "agent_span_id"})
    return type(span).__name__, str(fields)


def test_the_newer_convention_is_told(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The span that ends first, which is ours, says which convention the trace follows; none has a session's id."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "other, gen_ai_latest_experimental")
    agent_of(ScriptedModel(["one!"]))(PerSQLSessionManager("s", PerSQL(local=":memory:").database("a/b")))("one")
    ours = [span.attributes or {} for span in spans.get_finished_spans() if span.name.startswith("persql.")]
    assert {each.get("gen_ai.provider.name") for each in ours} == {"strands-agents"}
    assert not any("session.id" in each for each in ours)
