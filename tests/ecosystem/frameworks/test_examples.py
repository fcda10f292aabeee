"""The examples of services as they are served: each asked by a real client, and by the process that comes next."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ...processes import ROOT, python
from ..needed import needed
from .elsewhere import said
from .servers import client_of, free_port, in_process, until, words_in
from .test_a2a import say as say_by_a2a
from .test_agentcore import HEADER
from .test_agui import Page

needed("a2a", "ag_ui_strands", "bedrock_agentcore", "uvicorn")

TALK = [("My name is Ada.", "Nice to meet you, Ada."), ("What is my name?", "Your name is Ada.")]


@contextlib.contextmanager
def serving(example: str, file: Path) -> Iterator[str]:
    """An example in a process of its own; its address."""
    port = free_port()
    command = [str(ROOT / "examples" / f"{example}.py"), "--serve", "--port", str(port), "--file", str(file)]
    with in_process(*command, log=file.with_suffix(".log"), port=port) as (url, _):
        yield url


def by_a2a(url: str, text: str) -> str:
    return asyncio.run(say_by_a2a(url, "ada", text))[1]


def by_agentcore(url: str, text: str) -> str:
    with (
        client_of(url) as client,
        client.stream("POST", "/invocations", json={"prompt": text}, headers={HEADER: "ada"}) as response,
    ):
        return "".join(words_in(response)).strip()


def by_agui(url: str, text: str) -> str:
    return Page(url, "ada").say(text)


def by_fastapi(url: str, text: str) -> str:
    with client_of(url) as client:
        return str(client.post("/users/ada/messages", json={"text": text}).json()["text"])


def by_streaming(url: str, text: str) -> str:
    with client_of(url) as client, client.stream("POST", "/chats/ada", json={"prompt": text}) as response:
        return "".join(words_in(response)).strip()


@pytest.mark.parametrize(
    ("example", "ask"),
    [
        ("a2a_app", by_a2a),
        ("agentcore_app", by_agentcore),
        ("agui_app", by_agui),
        ("fastapi_app", by_fastapi),
        ("streaming_app", by_streaming),
    ],
)
def test_goes_on_in_the_next_process(example: str, ask: Callable[[str, str], str], file: Path) -> None:
    """Each process answers one question."""
    for question, answer in TALK:
        with serving(example, file) as url:
            assert ask(url, question) == answer
    assert said(file, "ada") == [
        each for question, answer in TALK for each in (("user", question), ("assistant", answer))
    ]


def test_an_answer_is_finished_although_its_reader_left(file: Path) -> None:
    """And one that a shutdown meets is stored as far as it got, within the server's grace."""
    prompt = " ".join(map(str, range(30)))
    with serving("streaming_app", file) as url, client_of(url) as client:
        with client.stream("POST", "/chats/ada", json={"prompt": prompt}, params={"finish": True}) as response:
            next(words_in(response))
        assert client.get("/chats/ada").json()["running"]
        until(lambda: not client.get("/chats/ada").json()["running"])
        with client.stream("POST", "/chats/ada", json={"prompt": "on " * 4_000}, params={"finish": True}) as response:
            next(words_in(response))
    told = [text for _, text in said(file, "ada")]
    assert told[:2] == [prompt, f"You said: {prompt}"]
    assert told[2] == ("on " * 4_000).strip()
    assert told[3].endswith("Cancelled by user")


def test_two_processes_answer_in_one_conversation(file: Path) -> None:
    """The later writer's stream ends with a "conflict", and its log has no traceback; the questions are both stored."""
    with serving("streaming_app", file) as here, serving("streaming_app", file) as there:
        long = {"prompt": " ".join(["on"] * 100)}
        with client_of(here) as client, client.stream("POST", "/chats/ada", json=long) as response:
            lines = response.iter_lines()
            assert next(lines) == 'data: "You"'
            assert by_streaming(there, "My name is Ada.") == "Nice to meet you, Ada."
            assert "event: conflict" in [*lines][-4:]
        assert by_streaming(here, "What is my name?") == "Your name is Ada."
    assert [text for _, text in said(file, "ada")][1:] == [
        "(not answered)",
        "My name is Ada.",
        "Nice to meet you, Ada.",
        "What is my name?",
        "Your name is Ada.",
    ]
    assert "ASGI" not in file.with_suffix(".log").read_text(encoding="utf-8")


def test_lambda(file: Path) -> None:
    """A process that was kept goes on after another one has answered, and the other way round."""
    code = """if True:
        import sys
        from lambda_handler import handler
        for body in sys.stdin:
            print(handler({"body": body}, None)["body"], flush=True)"""
    settings = {**os.environ, "PERSQL_LOCAL": str(file), "PYTHONPATH": str(ROOT / "examples")}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with contextlib.ExitStack() as stack:
        command = [*python(), "-c", code]
        calls = [stack.enter_context(subprocess.Popen(command, env=settings, **pipes)) for _ in range(2)]
        answers: list[str] = []
        for number, text in enumerate(["My name is Ada.", "What is my name?", "And you?", "What is my name?"]):
            process = calls[number % 2]
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps({"conversation": "ada", "text": text}) + "\n")
            process.stdin.flush()
            answers.append(json.loads(process.stdout.readline())["text"])
    assert answers == ["Nice to meet you, Ada.", "Your name is Ada.", "You said: And you?", "Your name is Ada."]
    assert len(said(file, "ada")) == 8
