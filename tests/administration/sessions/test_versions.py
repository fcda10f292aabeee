"""What was said, and what the model sees in its place: both are kept, shown, copied, moved and erased."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL, PerSQLSessions, SessionDataError
from strands_persql.administration.doctor import examine
from strands_persql.administration.viewer import session_html
from strands_persql.database.encoding import PART_BYTES

from ...agents.harness import DATABASE, assert_same, words_of
from ...agents.remote.places import Remote
from ...agents.scripted import text
from ...cli.places import Place as Commands
from .conftest import Place

SAID, SEEN = "as it was said", "as it is seen"
LONG = PART_BYTES // 13
"""So many of either are stored in two parts."""


def edited(place: Place, said: str = SAID, seen: str = SEEN) -> Any:
    """A session whose first message was edited, and the agent that lives in it."""
    agent = place.agent("s", text("one"), text("two"))
    agent(said)
    agent.messages[0]["content"] = [{"text": seen}]
    agent("b")
    return agent


def both(place: Place, session_id: str = "s") -> list[tuple[str, str]]:
    """The texts of a session's first message, as it was said and as it is seen."""
    return [
        (words_of([each.message])[0], words_of([each.seen or each.message])[0])
        for each in place.pages(session_id)
        if each.message_id == 0
    ]


def skip_long(place: Place, long: bool) -> None:
    """What is stored in parts takes its time over the service, and is no different there."""
    if long and isinstance(place.store, Remote):
        pytest.skip("long ones are tried in a local file")


def test_transcript(place: Place) -> None:
    """A transcript has both versions, and says which is which; a live window is what the model sees."""
    agent = edited(place)
    assert both(place) == [(SAID, SEEN)]
    assert [each.seen is None for each in place.pages("s")] == [False, True, True, True]
    assert [each.message for each in place.pages("s", live=True)] == agent.messages


def test_long_versions(place: Place) -> None:
    """Either may be stored in parts."""
    said, seen = "x" * (PART_BYTES + 9), "y" * PART_BYTES
    edited(place, said, seen)
    assert both(place) == [(said, seen)]


def test_sizes(local: Place) -> None:
    """Both count as bytes that are stored."""
    edited(local)
    before = local.sessions.list(bytes=True).sessions[0].bytes
    local.run("UPDATE strands_messages SET live = NULL")
    after = local.sessions.list(bytes=True).sessions[0].bytes
    assert before is not None
    assert after is not None
    assert before - after > len(SEEN)


def test_search(local: Place) -> None:
    """A search finds what was said, with and without an index."""
    edited(local)
    for _ in range(2):
        assert [hit.message_id for hit in local.sessions.search("said").hits] == [0]
        local.sessions.enable_search()


@pytest.mark.parametrize("long", [False, True])
def test_copies(place: Place, long: bool) -> None:
    """Forks, those that end with an earlier message as well, and a new name keep both."""
    skip_long(place, long)
    said, seen = (each * (LONG if long else 1) for each in (SAID, SEEN))
    agent = edited(place, said, seen)
    place.sessions.fork("s", "t")
    place.sessions.fork("s", "u", agent_id="default", at=1)
    place.sessions.rename("t", "v")
    assert both(place, "u") == both(place, "v") == [(said, seen)]
    assert_same(agent, place.agent("v"))
    place.sessions.rewind("v", "default", to=1)
    assert words_of(place.agent("v").messages) == [seen, "one"]


@pytest.mark.parametrize("long", [False, True])
def test_erase(place: Place, long: bool) -> None:
    """An erasure leaves nothing of either, nor of their parts."""
    skip_long(place, long)
    edited(place, *(each * (LONG if long else 1) for each in (SAID, SEEN)))
    place.sessions.erase("s", "default", 0)
    assert both(place) == [("[erased]", "[erased]")]
    dump = json.dumps(place.store.rows())
    assert SAID not in dump
    assert SEEN not in dump
    assert place.run("SELECT count(*) AS parts FROM strands_chunks") == [{"parts": 0}]
    assert words_of(place.agent("s").messages)[0] == "[erased]"


def test_erase_what_is_said_again(place: Place) -> None:
    """Copies of either version in an agent's row go too."""
    edited(place)
    document = json.loads(place.run("SELECT data FROM strands_agents")[0]["data"])
    document["_internal_state"]["x"] = [{"role": "user", "content": [{"text": words}]} for words in (SAID, SEEN)]
    place.run("UPDATE strands_agents SET data = ?", json.dumps(document))
    place.sessions.erase("s", "default", 0)
    assert SAID not in json.dumps(place.store.rows())
    assert SEEN not in json.dumps(place.store.rows())


def test_delete(place: Place) -> None:
    """Nothing stays of a deleted session."""
    edited(place, *(each * LONG for each in (SAID, SEEN)))
    place.sessions.delete("s")
    assert not any(place.store.rows().values())
    assert place.run("SELECT count(*) AS parts FROM strands_chunks") == [{"parts": 0}]


# Out and in


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("form", ["s.jsonl", "folder", "table"])
def test_round_trip(place: Place, tmp_path: Path, form: str, long: bool) -> None:
    """Files, folders and another database hold both, and an import that runs again finds them."""
    skip_long(place, long)
    said, seen = (each * (LONG if long else 1) for each in (SAID, SEEN))
    agent = edited(place, said, seen)
    source: Any = place.sessions
    if form != "table":
        source = tmp_path / form
        place.sessions.export("s", source)
        texts = [path.read_text("utf-8") for path in ([source] if source.is_file() else source.rglob("message_0.json"))]
        assert all(SAID in text and SEEN in text for text in texts)
    client = PerSQL(local=str(tmp_path / "other.db"))
    sessions = PerSQLSessions(client.database(DATABASE))
    first, again = (sessions.import_from(source)[0] for _ in range(2))
    assert (first.messages, first.written) == (again.messages, 4) == (4, 4)
    assert again.written == 0
    there = [message for page in sessions.transcript("s") for message in page]
    assert [(each.message, each.seen) for each in there] == [(each.message, each.seen) for each in place.pages("s")]
    assert [each.message for page in sessions.transcript("s", live=True) for each in page] == agent.messages
    client.close()


def test_changed_file(local: Place, tmp_path: Path) -> None:
    """What the model sees is part of what an import checks, and has to be a message."""
    edited(local)
    local.sessions.export("s", tmp_path / "s.jsonl")
    text = (tmp_path / "s.jsonl").read_text("utf-8")
    for old, new, reason in ((SEEN, "something else", "checksum"), (f'[{{"text":"{SEEN}"}}]', "5", "no message")):
        (tmp_path / "t.jsonl").write_text(text.replace(old, new), "utf-8")
        with pytest.raises(SessionDataError, match=reason):
            local.sessions.import_from(tmp_path / "t.jsonl", new_id="t")


def test_strands_reads_a_folder(local: Place, tmp_path: Path) -> None:
    """Strands' own manager reads an exported folder, as it was said."""
    from strands.session import FileSessionManager

    edited(local)
    local.sessions.export("s", tmp_path)
    message = FileSessionManager("s", storage_dir=str(tmp_path)).list_messages("s", "default")[0]
    assert words_of([message.to_message()]) == [SAID]


# Shown


def test_page(local: Place) -> None:
    """The page shows both."""
    edited(local)
    page = session_html(local.sessions, "s")
    assert SAID in page
    assert SEEN in page
    assert "What the model sees of message 0 now" in page


def test_command(local: Place) -> None:
    """`show` says what the model sees in a message's place; `--live` shows that alone."""
    edited(local)
    commands = Commands(local.store.database(), ("--local", str(local.store.path)), {})
    shown = commands.run("show", "s").out
    assert shown.index(SAID) < shown.index("the model sees in its place:") < shown.index(SEEN)
    live = commands.run("show", "s", "--live").out.replace(f"title: {SAID}", "")
    assert SAID not in live
    assert SEEN in live


# Rows changed by hand


def findings(place: Place) -> list[tuple[str, str]]:
    """What the doctor finds, but what is well."""
    found = examine(place.store.database())
    return [(each.severity, each.check) for each in found if each.severity != "ok" and each.check != "role"]


@pytest.mark.parametrize("long", [False, True])
def test_doctor(local: Place, long: bool) -> None:
    """The doctor looks at both versions, and at the parts of both."""
    edited(local, *(each * (LONG if long else 1) for each in (SAID, SEEN)))
    assert findings(local) == []
    local.run("UPDATE strands_messages SET live = '{}' WHERE message_id = 0")
    expected = [("error", "unreadable-row")] + [("warning", "orphan-parts")] * long
    assert sorted(findings(local)) == expected
    with pytest.raises(SessionDataError, match="Message 0"):
        local.agent("s")


def test_doctor_on_shapes(local: Place) -> None:
    """What counts is the history that the model sees."""
    edited(local)
    live = json.dumps({"message": {"role": "user", "content": []}, "message_id": 0, "live": True})
    local.run("UPDATE strands_messages SET live = ? WHERE message_id = 0", live)
    assert [check for _, check in findings(local)] == ["empty-messages"]


@pytest.mark.slow
def test_window_that_repeats(local: Place, tmp_path: Path) -> None:
    """A window that names its messages again and again is refused everywhere, and the doctor mends it."""
    place = local.agent("s", text("one"))
    place("a")
    local.sessions.export("s", tmp_path / "s.jsonl")
    window = json.dumps([[0, 1]] * 10_000)
    lines = (tmp_path / "s.jsonl").read_text("utf-8").replace("[[0,null]]", window)
    (tmp_path / "t.jsonl").write_text(lines, "utf-8")
    with pytest.raises(SessionDataError, match="message 0 more than twice"):
        local.sessions.import_from(tmp_path / "t.jsonl", new_id="t")
    local.run("UPDATE strands_agents SET live_window = ?", window)
    for read in (lambda: local.agent("s"), lambda: local.pages("s", live=True), lambda: local.sessions.get("s")):
        with pytest.raises(SessionDataError, match="message 0 more than twice"):
            read()
    assert [check for _, check in findings(local)] == ["unreadable-window"]


def test_column(local: Place) -> None:
    """The column comes last, and is NULL for a message that the model sees as it was said."""
    edited(local)
    with sqlite3.connect(local.store.path) as connection:
        rows = connection.execute("SELECT * FROM strands_messages ORDER BY message_id").fetchall()
    connection.close()
    assert [row[4] is None for row in rows] == [False, True, True, True]
