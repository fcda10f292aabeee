"""The views for SQL of people's own: what they show, and that writers don't notice them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strands_persql import PermissionDeniedError, PerSQLSessions

from ...agents.agents import agent_of
from ...agents.harness import Store
from ...agents.remote.places import Remote
from ...agents.scripted import ScriptedModel, redact_user, tools, use

CONVERSATION = (
    "SELECT agent_id, position, role, text, tool_name, tool_errors, input_tokens, time FROM strands_conversation "
    "WHERE session_id = ? ORDER BY agent_id, position"
)


def rows(database: Any, sql: str, *params: Any) -> list[dict[str, Any]]:
    """What a query answers."""
    return [dict(row) for row in database.query(sql, params)["data"]]


@pytest.mark.slow
def test_one_row_a_message(place: Store) -> None:
    """Texts, tool uses, results and redactions are shown, of long messages too."""
    script: list[Any] = [
        tools(use("add", {"a": 1, "b": 2}), use("picture")),
        "three",
        redact_user("[removed]"),
        "x" * 1_500_000,
    ]
    agent = agent_of(ScriptedModel(script))(place.manager(session_id="s"))
    for prompt in ("1 + 2?", "my number is 4711", "a long one, please"):
        agent(prompt)
    database = place.database()
    names = PerSQLSessions(database).create_views()
    assert names == ("strands_conversation", "strands_usage")
    found = rows(database, CONVERSATION, "s")
    assert [(row["position"], row["role"]) for row in found] == [
        (number, "assistant" if number in (1, 3, 5, 7) else "user") for number in range(len(found))
    ]
    texts = [row["text"] for row in found]
    assert texts[0] == "1 + 2?"
    assert "3" in texts[2].splitlines()
    assert texts[3] == "three"
    assert texts[4] == "[removed]"
    assert texts[7] == "x" * 1_500_000
    assert found[1]["tool_name"] == "add, picture"
    assert all(row["time"] for row in found)
    [usage] = rows(database, "SELECT * FROM strands_usage WHERE session_id = 's'")
    counted = PerSQLSessions(database).usage("s")
    for name in ("messages", "model_calls", "tool_calls", "tool_errors", "input_tokens", "output_tokens", "latency_ms"):
        assert usage[name] == getattr(counted, name), name
    assert usage["first_time"] == found[0]["time"]


def test_damaged_rows_have_their_place(local: Store) -> None:
    """A row that SQLite can't read stands there without text, and hides no other."""
    agent_of(ScriptedModel(["one", "two"]))(local.manager(session_id="s"))("hello")
    database: Any = local.database()
    PerSQLSessions(database).create_views()
    odd = json.dumps({"message": {"role": "user", "content": [1, "x", {"text": 2}, {"toolResult": 3}]}})
    for position, data in ((5, "{"), (6, "[]"), (7, odd), (8, '{"message":5}')):
        database.query(
            "INSERT INTO strands_messages (session_id, agent_id, message_id, data) VALUES ('s', 'default', ?, ?)",
            (position, data),
        )
    found = rows(database, CONVERSATION, "s")
    assert [row["text"] for row in found] == ["hello", "one", None, None, None, None]
    assert rows(database, "SELECT messages, tool_calls FROM strands_usage") == [{"messages": 6, "tool_calls": 0}]


def test_writers_pay_nothing(local: Store) -> None:
    """With the views an agent writes the same statements."""
    sent: list[list[str]] = []
    for views in (False, True):
        place = f"s-{views}"
        if views:
            PerSQLSessions(local.database()).create_views()
        manager = local.manager(session_id=place)
        agent_of(ScriptedModel(["one"]))(manager)("hello")
        explained = local.database().query("SELECT count(*) AS n FROM sqlite_master WHERE type IN ('trigger', 'index')")
        sent.append([str(explained["data"])])
    assert sent[0] == sent[1]


def test_they_are_made_anew_and_dropped(place: Store) -> None:
    """Creating twice is harmless, dropping leaves the data, and dropping twice is harmless too."""
    agent_of(ScriptedModel(["one"]))(place.manager(session_id="s"))("hello")
    sessions = PerSQLSessions(place.database())
    sessions.create_views()
    sessions.create_views()
    before = place.rows()
    assert sessions.drop_views() == sessions.drop_views() == ("strands_conversation", "strands_usage")
    assert place.rows() == before
    with pytest.raises(Exception, match="strands_conversation"):
        place.database().query("SELECT * FROM strands_conversation")


def test_it_takes_an_admin_token(remote: Remote) -> None:
    """A token that may not run DDL is told which one may."""
    agent_of(ScriptedModel(["one"]))(remote.manager(session_id="s"))("hello")
    sessions = PerSQLSessions(remote.database(role="readwrite"))
    with pytest.raises(PermissionDeniedError, match="may not create or drop views"):
        sessions.create_views()
    with pytest.raises(PermissionDeniedError, match="may not create or drop views"):
        sessions.drop_views()
