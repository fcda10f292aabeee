"""The examples of services, each run as a user runs it; skipped where the package that it is about is not installed."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from pathlib import Path

import pytest

from strands_persql import PerSQL, PerSQLSessionManager

from .test_examples import run


def needed(*modules: str) -> None:
    """Skip a test where one of these modules is missing."""
    for module in modules:
        pytest.importorskip(module, reason=f"{module} is not installed")


@pytest.mark.slow
def test_streaming(tmp_path: Path) -> None:
    """Over a socket: a reader who leaves, two at once, an answer that is finished all the same, one that is stopped."""
    needed("fastapi", "uvicorn")
    left, goes_on, twice, finished, stopped = run(tmp_path, "streaming_app").splitlines()
    assert left.endswith(
        "stored: ['user: My name is Ada.', 'assistant: Nice to meet you, Ada.', "
        "'user: and on and on and on and on and on …']"
    )
    assert goes_on.endswith(
        "goes on: ['assistant: (not answered)', 'user: What is my name?', 'assistant: Your name is Ada.']"
    )
    assert twice.endswith("answered once: ['user: hello', 'assistant: You said: hello']")
    assert finished.endswith(
        "finished: ['user: one two three four five six', 'assistant: You said: one two three four five six']"
    )
    assert "assistant: Cancelled by user" in stopped


async def test_stop_at_once() -> None:
    """An answer whose session is not open yet is stopped as well."""
    needed("fastapi", "uvicorn")
    database = PerSQL(local=":memory:").database("local/chats")
    answers = importlib.import_module("streaming_app").Answers(database)
    reading = asyncio.ensure_future(answers.words("s", "hello").__anext__())
    await asyncio.sleep(0)
    answers.stop("s")
    with pytest.raises(StopAsyncIteration):
        await reading
    assert not answers.is_running("s")
    stored = PerSQLSessionManager("s", database).list_messages("s", "default")
    assert [each.message["content"] for each in stored] == [[{"text": "hello"}], [{"text": "Cancelled by user"}]]


def test_flask(tmp_path: Path) -> None:
    """Requests of the same user at the same time lose nothing."""
    needed("flask")
    lines = run(tmp_path, "flask_app").splitlines()
    assert [line.strip() for line in lines if "Your name is" in line] == [
        "Your name is Ada. (4 messages)",
        "Your name is Ada. (6 messages)",
        "Your name is Grace. (4 messages)",
        "Your name is Grace. (6 messages)",
    ]


def test_flask_refuses_blanks() -> None:
    """A blank id, or text, is a mistake of whoever asks."""
    needed("flask")
    database = PerSQL(local=":memory:").database("local/users")
    client = importlib.import_module("flask_app").create_app(database).test_client()
    for user, body in [("%20", {"text": "hello"}), ("ada", {"text": " "}), ("ada", {})]:
        assert client.post(f"/users/{user}/messages", json=body).status_code == 422
    assert client.post("/users/ada/messages", json={"text": "hello"}).get_json()["messages"] == 2


def test_lambda(tmp_path: Path) -> None:
    """The second call of the handler goes on with the conversation."""
    assert "Your name is Ada." in run(tmp_path, "lambda_handler")


def test_a2a(tmp_path: Path) -> None:
    """Each context has a session, which another server goes on with."""
    needed("a2a")
    from strands.multiagent.a2a import A2AServer

    if "agent_factory" not in inspect.signature(A2AServer).parameters:
        pytest.skip("this release of Strands serves a single agent alone")
    assert run(tmp_path, "a2a_app").endswith("ada: what is my name?\n  Your name is Ada.\n")


def test_agentcore(tmp_path: Path) -> None:
    """Each of the runtime's sessions is one of PerSQL's."""
    needed("bedrock_agentcore")
    assert run(tmp_path, "agentcore_app").endswith("ada: what is my name?\n  Your name is Ada.\n")


def test_agui(tmp_path: Path) -> None:
    """Each thread has a session, which another app goes on with."""
    needed("ag_ui_strands")
    # The adapter closes a stream in another context than it was opened in, and OpenTelemetry logs that.
    assert run(tmp_path, "agui_app", logs_tracebacks=True).endswith("ada: what is my name?\n  Your name is Ada.\n")
