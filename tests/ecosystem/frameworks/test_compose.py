"""strands-compose: a session manager that YAML names by the module's function, for one agent, several, and Graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL
from strands_persql.testing import stored_rows

from ...project.docs.pages import ROOT, blocks
from ..needed import needed
from .elsewhere import check, restored
from .models import use

needed("strands_compose")

MODELS = """
models:
  obedient:
    provider: tests.ecosystem.frameworks.models:ObedientModel
    model_id: none
session_manager:
  type: strands_persql:session_manager
  params:
    local: {file}
"""

ONE = """
agents:
  helper:
    model: obedient
    system_prompt: Help.
entry: helper
"""

TWO = """
agents:
  one: {model: obedient, system_prompt: Help., description: The first.NODE}
  two: {model: obedient, system_prompt: Help., description: The second.NODE}
entry: both
orchestrations:
  both:
    entry_name: one
"""


def made_of(folder: Path, text: str, session_id: str | None) -> Any:
    """What strands-compose makes of a file."""
    from strands_compose import load

    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load(str(path), session_id=session_id)


def loaded(folder: Path, text: str, session_id: str) -> Any:
    """What it makes of a configuration over our session manager, as its servers do for each session."""
    return made_of(folder, MODELS.replace("{file}", str(folder / "agents.db")) + text, session_id)


def test_as_the_page_has_it(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's file, but for its model, in an empty folder: the session that it names, and one that is given."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    (config,) = [block.code for block in blocks(page) if block.language == "yaml"]
    config = config.replace("provider: bedrock", "provider: tests.ecosystem.frameworks.models:ObedientModel")
    for session_id in (None, "user-43"):
        made = made_of(tmp_path, config, session_id)
        made.entry("My name is Ada.")
        check(made.agents["helper"], file, session_id or "user-42")


def test_one_agent(tmp_path: Path, file: Path) -> None:
    """The agent goes on in the next process, under its own name; another session knows nothing of it."""
    first = loaded(tmp_path, ONE, "ada")
    first.entry("My name is Ada.")
    check(first.agents["helper"], file, "ada")
    second = loaded(tmp_path, ONE, "ada")
    assert str(second.entry("What is my name?")).strip() == "Your name is Ada."
    assert loaded(tmp_path, ONE, "grace").agents["helper"].messages == []
    check(second.agents["helper"], file, "ada")


def test_the_environment_names_the_database(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `local` it is what `PERSQL_LOCAL` says."""
    monkeypatch.setenv("PERSQL_LOCAL", str(file))
    monkeypatch.setitem(globals(), "MODELS", MODELS.replace("  params:\n    local: {file}\n", ""))
    made = loaded(tmp_path, ONE, "ada")
    made.entry("My name is Ada.")
    check(made.agents["helper"], file, "ada")


def test_a_delegate(tmp_path: Path, file: Path) -> None:
    """Both agents are of the session, each with its own history."""
    text = TWO.replace("NODE", "") + "    mode: delegate\n    connections: [{agent: two, description: Ask it.}]\n"
    made = loaded(tmp_path, text, "ada")
    made.entry("My name is Ada.")
    made.entry(use("two", input="Hello."))
    assert [len(restored(file, "ada", each)["messages"]) for each in ("both", "two")] == [6, 2]
    check(made.entry, file, "ada")
    check(made.agents["two"], file, "ada")


@pytest.mark.parametrize(
    "shape", ["mode: swarm\n    agents: [one, two]", "mode: graph\n    edges: [{from: one, to: two}]"]
)
def test_graphs_and_swarms(tmp_path: Path, file: Path, shape: str) -> None:
    """Nodes have no session manager of their own: they opt out, and the whole is stored."""
    text = TWO.replace("NODE", ", session_manager: ~") + f"    {shape}\n"
    made = loaded(tmp_path, text, "ada")
    made.entry("My name is Ada.")
    again = loaded(tmp_path, text, "ada")
    again.entry("What is my name?")
    with PerSQL(local=file) as client:
        rows = stored_rows(client.database("acme/agents"))
    assert [(row["session_id"], row["multi_agent_id"]) for row in rows["multi_agents"]] == [("ada", "both")]
    assert rows["multi_agents"][0]["data"]["status"] == "completed"
