"""Each command with a key: by a file and from the environment; without one, and with another."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from strands import Agent

from strands_persql import Encryption, PerSQLSessionManager, PerSQLStorage
from strands_persql.encryption import generate_key

from ..agents.scripted import ScriptedModel
from ..stores.storage.features import needs_storage
from .places import Done, Place

SECRET = "CANARY-TEXT"
KEY = generate_key()


@pytest.fixture
def keyed(place: Place) -> Place:
    """A database with the encrypted session `one`, and the key in the environment."""
    place.environment["PERSQL_ENCRYPTION_KEY"] = KEY
    manager = PerSQLSessionManager("one", place.database, encryption=Encryption(KEY), title=SECRET, user="ada")
    agent = Agent(model=ScriptedModel([SECRET, "two"]), session_manager=manager, callback_handler=None)
    agent(SECRET)
    agent("more")
    manager.close()
    return place


@pytest.mark.slow
def test_all_commands(keyed: Place, tmp_path: Path) -> None:
    """What is done with a session in clear is done with an encrypted one, and leaves it encrypted."""
    out = str(tmp_path / "out.jsonl")
    for arguments, told in (
        (("sessions",), SECRET),
        (("show", "one"), SECRET),
        (("usage", "one"), ""),
        (("update", "one", "--title", f"{SECRET} 2", "--retention", "30d"), ""),
        (("fork", "one", "copy"), ""),
        (("fork", "one", "cut", "--at", "1"), ""),
        (("rename", "cut", "short"), ""),
        (("rewind", "copy", "--to", "1"), ""),
        (("erase", "short", "--message", "0", "--yes"), ""),
        (("export", "one", out), ""),
        (("export", "one", str(tmp_path / "folder")), ""),
        (("export", "one", str(tmp_path / "one.md"), "--format", "markdown"), ""),
        (("import", out, "--as", "again"), ""),
        (("rotate",), "0 data keys"),
        (("doctor",), ""),
        (("delete", "again", "--yes"), ""),
        (("prune", "--expired", "--dry-run"), ""),
        (("backup", str(tmp_path / "copy.db")), ""),
        (("init",), ""),
    ):
        done = keyed.run(*arguments)
        assert done.code == 0, (arguments, done)
        assert told in done.out
    assert SECRET.encode() not in (tmp_path / "copy.db").read_bytes()
    assert "Nothing was sent" in keyed.run("search", "more").err
    rows = keyed.database.query("SELECT data FROM strands_messages UNION ALL SELECT title FROM strands_sessions")
    assert SECRET not in json.dumps(rows["data"])


def test_without_the_key(keyed: Place, tmp_path: Path) -> None:
    """None, another, one that is none, and a file that is none: one line each, and nothing is changed."""
    del keyed.environment["PERSQL_ENCRYPTION_KEY"]
    files = {"other": generate_key(), "short": "c2hvcnQ=", "keyring": '{"a": 1}'}
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    def told(*options: str) -> Done:
        return keyed.run("show", "one", *options)

    for done, words in (
        (told(), "--key-file"),
        (told("--key-file", str(tmp_path / "other")), "not among the keys given"),
        (told("--key-file", str(tmp_path / "short")), "must be 32 bytes"),
        (told("--key-file", str(tmp_path / "keyring")), "must be bytes, a string"),
        (told("--key-file", str(tmp_path / "missing")), "missing"),
        (keyed.run("export", "one", "-", "--encrypted"), "takes a key"),
        (keyed.run("encrypt", "one"), "encrypt takes a key"),
        (keyed.run("decrypt", "one"), "decrypt takes a key"),
        (keyed.run("rotate"), "rotate takes a key"),
    ):
        assert done.code in (1, 2)
        assert words in done.err
        assert len(done.err.splitlines()) == 1
        assert SECRET not in done.err + done.out


def test_the_doctor_names_the_options(keyed: Place) -> None:
    """What it can't look into is told in the words of the command line."""
    del keyed.environment["PERSQL_ENCRYPTION_KEY"]
    done = keyed.run("doctor")
    assert done.code == 1 and "--key-file, or PERSQL_ENCRYPTION_KEY" in done.out
    assert "encryption=" not in done.out


def test_without_the_package(keyed: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told which one is missing, as any other remedy is."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    done = keyed.run("show", "one")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("strands-persql: Encryption needs the package cryptography: pip install")


@pytest.mark.slow
def test_an_encrypted_export(keyed: Place, tmp_path: Path) -> None:
    """Out under the key, and in again: encrypted, in clear, and not at all without the key."""
    out = tmp_path / "out.jsonl"
    assert keyed.run("export", "one", str(out), "--encrypted").code == 0
    piped = keyed.run("export", "one", "-", "--encrypted")
    assert SECRET not in out.read_text("utf-8") + piped.out
    assert keyed.run("import", str(out), "--as", "two").code == 0
    assert keyed.run("import", str(out), "--as", "clear", "--clear").code == 0
    assert SECRET in keyed.run("show", "two").out
    key = keyed.environment.pop("PERSQL_ENCRYPTION_KEY")
    assert SECRET in keyed.run("show", "clear").out
    assert "Session 'one' in" in keyed.run("import", str(out), "--as", "three").err
    keyed.environment["PERSQL_ENCRYPTION_KEY"] = key
    assert keyed.run("encrypt", "clear").code == 0
    assert SECRET in keyed.run("show", "clear").out
    assert "there is no terminal to ask" in keyed.run("decrypt", "clear").err
    assert keyed.run("decrypt", "clear", "--yes").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such file there")
def test_a_key_that_can_be_read_once(keyed: Place, tmp_path: Path) -> None:
    """As of `--key-file <(…)`: no command asks for it a second time."""
    del keyed.environment["PERSQL_ENCRYPTION_KEY"]
    out = str(tmp_path / "out.jsonl")
    for arguments in (
        ("decrypt", "one", "--yes"),
        ("encrypt", "one"),
        ("rotate",),
        ("export", "one", out, "--encrypted"),
        ("import", out, "--as", "two"),
    ):
        read, write = os.pipe()
        os.write(write, KEY.encode())
        os.close(write)
        done = keyed.run(*arguments, "--key-file", f"/dev/fd/{read}")
        os.close(read)
        assert done.code == 0, (arguments, done)


def test_a_session_that_is_not_there_is_told_before_the_question(keyed: Place) -> None:
    """Nobody says yes to what can't be done."""
    done = keyed.run("decrypt", "none")
    assert (done.code, "does not exist" in done.err) == (1, True)


@needs_storage
def test_stores(place: Place) -> None:
    """Objects and memories are moved over, and back; what is named wrong is told."""
    place.environment["PERSQL_ENCRYPTION_KEY"] = KEY
    write: Callable[[], None] = lambda: asyncio.run(PerSQLStorage(place.database).write("a", SECRET.encode()))  # noqa: E731
    write()
    assert place.run("init").code == 0
    assert place.run("encrypt", "--store", "objects").out == "1 object encrypted\n"
    assert SECRET not in json.dumps(place.database.query("SELECT * FROM strands_objects")["data"])
    assert json.loads(place.run("encrypt", "--store", "memories", "--json").out) == {
        "store": "memories",
        "encrypted": 0,
    }
    assert place.run("rotate").code == 0
    assert place.run("decrypt", "--store", "objects").code == 2
    assert place.run("decrypt", "--store", "objects", "--yes").out == "1 object decrypted\n"
    assert asyncio.run(PerSQLStorage(place.database).read("a")) == SECRET.encode()
    assert "name a session, or --store" in place.run("encrypt").err
    assert "name a session, or --store" in place.run("encrypt", "one", "--store", "objects").err
    assert "none of objects, memories" in place.run("encrypt", "--store", "all").err
