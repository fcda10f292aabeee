"""What the pages show, and what their forms do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.multiagent import GraphBuilder

from strands_persql import Encryption, PerSQLHooks, PerSQLSessionManager
from strands_persql.administration import overall
from strands_persql.administration.overall import MESSAGES, Tokens
from strands_persql.administration.records import MessageRecord, TokenUsage
from strands_persql.database.tables import _listing
from strands_persql.encryption import generate_key
from strands_persql.web.pages._plot import HEIGHT, MOST_BARS, plot_by_day, plot_of

from ...agents.agents import PIXEL, agent_of
from ...agents.scripted import ScriptedModel, redact_user, text, tools, use
from ...emulator import Emulator
from .conftest import Page, Site

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*191 }}"


@pytest.mark.slow
async def test_a_list_of_sessions(site: Site) -> None:
    """Newest first, by user and tag, a page at a time, and searched for words."""
    for number in range(27):
        site.agent(f"s{number}", text(f"answer {number}"), user="ada" if number else "bob")(f"question {number}")
    site.sessions.update("s3", tags=["paid"], title="Third")
    first = await site.text("/")
    assert first.index("question 26") < first.index("question 25") and "question 0" not in first
    assert "Older sessions" in first
    of_bob = await site.text("/", user="bob")
    assert "question 0" in of_bob and "question 5" not in of_bob and "Older sessions" not in of_bob
    tagged = await site.text("/", tag="paid")
    assert "Third" in tagged and "question 4" not in tagged
    page = site.sessions.list(order="recent", user="ada", limit=25)
    older = await site.text("/", user="ada", after=page.after)
    assert "question 1<" in older and "question 2<" not in older
    found = await site.text("/", q="answer 7")
    assert "s7" in found and "s8" not in found and "No message" not in found
    filtered: list[tuple[dict[str, Any], list[str]]] = [
        ({"user": "bob"}, ["s0"]),
        ({"tag": "paid"}, ["s3"]),
        ({"user": "bob", "tag": "paid"}, []),
    ]
    for filters, ids in filtered:
        some = await site.text("/", q="answer", **filters)
        assert re.findall(r"<bdi>(s\d+)</bdi>", some) == ids
    assert "No message holds" in await site.text("/", q="nowhere")


async def test_an_empty_database(site: Site) -> None:
    """It has no sessions, which is no fault."""
    assert "There are no sessions yet" in await site.text("/")
    await site.text("/session", 404, id="s")


@pytest.mark.slow
async def test_a_session_as_a_chat(site: Site) -> None:
    """Messages with tools, redactions, the window's edge; the newest page first, older ones behind a link."""
    script = [
        tools(use("add", {"a": 1, "b": 2}, "u1"), use("picture", {}, "u2")),
        text("three"),
        redact_user("[redacted]"),
    ]
    agent = site.agent(
        "s",
        *script,
        *(text(f"answer {number}") for number in range(30)),
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=10),
    )
    agent("How much?")
    agent("secret")
    for number in range(30):
        agent(f"question {number}")
    newest = await site.text("/session", id="s")
    assert "answer 29" in newest and "question 1<" not in newest and "The model sees from here" in newest
    assert "66 messages in 1 agent" in newest
    before = site.sessions.messages("s", limit=50).before
    oldest = await site.text("/session", id="s", agent="default", before=before)
    assert "question 1<" in oldest and "Redacted" in oldest and "secret" not in oldest
    assert '<bdi class="name">add</bdi>' in oldest and "Newest messages" in oldest
    image = await site.client.get("/media", params={"id": "s", "agent": "default", "record": "2", "place": "1.1"})
    assert image.content == PIXEL and image.headers["content-type"] == "image/png"
    assert "sandbox" in image.headers["content-security-policy"]
    assert "/media?id=s&amp;agent=default&amp;record=2&amp;place=1.1" in oldest


async def test_agents_of_a_graph_side_by_side(site: Site) -> None:
    """Each agent has a column, and a page of its own; what is found says whose message it is."""
    builder = GraphBuilder()
    for name in ("zeta", "alpha"):
        node: Any = agent_of(
            ScriptedModel([text(f"{name} is done")]), hooks=lambda: [PerSQLHooks("s", site.database)], name=name,
            agent_id=name,
        )(None)  # fmt: skip
        builder.add_node(node, name)
    builder.add_edge("zeta", "alpha")
    builder.set_entry_point("zeta")
    builder.set_execution_timeout(300)
    await builder.build().invoke_async("tea")
    both = await site.text("/session", id="s")
    assert both.count('<section class="column"') == 2 and "agents=all" in both
    one = await site.text("/session", id="s", agent="zeta")
    assert one.count('<section class="column"') == 1 and "live.js" in one
    hits = re.findall(r'<p class="facts"><bdi>(\w+)</bdi> · User', await site.text("/", q="tea"))
    assert hits == ["alpha", "zeta"]


async def test_what_a_graph_keeps_of_its_nodes(site: Site) -> None:
    """Nodes whose conversations nobody stored have columns of their results, to which the Graph's steps lead."""
    builder, hooks = GraphBuilder(), PerSQLHooks("g", site.database)
    for name in ("zeta", "alpha", "mid"):
        stored: list[Any] = [hooks] if name == "mid" else []
        model = ScriptedModel([text(f"{name} is *done*")])
        builder.add_node(Agent(model=model, agent_id=name, hooks=stored, callback_handler=None), name)
    builder.add_edge("zeta", "alpha")
    builder.add_edge("alpha", "mid")
    builder.set_execution_timeout(300)
    builder.set_session_manager(PerSQLSessionManager("g", site.database))
    await builder.build().invoke_async("tea")
    shown = await site.text("/session", id="g")
    assert shown.count('<section class="column"') == 3 and shown.count("zeta is <em>done</em>") == 1
    kept = shown[shown.index('<div id="kept">') :]
    assert re.findall(r'<h2 id="(\w+)-title"><bdi>(\w+)', kept) == [("n1", "zeta"), ("n2", "alpha")]
    assert 'href="#n1"' in shown and 'href="#n2"' in shown and "No agent has stored" not in shown
    assert "zeta is <em>" not in await site.text("/session", id="g", agent="mid")


@pytest.mark.slow
async def test_forms(site: Site) -> None:
    """A session is renamed, copied, set back, blanked and deleted."""
    agent = site.agent("s/1", text("a"), text("b"))
    agent("one")
    agent("two")
    await site.send("/rename", id="s/1", title="A title", tags="x\r\ny\r\n\r\n")
    detail = site.sessions.get("s/1")
    assert (detail.title, detail.tags) == ("A title", ("x", "y"))
    there = (await site.send("/fork", id="s/1", agent="default", message=1)).headers["location"]
    copy = [each.session_id for each in site.sessions.list().sessions if each.session_id != "s/1"]
    assert len(copy) == 1 and copy[0] in there.replace("%2F", "/")
    assert len(site.sessions.messages(copy[0]).messages) == 2
    await site.send("/rewind", id="s/1", agent="default", message=1)
    assert [record.in_window for record in site.sessions.messages("s/1").messages] == [True, True, False, False]
    await site.send("/erase", 400, id="s/1", agent="default", message=0)
    await site.send("/erase", id="s/1", agent="default", message=0, sure="yes")
    assert site.sessions.messages("s/1").messages[0].erased
    await site.send("/delete", 400, id="s/1")
    assert (await site.send("/delete", id="s/1", sure="yes")).headers["location"] == "/"
    assert "There is no such session" in await site.text("/session", 404, id="s/1")


async def test_usage_doctor_export(site: Site) -> None:
    """Figures and a drawing; findings; a file that can be brought in again."""
    site.agent("s", tools(use("add", {"a": 1, "b": 2}, "u1")), text("three"))("How much?")
    usage = await site.text("/usage", id="s")
    assert "<dt>Tool calls</dt><dd>1 <small>none failed</small></dd>" in usage
    assert "connection" in await site.text("/doctor") and "session" in await site.text("/doctor", id="s")
    answer = await site.client.get("/export", params={"id": "s"})
    assert "attachment" in answer.headers["content-disposition"]
    site.sessions.import_from(answer.text.splitlines(), new_id="t")
    assert [each.text for each in site.sessions.messages("t").messages][-1] == "three"


async def test_stored_text_is_text(site: Site) -> None:
    """Whatever is stored is shown as it is, on every page."""
    agent = site.agent(HOSTILE, tools(use("add", {HOSTILE: HOSTILE}, HOSTILE)), text(HOSTILE), user=HOSTILE)
    agent(HOSTILE)
    site.sessions.update(HOSTILE, tags=[HOSTILE[:40]])
    pages = [
        await site.text("/"),
        await site.text("/", q="alert"),
        await site.text("/", user=HOSTILE),
        await site.text("/session", id=HOSTILE),
        await site.text("/usage", id=HOSTILE),
        await site.text("/doctor", id=HOSTILE),
        await site.text("/confirm", action="erase", id=HOSTILE, agent=HOSTILE, message=HOSTILE),
        await site.text("/session", 404, id=HOSTILE + "x"),
    ]
    for page in pages:
        assert "<script>" not in page and "<img src=x" not in page and "1337" not in page


@pytest.mark.parametrize(
    ("path", "names", "status"),
    [
        ("/session", {"id": ""}, 400),
        ("/session", {"id": "x" * 5000}, 400),
        ("/session", {"id": "s", "before": "x"}, 400),
        ("/", {"q": "..."}, 400),
        ("/", {"after": "\x00"}, 400),
        ("/confirm", {"id": "s", "action": "rename"}, 400),
        ("/media", {"id": "s", "agent": "default", "record": "0", "place": "0"}, 404),
        ("/static/_app.py", {}, 404),
        ("/static/..%2f__init__.py", {}, 404),
        ("/nowhere", {}, 404),
    ],
)
async def test_what_is_not_there(site: Site, path: str, names: dict[str, str], status: int) -> None:
    """An address that leads nowhere says so."""
    site.agent("s", text("a"))("one")
    await site.text(path, status, **names)


async def test_what_was_taken_back_is_not_counted(site: Site) -> None:
    """The list shows the last message that counts, and how many count; the session's page says how many others."""
    agent = site.agent("s", text("answer one"), text("answer two"))
    agent("one")
    agent("two")
    await site.send("/rewind", id="s", agent="default", message=1)
    listed = await site.text("/")
    assert "answer one</p>" in listed and "answer two" not in listed and " 2 messages " in listed
    page = await site.text("/session", id="s")
    assert "2 messages in 1 agent; 2 more taken back" in page
    assert "The model sees 2 messages; 4 in the transcript, 2 of them taken back" in page


PYTHONS = re.compile(r"\b\w+=|\b[a-z]+_[a-z_]+\b|PerSQL[A-Z]\w+\(|client\.|int\(\)")


@pytest.mark.parametrize(
    ("path", "names", "words"),
    [
        ("/session", {"id": "none"}, "The list of sessions shows those that do."),
        ("/session", {"id": "s", "agent": "b", "before": "x"}, "The address names no message."),
        ("/", {"q": "!"}, "The field for words must hold a word"),
        ("/", {"after": "x"}, "The address is of no page of this list"),
        ("/confirm", {"id": "s", "action": "forget"}, "There is no such question."),
        ("/session", {"id": "sealed"}, "This server was started without the key"),
        ("/usage", {"id": "sealed"}, "This server was started without the key"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_problems_speak_of_pages(site: Site, path: str, names: dict[str, str], words: str) -> None:
    """What the package calls by Python's names, a problem's page calls by what there is to see or to do."""
    for agent_id in ("a", "b"):
        site.agent("s", text("a"), agent_id=agent_id)("one")
    manager = PerSQLSessionManager("sealed", site.database, encryption=Encryption(generate_key()))
    agent_of(ScriptedModel([text("a")]))(manager)("one")
    answer = await site.client.get(path, params=names)
    (said,) = re.findall(r'<p class="prose">(.*?)</p>', answer.text, re.DOTALL)
    assert answer.status_code >= 400 and words in said
    assert not PYTHONS.search(said), said


@pytest.mark.slow
async def test_the_cost_is_what_it_was(emulator: Emulator) -> None:
    """The page's estimate, in words, and within a hundredth of what storing the session was billed."""
    site = Site(emulator.database())
    site.agent("first", text("a"))("one")  # makes the tables

    async def compared(session_id: str, run: Callable[[], Any]) -> None:
        emulator.reset()
        run()
        used = (emulator.billing.requests, emulator.billing.rows_written)
        billed = used[0] * 0.5e-6 + used[1] * 2e-6
        page = await site.text("/session", id=session_id)
        (dollars, requests, rows), = re.findall(
            r"about <strong>\$([\d.]+)</strong>.* An estimate: (\d+) requests and (\d+) rows written", page
        )  # fmt: skip
        assert float(dollars) == pytest.approx(billed, rel=0.01)
        assert (int(requests), int(rows)) == used
        assert f"${dollars}" in await site.text("/usage", id=session_id)

    def turns(session_id: str, user: str | None, *, calls: bool) -> None:
        script = [
            each for _ in range(10) for each in ([tools(use("add", {"a": 1, "b": 2}))] if calls else []) + [text("a")]
        ]
        agent = site.agent(session_id, *script, user=user)
        for _ in range(10):
            agent("one")

    def graph() -> None:
        builder, hooks = GraphBuilder(), PerSQLHooks("graph", site.database)
        for name in ("a", "b", "c"):
            node: Any = agent_of(ScriptedModel([text("done")]), hooks=lambda: [hooks], agent_id=name)(None)
            builder.add_node(node, name)
        builder.add_edge("a", "b")
        builder.add_edge("b", "c")
        builder.set_entry_point("a")
        builder.set_execution_timeout(300)
        builder.set_session_manager(PerSQLSessionManager("graph", site.database))
        builder.build()("go")

    await compared("plain", lambda: turns("plain", None, calls=False))
    await compared("ada", lambda: turns("ada", "ada", calls=False))
    await compared("tools", lambda: turns("tools", None, calls=True))
    await compared("graph", graph)
    await site.client.aclose()


async def test_a_long_session_costs_a_page(emulator: Emulator) -> None:
    """A session of 10,000 messages opens with a few requests, and few rows of messages."""
    site = Site(emulator.database())
    site.agent("s", text("a"))("one")
    document = {"message": {"role": "user", "content": [{"text": "hi"}]}, "created_at": "2025-01-01T00:00:00+00:00"}
    with emulator.sqlite() as connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO strands_messages (session_id, agent_id, message_id, data) VALUES ('s', 'default', ?, ?)",
            ((number, json.dumps(document)) for number in range(2, 10_000)),
        )
        connection.execute("COMMIT")
    emulator.reset()
    assert "10,000 messages in 1 agent" in await site.text("/session", id="s")
    assert emulator.requests == 4
    assert emulator.billing.rows_read < 500
    for path, requests in (("/", 2), ("/?user=ada", 1), ("/usage?id=s", 3), ("/usage", 3), ("/usage?user=ada", 2)):
        emulator.reset()
        assert (await site.client.get(path)).status_code == 200
        assert emulator.requests == requests, path
    await site.client.aclose()


def test_a_plot_of_many_answers() -> None:
    """No more bars than fit, each as high as its tokens; none where none are told."""

    def record(number: int, tokens: int) -> MessageRecord:
        usage = TokenUsage(input_tokens=tokens, output_tokens=tokens) if tokens else None
        at = "2025-01-01T00:00:00+00:00"
        return MessageRecord(
            str(number),
            "a",
            number,
            "assistant",
            at,
            at,
            "",
            (),
            False,
            False,
            False,
            True,
            False,
            False,
            None,
            usage,
            {},
        )

    assert plot_of([record(0, 0)]) is None
    plot = plot_of([record(number, number + 1) for number in range(500)])
    assert plot is not None and len(plot.bars) <= MOST_BARS
    assert max(bar.in_height + bar.out_height for bar in plot.bars) == pytest.approx(HEIGHT)
    assert [bar.in_height for bar in plot.bars[:-1]] == sorted(bar.in_height for bar in plot.bars[:-1])
    assert plot.bars[0].title.startswith("#0 to #8:")
    one = plot_of([record(0, 1)])
    assert one is not None and one.bars[0].title == "#0: 1 token in, 1 out" and one.top == "2 tokens"


async def test_usage_of_all_sessions(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """By day and by user, of the newest sessions and messages alone; of one user, theirs."""
    for name, user in (("a", "ada"), ("b", "bob"), ("c", None), ("d", "ada")):
        site.agent(name, text("fine"), text("good"), user=user)("hello")
    site.database.query(
        "UPDATE strands_messages SET data = json_set(data, '$.created_at', '2026-01-0' || (instr('abcd', session_id)) "
        "|| 'T10:00:00+00:00', '$.message.metadata', json('{\"usage\":{\"inputTokens\":7,\"outputTokens\":3}}')) "
        "WHERE message_id = 1"
    )
    site.database.query("UPDATE strands_messages SET data = '{' WHERE session_id = 'd' AND message_id = 0")
    page = await site.text("/usage")
    assert page.count("<rect") == 2 * 4 and "<title>2026-01-01: 7 tokens in, 3 out</title>" in page
    assert [re.findall(r"<td>(\d+)</td>", row) for row in re.findall(r"<tr><th scope=.row.*?</tr>", page)] == [
        ["2", "2", "14", "6"],
        ["1", "1", "7", "3"],
        ["1", "1", "7", "3"],
    ]
    assert "Of 4 sessions," in page and f"newest {MESSAGES} messages" in page
    of_ada = await site.text("/usage", user="ada")
    assert "bob" not in of_ada and of_ada.count("<rect") == 2 * 4  # the days between, too
    assert "None of these messages tells of tokens" in await site.text("/usage", user="eve")
    monkeypatch.setattr(overall, "SESSIONS", 2)
    assert "Of the newest 2 sessions," in await site.text("/usage")


def test_a_plot_of_many_days() -> None:
    """A bar for each day between the first and the last, and for several where they are many."""
    assert plot_by_day({}) is None
    assert plot_by_day({date(2026, 1, 3): Tokens(1, 0, 0)}) is None  # a model that counts none
    plot = plot_by_day({date(2026, 1, 3): Tokens(1, 5, 5), date(2026, 1, 1): Tokens(1, 1, 0)})
    assert plot is not None and [bar.in_height > 0 for bar in plot.bars] == [True, False, True]
    assert (plot.first, plot.last, plot.top) == ("2026-01-01", "2026-01-03", "10 tokens")
    plot = plot_by_day({date(2020, 1, 1): Tokens(1, 5, 5), date(2026, 1, 1): Tokens(1, 1, 0)})
    assert plot is not None and len(plot.bars) <= MOST_BARS


async def test_a_list_without_an_index(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that not all are in order, and how they come to be."""
    monkeypatch.setattr(_listing, "AMONG", 1)
    for name in ("a", "b"):
        site.agent(name, text("fine"))("hello")
    assert "strands-persql recent on" in await site.text("/")
    site.sessions.enable_recent()
    assert "strands-persql recent on" not in await site.text("/")


async def test_copies_and_what_was_taken_back(site: Site) -> None:
    """A session names its copies, they name it; messages that were taken back are marked."""
    site.agent("s", text("a"), text("b"))("one")
    site.sessions.fork("s", "copy")
    assert "1 copy" in await site.text("/session", id="s")
    page = Page(await site.text("/session", id="copy"))
    assert page.links["s"] == "/session?id=s"
    await site.send("/rewind", id="s", agent="default", message="0")
    shown = await site.text("/session", id="s")
    assert "Taken back: the history was set back to before these" in shown and "Trimmed" not in shown
