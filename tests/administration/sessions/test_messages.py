"""An agent's messages as a chat page asks for them: records, in pages from the newest backwards."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.multiagent import GraphBuilder
from strands.session.repository_session_manager import RepositorySessionManager
from strands.types.exceptions import SessionException

from strands_persql import PerSQLHooks, PerSQLSessionManager, PerSQLSessionRepository, SessionDataError
from strands_persql.administration.records import (
    CitationPart,
    ConversationPage,
    MediaPart,
    MessageRecord,
    ReasoningPart,
    Said,
    TextPart,
    ToolCallPart,
    ToolResult,
    ToolResultPart,
    link_of,
    records_of,
)
from strands_persql.administration.results import TranscriptMessage
from strands_persql.administration.viewer._conversation import with_inline
from strands_persql.database.encoding import encode, message_document

from ...agents.agents import PIXEL, agent_of
from ...agents.harness import assistant, user
from ...agents.scripted import ScriptedModel, overflow, redact_user, text, tools, use
from ...emulator import Emulator
from ...thorough import tries
from .conftest import Place
from .test_reading import OLD, fill

PDF = b"%PDF-1.7 \x00\x80"


def call(*ids: str, **more: Any) -> dict[str, Any]:
    """An answer that calls tools."""
    return {"role": "assistant", "content": [{"toolUse": {"toolUseId": i, "name": "t", "input": more}} for i in ids]}


def results(*ids: str, words: str = "") -> dict[str, Any]:
    """A user's message of tool results."""
    blocks = [{"toolResult": {"toolUseId": i, "status": "success", "content": [{"text": words or i}]}} for i in ids]
    return {"role": "user", "content": blocks}


def store(place: Place, messages: Sequence[dict[str, Any]], window: str | None = "[[0,null]]") -> None:
    """One agent's messages, as rows of the database's own making."""
    fill(place, ["s"], messages=0)
    place.run("UPDATE strands_agents SET live_window = ?", window)
    statements: list[Any] = []
    for position, message in enumerate(messages):
        document = message_document(encode(message, what="it"), position, OLD, OLD)
        row = ["s", "default", position, document.data]
        statements.append(
            {
                "sql": "INSERT INTO strands_messages (session_id, agent_id, message_id, data) VALUES (?, ?, ?, ?)",
                "params": row,
            }
        )
        for number, part in enumerate(document.parts):
            place.run(
                "INSERT INTO strands_chunks VALUES ('s', 'message', 'default', ?, ?, ?, ?)",
                position,
                document.generation,
                number,
                part,
            )
    for start in range(0, len(statements), 90):
        place.database.batch(statements[start : start + 90], transaction=True)


def pages_of(place: Place, limit: int, **options: Any) -> list[ConversationPage]:
    """All pages, the newest first; each is one request, if nothing else is said."""
    found: list[ConversationPage] = []
    before: str | None = None
    while True:
        page = place.sessions.messages("s", before=before, limit=limit, **options)
        assert len(page.messages) <= limit
        found.append(page)
        before = page.before
        if before is None:
            return found
        assert page.messages and before == page.messages[0].id


def all_of(place: Place, limit: int = 1000, **options: Any) -> list[MessageRecord]:
    """All records, put together from pages."""
    return [record for page in reversed(pages_of(place, limit, **options)) for record in page.messages]


def as_transcript(place: Place) -> list[MessageRecord]:
    """The records of the transcript as `transcript` reads it, forwards and whole."""
    said: list[Said] = []
    waiting: list[TranscriptMessage] = []
    end = place.sessions.get("s").agents[0].messages
    for message in (*with_inline(place.pages("s"), place.pages("s", live=True)), None):
        if message is not None and message.message_id is None:
            waiting.append(message)
            continue
        position = end if message is None else message.message_id
        said += [Said(f"{position}.{number}", None, each) for number, each in enumerate(waiting)]
        if message is not None:
            said.append(Said(str(position), position, message))
        waiting = []
    return list(records_of(said, link_of("link")))


def the_call(record: MessageRecord, number: int = 0) -> ToolCallPart:
    """A tool call of a record."""
    return [part for part in record.parts if isinstance(part, ToolCallPart)][number]


def result_in(record: MessageRecord, number: int = 0) -> ToolResult:
    """The result of a tool call of a record."""
    result = the_call(record, number).result
    assert result is not None
    return result


def test_a_plain_turn_as_json(place: Place) -> None:
    """Every field of a record, as JSON has it."""
    agent = place.agent("s", text("hello", reasoning="they greet", signature="sig"))
    agent("hi")
    page = place.sessions.messages("s").to_json()
    stored = place.pages("s")
    assert json.loads(json.dumps(page, allow_nan=False)) == page
    usage = page["messages"][1].pop("usage")
    plain = {
        "redacted": False,
        "erased": False,
        "edited": False,
        "in_window": True,
        "taken_back": False,
        "pinned": False,
        "live": None,
    }
    assert page == {
        "messages": [
            {
                "id": "0",
                "agent_id": "default",
                "message_id": 0,
                "role": "user",
                "created_at": stored[0].created_at,
                "updated_at": stored[0].updated_at,
                "text": "hi",
                "parts": [{"type": "text", "text": "hi", "mark": ""}],
                **plain,
                "usage": None,
                "metadata": {},
            },
            {
                "id": "1",
                "agent_id": "default",
                "message_id": 1,
                "role": "assistant",
                "created_at": stored[1].created_at,
                "updated_at": stored[1].updated_at,
                "text": "hello",
                "parts": [
                    {"type": "reasoning", "text": "they greet", "encrypted": 0, "signed": True},
                    {"type": "text", "text": "hello", "mark": ""},
                ],
                **plain,
                "metadata": {},
            },
        ],
        "before": None,
    }
    if "metadata" in stored[1].message:  # releases that store it
        tokens = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        caches = {"cache_read_tokens": 0, "cache_write_tokens": 0}
        assert usage == {**tokens, **caches, "latency_ms": 1, "time_to_first_byte_ms": usage["time_to_first_byte_ms"]}


def test_what_agents_say_and_do(place: Place) -> None:
    """Images, documents and videos of a prompt, tools that answer, fail and draw: each call has its result."""
    script = [tools(use("add", {"a": 1, "b": 2}, "u1"), use("boom", {}, "u2"), use("picture", {}, "u3")), text("done")]
    agent = place.agent("s", *script)
    video: Any = {"video": {"format": "mp4", "source": {"location": {"type": "s3", "uri": "s3://films/1"}}}}
    source = {"bytes": PDF}
    document: Any = {"document": {"format": "pdf", "name": "paper", "source": source, "context": "read it"}}
    agent([{"text": "look"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}, document, video])
    prompt, calls, returned, done = all_of(place)

    assert [record.role for record in (prompt, calls, returned, done)] == ["user", "assistant", "tool", "assistant"]
    assert prompt.text == "look" and prompt.parts[1:] == (
        MediaPart("image", "1", "png", mime_type="image/png", size=len(PIXEL), url="messages/0/media/1", data=PIXEL),
        MediaPart(
            "document",
            "2",
            "pdf",
            "paper",
            "application/pdf",
            len(PDF),
            "messages/0/media/2",
            context="read it",
            data=PDF,
        ),
        MediaPart("video", "3", "mp4", mime_type="video/mp4", location="s3://films/1"),
    )
    assert [(the_call(calls, n).name, result_in(calls, n).status) for n in range(3)] == [
        ("add", "success"),
        ("boom", "error"),
        ("picture", "success"),
    ]
    assert the_call(calls).input == {"a": 1, "b": 2} and result_in(calls).text == "3"
    drawn = result_in(calls, 2)
    assert (drawn.id, drawn.message_id, drawn.place, drawn.in_window) == ("2", 2, "2", True)
    assert [part.url for part in drawn.parts if isinstance(part, MediaPart)] == [
        "messages/2/media/2.1",
        "messages/2/media/2.2",
    ]
    assert returned.parts == () and returned.id == "2" and returned.text == ""
    assert done.text == "done"


def test_bytes_by_link_inline_and_one_by_one(place: Place) -> None:
    """The bytes of a part come as a link of one's own making, as a `data:` URI, or by `media`."""
    place.agent("s", tools(use("picture", {}, "u1")), text("done"))("draw")
    sessions = place.sessions
    inline = result_in(all_of(place, media="inline")[1]).parts[1]
    assert isinstance(inline, MediaPart)
    assert inline.url == f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    made: list[tuple[str, str]] = []

    def link(record_id: str, part: MediaPart) -> str:
        made.append((record_id, part.place))
        return f"/files/{record_id}/{part.place}"

    page = sessions.messages("s", media=link)
    assert [part["url"] for part in page.to_json()["messages"][1]["parts"][-1]["result"]["parts"][1:]] == [
        "/files/2/0.1",
        "/files/2/0.2",
    ]
    assert made == [("2", "0.1"), ("2", "0.2")]
    assert [sessions.media("s", *each).data for each in made] == [PIXEL, b"%PDF-1.7\x00\x80"]
    assert sessions.media("s", "2", "0.1", agent_id="default").mime_type == "image/png"
    for record_id, place_ in (("2", "0.3"), ("2", "0"), ("1", "0.1"), ("9", "0.1"), ("2.0", "0.1")):
        with pytest.raises(SessionException, match="has no bytes at"):
            sessions.media("s", record_id, place_)
    with pytest.raises(ValueError, match="media must be 'link', 'inline'"):
        sessions.messages("s", media="href")  # type: ignore[arg-type]


def test_citations_and_what_else_models_answer(local: Place) -> None:
    """Citations with their sources; a document that is text; unknown blocks as JSON; nothing that JSON can't hold."""
    source = {"title": "Atlas", "location": {"documentPage": {"documentIndex": 0, "start": 3, "end": 4}}}
    cited = {"content": [{"text": "It is so."}], "citations": [{**source, "sourceContent": [{"text": "so"}]}]}
    odd = {"toolUse": {"toolUseId": "1", "name": "t", "input": {"n": float("nan"), "b": b"123", "s": "\ud800"}}}
    typed = {"document": {"format": "txt", "name": "n", "source": {"text": "words"}}}
    store(
        local,
        [
            {
                "role": "user",
                "content": [typed, {"document": {"format": "md", "source": {"content": [{"text": "a"}]}}}],
            },
            {"role": "assistant", "content": [{"citationsContent": cited}, odd, {"new": 1}]},
            {"role": "assistant", "content": [{"reasoningContent": {"redactedContent": b"1234"}}]},
        ],
    )
    typed_record, record, thinks = all_of(local, media="inline")
    assert [(part.text, part.size, part.url) for part in typed_record.parts if isinstance(part, MediaPart)] == [
        ("words", 5, ""),
        ("a", 1, ""),
    ]
    first = record.parts[0]
    assert isinstance(first, CitationPart) and record.text == "It is so."
    assert [(each.title, each.location, each.quotes) for each in first.sources] == [
        ("Atlas", "pages 3 to 4 of document 1", ("so",))
    ]
    assert thinks.parts == (ReasoningPart(None, 4),)
    said = json.dumps(record.to_json(), allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(said)["parts"][1]["input"] == {"n": None, "b": "<3 bytes of binary data>", "s": "\ufffd"}
    assert json.loads(said)["parts"][2] == {"type": "other", "label": "new", "json": {"new": 1}}


def test_redacted_edited_erased(place: Place) -> None:
    """What was said is shown, with what the model sees instead; what a guardrail or `erase` overwrote is marked."""
    agent = place.agent("s", tools(use("long_answer", {"length": 900}, "u1")), text("done"), redact_user("[redacted]"))
    agent("go")
    returned: Any = agent.messages[2]
    returned["content"][0]["toolResult"]["content"] = [{"text": "(left out)"}]
    agent("secret")
    place.sessions.erase("s", "default", 0)
    records = all_of(place)

    assert [record.edited for record in records] == [False, False, True, False, False, False]
    assert [record.redacted for record in records] == [False, False, False, False, True, False]
    assert [record.erased for record in records] == [True, False, False, False, False, False]
    assert len(result_in(records[1]).text) == 900
    live = records[2].live
    assert live is not None and isinstance(live.parts[0], ToolResultPart)
    assert live.parts[0].result.text == "(left out)"
    assert records[4].text == "[redacted]" and records[4].parts == (TextPart("[redacted]", "redacted"),)


def test_redacted_in_whatever_words(place: Place) -> None:
    """What a guardrail has overwritten is marked by the manager and hooks, in earlier copies too, whatever it says."""
    words = "Not to be told."
    build = agent_of(
        ScriptedModel([text("ok"), redact_user(words), text("fine")]),
        hooks=lambda: [PerSQLHooks("h", place.store.database())],
    )
    agent = build(PerSQLSessionManager("s", place.store.database()))
    for prompt in ("secret", "secret", words):
        agent(prompt)
    for session_id in ("s", "h"):
        records = place.sessions.messages(session_id).messages
        assert [record.text for record in records] == [words, "ok", words, records[3].text, words, "fine"]
        assert [record.redacted for record in records] == [True, False, True, False, False, False], session_id
    place.sessions.fork("s", "t")
    assert [record.redacted for record in place.sessions.messages("t").messages][::2] == [True, True, False]


def test_redacted_by_a_repository(place: Place) -> None:
    """A row that says itself that it was redacted is marked, whatever its words are."""
    repository = PerSQLSessionRepository(place.store.database())
    place.agent("s", text("hello"))("secret")
    stored = repository.read_message("s", "default", 0)
    assert stored is not None
    stored.redact_message = {"role": "user", "content": [{"text": "Not to be told."}]}
    repository.update_message("s", "default", stored)
    assert [(record.text, record.redacted) for record in all_of(place)] == [
        ("Not to be told.", True),
        ("hello", False),
    ]


def test_trimmed_and_pinned(place: Place) -> None:
    """A record says whether the model sees it."""
    agent = place.agent(
        "s",
        *(text(f"answer {number}") for number in range(5)),
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=4),
    )
    for number in range(5):
        agent(f"question {number}")
    assert [record.in_window for record in all_of(place, 3)] == [False] * 6 + [True] * 4


def test_by_strands_own_rule(place: Place) -> None:
    """Where no window is stored, a record is in it if Strands' manager would restore it."""
    build = agent_of(
        ScriptedModel([f"answer {number}" for number in range(5)]),
        conversation_manager=lambda: SlidingWindowConversationManager(window_size=4),
    )
    agent = build(RepositorySessionManager("s", PerSQLSessionRepository(place.store.database())))
    for number in range(5):
        agent(f"question {number}")
    assert [record.in_window for record in all_of(place, 3)] == [False] * 6 + [True] * 4


def test_a_summary_at_its_place(place: Place) -> None:
    """A message of the window alone stands before the one that it precedes there, in whichever page that is."""
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
    records = all_of(place)
    (summary,) = [record for record in records if record.message_id is None]
    following = records[records.index(summary) + 1]
    assert summary.id == f"{following.id}.0" and "gist" in summary.text
    assert summary.in_window and following.in_window and not records[records.index(summary) - 1].in_window
    assert len(records) == 9
    for limit in range(1, 10):
        assert all_of(place, limit) == records


async def test_agents_of_a_graph(place: Place) -> None:
    """Each agent of a Graph has its messages; which is meant has to be said."""
    database = place.store.database()
    builder = GraphBuilder()
    for name in ("zeta", "alpha"):
        model = ScriptedModel([f"{name} is done"])
        builder.add_node(
            agent_of(model, hooks=lambda: [PerSQLHooks("s", database)], name=name, agent_id=name)(None), name
        )
    builder.add_edge("zeta", "alpha")
    builder.set_entry_point("zeta")
    builder.set_execution_timeout(300)
    await builder.build().invoke_async("tea")
    for name in ("zeta", "alpha"):
        page = place.sessions.messages("s", agent_id=name)
        assert [record.agent_id for record in page.messages] == [name, name]
        assert page.messages[1].text == f"{name} is done"
    with pytest.raises(SessionException, match=r"has 2 agents \('alpha', 'zeta'\): say which with agent_id="):
        place.sessions.messages("s")


def test_a_live_agent_adds_to_it(place: Place) -> None:
    """What is said between two pages changes none of the older ones."""
    agent = place.agent("s", text("a"), text("b"))
    agent("one")
    first = place.sessions.messages("s", limit=1)
    agent("two")
    older = place.sessions.messages("s", limit=1, before=first.before)
    assert [record.text for record in (*older.messages, *first.messages)] == ["one", "a"]
    assert older.before is None


def random_messages(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """Turns with calls whose results come at once, later, twice, in pieces, or never; ids come again; some are long."""
    messages: list[dict[str, Any]] = []
    waiting: list[str] = []
    while len(messages) < count:
        kind = chance.choice(["user", "assistant", "call", "results", "results", "both", "long"])
        ids = [f"u{chance.randrange(6)}" for _ in range(chance.randrange(1, 4))]
        if kind in ("results", "both"):
            messages.append(results(*dict.fromkeys(waiting[: chance.randrange(4)] or ids)))
            if kind == "both":
                messages[-1]["content"].append({"text": "and more"})
            del waiting[: chance.randrange(4)]
        elif kind == "call":
            waiting += ids
            messages.append(call(*ids, n=float("nan") if chance.random() < 0.2 else 1))  # NaN: stored in parts
        elif kind == "long" and chance.random() < 0.3:
            messages.append(results(*ids, words="x" * 1_100_000))
        else:
            messages.append(user(f"q{len(messages)}") if kind != "assistant" else assistant(f"a{len(messages)}"))
    return messages[:count]


def random_window(chance: random.Random, count: int) -> str:
    """Ranges in their order, with messages of the window alone before, between and behind them."""
    items: list[Any] = []
    low = 0
    for _ in range(chance.randrange(4)):
        items += [{"message": chance.choice([user("gist"), call("u1"), results("u1")])}] * chance.randrange(3)
        low += chance.randrange(1, 4)
        items.append([low, low + chance.randrange(3)])
        low = items[-1][1] + 1
    items += [{"message": user("guide")}] * chance.randrange(3)
    if chance.random() < 0.7:
        items.append([max(low, chance.randrange(count + 2)), None])
    return json.dumps(items)


@pytest.mark.parametrize("trial", range(tries(8, 24)))
def test_pages_joined_are_the_transcript(local: Place, trial: int) -> None:
    """For every limit, pages put together are the whole in its order, each call with the same result as there."""
    chance = random.Random(trial)
    messages = random_messages(chance, count=chance.randrange(1, 28))
    store(local, messages, random_window(chance, len(messages)))
    whole = as_transcript(local)
    assert [record.message_id for record in whole if record.message_id is not None] == list(range(len(messages)))
    for limit in (*range(1, len(whole) + 2), 1000):
        assert all_of(local, limit) == whole, f"trial {trial}, limit {limit}"


def test_a_call_and_its_result_on_two_pages(place: Place) -> None:
    """At whichever message a page ends, in one request; two where the result is too long for a row."""
    long = "x" * 1_200_000
    store(place, [user("q"), call("u1"), results("u1"), call("u2"), results("u2", words=long), assistant("a")])
    for before, text_, most in (("2", "u1", 1), ("4", long, 2)):
        place.database.requests.clear()
        page = place.sessions.messages("s", before=before, limit=1)
        assert result_in(page.messages[0]).text == text_
        assert len(place.database.requests) == most
        following = place.sessions.messages("s", before=str(int(before) + 1), limit=1)
        assert following.messages[0].role == "tool" and following.messages[0].parts == ()


@pytest.mark.parametrize("odd", [True, False, 1, 1.5, None, ["u"], {"u": 1}], ids=str)
def test_ids_of_no_string_across_two_pages(local: Place, odd: Any) -> None:
    """Whatever somebody's own code has made of them: pages of any length show what the transcript does."""
    store(local, [user("q"), call(odd), results(odd, words="r"), assistant("a")])
    whole = as_transcript(local)
    for limit in (1, 2, 3):
        assert all_of(local, limit) == whole


def test_results_far_from_their_call(local: Place) -> None:
    """Results in eight messages, and calls stored in parts, are joined wherever among them a page begins or ends."""
    ids = [f"u{number}" for number in range(9)]
    store(
        local, [call(*ids), *map(results, ids), call("n", n=float("nan")), user("wait"), results("n"), assistant("a")]
    )
    whole = as_transcript(local)
    assert [the_call(whole[0], number).result is None for number in range(9)] == [False] * 8 + [True]
    assert [record.role for record in whole[1:10]] == ["tool"] * 9 and whole[9].parts
    for limit in range(1, len(whole)):
        assert all_of(local, limit) == whole


@pytest.mark.parametrize("trial", range(tries(6, 24)))
def test_what_is_redacted_beside_a_page(local: Place, trial: int) -> None:
    """What a row's `redact_message` replaces calls nothing and returns nothing, on whichever page it is."""
    chance = random.Random(trial)
    messages = [chance.choice([call, results])(f"u{chance.randrange(2)}") for _ in range(12)]
    store(local, messages)
    for position in chance.sample(range(12), 4):
        instead = json.dumps(chance.choice([user("[redacted]"), call("u0"), results("u1")]))
        local.run(
            "UPDATE strands_messages SET data = json_set(data, '$.redact_message', json(?)) WHERE message_id = ?",
            instead,
            position,
        )
    whole = as_transcript(local)
    for limit in range(1, len(whole)):
        assert all_of(local, limit) == whole, f"trial {trial}, limit {limit}"


def test_a_redacted_result_marks_its_message(local: Place) -> None:
    """Also where it stands with its call."""
    store(local, [call("u1"), results("u1", words="[redacted]")])
    called, returned = all_of(local)
    assert result_in(called).mark == "redacted" and not called.redacted
    assert returned.redacted and not returned.parts


def test_a_page_reads_a_bounded_number_of_rows(remote: Place, emulator: Emulator) -> None:
    """One request and the same few rows for each message, at any depth of a transcript of any length."""
    figures: list[tuple[int, int]] = []
    for count in (100, 10_000):
        remote.sessions.list()
        with emulator.sqlite() as connection:
            connection.execute("DELETE FROM strands_messages")
        if count == 100:
            fill(remote, ["s"], messages=0)
        turn = [user("q"), call("u1"), results("u1"), assistant("a")]
        rows = ((n, json.dumps({"message": turn[n % 4], "created_at": OLD, "updated_at": OLD})) for n in range(count))
        with emulator.sqlite() as connection:
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO strands_messages (session_id, agent_id, message_id, data) VALUES ('s', 'default', ?, ?)",
                rows,
            )
            connection.execute("COMMIT")
        for before in (None, str(count - 33), "50"):
            emulator.reset()
            page = remote.sessions.messages("s", before=before, limit=20)
            assert len(page.messages) == 20 and page.before is not None
            assert emulator.requests == 1
            figures.append((count, emulator.billing.rows_read))
    assert max(read for _, read in figures) <= 3 * 20 + 50, figures
    assert [read for count, read in figures if count == 100] == [read for count, read in figures if count == 10_000]


def test_the_plan_of_a_page_scans_no_table(local: Place) -> None:
    """Every table that a page reads is searched by its key."""
    store(local, [user("q"), call("u1"), results("u1")])
    local.database.requests.clear()
    local.sessions.messages("s", before="2", limit=1)
    (request,) = local.database.requests
    for sql, params in request.statements:
        plan = local.run("EXPLAIN QUERY PLAN " + sql, *params)
        assert not [
            line["detail"]
            for line in plan
            if line["detail"].startswith("SCAN") and " m" in line["detail"].split("SCAN")[1]
        ], plan


@pytest.mark.slow
def test_long_messages_make_short_pages(place: Place) -> None:
    """Messages in parts are joined, and a page of long ones ends early."""
    messages = [user(f"{number} " + "x" * 1_500_000) for number in range(5)]
    store(place, messages, json.dumps([{"message": user("gist")}, [1, None]]))
    pages = pages_of(place, 100)
    assert len(pages) > 1
    assert all_of(place, 100) == as_transcript(place)


def test_long_messages_beside_a_page_are_not_read(local: Place) -> None:
    """Nor the rows of their parts, for their lengths."""
    store(local, [*(user("x" * 1_500_000) for _ in range(3)), assistant("a")])
    local.database.requests.clear()
    assert len(local.sessions.messages("s", limit=1).messages) == 1
    (request,) = local.database.requests
    of_parts = [sql for sql, _ in request.statements if "strands_chunks" in sql]
    assert of_parts and all(
        sql.startswith("SELECT kind, owner, message_id, generation, part, data FROM") for sql in of_parts
    )


def test_an_empty_conversation(place: Place) -> None:
    """An agent without messages has a page without any; one of whose window alone there is something has that."""
    store(place, [])
    assert place.sessions.messages("s") == ConversationPage((), None)
    place.run("UPDATE strands_agents SET live_window = ?", json.dumps([{"message": user("gist")}, [0, None]]))
    assert [record.id for record in all_of(place)] == ["0.0"]


@pytest.mark.parametrize(
    "before", ["", "x", "-1", "01", "1.", "1.x", "1.01", " 1", "1\n", "\uff11", "9" * 17, "9007199254740992", "1.1.1"]
)
def test_a_cursor_that_is_none(local: Place, before: str) -> None:
    """What is no record's id is refused, before anything is read."""
    with pytest.raises(ValueError, match="before must be the id of a message's record"):
        local.sessions.messages("s", before=before)


def test_a_cursor_of_another_time(local: Place) -> None:
    """An id beyond the end, or of a message that the window no longer has, says where to go on all the same."""
    store(local, [user("a"), assistant("b")])
    assert [record.id for record in local.sessions.messages("s", before="999").messages] == ["0", "1"]
    assert [record.id for record in local.sessions.messages("s", before="1.7").messages] == ["0"]
    assert local.sessions.messages("s", before="0") == ConversationPage((), None)


def test_what_is_not_there(local: Place) -> None:
    """A session, an agent, and a row that can't be read are named."""
    store(local, [user("a"), assistant("b"), user("c")])
    with pytest.raises(SessionException, match="'none' does not exist"):
        local.sessions.messages("none")
    with pytest.raises(SessionException, match="Agent 'none' does not exist in session 's'"):
        local.sessions.messages("s", agent_id="none")
    with pytest.raises(ValueError, match="limit must be 1 to 1000"):
        local.sessions.messages("s", limit=0)
    local.run("UPDATE strands_messages SET data = 'junk' WHERE message_id = 1")
    with pytest.raises(SessionDataError, match="Message 1 of agent 'default' can't be read"):
        local.sessions.messages("s")
    assert [record.id for record in local.sessions.messages("s", limit=1).messages] == ["2"]


def test_several_sessions_stay_apart(place: Place) -> None:
    """A cursor holds nothing of a session: it can't lead into another one."""
    for session_id in ("s", "t"):
        place.agent(session_id, text(f"of {session_id}"))(f"to {session_id}")
    page = place.sessions.messages("t", before=place.sessions.messages("s", limit=1).before)
    assert [record.text for record in page.messages] == ["to t"]
