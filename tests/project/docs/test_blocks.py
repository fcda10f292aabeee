"""The pages' Python, run as it stands: block by block, over SQLite files and over the emulator of the service."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.client import _retry

from ...emulator import Server
from ...processes import python
from .pages import (
    PAGES,
    ROOT,
    Block,
    blocks,
)

WITH_CODE = [page for page in PAGES if any(block.language == "python" for block in blocks(page.read_text("utf-8")))]


class Anything:
    """Equal to whatever it is compared with: a snapshot that is written anew."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def logger() -> Iterator[None]:
    """What a page does to the package's logger ends with the page."""
    ours = logging.getLogger("strands_persql")
    level, handlers = ours.level, list(ours.handlers)
    yield
    ours.setLevel(level)
    ours.handlers[:] = handlers


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator_server: Server) -> Iterator[dict[str, Any]]:
    """What a reader has at hand: a token, and an empty folder. The service is the emulator."""
    namespace = emulator_server.namespace("acme")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)
    monkeypatch.setenv("PERSQL_TOKEN", namespace.token())
    monkeypatch.setenv("PERSQL_API_URL", namespace.url)
    methods: list[Any] = [PerSQL.__init__, PerSQLSessionManager.from_token.__func__]  # type: ignore[attr-defined]
    for method in methods:
        monkeypatch.setitem(method.__kwdefaults__, "base_url", namespace.url)
    made: list[PerSQL] = []
    begin = PerSQL.__init__

    def remembered(self: PerSQL, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(PerSQL, "__init__", remembered)
    yield {"__name__": "docs"}
    for client in made:  # a page leaves open what its reader would go on with
        client.close()
    namespace.close()


def missing(block: Block) -> str | None:
    """Which of the modules and names that a block needs this release of Strands lacks."""
    for name in block.notes.get("needs", "").split():
        module, _, attribute = name.partition(":")
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None or (attribute and not hasattr(importlib.import_module(module), attribute)):
            return name
    return None


def run(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run a block, `await` at its top level included; a traceback names the page's own lines."""
    padded = "\n" * (block.line - 1) + block.code
    compiled = compile(padded, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if "compile only" in block.notes:
        return
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(compiled, names))
    else:
        exec(compiled, names)


def lines(text: str) -> list[str]:
    """The lines that hold something: an answer of Strands' ends with a line of its own."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def run_apart(code: str, setting: str) -> str:
    """Run code in a process of its own, since what it sets stays for good; what it prints.

    With a `setting`, `NAME=VALUE`, it has that one of the package's settings alone.
    """
    settings = {name: value for name, value in os.environ.items() if not (setting and name.startswith("PERSQL_"))}
    name, _, value = setting.partition("=")
    settings.update({name: value} if setting else {})
    path = os.pathsep.join([str(ROOT / "examples"), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [*python(), "-c", code],
        env={**settings, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_python_runs(page: Path, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Each block runs after those before it, and prints what the page says it prints."""
    for block in blocks(page.read_text("utf-8")):
        if block.language != "python" or missing(block):
            continue
        where = f"{page.name}:{block.line}"
        known = set(names)
        capsys.readouterr()
        try:
            if "own process" in block.notes:
                print(run_apart(block.code, block.notes["own process"]))
            else:
                run(block, page, names)
        except BaseException as error:
            error.args = (f"{where}: {error}", *error.args[1:])
            raise
        said = capsys.readouterr().out
        if block.output is not None:
            assert said.strip() == block.output.strip(), where
        for name in set(names) - known:
            if name.startswith("test_"):
                takes = inspect.signature(names[name]).parameters
                names[name](**({"snapshot": Anything()} if "snapshot" in takes else {}))


def test_hardly_anything_is_only_compiled() -> None:
    """A block that is not run is an exception, and says why."""
    unrun = [
        (page.name, block.notes["compile only"])
        for page in PAGES
        for block in blocks(page.read_text("utf-8"))
        if "compile only" in block.notes
    ]
    assert all(reason for _, reason in unrun), unrun
    assert len(unrun) <= 4, unrun
