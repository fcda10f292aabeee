"""In a notebook: a cell that is run again, and records that are shown as tables of escaped text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from strands import Agent
from strands.types.exceptions import SessionException

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessions, SessionConflictError

from ..agents.scripted import ScriptedModel, tools, use
from .viewer.pages import Element, parse

HOSTILE = "<img src=x onerror=\"alert(1)\"> & '</td>'\ud800"
TABLE = {"table", "thead", "tbody", "tr", "th", "td", "br"}


@pytest.fixture
def db() -> Iterator[Any]:
    """A database."""
    with PerSQL(local=":memory:") as client:
        yield client.database("acme/agents")


def shown(record: Any) -> Element:
    """A record as a notebook shows it."""
    page = parse(record._repr_html_())
    assert {each.tag for each in page.all()} <= TABLE
    assert not any(each.attributes for each in page.all())
    return page


def test_a_cell_that_is_run_again(db: Any) -> None:
    """Manager and agent in one cell: the second run goes on with the session, and the earlier agent stores no more."""
    names: dict[str, Any] = {"Agent": Agent, "PerSQLSessionManager": PerSQLSessionManager, "db": db}
    names["model"] = ScriptedModel(["one!", "two!"])
    cell = "agent = Agent(model=model, session_manager=PerSQLSessionManager('s', db), callback_handler=None)"
    exec(cell, names)
    earlier = names["agent"]
    earlier("one")
    exec(cell, names)
    assert len(names["agent"].messages) == 2
    names["agent"]("two")
    with pytest.raises(SessionConflictError, match="taken over"):
        earlier("three")
    assert len(PerSQLSessionManager("s", db).list_messages("s", "default")) == 4


def test_a_cell_with_the_agent_alone_says_what_to_do(db: Any) -> None:
    """One manager takes one agent of an id; the error says how a cell is run again."""
    manager = PerSQLSessionManager("s", db)
    agent = Agent(model=ScriptedModel(), session_manager=manager, callback_handler=None)
    with pytest.raises(SessionException, match="manager anew in the same cell"):
        Agent(model=ScriptedModel(), session_manager=manager, callback_handler=None)
    assert agent.messages == []


def test_records_are_tables(db: Any) -> None:
    """Lists, a session, pages of messages and single ones."""
    model = ScriptedModel([tools(use("weather", {}, "u")), "sunny\nwarm"])
    agent = Agent(model=model, session_manager=PerSQLSessionManager("s", db, user="ada"), callback_handler=None)
    agent("how is it?")
    sessions = PerSQLSessions(db)
    listed = sessions.list()
    assert [each.text for each in shown(listed).all("td")][2:] == ["1", "0", "4", "ada", "how is it?"]
    assert shown(listed.sessions[0]).text == shown(listed).text
    assert [each.text for each in shown(sessions.get("s")).all("td")][5:8] == ["default", "4", "4"]
    page = shown(sessions.messages("s"))
    assert [each.text for each in page.all("td")][:3] == ["0", "user", "how is it?"]
    assert page.all("br") and "tool_call" in page.text
    texts = [shown(each).all("td")[2].text for page in sessions.transcript("s") for each in page]
    assert texts == ["how is it?", "→ weather", "← error", "sunnywarm"]


def test_text_is_escaped(db: Any) -> None:
    """No stored text becomes an element or an attribute, whatever it is called."""
    hostile = HOSTILE.replace("\ud800", "")
    agent = Agent(
        model=ScriptedModel([hostile]),
        session_manager=PerSQLSessionManager(hostile, db, user=hostile, title=hostile),
        agent_id="a",
        callback_handler=None,
    )
    agent(HOSTILE)
    sessions = PerSQLSessions(db)
    detail = sessions.get(hostile)
    records: list[Any] = [sessions.list(), detail, sessions.messages(hostile), *next(sessions.transcript(hostile))]
    for record in records:
        assert "onerror" in shown(record).text
        record._repr_html_().encode()
