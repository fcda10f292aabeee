"""The README: its code, run as it stands there, and what it leads to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import strands_persql
from strands_persql import testing

from ..processes import python
from ..systems import is_executable

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

TASKS = {
    "keep a session at PerSQL": "docs/remote.md",
    "know what a crash leaves": "docs/durability.md",
    "resume a Graph": "docs/multi-agent.md",
    "record beside another session manager": "docs/hooks.md",
    "bring sessions along": "docs/moving.md",
    "erase what a user said": "docs/privacy.md",
    "know what a turn costs": "docs/cost.md",
    "let users reach their chats": "docs/web-service.md",
    "look at all sessions": "docs/web-face.md",
    "test an agent": "docs/testing.md",
    "encrypt what is stored": "docs/encryption.md",
    "serve an agent with FastAPI": "docs/serving.md",
    "write to a session from two processes": "docs/reliability.md#two-writers",
    "change from FileSessionManager": "docs/coming-from.md",
    "rewind, or fork": "docs/administration.md",
    "see it in traces and logs": "docs/observability.md",
    "work in a notebook": "docs/notebooks.md",
}
"""What newcomers come for, and the page that each of them finds in one click."""


def test_the_block_runs_as_it_stands(tmp_path: Path) -> None:
    """Pasted into a file, in an empty folder, it prints what the README says it prints."""
    code, said = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL)[0]
    (tmp_path / "first.py").write_text(code, encoding="utf-8")
    ended = subprocess.run(
        [*python(), "first.py"], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == said.split()


def test_it_is_one_screen() -> None:
    """A newcomer reads it to its end."""
    assert len(README.encode()) <= 5_000
    assert README.count("```python") == 1


def test_each_task_is_one_click_away() -> None:
    """The pages of these tasks are linked from it."""
    links = re.findall(r"\]\((?:https://[^)]*/)?(docs/[\w-]+\.md(?:#[\w-]+)?)\)", README)
    assert set(TASKS.values()) <= set(links)


def test_names_exist() -> None:
    """Each public name that the README mentions exists."""
    mentioned = set(re.findall(r"\b(PerSQL\w+|OfflineModel)\b", README))
    assert mentioned <= {*strands_persql.__all__, *testing.__all__}


def test_commands_exist() -> None:
    """Each command of the README is in the repository, and may be run."""
    for command in set(re.findall(r"^(scripts/\w+)", README, re.MULTILINE)):
        path = ROOT / command
        assert path.is_file()
        assert is_executable(path)
