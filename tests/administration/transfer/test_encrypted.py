"""Encrypted exports: nothing in them is in clear, and they come in under their key alone, unchanged, or not at all."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from strands import Agent

from strands_persql import (
    Encryption,
    EncryptionError,
    PerSQL,
    PerSQLSessionManager,
    PerSQLSessions,
    PerSQLStorage,
    SessionDataError,
)
from strands_persql.administration.transfer import EncryptedExport
from strands_persql.encryption import generate_key
from strands_persql.testing import stored_rows

from ...agents.scripted import ScriptedModel

KEY = Encryption({"one": generate_key()})
SECRET = "CANARY-TEXT"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PerSQL]:
    """A database with the sessions `sealed`, encrypted, and `clear`, both with content wherever it can stand."""
    with PerSQL(local=str(tmp_path_factory.mktemp("encrypted") / "a.db")) as client:
        db = client.database("test/a")
        for session_id, encryption in (("sealed", KEY), ("clear", None)):
            manager = PerSQLSessionManager(
                session_id, db, encryption=encryption, title=SECRET, tags=[SECRET], metadata={SECRET: SECRET}
            )
            model = ScriptedModel([SECRET, "é\u2028", SECRET * 70_000])
            agent = Agent(model=model, session_manager=manager, callback_handler=None)
            agent.state.set(SECRET, SECRET)
            for prompt in (SECRET, "b", "c"):
                agent(prompt)
            agent.messages[1]["content"] = [{"text": f"{SECRET} in short"}]
            manager.sync_agent(agent)
            with suppress(ImportError):
                storage = PerSQLStorage(db, session_id=session_id, encryption=encryption)
                asyncio.run(storage.write(SECRET.lower(), SECRET.encode()))
            manager.close()
        yield client


@pytest.fixture(scope="module")
def lines(client: PerSQL) -> list[str]:
    """The encrypted export of the encrypted session."""
    stream = io.StringIO()
    PerSQLSessions(client.database("test/a"), encryption=KEY).export("sealed", EncryptedExport(stream, KEY))
    return stream.getvalue().splitlines(keepends=True)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Any]:
    """Another database, which is empty."""
    with PerSQL(local=str(tmp_path / "b.db")) as client:
        yield client.database("test/b")


def opened(database: Any, encryption: Encryption | None = KEY) -> PerSQLSessions:
    """The administrative face."""
    return PerSQLSessions(database, encryption=encryption)


def clear_lines(sessions: PerSQLSessions, session_id: str) -> list[str]:
    """A session's export in clear, less its name."""
    stream = io.StringIO()
    sessions.export(session_id, stream)
    return stream.getvalue().replace(json.dumps(session_id), '"s"').splitlines()


def test_nothing_is_in_clear(lines: list[str]) -> None:
    """But the session's id, how many messages it has, and the id of the key; no two exports are alike."""
    assert SECRET not in "".join(lines)
    assert SECRET.lower() not in "".join(lines)
    head = json.loads(lines[0])
    assert (head["format"], head["version"], head["session_id"], head["messages"]) == (
        "strands-persql-sealed",
        1,
        "sealed",
        6,
    )
    assert head["data_key"].keys() == {"persql_key", "id", "wrapped"}
    assert all(json.loads(line).keys() == {"persql_sealed", "text"} for line in lines[1:])


@pytest.mark.parametrize("session_id", ["sealed", "clear"])
@pytest.mark.parametrize("encryption", [KEY, None], ids=["to encrypted", "to clear"])
def test_out_and_in(client: PerSQL, other: Any, tmp_path: Path, session_id: str, encryption: Encryption | None) -> None:
    """From an encrypted session or one in clear, into one or the other: all of it is what it was."""
    database = client.database("test/a")
    file = tmp_path / "out.jsonl"
    done = opened(database).export(session_id, EncryptedExport(file, KEY))
    opened(database).export(session_id, EncryptedExport(file, KEY))  # replaces it
    assert SECRET.encode() not in file.read_bytes()
    source: Any = file if encryption is not None else EncryptedExport(file, KEY)
    for written in (6, 0):
        (came,) = opened(other, encryption).import_from(source)
        assert (came.checksum, came.written) == (done.checksum, written)
    own = KEY if session_id == "sealed" else None
    assert clear_lines(opened(other, encryption), session_id) == clear_lines(opened(database, own), session_id)
    stored = json.dumps(other.query("SELECT * FROM strands_messages")["data"])
    assert (SECRET in stored) is (encryption is None)


def test_rotated_keys_open_it(lines: list[str], other: Any) -> None:
    """A keyring with the key among others opens it; what comes in is encrypted under the newest."""
    keyring = Encryption({"one": KEY_TEXT, "two": generate_key()})
    stream = io.StringIO()
    with PerSQL(local=":memory:") as client:
        db = client.database("test/c")
        Agent(
            model=ScriptedModel(["x"]),
            session_manager=PerSQLSessionManager("s", db, encryption=OLD),
            callback_handler=None,
        )("y")
        opened(db, OLD).export("s", EncryptedExport(stream, OLD))
    opened(other, keyring).import_from(stream.getvalue().splitlines())
    (row,) = other.query("SELECT data_key FROM strands_sessions")["data"]
    assert '"id":"two"' in row["data_key"]


KEY_TEXT = generate_key()
OLD = Encryption({"one": KEY_TEXT})


def _swapped(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def _changed(lines: list[str]) -> list[str]:
    at = len(lines[-1]) // 2
    return [*lines[:-1], f"{lines[-1][:at]}{'A' if lines[-1][at] != 'A' else 'B'}{lines[-1][at + 1 :]}"]


CHANGES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "a changed byte": (_changed, r"Line \d+ of .* can't be opened: it was moved, swapped or changed"),
    "swapped lines": (_swapped, r"Line 3 of .* can't be opened"),
    "a line that is missing": (lambda lines: [*lines[:4], *lines[5:]], r"Line 5 of .* can't be opened"),
    "the last line": (lambda lines: lines[:-1], "it was cut short"),
    "a line in clear": (lambda lines: [*lines[:3], '{"message":0}\n', *lines[3:]], "in clear among encrypted lines"),
    "no first line": (lambda lines: lines[1:], "no first line of an encrypted session"),
    "another version": (lambda lines: [lines[0].replace('"version":1', '"version":2'), *lines[1:]], "version 2"),
    "another id": (
        lambda lines: [lines[0].replace("sealed", "other", 2).replace("-other", "-sealed"), *lines[1:]],
        "Session 'other' in .* holds the data key of something else",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("from_file", [True, False], ids=["file", "stream"])
def test_what_was_changed(lines: list[str], other: Any, tmp_path: Path, change: str, from_file: bool) -> None:
    """It is refused, the line is named, nothing of its content is shown, and nothing at all was stored."""
    changing, words = CHANGES[change]
    source: Any = changing(lines)
    if from_file:
        (tmp_path / "out.jsonl").write_text("".join(source), "utf-8", newline="\n")
        source = tmp_path / "out.jsonl"
    opened(other).list()  # makes the tables
    with pytest.raises(SessionDataError, match=words) as told:
        opened(other).import_from(iter(source) if isinstance(source, list) else source)
    assert SECRET not in str(told.value)
    assert not any(stored_rows(other, encryption=KEY)[table] for table in ("sessions", "messages", "agents"))


@pytest.mark.parametrize(
    ("encryption", "words"),
    [
        (None, "Session 'sealed' in the stream is encrypted, and no key was given"),
        (Encryption({"two": generate_key()}), "Session 'sealed' in the stream .* not among the keys given"),
        (Encryption({"one": generate_key()}), "another key"),
    ],
    ids=["none", "another id", "another key"],
)
def test_without_its_key(lines: list[str], other: Any, encryption: Encryption | None, words: str) -> None:
    """It is told, and nothing was stored."""
    sessions = opened(other, encryption)
    sessions.list()
    with pytest.raises(EncryptionError, match=words):
        sessions.import_from(lines)
    assert not other.query("SELECT * FROM strands_sessions")["data"]


def test_a_line_of_another_export_of_the_same_session(client: PerSQL, lines: list[str], other: Any) -> None:
    """Each export has a data key of its own: lines of two don't go together."""
    stream = io.StringIO()
    opened(client.database("test/a")).export("sealed", EncryptedExport(stream, KEY))
    again = stream.getvalue().splitlines(keepends=True)
    with pytest.raises(EncryptionError, match="Line 3"):
        opened(other).import_from([*lines[:2], again[2], *lines[3:]])


def test_an_import_goes_on(lines: list[str], other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off after some requests, it compares, goes on, and writes the rest alone."""
    from strands_persql.administration.transfer import _batch

    monkeypatch.setattr(_batch, "MAX_STATEMENTS", 2)
    batch, left = other.batch, 3

    def failing(*args: Any, **options: Any) -> Any:
        nonlocal left
        if args and any("INSERT" in each["sql"] for each in args[0]) and not options.get("ddl"):
            left -= 1
            if not left:
                raise OSError("the line is cut")
        return batch(*args, **options)

    opened(other).list()
    monkeypatch.setattr(other, "batch", failing)
    with pytest.raises(OSError):
        opened(other).import_from(lines)
    monkeypatch.setattr(other, "batch", batch)
    assert other.query("SELECT count(*) AS n FROM strands_agents")["data"][0]["n"] == 0
    (came,) = opened(other).import_from(lines)
    assert came.messages == 6
    assert len(stored_rows(other, encryption=KEY)["messages"]) == 6


def test_what_can_not_be_encrypted(client: PerSQL, tmp_path: Path) -> None:
    """A folder, and forms that are for other programs."""
    sessions = opened(client.database("test/a"))
    with pytest.raises(ValueError, match=r"is a \.jsonl file"):
        sessions.export("sealed", EncryptedExport(tmp_path / "folder", KEY))
    with pytest.raises(ValueError, match="in clear"):
        sessions.export("sealed", EncryptedExport(tmp_path / "a.jsonl", KEY), form="markdown")
    assert not list(tmp_path.iterdir())
