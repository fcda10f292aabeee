"""`strands-persql init`, run as a user runs it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL

from ..processes import python


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line with these arguments, and none of the user's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PERSQL_")}
    return subprocess.run(
        [*python(), "-c", "from strands_persql.cli import main; main()", *arguments],
        env={**clean, "COLUMNS": "100", "TERM": "dumb", "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


def tables_of(database: Any) -> set[str]:
    """The names of a database's tables."""
    rows = database.query("SELECT name FROM sqlite_master WHERE type = 'table'")["data"]
    return {row["name"] for row in rows if row["name"].startswith("strands_")}


def test_local_file(tmp_path: Path) -> None:
    """The tables stand in the file, and a second run changes nothing."""
    path = str(tmp_path / "agents.db")
    for _ in range(2):
        done = run("init", "--local", path)
        assert (done.returncode, done.stdout) == (0, f"{path}: tables strands_* have layout 1\n"), done.stderr
    with PerSQL(local=path) as client:
        assert "strands_messages" in tables_of(client.database("acme/agents"))


@pytest.mark.slow
def test_service(emulator: Any) -> None:
    """An admin token lays the tables out, and a readwrite token is enough from then on."""
    settings = {"PERSQL_API_URL": emulator.url, "PERSQL_DATABASE": emulator.name}
    refused = run("init", PERSQL_TOKEN=emulator.token("readwrite"), **settings)
    assert refused.returncode == 1
    assert "admin token" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = run("init", PERSQL_TOKEN=emulator.token("admin"), **settings)
    assert done.returncode == 0, done.stderr
    assert run("init", PERSQL_TOKEN=emulator.token("readwrite"), **settings).returncode == 0


@pytest.mark.slow
def test_mistakes_are_one_line(tmp_path: Path) -> None:
    """A missing database, token or a bad prefix: one line that names the remedy, never a traceback."""
    cases = {
        ("init",): "--local FILE",
        ("init", "--database", "acme/agents"): "PERSQL_TOKEN",
        ("init", "--local", str(tmp_path / "a.db"), "--table-prefix", "no good"): "--table-prefix must",
    }
    for arguments, remedy in cases.items():
        done = run(*arguments)
        assert done.returncode == 2
        assert remedy in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
def test_help() -> None:
    """Help names the command and its options."""
    assert "init" in run("--help").stdout
    assert "--table-prefix" in run("init", "--help").stdout
