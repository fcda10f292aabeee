"""The README's code, run as it stands there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import strands.session
from scripted_model import ScriptedModel
from strands import Agent as StrandsAgent
from strands.session import FileSessionManager, RepositorySessionManager

import strands_persql
from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager, PerSQLSessionRepository

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


class Anything:
    """Equal to whatever it is compared with: a snapshot that is written anew."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def run(code: str, names: dict[str, Any]) -> None:
    """Run a block, `await` at its top level included."""
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(compiled, names))
    else:
        exec(compiled, names)


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a reader has imported and made by the time a block is read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSQL_TOKEN", "psql_test_readme")

    def agent(**options: Any) -> StrandsAgent:
        return StrandsAgent(**{"model": ScriptedModel(), "callback_handler": None, **options})

    return {
        "Agent": agent,
        "FileSessionManager": FileSessionManager,
        "PerSQL": PerSQL,
        "PerSQLHooks": PerSQLHooks,
        "PerSQLSessionManager": PerSQLSessionManager,
        "PerSQLSessionRepository": PerSQLSessionRepository,
        "RepositorySessionManager": RepositorySessionManager,
        "db": PerSQL(local=":memory:").database("acme/agents"),
        "model": ScriptedModel(),
        "my_scripted_model": ScriptedModel,
        "other": FileSessionManager("user-42", storage_dir=str(tmp_path / "files")),
        "token": "psql_test_readme",
    }


@pytest.mark.parametrize("code", BLOCKS, ids=[block.strip().splitlines()[0][:40] for block in BLOCKS])
def test_block(code: str, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """A block runs, and the first prints what the README says it prints."""
    if "SnapshotSessionManager" in code and not hasattr(strands.session, "SnapshotSessionManager"):
        pytest.skip("this release of Strands has no SnapshotSessionManager over a Storage")
    if "PerSQLSessions" in code:
        agent = names["Agent"](session_manager=PerSQLSessionManager("user-42", names["db"]))
        agent("My name is Ada.")
        agent("What is my name?")
    run(code.replace("from strands import Agent\n", ""), names)
    if code is BLOCKS[0]:
        said = re.search(re.escape(code) + r"```\n\n```\n(.*?)```", README, re.DOTALL)
        assert said is not None
        assert capsys.readouterr().out.strip() == said[1].strip()
    for name, test in names.items():
        if name.startswith("test_"):
            test(Anything())


def test_names_exist() -> None:
    """Each public name that the README mentions exists."""
    mentioned = set(re.findall(r"`(PerSQL\w*|\w+Error)`", README)) - {"ValueError"}
    assert mentioned <= set(strands_persql.__all__), mentioned - set(strands_persql.__all__)


def test_commands_exist() -> None:
    """Each command of the README is in the repository, and may be run."""
    for command in set(re.findall(r"^(scripts/\w+)", README, re.MULTILINE)):
        path = ROOT / command
        assert path.is_file()
        assert sys.platform == "win32" or path.stat().st_mode & 0o111
