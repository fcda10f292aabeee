"""strands-harness: its preconfigured agent, with our session manager and storage in the place of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQLSessionManager
from strands_persql.client import Database
from strands_persql.testing import stored_rows

from ..needed import needed
from .elsewhere import check
from .models import ObedientModel, use

needed("strands_harness")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it writes itself, it writes into the test's own folder."""
    monkeypatch.chdir(tmp_path)


def build(manager: PerSQLSessionManager, agent_id: str) -> Any:
    """Its agent, with all that it switches on by itself but memories, which it keeps in files."""
    import strands_harness

    return strands_harness.create_harness(
        model=ObedientModel(),
        session=manager,
        storage=manager.storage(),
        memory=False,
        agent_id=agent_id,
        callback_handler=None,
    )


def harness(database: Database) -> Any:
    """Its agent, over the session "ada"."""
    return build(PerSQLSessionManager("ada", database), "default")


def results(agent: Any) -> list[str]:
    """What the calls of tools have come to."""
    found = [block["toolResult"] for each in agent.messages for block in each["content"] if "toolResult" in block]
    return ["".join(part.get("text", "") for part in each["content"]) for each in found]


def test_goes_on(database: Database, file: Path, tmp_path: Path) -> None:
    """Its list of things to do is in the session; the next process has it, and all that was said."""
    agent = harness(database)
    agent("My name is Ada.")
    todos = [{"content": "Pack", "activeForm": "Packing", "status": "pending"}]
    agent(use("todo_write", todos=todos))
    check(agent, file, "ada", build)
    again = harness(database)
    assert again.state.get("todos") == todos
    assert str(again("What is my name?")).strip() == "Your name is Ada."
    check(again, file, "ada", build)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("agents.db")] == []


def test_a_long_result(database: Database, file: Path, tmp_path: Path) -> None:
    """What its context manager puts aside is in the database, and had back after a restart."""
    path = tmp_path / "long.txt"
    path.write_text("\n".join(f"line {number}" for number in range(20_000)), encoding="utf-8")
    agent = harness(database)
    agent(use("read", path=str(path)))
    assert "line 1500" not in results(agent)[0]
    check(agent, file, "ada", build)
    path.unlink()
    reference = results(agent)[0].rpartition("[ref: ")[2].rstrip("]")
    again = harness(database)
    again(use("retrieve_context", reference=reference))
    assert "line 1500" in results(again)[-1]
    check(again, file, "ada", build)


def test_a_helper(database: Database, file: Path) -> None:
    """The agent that it delegates to, in the background, has no session; its answer is in its parent's."""
    agent = harness(database)
    agent(use("subagent", prompt="Hello.", task="Say hello."))
    assert any("You said: " in each for each in results(agent))
    check(agent, file, "ada", build)
    assert {row["agent_id"] for row in stored_rows(database)["messages"]} == {"default"}
