"""Listing sessions, and reading one: details, transcripts, usage."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.multiagent import GraphBuilder
from strands.session.repository_session_manager import RepositorySessionManager
from strands.types.exceptions import SessionException

from strands_persql import PerSQLHooks, PerSQLSessionManager, PerSQLSessionRepository, SessionDataError
from strands_persql.administration.results import Usage
from strands_persql.administration.sessions import PerSQLSessions
from strands_persql.database.tables import Ids, Listing, Tables

from ...agents.agents import agent_of
from ...agents.harness import assistant, user, words_of
from ...agents.scripted import (
    ScriptedModel,
    overflow,
    text,
    tools,
    use,
)
from .conftest import Place

OLD = "2025-01-01T00:00:00+00:00"


def fill(place: Place, ids: list[str], *, messages: int = 2, time: str = OLD) -> None:
    """Sessions of one agent each, as rows of the database's own making."""
    place.sessions.list()
    for start in range(0, len(ids), 30):
        place.database.batch(
            [
                statement
                for sid in ids[start : start + 30]
                for statement in (
                    {
                        "sql": "INSERT INTO strands_sessions (session_id, data) VALUES (?, ?)",
                        "params": [sid, json.dumps({"session_id": sid, "session_type": "AGENT", "created_at": time})],
                    },
                    {
                        "sql": "INSERT INTO strands_agents (session_id, agent_id, revision, live_window, data) "
                        "VALUES (?, 'default', 7, '[[0,null]]', ?)",
                        "params": [
                            sid,
                            json.dumps(
                                {
                                    "agent_id": "default",
                                    "state": {},
                                    "conversation_manager_state": {"removed_message_count": 0},
                                    "_internal_state": {},
                                    "created_at": time,
                                    "updated_at": time,
                                }
                            ),
                        ],
                    },
                    {
                        "sql": "INSERT INTO strands_messages (session_id, agent_id, message_id, data) "
                        "SELECT ?, 'default', value, "
                        "json_object('message', json(?), 'message_id', value, 'created_at', ?, 'updated_at', ?) "
                        "FROM json_each(?)",
                        "params": [sid, json.dumps(user("hi")), time, time, json.dumps(list(range(messages)))],
                    },
                )
            ],
            transaction=True,
        )


def test_a_session_of_a_real_agent_is_listed(place: Place) -> None:
    """Created, last active, agents, messages and bytes are what the agent's turns have made of them."""
    before = datetime.now(timezone.utc)
    agent = place.agent("a", text("hello"), text("again"))
    agent("hi")
    (first,) = place.sessions.list().sessions
    agent("more")
    (second,) = place.sessions.list(bytes=True).sessions

    assert (first.session_id, first.agents, first.messages, first.multi_agents, first.bytes) == ("a", 1, 2, 0, None)
    assert second.messages == 4
    assert before <= datetime.fromisoformat(first.created_at) <= datetime.fromisoformat(first.last_active)
    assert second.created_at == first.created_at and second.last_active > first.last_active
    stored = place.store.rows()
    texts = [
        json.dumps(row["data"], ensure_ascii=False, separators=(",", ":")) for table in stored.values() for row in table
    ]
    assert second.bytes == sum(len(each.encode()) for each in texts)


def test_pages_follow_one_another(place: Place) -> None:
    """Pages by `after` give every session once, in the order of code points, whatever the ids are made of."""
    ids = ["a", "b%", "b_", "ab", "é", "z\x7f", "\U0001f600", "日本", "b", "\ud7ff", "\ue000", "b'; --"]
    fill(place, ids)
    found: list[str] = []
    after: str | None = None
    for _ in range(20):
        page = place.sessions.list(limit=5, after=after)
        found += [each.session_id for each in page.sessions]
        after = page.after
        if after is None:
            break
    assert found == sorted(ids)
    assert len(page.sessions) == 2


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("b", ["b", "b%", "b_"]),
        ("b%", ["b%"]),
        ("\ud7ff", ["\ud7ff"]),
        ("\U0010ffff", ["\U0010ffff", "\U0010ffffx"]),
        ("none", []),
    ],
)
def test_a_prefix_is_a_range_of_keys(place: Place, prefix: str, expected: list[str]) -> None:
    """A prefix is taken literally, and so is the end of its range, at the edges of Unicode too."""
    fill(place, ["a", "b", "b%", "b_", "c", "\ud7ff", "\ue000", "\U0010ffff", "\U0010ffffx"])
    assert [each.session_id for each in place.sessions.list(prefix=prefix).sessions] == expected


def test_sessions_are_found_by_their_last_activity(place: Place) -> None:
    """`since` is inclusive, `until` is not, and a page that filters says where to go on."""
    fill(place, [f"old-{number}" for number in range(4)])
    fill(place, ["new"], time="2026-03-01T00:00:00+00:00")
    list_ = place.sessions.list

    assert [each.session_id for each in list_(since="2026-03-01").sessions] == ["new"]
    assert len(list_(until="2026-03-01T00:00:00Z").sessions) == 4
    assert list_(since="2026-03-01T01:00:00+02:00").sessions and not list_(since="2026-03-01T00:00:01").sessions
    page = list_(until=datetime(2026, 1, 1, tzinfo=timezone.utc), limit=3)
    assert [each.session_id for each in page.sessions] == ["old-0", "old-1", "old-2"] and page.after == "old-2"
    assert [each.session_id for each in list_(until="2026-01-01", after=page.after).sessions] == ["old-3"]


@pytest.mark.slow
def test_a_page_reads_only_its_own_rows(remote: Place, emulator: Any) -> None:
    """A page at any depth of many sessions costs one request, and reads a few rows for each session in it."""
    remote.sessions.list()
    with emulator.sqlite() as connection:
        count = 20_000
        session = json.dumps({"session_type": "AGENT", "created_at": OLD})
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO strands_sessions (session_id, data) VALUES (?, ?)",
            ((f"user-{n:06}", session) for n in range(count)),
        )
        connection.executemany(
            "INSERT INTO strands_agents (session_id, agent_id, revision, data) VALUES (?, 'a', 1, ?)",
            ((f"user-{n:06}", session) for n in range(count)),
        )
        connection.executemany(
            "INSERT INTO strands_messages (session_id, agent_id, message_id, data) VALUES (?, 'a', ?, ?)",
            ((f"user-{n:06}", message, session) for n in range(count) for message in range(2)),
        )
        connection.execute("COMMIT")
    starts: list[dict[str, Any]] = [{}, {"after": "user-000100"}, {"after": "user-019900"}, {"prefix": "user-0199"}]
    for options in starts:
        emulator.reset()
        page = remote.sessions.list(limit=50, **options)
        assert len(page.sessions) == 50 and page.sessions[0].messages == 2
        assert emulator.requests == 1
        assert emulator.billing.rows_read <= 4 * 50 + 10
    emulator.reset()
    page = remote.sessions.list(since="2026-01-01")
    assert not page.sessions and page.after == "user-000999"
    assert emulator.requests == 1 and emulator.billing.rows_read <= 4 * 1000 + 10


def test_the_plan_of_a_page_scans_no_table(local: Place) -> None:
    """Every table that a page of sessions reads is searched by its key."""
    local.sessions.list()
    listing = Listing(Tables())
    for end, sizes in ((None, False), ("b", False), (None, True)):
        (statement,) = listing.page(Ids("a", end, is_after=True), limit=5, sizes=sizes).statements
        plan = local.run("EXPLAIN QUERY PLAN " + statement["sql"], *statement["params"])
        assert not [
            line["detail"]
            for line in plan
            if re.match("SCAN (?!page|found|b VIRTUAL|json_each VIRTUAL)", line["detail"])
        ]


def test_details_tell_of_agents_and_graphs(place: Place) -> None:
    """`get` gives each agent's state, transcript and live window, and each Graph's nodes, in one request."""
    agent = place.agent(
        "s",
        *(text(f"answer {number}") for number in range(4)),
        agent_id="talker",
        state={"mood": "good"},
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=4),
    )
    for number in range(4):
        agent(f"question {number}")
    place.run(
        "INSERT INTO strands_multi_agents VALUES ('s', 'graph', 5, '', ?)",
        json.dumps({"type": "graph", "status": "completed", "execution_order": ["one", "two"]}),
    )
    detail = place.sessions.get("s", bytes=True)

    (summary,) = detail.agents
    assert (summary.agent_id, summary.messages, summary.live, summary.state) == ("talker", 8, 4, {"mood": "good"})
    assert detail.created_at <= summary.created_at <= summary.last_active == detail.last_active
    (graph,) = detail.multi_agents
    assert (graph.multi_agent_id, graph.status, graph.nodes) == ("graph", "completed", ("one", "two"))
    assert detail.bytes == place.sessions.list(bytes=True).sessions[0].bytes


def test_agents_stand_in_the_order_of_their_graph(place: Place) -> None:
    """Wherever all are read: those that are no node first, then nodes as they ran; by their ids if that is lost."""
    place.agent("s", text("hello"), agent_id="talker")("hi")
    builder = GraphBuilder()
    for name in ("zeta", "mid", "alpha"):
        node: Any = agent_of(
            ScriptedModel([text(f"{name} is done")]), hooks=lambda: [PerSQLHooks("s", place.database)], agent_id=name
        )(None)
        builder.add_node(node, name)
    builder.add_edge("zeta", "mid")
    builder.add_edge("mid", "alpha")
    builder.set_entry_point("zeta")
    builder.set_execution_timeout(300)
    builder.set_session_manager(PerSQLSessionManager("s", place.store.database()))
    builder.build()("go")
    order = ["talker", "zeta", "mid", "alpha"]

    def orders() -> list[list[str]]:
        markdown = io.StringIO()
        place.sessions.export("s", markdown, form="markdown")
        return [
            list(dict.fromkeys(message.agent_id for message in place.pages("s"))),
            list(dict.fromkeys(message.agent_id for message in place.pages("s", live=True))),
            list(place.sessions.usage("s").agents),
            re.findall("^## Agent (.*)$", markdown.getvalue(), re.MULTILINE),
        ]

    assert orders() == [order] * 4 and [each.agent_id for each in place.sessions.get("s").agents] == order
    text_of_all = io.StringIO()
    place.sessions.export("s", text_of_all, form="markdown")
    said = re.findall(r"^(?:## Agent|>) (\w+)(?: is done)?$", text_of_all.getvalue(), re.MULTILINE)
    assert [name for name in said if name in order] == ["talker", *(name for name in order[1:] for _ in range(2))]
    place.run("UPDATE strands_multi_agents SET data = '{' WHERE session_id = 's'")
    pages = [
        list(dict.fromkeys(message.agent_id for message in place.pages("s"))),
        list(place.sessions.usage("s").agents),
    ]
    assert pages == [["alpha", "mid", "talker", "zeta"]] * 2


def test_a_transcript_comes_in_pages_and_tells_what_is_live(place: Place) -> None:
    """The transcript holds trimmed messages, marked; `live=True` gives what a restored agent has."""
    agent = place.agent(
        "s",
        *(text(f"answer {number}") for number in range(5)),
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=4),
    )
    for number in range(5):
        agent(f"question {number}")
    pages = list(place.sessions.transcript("s", "default", page_size=3))
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    found = [message for page in pages for message in page]
    assert [message.message_id for message in found] == list(range(10))
    assert [message.live for message in found] == [False] * 6 + [True] * 4
    assert [message.message for message in found[-4:]] == agent.messages
    assert all(message.created_at <= message.updated_at for message in found)
    assert [message.message for message in place.pages("s", live=True, page_size=3)] == agent.messages


def test_a_summary_stands_in_the_window_alone(place: Place) -> None:
    """A message of the window that no transcript holds has no position."""
    agent = place.agent(
        "s",
        *(text(f"answer {number}") for number in range(3)),
        overflow(),
        text("the gist"),
        text("last answer"),
        conversation_manager=lambda: SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2),
    )
    for number in range(4):
        agent(f"question {number}")
    live = place.pages("s", live=True)
    assert [message.message for message in live] == agent.messages
    assert live[0].message_id is None and live[0].live and "gist" in words_of([live[0].message])[0]
    assert len(place.pages("s")) == 8 and place.sessions.get("s").agents[0].live == len(agent.messages)


def test_several_agents_come_one_after_the_other(place: Place) -> None:
    """Without an agent's id the transcripts of all come, no page with two of them."""
    for agent_id in ("b", "a"):
        place.agent("s", text(f"from {agent_id}"), agent_id=agent_id)("hi")
    pages = list(place.sessions.transcript("s"))
    assert [[message.agent_id for message in page] for page in pages] == [["a", "a"], ["b", "b"]]


def test_ranges_of_a_window_come_in_its_order(place: Place) -> None:
    """Pinned messages and the rest come as the window has them, over any page size."""
    fill(place, ["s"], messages=30)
    place.run("UPDATE strands_agents SET live_window = ?", "[[0,0],[3,3],[25,26],[5,9],[12,null]]")
    expected = [0, 3, 25, 26, 5, 6, 7, 8, 9, *range(12, 30)]
    for page_size in (1, 2, 3, 5, 100):
        pages = list(place.sessions.transcript("s", live=True, page_size=page_size))
        assert [message.message_id for page in pages for message in page] == expected
        assert max(map(len, pages)) <= page_size


def test_a_transcript_that_is_deleted_while_it_is_read(place: Place) -> None:
    """It does not look like one that has come to its end; what is said meanwhile is not in it."""
    agent = place.agent("s", text("one"), text("two"), text("three"))
    agent("first")
    agent("second")
    pages = place.sessions.transcript("s", page_size=2)
    read = next(pages)
    agent("third")
    assert len([*read, *next(pages)]) == 4 and not list(pages)
    pages = place.sessions.transcript("s", page_size=2)
    next(pages)
    place.sessions.delete("s")
    with pytest.raises(SessionException, match="Session 's' does not exist"):
        next(pages)


@pytest.mark.slow
def test_long_messages_make_short_pages(place: Place) -> None:
    """A message in parts is joined, and a page of long ones ends early instead of growing without bound."""
    long = "x" * 1_500_000
    agent = place.agent("s", *(text("short") for _ in range(4)))
    for number in range(4):
        agent(f"{number} {long}")
    pages = list(place.sessions.transcript("s", page_size=100))
    assert [message.message for page in pages for message in page] == agent.messages
    assert len(pages) > 1


def test_a_session_of_strands_own_manager_follows_its_rule(place: Place) -> None:
    """Where no window is stored, what is live is what Strands' manager would restore."""
    repository = PerSQLSessionRepository(place.store.database())

    def build(*script: Any) -> Any:
        build = agent_of(
            ScriptedModel(list(script)), conversation_manager=lambda: SlidingWindowConversationManager(window_size=4)
        )
        return build(RepositorySessionManager("s", repository))

    agent = build(*(text(f"answer {number}") for number in range(5)))
    for number in range(5):
        agent(f"question {number}")
    assert [message.message for message in place.pages("s", live=True)] == build().messages
    assert place.sessions.get("s").agents[0].live == 4


def test_usage_adds_up_what_the_messages_tell(place: Place) -> None:
    """Model calls, tool calls, errors and tokens, of each agent and of all."""
    agent = place.agent(
        "s",
        tools(use("add", {"a": 1, "b": 2}), use("boom")),
        text("three"),
        agent_id="one",
        messages=[user("x"), assistant("y")],
    )
    agent("go")
    place.agent("s", text("hi"), agent_id="two")("hi")
    usage = place.sessions.usage("s")

    assert (usage.messages, usage.model_calls, usage.tool_calls, usage.tool_errors) == (8, 4, 2, 1)
    assert (usage.agents["one"].messages, usage.agents["two"].messages) == (6, 2)
    has_metadata = [
        row["data"]["message"] for row in place.store.rows()["messages"] if "metadata" in row["data"]["message"]
    ]
    assert usage.reported == len(has_metadata)
    assert usage.input_tokens == usage.output_tokens == usage.latency_ms == len(has_metadata)


def test_usage_bears_rows_that_are_odd(place: Place) -> None:
    """Messages in parts, with NaN, or unreadable neither fail nor distort the counts, and take no second request."""
    nan = float("nan")
    agent = place.agent("s", tools(use("add", {"a": nan, "b": 1})), text("ok"))
    agent("x" * 1_200_000)
    fill(place, ["t"])
    place.run("UPDATE strands_messages SET data = 'junk' WHERE session_id = 't' AND message_id = 0")
    place.run(
        "UPDATE strands_messages SET data = ? WHERE session_id = 't' AND message_id = 1",
        '{"message":{"role":"assistant","content":["odd",{"toolUse":1}],"metadata":{"usage":{"inputTokens":"many"}}}}',
    )
    usage = place.sessions.usage("s")
    assert (usage.messages, usage.unread, usage.tool_calls, usage.model_calls) == (4, 0, 1, 2)
    odd = place.sessions.usage("t")
    assert (odd.messages, odd.unread, odd.reported, odd.model_calls, odd.input_tokens) == (2, 1, 1, 1, 0)


def test_an_agent_without_messages_has_used_nothing(place: Place) -> None:
    """An empty session counts to zero."""
    fill(place, ["s"], messages=0)
    assert place.sessions.usage("s") == Usage(agents={"default": Usage()})
    assert place.pages("s") == place.pages("s", live=True) == []
    assert place.sessions.list().sessions[0].messages == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda s: s.get("none"), SessionException, "'none' does not exist.*List the sessions"),
        (lambda s: s.transcript("none"), SessionException, "'none' does not exist"),
        (lambda s: s.transcript("s", "none"), SessionException, "Agent 'none' does not exist in session 's'"),
        (lambda s: s.usage("none"), SessionException, "'none' does not exist"),
        (lambda s: s.search("x", session_id="none"), SessionException, "'none' does not exist"),
        (lambda s: s.get(5), TypeError, "session_id must be a string"),
        (lambda s: s.get(" "), ValueError, "must not be empty"),
        (lambda s: s.list(limit=0), ValueError, "limit must be 1 to 1000, got 0"),
        (lambda s: s.list(since="yesterday"), ValueError, "since must be a time such as"),
        (lambda s: s.list(prefix="\ud800"), ValueError, "lone surrogate"),
        (lambda s: s.transcript("s", page_size=10_000), ValueError, "page_size must be 1 to 1000"),
        (lambda s: s.search("…"), ValueError, "must hold a word"),
    ],
)
def test_bad_arguments_are_refused_at_once(local: Place, call: Any, error: type[Exception], words: str) -> None:
    """What is not there, or can't be used, is said with the remedy, by the call itself."""
    fill(local, ["s"])
    with pytest.raises(error, match=words):
        call(local.sessions)


def test_an_unreadable_row_is_named(local: Place) -> None:
    """A row that can't be read stops what needs it, and is named; the list goes on without it."""
    local.agent("s", text("hello"))("hi")
    local.run("UPDATE strands_messages SET data = 'junk' WHERE message_id = 1")
    with pytest.raises(SessionDataError, match="Message 1 of agent 'default' can't be read"):
        local.pages("s")
    local.run("UPDATE strands_agents SET live_window = '[[0]]'")
    with pytest.raises(SessionDataError, match="live window of agent 'default' can't be read"):
        local.sessions.get("s")
    assert local.sessions.list().sessions[0].messages == 2


def test_a_handle_that_is_none_is_refused() -> None:
    """The constructor checks the handle and the prefix."""
    with pytest.raises(TypeError, match="must have the methods"):
        PerSQLSessions(object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="table_prefix"):
        PerSQLSessions(object(), table_prefix="x; --")  # type: ignore[arg-type]


def test_naive_times_are_local(local: Place) -> None:
    """A datetime without a zone is taken as Python takes it, a string as UTC."""
    local.agent("s", text("hello"))("hi")
    assert local.sessions.list(since=datetime.now() - timedelta(minutes=1)).sessions
    assert not local.sessions.list(since=datetime.now() + timedelta(minutes=1)).sessions
