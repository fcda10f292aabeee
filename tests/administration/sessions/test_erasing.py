"""Erasing one message, and deleting whole sessions: what is left in the database."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SummarizingConversationManager
from strands.multiagent import GraphBuilder, Swarm
from strands.types.exceptions import SessionException

from strands_persql import PerSQLError, PerSQLHooks, PerSQLSessionManager, SessionConflictError
from strands_persql.administration.blanking import ERASED, erased, without_copies
from strands_persql.administration.sessions import PerSQLSessions
from strands_persql.database.encoding import now

from ...agents.agents import PIXEL
from ...agents.features import TRACKING_IDS
from ...agents.harness import assert_rows_sound, words_of
from ...agents.scripted import (
    ScriptedModel,
    overflow,
    text,
    tools,
    use,
)
from .conftest import Place
from .test_reading import fill

SECRET = "swordfish"


@pytest.mark.parametrize("indexed", [False, True])
def test_a_message_is_gone_for_good(place: Place, indexed: bool) -> None:
    """The words of an erased message stand nowhere in the database; all other messages are as they were."""
    if indexed:
        place.sessions.enable_search()
    agent = place.agent("s", text("noted"), text("again"))
    agent(f"my password is {SECRET}")
    agent("what now?")
    others = place.store.messages(session_id="s")[1:]
    assert place.store.holds(SECRET)
    place.sessions.erase("s", "default", 0)

    assert not place.store.holds(SECRET)
    assert not any(SECRET.encode().hex() in line.lower() for line in place.store.dump().splitlines())
    assert not place.sessions.search(SECRET).hits and place.sessions.search("noted").hits
    again = place.agent("s", text("fine"))
    assert words_of(again.messages)[0] == ERASED and again.messages[1:] == others
    again("go on")
    assert_rows_sound(place.store)


def test_erasing_twice_changes_nothing(place: Place) -> None:
    """A second run finds nothing left to do, and writes nothing."""
    place.agent("s", text("noted"))(SECRET)
    place.sessions.erase("s", "default", 0)
    before = place.store.rows()
    place.sessions.erase("s", "default", 0)
    assert place.store.rows() == before


def test_tools_keep_their_ids(place: Place) -> None:
    """Tool uses and results lose their content and keep their ids, so that the history is taken as it is.

    A message of tool uses alone gets a text, since nothing else tells that it was erased.
    """
    agent = place.agent("s", tools(use("add", {"a": 987654321, "b": 0}), use("picture")), text("done"))
    agent("go")
    for message_id in (1, 2):
        place.sessions.erase("s", "default", message_id)
    again = place.agent("s", text("fine"))
    note, *blocks = again.messages[1]["content"]
    assert note == {"text": ERASED}
    uses = [block["toolUse"] for block in blocks]
    results = [block["toolResult"] for block in again.messages[2]["content"]]
    assert [each["toolUseId"] for each in uses] == [each["toolUseId"] for each in results]
    assert [record.erased for record in place.sessions.messages("s").messages] == [False, True, True, False]
    assert [each["input"] for each in uses] == [{}, {}] and uses[0]["name"] == "add"
    assert {json.dumps(each["content"]) for each in results} == {json.dumps([{"text": ERASED}])}
    assert not place.store.holds("987654321") and not place.store.holds("pixels")
    again("and now?")
    assert len(again.messages) == 6


SECRETS = [
    (f"{SECRET}_tool", {}, f"{SECRET}_tool", None),  # a tool that there isn't
    ("add", {"a": 1, "b": 2, "why": [SECRET]}, f"call-{SECRET}-1", None),
    ("add", {"a": 1, "b": 2}, f"call-{SECRET}-1", SECRET),
]


@pytest.mark.parametrize("erased_first", [1, 2])
@pytest.mark.parametrize(("name", "arguments", "number", "words"), SECRETS)
def test_names_and_ids_that_hold_what_is_erased(
    place: Place, name: str, arguments: Any, number: str, words: str | None, erased_first: int
) -> None:
    """They are renamed, on use and result alike, so that a model takes the history; other names and ids stay."""
    other = use("add", {"a": 3, "b": 4}, "call-2")
    agent = place.agent(
        "s", tools({"name": name, "arguments": arguments, "id": number}, other, words=words), text("ok")
    )
    agent("go")
    if erased_first == 2 and name == "add":
        place.run(
            "UPDATE strands_messages SET data = json_set(data, '$.message.content[0].toolResult.content[0].text', ?) "
            "WHERE message_id = 2",
            SECRET,
        )
    place.sessions.erase("s", "default", erased_first)
    messages = place.agent("s", text("fine")).messages
    uses = [block["toolUse"] for block in messages[1]["content"] if "toolUse" in block]
    results = [block["toolResult"] for block in messages[2]["content"]]
    assert [each["toolUseId"] for each in uses] == [each["toolUseId"] for each in results]
    assert (uses[1]["toolUseId"], uses[1]["name"]) == ("call-2", "add")
    assert SECRET not in uses[0]["toolUseId"] + uses[0]["name"] + json.dumps([results[0], messages[erased_first]])
    assert uses[0]["name"] == ("add" if name == "add" else "erased")
    place.sessions.erase("s", "default", 3 - erased_first)
    assert not place.store.holds(SECRET)
    before = place.store.rows()
    for message_id in (1, 2):
        place.sessions.erase("s", "default", message_id)
    assert place.store.rows() == before
    again = place.agent("s", text("fine"))
    again("go on")
    assert_rows_sound(place.store)


def test_ids_that_hold_what_is_erased_in_other_rows(place: Place) -> None:
    """In what the model sees now, in interrupt state, in a summary, in a Graph's row, and as names of objects."""
    number = f"call-{SECRET}"
    asked = tools({"name": "ask", "arguments": {"question": SECRET}, "id": number})
    result: Any = place.agent("s", asked)("go")
    inline = json.dumps({"role": "user", "content": [{"toolResult": {"toolUseId": number, "content": []}}]})
    place.run("UPDATE strands_agents SET live_window = ?", f'[{{"message":{inline}}},[0,null]]')
    place.run("UPDATE strands_messages SET live = data WHERE message_id = 1")
    graph = json.dumps(
        {"interrupts": {number: 1}, "results": [{"toolUseId": number, "content": [], "status": "error"}]}
    )
    place.run("INSERT INTO strands_multi_agents VALUES ('s', 'graph', 5, '', ?)", graph)
    columns = "key, part, parts, first, encoding, size, data"
    key = f"sessions/s/agents/default/offloader/{number}_0"
    place.run(f"INSERT INTO strands_objects ({columns}) VALUES (?, 0, 1, 0, 'text', 1, 'x')", key)
    place.sessions.erase("s", "default", 1)
    assert not place.store.holds(SECRET)
    (graph_row,) = place.run("SELECT data FROM strands_multi_agents")
    assert json.loads(graph_row["data"])["interrupts"] == {"erased_1_0": 1}
    state = place.run("SELECT data FROM strands_agents")[0]["data"]
    old = result.interrupts[0].id
    assert old not in state and old.replace(number, "erased_1_0") in state


def test_a_message_in_parts_is_erased_with_them(place: Place) -> None:
    """The parts of a long message go with it."""
    place.agent("s", text("noted"))(f"{SECRET} " + "x" * 1_200_000)
    place.sessions.erase("s", "default", 0)
    assert not place.store.holds(SECRET)
    assert not place.run("SELECT 1 FROM strands_chunks")
    assert words_of(place.agent("s").messages) == [ERASED, "noted"]


def test_copies_in_interrupt_state_go_too(place: Place) -> None:
    """What an interrupted agent keeps of the message, and the reason that quotes it, are erased; it can be resumed."""
    agent = place.agent("s", tools(use("ask", {"question": SECRET})))
    result: Any = agent("go")
    place.sessions.erase("s", "default", 1)
    assert not place.store.holds(SECRET)
    again = place.agent("s", text("done"))
    answer: Any = [{"interruptResponse": {"interruptId": result.interrupts[0].id, "response": "yes"}}]
    assert again(answer).stop_reason == "end_turn"


@pytest.mark.parametrize("kind", ["graph", "swarm"])
@pytest.mark.parametrize("blocks", [False, True])
def test_the_task_of_graphs_and_swarms_goes_too(place: Place, kind: str, blocks: bool) -> None:
    """The task of a Graph or Swarm, which its state keeps, goes with the node's prompt that holds it."""
    database = place.store.database()
    nodes = [
        Agent(
            name=name,
            agent_id=name,
            model=ScriptedModel([text("noted")]),
            callback_handler=None,
            hooks=[PerSQLHooks("s", database)],
        )
        for name in "ab"
    ]
    manager = PerSQLSessionManager("s", database)
    words = f"the word is {SECRET}."
    task: Any = [{"text": words}] if blocks else words
    if kind == "swarm":
        Swarm(nodes, session_manager=manager, id="team")(task)
    else:
        builder = GraphBuilder()
        for node in nodes:
            builder.add_node(node, node.agent_id)
        builder.add_edge("a", "b")
        builder.set_execution_timeout(60)
        builder.set_graph_id("team")
        builder.set_session_manager(manager)
        builder.build()(task)
    assert SECRET in json.dumps(place.sessions.get("s").multi_agents[0].data["current_task"])
    for agent in place.sessions.get("s").agents:
        place.sessions.erase("s", agent.agent_id, 0)
    assert not place.store.holds(SECRET)
    assert ERASED in json.dumps(place.sessions.get("s").multi_agents[0].data["current_task"])
    before = place.store.rows()
    place.sessions.erase("s", "a", 0)
    assert place.store.rows() == before


def test_only_the_task_of_the_message_goes() -> None:
    """A task is told by the prompts that quote it; what a node handed over, by the tool use that did."""
    state = {
        "current_task": "go home",
        "context": {"handoff_message": "take over", "shared_context": {"a": {"pin": 1234, "mood": "good"}, "b": 5}},
    }

    def left(role: str, *content: dict[str, Any]) -> Any:
        return without_copies(state, {"role": role, "content": list(content)})

    assert left("user", {"text": "Original Task: go home"})["current_task"] == ERASED
    assert left("user", {"text": "Context:\nUser Request: go home\n\nmore"})["current_task"] == ERASED
    others = ("please go home now", "go homeward", "go", "", "Original Task: go home now", "Context:\ngo home")
    for role, words in (("assistant", "go home"), *(("user", words) for words in others)):
        assert left(role, {"text": words}) == state
    handed = {"agent_name": "b", "message": "take over", "context": {"pin": 1234}}
    assert left("assistant", {"toolUse": {"toolUseId": "u", "name": "handoff_to_agent", "input": handed}}) == {
        "current_task": "go home",
        "context": {"handoff_message": ERASED, "shared_context": {"a": {"pin": ERASED, "mood": "good"}, "b": 5}},
    }
    told = {"toolResult": {"toolUseId": "u", "content": [{"text": "Handing off to b: take over"}]}}
    assert left("user", told)["context"]["handoff_message"] == ERASED
    blocks = {"current_task": [{"text": "look"}, {"image": {"format": "png"}}, "odd"]}
    assert without_copies(blocks, {"role": "user", "content": [{"text": "x"}, {"image": {"format": "png"}}]}) == {
        "current_task": [{"text": "look"}, {"text": ERASED}, "odd"]
    }


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_an_erasure_that_was_killed_finds_the_copies_again(place: Place, killed_at: int) -> None:
    """Where it takes several batches, copies go before the message they are told by, with no tracking ids either."""
    agent = place.agent("s", tools(use("ask", {"question": SECRET})), state={"long": "z" * 5_000_000})
    agent("go")
    place.run("UPDATE strands_messages SET data = json_remove(data, '$.message.tracking_id')")
    place.database.clear()
    place.database.fail_next(killed_at + 1)  # the first reads
    with pytest.raises(PerSQLError):
        place.sessions.erase("s", "default", 1)
    assert place.store.holds(SECRET)
    place.database.clear()
    place.sessions.erase("s", "default", 1)
    assert not place.store.holds(SECRET)
    assert place.agent("s").state.get("long") == "z" * 5_000_000


@pytest.mark.skipif(not TRACKING_IDS, reason="copies are told apart by their tracking ids")
def test_copies_in_graphs_go_and_the_same_words_elsewhere_stay(place: Place) -> None:
    """A Graph's copy of the message is erased; another message of the same words is not."""
    agent = place.agent("s", text("same words"), text("same words"))
    agent("hi")
    agent("hi")
    first, second = agent.messages[1], agent.messages[3]
    state = {"status": "completed", "node_results": {"a": {"message": first}, "b": {"message": second}}}
    place.run("INSERT INTO strands_multi_agents VALUES ('s', 'graph', 5, '', ?)", json.dumps(state))
    place.sessions.erase("s", "default", 1)
    found = place.sessions.get("s").multi_agents[0].data["node_results"]
    assert found == {"a": {"message": erased(first)}, "b": {"message": second}}
    assert words_of(place.agent("s").messages) == ["hi", ERASED, "hi", "same words"]


def test_an_inline_copy_goes_too(place: Place) -> None:
    """A message that stands inline in the live window as well is erased there; other inline messages stay."""
    agent = place.agent("s", text("noted"))
    agent(SECRET)
    inline = [{"message": agent.messages[0]}, {"message": {"role": "user", "content": [{"text": "a summary"}]}}]
    place.run("UPDATE strands_agents SET live_window = ?", json.dumps([*inline, [1, None]]))
    place.sessions.erase("s", "default", 0)
    assert not place.store.holds(SECRET)
    assert words_of(place.agent("s").messages) == [ERASED, "a summary", "noted"]


def test_a_summary_is_not_the_message(place: Place) -> None:
    """Erasing a message leaves the summary that was made of it, which is another message, and its agent restorable."""

    def build(*script: Any) -> Any:
        return place.agent(
            "s",
            *script,
            conversation_manager=lambda: SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2),
        )

    agent = build(*(text(f"answer {n}") for n in range(3)), overflow(), text("the gist"), text("last"))
    for number in range(4):
        agent(f"question {number}")
    place.sessions.erase("s", "default", 0)
    assert build().messages == agent.messages


def test_what_is_kept_of_a_message() -> None:
    """Media, reasoning and custom metadata go; role, ids, cache points and token counts stay."""
    message = {
        "role": "assistant",
        "content": [
            {"reasoningContent": {"reasoningText": {"text": SECRET, "signature": "x"}}},
            {"text": SECRET},
            {"image": {"format": "png", "source": {"bytes": PIXEL}}},
            {"cachePoint": {"type": "default"}},
            {"toolUse": {"toolUseId": "u", "name": "add", "input": {"a": SECRET}}},
        ],
        "tracking_id": "t",
        "metadata": {"usage": {"inputTokens": 1}, "custom": {"note": SECRET}},
    }
    assert erased(message) == {
        "role": "assistant",
        "content": [
            {"text": ERASED},
            {"cachePoint": {"type": "default"}},
            {"toolUse": {"toolUseId": "u", "name": "add", "input": {}}},
        ],
        "tracking_id": "t",
        "metadata": {"usage": {"inputTokens": 1}},
    }
    assert erased(erased(message)) == erased(message)


def test_an_agent_that_writes_meanwhile_is_waited_for(local: Place) -> None:
    """An erasure that a live agent overtakes is done anew on what the agent wrote; one that never ends gives up."""
    agent = local.agent("s", *(text(f"answer {number}") for number in range(9)))
    agent(SECRET)
    turns = iter(range(8))

    def overtake(request: Any) -> None:
        if request.writes:
            local.database.on_call = None
            agent(f"question {next(turns)}")

    local.database.on_call = overtake
    local.sessions.erase("s", "default", 0)
    assert not local.store.holds(SECRET) and len(local.pages("s")) == 4

    def overtake_always(request: Any) -> None:
        if request.writes:
            local.run_beside("UPDATE strands_agents SET revision = revision + 1")

    local.database.on_call = overtake_always
    with pytest.raises(SessionConflictError, match="call again"):
        local.sessions.erase("s", "default", 1)
    assert "answer 0" in words_of(local.store.messages(session_id="s"))


# Deleting


def rows_of(place: Place, session_id: str) -> int:
    """How many rows of all tables a session has."""
    return sum(
        place.run(f"SELECT count(*) AS n FROM strands_{name} WHERE session_id = ?", session_id)[0]["n"]
        for name in ("sessions", "agents", "messages", "multi_agents", "chunks")
    )


def test_a_session_is_deleted_whole(place: Place) -> None:
    """All rows go, parts and Graphs included, and no other session's."""
    place.agent("s", text("noted"))("x" * 1_200_000)
    place.agent("t", text("noted"))("hi")
    place.run("INSERT INTO strands_multi_agents VALUES ('s', 'graph', 5, '', '{}')")
    rows, kept = rows_of(place, "s"), rows_of(place, "t")
    seen: list[int] = []
    assert place.sessions.delete("s", progress=seen.append).rows == rows == seen[-1]
    assert (rows_of(place, "s"), rows_of(place, "t")) == (0, kept)
    assert [each.session_id for each in place.sessions.list().sessions] == ["t"]


def test_rows_without_their_session_are_deleted(local: Place) -> None:
    """What stands under an id without a session's own row keeps it from being taken, until it is deleted."""
    fill(local, ["s", "t"])
    local.run("DELETE FROM strands_sessions WHERE session_id = 't'")
    with pytest.raises(SessionException, match="delete that session first"):
        local.sessions.fork("s", "t")
    assert local.sessions.delete("t").rows == 3
    local.sessions.fork("s", "t")


@pytest.mark.parametrize("killed_at", [2, 3, 4])
def test_a_deletion_that_was_killed_goes_on(local: Place, killed_at: int) -> None:
    """Until its last page a session is listed, and another run deletes the rest; no page is without bounds."""
    fill(local, ["s"], messages=2500)
    local.database.clear()
    local.database.fail_next(killed_at)
    with pytest.raises(PerSQLError):
        local.sessions.delete("s")
    assert [each.session_id for each in local.sessions.list().sessions] == ["s"]
    assert all(
        "WHERE session_id = ?" in sql or "WHERE (key >= ? AND key < ?)" in sql
        for request in local.database.requests
        for sql, _ in request.statements
        if sql.startswith("DELETE")
    )
    left = rows_of(local, "s")
    assert left == 2502 if killed_at == 2 else left < 2502
    assert local.sessions.delete("s").rows == left
    assert rows_of(local, "s") == 0


def test_what_is_old_is_pruned(place: Place) -> None:
    """Sessions last active before a time go, counted first; later ones, a Graph's of today and other prefixes stay."""
    fill(place, ["a-old", "a-older", "b-old"])
    place.agent("a-new", text("hello"))("hi")
    fill(place, ["a-graph"])
    place.run("INSERT INTO strands_multi_agents VALUES ('a-graph', 'graph', 5, ?, '{}')", now())
    options: dict[str, Any] = {"older_than": timedelta(days=30), "prefix": "a-"}
    before = place.store.rows()
    counted = place.sessions.prune(**options, dry_run=True)
    assert place.store.rows() == before
    assert (counted.session_ids, counted.rows) == (("a-old", "a-older"), 8)

    seen: list[Any] = []
    done = place.sessions.prune(**options, progress=seen.append)
    assert (done.session_ids, done.rows, done.dry_run) == (counted.session_ids, counted.rows, False)
    assert [each.rows for each in seen] == [4, 8]
    assert [each.session_id for each in place.sessions.list().sessions] == ["a-graph", "a-new", "b-old"]
    place.run("UPDATE strands_multi_agents SET updated_at = '2025-01-01T00:00:00+00:00'")
    assert place.sessions.prune(**options).session_ids == ("a-graph",)
    assert not place.sessions.prune(older_than="2024-01-01").session_ids


def test_a_session_that_becomes_active_is_not_pruned(local: Place) -> None:
    """A turn between the look at a session and its deletion keeps it."""
    fill(local, ["a", "b"])

    def wake(request: Any) -> None:
        if request.writes:
            local.database.on_call = None
            local.agent("a", text("awake"))("hello?")

    local.database.on_call = wake
    assert local.sessions.prune(older_than="2025-06-01").session_ids == ("b",)
    assert words_of(local.agent("a").messages)[-1] == "awake"


def test_a_pruning_that_was_killed_goes_on(local: Place) -> None:
    """What a killed run has left of a session is found by the next, although its agents are gone."""
    fill(local, ["s"], messages=2500)
    local.database.fail_next(3)
    with pytest.raises(PerSQLError):
        local.sessions.prune(older_than="2025-06-01")
    assert 0 < rows_of(local, "s") < 2502
    local.sessions.prune(older_than="2025-06-01")
    assert rows_of(local, "s") == 0


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["delete", "prune"])
def test_what_a_killed_deletion_left_does_not_come_back(place: Place, operation: str) -> None:
    """Who opens a half-deleted session begins anew, and no restore of it ever holds the old messages again."""
    fill(place, ["s"], messages=2500)
    live = place.agent("s", text("too late"))
    place.database.clear()
    place.database.fail_next(3)  # the first looks, the second deletes a page
    with pytest.raises(PerSQLError):
        if operation == "delete":
            place.sessions.delete("s")
        else:
            place.sessions.prune(older_than="2025-06-01")
    assert place.run("SELECT max(message_id) AS last FROM strands_messages") == [{"last": 1499}]
    with pytest.raises(SessionConflictError):
        live("still there?")

    assert place.agent("s").messages == []
    place.agent("s", text("hello"))("hi")
    again = place.agent("s", text("fine"))
    assert words_of(again.messages) == ["hi", "hello"]
    again("and?")
    assert words_of(place.agent("s").messages) == ["hi", "hello", "and?", "fine"]
    place.sessions.delete("s")
    assert rows_of(place, "s") == 0


def test_a_killed_deletion_leaves_whole_documents(local: Place) -> None:
    """Until its row goes, no document loses a part; all rows are counted once."""
    fill(local, ["s"], messages=1200)
    local.run(
        "INSERT INTO strands_chunks SELECT 's', 'message', 'default', message_id, 'g', 0, '{}' FROM strands_messages "
        "WHERE message_id < 90"
    )
    local.run("INSERT INTO strands_chunks VALUES ('s', 'agent', 'default', 0, 'g', 0, '{}')")
    rows = rows_of(local, "s")
    seen: list[int] = []

    def look(deleted: int) -> None:
        seen.append(deleted)
        assert deleted + rows_of(local, "s") == rows
        assert not local.run(
            "SELECT 1 FROM strands_messages AS m WHERE message_id < 90 "
            "AND NOT EXISTS (SELECT 1 FROM strands_chunks AS c WHERE c.session_id = 's' "
            "AND c.kind = 'message' AND c.owner = 'default' AND c.message_id = m.message_id)"
        )
        assert not local.run(
            "SELECT 1 FROM strands_agents WHERE NOT EXISTS (SELECT 1 FROM strands_chunks WHERE kind = 'agent')"
        )

    assert local.sessions.delete("s", progress=look).rows == rows == seen[-1]
    assert rows_of(local, "s") == 0


def test_a_half_deleted_interrupt_is_over(local: Place) -> None:
    """An agent that waited for an answer when its deletion was killed takes a prompt."""
    local.agent("s", tools(use("ask", {"question": "sure?"})))("go")
    local.run(
        "INSERT INTO strands_messages (session_id, agent_id, message_id, data) "
        "SELECT 's', 'default', value, '{}' FROM json_each(?)",
        json.dumps(list(range(2, 1500))),
    )
    local.database.clear()
    local.database.fail_next(3)
    with pytest.raises(PerSQLError):
        local.sessions.delete("s")
    assert local.agent("s", text("fine"))("something else").stop_reason == "end_turn"


def test_a_long_session_that_becomes_active_keeps_its_new_turn(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """A turn between two pages of a pruning ends it, and stays; a later pruning deletes the session."""
    fill(place, ["a", "b"], messages=2500)
    pages = 0

    def wake(request: Any) -> None:
        nonlocal pages
        if request.writes:
            pages += 1
            if pages == 2:
                place.agent("a", text("awake"))("hello?")

    place.database.on_call = wake
    done = place.sessions.prune(older_than="2025-06-01")
    assert (done.session_ids, done.rows) == (("b",), 1000 + 2502)
    assert "session_id=<a>, rows=<1000> | the session became active" in caplog.text
    assert words_of(place.agent("a").messages) == ["hello?", "awake"]
    assert rows_of(place, "b") == 0 and rows_of(place, "a") == 1502 + 2
    assert place.sessions.prune(older_than=datetime.now(timezone.utc) + timedelta(days=1)).rows == 1504


def test_a_pruning_needs_a_time(local: Place) -> None:
    """Nothing is pruned by something that is no time."""
    fill(local, ["s"])
    with pytest.raises(ValueError, match="older_than"):
        local.sessions.prune(older_than="x")
    with pytest.raises(ValueError, match="older_than"):
        local.sessions.prune(older_than="")
    assert [session.session_id for session in local.sessions.list().sessions] == ["s"]


def test_a_token_that_may_not_create_tables_administers(emulator: Any, remote: Place) -> None:
    """Once the tables are there, a readwrite token does all of it but creating the index, and is told about that."""
    remote.agent("s", text("noted"))("hi")
    sessions = PerSQLSessions(emulator.database(role="readwrite"))
    sessions.fork("s", "copy")
    sessions.rename("copy", "new")
    sessions.rewind("new", "default", to=0)
    sessions.erase("new", "default", 0)
    assert sessions.prune(older_than=datetime.now(timezone.utc) + timedelta(days=1), prefix="new").rows == 4
    assert sessions.search("noted").method == "scan"
    with pytest.raises(PerSQLError, match="Use an admin token for this one call"):
        sessions.enable_search()
    remote.sessions.enable_search()
    assert sessions.search("noted").method == "index"
    sessions.delete("s")
    assert not sessions.search("noted").hits
