"""What a person sees at a terminal: whole tables in 80 columns, Markdown as such, few retries, the words of options."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
from strands import Agent
from strands.multiagent import GraphBuilder

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager, PerSQLSessions
from strands_persql.cli import _app
from strands_persql.cli._words import in_options
from strands_persql.client import _retry

from ..agents import scripted
from ..emulator import Emulator, faults
from .places import Done, Place, talk

MARKDOWN = """\
# Trains

Take the **night** train, [here](https://rail.example/x), or <b>walk</b>.

- one
- two

```python
if late:
    run()
```

| from | to |
| --- | ---: |
| Oslo | Rome |
"""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_terminal(*arguments: str, typed: str = "", **environment: str) -> Done:
    """A command at a terminal of 80 columns, without its colours; what is typed ends with Ctrl-D."""
    out, err = io.StringIO(), _Terminal()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PERSQL_")}
    settings = {**clean, "COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm", **environment}
    with (
        mock.patch.dict(os.environ, settings, clear=True),
        mock.patch.object(sys, "stdin", _Terminal(typed)),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
    ):
        code = _app.run(list(arguments))
    return Done(code, re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()), err.getvalue())


def words(text: str) -> str:
    """A text with its white space folded."""
    return " ".join(text.split())


def graph(database: object, *order: str, session_id: str = "graph", hooks: list[PerSQLHooks] | None = None) -> None:
    """Run a Graph whose nodes run in this order, and by default have their conversations stored as well."""
    if hooks is None:
        hooks = [PerSQLHooks(session_id, database)]  # type: ignore[arg-type]
    builder = GraphBuilder()
    builder.set_execution_timeout(60)
    for name in order:
        model = scripted.ScriptedModel([scripted.text(f"{name} is done")])
        builder.add_node(Agent(model=model, agent_id=name, hooks=list(hooks), callback_handler=None), name)
    for before, after in pairwise(order):
        builder.add_edge(before, after)
    builder.set_session_manager(PerSQLSessionManager(session_id, database))  # type: ignore[arg-type]
    builder.build()("go")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A local file: a conversation, and a Graph whose nodes run in another order than that of their names."""
    path = str(tmp_path / "agents.db")
    with PerSQL(local=path) as client:
        database = client.database("acme/agents")
        talk(database, "a-conversation-with-a-long-name-0123456789", agent_id="helper-of-the-users", words=MARKDOWN)
        graph(database, "writer", "checker", "artist")
    return path


def test_sessions_shows_graphs_whole(file: str) -> None:
    """Nothing of a table is cut off in 80 columns, headings stay whole words, and Graphs are counted.

    A column that is empty in all rows takes no room.
    """
    done = at_terminal("sessions", "--local", file)
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in done.out
    assert lines[0].split() == ["SESSION", "LAST", "ACTIVE", "CREATED", "AGENTS", "GRAPHS", "MESSAGES", "TITLE"]
    assert re.search(r"^graph +.* 3 +1 +\d+", done.out, re.MULTILINE)
    ids = "".join(line[: lines[0].index("LAST")].strip() for line in lines[1:])
    assert "a-conversation-with-a-long-name-0123456789" in ids


def test_a_column_that_is_filled_in_one_row(file: str) -> None:
    """It stands there for all rows."""
    with PerSQL(local=file) as client:
        PerSQLSessions(client.database("acme/agents")).update("graph", user="ada", retention=timedelta(days=3))
    done = at_terminal("sessions", "--local", file)
    assert {"USER", "TITLE", "EXPIRES"} <= set(done.out.split())
    assert max(map(len, done.out.splitlines())) <= 80 and "ada" in done.out
    shown = at_terminal("show", "graph", "--local", file).out
    assert re.search(r"^  expires: \d{4}-\d\d-\d\d \d\d:\d\d, 3 days after its last activity$", shown, re.MULTILINE)


def test_texts_are_not_cut_into_shreds(file: str) -> None:
    """Where a column of ids would be a few characters wide, each row is a block, with its id whole."""
    done = at_terminal("sessions", "--local", file, COLUMNS="60")
    assert "SESSION     a-conversation-with-a-long-name-0123456789\n" in re.sub(" +\n", "\n", done.out)
    assert max(map(len, done.out.splitlines())) <= 60


def test_what_a_graph_keeps_of_its_nodes(file: str) -> None:
    """Nodes whose conversations nobody stored: their results, in the order in which they ran; no agent twice."""
    with PerSQL(local=file) as client:
        graph(client.database("acme/agents"), "zeta", "alpha", session_id="kept", hooks=[])
    out = at_terminal("show", "kept", "--local", file).out
    results = ("node zeta", "zeta is done", "node alpha", "alpha is done")
    places = [out.index(words) for words in results]
    assert places == sorted(places)
    assert "zeta is done" in Place(None, ("--local", file), {}).run("show", "kept").out
    assert "node writer" not in at_terminal("show", "graph", "--local", file).out


def test_a_history_that_is_set_back(file: str) -> None:
    """The answer says where it ends now, or that nothing is left of it."""
    for option, number, end in (("--to", "0", "ends with message 0"), ("--before", "0", "is empty")):
        done = at_terminal("rewind", "graph", option, number, "--agent", "writer", "--local", file)
        assert f"the history now {end};" in words(done.out)


def test_a_copy_says_of_what(file: str) -> None:
    """`show` names the session that it was forked from, as the pages do."""
    with PerSQL(local=file) as client:
        PerSQLSessions(client.database("acme/agents")).fork("graph", "again")
    assert "copy of: graph\n" in re.sub(" +\n", "\n", at_terminal("show", "again", "--local", file).out)


def test_long_lines_go_on_below_themselves(file: str) -> None:
    """What doctor finds, and a title: words stay whole, below the part that they belong to."""
    title = "A title of words that nobody could read in a line of eighty columns, however small they are"
    with PerSQL(local=file) as client:
        PerSQLSessions(client.database("acme/agents")).update("graph", title=title)
    for arguments in (("doctor",), ("show", "graph")):
        done = at_terminal(*arguments, "--local", file)
        lines = done.out.splitlines()
        assert max(map(len, lines)) <= 80 and "…" not in done.out
    assert f"title: {title}" in words(done.out)
    [first] = [number for number, line in enumerate(lines) if line.startswith("  title: ")]
    assert re.match(r" {9}\w", lines[first + 1])
    doctor = at_terminal("doctor", "--local", file).out
    assert "looked at 2 sessions, 4 agents" in words(doctor)
    assert re.search(r"^ {27}\w", doctor, re.MULTILINE)
    assert "…" not in doctor


def test_usage_is_whole(file: str) -> None:
    """Ten columns of numbers, in 80."""
    done = at_terminal("usage", "graph", "--local", file)
    assert max(map(len, done.out.splitlines())) <= 80 and "…" not in done.out
    heading = words(" ".join(done.out.splitlines()[:2]))
    numbers = "MESSAGES MODEL TOKENS TOKENS CACHE CACHE TOOL TOOL MODEL CALLS IN OUT READ WRITE CALLS ERRORS SECONDS"
    assert sorted(heading.split()) == sorted(["AGENT", *numbers.split()])
    assert [line.split()[0] for line in done.out.splitlines()[2:]] == ["writer", "checker", "artist", "all"]


@pytest.mark.parametrize("columns", ["50", "30"])
def test_tables_at_a_narrow_terminal(file: str, columns: str) -> None:
    """What has no room for its columns is written below each other, whole."""
    usage = at_terminal("usage", "a-conversation-with-a-long-name-0123456789", "--local", file, COLUMNS=columns).out
    assert max(map(len, usage.splitlines())) <= int(columns)
    assert re.search(r"^AGENT +helper-of-the-", usage, re.MULTILINE)
    assert re.search(r"^MODEL SECONDS +\d+\.\d", usage, re.MULTILINE)
    sessions = at_terminal("sessions", "--local", file, COLUMNS=columns).out
    assert max(map(len, sessions.splitlines())) <= int(columns)
    assert re.search(r"^SESSION +graph *$", sessions, re.MULTILINE)
    assert len(re.findall(r"^LAST ACTIVE ", sessions, re.MULTILINE)) == 2


def test_the_list_of_commands_is_whole() -> None:
    """What each command does is told in one line of 80 columns; how the others are used, in theirs."""
    lines = at_terminal("--help").out.split("Commands:")[1].split("Exit codes")[0].strip().splitlines()
    assert len(lines) == len(_app.COMMANDS)
    assert [line for line in lines if len(line) > 80 or "..." in line] == []
    assert " [SESSION]" in at_terminal("doctor", "--help").out
    for command in _app.COMMANDS:
        assert not re.search(r"\[\[| range>", at_terminal(command, "--help").out)


def test_a_question_and_its_answers(file: str) -> None:
    """Only a yes changes anything; an interruption says so on a line of its own."""
    before = Path(file).read_bytes()
    for typed, code, words_ in (
        ("n\n", 1, "nothing was changed"),
        ("\n", 1, "nothing was changed"),
        ("", 130, "interrupted; nothing was changed"),
        ("perhaps\n", 130, "interrupted; nothing was changed"),
    ):
        for arguments in (
            ("delete", "graph"),
            ("prune", "--older-than", "0s"),
            ("erase", "graph", "-m", "0", "-a", "writer"),
        ):
            done = at_terminal(*arguments, "--local", file, typed=typed)
            assert (done.code, done.out) == (code, "")
            assert done.err.endswith(f"\nstrands-persql: {words_}\n") or typed.endswith("\n")
            assert f"strands-persql: {words_}\n" in done.err
    assert Path(file).read_bytes() == before
    nobody = at_terminal("delete", "nobody", "--local", file, typed="y\n")
    assert nobody.code == 1 and "Session 'nobody' can't be read." in nobody.err and "does not exist" in nobody.err
    assert "1 session deleted" in at_terminal("delete", "graph", "--local", file, typed="y\n").out


def test_one_filter_however_often_a_place_is_opened(file: str) -> None:
    """What the log's lines pass through does not grow with each command."""
    client = logging.getLogger("strands_persql.client")
    filters = list(client.filters)
    for _ in range(3):
        assert at_terminal("sessions", "--local", file).code == 0
    assert client.filters == filters


def test_a_graphs_agents_stand_in_their_order(file: str) -> None:
    """As they ran, not by their names."""
    for done in (
        at_terminal("show", "graph", "--local", file),
        Place(None, ("--local", file), {}).run("show", "graph"),
    ):
        assert done.code == 0, done.err
        places = [done.out.index(f"agent {name}") for name in ("writer", "checker", "artist")]
        assert places == sorted(places)


def test_markdown_at_a_terminal(file: str) -> None:
    """A model's Markdown is shown as such, nothing of it is lost, and what is no Markdown stays text."""
    out = at_terminal("show", "a-conversation-with-a-long-name-0123456789", "--local", file).out
    assert "**" not in out and "```" not in out and "| --- |" not in out
    assert "here (https://rail.example/x)" in words(out) and "<b>walk</b>" in out
    assert "    run()" in out and "• one" in out
    for word in ("Trains", "night", "Oslo", "Rome"):
        assert word in out
    piped = Place(None, ("--local", file), {}).run("show", "a-conversation-with-a-long-name-0123456789")
    assert MARKDOWN.strip() in piped.out


def test_controls_in_markdown(tmp_path: Path) -> None:
    """No stored text steers the terminal, in a code block's language either."""
    path = str(tmp_path / "agents.db")
    with PerSQL(local=path) as client:
        talk(client.database("a/b"), "s", words="```\x1b]0;x\x07\ncode \x1b[2J\n```\n[a](\x1b[31m)")
    out = at_terminal("show", "s", "--local", path).out
    assert "\x1b" not in out and "\x07" not in out
    assert "\\x1b[2J" in out


def test_few_retries_at_a_terminal(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is told soon; a script goes on trying."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(_retry, "LONGEST_BACKOFF", 0.001)
    settings = {"PERSQL_TOKEN": emulator.token(), "PERSQL_API_URL": emulator.url}
    arguments = ("sessions", "--database", emulator.name)
    emulator.faults.always(faults.rate_limited())
    asked = len(emulator.log)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, beside which Python's last resort is silent
    done = at_terminal(*arguments, **settings)
    assert (done.code, done.err.count("\n"), "retrying" in done.err) == (1, 1, False), done.err
    first, asked = len(emulator.log) - asked, len(emulator.log)
    assert Place(None, (), settings).run(*arguments).code == 1
    assert (first, len(emulator.log) - asked) == (4, 9)


def test_a_place_in_the_environment(file: str) -> None:
    """`PERSQL_LOCAL` is as good as `--local`, which goes before it; with a token beside it, one has to go."""
    place = Place(None, (), {"PERSQL_LOCAL": file})
    assert "graph\t" in place.run("sessions").out
    both = Place(None, (), {"PERSQL_LOCAL": "nowhere.db", "PERSQL_TOKEN": "psql_token", "PERSQL_DATABASE": "a/b"})
    refused = both.run("sessions")
    assert refused.code == 2 and "both set" in refused.err
    assert "graph\t" in both.run("sessions", "--local", file).out


def test_a_place_as_a_file_of_settings_has_it(file: str) -> None:
    """`~` is the home folder, and line ends count for nothing."""
    home = {name: str(Path(file).parent) for name in ("HOME", "USERPROFILE")}
    name = f"~/{Path(file).name}"
    for settings in ({"PERSQL_LOCAL": f"{name}\r", "PERSQL_TOKEN": " ", "PERSQL_DATABASE": "\r"}, {}):
        done = Place(None, (), {**home, **settings}).run("sessions", *(() if settings else ("--local", name)))
        assert "graph\t" in done.out, done.err


OF_PYTHON = r"generate_key|codec|the statement was refused|attempting to bind|strands-persql: (at|to|user|tags) "
API = re.compile(r"\b\w+=|\b[a-z]+_[a-z_]+\b(?!\.db)|PerSQL[A-Z]\w+\(|client\.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nobody", "--local", "{file}"),
        ("usage", "nobody", "--local", "{file}"),
        ("show", "graph", "--agent", "nobody", "--local", "{file}"),
        ("fork", "graph", "copy", "--at", "0", "--local", "{file}"),
        ("rename", "graph", "graph", "--local", "{file}"),
        ("encrypt", "graph", "--local", "{file}"),
        ("search", "!", "--local", "{file}"),
        ("sessions", "--recent", "--after", "x", "--local", "{file}"),
        ("sessions", "--recent", "--copies-of", "graph", "--local", "{file}"),
        ("sessions", "--local", "{tmp}/text.db"),
        ("sessions", "--local", "{file}", "--table-prefix", "no good"),
        ("import", "{file}", "--as", "x", "--local", "{tmp}/other.db"),
        ("fork", "graph", "graph", "--local", "{file}"),
        ("show", " ", "--local", "{file}"),
        ("delete", " ", "--local", "{file}", "--yes"),
        ("show", "\udcff", "--local", "{file}"),
        ("fork", "graph", " ", "--local", "{file}"),
        ("erase", "graph", "-m", "9" * 30, "-a", "writer", "-y", "--local", "{file}"),
        ("rewind", "graph", "--to", "9" * 30, "-a", "writer", "--local", "{file}"),
        ("fork", "graph", "copy", "--at", "9" * 30, "--local", "{file}"),
        ("update", "graph", "--user", " ", "--local", "{file}"),
        ("update", "graph", "--tag", " ", "--local", "{file}"),
        ("show", "graph", "--key-file", "{tmp}/text.db", "--local", "{file}"),
        ("show", "graph", "--key-file", "{tmp}/none", "--local", "{file}"),
        ("show", "graph", "--key-file", "{file}", "--local", "{file}"),
        ("import", "{tmp}/empty", "--local", "{file}"),
        ("web", "--host", "no.such.host.invalid", "--auth-token", "x" * 20, "--local", "{file}"),
        ("web", "--local", "{tmp}/text.db"),
        ("sessions", "--database", "a/b"),
        ("sessions", "--database", "other/b", "PERSQL_TOKEN"),
        ("sessions", "--database", "a/b", "PERSQL_API_URL=ftp://x"),
        ("sessions", "--database", "a/b", "PERSQL_API_URL=http://127.0.0.1:9"),
        ("sessions", "--database", "a/b", "PERSQL_TOKEN=a b"),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_errors_name_options(
    file: str, tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """What the package calls by Python's names, the command line calls by its own."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(_retry, "LONGEST_BACKOFF", 0.001)
    (tmp_path / "text.db").write_text("no database, but a text of more than a hundred characters " * 20)
    (tmp_path / "empty").mkdir()
    settings = {"PERSQL_API_URL": emulator.url}
    if "PERSQL_TOKEN" in arguments:
        settings["PERSQL_TOKEN"] = emulator.token()
    for each in arguments:
        if each.startswith("PERSQL_") and "=" in each:
            settings.setdefault("PERSQL_TOKEN", "psql_token")
            name, _, value = each.partition("=")
            settings[name] = value
    given = [each.format(file=file, tmp=tmp_path) for each in arguments if not each.startswith("PERSQL_")]
    done = Place(None, (), settings).run(*given)
    assert done.code in (1, 2) and done.err.count("\n") == 1
    assert not API.search(done.err) and not re.search(OF_PYTHON, done.err), done.err


def test_words_of_errors() -> None:
    """The errors that no command can be led to easily."""
    told = {
        "have layout 3, and create_tables=False keeps them from being brought to layout 5. Open one session without "
        "it, with an admin token.": "have layout 3; layout 5 is needed: strands-persql init, with an admin token.",
        "timed out, nothing was sent; try again, or raise timeout=": "timed out, nothing was sent; try again",
        "create it (client.databases.create, or the console)": "create it (in PerSQL's console)",
        "Import under another name (new_id=…), or delete": "Import under another name (--as), or delete",
    }
    for text, words_ in told.items():
        assert in_options(text) == words_
