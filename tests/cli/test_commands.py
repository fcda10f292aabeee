"""Each command does what its help says, over a local file and over the service."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from strands import Agent

from strands_persql import PerSQL, PerSQLSessionManager

from ..agents import scripted
from .places import Place, talk


def answer(place: Place, *arguments: str, code: int = 0) -> Any:
    """The JSON document that a command writes, and nothing beside it."""
    done = place.run(*arguments, "--json")
    assert done.code == code, done.err
    return json.loads(done.out)


def positions(place: Place, session_id: str, *options: str) -> list[int]:
    """The messages that `show` shows."""
    return [message["message_id"] for message in answer(place, "show", session_id, *options)["messages"]]


def test_sessions_are_listed_in_pages(place: Place) -> None:
    """A page holds as many sessions as asked for, and says how to go on."""
    for number in range(3):
        talk(place.database, f"user-{number}", turns=0)
    talk(place.database, "other", turns=0)
    first = answer(place, "sessions", "--prefix", "user-", "--limit", "2")
    assert [each["session_id"] for each in first["sessions"]] == ["user-0", "user-1"]
    assert first["sessions"][0]["messages"] == 4
    rest = answer(place, "sessions", "--prefix", "user-", "--after", first["after"])
    assert ([each["session_id"] for each in rest["sessions"]], rest["after"]) == (["user-2"], None)
    lines = place.run("sessions", "--since", "7d").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["other", "user-0", "user-1", "user-2"]
    assert place.run("sessions", "--until", "2001-01-01").out == ""
    assert answer(place, "sessions", "--since", "1h", "--limit", "1", "--bytes")["sessions"][0]["bytes"] > 100


def test_show_reads_as_a_chat(place: Place) -> None:
    """Texts, tool uses and results stand in their order; what the model no longer sees is marked."""
    talk(place.database, "chat")
    done = place.run("show", "chat")
    assert done.code == 0, done.err
    shown = [done.out.index(text) for text in ("How is the weather?", "weather {", "sunny in Oslo", "It is fine.")]
    assert shown == sorted(shown)
    assert "~" not in done.out
    assert place.run("rewind", "chat", "--to", "3").code == 0
    again = place.run("show", "chat").out
    assert "3 assistant" in again and "~4 user" in again and "---- taken back" in again
    assert positions(place, "chat", "--live") == [0, 1, 2, 3]
    assert positions(place, "chat", "--agent", "helper") == [0, 1, 2, 3, 4, 5]


def test_show_writes_a_page(place: Place, tmp_path: Path) -> None:
    """`--html` writes one page to a file or to stdout; for no session there is no file."""
    talk(place.database, "chat", words="<script>alert(1)</script>")
    page = tmp_path / "chat.html"
    assert place.run("show", "chat", "--html", str(page)).code == 0
    text = page.read_text(encoding="utf-8")
    assert "How is the weather?" in text and "<script>" not in text
    assert os.name != "posix" or stat.S_IMODE(page.stat().st_mode) == 0o600
    assert place.run("show", "chat", "--html", "-").out == text
    missing = tmp_path / "missing.html"
    assert place.run("show", "nobody", "--html", str(missing)).code == 1
    assert not missing.exists()


def test_a_page_replaces_a_page_alone(place: Place, tmp_path: Path) -> None:
    """Neither what a link leads to, nor a file that is something else, is overwritten."""
    talk(place.database, "chat")
    page, notes, link = tmp_path / "chat.html", tmp_path / "notes.html", tmp_path / "link.html"
    for _ in range(2):
        assert place.run("show", "chat", "--html", str(page)).code == 0
    notes.write_text("my notes", encoding="utf-8")
    targets = [notes]
    if os.name == "posix":
        link.symlink_to(notes)
        targets.append(link)
    for target in targets:
        done = place.run("show", "chat", "--html", str(target))
        assert done.code == 1 and "Nothing was written" in done.err and notes.read_text("utf-8") == "my notes"


def test_a_page_that_breaks_off_leaves_the_earlier_one(place: Place, tmp_path: Path) -> None:
    """It is put in its place once it is whole."""
    talk(place.database, "chat")
    page = tmp_path / "chat.html"
    assert place.run("show", "chat", "--html", str(page)).code == 0
    before = page.read_bytes()
    place.database.query("UPDATE strands_messages SET data = 'damaged' WHERE message_id = 4")
    assert place.run("show", "chat", "--html", str(page)).code == 1
    assert page.read_bytes() == before and [*tmp_path.glob("*chat.html*")] == [page]


@pytest.mark.parametrize("arguments", [("export", "chat", "-"), ("show", "chat", "--html", "-")])
def test_what_is_utf8_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """An export or a page to a standard output of another encoding; an export comes back in the same way."""
    from strands_persql.cli._app import run

    words = "hi \U0001f389 日本 “quoted” é"
    with PerSQL(local=tmp_path / "a.db") as client:
        talk(client.database("local/agents"), "chat", words=words)
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="cp1252", newline="\r\n") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert run([*arguments, "--local", str(tmp_path / "a.db")]) == 0
        out.flush()
        text = raw.getvalue().decode("utf-8")
        monkeypatch.undo()
    assert words in text and "\r" not in text
    if arguments[0] == "export":
        with io.TextIOWrapper(io.BytesIO(text.encode()), encoding="cp1252") as given:
            monkeypatch.setattr(sys, "stdin", given)
            assert run(["import", "-", "--local", str(tmp_path / "b.db")]) == 0


def test_nothing_a_message_says_steers_the_terminal(place: Place) -> None:
    """Control characters and turned text come out as escapes, in JSON too; markup stays as it is."""
    talk(place.database, "bad\x1b]0;id", words="[red]a[/red] \x1b[31mb \x9b2J \u202ec \x07")
    for command in (("sessions",), ("show", "bad\x1b]0;id"), ("search", "2J"), ("sessions", "--json")):
        done = place.run(*command)
        assert done.code == 0, done.err
        assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(done.out + done.err)
    assert "[red]a[/red] \\x1b[31mb" in place.run("show", "bad\x1b]0;id").out
    message = answer(place, "show", "bad\x1b]0;id")["messages"][3]["message"]
    assert message["content"][0]["text"] == "[red]a[/red] \x1b[31mb \x9b2J \u202ec \x07"
    refused = place.run("show", "no\x1b[31m\nsuch")
    assert refused.code == 1 and refused.err.count("\n") == 1 and "\x1b" not in refused.err


def test_numbers_json_has_no_word_for(place: Place) -> None:
    """NaN in an agent's state is null in what `--json` writes."""
    agent = Agent(
        model=scripted.ScriptedModel([scripted.text("hi")]),
        session_manager=PerSQLSessionManager("odd", place.database),
        state={"value": float("nan")},
        callback_handler=None,
    )
    agent("hello")
    done = place.run("show", "odd", "--json")
    assert "NaN" not in done.out
    assert json.loads(done.out)["session"]["agents"][0]["state"] == {"value": None}


def test_search_with_and_without_an_index(place: Place) -> None:
    """The same message is found by a scan and by the index, which is switched on and off."""
    talk(place.database, "chat", words="a needle in here")
    talk(place.database, "other", words="hay")
    scanned = answer(place, "search", "needle")
    assert (scanned["method"], [hit["session_id"] for hit in scanned["hits"]]) == ("scan", ["chat"])
    assert answer(place, "index")["index"] is False
    assert answer(place, "index", "on") == {"index": True, "messages": 12}
    found = answer(place, "search", "needle", "--session", "chat")
    assert (found["method"], found["hits"][0]["message_id"]) == ("index", 3)
    assert place.run("search", "needle").out.split("\t")[:3] == ["chat", "helper", "3"]
    assert place.run("index", "off").code == 0
    assert answer(place, "index", "status")["index"] is False
    assert place.run("index", "sideways").code == 2


def test_usage(place: Place) -> None:
    """Model calls and tool calls are counted, in all and for each agent."""
    talk(place.database, "chat")
    used = answer(place, "usage", "chat")
    assert (used["messages"], used["model_calls"], used["tool_calls"]) == (6, 3, 1)
    assert list(used["agents"]) == ["helper"]
    head, line, _ = place.run("usage", "chat").out.splitlines()
    assert dict(zip(head.split("\t"), line.split("\t"), strict=True))["MODEL CALLS"] == "3"


@pytest.mark.slow
def test_fork_rename_and_rewind(place: Place) -> None:
    """A copy up to a message, another name, an earlier end."""
    talk(place.database, "chat")
    assert answer(place, "fork", "chat", "copy", "--at", "3")["messages"] == 4
    assert place.run("fork", "chat", "copy").code == 1
    assert answer(place, "rename", "copy", "twin")["session_id"] == "twin"
    assert place.run("show", "copy").code == 1
    assert answer(place, "rewind", "twin", "--to", "0") == {"session_id": "twin", "agent_id": "helper", "to": 0}
    assert positions(place, "twin", "--live") == [0]
    ended = {"session_id": "twin", "agent_id": "helper", "before": 0}
    assert answer(place, "rewind", "twin", "--before", "0") == ended
    assert positions(place, "twin", "--live") == []
    for mistake in ([], ["--to", "0", "--before", "0"]):
        run = place.run("rewind", "twin", *mistake)
        assert run.code == 2 and "--before N" in run.err


@pytest.mark.slow
def test_update_and_whose_sessions_are(place: Place) -> None:
    """A session is given to a user, called something, and found by it; what is not named stays."""
    talk(place.database, "chat")
    talk(place.database, "other")
    found = answer(place, "update", "chat", "--title", "Tea", "--user", "ada", "--tag", "b", "--tag", "a")
    assert (found["title"], found["user"], found["tags"]) == ("Tea", "ada", ["a", "b"])
    found = answer(place, "update", "chat", "--metadata", '{"plan": "free"}', "--tag", "")
    assert (found["title"], found["user"], found["tags"], found["metadata"]) == ("Tea", "ada", [], {"plan": "free"})
    assert [each["session_id"] for each in answer(place, "sessions", "--user", "ada", "--recent")["sessions"]] == [
        "chat"
    ]
    assert not answer(place, "sessions", "--tag", "a")["sessions"]
    shown = place.run("show", "chat").out
    assert "title: Tea" in shown and "user: ada" in shown and '{"plan":"free"}' in shown
    assert place.run("sessions", "--user", "ada").out.rstrip().endswith("\tada\tTea")
    page = answer(place, "sessions", "--recent", "--limit", "1")
    rest = answer(place, "sessions", "--recent", "--after", page["after"]) if page["after"] else {"sessions": []}
    assert len(page["sessions"]) + len(rest["sessions"]) == len(answer(place, "sessions")["sessions"])
    assert place.run("sessions", "--recent", "--after", "x").code == 1
    assert answer(place, "update", "chat", "--user", "")["user"] is None
    for wrong in ("x", "[]"):
        assert place.run("update", "chat", "--metadata", wrong).code == 2
    assert place.run("update", "nobody", "--title", "x").code == 1


def test_the_agent_is_asked_for_where_there_are_several(place: Place) -> None:
    """Without --agent a session's only one is meant; of two, one must be named."""
    talk(place.database, "chat", agent_id="one")
    talk(place.database, "chat", agent_id="two")
    refused = place.run("rewind", "chat", "--to", "1")
    assert refused.code == 2 and "one, two" in refused.err
    assert place.run("rewind", "chat", "--to", "1", "--agent", "two").code == 0


@pytest.mark.slow
def test_export_and_import(place: Place, tmp_path: Path) -> None:
    """Out to JSONL, to stdout and to Strands' folder, and in again under another name, with one checksum."""
    talk(place.database, "chat")
    file, folder = tmp_path / "chat.jsonl", tmp_path / "files"
    out = answer(place, "export", "chat", str(file))
    assert answer(place, "export", "chat", str(folder))["messages"] == 6
    printed = place.run("export", "chat", "-")
    assert printed.out == file.read_text(encoding="utf-8") and out["checksum"] in printed.err
    (back,) = answer(place, "import", str(file), "--as", "again")["sessions"]
    assert (back["session_id"], back["written"], back["messages"]) == ("again", 6, 6)
    (twice,) = answer(place, "import", str(file), "--as", "again")["sessions"]
    assert (twice["written"], twice["messages"]) == (0, 6)
    assert "from-folder: 1 agent, 6 messages imported" in place.run("import", str(folder), "--as", "from-folder").out
    assert positions(place, "from-folder") == positions(place, "chat")
    assert place.run("import", str(tmp_path / "nowhere")).code == 1
    assert place.run("export", "nobody", str(tmp_path / "none.jsonl")).code == 1


def test_import_from_another_database(place: Place, tmp_path: Path) -> None:
    """A SQLite file is a source like any other, and a new local file is made by an import."""
    talk(place.database, "chat")
    answer(place, "export", "chat", str(tmp_path / "chat.jsonl"))
    other = Place(None, ("--local", str(tmp_path / "other.db")), {})
    assert answer(other, "import", str(tmp_path / "chat.jsonl"))["sessions"][0]["messages"] == 6
    moved = answer(place, "import", str(tmp_path / "other.db"), "--session", "chat", "--as", "moved")["sessions"]
    assert moved[0]["written"] == 6


def test_nothing_to_prune_is_no_dry_run(place: Place) -> None:
    """The answer says a dry run only where one was asked for."""
    talk(place.database, "chat")
    found = [answer(place, "prune", "--expired", *more) for more in ((), ("--dry-run",))]
    assert [each["dry_run"] for each in found] == [False, True]


@pytest.mark.parametrize(
    "command",
    [("delete", "chat"), ("prune", "--older-than", "0s"), ("erase", "chat", "--message", "0")],
    ids=["delete", "prune", "erase"],
)
def test_what_erases_asks_first(place: Place, command: tuple[str, ...]) -> None:
    """Without a terminal and without --yes nothing is changed, and the exit code is 2."""
    talk(place.database, "chat")
    before = place.run("show", "chat", "--json").out
    refused = place.run(*command)
    assert (refused.code, refused.out) == (2, "")
    assert "--yes" in refused.err and refused.err.count("\n") == 1
    assert place.run("show", "chat", "--json").out == before
    assert place.run(*command, "--yes").code == 0
    gone = place.run("show", "chat")
    assert "How is the weather?" not in gone.out


@pytest.mark.parametrize("wrong", [("chat", "-m", "99"), ("chat", "-m", "0", "-a", "nobody"), ("none", "-m", "0")])
def test_what_is_not_there_is_told_before_the_question(place: Place, wrong: tuple[str, ...]) -> None:
    """Nobody says yes to what can't be done."""
    talk(place.database, "chat")
    done = place.run("erase", *wrong)
    assert (done.code, done.out, "does not exist" in done.err) == (1, "", True)


@pytest.mark.slow
def test_a_retention_and_what_has_expired(place: Place) -> None:
    """It is set, told, taken away; what has expired goes, once it was asked for."""
    talk(place.database, "chat")
    assert answer(place, "update", "chat", "--retention", "2w")["expiry"]["seconds"] == 14 * 86_400
    fixed = answer(place, "update", "chat", "--retention", "30d", "--fixed")["expiry"]
    assert (fixed["seconds"], fixed["sliding"]) == (30 * 86_400, False)
    assert f"expires: {fixed['at']}, 30 days after it was set" in place.run("show", "chat").out
    assert place.run("sessions").out.splitlines()[0].split("\t")[-1] == fixed["at"]
    assert answer(place, "prune", "--expired", "--dry-run")["session_ids"] == []
    place.database.query("UPDATE strands_sessions SET retention = 1, expires = NULL")
    place.database.query(
        "UPDATE strands_messages SET data = json_set(data, '$.updated_at', '2025-01-01T00:00:00+00:00')"
    )
    place.database.query("UPDATE strands_agents SET data = json_set(data, '$.updated_at', '2025-01-01T00:00:00+00:00')")
    place.database.query(
        "UPDATE strands_sessions SET data = json_set(data, '$.updated_at', '2025-01-01T00:00:00+00:00', "
        "'$.created_at', '2025-01-01T00:00:00+00:00')"
    )
    assert "that have expired for good" in place.run("prune", "--expired").err
    assert answer(place, "update", "chat", "--retention", "")["expiry"] is None
    assert answer(place, "prune", "--expired", "--yes")["session_ids"] == []
    place.database.query("UPDATE strands_sessions SET retention = 1")
    assert answer(place, "prune", "--expired", "--yes")["session_ids"] == ["chat"]
    for wrong in (
        ("prune",),
        ("prune", "--expired", "--older-than", "1d"),
        ("update", "chat", "--retention", "soon"),
        ("update", "chat", "--fixed"),
    ):
        assert place.run(*wrong).code == 2


def test_delete_and_prune_tell_what_they_did(place: Place) -> None:
    """What is deleted is counted; a dry run deletes nothing; what isn't there is not found."""
    for name in ("one", "two", "three"):
        talk(place.database, name, turns=0)
    assert answer(place, "prune", "--older-than", "1d")["session_ids"] == []
    dry = answer(place, "prune", "--older-than", "0s", "--prefix", "t", "--dry-run")
    assert (sorted(dry["session_ids"]), dry["dry_run"]) == (["three", "two"], True)
    done = answer(place, "prune", "--older-than", "0s", "--prefix", "t", "--yes")
    assert (sorted(done["session_ids"]), done["rows"]) == (["three", "two"], dry["rows"])
    assert place.run("delete", "one", "--yes").out == "1 session deleted (6 rows)\n"
    assert place.run("delete", "one", "--yes").code == 1
    assert answer(place, "sessions")["sessions"] == []


def test_options_may_stand_before_the_command(place: Place) -> None:
    """Every option that all commands share is taken before the command as well."""
    talk(place.database, "chat", turns=0)
    plain = Place(place.database, (), place.environment)
    assert [each["session_id"] for each in answer(plain, *place.options, "sessions")["sessions"]] == ["chat"]
    done = plain.run("--json", "--table-prefix", "strands_", *place.options, "sessions")
    assert [each["session_id"] for each in json.loads(done.out)["sessions"]] == ["chat"]


def test_what_is_typed_goes_before_the_environment(tmp_path: Path) -> None:
    """An option behind the command wins over the same before it, and either over PERSQL_DATABASE."""
    with PerSQL(local=str(tmp_path) + "/") as client:
        for slug in ("one", "two", "three"):
            talk(client.database(f"acme/{slug}"), slug, turns=0)
    place = Place(None, (), {"PERSQL_DATABASE": "acme/one"})
    names = {
        "one": (("--local", str(tmp_path)), ()),
        "two": (("--local", str(tmp_path), "--database", "acme/two"), ()),
        "three": (
            ("--database", "acme/two", "--local", "nowhere"),
            ("--local", str(tmp_path), "--database", "acme/three"),
        ),
    }
    for name, (before, behind) in names.items():
        done = place.run(*before, "sessions", *behind)
        assert done.out.startswith(f"{name}\t"), done.err
