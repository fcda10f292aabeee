"""One session through both doors: our session manager, and Strands' own manager over our repository."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.session import RepositorySessionManager

from strands_persql import Database, PerSQL, PerSQLSessionManager, PerSQLSessionRepository, SessionConflictError

from ..agents import TOOLS, agent_of
from ..features import needs_pins
from ..harness import words_of
from ..scripted import (
    Reply,
    ScriptedModel,
    redact_user,
    tools,
    use,
)

Door = Callable[[Database], Any]


def ours(database: Database) -> Any:
    """Our session manager."""
    return PerSQLSessionManager("user-42", database)


def theirs(database: Database) -> Any:
    """Strands' session manager, over our repository."""
    return RepositorySessionManager("user-42", PerSQLSessionRepository(database))


@pytest.fixture
def database() -> Database:
    """A fresh database."""
    return PerSQL(local=":memory:").database("test/doors")


def agent_at(door: Door, database: Database, *replies: Reply | str, **options: Any) -> Agent:
    """A new process's agent."""
    return agent_of(ScriptedModel(replies), **options)(door(database))


def sliding(size: int, **options: Any) -> Callable[[], Any]:
    """Makes a sliding window for each process."""
    return lambda: SlidingWindowConversationManager(window_size=size, **options)


def same(one: Agent, other: Agent) -> None:
    """Two agents have the same history and state."""
    assert words_of(one.messages) == words_of(other.messages)
    assert one.messages == other.messages
    assert one.state.get() == other.state.get()
    assert one.conversation_manager.get_state() == other.conversation_manager.get_state()


DOORS = pytest.mark.parametrize(("first", "second"), [(ours, theirs), (theirs, ours)], ids=["to-theirs", "to-ours"])


@DOORS
def test_a_plain_session(database: Database, first: Door, second: Door) -> None:
    """History and state written through one door are there behind the other."""
    agent = agent_at(first, database, "hello Ada", tools(use("add", {"a": 1, "b": 2})), "three")
    agent.state.set("name", "Ada")
    agent("I'm Ada")
    agent("one and two?")
    same(agent, agent_at(second, database))


@DOORS
def test_a_session_goes_back_and_forth(database: Database, first: Door, second: Door) -> None:
    """Each process takes up what the other left, whichever door it comes through."""
    said: list[str] = []
    for turn in range(6):
        agent = agent_at((first, second)[turn % 2], database, f"a{turn}", conversation_manager=sliding(40))
        assert words_of(agent.messages) == said
        assert agent.state.get("turn") == (turn - 1 if turn else None)
        agent.state.set("turn", turn)
        agent(f"q{turn}")
        said += [f"q{turn}", f"a{turn}"]
    transcript = PerSQLSessionRepository(database).list_messages("user-42", "default")
    assert words_of([one.to_message() for one in transcript]) == said
    assert [one.message_id for one in transcript] == list(range(12))


@DOORS
def test_a_trimmed_window(database: Database, first: Door, second: Door) -> None:
    """What was trimmed stays in the transcript and out of the history, behind the other door too."""
    agent = agent_at(first, database, *(f"a{n}" for n in range(5)), conversation_manager=sliding(4))
    for number in range(5):
        agent(f"q{number}")
    assert words_of(agent.messages) == ["q3", "a3", "q4", "a4"]
    other = agent_at(second, database, "a5", "a6", conversation_manager=sliding(4))
    same(agent, other)
    for number in (5, 6):
        other(f"q{number}")
    same(other, agent_at(first, database, conversation_manager=sliding(4)))
    assert len(PerSQLSessionRepository(database).list_messages("user-42", "default")) == 14


@DOORS
def test_a_summary(database: Database, first: Door, second: Door) -> None:
    """A summary in the place of older messages is there behind the other door, and stays when the session goes on."""

    def summarizing() -> Any:
        return SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2)

    manager = first(database)
    model = ScriptedModel([*(f"a{n}" for n in range(4)), "the summary"])
    agent = agent_of(model, conversation_manager=summarizing)(manager)
    for number in range(4):
        agent(f"q{number}")
    agent.conversation_manager.reduce_context(agent)
    manager.sync_agent(agent)
    assert words_of(agent.messages)[0] == "the summary"
    other = agent_at(second, database, "a4", "a5", conversation_manager=summarizing)
    assert words_of(other.messages) == words_of(agent.messages)
    assert other.conversation_manager.get_state() == agent.conversation_manager.get_state()
    other("q4")
    third = agent_at(first, database, conversation_manager=summarizing)
    assert words_of(third.messages) == [*words_of(agent.messages), "q4", "a4"]


def test_the_removed_messages_of_a_big_agent(database: Database) -> None:
    """Strands' count of removed messages holds for an agent whose state is stored in parts."""
    agent = agent_at(theirs, database, *(f"a{n}" for n in range(5)), conversation_manager=sliding(4))
    agent.state.set("notes", "n" * 3_000_000)
    for number in range(5):
        agent(f"q{number}")
    same(agent, agent_at(ours, database, conversation_manager=sliding(4)))


@DOORS
def test_a_redaction(database: Database, first: Door, second: Door) -> None:
    """A redacted message is redacted behind the other door, and no row holds the raw text."""
    agent = agent_at(first, database, redact_user("[gone]"))
    agent("SECRET")
    other = agent_at(second, database)
    same(agent, other)
    assert words_of(other.messages)[0] == "[gone]"
    for name in ("messages", "agents", "chunks"):
        assert "SECRET" not in str(database.query(f"SELECT * FROM strands_{name}")["data"])


@DOORS
def test_an_interrupt(database: Database, first: Door, second: Door) -> None:
    """An agent that waits for a person goes on behind the other door."""
    agent = agent_at(first, database, tools(use("ask", {"question": "sure?"}, "ask-1")))
    result: Any = agent("do it")
    assert result.stop_reason == "interrupt"
    other = agent_at(second, database, "done")
    same(agent, other)
    answer: Any = [
        {"interruptResponse": {"interruptId": interrupt.id, "response": "yes"}} for interrupt in result.interrupts
    ]
    assert other(answer).stop_reason == "end_turn"
    assert "they said yes" in str(other.messages)
    same(other, agent_at(first, database))


@DOORS
def test_bytes(database: Database, first: Door, second: Door) -> None:
    """Pictures come back as bytes."""
    agent = agent_at(first, database, tools(use("picture")), "nice")
    agent("show me")
    other = agent_at(second, database)
    same(agent, other)
    assert "bytes" in str(other.messages)


@DOORS
def test_several_agents(database: Database, first: Door, second: Door) -> None:
    """Agents of one session keep apart."""
    manager = first(database)
    agents = [
        Agent(
            model=ScriptedModel([f"a-{name}"]),
            session_manager=manager,
            agent_id=name,
            callback_handler=None,
            tools=list(TOOLS),
        )
        for name in ("one", "two")
    ]
    for agent in agents:
        agent(f"q-{agent.agent_id}")
    other = second(database)
    for agent in agents:
        restored = Agent(
            model=ScriptedModel(),
            session_manager=other,
            agent_id=agent.agent_id,
            callback_handler=None,
            tools=list(TOOLS),
        )
        same(agent, restored)


def test_created_at_of_big_rows_that_a_session_manager_wrote(database: Database) -> None:
    """An update through the repository keeps the time of the first writing, whoever wrote it, and in how many parts."""
    agent = agent_at(ours, database, "fine")
    agent.state.set("notes", "n" * 2_000_000)
    agent("q" * 2_000_000)
    repository = PerSQLSessionRepository(database)
    for big in (True, False):
        row, record = repository.read_message("user-42", "default", 0), repository.read_agent("user-42", "default")
        assert row is not None
        assert record is not None
        assert row.created_at[:2] == record.created_at[:2] == "20"
        first = (row.created_at, record.created_at)
        if not big:
            row.message["content"] = [{"text": "small"}]
            record.state = {}
        row.created_at = record.created_at = "later"
        repository.update_message("user-42", "default", row)
        repository.update_agent("user-42", record)
        row, record = repository.read_message("user-42", "default", 0), repository.read_agent("user-42", "default")
        assert row is not None
        assert record is not None
        assert (row.created_at, record.created_at) == first


# Where a live window can't be told in Strands' own terms


@needs_pins
def test_pins_behind_their_door(database: Database) -> None:
    """Strands' manager knows a count alone: behind its door the pinned messages are older messages again."""
    pinned = sliding(4, pin_first=1)
    agent = agent_at(ours, database, *(f"a{n}" for n in range(4)), conversation_manager=pinned)
    for number in range(4):
        agent(f"q{number}")
    live = words_of(agent.messages)
    assert live[0] == "q0"
    same(agent, agent_at(ours, database, conversation_manager=pinned))
    other = agent_at(theirs, database, conversation_manager=pinned)
    removed = agent.conversation_manager.removed_message_count
    everything = [word for n in range(4) for word in (f"q{n}", f"a{n}")]
    assert words_of(other.messages) == everything[removed:]
    assert words_of(other.messages) != live


def test_user_edits_behind_their_door(database: Database) -> None:
    """Strands' manager restores what was said: what the user took out as well, and no edits."""
    agent = agent_at(ours, database, "a0", "a1", "a2")
    agent("q0")
    agent("q1")
    del agent.messages[1]
    agent.messages.insert(1, {"role": "assistant", "content": [{"text": "put in between"}]})
    agent.messages[2]["content"] = [{"text": "q1, edited"}]
    agent("q2")
    live = words_of(agent.messages)
    assert live == ["q0", "put in between", "q1, edited", "a1", "q2", "a2"]
    assert words_of(agent_at(ours, database).messages) == live
    other = agent_at(theirs, database, "a3")
    assert words_of(other.messages) == ["q0", "a0", "q1", "a1", "q2", "a2"]
    other.state.set("seen", True)
    other("q3")
    # Strands' manager has written the agent since, so its view is the session's.
    assert words_of(agent_at(ours, database).messages) == words_of(other.messages)


def test_a_live_manager_notices_the_other_door(database: Database) -> None:
    """Who writes through the repository while a session manager is live is a rival like any other."""
    agent = agent_at(ours, database, "a0", "a1")
    agent("q0")
    other = agent_at(theirs, database, "b1")
    other("from the other door")
    before = copy.deepcopy(other.messages)
    with pytest.raises(SessionConflictError):
        agent("q1")
    assert agent_at(theirs, database).messages == before


def test_the_other_door_notices_a_live_manager(database: Database) -> None:
    """And the other way round: the second of two messages in one place is refused."""
    agent = agent_at(ours, database, "a0", "a1")
    agent("q0")
    other = agent_at(theirs, database, "b1")
    agent("q1")
    with pytest.raises(Exception, match="exists already"):
        other("from the other door")
    assert words_of(agent_at(ours, database).messages) == words_of(agent.messages)
