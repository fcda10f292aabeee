"""The examples, run as a user runs them: as processes of their own, from somewhere else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ...processes import python

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def quickstart(
    folder: Path, *arguments: str, answers: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run examples/quickstart.py in a process of its own, over a file in `folder`, with none of the user's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PERSQL_", "OPENAI_"))}
    return subprocess.run(
        [*python(), str(EXAMPLES / "quickstart.py"), *arguments],
        cwd=folder,
        env={**clean, "PYTHONIOENCODING": "utf-8", **environment},
        input=answers,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_second_process_remembers(tmp_path: Path) -> None:
    """What one process was told, the next one answers from the stored session, and another session knows nothing."""
    place = ("--file", str(tmp_path / "agents.db"))
    first = quickstart(tmp_path, "my name is Ada", *place)
    assert (first.returncode, first.stdout) == (0, "Nice to meet you, Ada.\n"), first.stderr
    assert "0 messages restored" in first.stderr

    second = quickstart(tmp_path, "what is my name?", *place)
    assert (second.returncode, second.stdout) == (0, "Your name is Ada.\n"), second.stderr
    assert "2 messages restored" in second.stderr

    other = quickstart(tmp_path, "what is my name?", *place, "--session", "another")
    assert other.stdout == "You have not told me your name yet.\n", other.stderr


def test_conversation_ends_with_the_input(tmp_path: Path) -> None:
    """Without a prompt each line is a turn of one conversation, and the end of the input ends it."""
    place = ("--file", str(tmp_path / "agents.db"))
    talk = quickstart(tmp_path, *place, answers="I am Ada Lovelace\nhow many messages?\nwhat is my name?")
    assert talk.returncode == 0, talk.stderr
    assert "Nice to meet you, Ada Lovelace." in talk.stdout
    assert "I was given 3 messages" in talk.stdout
    assert "Your name is Ada Lovelace." in talk.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "remedy"),
    [
        pytest.param(["--database", "acme/agents"], {}, "PERSQL_TOKEN", id="database without token"),
        pytest.param(["--token", "psql_test_x"], {}, "--database", id="token without database"),
        pytest.param([], {"PERSQL_TOKEN": "psql_test_x"}, "--database", id="token in the environment, no database"),
        pytest.param(["--token", "psql_test_x", "--file", "x.db"], {}, "leave out", id="token and file"),
        pytest.param(["--model", "openai"], {}, "openai", id="provider without package or key"),
        pytest.param(
            ["--token", "psql_test_x", "--database", "no-namespace"], {}, "namespace/", id="name without namespace"
        ),
    ],
)
def test_mistakes_are_told_in_one_line(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], remedy: str
) -> None:
    """A mistake in the settings leaves one line with its remedy, no traceback and no token."""
    run = quickstart(tmp_path, "hello", *arguments, **environment)
    assert run.returncode != 0
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1, run.stderr
    assert run.stderr.startswith("quickstart: ")
    assert remedy in run.stderr
    assert "psql_test_x" not in run.stderr
