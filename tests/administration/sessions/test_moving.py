"""Forks, rewinds and renames: what an agent that opens the session then has, and what a live one meets."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.session.repository_session_manager import RepositorySessionManager
from strands.types.exceptions import SessionException

from strands_persql import (
    Encryption,
    PerSQLError,
    PerSQLSessionManager,
    PerSQLSessionRepository,
    PerSQLSessions,
    SessionConflictError,
)
from strands_persql.encryption import generate_key
from strands_persql.testing import stored_rows

from ...agents.agents import agent_of
from ...agents.harness import (
    assert_same,
    capture,
    roles_of,
    user,
    words_of,
)
from ...agents.scripted import (
    ScriptedModel,
    overflow,
    text,
    tools,
    use,
)
from ...emulator.faults import HARSH
from ...thorough import tries
from .conftest import Place
from .test_reading import fill


def talk(place: Place, session_id: str = "s", turns: int = 4, **options: Any) -> Any:
    """A session of so many turns of two messages: `question 0`, `answer 0` and so on."""
    agent = place.agent(session_id, *(text(f"answer {number}") for number in range(turns)), **options)
    for number in range(turns):
        agent(f"question {number}")
    return agent


def sliding(size: int = 4) -> dict[str, Any]:
    """An agent's options for a window of so many messages."""
    return {"conversation_manager": lambda: SlidingWindowConversationManager(window_size=size)}


def words(place: Place, session_id: str = "s", **options: Any) -> list[str]:
    """What a restored agent's history reads like."""
    return words_of(place.agent(session_id, **options).messages)


# Forks


def test_a_fork_is_the_same_and_independent(place: Place) -> None:
    """A fork restores to the same agent; neither of the two notices what the other does, live ones included."""
    agent = talk(place, state={"mood": "good"})
    before = stored_rows(place.store.database(), mask=False)
    summary = place.sessions.fork("s", "copy")
    assert (summary.session_id, summary.agents, summary.messages) == ("copy", 1, 8)
    assert {
        name: [row for row in rows if row["session_id"] == "s"] for name, rows in place.store.rows().items()
    } == before

    other = place.agent("copy", text("in the copy"))
    assert_same(agent, other)
    other("go on")
    agent.model.play("in the first")
    agent("go on")
    assert words(place, "copy")[-1] == "in the copy" and words(place)[-1] == "in the first"
    assert place.pages("copy")[0].created_at == place.pages("s")[0].created_at
    (row,) = (row for row in place.store.rows()["sessions"] if row["session_id"] == "copy")
    assert row["data"]["session_id"] == "copy" and row["data"]["created_at"] == summary.created_at


@pytest.mark.parametrize("at", [0, 1, 3, 6, 7])
def test_a_fork_ends_at_a_message(place: Place, at: int) -> None:
    """Up to and including a message, whether it is in the window or was trimmed; then it goes on like any session."""
    talk(place, **sliding())
    everything = [message.message for message in place.pages("s")]
    summary = place.sessions.fork("s", "copy", agent_id="default", at=at)
    assert summary.messages == at + 1
    agent = place.agent("copy", text("other"), **sliding(40))
    assert agent.messages == everything[4 if at > 3 else 0 : at + 1]
    agent("what else?")
    assert words(place, "copy", **sliding(40)) == words_of(agent.messages)
    assert [message.message_id for message in place.pages("copy")] == list(range(at + 3))


def test_a_fork_opens_with_strands_own_manager(place: Place) -> None:
    """A fork's history is the same by Strands' own rule, which counts what was removed."""
    talk(place, **sliding())
    for at in (2, 6):
        place.sessions.fork("s", f"copy-{at}", at=at)
        live = place.agent(f"copy-{at}", **sliding()).messages
        manager = RepositorySessionManager(f"copy-{at}", PerSQLSessionRepository(place.store.database()))
        assert agent_of(ScriptedModel([]), **sliding())(manager).messages == live


@pytest.mark.parametrize("at", [1, 5])
def test_a_fork_of_a_session_without_a_window(place: Place, at: int) -> None:
    """A session that Strands' own manager wrote is forked, and cut, by Strands' own rule."""
    build = agent_of(ScriptedModel([text(f"answer {number}") for number in range(4)]), **sliding())
    agent = build(RepositorySessionManager("s", PerSQLSessionRepository(place.store.database())))
    for number in range(4):
        agent(f"question {number}")
    everything = [message.message for message in place.pages("s")]
    place.sessions.fork("s", "copy", at=at)
    assert place.agent("copy", **sliding(40)).messages == everything[4 if at > 3 else 0 : at + 1]


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 5, 6])
@pytest.mark.parametrize("summarizing", [False, True])
def test_a_long_state_without_a_window_is_cut_alike(place: Place, at: int, summarizing: bool) -> None:
    """What Strands' own manager wrote is cut by Strands' own rule where the agent's document stands in parts, too."""
    found: list[list[Any]] = []
    for session_id, size in (("short", 10), ("long", 1_100_000)):
        script = [*(text(f"answer {number}") for number in range(3)), text("last")]
        options: dict[str, Any] = sliding()
        if summarizing:
            script[3:3] = [overflow(), text("the gist")]
            options = {
                "conversation_manager": lambda: SummarizingConversationManager(
                    summary_ratio=0.5, preserve_recent_messages=2
                )
            }
        build = agent_of(ScriptedModel(script), **options, state={"long": "y" * size})
        agent = build(RepositorySessionManager(session_id, PerSQLSessionRepository(place.store.database())))
        for number in range(4):
            agent(f"question {number}")
        place.sessions.fork(session_id, f"{session_id}-fork", at=at)
        place.sessions.rewind(session_id, "default", to=at)
        found.append([words(place, each, **options) for each in (f"{session_id}-fork", session_id)])
        assert place.agent(session_id, **options).state.get("long") == "y" * size
    assert found[0] == found[1]
    forked, rewound = found[0]
    assert forked == rewound and forked[-1] == (f"answer {at // 2}" if at % 2 else f"question {at // 2}")


def longest_requests(place: Place) -> tuple[int, int]:
    """The most characters of parameters, and the most statements, in one request since the log was cleared."""
    sizes = [
        sum(len(value) for _, params in request.statements for value in params if isinstance(value, str))
        for request in place.database.requests
    ]
    return max(sizes), max(len(request.statements) for request in place.database.requests)


def loose_parts(place: Place) -> list[Any]:
    """Parts of agents' documents that no row names."""
    return place.run(
        "SELECT session_id, part FROM strands_chunks AS c WHERE kind = 'agent' AND NOT EXISTS (SELECT 1 "
        "FROM strands_agents AS a WHERE a.session_id = c.session_id AND a.data LIKE '%' || c.generation || '%')"
    )


@pytest.mark.slow
def test_a_very_long_state_is_sent_in_several_requests(place: Place) -> None:
    """A fork and a rewind of an agent whose document is beyond one request's limits; both keep the state whole."""
    state = {"long": "y" * 9_000_000}
    agent = place.agent("s", text("one"), text("two"), state=state)
    agent("hi")
    agent("go")
    place.database.clear()
    place.sessions.fork("s", "copy", at=1)
    place.sessions.rewind("s", "default", to=1)
    size, statements = longest_requests(place)
    assert size < 4_000_000 and statements <= 100
    for session_id in ("copy", "s"):
        again = place.agent(session_id)
        assert words_of(again.messages) == ["hi", "one"] and again.state.get("long") == state["long"]
    assert not loose_parts(place)


@pytest.mark.slow
@pytest.mark.parametrize("overtaken", [1, 2, 3, 4])
def test_a_long_fork_is_made_of_one_state(local: Place, overtaken: int) -> None:
    """An agent that is written to while its parts are copied is read anew; no part is left over, here or there."""
    agent = local.agent("s", text("one"), text("two"), state={"long": "y" * 7_000_000})
    agent("hi")
    agent("go")
    writes = 0

    def overtake(request: Any) -> None:
        nonlocal writes
        writes += request.writes
        if writes == overtaken:
            writes += 100
            local.run_beside("UPDATE strands_agents SET revision = revision + 1 WHERE session_id = 's'")

    local.database.on_call = overtake
    local.sessions.fork("s", "copy", at=1)
    assert words(local, "copy") == ["hi", "one"]
    assert not loose_parts(local)

    local.database.on_call = None
    local.database.clear()
    local.database.fail_next(4)
    with pytest.raises(PerSQLError):
        local.sessions.fork("s", "other", at=1)
    local.database.clear()
    assert not local.run("SELECT 1 FROM strands_chunks WHERE session_id = 'other'")
    local.sessions.fork("s", "other", at=1)
    assert words(local, "other") == ["hi", "one"]


@pytest.mark.parametrize("times", [1, 100])
@pytest.mark.parametrize("name", ["fork", "rewind"])
def test_what_is_cut_is_the_newest_state(local: Place, name: str, times: int) -> None:
    """An agent that is written to between reading and writing is read anew; one that never rests is left as it is."""
    talk(local, state={"mood": "good"})
    overtaken = 0

    def overtake(request: Any) -> None:
        nonlocal overtaken
        if request.writes and overtaken < times:
            overtaken += 1
            local.run_beside(
                "UPDATE strands_agents SET revision = revision + 1, "
                f"data = json_set(data, '$.state.mood', 'changed {overtaken}') WHERE session_id = 's'"
            )

    local.database.on_call = overtake
    calls: dict[str, Callable[[], object]] = {
        "fork": lambda: local.sessions.fork("s", "copy", at=1),
        "rewind": lambda: local.sessions.rewind("s", "default", to=1),
    }
    if times == 1:
        calls[name]()
        cut = local.agent("copy" if name == "fork" else "s")
        assert words_of(cut.messages) == ["question 0", "answer 0"]
        assert cut.state.get("mood") == "changed 1"
        return
    with pytest.raises(SessionConflictError, match="is being written to all the time"):
        calls[name]()
    agent = local.agent("s")
    assert len(agent.messages) == 8 and agent.state.get("mood") == f"changed {overtaken}" == "changed 5"
    assert not local.run("SELECT 1 FROM strands_sessions WHERE session_id = 'copy'")


@pytest.mark.slow
@pytest.mark.parametrize("fault", HARSH[-2:], ids=lambda each: each.name)
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("number", range(1, 8))
def test_an_answer_that_was_lost(emulator: Any, fault: Any, encrypted: bool, number: int) -> None:
    """What was made is told as made, whichever request was carried out although no key replays its answer."""
    encryption = Encryption(generate_key()) if encrypted else None
    database = emulator.database()
    sessions = PerSQLSessions(database, encryption=encryption)
    agent_of(ScriptedModel([text("fine")]))(PerSQLSessionManager("s", database, encryption=encryption))("hello")
    calls: dict[str, Callable[[], Any]] = {
        "whole": lambda: sessions.fork("s", "whole"),
        "cut": lambda: sessions.fork("s", "cut", at=1),
        "moved": lambda: sessions.rename("cut", "moved"),
    }
    for name, call in calls.items():
        emulator.reset()
        emulator.faults.at(number, fault)
        assert (call().session_id, sessions.get(name).agents[0].messages) == (name, 2)
    assert [each.session_id for each in sessions.list().sessions] == ["moved", "s", "whole"]
    with pytest.raises(SessionException, match="exists already"):
        sessions.fork("s", "whole")


def test_a_fork_carries_no_messages(remote: Place, emulator: Any) -> None:
    """10,000 messages are copied by one request, and cut by two, whose bodies hold none of them."""
    fill(remote, ["s"], messages=10_000)
    forks: list[tuple[dict[str, Any], int, int]] = [({}, 10_000, 1), ({"at": 8_999}, 9_000, 2)]
    for options, messages, requests in forks:
        emulator.reset()
        assert remote.sessions.fork("s", f"copy-{messages}", **options).messages == messages
        assert emulator.requests == requests
        assert all(request.body < 20_000 for request in emulator.log)
        assert emulator.billing.rows_written == messages + 3


@pytest.mark.slow
def test_a_fork_copies_parts_and_graphs(place: Place) -> None:
    """Documents in parts and the states of Graphs go along; of a fork that is cut, the parts of its messages."""
    agent = place.agent("s", text("short"), text("short"), state={"long": "y" * 1_100_000, "nan": float("nan")})
    agent("x" * 1_200_000)
    agent("z" * 1_200_000)
    state = {"type": "graph", "status": "completed", "text": "w" * 10}
    place.run("INSERT INTO strands_multi_agents VALUES ('s', 'graph', 5, '', ?)", json.dumps(state))
    place.sessions.fork("s", "copy")
    assert capture(place.agent("copy")) == capture(agent)
    assert place.sessions.get("copy").multi_agents[0].data == state

    place.run("INSERT INTO strands_chunks VALUES ('s', 'multi_agent', 'default', 0, 'g', 0, '{}')")
    place.sessions.fork("s", "cut", at=1)
    assert not place.run("SELECT 1 FROM strands_chunks WHERE session_id = 'cut' AND kind = 'multi_agent'")
    cut = place.agent("cut")
    assert capture(cut)["state"] == capture(agent)["state"] and cut.messages == agent.messages[:2]
    assert not place.sessions.get("cut").multi_agents
    (count,) = place.run("SELECT count(*) AS n FROM strands_chunks WHERE session_id = 'cut' AND kind = 'message'")
    assert count["n"] == 2


def test_a_fork_in_the_midst_of_a_tool_is_mended(place: Place) -> None:
    """A history that ends with a tool use gets its result as after a crash, and takes the next prompt."""
    agent = place.agent("s", tools(use("add", {"a": 1, "b": 2})), text("three"))
    agent("add")
    place.sessions.fork("s", "copy", at=1)
    copy = place.agent("copy", text("never mind"))
    copy("stop")
    assert roles_of(copy.messages) == "uauua" and "toolResult" in copy.messages[2]["content"][0]


def test_an_interrupt_goes_along_only_where_its_message_does(place: Place) -> None:
    """A whole fork can be answered like the session itself; one cut before the tool use has no interrupt."""
    agent = place.agent("s", text("hello"), tools(use("ask", {"question": "sure?"})))
    agent("hi")
    result: Any = agent("go")
    answer: Any = [{"interruptResponse": {"interruptId": result.interrupts[0].id, "response": "yes"}}]
    forks: list[tuple[str, dict[str, Any]]] = [("whole", {}), ("last", {"at": 3})]
    for session_id, options in forks:
        place.sessions.fork("s", session_id, **options)
        assert place.agent(session_id, text("done"))(answer).stop_reason == "end_turn"
    place.sessions.fork("s", "before", at=1)
    assert place.agent("before", text("fine"))("something else").stop_reason == "end_turn"


def test_a_fork_of_one_agent(place: Place) -> None:
    """An agent is copied alone; `at` without an agent's id needs a session of one."""
    talk(place, turns=1, agent_id="a")
    talk(place, turns=2, agent_id="b")
    assert place.sessions.fork("s", "copy", agent_id="b").messages == 4
    assert [agent.agent_id for agent in place.sessions.get("copy").agents] == ["b"]
    with pytest.raises(SessionException, match=r"has 2 agents \('a', 'b'\).*agent_id="):
        place.sessions.fork("s", "other", at=0)
    assert [each.session_id for each in place.sessions.list().sessions] == ["copy", "s"]


# Rewinds


@pytest.mark.parametrize("to", [0, 1, 4, 5, 7])
def test_a_rewound_agent_sees_the_history_to_a_message(place: Place, to: int) -> None:
    """A restored agent has the history up to it, goes on at the transcript's end, and nothing is lost."""
    talk(place, **sliding())
    everything = [message.message for message in place.pages("s")]
    place.sessions.rewind("s", "default", to=to)
    agent = place.agent("s", text("another answer"), **sliding(40))
    start = 4 if to > 3 else 0
    assert agent.messages == everything[start : to + 1]
    agent("another question")
    assert place.agent("s", **sliding(40)).messages == agent.messages

    transcript = place.pages("s")
    assert [message.message for message in transcript[:8]] == everything
    assert [message.message_id for message in transcript if message.live] == [*range(start, to + 1), 8, 9]


@pytest.mark.parametrize("before", [0, 2, 4, 6])
def test_a_prompt_is_edited_and_asked_again(place: Place, before: int) -> None:
    """A rewind to before a prompt leaves what the model saw before it, the first prompt of all included."""
    talk(place, **sliding())
    everything = [message.message for message in place.pages("s")]
    place.sessions.rewind("s", "default", before=before)
    agent = place.agent("s", text("another answer"), text("and another"), **sliding(40))
    start = 4 if before > 3 else 0
    assert agent.messages == everything[start:before]
    agent("another question")
    place.sessions.rewind("s", "default", before=8)  # the edited prompt, which stands behind what was undone
    again = place.agent("s", text("and another"), **sliding(40))
    assert again.messages == everything[start:before]
    again("a third wording")
    assert [message.message_id for message in place.pages("s") if message.live] == [*range(start, before), 10, 11]
    assert [message.message for message in place.pages("s")][:8] == everything


@pytest.mark.parametrize("end", [{"to": None}, {"before": 0}])
def test_a_history_begins_anew(place: Place, end: dict[str, Any]) -> None:
    """Nothing is left in it: no pinned message, no summary, no count of what was removed; the state stays."""

    def build(*script: Any) -> Any:
        return place.agent(
            "s",
            *script,
            conversation_manager=lambda: SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2),
        )

    agent = build(*(text(f"answer {n}") for n in range(3)), overflow(), text("the gist"), text("last"))
    agent.state.set("language", "en")
    for number in range(4):
        agent(f"question {number}")
    place.sessions.rewind("s", "default", **end)
    found = build(text("hello again"))
    assert found.messages == []
    manager = found.conversation_manager.get_state()
    assert (manager["summary_message"], manager["removed_message_count"]) == (None, 0)
    assert found.state.get("language") == "en"
    found("hello")
    assert build().messages == found.messages
    assert len(place.pages("s")) == 10


def test_an_agent_without_messages_is_set_back_to_none(place: Place) -> None:
    """An empty history is what it has already, as Strands' own manager stores it before the first message."""
    Agent(session_manager=RepositorySessionManager("s", PerSQLSessionRepository(place.database)))
    place.sessions.rewind("s", "default", to=None)
    agent = place.agent("s", text("hello"))
    agent("hi")
    assert len(place.agent("s").messages) == 2


def test_rewinding_twice_and_back(place: Place) -> None:
    """A second rewind keeps what the first left; what was undone can be brought back."""
    talk(place)
    place.sessions.rewind("s", "default", to=1)
    agent = place.agent("s", text("one"), text("two"))
    agent("first")
    agent("second")
    place.sessions.rewind("s", "default", to=9)
    assert words(place) == ["question 0", "answer 0", "first", "one"]
    place.sessions.fork("s", "copy", at=8)
    assert words(place, "copy") == ["question 0", "answer 0", "first"]
    place.sessions.rewind("s", "default", to=7)
    assert len(words(place)) == 8


def test_a_summary_stays_where_it_stands_for_what_came_before(place: Place) -> None:
    """A rewind within the window keeps its summary; one before it brings back what was summarised."""

    def build(*script: Any) -> Any:
        return place.agent(
            "s",
            *script,
            conversation_manager=lambda: SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2),
        )

    agent = build(*(text(f"answer {n}") for n in range(3)), overflow(), text("the gist"), text("last"), text("more"))
    for number in range(5):
        agent(f"question {number}")
    live = copy.deepcopy(agent.messages)
    place.sessions.rewind("s", "default", to=7)
    assert build().messages == live[:-2]
    place.sessions.rewind("s", "default", to=1)
    found = build()
    assert words_of(found.messages) == ["question 0", "answer 0"]
    assert found.conversation_manager.get_state()["summary_message"] is None


def test_an_interrupt_does_not_outlive_a_rewind(place: Place) -> None:
    """An agent that was waiting for an answer takes a prompt again after a rewind to before its question."""
    agent = place.agent("s", text("hello"), tools(use("ask", {"question": "sure?"})))
    agent("hi")
    assert agent("go").stop_reason == "interrupt"
    place.sessions.rewind("s", "default", to=1)
    again = place.agent("s", text("fine"))
    assert again("something else").stop_reason == "end_turn"


def test_a_rewind_of_a_long_state(place: Place) -> None:
    """An agent whose own document stands in parts is rewound too, and its state stays."""
    agent = place.agent("s", text("one"), tools(use("ask", {"question": "sure?"})), state={"long": "y" * 1_100_000})
    agent("hi")
    agent("go")
    place.sessions.rewind("s", "default", to=1)
    again = place.agent("s", text("fine"))
    assert len(again.messages) == 2 and again.state.get("long") == "y" * 1_100_000
    assert again("something else").stop_reason == "end_turn"
    place.sessions.rewind("s", "default", to=0)
    assert len(place.agent("s").messages) == 1


def reference_cut(items: list[Any], at: int, last: int) -> list[Any]:
    """The window that a cut leaves, the slow way: the positions it names, in order."""

    def expanded(items: list[Any]) -> list[Any]:
        found: list[Any] = []
        for item in items:
            if isinstance(item, dict):
                found.append("inline")
            else:
                found += range(item[0], (last if item[1] is None else item[1]) + 1)
        return found

    live = expanded(items)
    if at not in live:
        return list(range(at + 1))
    kept = live[: live.index(at) + 1]
    return [each for each in kept if each == "inline" or each <= at]


def test_windows_of_any_kind_are_cut(local: Place) -> None:
    """Random windows, with inline messages and ranges out of order, are cut as a plain list would be."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    fill(local, ["s"], messages=30)
    for round_ in range(tries(25, 60)):
        edges = sorted(chance.sample(range(30), 6))
        items: list[Any] = [[low, high] for low, high in zip(edges[::2], edges[1::2], strict=True)]
        if chance.random() < 0.3:
            chance.shuffle(items)
        for _ in range(chance.randrange(3)):
            items.insert(chance.randrange(len(items) + 1), {"message": user("summary")})
        items.append([chance.choice([30, edges[-1] + 1]), None])
        local.run("UPDATE strands_agents SET live_window = ? WHERE session_id = 's'", json.dumps(items))
        at = chance.randrange(30)
        expected = reference_cut(items, at, 29)
        local.sessions.fork("s", f"copy-{round_}", at=at)
        local.sessions.rewind("s", "default", to=at)
        for session_id in (f"copy-{round_}", "s"):
            found = [m.message_id for m in local.pages(session_id, live=True)]
            assert [("inline" if each is None else each) for each in found] == expected, (items, at)
            local.agent(session_id)


# Renames


def test_a_renamed_session_is_the_same(place: Place) -> None:
    """All rows move, parts and Graphs included, and nothing is left under the old id."""
    agent = place.agent("s", text("short"), state={"long": "y" * 1_100_000})
    agent("x" * 1_200_000)
    place.run("INSERT INTO strands_multi_agents VALUES ('s', 'graph', 5, '', ?)", json.dumps({"status": "completed"}))
    summary = place.sessions.rename("s", "new")
    assert (summary.session_id, summary.messages, summary.multi_agents) == ("new", 2, 1)
    assert_same(agent, place.agent("new"))
    for name in ("sessions", "agents", "messages", "multi_agents", "chunks"):
        assert {row["session_id"] for row in place.run(f"SELECT session_id FROM strands_{name}")} == {"new"}
    assert place.store.rows()["sessions"][0]["data"]["session_id"] == "new"
    assert place.agent("s").messages == []


# Beside a live agent, and refused


@pytest.mark.parametrize(
    "change",
    [
        lambda sessions: sessions.rewind("s", "default", to=1),
        lambda sessions: sessions.rename("s", "new"),
        lambda sessions: sessions.erase("s", "default", 0),
        lambda sessions: sessions.delete("s"),
    ],
    ids=["rewind", "rename", "erase", "delete"],
)
def test_a_live_agent_meets_a_conflict(place: Place, change: Any) -> None:
    """An agent that was live during a change writes nothing over it, and is told."""
    agent = talk(place)
    change(place.sessions)
    before = place.store.rows()
    agent.model.play("too late")
    with pytest.raises(SessionConflictError):
        agent("one more")
    assert place.store.rows() == before


def test_a_fork_leaves_a_live_agent_alone(place: Place) -> None:
    """The agent of a session that is forked goes on without noticing."""
    agent = talk(place)
    place.sessions.fork("s", "copy")
    agent.model.play("still here")
    agent("one more")
    assert words(place)[-1] == "still here" and len(words(place, "copy")) == 8


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda s: s.fork("s", "taken"), SessionException, "'taken' exists already.*Nothing was changed"),
        (lambda s: s.fork("s", "taken", at=0), SessionException, "'taken' exists already"),
        (lambda s: s.fork("none", "new"), SessionException, "'none' does not exist"),
        (lambda s: s.fork("none", "new", at=0), SessionException, "'none' does not exist"),
        (lambda s: s.fork("s", "new", agent_id="x"), SessionException, "Agent 'x' does not exist"),
        (lambda s: s.fork("s", "new", at=8), SessionException, "Message 8 .* its messages are 0 to 7"),
        (lambda s: s.fork("s", "s"), ValueError, "another id"),
        (lambda s: s.fork("s", ""), ValueError, "must not be empty"),
        (lambda s: s.fork("s", "new", at=-1), ValueError, "0 or more"),
        (lambda s: s.fork("s", "new", at=1 << 53), ValueError, "0 or more"),
        (lambda s: s.rename("s", "taken"), SessionException, "'taken' exists already"),
        (lambda s: s.rename("none", "new"), SessionException, "'none' does not exist"),
        (lambda s: s.rewind("none", "default", to=0), SessionException, "'none' does not exist"),
        (lambda s: s.rewind("s", "x", to=0), SessionException, "Agent 'x' does not exist"),
        (lambda s: s.rewind("s", "default", to=8), SessionException, "Message 8 .* its messages are 0 to 7"),
        (lambda s: s.rewind("s", "default", before=8), SessionException, "Message 8 .* its messages are 0 to 7"),
        (lambda s: s.rewind("s", "x", to=None), SessionException, "Agent 'x' does not exist"),
        (lambda s: s.rewind("s", "default"), ValueError, "either with to=, or with before="),
        (lambda s: s.rewind("s", "default", to=None, before=0), ValueError, "either with to=, or with before="),
        (lambda s: s.rewind("s", "default", before=-1), ValueError, "0 or more"),
        (lambda s: s.erase("s", "default", 8), SessionException, "Message 8 .* its messages are 0 to 7"),
        (lambda s: s.erase("s", "x", 0), SessionException, "Agent 'x' does not exist"),
        (lambda s: s.erase("none", "default", 0), SessionException, "'none' does not exist"),
        (lambda s: s.delete("none"), SessionException, "'none' does not exist"),
    ],
)
def test_what_can_not_be_done_changes_nothing(local: Place, call: Any, error: type[Exception], match: str) -> None:
    """What is missing or taken is said with the remedy, and no row is changed."""
    talk(local)
    talk(local, "taken", 1)
    before = local.store.rows()
    with pytest.raises(error, match=match):
        call(local.sessions)
    assert local.store.rows() == before
