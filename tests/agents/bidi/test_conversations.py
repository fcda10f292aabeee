"""Bidirectional agents: whatever was said is restored whole, and the next conversation goes on from it."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from strands.types.exceptions import SessionException

from strands_persql import PerSQLHooks, PerSQLSessionManager

from ..agents import TOOLS
from ..features import needs
from ..harness import (
    Store,
    assert_rows_sound,
    assistant,
    canonical,
    roles_of,
    user,
    words_of,
)
from .scripted import (
    UPDATES,
    BidiAgent,
    ScriptedBidiModel,
    converse,
    does,
    drops,
    fails,
    goes_on,
    hears,
    says,
    starts,
    stops,
    uses,
)

needs_updates = needs(UPDATES, "transcripts that grow")


def agent_of(model: ScriptedBidiModel, session_manager: Any = None, **options: Any) -> Any:
    """An agent with all tools."""
    return BidiAgent(model=model, session_manager=session_manager, tools=list(TOOLS), **options)


def assert_restores(store: Store, live: Any) -> Any:
    """A new process gets the live agent's messages and state."""
    again = agent_of(ScriptedBidiModel(), store.manager(), agent_id=live.agent_id)
    assert canonical(again.messages) == canonical(live.messages)
    assert canonical(again.state.get()) == canonical(live.state.get())
    assert_rows_sound(store)
    return again


async def test_conversation(store: Store) -> None:
    """Text from the user and transcripts of both are restored in a second process, which goes on."""
    model = ScriptedBidiModel(
        hears(), says("assistant", "hello"), says("user", "how are you"), says("assistant", "well")
    )
    agent = agent_of(model, store.manager())
    await converse(agent, "hi")
    assert words_of(agent.messages) == ["hi", "hello", "how are you", "well"]
    assert roles_of(agent.messages) == "uaua"
    again = assert_restores(store, agent)

    model = ScriptedBidiModel(hears(), says("assistant", "welcome back"))
    again = agent_of(model, store.manager())
    await converse(again, "me again")
    assert words_of(model.given[0]) == ["hi", "hello", "how are you", "well"]
    assert words_of(store.messages()) == ["hi", "hello", "how are you", "well", "me again", "welcome back"]
    assert_restores(store, again)


async def test_tools(store: Store) -> None:
    """Tool uses and their results are restored in pairs, with the state that the tools changed."""
    model = ScriptedBidiModel(
        hears(),
        uses("add", {"a": 1, "b": 2}),
        uses("remember", {"key": "k", "value": {"deep": [1, None]}}),
        uses("boom"),
        says("assistant", "done"),
    )
    agent = agent_of(model, store.manager())
    await converse(agent, "go")
    assert agent.state.get("k") == {"deep": [1, None]}
    used = [
        block["toolUse"]["toolUseId"]
        for message in agent.messages
        for block in message["content"]
        if "toolUse" in block
    ]
    answered = [
        block["toolResult"]["toolUseId"]
        for message in agent.messages
        for block in message["content"]
        if "toolResult" in block
    ]
    assert used == answered
    assert len(set(used)) == 3
    assert_restores(store, agent)


async def test_several_conversations(store: Store) -> None:
    """One agent that is started and stopped again and again."""
    agent = agent_of(ScriptedBidiModel(), store.manager())
    for number in range(3):
        agent.model = ScriptedBidiModel(hears(), says("assistant", f"answer {number}"))
        await converse(agent, f"question {number}")
        assert_restores(store, agent)
    assert len(store.messages()) == 6


async def test_connection_restart(store: Store) -> None:
    """A connection that times out and is made anew loses nothing and doubles nothing."""
    model = ScriptedBidiModel(
        hears(), says("assistant", "one"), drops(), says("assistant", "two"), drops(), says("user", "three")
    )
    agent = agent_of(model, store.manager())
    await converse(agent, "hi")
    assert words_of(store.messages()) == ["hi", "one", "two", "three"]
    assert [words_of(given) for given in model.given] == [[], ["hi", "one"], ["hi", "one", "two"]]
    assert_restores(store, agent)


async def test_broken_connection(store: Store) -> None:
    """A connection that breaks leaves what was said before."""
    model = ScriptedBidiModel(hears(), says("assistant", "one"), fails(RuntimeError("broken")))
    agent = agent_of(model, store.manager())
    with pytest.raises(RuntimeError, match="broken"):
        await converse(agent, "hi")
    assert words_of(store.messages()) == ["hi", "one"]
    assert_restores(store, agent)


async def test_state_set_by_hand(store: Store) -> None:
    """State that the user set during a conversation is stored when it stops."""
    agent = agent_of(ScriptedBidiModel(hears(), says("assistant", "one")), store.manager())
    await agent.start()
    await agent.send("hi")
    assert [event async for event in agent.receive()]
    agent.state.set("by", "hand")
    await agent.stop()
    assert assert_restores(store, agent).state.get("by") == "hand"


async def test_state_of_a_new_agent(store: Store) -> None:
    """State that an agent was built with is stored; a restored agent's wins over what it is built with."""
    agent = agent_of(ScriptedBidiModel(hears()), store.manager(), state={"from": "the start"})
    await converse(agent, "hi")
    again = agent_of(ScriptedBidiModel(), store.manager(), state={"other": 1})
    assert again.state.get() == {"from": "the start"}


async def test_preloaded(store: Store) -> None:
    """Messages that a new agent was built with are stored at once."""
    agent = agent_of(ScriptedBidiModel(), store.manager(), messages=[user("p"), assistant("q")])
    assert words_of(store.messages()) == ["p", "q"]
    assert_restores(store, agent)


async def test_removed_by_hand(store: Store) -> None:
    """Messages that the user takes out of the history leave the window, not the transcript."""
    agent = agent_of(ScriptedBidiModel(hears(), says("assistant", "one")), store.manager())
    await converse(agent, "hi")
    del agent.messages[0]
    agent.model = ScriptedBidiModel(hears(), says("assistant", "two"))
    await converse(agent, "again")
    assert words_of(store.messages()) == ["hi", "one", "again", "two"]
    assert_restores(store, agent)


async def test_stored_as_it_is_said(store: Store) -> None:
    """What was said is stored before the next is heard, not when the conversation stops."""
    seen: list[list[str]] = []
    look = does(lambda: seen.append(words_of(store.messages())))
    model = ScriptedBidiModel(hears(), look, says("assistant", "one"), look, says("user", "two"), look)
    await converse(agent_of(model, store.manager()), "hi")
    assert seen == [["hi"], ["hi", "one"], ["hi", "one", "two"]]


@pytest.mark.parametrize("durability", ["message", "overlap", "invocation"])
async def test_durability(store: Store, durability: Any) -> None:
    """Under each durability all is stored once the conversation has stopped."""
    model = ScriptedBidiModel(hears(), uses("remember", {"key": "k", "value": 1}), says("assistant", "one"))
    agent = agent_of(model, store.manager(durability=durability))
    await converse(agent, "hi")
    assert_restores(store, agent)


@needs_updates
async def test_interleaved_transcripts(store: Store) -> None:
    """Transcripts of both sides that grow side by side keep their places, and are stored whole."""
    model = ScriptedBidiModel(
        starts("user"),
        starts("assistant"),
        goes_on("assistant", "one "),
        goes_on("user", "a "),
        goes_on("assistant", "two"),
        stops("assistant"),
        goes_on("user", "b"),
        stops("user"),
    )
    agent = agent_of(model, store.manager())
    await converse(agent)
    assert words_of(agent.messages) == ["a b", "one two"]
    assert words_of(store.messages()) == ["a b", "one two"]
    assert_restores(store, agent)


@needs_updates
async def test_unfinished_transcript(store: Store) -> None:
    """A transcript that was broken off is stored as Strands leaves it."""
    model = ScriptedBidiModel(starts("assistant"), goes_on("assistant", "half a sen"))
    agent = agent_of(model, store.manager())
    await converse(agent)
    assert len(agent.messages) == 1
    assert store.messages() == agent.messages
    assert_restores(store, agent)


@needs_updates
async def test_killed_in_a_transcript(store: Store) -> None:
    """A process that dies while a transcript grows: the next one begins with what was complete."""
    restored: list[Any] = []
    model = ScriptedBidiModel(
        hears(),
        says("assistant", "whole"),
        starts("assistant"),
        goes_on("assistant", "half"),
        does(lambda: restored.append(agent_of(ScriptedBidiModel(), store.manager()))),
        stops("assistant"),
    )
    await converse(agent_of(model, store.manager()), "hi")
    (again,) = restored
    assert words_of(again.messages) == ["hi", "whole"]


async def test_two_agents(store: Store) -> None:
    """Two agents of one session keep apart; two of one id are refused."""
    manager = store.manager()
    agents = [agent_of(ScriptedBidiModel(hears(), says("assistant", name)), manager, agent_id=name) for name in "ab"]
    for agent in agents:
        await converse(agent, f"to {agent.agent_id}")
        assert_restores(store, agent)
    with pytest.raises(SessionException, match="agent_id="):
        agent_of(ScriptedBidiModel(), manager, agent_id="a")


async def test_opened_ahead(store: Store) -> None:
    """A session that was read ahead makes no request in the agent's constructor."""
    agent = agent_of(ScriptedBidiModel(hears(), says("assistant", "one")), store.manager())
    await converse(agent, "hi")
    database = store.database()
    manager = await PerSQLSessionManager.open("session-1", database)
    database.clear()
    again = agent_of(ScriptedBidiModel(), manager)
    assert database.requests == []
    assert again.messages == agent.messages
    manager.close()


async def test_requests(store: Store) -> None:
    """A conversation costs one request a message, and one more where a transcript is replaced; stopping costs none."""
    database = store.database()
    agent = agent_of(ScriptedBidiModel(hears(), says("assistant", "one")), store.manager(database))
    await converse(agent, "hi")
    agent.model = ScriptedBidiModel(hears(), says("assistant", "two"))
    database.clear()
    await converse(agent, "again")
    assert len(database.requests) == (3 if UPDATES else 2)
    database.clear()
    await agent.stop()
    assert database.requests == []


# The mirror


def mirror_of(store: Store, **options: Any) -> PerSQLHooks:
    """A mirror over a client of its own."""
    return PerSQLHooks("session-1", store.database(), **options)


@pytest.mark.parametrize(
    "options", [{}, {"redaction_safe": True}, {"durability": "overlap"}, {"durability": "invocation"}], ids=str
)
async def test_mirror(store: Store, options: Any) -> None:
    """A mirror on a bidirectional agent stores the same as a manager."""
    model = ScriptedBidiModel(
        hears(), uses("add", {"a": 1, "b": 2}), says("assistant", "three"), says("user", "thanks")
    )
    agent = agent_of(model, hooks=[mirror_of(store, **options)])
    await converse(agent, "1 + 2?")
    assert store.messages() == agent.messages
    assert_restores(store, agent)


async def test_mirror_over_processes(store: Store) -> None:
    """A history that each process brings in is continued, not doubled."""
    history: list[Any] = []
    for number in range(3):
        model = ScriptedBidiModel(hears(), says("assistant", f"one {number}"))
        agent = agent_of(model, hooks=[mirror_of(store)], messages=copy.deepcopy(history))
        await converse(agent, f"a {number}")
        history = agent.messages
    assert len(store.messages()) == 6
    assert_restores(store, agent)


async def test_mirror_beside_a_manager(store: Store) -> None:
    """A mirror and a manager on one agent, in two sessions."""
    mirror = PerSQLHooks("mirror", store.database())
    agent = agent_of(ScriptedBidiModel(hears(), says("assistant", "one")), store.manager(), hooks=[mirror])
    await converse(agent, "hi")
    assert store.messages(session_id="mirror") == store.messages() == agent.messages


async def test_mirror_away(store: Store) -> None:
    """A store that is away for a whole conversation disturbs nothing, and gets it with the next."""
    database = store.database()
    agent = agent_of(
        ScriptedBidiModel(hears(), says("assistant", "one")), hooks=[PerSQLHooks("session-1", database, on_error="log")]
    )
    with database.outage():
        await converse(agent, "hi")
    agent.model = ScriptedBidiModel(hears(), says("assistant", "two"))
    await converse(agent, "again")
    assert store.messages() == agent.messages
    assert_restores(store, agent)


async def test_mirror_leaves_the_agent_alone(store: Store) -> None:
    """An agent with a mirror ends as one without."""
    ends: list[Any] = []
    for hooks in ([], [mirror_of(store)]):
        model = ScriptedBidiModel(hears(), says("assistant", "one"), says("user", "two"))
        agent = agent_of(model, hooks=hooks, messages=[user("p")])
        await converse(agent, "hi")
        ends.append([{**message, "tracking_id": message.get("tracking_id") and "<id>"} for message in agent.messages])
    assert ends[0] == ends[1]


# In processes of their own

ROOT = Path(__file__).resolve().parents[3]


def python(*arguments: str) -> str:
    """What a Python process prints."""
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_in_another_process(store: Store) -> None:
    """What a process of its own left is restored here."""
    python("-m", f"{__package__}.process", str(store.path))
    agent = agent_of(ScriptedBidiModel(), store.manager())
    assert words_of(agent.messages)[0] == "1 + 2?"
    assert words_of(agent.messages)[-1] == "three"
    assert agent.state.get("k") == 1


@pytest.mark.slow
def test_nothing_experimental_is_imported() -> None:
    """Importing the package imports nothing of Strands' bidirectional or experimental modules that Strands did not."""
    seen = python(
        "-c",
        "import sys, strands, strands.session, strands.multiagent; before = set(sys.modules); import strands_persql; "
        "import strands_persql.hooks, strands_persql.manager, strands_persql.repository; "
        "print([name for name in set(sys.modules) - before if 'experimental' in name or 'bidi' in name])",
    )
    assert seen.strip() == "[]"


@pytest.mark.slow
def test_registers_where_nothing_bidirectional_is_imported() -> None:
    """An agent with a manager and a mirror is built in a process that has imported no bidirectional module."""
    seen = python(
        "-W",
        "error::DeprecationWarning:strands_persql",
        "-c",
        "from strands import Agent; from strands_persql import *; from tests.agents.scripted import *\n"
        "db = PerSQL(local=':memory:').database('a/b')\n"
        "agent = Agent(model=ScriptedModel(['one']), session_manager=PerSQLSessionManager('s', db), "
        "hooks=[PerSQLHooks('mirror', db)], callback_handler=None)\n"
        "agent('a'); print(len(agent.messages))",
    )
    assert seen.split() == ["2"]
