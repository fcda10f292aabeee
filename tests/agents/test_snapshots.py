"""Snapshots of every stored table: what each kind of session leaves behind, over a local file and over HTTP alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.multiagent import GraphBuilder, Swarm

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.testing import stored_rows

from .agents import add, ask, boom, remember
from .features import needs_newest_rows
from .harness import DATABASE, SESSION
from .scripted import ScriptedModel, overflow, redact_user, text, tools, use

pytestmark = needs_newest_rows

Rows = dict[str, list[dict[str, Any]]]
Run = Callable[[Any], None]


@pytest.fixture
def both(tmp_path: Path, emulator: Any) -> Callable[[Run], Rows]:
    """Runs a scenario over a local file and over HTTP, and answers what both of them stored."""

    def run_both(run: Run) -> Rows:
        with PerSQL(local=str(tmp_path / "sessions.db")) as client:
            local = client.database(DATABASE)
            run(local)
            rows = stored_rows(local)
        remote = emulator.database()
        run(remote)
        assert stored_rows(remote) == rows
        return rows

    return run_both


def agent(database: Any, *replies: Any, **options: Any) -> Agent:
    """An agent of the one session."""
    options.setdefault("session_manager", PerSQLSessionManager(SESSION, database))
    return Agent(model=ScriptedModel(replies), callback_handler=None, **options)


def test_plain_turn(both: Any, snapshot: Any) -> None:
    """A plain turn."""

    def run(database: Any) -> None:
        agent(database, text("Hello Ada.", reasoning="A greeting."), state={"language": "en"})("I am Ada.")

    assert both(run) == snapshot


def test_tool_turn(both: Any, snapshot: Any) -> None:
    """A turn with three tool calls, one of which fails and one of which changes the agent's state."""

    def run(database: Any) -> None:
        calls = tools(
            use("add", {"a": 1, "b": 2}, "use-1"),
            use("boom", {}, "use-2"),
            use("remember", {"key": "name", "value": "Ada"}, "use-3"),
            words="Let me see.",
        )
        agent(database, calls, "Three.", tools=[add, boom, remember])("What is 1 + 2?")

    assert both(run) == snapshot


def test_redaction(both: Any, snapshot: Any) -> None:
    """A prompt that a guardrail blocked."""

    def run(database: Any) -> None:
        one = agent(database, "Hello.", redact_user("[blocked]", "I can't help with that."))
        one("Hello!")
        one("A SECRET")

    rows = both(run)
    assert "SECRET" not in str(rows)
    assert rows == snapshot


def test_trimmed_window(both: Any, snapshot: Any) -> None:
    """A window that lost its first messages; the transcript keeps them."""

    def run(database: Any) -> None:
        manager = SlidingWindowConversationManager(window_size=2)
        one = agent(database, "one", "two", "three", conversation_manager=manager)
        for prompt in ("a", "b", "c"):
            one(prompt)

    assert both(run) == snapshot


def test_pinned_window(both: Any, snapshot: Any) -> None:
    """A window whose first message is pinned."""

    def run(database: Any) -> None:
        manager = SlidingWindowConversationManager(window_size=4, pin_first=1)
        one = agent(database, "one", "two", "three", "four", conversation_manager=manager)
        for prompt in ("a", "b", "c", "d"):
            one(prompt)

    assert both(run) == snapshot


def test_summary(both: Any, snapshot: Any) -> None:
    """A window that begins with a summary of what came before."""

    def run(database: Any) -> None:
        manager = SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2)
        replies = ["one", "two", overflow(), "They greeted each other.", "three"]
        one = agent(database, *replies, conversation_manager=manager)
        for prompt in ("a", "b", "c"):
            one(prompt)

    assert both(run) == snapshot


def test_interrupt(both: Any, snapshot: Any) -> None:
    """A turn that waits for an answer, one of its two tools done."""

    def run(database: Any) -> None:
        calls = tools(use("add", {"a": 1, "b": 2}, "use-1"), use("ask", {"question": "sure?"}, "use-2"))
        agent(database, calls, tools=[add, ask])("Go.")

    assert both(run) == snapshot


def test_graph(both: Any, snapshot: Any) -> None:
    """A graph of two nodes."""

    def run(database: Any) -> None:
        builder = GraphBuilder()
        for name in ("research", "write"):
            model = ScriptedModel([f"{name} is done"])
            builder.add_node(Agent(model=model, name=name, agent_id=name, callback_handler=None), name)
        builder.add_edge("research", "write")
        builder.set_entry_point("research")
        builder.set_graph_id("report")
        builder.set_execution_timeout(300)
        builder.set_session_manager(PerSQLSessionManager(SESSION, database))
        builder.build()("tea")

    assert both(run) == snapshot


def test_swarm(both: Any, snapshot: Any) -> None:
    """A swarm with a handoff."""

    def run(database: Any) -> None:
        handoff = {"agent_name": "write", "message": "over to you", "context": {"topic": "tea"}}
        models = {
            "research": ScriptedModel([tools(use("handoff_to_agent", handoff, "use-1")), "handed off"]),
            "write": ScriptedModel(["a report on tea"]),
        }
        nodes = [Agent(model=model, name=name, agent_id=name, callback_handler=None) for name, model in models.items()]
        Swarm(nodes, session_manager=PerSQLSessionManager(SESSION, database), id="team")("tea")

    assert both(run) == snapshot
