"""Encrypted sessions, for the people who run agents: all that works in clear works with the key."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from strands import Agent
from strands.types.exceptions import SessionException

from strands_persql import (
    Encryption,
    EncryptionError,
    PerSQL,
    PerSQLSessionManager,
    PerSQLSessions,
    PerSQLStorage,
    SessionConflictError,
)
from strands_persql.administration import encrypting
from strands_persql.administration.doctor import diagnose
from strands_persql.database.tables import ResealingTables
from strands_persql.encryption import generate_key
from strands_persql.testing import stored_rows

from ...agents.agents import TOOLS
from ...agents.scripted import ScriptedModel, text, tools, use
from ...emulator.faults import cut_after_commit

OLD, NEW = generate_key(), generate_key()
KEY = Encryption(OLD)
SECRET = "CANARY-TEXT"


class Sealed:
    """A database file with a session that is encrypted, and one in clear.

    Attributes:
        path: The file.
        database: A handle.
        sessions: With the key.
    """

    def __init__(self, path: Path, client: PerSQL) -> None:
        self.path = path
        self.database = client.database("test/sealed")
        self.sessions = PerSQLSessions(self.database, encryption=KEY)

    def run(self, session_id: str, *prompts: str, encryption: Encryption | None = KEY, **options: Any) -> Agent:
        """Have an agent answer prompts, with a tool for each."""
        manager = PerSQLSessionManager(session_id, self.database, encryption=encryption, **options)
        script = [each for prompt in prompts for each in (tools(use("add", {"a": 1, "b": 2})), text(f"re {prompt}"))]
        agent = Agent(
            model=ScriptedModel(script), agent_id="a", tools=TOOLS, session_manager=manager, callback_handler=None
        )
        for prompt in prompts:
            agent(prompt)
        manager.close()
        return agent

    def words(self, session_id: str, encryption: Encryption | None = KEY) -> list[str]:
        """What a session restores to."""
        return [
            block["text"]
            for message in self.run(session_id, encryption=encryption).messages
            for block in message["content"]
            if "text" in block
        ]

    def dump(self) -> str:
        """The whole file as SQL."""
        connection = sqlite3.connect(self.path)
        try:
            return "\n".join(connection.iterdump())
        finally:
            connection.close()

    def set(self, sql: str, *params: Any) -> None:
        """Change rows by hand."""
        self.database.query(sql, params)


def exported(sessions: PerSQLSessions, session_id: str) -> list[str]:
    """A session's lines of JSON."""
    target = io.StringIO()
    sessions.export(session_id, target)
    return target.getvalue().splitlines()


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Sealed]:
    """A database with the encrypted session `one`."""
    with PerSQL(local=str(tmp_path / "sealed.db")) as client:
        made = Sealed(tmp_path / "sealed.db", client)
        made.run("one", SECRET, "two", title=f"{SECRET} title", tags=["t"], user="ada")
        yield made


def test_reading(sealed: Sealed) -> None:
    """Lists, details, transcripts, records and sums are what they are in clear."""
    sealed.run("clear", SECRET, "two", encryption=None)
    clear = PerSQLSessions(sealed.database)
    listed, in_clear = (each.list().sessions for each in (sealed.sessions, clear))
    assert [(each.title, each.preview) for each in listed] == [
        (f"{SECRET}", "re two"),
        (f"{SECRET} title", "re two"),
    ]
    assert (in_clear[1].title, in_clear[1].preview, in_clear[1].messages) == ("", "", listed[1].messages)
    assert sealed.sessions.list(user="ada", tag="t", order="recent").sessions[0].session_id == "one"
    assert sealed.sessions.get("one").title == f"{SECRET} title"
    assert sealed.sessions.usage("one") == clear.usage("clear")
    for read in (
        lambda sessions, one: [m.message for page in sessions.transcript(one, page_size=3) for m in page],
        lambda sessions, one: [m.message for page in sessions.transcript(one, live=True) for m in page],
        lambda sessions, one: sessions.messages(one).to_json()["messages"],
        lambda sessions, one: sessions.messages(one, before="4", limit=2).to_json()["messages"],
    ):
        assert _plain(read(sealed.sessions, "one")) == _plain(read(clear, "clear"))


def _plain(value: Any) -> str:
    """A value without what differs from session to session."""
    text = re.sub(r'(, )?"\w*([tT]ime|latency)\w*": (\d+|null)', "", json.dumps(value, default=str))
    return re.sub(r'"[^"]*(T\d\d:\d\d|[0-9a-f]{8}-[0-9a-f]{4}|use-\d)[^"]*"', '""', text)


def test_changing(sealed: Sealed) -> None:
    """Titles, names, forks, cuts and erasures: what is stored stays sealed, and restores."""
    sessions = sealed.sessions
    assert sessions.update("one", title=f"{SECRET} 2", metadata={"a": SECRET}).title == f"{SECRET} 2"
    assert sessions.rename("one", "two").title == f"{SECRET} 2"
    before = sealed.words("two")
    assert sessions.fork("two", "copy").title == f"{SECRET} 2"
    assert sealed.words("copy") == before
    sessions.fork("two", "cut", at=3)
    assert sealed.words("cut") == before[:2]
    rows = sealed.database.query("SELECT session_id, data_key FROM strands_sessions")["data"]
    assert len({KEY.unwrapped(row["data_key"], f"session:{row['session_id']}", "it") for row in rows}) == 3
    sessions.rewind("copy", "a", to=3)
    assert sealed.words("copy") == before[:2]
    sessions.erase("two", "a", 0)
    assert SECRET not in sealed.words("two")
    assert SECRET in " ".join(sealed.words("cut"))
    assert SECRET not in sealed.dump()
    with pytest.raises(SessionException, match="exists already"):
        sessions.fork("two", "cut")
    assert not [each for each in diagnose(sealed.database, encryption=KEY) if each.severity in ("error", "warning")]


def test_without_the_key(sealed: Sealed) -> None:
    """Nothing that would read or change it is done without the key, and the remedy is told."""
    clear, before = PerSQLSessions(sealed.database), sealed.dump()
    for call in (
        lambda: clear.get("one"),
        lambda: clear.usage("one"),
        lambda: next(clear.transcript("one")),
        lambda: clear.messages("one"),
        lambda: clear.update("one", title="x"),
        lambda: clear.rename("one", "two"),
        lambda: clear.fork("one", "two"),
        lambda: clear.fork("one", "two", at=1),
        lambda: clear.rewind("one", "a", to=1),
        lambda: clear.erase("one", "a", 0),
        lambda: exported(clear, "one"),
        lambda: clear.encrypt("one"),
        lambda: clear.rotate(),
    ):
        with pytest.raises(EncryptionError) as told:
            call()
        assert "key" in str(told.value)
        assert SECRET not in str(told.value)
    assert sealed.dump() == before
    (finding,) = [each for each in diagnose(sealed.database) if each.severity in ("error", "warning")]
    assert finding.check == "encrypted"
    assert clear.delete("one").rows


def test_searches_are_refused(sealed: Sealed) -> None:
    """With a key no search is sent, and no index made."""
    with pytest.raises(EncryptionError, match="Nothing was sent"):
        sealed.sessions.search("word")
    with pytest.raises(EncryptionError, match="Nothing was sent"):
        sealed.sessions.enable_search()


def test_out_and_in(sealed: Sealed, tmp_path: Path) -> None:
    """An export is in clear, and comes in again encrypted, under the key of another database, or in clear."""
    lines = exported(sealed.sessions, "one")
    assert any(SECRET in line for line in lines)
    with PerSQL(local=str(tmp_path / "other.db")) as client:
        other = Encryption(generate_key())
        sessions = PerSQLSessions(client.database("test/other"), encryption=other)
        sessions.import_from(lines)
        sessions.import_from(lines)  # and nothing is doubled
        sessions.import_from(cast("Any", PerSQLSessions(sealed.database, encryption=KEY)), new_id="again")
        assert len(stored_rows(client.database("test/other"), encryption=other)["messages"]) == 16
        rows = client.database("test/other").query("SELECT * FROM strands_messages")["data"]
        dumped = json.dumps([dict(row) for row in rows])
        assert SECRET not in dumped
    PerSQLSessions(sealed.database).import_from(lines, new_id="clear")
    assert SECRET in sealed.dump()


def test_moving_over_and_back(sealed: Sealed) -> None:
    """A session in clear is encrypted and decrypted again, and stays what it is; a live agent gets a conflict."""
    long = SECRET * 100_000
    sealed.run("clear", SECRET, long, encryption=None, title=SECRET)
    before = sealed.words("clear", None)
    live = sealed.run("clear", encryption=None)
    sealed.sessions.encrypt("clear")
    sealed.sessions.encrypt("clear")
    assert SECRET not in sealed.dump()
    with pytest.raises((SessionConflictError, EncryptionError)):
        live("again")
    assert sealed.words("clear") == before
    assert sealed.sessions.get("clear").title == SECRET
    sealed.sessions.decrypt("clear")
    assert sealed.words("clear", None) == before


@pytest.mark.parametrize("seals", [True, False])
def test_moving_is_gone_on_with(sealed: Sealed, monkeypatch: pytest.MonkeyPatch, seals: bool) -> None:
    """Cut off anywhere, it is nobody's to open, nothing is lost, and it comes to its end when it runs again."""
    session_id, encryption = ("clear", None) if seals else ("one", KEY)
    if seals:
        sealed.run("clear", SECRET, "b", encryption=None)
    before = sealed.words(session_id, encryption)
    move = sealed.sessions.encrypt if seals else sealed.sessions.decrypt
    monkeypatch.setattr(encrypting, "_ROWS", 1)
    puts = ResealingTables.put
    for allowed in range(4):
        left = allowed

        def put(self: Any, *args: Any) -> Any:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            return puts(self, *args)

        monkeypatch.setattr(ResealingTables, "put", put)
        with pytest.raises(KeyboardInterrupt):
            move(session_id)
        for key in (KEY, None):
            with pytest.raises(EncryptionError):
                sealed.run(session_id, "never", encryption=key)
    monkeypatch.setattr(ResealingTables, "put", puts)
    move(session_id)
    assert sealed.words(session_id, KEY if seals else None) == before


def test_keys_are_rotated_in_the_midst_of_a_renaming(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the place of the data key is wrapped anew, too: it comes to its end without the old key."""
    before = sealed.words("one")

    def cut(self: Any, *args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ResealingTables, "put", cut)
        with pytest.raises(KeyboardInterrupt):
            sealed.sessions.rename("one", "two")
    new = Encryption({"new": NEW})
    assert PerSQLSessions(sealed.database, encryption=Encryption({"old": OLD, "new": NEW})).rotate() == 1
    assert PerSQLSessions(sealed.database, encryption=Encryption({"old": OLD, "new": NEW})).rotate() == 0
    PerSQLSessions(sealed.database, encryption=new).encrypt("two")
    assert sealed.words("two", new) == before


@pytest.mark.parametrize("renames", [True, False], ids=["rename", "fork"])
def test_another_id_is_gone_on_with(sealed: Sealed, monkeypatch: pytest.MonkeyPatch, renames: bool) -> None:
    """A copy or a renaming that was cut off is nobody's to open, and `encrypt` brings it to its end, with objects."""
    with suppress(ImportError):
        storage = PerSQLStorage(sealed.database, session_id="one", encryption=KEY)
        for key in ("key", "context/one/scopes/agent/a/x"):  # as Strands repeats the id
            asyncio.run(storage.write(key, SECRET.encode()))
    before = sealed.words("one")
    bring = sealed.sessions.rename if renames else sealed.sessions.fork

    def cut(self: Any, *args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ResealingTables, "end", cut)
        with pytest.raises(KeyboardInterrupt):
            bring("one", "two")
    with pytest.raises(EncryptionError, match=r"encrypt\(session_id\)"):
        sealed.run("two", "never")
    PerSQLSessions(sealed.database, encryption=KEY).encrypt("two")
    assert sealed.words("two") == before
    assert SECRET not in sealed.dump()
    with suppress(ImportError):
        storage = PerSQLStorage(sealed.database, session_id="two", encryption=KEY)
        for key in ("key", "context/two/scopes/agent/a/x"):
            assert asyncio.run(storage.read(key)) == SECRET.encode()


def test_deletion_takes_the_key_first(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that was cut off after its first page has left nothing that can be read; run again, it ends."""
    from strands_persql.administration import deleting

    monkeypatch.setattr(deleting, "_MESSAGES", 1)

    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sealed.sessions.delete("one", progress=stop)
    (row,) = sealed.database.query("SELECT data_key FROM strands_sessions")["data"]
    assert "wrapped" not in row["data_key"]
    with pytest.raises(EncryptionError, match="is being deleted"):
        sealed.sessions.get("one")
    sealed.sessions.delete("one")
    assert not sealed.sessions.list().sessions


def test_a_backup_is_encrypted(sealed: Sealed, tmp_path: Path) -> None:
    """A copy of the file opens with the key alone."""
    sealed.sessions.backup(tmp_path / "copy.db")
    assert SECRET.encode() not in (tmp_path / "copy.db").read_bytes()
    with PerSQL(local=str(tmp_path / "copy.db")) as client:
        copy = PerSQLSessions(client.database("test/sealed"), encryption=KEY)
        assert copy.get("one").title == f"{SECRET} title"


def test_a_preview_after_a_rewind(sealed: Sealed) -> None:
    """It is of the last message that was not taken back, opened with the key."""
    sealed.run("s", "one", "two")
    sealed.sessions.rewind("s", "a", to=3)
    (found,) = sealed.sessions.list(prefix="s").sessions
    assert (found.preview, found.messages, found.taken_back) == ("re one", 8, 4)
    (found,) = PerSQLSessions(sealed.database).list(prefix="s").sessions
    assert (found.preview, found.taken_back) == ("", 4)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 16))
def test_an_answer_that_was_lost(emulator: Any, number: int) -> None:
    """A session is moved to its end, whichever request was carried out although no key replays its answer."""
    database = emulator.database()
    sessions = PerSQLSessions(database, encryption=KEY)
    Agent(
        model=ScriptedModel([text("fine")]),
        session_manager=PerSQLSessionManager("s", database),
        callback_handler=None,
    )(SECRET)
    for move, reader in ((sessions.encrypt, sessions), (sessions.decrypt, PerSQLSessions(database))):
        emulator.reset()
        emulator.faults.at(number, cut_after_commit(cached=False))
        move("s")
        emulator.reset()
        assert [each.text for each in reader.messages("s").messages] == [SECRET, "fine"]


def test_somebody_else_moves_it_first(sealed: Sealed) -> None:
    """Between the look at it and the beginning: that is told as a conflict."""
    rival = PerSQLSessions(sealed.database, encryption=KEY)

    class Overtaken:
        def query(self, sql: str, params: Any = ()) -> Any:
            return sealed.database.query(sql, params)

        def batch(self, statements: Any, *, transaction: bool = False) -> Any:
            if any("SET data_key" in each["sql"] for each in statements):
                rival.decrypt("one")
            return sealed.database.batch(statements, transaction=transaction)

    with pytest.raises(SessionConflictError, match="moved it to another key"):
        PerSQLSessions(cast("Any", Overtaken()), encryption=KEY).decrypt("one")
    assert PerSQLSessions(sealed.database).get("one").agents
