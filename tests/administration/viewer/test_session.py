"""The page of a session as a whole: totals, agents side by side, Graphs and Swarms; of real sessions too."""

from __future__ import annotations

import builtins
import io
import itertools
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.multiagent import GraphBuilder
from strands.types.exceptions import SessionException
from syrupy.assertion import SnapshotAssertion

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager
from strands_persql.administration.results import MultiAgentSummary
from strands_persql.administration.sessions import PerSQLSessions
from strands_persql.administration.viewer import session_html, write_session_html

from ...agents.agents import agent_of
from ...agents.scripted import ScriptedModel, redact_user, tools
from ...agents.scripted import use as call
from ...emulator import Emulator
from .pages import Element, entries, parse
from .sessions import (
    Sessions,
    assistant,
    result,
    use,
    user,
)


def page_of(sessions: Sessions) -> Element:
    """The page of a session."""
    return parse(session_html(sessions, sessions.session_id))


def node(message: str, status: str = "completed", milliseconds: int = 2400) -> dict[str, Any]:
    """What a Graph keeps of a node."""
    return {
        "status": status,
        "execution_time": milliseconds,
        "accumulated_usage": {"inputTokens": 900, "outputTokens": 100, "totalTokens": 1000},
        "result": {"type": "agent_result", "message": assistant(message), "stop_reason": "end_turn"},
    }


def graph(**data: Any) -> MultiAgentSummary:
    """A Graph of which one node has an agent, and one has none."""
    results = {
        "write": node("written"),
        "research": node("found"),
        "check": {"status": "failed", "result": {"type": "exception", "message": "no network"}},
    }
    nodes = ("research", "write", "research", "check")
    state = {"type": "graph", "node_results": results, "current_task": "tea", "execution_time": 64_000, **data}
    return MultiAgentSummary("report", "failed", nodes, state)


def test_totals() -> None:
    """The totals stand at the top."""
    messages = [
        user("q"),
        assistant(use("a", "1"), tokens=(1200, 30), latency=900),
        user(result("1", "x", status="error")),
    ]
    figures = page_of(Sessions({"default": messages})).one("dl").words
    assert (
        figures
        == "Messages 3 in 1 agent Model calls 1 900 ms in all Tool calls 1 1 failed Tokens in 1,200 Tokens out 30"
    )


def test_totals_that_few_messages_tell() -> None:
    """Where not every answer of the model tells its tokens, the totals say of how many they are."""
    messages = [assistant("a", tokens=(1, 1)), assistant("b")]
    assert "1 of 2 answers tell them" in page_of(Sessions({"default": messages})).one("header", "top").words


def test_agents_side_by_side() -> None:
    """Agents stand in columns, first those that are no nodes, then nodes in the order in which they ran."""
    sessions = Sessions({"write": [user("w")], "front": [user("f")], "research": [user("r")]}, multi_agents=(graph(),))
    page = page_of(sessions)
    columns = page.all("section", "column")
    assert [each.one("h2").text for each in columns] == ["front", "research", "write", "check"]
    assert [[place.text for place in each.all("span", "place")] for each in columns] == [[], ["1", "3"], ["2"], ["4"]]
    assert [each.attributes["href"] for each in page.one("nav").all("a")] == [
        f"#{each.attributes['id']}" for each in columns
    ]
    assert "wide" in page.one("body").classes


def test_steps() -> None:
    """The nodes of a Graph are listed in their order with status, time and tokens, and lead to their columns."""
    page = page_of(
        Sessions(
            {"write": [user("w")], "research": [user("r")]}, multi_agents=(graph(next_nodes_to_execute=["print"]),)
        )
    )
    steps = page.one("ol", "steps").all("li")
    assert [each.words for each in steps] == [
        "1 research again at 3",
        "2 write 2.4 s · 1,000 tokens completed",
        "3 research 2.4 s · 1,000 tokens completed",
        "4 check no figures failed",
        "print to run next",
    ]
    titles = {each.attributes["id"]: each.one("h2").text for each in page.all("section", "column")}
    assert [titles[each.one("a").attributes["href"][1:]] for each in steps[:4]] == [
        "research",
        "write",
        "research",
        "check",
    ]
    assert page.one("section", "group").one("div", "heading").words == "Graph report failed 1 min 4 s"


def test_node_without_an_agent() -> None:
    """Of a node that no agent is stored for, the page shows the result that its Graph keeps; an error as one."""
    page = page_of(Sessions({}, multi_agents=(graph(),)))
    columns = {each.one("h2").text: each for each in page.all("section", "column")}
    assert columns["write"].one("div", "bubble").words == "written"
    assert "no agent of this name is stored" in columns["write"].words
    assert not columns["write"].all("span", "note")
    assert "error" in columns["check"].one("li", "entry").classes


def test_nested_graph() -> None:
    """Of a node that is itself a Graph, the answers inside it are shown."""
    inner = {"type": "multiagent_result", "results": {"x": node("inner one"), "y": node("inner two")}}
    page = page_of(
        Sessions(
            {}, multi_agents=(MultiAgentSummary("g", "completed", ("n",), {"node_results": {"n": {"result": inner}}}),)
        )
    )
    assert [each.one("div", "bubble").words for each in entries(page)] == ["inner one", "inner two"]


def test_interrupts_of_a_graph() -> None:
    """A question that waits for a person stands out; one that was answered has its answer."""
    interrupts = {
        "1": {"id": "1", "name": "approve", "reason": {"sure": True}, "response": None},
        "2": {"id": "2", "name": "sign", "reason": None, "response": "yes"},
    }
    state = {"interrupt_state": {"activated": True, "interrupts": interrupts}}
    page = page_of(Sessions({}, multi_agents=(graph(_internal_state=state),)))
    assert [each.words for each in page.one("section", "group").all("div", "guard")] == [
        'Waits for an answer approve { "sure": true }',
        "Answered interrupt sign Answer yes",
    ]


@pytest.mark.parametrize(
    "data",
    [{}, {"node_results": []}, {"current_task": None, "_internal_state": 1}, {"node_results": {"research": 7}}],
)
def test_odd_states(data: dict[str, Any]) -> None:
    """A Graph whose state is of another shape is no error."""
    page_of(Sessions({"a": []}, multi_agents=(MultiAgentSummary("g", "", ("research",), data),)))


def test_empty() -> None:
    """A session without agents, and an agent without messages, say so."""
    assert "No agent has stored anything" in page_of(Sessions({})).one("main").words
    assert "No messages yet" in page_of(Sessions({"default": []})).one("main").words


def test_accessible() -> None:
    """Landmarks, one first heading, headings without a gap, names for regions, a language, a way past the top."""
    page = page_of(
        Sessions(
            {"a": [user("x"), assistant(use("t", "1")), user(result("1", "r"))], "b": [user("y")]},
            multi_agents=(graph(),),
        )
    )
    assert page.one("html").attributes["lang"] == "en"
    assert [each.tag for each in page.one("body").children if isinstance(each, Element)] == [
        "a",
        "header",
        "main",
        "footer",
    ]
    levels = [int(each.tag[1]) for each in page.all() if each.tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = {each.attributes["id"] for each in page.all() if "id" in each.attributes}
    for each in page.all("section"):
        assert each.attributes["aria-labelledby"] in ids
    assert page.one("nav").attributes["aria-label"]
    assert page.one("a", "skip").attributes["href"] == f"#{page.one('main').attributes['id']}"
    for details in page.all("details"):
        assert details.one("summary").words or details.all("summary")[0].words


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_contrast(scheme: int) -> None:
    """Text stands out from what it is on by 4.5 to 1 at least, in each of the three palettes."""
    palettes = re.findall(r":root \{(.*?)\}", page_of(Sessions({})).one("style").text, re.DOTALL)
    assert len(palettes) == 3
    light, palette = (dict(re.findall(r"--([\w-]+): (#\w+);", palettes[number])) for number in (0, scheme))
    colors = {**light, **palette}
    pairs = {
        "ground": ["ink", "quiet", "accent", "wait"],
        "surface": ["ink", "quiet", "accent", "bad", "wait"],
        "sunk": ["ink", "quiet"],
        "chip": ["quiet"],
        "user": ["user-ink"],
        "user-sunk": ["user-ink", "ink", "quiet"],
        "good-ground": ["good"],
        "bad-ground": ["bad"],
        "wait-ground": ["wait", "ink"],
        "accent": ["surface"],
    }
    for behind, fronts in pairs.items():
        for front in fronts:
            dark, bright = sorted((luminance(colors[behind]), luminance(colors[front])))
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, f"{front} on {behind}"


def luminance(color: str) -> float:
    """The relative luminance of a colour, as WCAG 2 defines it."""
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_no_such_session() -> None:
    """A session that isn't there is an error, before anything is written."""
    file = io.StringIO()
    with pytest.raises(SessionException):
        write_session_html(Sessions({}), "other", file)
    assert file.getvalue() == ""


def test_without_jinja2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where jinja2 is missing the error names the extra, before the session is read."""
    original = builtins.__import__

    def absent(name: str, *args: Any, **options: Any) -> Any:
        if name == "jinja2":
            raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")
        return original(name, *args, **options)

    monkeypatch.delitem(sys.modules, "jinja2", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)
    sessions = Sessions({"default": [user("a")]})
    with pytest.raises(ModuleNotFoundError, match=r"strands-persql\[cli\]"):
        session_html(sessions, "user-42")
    assert sessions.reads == []


def test_page(snapshot: SnapshotAssertion) -> None:
    """A small page as a whole."""
    messages = [
        user("trimmed"),
        assistant("answer", tokens=(10, 2), latency=300),
        user("go"),
        assistant(
            {"reasoningContent": {"reasoningText": {"text": "hm"}}}, use("add", "t1", a=1), tokens=(20, 4), latency=700
        ),
        user(result("t1", "<3>")),
    ]
    html = session_html(Sessions({"default": messages}, dead={"default": {0, 1}}), "user-42")
    style = parse(html).one("style").text
    policy = next(line for line in html.splitlines() if "Content-Security-Policy" in line)
    # The style sheet is no part of it: the snapshot is of what the page says.
    assert html.replace(style, "…").replace(policy, "<!-- policy -->") == snapshot


@pytest.fixture(params=["local", "remote"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A database of either kind."""
    if request.param == "local":
        client = PerSQL(local=str(tmp_path / "agents.db"))
        request.addfinalizer(client.close)
        return client.database("test/agents")
    emulator: Emulator = request.getfixturevalue("emulator")
    return emulator.database()


async def test_real_session(database: Any) -> None:
    """The page of a session that an agent wrote: trimmed, redacted, with a tool; read over either kind of database."""
    model = ScriptedModel(["one", "two", tools(call("add", {"a": 1, "b": 2})), "three", redact_user("[redacted]")])
    build = agent_of(model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=4))
    agent = build(PerSQLSessionManager("user-42", database))
    for prompt in ("first", "second", "add <b>", "secret"):
        await agent.invoke_async(prompt)
    sessions = PerSQLSessions(database)
    page = parse(session_html(sessions, "user-42"))
    shown = [each.one("h3").text for each in entries(page)]
    assert shown == ["User", "Assistant", "User", "Assistant", "User", "Assistant", "Assistant", "User", "Assistant"]
    assert page.one("details", "tool").one("summary").words == "Tool add a=1, b=2 Done"
    assert "secret" not in page.text
    assert next(each.words for each in entries(page)[7].all("span", "chip")) == "Redacted"
    live = len(agent.messages)
    stored = len(list(page.all("li", "entry"))) + 1
    assert f"The model sees {live} messages; {stored} in the transcript" in page.one("main").words
    assert len(page.all("li", "edge")) == 2
    with pytest.raises(SessionException):
        session_html(sessions, "nobody")


async def test_real_graph(database: Any) -> None:
    """The page of a Graph whose nodes are mirrored: its nodes in their order, each with its conversation."""
    builder = GraphBuilder()
    for name in ("zeta", "alpha"):
        model = ScriptedModel([f"{name} is done"])
        hooks = PerSQLHooks("user-42", database)
        builder.add_node(agent_of(model, hooks=partial(list, [hooks]), name=name, agent_id=name)(None), name)
    builder.add_edge("zeta", "alpha")
    builder.set_entry_point("zeta")
    builder.set_graph_id("report")
    builder.set_execution_timeout(300)
    builder.set_session_manager(PerSQLSessionManager("user-42", database))
    await builder.build().invoke_async("tea")
    page = parse(session_html(PerSQLSessions(database), "user-42"))
    assert [each.one("h2").text for each in page.all("section", "column")] == ["zeta", "alpha"]
    assert [each.one("span", "status").text for each in page.one("ol", "steps").all("li")] == ["completed", "completed"]
    assert "zeta is done" in page.all("section", "column")[0].one("ol", "messages").words
