"""Strands' own tools that touch the agent they run in, or build agents of their own: the session stays whole."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from strands import Agent, tool
from strands.types.tools import ToolContext

from strands_persql import PerSQLSessionManager
from strands_persql.client import Database
from strands_persql.testing import stored_rows

from ..needed import needed
from .elsewhere import check
from .models import ObedientModel, use

needed("strands_tools")


@pytest.fixture(autouse=True)
def _unattended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tools ask nobody, write into the test's own folder, and where they take Strands' default model, it is ours."""
    monkeypatch.setenv("BYPASS_TOOL_CONSENT", "true")
    monkeypatch.setenv("STRANDS_TOOL_CONSOLE_MODE", "disabled")
    monkeypatch.setattr("strands.agent.agent.BedrockModel", ObedientModel)
    monkeypatch.chdir(tmp_path)


def tools(*names: str) -> list[Any]:
    """The tools of these names; a module where the package has it so."""
    return [importlib.import_module(f"strands_tools.{name}") for name in names]


def agent_with(database: Database, *names: str, others: Any = ()) -> Agent:
    """An agent with these tools, over the session "ada"."""
    manager = PerSQLSessionManager("ada", database)
    given = [*tools(*names), *others]
    return Agent(model=ObedientModel(), tools=given, session_manager=manager, callback_handler=None)


def results(agent: Agent) -> list[str]:
    """What the calls of tools have come to, by their status and their text."""
    found = [block["toolResult"] for each in agent.messages for block in each["content"] if "toolResult" in block]
    return [f"{each['status']}: " + "".join(part.get("text", "") for part in each["content"]) for each in found]


@tool(context=True)
def note(text: str, tool_context: ToolContext) -> str:
    """Put a text into the agent's state."""
    tool_context.agent.state.set("note", text)
    return "noted"


def test_files_and_a_journal(database: Database, file: Path, tmp_path: Path) -> None:
    """What tools read and write stands in the transcript."""
    agent = agent_with(database, "file_read", "file_write", "journal", "editor", "current_time")
    path = str(tmp_path / "plan.txt")
    agent(use("file_write", path=path, content="the night train"))
    agent(use("file_read", path=path, mode="view"))
    agent(use("journal", action="write", content="a quiet day") + "\n" + use("current_time"))
    agent(use("editor", command="str_replace", path=path, old_str="night", new_str="day"))
    told = results(agent)
    assert len(told) == 5
    assert all(each.startswith("success") for each in told), told
    assert "the night train" in told[1]
    check(agent, file, "ada")


@pytest.mark.parametrize("name", ["use_agent", "think", "swarm", "graph", "use_llm"])
def test_children(database: Database, file: Path, name: str) -> None:
    """Agents that a tool builds are none of the session's; the parent's tools serve them all the same."""
    agent = agent_with(database, name, others=[note])
    agent("My name is Ada.")
    node = {"id": "one", "role": "helper", "system_prompt": "Help."}
    given: dict[str, dict[str, Any]] = {
        "use_agent": {"prompt": "Grace says hello.", "system_prompt": "Help.", "tools": ["note"]},
        "use_llm": {"prompt": "Grace says hello.", "system_prompt": "Help."},
        "think": {"thought": "Grace says hello.", "cycle_count": 2, "system_prompt": "Think.", "tools": ["note"]},
        "swarm": {"task": "Grace says hello.", "agents": [{"name": "one", "system_prompt": "Help.", "tools": []}]},
        "graph": {"action": "create", "graph_id": "g", "topology": {"nodes": [node], "edges": []}},
    }
    agent(use(name, **given[name]))
    if name == "graph":
        agent(use(name, action="execute", graph_id="g", task="Grace says hello."))
    told = results(agent)
    assert all(each.startswith("success") for each in told), told
    assert "Grace" in told[-1] or name in ("graph", "swarm"), told  # whose results say how it went, no more
    assert str(agent("What is my name?")).strip() == "Your name is Ada."
    check(agent, file, "ada")
    rows = stored_rows(database)
    assert {row["agent_id"] for row in rows["agents"]} == {"default"}
    assert {row["agent_id"] for row in rows["messages"]} == {"default"}
    assert rows["multi_agents"] == []


def test_tools_that_call_tools(database: Database, file: Path) -> None:
    """`batch` calls tools on the agent directly, which Strands notes in its history amid the turn."""
    agent = agent_with(database, "batch", "current_time", others=[note])
    calls = [
        {"name": "note", "arguments": {"text": "by batch"}},
        {"name": "current_time", "arguments": {"timezone": "UTC"}},
    ]
    agent(use("batch", invocations=calls))
    assert agent.state.get("note") == "by batch"
    check(agent, file, "ada")
    agent("And now?")
    check(agent, file, "ada")


def test_called_directly(database: Database, file: Path) -> None:
    """`agent.tool.NAME()` between two turns is stored with the next one at the latest."""
    agent = agent_with(database, others=[note])
    agent("My name is Ada.")
    agent.tool.note(text="by hand")
    agent("What is my name?")
    assert agent.state.get("note") == "by hand"
    check(agent, file, "ada")


def test_a_tool_loaded_in_mid_session(database: Database, file: Path, tmp_path: Path) -> None:
    """`load_tool` changes the agent, not its session."""
    source = "from strands import tool\n\n@tool\ndef twice(text: str) -> str:\n    '''Double.'''\n    return text * 2\n"
    (tmp_path / "twice.py").write_text(source, encoding="utf-8")
    agent = agent_with(database, "load_tool")
    agent(use("load_tool", path=str(tmp_path / "twice.py"), name="twice"))
    agent(use("twice", text="ha"))
    assert results(agent)[-1] == "success: haha"
    check(agent, file, "ada")


def test_stopped_by_a_tool(database: Database, file: Path) -> None:
    """`stop` ends the turn after its result, and the next turn goes on."""
    agent = agent_with(database, "stop")
    agent(use("stop", reason="enough"))
    check(agent, file, "ada")
    assert str(agent_with(database, "stop")("My name is Ada.")).strip() == "Nice to meet you, Ada."


def test_handed_over_to_a_person(database: Database, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`handoff_to_user` that ends the loop leaves a session that goes on in another process."""
    monkeypatch.setattr("builtins.input", lambda *_: "go on")
    agent = agent_with(database, "handoff_to_user")
    agent(use("handoff_to_user", message="Please decide.", breakout_of_loop=True))
    check(agent, file, "ada")
    again = agent_with(database, "handoff_to_user")
    assert json.dumps(again.messages) == json.dumps(agent.messages)
