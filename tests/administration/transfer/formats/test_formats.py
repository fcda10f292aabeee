"""What is exported for other programs: valid by their own types, with redactions in place, and nothing left behind."""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from strands import Agent, tool
from strands.multiagent import GraphBuilder
from strands.session import FileSessionManager
from strands.types.session import SessionAgent, SessionMessage

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager, PerSQLSessions, SessionDataError
from strands_persql.administration.transfer import FORMATS
from strands_persql.administration.transfer._items import message_item
from strands_persql.client import Database

from ....agents.scripted import ScriptedModel, redact_user, text, tools, use

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SECRET = "my word is swordfish"


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@tool
def fail() -> str:
    """Fail."""
    raise ValueError("no luck")


def agent_of(database: Database, agent_id: str, *script: Any) -> Agent:
    """An agent of the session."""
    return Agent(
        agent_id=agent_id,
        model=ScriptedModel(list(script)),
        tools=[add, fail],
        session_manager=PerSQLSessionManager("s", database, user="ada"),
        callback_handler=None,
    )


@pytest.fixture(scope="module")
def sessions() -> Iterator[PerSQLSessions]:
    """A session of two agents, with tools, an error, pictures, documents, and a redaction."""
    with PerSQL(local=":memory:") as client:
        database = client.database("test/formats")
        agent = agent_of(
            database,
            "a",
            tools(use("add", {"a": 1, "b": 2}), use("fail", {})),
            "Drei 橋 ```` \u2028 done",
            redact_user("[removed]"),
            "A pixel, and a page.",
        )
        agent("1 + 2?")
        agent(SECRET)
        prompt: Any = [
            {"text": "# What\n> is it?"},
            {"image": {"format": "png", "source": {"bytes": PIXEL}}},
            {"document": {"format": "pdf", "name": "page", "source": {"bytes": b"%PDF-1.4"}}},
            {"document": {"format": "txt", "name": "notes", "source": {"bytes": "Zürich".encode()}}},
            {"video": {"format": "mp4", "source": {"bytes": b"1234"}}},
        ]
        agent(prompt)
        agent_of(database, "b", "I am b.")("Who are you?")
        sessions = PerSQLSessions(database)
        sessions.update("s", title="Sums *and* pictures", tags=["x"])
        yield sessions


def exported(sessions: PerSQLSessions, form: Any) -> str:
    """The text of an export."""
    stream = io.StringIO()
    done = sessions.export("s", stream, form=form)
    assert (done.agents, done.messages, done.written) == (2, 10, 10)
    return stream.getvalue()


def lines(sessions: PerSQLSessions, form: Any) -> list[Any]:
    """The lines of an export."""
    return [json.loads(line) for line in exported(sessions, form).splitlines()]


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_redacted_content_stays_redacted(sessions: PerSQLSessions, form: str) -> None:
    """What a guardrail took out is in no export; what it put there is."""
    text = exported(sessions, form)
    assert SECRET not in text
    assert "swordfish" not in text
    assert "removed" in text


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_redactions_of_strands_own_files_stay(form: Any, tmp_path: Path) -> None:
    """Strands' own managers keep what was redacted beside what stands in its place: only that is exported."""
    files = FileSessionManager("s", storage_dir=str(tmp_path))
    files.create_agent("s", SessionAgent("default", {}, {}))
    said: Any = {"role": "user", "content": [{"text": SECRET}]}
    instead: Any = {"role": "user", "content": [{"text": "[removed]"}]}
    files.create_message("s", "default", SessionMessage(said, 0, instead))
    with PerSQL(local=":memory:") as client:
        sessions = PerSQLSessions(client.database("test/files"))
        sessions.import_from(tmp_path)
        stream = io.StringIO()
        sessions.export("s", stream, form=form)
    assert "swordfish" not in stream.getvalue()
    assert "removed" in stream.getvalue()


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_files_are_private_and_replace_nothing(sessions: PerSQLSessions, form: Any, tmp_path: Path) -> None:
    """A file holds what a stream does, is its owner's alone, and is not written over."""
    path = tmp_path / "new" / "session.txt"
    done = sessions.export("s", path, form=form)
    assert path.read_text("utf-8") == exported(sessions, form)
    assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert done.checksum == sessions.export("s", tmp_path / "whole.jsonl").checksum
    with pytest.raises(SessionDataError, match="exists already"):
        sessions.export("s", path, form=form)
    with pytest.raises(SessionDataError, match="does not exist"):
        sessions.export("nobody", tmp_path / "nobody.txt", form=form)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["new", "session.txt", "whole.jsonl"]


def test_forms_are_checked(sessions: PerSQLSessions, tmp_path: Path) -> None:
    """A form that there is not is told, with those that there are."""
    wrong: Any = "xml"
    with pytest.raises(ValueError, match="form must be one of anthropic, markdown, openai, otel, otel-events"):
        sessions.export("s", tmp_path / "s.xml", form=wrong)


def test_openai(sessions: PerSQLSessions) -> None:
    """A line for each agent, in OpenAI's roles; media where the format has a place, else their names."""
    first, second = lines(sessions, "openai")
    assert second == {
        "messages": [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "I am b."}]
    }
    messages = first["messages"]
    assert [each["role"] for each in messages] == [
        "user", "assistant", "tool", "tool", "assistant", "user", "assistant", "user", "assistant",
    ]  # fmt: skip
    calls = messages[1]["tool_calls"]
    assert messages[1]["content"] is None
    assert [(each["function"]["name"], json.loads(each["function"]["arguments"])) for each in calls] == [
        ("add", {"a": 1, "b": 2}),
        ("fail", {}),
    ]
    assert [each["tool_call_id"] for each in messages[2:4]] == [each["id"] for each in calls]
    assert messages[2]["content"] == "3"
    assert "no luck" in messages[3]["content"]
    text, image, document, notes, video = messages[7]["content"]
    assert text == {"type": "text", "text": "# What\n> is it?"}
    assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    assert document["file"]["filename"] == "page.pdf"
    assert notes == {"type": "text", "text": "[document txt, 7 bytes]"}
    assert video == {"type": "text", "text": "[video mp4, 4 bytes]"}


def test_openai_by_its_own_types(sessions: PerSQLSessions) -> None:
    """The SDK's own types take each message."""
    types: Any = pytest.importorskip("openai.types.chat", reason="the SDK of OpenAI is not installed")
    kind: Any = types.ChatCompletionMessageParam
    for line in lines(sessions, "openai"):
        for message in line["messages"]:
            checked(kind, message)


def test_anthropic(sessions: PerSQLSessions) -> None:
    """A line for each agent, in Anthropic's blocks."""
    first, second = lines(sessions, "anthropic")
    assert [each["role"] for each in second["messages"]] == ["user", "assistant"]
    messages = first["messages"]
    assert [block["type"] for block in messages[1]["content"]] == ["tool_use", "tool_use"]
    results = messages[2]["content"]
    assert [block["tool_use_id"] for block in results] == [block["id"] for block in messages[1]["content"]]
    assert ["is_error" in block for block in results] == [False, True]
    assert [block["type"] for block in messages[6]["content"]] == ["text", "image", "document", "document", "text"]
    assert messages[6]["content"][3]["source"] == {"type": "text", "media_type": "text/plain", "data": "Zürich"}


def test_anthropic_takes_signed_reasoning_alone() -> None:
    """It refuses a thought without the signature that it gave it."""
    content = [
        {"reasoningContent": {"reasoningText": {"text": "Unsigned.", **signature}}}
        for signature in ({}, {"signature": "abc"})
    ]
    said = {"role": "assistant", "content": [*content, {"text": "Yes."}]}
    [head, *_] = FORMATS["anthropic"]([message_item("a", 0, {"message": said, "message_id": 0}, "a message")])
    [message] = json.loads(head + "]}")["messages"]
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]
    assert message["content"][0]["signature"] == "abc"


def test_anthropic_by_its_own_types(sessions: PerSQLSessions) -> None:
    """The SDK's own types take each message."""
    types: Any = pytest.importorskip("anthropic.types", reason="the SDK of Anthropic is not installed")
    kind: Any = types.MessageParam
    for line in lines(sessions, "anthropic"):
        for message in line["messages"]:
            checked(kind, message)


def checked(kind: Any, message: Any) -> None:
    """Validate a message, and the parts that pydantic looks at only as they are read."""
    adapter = TypeAdapter(kind)  # which is to outlive the parts
    found = adapter.validate_python(message, strict=True)
    for part in found.values():
        if not isinstance(part, (str, dict, list)) and part is not None:
            list(part)


def test_markdown(sessions: PerSQLSessions) -> None:
    """People read it, and nothing that was said can change the page."""
    text = exported(sessions, "markdown")
    assert text.startswith("# Sums \\*and\\* pictures\n\n- Session: s\n")
    assert "\n> # What\n> > is it?\n" in text
    assert "*\\[image png, 70 bytes\\]*" in text
    assert "**Calls add**" in text
    assert "\n## Agent b\n" in text
    outside = [line for line in text.splitlines() if line.startswith("#")]
    assert len(outside) == 1 + 2 + 10


def test_markdown_of_a_graph() -> None:
    """Its nodes in their order, and the result of a node whose conversation nobody stored."""
    with PerSQL(local=":memory:") as client:
        database = client.database("acme/agents")
        builder = GraphBuilder()
        for name in ("zeta", "# alpha", "mid"):
            hooks: list[Any] = [PerSQLHooks("s", database)] if name == "mid" else []
            model = ScriptedModel([text(f"# {name} is done")])
            builder.add_node(Agent(model=model, agent_id=name, hooks=hooks, callback_handler=None), name)
        builder.add_edge("zeta", "# alpha")
        builder.add_edge("# alpha", "mid")
        builder.set_execution_timeout(60)
        builder.set_session_manager(PerSQLSessionManager("s", database))
        builder.build()("go")
        stream = io.StringIO()
        PerSQLSessions(database).export("s", stream, form="markdown")
    found = stream.getvalue()
    kept = found[found.index("\n## Graph or Swarm") :]
    assert "\n- Status: completed\n- Nodes: zeta, \\# alpha, mid\n" in kept
    results = "\n### Result of zeta\n\n> # zeta is done\n\n### Result of \\# alpha\n\n> # # alpha is done\n"
    assert kept.endswith(results)
    assert found.count("mid is done") == 1


def attributes(span: Any) -> dict[str, Any]:
    """The attributes of a span."""
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_spans(sessions: PerSQLSessions) -> None:
    """A trace for each prompt: the agent, its cycles, its model's answers, its tools, with all that was said."""
    traces = [line["resourceSpans"][0]["scopeSpans"][0]["spans"] for line in lines(sessions, "otel")]
    cycle = ["execute_event_loop_cycle", "chat"]
    assert [[span["name"].split()[0] for span in trace] for trace in traces] == [
        ["invoke_agent", *cycle, "execute_tool", "execute_tool", *cycle],
        *[["invoke_agent", *cycle]] * 3,
    ]
    ids = [span["spanId"] for trace in traces for span in trace]
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 16 for each in ids)
    assert {len({span["traceId"] for span in trace}) for trace in traces} == {1}
    root = traces[0][0]
    assert attributes(root)["gen_ai.conversation.id"] == attributes(root)["session.id"] == "s"
    assert attributes(root)["gen_ai.agent.name"] == "a"
    [picture] = [trace for trace in traces if "%PDF" not in str(trace) and "blob" in str(trace)]
    [given] = json.loads(attributes(picture[0])["gen_ai.input.messages"])
    assert [part["type"] for part in given["parts"]] == ["text", "blob", "blob", "blob", "blob"]
    assert base64.b64decode(given["parts"][1]["content"]) == PIXEL
    for span in (span for trace in traces for span in trace):
        assert 0 < int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    assert exported(sessions, "otel") == exported(sessions, "otel")


@pytest.mark.parametrize(("total", "prompt"), [(117, 115), (17, 15)], ids=["beside", "inside"])
def test_cached_tokens_are_tokens_of_the_prompt(total: int, prompt: int) -> None:
    """Some providers count them beside the input, others in it, which the total tells; Strands' tracer sums them up."""
    given = prompt if total == 17 else 5
    usage = {"inputTokens": given, "outputTokens": 2, "totalTokens": total}
    cached = {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 10}
    said = {"role": "assistant", "content": [{"text": "Yes."}], "metadata": {"usage": {**usage, **cached}}}
    document = {"message": said, "message_id": 0, "created_at": "2026-01-02T03:04:05+00:00"}
    [line] = FORMATS["otel"]([message_item("a", 0, document, "a message")])
    root, _, chat = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for span in (root, chat):
        counts = {name.removeprefix("gen_ai.usage."): value for name, value in attributes(span).items()}
        assert {name: counts[name] for name in ("input_tokens", "output_tokens", "total_tokens")} == {
            "input_tokens": str(prompt),
            "output_tokens": "2",
            "total_tokens": str(total),
        }
        assert (counts["cache_read.input_tokens"], counts["cache_creation.input_tokens"]) == ("100", "10")


def test_tool_uses_of_one_id_have_a_span_each() -> None:
    """Some models call each tool use by its tool's name."""
    with PerSQL(local=":memory:") as client:
        database = client.database("test/ids")
        script = [tools(use("add", {"a": n, "b": n}, "add")) for n in (1, 2)]
        agent_of(database, "a", *script, "Done.")("Add.")
        stream = io.StringIO()
        PerSQLSessions(database).export("s", stream, form="otel")
    [line] = map(json.loads, stream.getvalue().splitlines())
    spans = line["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert len({span["spanId"] for span in spans}) == len(spans) == 9
    results = [attributes(span)["gen_ai.tool.call.result"] for span in spans if span["name"] == "execute_tool add"]
    assert results == ['[{"text":"2"}]', '[{"text":"4"}]']


@pytest.mark.parametrize("form", ["otel", "otel-events"])
def test_spans_by_their_own_types(sessions: PerSQLSessions, form: str) -> None:
    """The messages of OTLP take each line."""
    pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed")
    json_format = importlib.import_module("google.protobuf.json_format")
    service = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    for line in lines(sessions, form):
        for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            for name in ("traceId", "spanId", "parentSpanId"):  # OTLP has ids in hex where protobuf's JSON has base64
                if name in span:
                    span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
        assert json_format.ParseDict(line, service.ExportTraceServiceRequest()).resource_spans
