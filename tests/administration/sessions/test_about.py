"""Whose sessions are, what they are called, and how a user's are listed: the newest first, at a bounded cost."""

from __future__ import annotations

import base64
import html
import inspect
import io
import json
import re
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.multiagent import GraphBuilder
from strands.session import FileSessionManager
from strands.types.exceptions import SessionException

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager, PerSQLSessions, SessionDataError
from strands_persql.administration.doctor import examine
from strands_persql.administration.titles import PREVIEW, cut, preview
from strands_persql.administration.transfer._items import Checksum, agent_item, message_item
from strands_persql.administration.viewer import session_html
from strands_persql.database.tables import Ids, Listing, Recency, Tables
from strands_persql.database.tables import Place as Position
from strands_persql.testing import stored_rows

from ...agents.harness import user
from ...agents.scripted import Reply, ScriptedModel, redact_user, text, tools, use
from .conftest import Place

WORDS: dict[str, Any] = {
    "user": "ada",
    "title": "Tea",
    "tags": ["work", "draft", "work"],
    "metadata": {"plan": "free", "n": [1, None]},
}
SECRET = "the code is 4711"


def opened(place: Place, session_id: str, *script: Reply, **about: Any) -> Agent:
    """An agent of a session that was opened with what is known about it."""
    manager = PerSQLSessionManager(session_id, place.store.database(), **about)
    return Agent(model=ScriptedModel(list(script)), session_manager=manager, callback_handler=None)


def known(place: Place, session_id: str) -> tuple[Any, ...]:
    """What a list tells about a session."""
    found = {each.session_id: each for each in place.sessions.list().sessions}[session_id]
    detail = place.sessions.get(session_id)
    told = (found.title, found.user, found.tags, found.metadata)
    assert told == (detail.title, detail.user, detail.tags, detail.metadata)
    return told


def put_back(place: Place, session_id: str, time: str) -> None:
    """Let a session have been noted as active at an earlier time."""
    place.run("UPDATE strands_sessions SET active = ? WHERE session_id = ?", time, session_id)


# Titles and previews


def test_what_a_session_is_begun_with_is_told(place: Place) -> None:
    """It is stored as the session begins, and left as it is by managers that come later."""
    opened(place, "s", text("fine"), **WORDS)("how are you?")
    assert known(place, "s") == ("Tea", "ada", ("draft", "work"), {"plan": "free", "n": [1, None]})
    opened(place, "s", text("fine"), user="ada", title="Coffee")("and now?")
    assert known(place, "s")[0] == "Tea"
    opened(place, "plain", text("fine"))("how are you?")
    assert known(place, "plain") == ("how are you?", None, (), {})
    assert [row.keys() for row in stored_rows(place.database)["sessions"]] == [
        {"session_id", "data"},
        {"session_id", "data", "user", "active", "title", "tags", "metadata"},
    ]


def test_mirrors_tell_it_too(place: Place) -> None:
    """A mirror begins its session with the same words."""
    mirror = PerSQLHooks("s", place.store.database(), **WORDS)
    Agent(model=ScriptedModel([text("fine")]), hooks=[mirror], callback_handler=None)("how are you?")
    assert known(place, "s")[:3] == ("Tea", "ada", ("draft", "work"))


async def test_a_session_that_is_read_ahead_is_told_of_too(local: Place) -> None:
    """So does a manager whose session is read off the loop."""
    manager = await PerSQLSessionManager.open("s", local.store.database(), **WORDS)
    await Agent(model=ScriptedModel([text("fine")]), session_manager=manager, callback_handler=None).invoke_async("hi")
    assert known(local, "s")[:2] == ("Tea", "ada")


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("short", "short"),
        ("  two\nlines\t here ", "two lines here"),
        ("a" * 80, "a" * 80),
        ("a" * 81, "a" * 79 + "…"),
        ("word " * 30, "word " * 15 + "word…"),
        ("half a pair \ud800, a nul \0 and 茶", "half a pair \ufffd, a nul \0 and 茶"),
    ],
)
def test_titles_are_the_first_words(place: Place, words: str, title: str) -> None:
    """Of the first prompt, in one line, at most 80 characters, cut at a word."""
    agent = opened(place, "s", text("fine"), text("finally"))
    agent(words)
    agent("something else")
    (found,) = place.sessions.list().sessions
    assert len(found.title) <= 80
    assert found.title == title
    assert found.preview == "finally"


def test_words_are_cut_between_them() -> None:
    """The last whole word stays, and of a word as long as half the line its beginning."""
    assert cut("one two three", 13) == "one two three"
    assert cut("one two three", 12) == "one two…"
    assert cut("one two three", 8) == "one two…"
    assert cut("abcdefghijkl", 6) == "abcde…"
    assert cut("", 6) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# Trains\n\nTake the **night** *train* ~~late~~, `run()`.", "Trains Take the night train late, run()."),
        ("- one\n  * [x] **two**\n1. three\n> - four", "one [x] two 1. three four"),
        ("[here](https://a.example/x) ![a picture](b.png)", "here a picture"),
        ("| a | b |\n| --- | :-: |\n| 1 | **2** |", "a b 1 2"),
        ("```python\nx = 1\n```\nthen\n***\nmore", "x = 1 then more"),
        ("**bold *inner* more** and ***both***", "bold inner more and both"),
        ("这是**重点**内容", "这是重点内容"),
        ("2*3*4 is 24, 5 > 3, a ** b, snake_case_name, C#, -5", "2*3*4 is 24, 5 > 3, a ** b, snake_case_name, C#, -5"),
        ("`**kwargs` and <b>this</b>", "**kwargs and <b>this</b>"),
        ("***", "***"),
    ],
)
def test_a_preview_is_words(text: str, words: str) -> None:
    """Markdown's marks are left out, what only looks like some stays, and so does a text of nothing else."""
    assert preview(text) == words


def test_marks_in_marks_fill_no_stack() -> None:
    """A text of nothing but marks in each other is taken apart a few levels deep, and no deeper."""
    text = "*_" * 100 + "x" + "_*" * 100
    deep = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 60)
    try:
        found = preview(text)
    finally:
        sys.setrecursionlimit(deep)
    assert preview("*_**x**_*") == "x"
    assert found.startswith("*_")


@pytest.mark.parametrize(
    "text", ["**a" * 2000, "_*" * 2000 + "x", "[" * 9000, "> " * 9000, "- " * 9000 + "x", "|" * 9000]
)
def test_a_preview_of_marks_alone(text: str) -> None:
    """Whatever a text is made of, a preview of it is made, and has no more than its characters."""
    assert 0 < len(preview(text)) <= PREVIEW


def test_greetings_tools_and_long_messages(place: Place) -> None:
    """The title is the user's first prompt; a preview has no tool calls; messages in parts tell their first words."""
    agent = opened(place, "s", tools(use("add", {"a": 1, "b": 2}), words="let me see"))
    agent.messages.append({"role": "assistant", "content": [{"text": "Welcome!"}]})
    with pytest.raises(Exception):  # noqa: B017 - the script ends amid the turn
        agent("what is\n1 + 2?")
    (found,) = place.sessions.list().sessions
    assert found.title == "what is 1 + 2?"
    opened(place, "long", text("y" * 1_200_000))("z \\ \u00e4 " * 200_000)
    long = place.sessions.list(prefix="long").sessions[0]
    assert long.title.startswith("z \\ ä z") and len(long.title) <= 80
    assert long.preview == "y" * 199 + "…"


def test_a_title_follows_what_becomes_of_its_prompt(place: Place) -> None:
    """Redacted, erased: the title is no copy. One that was given stays."""
    opened(place, "s", redact_user("[blocked]"))(SECRET)
    assert known(place, "s")[0] == "[blocked]"
    opened(place, "t", text("fine"))(SECRET)
    assert known(place, "t")[0] == SECRET
    place.sessions.erase("t", "default", 0)
    assert known(place, "t")[0] == "[erased]"
    assert not place.store.holds(SECRET)


@pytest.mark.parametrize("long", ["", "x" * 1_200_000, "\ud800"])
def test_what_a_redaction_replaces_is_not_shown(place: Place, long: str) -> None:
    """Of a prompt that stands beside what Strands' own manager replaced it by, only that is shown, if anything."""
    opened(place, "s", text("fine"))(SECRET)
    lines = io.StringIO()
    place.sessions.export("s", lines)
    head, agent, prompt, *_ = map(json.loads, lines.getvalue().splitlines())
    prompt["data"]["message"]["content"].append({"text": long})
    prompt["data"]["redact_message"] = {"role": "user", "content": [{"text": "[blocked]"}]}
    place.sessions.delete("s")
    checksum = Checksum()
    checksum.add(agent_item("default", agent["data"], "it", agent["live_window"]))
    checksum.add(message_item("default", 0, prompt["data"], "it"))
    head["messages"] = 1
    end = {"end": "s", "messages": 1, "checksum": checksum.hexdigest(), "windows": checksum.windows()}
    place.sessions.import_from([json.dumps(each) + "\n" for each in (head, agent, prompt, end)])
    (found,) = place.sessions.list().sessions
    assert SECRET not in found.title + found.preview
    assert found.title == ("" if long else "[blocked]")


def test_a_folder_carries_it(place: Place, tmp_path: Path) -> None:
    """In a file of its own, which Strands' manager leaves alone; one that can't be read is named."""
    opened(place, "s", text("fine"), **WORDS)("how are you?")
    opened(place, "plain", text("fine"))("how are you?")
    place.sessions.export("s", tmp_path / "out")
    place.sessions.export("plain", tmp_path / "out")
    place.sessions.export("s", tmp_path / "out")  # what is there already is the same
    assert len(Agent(session_manager=FileSessionManager("s", storage_dir=str(tmp_path / "out"))).messages) == 2
    assert not (tmp_path / "out" / "session_plain" / "about.json").exists()
    place.sessions.import_from(tmp_path / "out", session_id="s", new_id="back")
    assert known(place, "back") == known(place, "s")
    place.sessions.update("s", title="Coffee")
    with pytest.raises(SessionDataError, match="holds something else"):
        place.sessions.export("s", tmp_path / "out")
    place.sessions.update("s", title=None, user=None, tags=None, metadata=None)
    with pytest.raises(SessionDataError, match="holds something else"):
        place.sessions.export("s", tmp_path / "out")
    about = tmp_path / "out" / "session_s" / "about.json"
    for wrong in ("[]", "{", '{"user": 7}', '{"tags": "x"}'):
        about.write_text(wrong, "utf-8")
        with pytest.raises(SessionDataError, match=r"about\.json"):
            place.sessions.import_from(tmp_path / "out", session_id="s", new_id="again")


def test_the_page_shows_it(place: Place) -> None:
    """The HTML page of a session says whose it is and what it is called, whatever stands there."""
    opened(place, "s", text("fine"), **{**WORDS, "user": "<b>ada", "title": "<i>Tea"})("how are you?")
    page = session_html(place.sessions, "s")
    (about,) = re.findall(r'<p class="about">(.*?)</p>', page, re.DOTALL)
    words = html.unescape(re.sub(r"<[^>]*>", "", about)).split()
    assert words == ["<i>Tea", "User", "<b>ada", "draft", "work"]


def test_what_is_held_back_makes_no_title(place: Place) -> None:
    """A mirror that holds prompts back until the model has answered stores none as a title either."""
    seen: list[Any] = []

    def look() -> None:
        seen.append((place.store.holds(SECRET), [each.title for each in place.sessions.list().sessions]))

    mirror = PerSQLHooks("s", place.store.database(), redaction_safe=True, user="ada")
    model = ScriptedModel([redact_user("[blocked]", before=look)])
    Agent(model=model, hooks=[mirror], callback_handler=None)(SECRET)
    assert seen and not seen[0][0] and not any(SECRET in title for title in seen[0][1])
    assert known(place, "s")[0] == "[blocked]" and not place.store.holds(SECRET)


# Changing it


def test_what_is_known_is_changed(place: Place) -> None:
    """What is not named stays, None takes away; a live agent goes on, and the session is no more active for it."""
    agent = opened(place, "s", text("fine"), text("fine"))
    agent("how are you?")
    active = place.sessions.get("s").last_active
    changed = place.sessions.update("s", **WORDS)
    assert changed == place.sessions.list(user="ada", order="recent").sessions[0]
    assert place.run("SELECT active FROM strands_sessions") == [{"active": active}]
    assert known(place, "s") == ("Tea", "ada", ("draft", "work"), {"plan": "free", "n": [1, None]})
    place.sessions.update("s", title="Coffee")
    assert known(place, "s")[:2] == ("Coffee", "ada")
    place.sessions.update("s", title=None, tags=None, metadata={})
    assert known(place, "s") == ("how are you?", "ada", (), {})
    assert place.sessions.update("s").last_active == active
    place.sessions.update("s", user=None)
    assert not place.sessions.list(user="ada").sessions
    assert "active" not in stored_rows(place.database)["sessions"][0]
    agent("go on")
    with pytest.raises(SessionException, match="does not exist"):
        place.sessions.update("other", title="x")


@pytest.mark.parametrize(
    ("about", "error"),
    [
        ({"user": ""}, ValueError),
        ({"user": 5}, TypeError),
        ({"user": "a" * 501}, ValueError),
        ({"title": " "}, ValueError),
        ({"title": "\ud800"}, ValueError),
        ({"tags": "work"}, TypeError),
        ({"tags": [""]}, ValueError),
        ({"tags": [str(number) for number in range(51)]}, ValueError),
        ({"metadata": ["a"]}, TypeError),
        ({"metadata": {"a": object()}}, ValueError),
        ({"metadata": {"a": float("nan")}}, ValueError),
        ({"metadata": {"a": "x" * 70_000}}, ValueError),
    ],
)
def test_what_is_not_taken(about: dict[str, Any], error: type[Exception]) -> None:
    """It is refused before anything is sent, by the manager and by `update`."""
    database = PerSQL(local=":memory:").database("test/about")
    with pytest.raises(error):
        PerSQLSessionManager("s", database, **about)
    with pytest.raises(error):
        PerSQLSessions(database).update("s", **about)


def test_the_session_of_another_user_is_not_opened(place: Place) -> None:
    """By whichever road it is opened with `user`; one of nobody's is."""
    opened(place, "s", text("fine"), user="ada")(SECRET)
    opened(place, "free", text("fine"))("hello")
    with pytest.raises(SessionException, match="another user's") as refused:
        opened(place, "s", user="bob")
    assert "ada" not in str(refused.value)
    assert len(opened(place, "s", user="ada").messages) == len(opened(place, "free", user="bob").messages) == 2


# The newest first


def wait_for_the_clock() -> None:
    """Until it has gone on: some go in steps of 15 ms, and what happened in one of them has one time."""
    before = datetime.now(timezone.utc)
    while datetime.now(timezone.utc) == before:
        time.sleep(0.001)


def test_the_newest_come_first(place: Place) -> None:
    """Of one user, of all, with a tag; page after page; exact inside the 5 minutes in which nothing is noted."""
    agents = {
        name: opened(place, name, text("1"), text("2"), user="ada" if name != "c" else "bob", tags=[name])
        for name in ("a", "b", "c", "d")
    }
    for agent in [*agents.values(), agents["b"]]:
        wait_for_the_clock()
        agent("hello")

    def ids(**options: Any) -> list[str]:
        return [each.session_id for each in place.sessions.list(order="recent", **options).sessions]

    assert ids() == ["b", "d", "c", "a"]
    assert ids(user="ada") == ["b", "d", "a"] and ids(user="bob") == ["c"] and ids(user="eve") == []
    assert ids(user="ada", tag="d") == ["d"] and ids(tag="c") == ["c"] and ids(user="ada", tag="c") == []
    assert ids(user="ada", prefix="b") == ["b"] and ids(prefix="c") == ["c"]
    assert ids(user="ada", since="2200-01-01") == []
    assert [each.session_id for each in place.sessions.list(user="ada").sessions] == ["a", "b", "d"]
    for owner in (None, "ada"):
        seen: list[str] = []
        after: str | None = None
        while True:
            page = place.sessions.list(order="recent", user=owner, limit=1, after=after)
            seen += [each.session_id for each in page.sessions]
            if (after := page.after) is None:
                break
        assert sorted(seen) == (["a", "b", "c", "d"] if owner is None else ["a", "b", "d"])


def test_a_cursor_leads_to_no_other_user(place: Place) -> None:
    """One of another list is refused, and so is anything else; a forged one answers rows of the user's own alone."""
    for number in range(6):
        opened(place, f"s{number}", text("fine"), user="ada" if number % 2 else "bob")("hello")
    cursor = place.sessions.list(user="ada", order="recent", limit=1).after
    assert cursor is not None
    of_list, _, _, _ = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    for hostile in (
        [of_list, "9999", "s4", ""],
        [of_list, "9999' OR 1=1 --", "s0", ""],
        [of_list, "", "", "s0"],
        [of_list, "9999", "\U0010ffff", "s1"],
    ):
        forged = base64.urlsafe_b64encode(json.dumps(hostile).encode()).decode()
        page = place.sessions.list(user="ada", order="recent", after=forged)
        assert {each.user for each in page.sessions} <= {"ada"}
    for junk in ("", "x", "é", "s0", "bnVsbA", cursor[:-3], base64.b64encode(b'["x", 1, 2]').decode(), "[" * 9999):
        with pytest.raises(ValueError, match="after must be"):
            place.sessions.list(user="ada", order="recent", after=junk)
    for other in ("bob", None):
        with pytest.raises(ValueError, match="after must be"):
            place.sessions.list(user=other, order="recent", after=cursor)
    for start in ("s0", "", "\U0010ffff"):
        assert {each.user for each in place.sessions.list(user="ada", after=start).sessions} <= {"ada"}
    with pytest.raises(ValueError, match="order must be"):
        place.sessions.list(order="newest")  # type: ignore[arg-type]


def test_activity_is_noted_once_in_five_minutes(remote: Place, emulator: Any) -> None:
    """A plain turn is 2 requests and 2 rows; beginning a user's session writes one row more, noting activity two."""
    old = (datetime.now(timezone.utc) - timedelta(minutes=6)).isoformat()
    remote.sessions.list()

    def turn(agent: Agent) -> tuple[int, int]:
        emulator.reset()
        agent("hello")
        return emulator.requests, emulator.billing.rows_written

    nobodys = opened(remote, "n", *[text("fine")] * 2)
    adas = opened(remote, "s", *[text("fine")] * 2, user="ada")
    assert (turn(nobodys), turn(adas)) == ((2, 4), (2, 5))
    assert turn(nobodys) == turn(adas) == (2, 2)
    assert turn(opened(remote, "n", text("fine"))) == (2, 2)
    assert turn(opened(remote, "s", text("fine"), user="ada")) == (2, 2)  # noted less than 5 minutes ago
    put_back(remote, "s", old)
    again = opened(remote, "s", *[text("fine")] * 3)  # whoever opens it
    assert turn(again) == (2, 4)
    assert remote.run("SELECT active FROM strands_sessions WHERE session_id = 's'")[0]["active"] > old
    put_back(remote, "s", old)
    assert turn(again) == (2, 2)  # this manager has just noted it
    emulator.reset()
    remote.sessions.update("s", title="Tea")
    assert (emulator.requests, emulator.billing.rows_written) == (1, 1)
    emulator.reset()
    remote.sessions.update("n", user="ada")
    assert (emulator.requests, emulator.billing.rows_written) == (1, 2)


@pytest.mark.slow
def test_a_page_of_a_hundred_thousand_sessions(remote: Place, emulator: Any) -> None:
    """A user's 20 newest read a few rows for each of them, wherever the page begins, however many there are."""
    remote.sessions.list()
    count, start = 100_000, datetime(2025, 1, 1, tzinfo=timezone.utc)
    times = [(start + timedelta(seconds=number)).isoformat() for number in range(count)]
    documents = [json.dumps({"session_type": "AGENT", "created_at": time}) for time in times]
    message = json.dumps({"message": user("hello"), "created_at": times[0]})
    with emulator.sqlite() as connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO strands_sessions (session_id, data, user, active, tags) VALUES (?, ?, ?, ?, '[\"all\"]')",
            ((f"s{n:06}", documents[n], "ada" if n % 2 else f"user-{n % 1000}", times[n]) for n in range(count)),
        )
        connection.executemany(
            "INSERT INTO strands_agents (session_id, agent_id, revision, data) VALUES (?, 'a', 1, ?)",
            ((f"s{n:06}", documents[n]) for n in range(count)),
        )
        connection.executemany(
            "INSERT INTO strands_messages (session_id, agent_id, message_id, data) VALUES (?, 'a', ?, ?)",
            ((f"s{n:06}", number, message) for n in range(count) for number in range(2)),
        )
        connection.execute("COMMIT")
    after: str | None = None
    for expected in (99_999, 99_959, 99_919):
        emulator.reset()
        page = remote.sessions.list(user="ada", order="recent", limit=20, after=after)
        assert [each.session_id for each in page.sessions] == [f"s{expected - 2 * n:06}" for n in range(20)]
        assert (emulator.requests, emulator.billing.rows_written) == (1, 0)
        assert emulator.billing.rows_read <= 10 * 21
        after = page.after
    place = Position("2025", "s")
    (select,) = Listing(Tables()).recent(Ids(), user="ada", after=place, limit=21).statements
    with emulator.sqlite() as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {select['sql']}", select["params"])]
    assert any(line.startswith("SEARCH strands_sessions USING INDEX strands_recent (user=? AND ") for line in plan)
    assert not [line for line in plan if line.startswith("SCAN strands_")]

    # Of all users, without an index a thousand sessions at a time, and with one those of the page.
    emulator.reset()
    page = remote.sessions.list(order="recent", limit=20)
    assert not page.in_order and [each.session_id for each in page.sessions] == [f"s{999 - n:06}" for n in range(20)]
    assert (emulator.requests, emulator.billing.rows_written) == (2, 0)
    assert emulator.billing.rows_read <= 6 * 1000
    with emulator.sqlite() as connection:
        connection.execute(Recency(Tables()).create().statements[0]["sql"])
    after = None
    for expected in (99_999, 99_979, 99_959):
        emulator.reset()
        page = remote.sessions.list(order="recent", limit=20, after=after)
        assert page.in_order and [each.session_id for each in page.sessions] == [
            f"s{expected - n:06}" for n in range(20)
        ]
        assert (emulator.requests, emulator.billing.rows_written) == (2, 0)
        assert emulator.billing.rows_read <= 10 * 21
        after = page.after
    (select,) = Listing(Tables()).newest(after=place, limit=21).statements
    with emulator.sqlite() as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {select['sql']}", select["params"])]
    assert any(line.startswith("SEARCH strands_sessions USING INDEX strands_newest (active") for line in plan)
    assert not [line for line in plan if line.startswith("SCAN strands_")]


# Wherever a session goes


def test_it_goes_along(place: Place, tmp_path: Path) -> None:
    """Into a copy, another id, a file of lines, another database, a backup; and it is gone with the session."""
    opened(place, "s", text("fine"), **WORDS)("how are you?")
    told = known(place, "s")
    place.sessions.fork("s", "copied")
    place.sessions.fork("s", "cut", agent_id="default", at=0)
    assert place.sessions.rename("s", "moved").title == "Tea"
    assert known(place, "copied") == known(place, "cut") == known(place, "moved") == told
    assert {each.session_id for each in place.sessions.list(user="ada", order="recent").sessions} == {
        "copied",
        "cut",
        "moved",
    }
    lines = io.StringIO()
    place.sessions.export("moved", lines)
    with PerSQL(local=":memory:") as client:
        there = PerSQLSessions(client.database("acme/there"))
        there.import_from(lines.getvalue().splitlines(True), new_id="lines")
        source: Any = place.sessions
        there.import_from(source, session_id="moved")
        for name in ("lines", "moved"):
            assert there.list(prefix=name, user="ada").sessions[0].metadata == told[3]
        rows = stored_rows(client.database("acme/there"), mask=False)["sessions"]
        assert len({row["active"] for row in rows}) == 1  # as it was in the source
        hostile: list[Any] = [{"user": 5}, {"tags": "x"}, {"active": None}, []]
        for broken in hostile:
            head = {**json.loads(lines.getvalue().split("\n")[0]), "about": broken}
            with pytest.raises(SessionDataError, match="Line 1"):
                there.import_from([json.dumps(head) + "\n", *lines.getvalue().splitlines(True)[1:]], new_id="broken")
    place.sessions.backup(tmp_path / "copy.db")
    with PerSQL(local=tmp_path / "copy.db") as client:
        assert PerSQLSessions(client.database("any/name")).list(user="ada", order="recent").sessions[0].title == "Tea"
    place.sessions.delete("moved")
    assert {each.session_id for each in place.sessions.list(user="ada", order="recent").sessions} == {"copied", "cut"}


def test_a_fork_without_its_session_is_refused(place: Place) -> None:
    """As before there was anything to be known about a session."""
    place.sessions.list()
    with pytest.raises(SessionException, match="does not exist"):
        place.sessions.fork("nobody", "copy")
    assert not place.sessions.list().sessions


def test_graphs_have_times_and_titles(place: Place) -> None:
    """A Graph's session was last active when the Graph was stored, and is called what it was asked."""
    builder = GraphBuilder()
    builder.add_node(Agent(model=ScriptedModel([text("fine")]), callback_handler=None, agent_id="a"), "a")
    builder.set_graph_id("graph")
    builder.set_execution_timeout(60)
    builder.set_session_manager(PerSQLSessionManager("g", place.store.database(), user="ada"))
    builder.build()("plan a trip")
    (found,) = place.sessions.list(user="ada").sessions
    assert (found.title, found.multi_agents) == ("plan a trip", 1)
    (row,) = place.run("SELECT updated_at FROM strands_multi_agents")
    assert found.last_active == row["updated_at"] > found.created_at
    assert not place.sessions.prune(older_than=timedelta(minutes=5)).session_ids
    lines = io.StringIO()
    place.sessions.export("g", lines)
    place.sessions.import_from(lines.getvalue().splitlines(True), new_id="h")
    assert place.sessions.get("h").last_active == found.last_active
    assert set(place.sessions.prune(older_than=timedelta(0)).session_ids) == {"g", "h"}


def test_the_doctor_sees_what_cannot_be_read(local: Place) -> None:
    """Tags and metadata that are none, and a session that its user's list leaves out; lists go on."""
    opened(local, "s", text("fine"), **WORDS)("hello")
    assert not [each for each in examine(local.database) if each.check == "unreadable-labels"]
    for column, value in (("tags", "[1"), ("tags", "{}"), ("metadata", "x"), ("active", None)):
        local.run(f"UPDATE strands_sessions SET {column} = ?", value)
        assert [each.session_id for each in examine(local.database) if each.check == "unreadable-labels"] == ["s"]
        assert local.sessions.list().sessions[0].title == "Tea"
        local.sessions.update("s", **WORDS)
    assert not [each for each in examine(local.database) if each.check == "unreadable-labels"]
