"""Where the command line is tried: a local file, and the emulator; and how it is run, as a user runs it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

from strands import Agent, tool

from strands_persql import PerSQLSessionManager

from ..agents import scripted
from ..processes import python


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass
class Place:
    """A database, and the options and settings that lead to it."""

    database: Any
    options: tuple[str, ...]
    environment: dict[str, str]

    def run(self, *arguments: str) -> Done:
        """A command in this process, with the exit code and both streams; nothing is a terminal."""
        from strands_persql.cli._app import run

        clean = {name: value for name, value in os.environ.items() if not name.startswith("PERSQL_")}
        out, err = io.StringIO(), io.StringIO()
        settings = {**clean, "COLUMNS": "100", "TERM": "dumb", **self.environment}
        with (
            mock.patch.dict(os.environ, settings, clear=True),
            mock.patch.object(sys, "stdin", io.StringIO()),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = run([*arguments, *self.options])
        return Done(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A command in a process of its own."""
        return start(*arguments, *self.options, environment=self.environment, **options)


def start(*arguments: str, environment: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, with none of the user's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PERSQL_")}
    return subprocess.Popen(
        [*python(), "-m", "strands_persql", *arguments],
        env={**clean, "COLUMNS": "100", "TERM": "dumb", "PYTHONIOENCODING": "utf-8", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **{"stdin": subprocess.DEVNULL, **options},
    )


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def talk(
    database: Any, session_id: str, *, agent_id: str = "helper", turns: int = 1, words: str = "It is fine."
) -> None:
    """Let a real agent have a conversation of a tool turn and plain ones: 4 messages, and 2 more for each turn."""
    replies = [scripted.tools(scripted.use("weather", {"city": "Oslo"})), scripted.text(words)]
    replies += [scripted.text(f"answer {number}") for number in range(turns)]
    agent = Agent(
        model=scripted.ScriptedModel(replies),
        tools=[weather],
        session_manager=PerSQLSessionManager(session_id, database),
        agent_id=agent_id,
        callback_handler=None,
    )
    agent("How is the weather?")
    for number in range(turns):
        agent(f"question {number}")
