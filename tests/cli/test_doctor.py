"""`strands-persql doctor`, and the functions behind it: each fault is found, named, and mended where that is safe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL, PerSQLSessionManager, SessionConflictError
from strands_persql.administration.doctor import Finding, diagnose, mend
from strands_persql.testing import stored_rows

from ..agents import scripted
from ..agents.harness import RecordingDatabase
from ..systems import needs_modes
from .places import Place, talk

Fault = Callable[[Any], object]


def named(findings: list[Finding]) -> list[tuple[str, str]]:
    """What was found, but for what is in order: severity and check."""
    return [(finding.severity, finding.check) for finding in findings if finding.severity != "ok"]


ORPHAN = (
    "INSERT INTO strands_chunks (session_id, kind, owner, message_id, generation, part, data) "
    "VALUES ('chat', '{}', '{}', {}, 'g0', 0, 'left over')"
)
MESSAGE = "UPDATE strands_messages SET data = {} WHERE session_id = 'chat' AND message_id = {}"
AGENT = "UPDATE strands_agents SET {} WHERE session_id = 'chat'"

MENDED = {
    "orphan of a message": ([ORPHAN.format("message", "helper", 1)], ("warning", "orphan-parts")),
    "orphan of an agent": ([ORPHAN.format("agent", "helper", 0)], ("warning", "orphan-parts")),
    "orphan of no session": (
        [ORPHAN.format("message", "helper", 1).replace("'chat'", "'gone'")],
        ("warning", "orphan-parts"),
    ),
    "window of nonsense": ([AGENT.format("live_window = 'nonsense'")], ("error", "unreadable-window")),
    "window of words": ([AGENT.format("live_window = '[[\"a\",null]]'")], ("error", "unreadable-window")),
    "long window of nonsense": (
        [AGENT.format("live_window = printf('%.9000c', 'x')")],
        ("error", "unreadable-window"),
    ),
    "revision of nothing": ([AGENT.format("revision = 0")], ("error", "revision")),
    "no session": (["DELETE FROM strands_sessions WHERE session_id = 'chat'"], ("warning", "no-session")),
}

KEPT = {
    "message that is no JSON": ([MESSAGE.format("'{'", 2)], ("error", "unreadable-row")),
    "message without content": ([MESSAGE.format('\'{"message":{"role":"user"}}\'', 2)], ("error", "unreadable-row")),
    "message whose blocks are none": (
        [MESSAGE.format('\'{"message":{"role":"user","content":[1]}}\'', 2)],
        ("error", "unreadable-row"),
    ),
    "message outside the window": (
        [MESSAGE.format("'{'", 0), AGENT.format("live_window = '[[4,null]]'")],
        ("warning", "unreadable-row"),
    ),
    "message whose parts are gone": (
        [MESSAGE.format('\'{"persql_parts":2,"generation":"g1"}\'', 3)],
        ("error", "unreadable-row"),
    ),
    "message outside the window whose parts are gone": (
        [
            MESSAGE.format('\'{"persql_parts":2,"generation":"g1"}\'', 1),
            AGENT.format("live_window = '[[4,null]]'"),
        ],
        ("warning", "unreadable-row"),
    ),
    "agent that is none": ([AGENT.format("data = '{}'")], ("error", "unreadable-row")),
    "session that is none": (["UPDATE strands_sessions SET data = '[]'"], ("error", "unreadable-row")),
    "message that is missing": (
        ["DELETE FROM strands_messages WHERE session_id = 'chat' AND message_id = 4"],
        ("warning", "missing-messages"),
    ),
    "agent that is missing": (["DELETE FROM strands_agents WHERE session_id = 'chat'"], ("warning", "no-agent")),
    "tool use without an id": (
        [MESSAGE.format("json_remove(data, '$.message.content[0].toolUse.toolUseId')", 1)],
        ("error", "tool-results"),
    ),
    "orphan that may be an import's": (
        [ORPHAN.format("message", "newcomer", 1)],
        ("warning", "orphan-parts"),
    ),
}

INFORMED = {
    "result that is missing": (
        [MESSAGE.format("json_set(data, '$.message.content', json('[{\"text\":\"?\"}]'))", 2)],
        "tool-results",
    ),
    "use answered twice": (
        [MESSAGE.format("json_insert(data, '$.message.content[#]', json_extract(data, '$.message.content[0]'))", 2)],
        "tool-results",
    ),
    "two of one role": ([AGENT.format("live_window = '[[0,0],[2,null]]'")], "roles"),
    "empty message": ([MESSAGE.format("json_set(data, '$.message.content', json('[]'))", 5)], "empty-messages"),
    "empty session": (
        ["INSERT INTO strands_sessions (session_id, data) SELECT 'empty', data FROM strands_sessions LIMIT 1"],
        "empty-session",
    ),
}


def test_nothing_is_found_in_what_agents_leave(place: Place) -> None:
    """Agents, long messages, NaN, rewound windows and forks are all in order, and nothing is changed."""
    talk(place.database, "chat")
    talk(place.database, "long", words="x" * 1_200_000)
    talk(place.database, "windowed")
    place.run("rewind", "windowed", "--to", "3")
    place.run("fork", "chat", "copy", "--at", "3")
    before = stored_rows(place.database, mask=False)
    findings = diagnose(place.database)
    assert named(findings) == []
    assert "looked at 4 sessions, 4 agents, 22 messages" in findings[-1].what
    assert mend(place.database, findings) == []
    assert stored_rows(place.database, mask=False) == before


@pytest.mark.parametrize("name", MENDED)
def test_faults_that_are_mended(place: Place, name: str) -> None:
    """The fault is found and nothing else; mending it leaves none, and the session restores."""
    talk(place.database, "chat")
    talk(place.database, "zebra", turns=0)
    statements, expected = MENDED[name]
    for sql in statements:
        place.database.query(sql)
    findings = diagnose(place.database)
    assert named(findings) == [expected], findings
    mendable = [finding for finding in findings if finding.mendable]
    assert mend(place.database, findings) == mendable != []
    assert named(diagnose(place.database)) == []
    assert mend(place.database, findings) == []
    talk(place.database, "chat", turns=0)


@pytest.mark.parametrize("name", KEPT)
def test_faults_that_are_left_alone(place: Place, name: str) -> None:
    """The fault is found and nothing else; mending changes nothing where something could be lost."""
    talk(place.database, "chat")
    statements, expected = KEPT[name]
    for sql in statements:
        place.database.query(sql)
    before = place.database.query("SELECT * FROM strands_messages")["data"]
    findings = diagnose(place.database)
    assert expected in named(findings)
    assert {severity for severity, _ in named(findings)} - {"info"} == {expected[0]}, findings
    assert all(finding.remedy for finding in findings if finding.severity != "ok")
    assert mend(place.database, findings) == []
    assert place.database.query("SELECT * FROM strands_messages")["data"] == before


@pytest.mark.parametrize("name", INFORMED)
def test_what_is_worth_knowing(place: Place, name: str) -> None:
    """What restoring mends by itself, or some models refuse, is told, and is no problem."""
    talk(place.database, "chat")
    statements, check = INFORMED[name]
    for sql in statements:
        place.database.query(sql)
    found = named(diagnose(place.database))
    assert ("info", check) in found and {severity for severity, _ in found} == {"info"}
    assert place.run("doctor").code == 0


def test_pages_and_other_sessions(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many small pages the same is found; one session can be looked at by itself."""
    for number in range(5):
        talk(place.database, f"user-{number}")
    place.database.query("UPDATE strands_messages SET data = '{' WHERE session_id >= 'user-3' AND message_id = 2")
    whole = diagnose(place.database)
    monkeypatch.setattr("strands_persql.administration.doctor._pages.PAGE", 2)
    seen: list[int] = []
    small = diagnose(place.database, progress=seen.append)
    assert [finding for finding in small if finding.severity != "ok"] == [
        finding for finding in whole if finding.severity != "ok"
    ]
    assert seen == sorted(seen) and seen[-1] == 5 + 5 + 30
    assert [finding.session_id for finding in whole if finding.severity == "error"] == ["user-3", "user-4"]
    assert named(diagnose(place.database, session_id="user-1")) == []
    assert named(diagnose(place.database, session_id="user-4")) == [("error", "unreadable-row")]
    assert named(diagnose(place.database, session_id="nobody")) == [("error", "rows")]


def test_a_writer_in_the_midst_of_it_is_stopped(place: Place) -> None:
    """An agent whose parts were taken for orphans gets a conflict, not a row without its parts."""
    from strands import Agent

    manager = PerSQLSessionManager("chat", place.database)
    replies = [scripted.text("one"), scripted.text("two")]
    agent = Agent(model=scripted.ScriptedModel(replies), session_manager=manager, callback_handler=None)
    agent("hello")
    place.database.query(ORPHAN.format("message", "default", 2))
    assert len(mend(place.database, diagnose(place.database))) == 1
    with pytest.raises(SessionConflictError):
        agent("again")


def test_parts_that_were_named_meanwhile_stay(place: Place) -> None:
    """What mends asks again: parts that a row has named since they were found are kept."""
    talk(place.database, "chat")
    place.database.query(ORPHAN.format("message", "helper", 1))
    findings = diagnose(place.database)
    place.database.query(MESSAGE.format('\'{"persql_parts":1,"generation":"g0"}\'', 1))
    assert mend(place.database, findings) == []
    assert len(place.database.query("SELECT * FROM strands_chunks")["data"]) == 1


def test_parts_of_another_writing(place: Place) -> None:
    """Beside the parts that a row names, those of another writing, position or kind are left over; they alone go."""
    talk(place.database, "long", words="x" * 1_200_000)
    parts = place.database.query("SELECT * FROM strands_chunks")["data"]
    assert parts
    owner, position, generation = (parts[0][name] for name in ("owner", "message_id", "generation"))
    for kind, at, writing in (("message", position, "g0"), ("message", 0, generation), ("agent", position, generation)):
        orphan = ORPHAN.format(kind, owner, at).replace("'chat'", "'long'").replace("'g0'", f"'{writing}'")
        place.database.query(orphan)
    findings = diagnose(place.database)
    assert named(findings) == [("warning", "orphan-parts")] * 3
    places = [(finding.agent_id, finding.message_id) for finding in findings if finding.mendable]
    assert places == [(owner, None), (owner, 0), (owner, position)]
    assert len(mend(place.database, findings)) == 3
    assert place.database.query("SELECT * FROM strands_chunks")["data"] == parts


def test_a_marker_that_cannot_be_read_keeps_all_parts(place: Place) -> None:
    """Which parts a spoiled row named can't be told any more: none is taken for left over."""
    talk(place.database, "chat")
    place.database.query(ORPHAN.format("message", "helper", 1))
    for marker in (
        '{"persql_parts":1,"generation":',
        '{"persql_parts":1,"generation":7}',
        '{"persql_parts":"1","generation":"g1"}',
    ):
        place.database.query(MESSAGE.format(f"'{marker}'", 1))
        findings = diagnose(place.database)
        assert named(findings) == [("error", "unreadable-row")]
        assert mend(place.database, findings) == []
    assert len(place.database.query("SELECT * FROM strands_chunks")["data"]) == 1


def test_parts_of_a_graph(place: Place) -> None:
    """A Graph's parts are judged by its own row, and not by an agent's of the same name."""
    talk(place.database, "chat")
    place.database.query(ORPHAN.format("multi_agent", "helper", 0))
    found = [finding for finding in diagnose(place.database) if finding.severity != "ok"]
    assert [(finding.check, finding.mendable) for finding in found] == [("orphan-parts", False)]
    columns = "(session_id, multi_agent_id, revision, data)"
    place.database.query(f"INSERT INTO strands_multi_agents {columns} VALUES ('chat', 'helper', 1, '{{}}')")
    found = [finding for finding in diagnose(place.database) if finding.severity != "ok"]
    assert [(finding.check, finding.mendable) for finding in found] == [("orphan-parts", True)]
    named_by_it = 'UPDATE strands_multi_agents SET data = \'{"persql_parts":1,"generation":"g0"}\''
    place.database.query(named_by_it)
    assert mend(place.database, found) == []
    assert named(diagnose(place.database)) == []
    assert len(place.database.query("SELECT * FROM strands_chunks")["data"]) == 1


def test_long_messages_outside_the_window_are_not_read(place: Place) -> None:
    """That their parts are there is enough: a large transcript isn't fetched to be examined."""
    talk(place.database, "long", words="x" * 1_200_000)
    place.database.query("UPDATE strands_agents SET live_window = '[[5,null]]'")
    recorded = RecordingDatabase(place.database)
    assert named(diagnose(recorded)) == [("info", "role")]  # of a wrapped handle it is not known
    sent = [sql for request in recorded.requests for sql, _ in request.statements]
    assert sent and not [sql for sql in sent if "part, data" in sql]


class Meanwhile:
    """A handle that carries out a statement before the doctor asks again about several tables."""

    def __init__(self, inner: Any, sql: str) -> None:
        self._inner = inner
        self._sql = sql
        self.asked = 0

    def query(self, *given: Any) -> Any:
        """One statement."""
        return self._inner.query(*given)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        """One request."""
        if any(statement["sql"].startswith("SELECT 1 AS so") for statement in statements):
            self.asked += 1
            self._inner.query(self._sql)
        return self._inner.batch(statements, transaction=transaction)


@pytest.mark.parametrize(
    ("fault", "undone"),
    [
        (
            "DELETE FROM strands_sessions WHERE session_id = 'chat'",
            "INSERT INTO strands_sessions (session_id, data) SELECT 'chat', data FROM strands_sessions LIMIT 1",
        ),
        (
            "DELETE FROM strands_messages WHERE session_id = 'chat' AND message_id = 3",
            "UPDATE strands_agents SET live_window = '[[0,2],[4,null]]' WHERE session_id = 'chat'",
        ),
    ],
    ids=["session", "messages"],
)
def test_what_a_writer_has_put_right_is_not_reported(place: Place, fault: str, undone: str) -> None:
    """What several pages tell together may be half of a writer's work: it is asked again in one statement."""
    talk(place.database, "chat")
    talk(place.database, "other")
    place.database.query(fault)
    assert "warning" in {severity for severity, _ in named(diagnose(place.database))}
    handle = Meanwhile(place.database, undone)
    assert {severity for severity, _ in named(diagnose(handle))} == {"info"}
    assert handle.asked == 1


def test_the_search_index(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that lacks messages, or was never finished, is told; making it anew mends that."""
    monkeypatch.setattr("strands_persql.administration.doctor._pages.PAGE", 4)
    talk(place.database, "chat")
    assert place.run("index", "on").code == 0
    assert "search-index" in [finding.check for finding in diagnose(place.database)]
    assert named(diagnose(place.database)) == []
    place.database.query("DELETE FROM strands_search_texts WHERE message_id IN (0, 5)")
    found = [finding for finding in diagnose(place.database) if finding.severity != "ok"]
    assert named(found) == [("warning", "search-index")] and "2 messages" in found[0].what
    assert place.run("index", "on").code == 0
    assert named(diagnose(place.database)) == []


def test_the_command(place: Place) -> None:
    """It says how to mend, asks before it mends, and its exit code tells whether a problem is left."""
    empty = place.run("doctor")
    assert (empty.code, "init" in empty.out) == (1, True) or "does not exist" in empty.err
    assert place.run("init").code == 0
    assert place.run("doctor").code == 0
    talk(place.database, "chat")
    place.database.query(ORPHAN.format("message", "helper", 1))
    found = place.run("doctor")
    assert found.code == 1 and "orphan-parts" in found.out and "--fix mends 1 of them" in found.out
    refused = place.run("doctor", "--fix", "--json")
    assert (refused.code, refused.out) == (2, "") and "--yes" in refused.err
    mended = place.run("doctor", "--fix", "--yes", "--json")
    document = json.loads(mended.out)
    assert mended.code == 0, mended.err
    assert [finding["check"] for finding in document["mended"]] == ["orphan-parts"]
    assert {finding["severity"] for finding in document["findings"]} == {"ok"}


def test_tokens_and_connections(emulator: Any) -> None:
    """The token's role is told; one that is worthless, or a service that can't be reached, is a finding too."""
    talk(emulator.database(), "chat", turns=0)
    roles = {"admin": "ok", "readwrite": "ok", "readonly": "warning"}
    for role, severity in roles.items():
        found = {finding.check: finding for finding in diagnose(emulator.database(role=role))}
        assert found["role"].severity == severity and role in found["role"].what
        assert found["rows"].severity == "ok"
    token = emulator.token("admin")
    emulator.revoke(token)
    assert named(diagnose(emulator.database(token=token))) == [("error", "connection")]
    with emulator.refusing():
        assert named(diagnose(emulator.database(max_retries=0))) == [("error", "connection")]


def test_layouts(tmp_path: Path) -> None:
    """No tables, a newer layout and a ledger alone are told apart."""
    with PerSQL(local=str(tmp_path / "agents.db")) as client:
        database = client.database("acme/agents")
        none = diagnose(database)
        assert named(none) == [("error", "layout")]
        assert len(mend(database, none)) == 1
        assert named(diagnose(database)) == []
        database.query("INSERT INTO strands_schema (version) VALUES (1000)")
        newer = diagnose(database)
        assert named(newer) == [("error", "layout")] and not newer[-1].mendable
        database.query("DELETE FROM strands_schema WHERE version > 0")
        for table in database.query("SELECT name FROM sqlite_master WHERE type = 'table'")["data"]:
            if table["name"] != "strands_schema":
                database.query(f"DROP TABLE {table['name']}")
        empty = [finding for finding in diagnose(database) if finding.mendable]
        assert {(finding.severity, finding.check) for finding in empty} == {("error", "layout")}
        assert "table of layouts is empty" in empty[0].what
        assert len(mend(database, empty[:1])) == 1
        assert named(diagnose(database)) == []
        database.query("DELETE FROM strands_schema WHERE version > 0")
        assert Place(None, ("--local", str(tmp_path / "agents.db")), {}).run("init").code == 0  # as the doctor says
        assert named(diagnose(database)) == []


@needs_modes
def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    """It is left as it is, and the finding says what to run; one that this package has made is fine."""
    path = tmp_path / "agents.db"
    with PerSQL(local=path) as client:
        database = client.database("acme/a")
        talk(database, "chat")
        assert named(list(diagnose(database))) == []
        path.chmod(0o644)
        [found] = [finding for finding in diagnose(database) if finding.check == "file-mode"]
        assert found.severity == "warning" and f"chmod 600 {path}" in found.remedy and "0644" in found.what
