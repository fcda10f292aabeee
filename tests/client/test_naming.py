"""What a message and a log line may name, and how: ids, keys and paths on one line and cut; content never."""

from __future__ import annotations

import datetime
import logging
import re
from pathlib import Path
from typing import Any

import pytest

import strands_persql
from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessions, SessionDataError
from strands_persql.database.encoding import encode, why
from strands_persql.errors import LONGEST_NAME, brief, named

from ..agents.agents import agent_of
from ..agents.scripted import ScriptedModel

PACKAGE = Path(strands_persql.__file__).parent
FORGED = "u1\n2026-11-28 CRITICAL auth forged\r\x1b[2J\u2028\u202e\ud800 line"


@pytest.mark.parametrize("text", [FORGED, "a\tb", "\x00", "\x85"])
def test_a_name_is_one_line(text: str) -> None:
    """Nothing in it moves a cursor, ends a line or turns the direction of writing."""
    for shown in (brief(text), named(text), brief(text, 5)):
        assert shown.isprintable() and len(shown.splitlines()) == 1


def test_a_name_is_cut_in_its_middle() -> None:
    """What is not long stands as it is, in any script; of a path the end is needed most."""
    assert brief("Übung 日本 it's") == "Übung 日本 it's"
    assert named("agents.db") == "'agents.db'" and named(5) == "5" and named(None) == "None"
    path = f"/home/{'x' * 10_000_000}/agents.db"
    assert brief(path).startswith("/home/xxx") and brief(path).endswith("xxx/agents.db")
    assert len(brief(path)) == LONGEST_NAME and len(named(path)) == LONGEST_NAME + 2
    assert [len(brief("x" * 50, most)) for most in (1, 2, 10, 49, 50)] == [1, 2, 10, 49, 50]


def test_no_module_names_things_otherwise() -> None:
    """Each logger escapes what it is given, and each message uses `named`."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "getLogger(" not in text or path.name == "_failures.py", path
        if "cli" not in path.parts:
            shown = re.findall(r"^.*\{[^{}]+!r\}.*$", text, re.MULTILINE)
            assert all(re.match(r'\s+return f"(?:<|base_url|local=|\{type\(self\))', line) for line in shown), path


def test_a_log_line_stays_one(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the ids of a session and an agent hold."""
    caplog.set_level(logging.DEBUG, logger="strands_persql")
    session_id = FORGED.replace("\ud800", "")
    with PerSQL(local=":memory:") as client:
        database = client.database("a/b")
        for _ in range(2):
            agent = agent_of(ScriptedModel(["ok"]), agent_id="a\nb")(PerSQLSessionManager(session_id, database))
            agent("hi")
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("strands_persql")]
    assert any("restoring agent" in message for message in messages)
    assert all(message.isprintable() for message in messages)


@pytest.mark.parametrize(
    "value",
    [
        {"content": [{"toolUse": {"input": {"TOPSECRET": datetime.datetime(2025, 1, 1)}}}]},
        {"content": [{"json": {"a": {"TOPSECRET": {1, 2}}}}]},
        {"TOPSECRET": {("TOPSECRET",): 1}},
        {"json": type("TOPSECRET", (), {})()},
        {"json": type("X", (), {"__repr__": lambda self: "TOPSECRET"})()},
        {"json": {type("TOPSECRET", (), {})(): 1}},
    ],
)
def test_content_that_can_not_be_stored_is_told_by_its_place(value: Any) -> None:
    """Its keys may be content as its values are, and so may the name of a class that was made of them."""
    with pytest.raises(SessionDataError, match=r"can't be stored: JSON has no .* \(at .*(?:key 0|json)") as caught:
        encode(value, what="message 0")
    assert "TOPSECRET" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_what_strands_says_of_a_document_holds_no_value() -> None:
    """Of its errors, the missing field alone is told."""
    assert why(KeyError("state")) == "it has no state"
    assert why(KeyError("TOPSECRET")) == "KeyError"
    assert why(ValueError("Invalid isoformat string: 'TOPSECRET'")) == "ValueError"


def test_an_error_names_no_more_of_an_id_than_is_read() -> None:
    """10 MB of an id are no 10 MB of a message."""
    with PerSQL(local=":memory:") as client:
        sessions = PerSQLSessions(client.database("a/b"))
        with pytest.raises(Exception, match="does not exist") as caught:
            sessions.get("x" * 10_000_000)
        assert len(str(caught.value)) < 500
