"""The pages' shell blocks: what is called exists and takes the options it is given, and `strands-persql` is run."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from strands_persql import PerSQLSessionManager
from strands_persql.cli import _app

from ...systems import is_executable
from .pages import (
    DOCS,
    PAGES,
    ROOT,
    blocks,
)
from .test_blocks import names

__all__ = ["names"]

PAGE = (DOCS / "command-line.md").read_text("utf-8")
APP: Any = typer.main.get_command(_app.app)
COMMANDS: dict[str, Any] = APP.commands
SHARED = {"--local", "--database", "--table-prefix", "--key-file", "--json", "-h", "--help"}


def lines(page: Path) -> list[tuple[str, list[str]]]:
    """The commands in a page's shell blocks, each with the place where it stands."""
    return [
        (f"{page.name}:{block.line + number}", shlex.split(line, comments=True))
        for block in blocks(page.read_text("utf-8"))
        if block.language == "bash"
        for number, line in enumerate(block.code.splitlines())
        if line.strip()
    ]


def options(command: Any) -> set[str]:
    """The options of a command, by all their names."""
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts) if name[0] == "-"}


def check_ours(arguments: list[str], where: str) -> None:
    """A call of `strands-persql`: its command exists, and has these options."""
    name, known = next((word for word in arguments if word in COMMANDS), None), options(APP) | SHARED
    assert name or all(word.startswith("-") for word in arguments), where
    if name:
        known |= options(COMMANDS[name])
    assert {word for word in arguments if re.match(r"--?[a-z]", word)} <= known, where


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_exist(page: Path) -> None:
    """Each line calls something that exists, in a form that it takes."""
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE))
    for where, words in lines(page):
        while re.match(r"\w+=", words[0]):
            words.pop(0)
        program, *arguments = words
        if program == "strands-persql":
            check_ours(arguments, where)
        elif program == "pip":
            wanted = re.fullmatch(r"(?:strands-persql|\.)(?:\[([\w,]+)\])?", arguments[-1])
            assert arguments[0] == "install" and wanted, where
            assert set((wanted[1] or "cli").split(",")) <= extras, where
        elif program == "python":
            is_module = arguments[0] == "-m" and importlib.util.find_spec(arguments[1])
            assert is_module or (ROOT / arguments[0]).is_file(), where
        elif program == "gunicorn":  # which tests/ecosystem runs
            assert re.fullmatch(r"\w+:\w+", arguments[-1]), where
        elif program == "export":
            assert re.match(r"PERSQL_\w+=\S+$", arguments[0]), where
        else:
            path = ROOT / program
            assert program.startswith("scripts/") and path.is_file() and is_executable(path), where


def sections() -> dict[str, str]:
    """The sections of the page on the command line that are about one command."""
    parts = re.split(r"^##+ (.+)\n", PAGE, flags=re.MULTILINE)
    return {title: text for title, text in zip(parts[1::2], parts[2::2], strict=True) if title in COMMANDS}


def test_every_command_is_documented() -> None:
    """Each command has a section of its own."""
    assert set(sections()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    """A command's table names its options, each with all its names, and no others."""
    documented = {
        option
        for cell in re.findall(r"^\| (`-.+?) \|", sections()[name], re.MULTILINE)
        for option in re.findall(r"`(--?[\w-]+)", cell)
    }
    assert documented == options(COMMANDS[name]) - SHARED


def test_shared_options_are_documented() -> None:
    """The options that all commands take are named once, and all commands take them."""
    table = PAGE.split("All commands take these options", 1)[1].split("\n\n", 2)[1]
    assert set(re.findall(r"`(--?[\w-]+)[` ]", table)) - {"--database"} == SHARED - {"--database"}
    for command in COMMANDS.values():
        assert options(command) | {"-h", "--help"} >= SHARED


@pytest.mark.slow
def test_the_page_runs(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The page's commands do what they should, one after the other, on a file with sessions and over the emulator."""
    from strands import Agent

    from strands_persql import PerSQL
    from strands_persql.encryption import generate_key
    from strands_persql.testing import OfflineModel

    with PerSQL(local="agents.db") as client:
        for user in ("user-41", "user-42"):
            manager = PerSQLSessionManager(user, client.database("acme/agents"))
            agent = Agent(model=OfflineModel(), session_manager=manager, callback_handler=None)
            agent("My name is Ada.")
            agent("What is my name?")
    monkeypatch.setenv("COLUMNS", "120")
    keys = [generate_key(), generate_key()]
    Path("key.txt").write_text(keys[0], "utf-8")
    Path("keyring.json").write_text(json.dumps(dict(enumerate(keys))), "utf-8")
    seen: set[str] = set()
    _app.run(["init", "--database", "acme/agents"])
    for where, words in lines(DOCS / "command-line.md"):
        if words[0] == "export" and words[1].startswith("PERSQL_DATABASE="):
            monkeypatch.setenv(*words[1].split("=", 1))
        if words[0] != "strands-persql" or "--install-completion" in words or "web" in words:
            continue  # a shell of its own; a server, which tests/cli/test_web.py runs
        name, arguments = next((word for word in words[1:] if word in COMMANDS), ""), words[1:]
        if name and "--yes" in options(COMMANDS[name]) and "--yes" not in arguments:
            arguments.append("--yes")
        capsys.readouterr()
        code = _app.run(arguments)
        told = capsys.readouterr()
        assert code == 0, f"{where}: {told.err}"
        assert "Traceback" not in told.err
        seen.add(name)
    assert seen >= set(COMMANDS) - {"web"}
