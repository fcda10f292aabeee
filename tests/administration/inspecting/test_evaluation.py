"""Stored sessions as cases and trajectories of strands-evals."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from strands.types.exceptions import SessionException

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessions

from ...agents.agents import agent_of
from ...agents.features import needs
from ...agents.scripted import ScriptedModel, redact_user, tools, use

EVALS = importlib.util.find_spec("strands_evals") is not None
with_evals = needs(EVALS, "strands-evals")


@pytest.fixture
def sessions() -> Iterator[PerSQLSessions]:
    """Two sessions, one of two agents."""
    with PerSQL(local=":memory:") as client:
        database = client.database("test/evals")
        script: list[Any] = [tools(use("add", {"a": 1, "b": 2})), "three", redact_user("[removed]")]
        agent = agent_of(ScriptedModel(script))(PerSQLSessionManager("a", database))
        agent("1 + 2?")
        agent("my word is swordfish")
        for agent_id in ("first", "second"):
            build = agent_of(ScriptedModel([f"I am {agent_id}"]), agent_id=agent_id)
            build(PerSQLSessionManager("b", database))("Who are you?")
        yield PerSQLSessions(database)


@pytest.mark.skipif(EVALS, reason="strands-evals is installed")
def test_what_is_missing_is_named(sessions: PerSQLSessions) -> None:
    """Without strands-evals the error says what to install."""
    with pytest.raises(ModuleNotFoundError, match="pip install strands-agents-evals"):
        sessions.evaluation("a")


@with_evals
def test_cases_and_trajectories(sessions: PerSQLSessions) -> None:
    """Each prompt is a case, with the stored answer and a trace of models and tools; redactions stay."""
    found = sessions.evaluation("a")
    assert [(case.name, case.input, case.session_id) for case in found.cases] == [
        ("a/default/0", "1 + 2?", "a"),
        ("a/default/4", "[removed]", "a"),
    ]
    done = found.replay(found.cases[0])
    assert done["output"] == "three"
    [trace] = done["trajectory"].traces
    assert [span.span_type.value for span in trace.spans] == ["invoke_agent", "inference", "execute_tool", "inference"]
    root, first, tool, last = trace.spans
    assert (root.user_prompt, root.agent_response, [each.name for each in root.available_tools]) == (
        "1 + 2?",
        "three",
        ["add"],
    )
    assert (tool.tool_call.name, tool.tool_call.arguments, tool.tool_result.content) == ("add", {"a": 1, "b": 2}, "3")
    assert tool.agent_span_id == root.span_info.span_id
    assert first.messages[-1].content[0].name == "add"
    assert last.messages[0].content[0].content == "3"
    assert len(found.trajectories[0].traces) == 2
    assert "swordfish" not in str(found)


@with_evals
def test_a_window_of_time(sessions: PerSQLSessions) -> None:
    """All sessions of a window; none of one that is over."""
    week = datetime.now(timezone.utc) - timedelta(days=7)
    assert {case.session_id for case in sessions.evaluation(since=week).cases} == {"a", "b"}
    assert sessions.evaluation(until=week).cases == []
    assert [case.name for case in sessions.evaluation("b", agent_id="second").cases] == ["b/second/0"]
    assert [case.expected_output for case in sessions.evaluation("b", expected=True).cases] == [
        "I am first",
        "I am second",
    ]
    with pytest.raises(SessionException):
        sessions.evaluation("nobody")


@with_evals
def test_an_experiment_runs(sessions: PerSQLSessions) -> None:
    """The package's own evaluators score what was stored, tool calls included."""
    from strands_evals import Experiment
    from strands_evals.evaluators.deterministic import Contains, ToolCalled

    found = sessions.evaluation("a")
    evaluators: Any = [Contains(value="three"), ToolCalled(tool_name="add")]
    report = Experiment(found.cases, evaluators).run_evaluations(found.replay)
    assert report.scores == [1.0, 0.0, 1.0, 0.0] or sorted(report.scores) == [0.0, 0.0, 1.0, 1.0]
