"""Exit codes, the two streams, and what goes wrong: one line with a remedy, never a traceback."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL
from strands_persql.cli._app import is_broken_pipe

from ..emulator.faults import latency
from ..systems import needs_interrupts
from .places import Place, start, talk


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code and both streams of a process."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """A local file with one session."""
    path = str(tmp_path / "agents.db")
    with PerSQL(local=path) as client:
        talk(client.database("acme/agents"), "chat", turns=3)
    return Place(None, ("--local", path), {})


WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no database": (("sessions",), 2, "--local FILE"),
    "no token": (("sessions", "--database", "acme/agents"), 2, "PERSQL_TOKEN"),
    "no name of a database": (("sessions", "--database", "agents"), 2, "namespace/slug"),
    "no such file": (("sessions", "--local", "{tmp}/none.db"), 1, "init"),
    "a folder without databases": (("sessions", "--local", "{tmp}"), 2, "or a file: --local FILE"),
    "a folder without this database": (("sessions", "--local", "{tmp}", "--database", "a/b"), 1, "a/b"),
    "a file of something else": (("sessions", "--local", "{tmp}/text.db"), 1, "no SQLite database"),
    "a database of something else": (("sessions", "--local", "{tmp}/other.db"), 1, "init"),
    "memory": (("sessions", "--local", ":memory:"), 2, "name a file"),
    "a bad prefix": (("sessions", "--local", "{tmp}/other.db", "--table-prefix", "no good"), 2, "--table-prefix"),
    "another prefix": (("sessions", "--local", "{file}", "--table-prefix", "x_"), 1, "--table-prefix"),
    "no command": (("nope",), 2, "--help"),
    "no option": (("sessions", "--nope"), 2, "--help"),
    "no session named": (("show",), 2, "SESSION"),
    "no such session": (("show", "nobody", "--local", "{file}"), 1, "does not exist"),
    "no such agent": (("show", "chat", "--agent", "x", "--local", "{file}"), 1, "x"),
    "no such message": (("rewind", "chat", "--to", "999", "--local", "{file}"), 1, "999"),
    "no time": (("sessions", "--since", "soon", "--local", "{file}"), 2, "7d"),
    "no number": (("sessions", "--limit", "many", "--local", "{file}"), 2, "--limit"),
    "nothing to change": (("update", "chat", "--local", "{file}"), 2, "--title"),
    "no words": (("search", " ", "--local", "{file}"), 1, "word"),
    "no source": (("import", "{tmp}/none", "--local", "{file}"), 1, "does not exist"),
    "a page in no folder": (("show", "chat", "--html", "{tmp}/no/page.html", "--local", "{file}"), 1, "make it first"),
    "no file of keys": (("show", "chat", "--key-file", "{tmp}/k", "--local", "{file}"), 2, "that can be read"),
    "two answers": (("show", "chat", "--html", "-", "--json", "--local", "{file}"), 2, "--html"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_line(local: Place, tmp_path: Path, name: str) -> None:
    """Each mistake has its exit code and one line that names the remedy; nothing is made by it."""
    (tmp_path / "text.db").write_text(
        "this is no database, but a text that is long enough to be looked at" * 20, encoding="utf-8"
    )
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    arguments, code, remedy = WRONG[name]
    file = local.options[1]
    (tmp_path / "x").mkdir()
    os.replace(file, tmp_path / "x" / "agents.db")
    file = str(tmp_path / "x" / "agents.db")
    before = sorted(os.listdir(tmp_path))
    done = Place(None, (), {}).run(*(argument.format(tmp=tmp_path, file=file) for argument in arguments))
    assert (done.code, done.out) == (code, ""), done.err
    assert remedy in done.err and done.err.startswith("strands-persql: ")
    assert done.err.count("\n") == 1
    assert [each for each in sorted(os.listdir(tmp_path)) if not each.startswith(("other", "text"))] == [
        each for each in before if not each.startswith(("other", "text"))
    ]


@pytest.mark.slow
def test_a_process_says_the_same(local: Place) -> None:
    """As a process: the answer on stdout alone, notes on stderr, the exit code, and no traceback."""
    code, out, err = ended(local.process("search", "question", "--limit", "1", "--json"))
    assert (code, len(json.loads(out)["hits"]), err) == (0, 1, "")
    code, out, err = ended(local.process("search", "question", "--limit", "1"))
    assert code == 0 and out.count("\n") == 1 and "--limit" in err
    code, out, err = ended(local.process("show", "nobody"))
    assert (code, out, err.count("\n")) == (1, "", 1)
    code, out, err = ended(start())
    assert code == 2 and "Commands:" in out and err == ""


def test_version_and_help() -> None:
    """The version, the exit codes and every command's help."""
    nowhere = Place(None, (), {})
    assert nowhere.run("--version").out.startswith("strands-persql ")
    top = nowhere.run("--help")
    assert top.code == 0 and "Exit codes" in top.out
    commands = "sessions show search usage init fork rewind rename index export import delete prune erase doctor"
    for command in commands.split():
        assert f"  {command} " in top.out
        page = nowhere.run(command, "--help")
        assert page.code == 0 and "--json" in page.out and "--local" in page.out and "--table-prefix" in page.out


@pytest.mark.slow
def test_a_reader_that_has_enough(local: Place) -> None:
    """A pipe that is closed early ends the command without a word."""
    for options in ((), ("--json",)):
        process = local.process("show", "chat", *options)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=60), err) == (141, "")


def test_what_tells_that_the_reader_is_gone() -> None:
    """Windows has another error for it, which means something else elsewhere, and of a file."""
    gone, invalid = BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.EINVAL, "Invalid argument")
    assert [is_broken_pipe(gone, windows=windows) for windows in (False, True)] == [True, True]
    assert [is_broken_pipe(invalid, windows=windows) for windows in (False, True)] == [False, True]
    of_file = OSError(errno.EINVAL, "Invalid argument", "agents.db")
    assert not is_broken_pipe(of_file, windows=True) and not is_broken_pipe(ValueError(), windows=True)


INTERRUPTED = """
import atexit, os, signal, sys

moment = sys.argv.pop(1)

def look(event, arguments):
    if arguments[:1] == (moment,):
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(look)
atexit.register(sys.audit, "the process ends", "exit")

from _strands_persql import main

main()
"""


@needs_interrupts
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["strands_persql", "strands.agent.agent", "typer", "exit"])
def test_interrupted_before_and_after_a_command(local: Place, moment: str) -> None:
    """Ctrl-C while the process imports Strands, and while it ends, is told as it is of a command."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, moment, "sessions", *local.options],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "strands-persql: interrupted\n")
    assert done.stdout.startswith("chat\t") == (moment == "exit")


@needs_interrupts
def test_interrupted(emulator: Any) -> None:
    """Ctrl-C ends a command that waits for the service, with 130 and one line."""
    talk(emulator.database(), "chat", turns=0)
    settings = {"PERSQL_TOKEN": emulator.token("admin"), "PERSQL_API_URL": emulator.url}
    emulator.reset()
    emulator.faults.always(latency(5))
    process = start("export", "chat", "-", "--database", emulator.name, environment=settings)
    while process.poll() is None and not emulator.requests:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "strands-persql: interrupted\n")


def test_a_folder_of_databases(tmp_path: Path) -> None:
    """A folder with one database needs no name; with two it does."""
    folder = tmp_path / "all"
    folder.mkdir()
    with PerSQL(local=str(folder)) as client:
        talk(client.database("acme/one"), "chat", turns=0)
        place = Place(None, ("--local", str(folder)), {})
        assert place.run("sessions").out.startswith("chat\t")
        talk(client.database("acme/two"), "other", turns=0)
    refused = place.run("sessions")
    assert refused.code == 2 and "acme/one, acme/two" in refused.err
    assert place.run("sessions", "--database", "acme/two").out.startswith("other\t")


def test_tables_of_storage_and_memory(emulator: Any) -> None:
    """`init` with an admin token makes all tables, so that a readwrite token is enough for everything."""
    settings = {"PERSQL_TOKEN": emulator.token("admin"), "PERSQL_API_URL": emulator.url}
    assert Place(None, ("--database", emulator.name), settings).run("init").code == 0
    rows = emulator.database().query("SELECT name FROM sqlite_master")["data"]
    assert {"strands_messages", "strands_objects", "strands_memories"} <= {row["name"] for row in rows}


@pytest.mark.slow
def test_sessions_are_completed(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell completes a session's id, and gets nothing where there is no database."""
    wanted = {"_STRANDS_PERSQL_COMPLETE": "complete_bash", "COMP_CWORD": "4"}
    line = f"strands-persql show --local {Path(local.options[1]).as_posix()} ch"  # the shell takes a backslash away
    assert ended(start(environment={**wanted, "COMP_WORDS": line}))[1].split() == ["chat"]
    nothing = ended(start(environment={**wanted, "COMP_CWORD": "2", "COMP_WORDS": "strands-persql show ch"}))
    assert nothing[1].strip() == "" and "Traceback" not in nothing[2]
