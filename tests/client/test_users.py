"""A database for each user: provisioned as it is first used, over tokens that are renewed by themselves; or a file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from strands import Agent

from strands_persql import (
    AuthenticationError,
    PermissionDeniedError,
    PerSQL,
    PerSQLHooks,
    PerSQLSessionManager,
    PerSQLSessions,
)
from strands_persql.client import LocalDatabase, Users, _users
from strands_persql.client._local import MAX_OPEN
from strands_persql.errors import PerSQLError, TransportError

from ..agents.harness import words_of
from ..agents.scripted import ScriptedModel
from ..emulator import Emulator, faults
from ..systems import needs_fork
from .children import in_child


@pytest.fixture
def client(emulator: Emulator) -> PerSQL:
    """A client over an admin token."""
    return emulator.client()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[PerSQL]:
    """A client of a folder."""
    with PerSQL(local=f"{tmp_path}/users/") as client:
        yield client


def provisions(emulator: Emulator) -> int:
    """How often a token was asked for."""
    return sum(record.path == "/v1/users" for record in emulator.log)


def agent(manager: Any, *script: str) -> Agent:
    """An agent of a session."""
    return Agent(model=ScriptedModel(script), session_manager=manager, callback_handler=None)


def newest(client: PerSQL) -> Any:
    """The newest access to the one user's database."""
    assert client._grants is not None
    (access,) = client._grants._access.values()
    return access


# Provisioning


@pytest.mark.parametrize("shape", ["slug", "name", "object"])
def test_the_same_user_has_the_same_database(client: PerSQL, emulator: Emulator, shape: Any) -> None:
    """Each time, whichever way the service tells it; another user has another."""
    emulator.switches.user = shape
    first, again, other = (client.users.provision(name) for name in ("ada", "ada", "bob"))
    assert (first.database, first.created, again.created) == (f"{emulator.namespace}/user-1", True, False)
    assert again.database == first.database != other.database
    assert first.expires_in == 3600
    assert first.token is not None and first.token not in repr(first)
    (record, *_) = emulator.log
    assert (record.method, record.path, record.key) == ("POST", "/v1/users", None)


def test_a_token_is_for_one_database(client: PerSQL, emulator: Emulator) -> None:
    """It reads, or writes, there and nowhere else, and provisions nothing."""
    reader = client.users.provision("ada", role="read", expires_in=60)
    assert reader.expires_in == 60
    own = emulator.client(token=reader.token)
    client.database(reader.database).query("CREATE TABLE t (a)")
    assert own.database(reader.database).query("SELECT * FROM t")["data"] == []
    with pytest.raises(PermissionDeniedError):
        own.database(reader.database).query("INSERT INTO t VALUES (1)")
    with pytest.raises(PermissionDeniedError):
        own.database(emulator.name).query("SELECT 1")
    with pytest.raises(PermissionDeniedError, match="admin token"):
        own.users.provision("bob")
    emulator.advance(60)
    with pytest.raises(AuthenticationError):
        own.database(reader.database).query("SELECT 1")


@pytest.mark.parametrize("token", [{"role": "readwrite"}, {"role": "admin", "tables": "orders_*"}])
def test_it_takes_an_unscoped_admin_token(emulator: Emulator, token: Any) -> None:
    """The error says so, and a session that would need one says it as it opens."""
    client = emulator.client(token=emulator.token(**token))
    for ask in (lambda: client.users.provision("ada"), lambda: agent(PerSQLSessionManager.for_user("ada", client))):
        with pytest.raises(PermissionDeniedError, match="admin token that is not limited") as caught:
            ask()
        assert caught.value.status == 403


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"subject": ""}, ValueError),
        ({"subject": " "}, ValueError),
        ({"subject": "x" * 257}, ValueError),
        ({"subject": "\ud800"}, ValueError),
        ({"subject": 7}, TypeError),
        ({"role": "admin"}, ValueError),
        ({"expires_in": 59}, ValueError),
        ({"expires_in": 86_401}, ValueError),
        ({"expires_in": 3600.0}, TypeError),
        ({"expires_in": True}, TypeError),
    ],
)
def test_what_the_service_does_not_take(client: PerSQL, folder: PerSQL, options: Any, error: Any) -> None:
    """Is refused before anything is sent, locally too."""
    for users in (client.users, folder.users):
        for method in (users.provision, users.database):
            with pytest.raises(error):
                method(**{"subject": "ada", **options})


@pytest.mark.parametrize(
    "answer",
    [
        b'{"success":true,"data":{"database":"user-1","created":true,"namespaceSlug":"acme"}}',
        b'{"success":true,"data":{"token":"psql_secret","namespaceSlug":"acme"}}',
        b'{"success":true,"data":{"database":"a/b/c","token":"psql_secret"}}',
        b'{"success":true,"data":{"database":"user-1","token":"psql secret","namespaceSlug":"acme"}}',
        b'{"success":true,"data":["psql_secret"]}',
    ],
)
def test_an_answer_that_cannot_be_read(emulator: Emulator, answer: bytes) -> None:
    """Is an error that says so, and nothing of it is shown."""
    client = emulator.client(max_retries=0)
    emulator.faults.next(faults.garbled(answer))
    with pytest.raises(TransportError) as caught:
        client.users.provision("ada")
    assert "psql_secret" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({}, 3600.0),
        ({"expiresIn": 60}, 60.0),
        ({"expiresIn": 86_400}, 3600.0),
        ({"expiresIn": "soon", "expiresAt": "soon"}, 3600.0),
        ({"expiresIn": -1, "expiresAt": "2020-01-01T00:00:00Z"}, 3600.0),
        ({"expiresAt": "2020-01-01T00:00:00"}, 3600.0),
        ({"token": {"token": "psql_x", "expiresIn": 90}}, 90.0),
    ],
)
def test_how_long_a_token_lasts(said: Any, seconds: float) -> None:
    """As long as it was asked for, unless the service says less in a way that can be read."""
    assert _users._lasts(said, 3600) == seconds
    assert _users._lasts({"expiresAt": "2999-01-01T00:00:00.000Z"}, 3600) == 3600


# Sessions


async def test_a_session_of_a_user(client: PerSQL, emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """It is provisioned as it is opened, the tables come from the client's own token, and all sessions share one."""
    caplog.set_level(logging.DEBUG)
    manager = await PerSQLSessionManager.open("main", client.users.database("ada"))
    await agent(manager, "hello Ada").invoke_async("I am Ada.")
    again = PerSQLSessionManager.for_user("ada", client, user="ada", durability="invocation")
    assert provisions(emulator) == 1
    assert words_of(agent(again, "yes").messages) == ["I am Ada.", "hello Ada"]
    other = PerSQLSessionManager.for_user("bob", client, "second")
    await agent(other, "hello Bob").invoke_async("I am Bob.")
    for user, session in (("ada", "main"), ("bob", "second")):
        (found,) = PerSQLSessions(client.users.database(user)).list().sessions
        assert (found.session_id, found.messages) == (session, 2)
    mirror = PerSQLHooks("mirror", client.users.database("ada"))
    Agent(model=ScriptedModel(["fine"]), hooks=[mirror], callback_handler=None)("hi")
    assert len(PerSQLSessions(client.users.database("ada")).list().sessions) == 2
    assert provisions(emulator) == 2
    ddl = [record for record in emulator.log if any("CREATE TABLE" in sql for sql in record.sql)]
    assert len(ddl) == 2
    shown = f"{manager!r}{client!r}{client.users!r}{client.users.database('ada')!r}{caplog.text}"
    assert not [token for token in emulator.tokens if token in shown]


def test_building_sends_nothing(client: PerSQL, emulator: Emulator) -> None:
    """Neither a handle nor a manager; the handle is one as long as anybody has it."""
    first = client.users.database("ada")
    assert client.users.database("ada") is first
    assert client.users.database("ada", role="read") is not first
    PerSQLSessionManager.for_user("ada", client)
    assert emulator.requests == 0
    assert first.role() == "readwrite"
    assert client.users.database("ada").identity == client.users.database("ada", role="read").identity


# Tokens


def test_a_token_is_renewed_before_it_ends(client: PerSQL, emulator: Emulator) -> None:
    """By the first request near its end; should that fail, the old one serves as long as it lasts."""
    database = client.users.database("ada")
    database.query("SELECT 1")
    access = newest(client)
    old = access._grant
    assert 0 < old.ends - old.renewed <= _users.AHEAD_SECONDS
    access._grant = old._replace(renewed=0.0)
    emulator.faults.next(faults.failing(403))
    database.query("SELECT 1")
    assert (provisions(emulator), access._grant.renewed) == (2, 0.0)
    database.query("SELECT 1")
    assert provisions(emulator) == 3 and access._grant.renewed > 0
    access._grant = old._replace(renewed=0.0, ends=0.0)
    emulator.faults.next(faults.failing(403))
    with pytest.raises(PermissionDeniedError):
        database.query("SELECT 1")


def test_others_go_on_while_one_renews(client: PerSQL) -> None:
    """With the token that still lasts; whoever has none waits."""
    database = client.users.database("ada")
    database.query("SELECT 1")
    access = newest(client)
    access._grant = access._grant._replace(renewed=0.0)
    with access.lock:  # one renews
        assert database.query("SELECT 1 AS one")["data"] == [{"one": 1}]


def test_threads_ask_for_one_token(client: PerSQL, emulator: Emulator) -> None:
    """Those that come first at the same moment, and those whose token is refused at the same moment."""
    gate = threading.Barrier(8)
    database = client.users.database("ada")

    def ask() -> None:
        gate.wait()
        database.query("SELECT 1")

    for round_number in (1, 2):
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert provisions(emulator) == round_number
        emulator.advance(3601)


async def test_a_refused_token_is_asked_for_anew_once(client: PerSQL, emulator: Emulator) -> None:
    """After a 401 in the midst of a session, which loses nothing; a second one is the caller's to see."""
    live = agent(PerSQLSessionManager.for_user("ada", client), "one", "two")
    await live.invoke_async("first")
    emulator.advance(3601)
    await live.invoke_async("second")
    assert provisions(emulator) == 2
    assert len(client.users.database("ada").query("SELECT * FROM strands_messages")["data"]) == 4
    batch = client.users.database("ada").batch([{"sql": "SELECT 1 AS one"}, {"sql": "SELECT 2 AS two"}])
    assert [each["data"] for each in batch] == [[{"one": 1}], [{"two": 2}]]
    for token in emulator.tokens:
        emulator.revoke(token)
    with pytest.raises(AuthenticationError):
        client.users.database("ada").query("SELECT 1")


@needs_fork
def test_a_child_goes_on_with_the_token(client: PerSQL, emulator: Emulator) -> None:
    """Also where a thread of its parent was asking for one as it was forked."""
    database = client.users.database("ada")
    database.query("SELECT 1")
    access = newest(client)
    with access.lock:
        access._grant = access._grant._replace(ends=0.0, renewed=0.0)
        assert in_child(lambda: str(database.query("SELECT 7 AS n")["data"])) == "[{'n': 7}]"
    assert provisions(emulator) == 2


def test_tokens_that_are_kept_are_bounded(client: PerSQL, monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """Those that were used longest ago are asked for again."""
    monkeypatch.setattr(_users, "MAX_GRANTS", 2)
    for user in ("a", "b", "a", "c", "a", "b"):
        client.users.database(user).query("SELECT 1")
    assert provisions(emulator) == 4
    assert client._grants is not None and len(client._grants._access) == 2


def test_a_client_that_is_closed(client: PerSQL) -> None:
    """Its users' handles are, too."""
    database = client.users.database("ada")
    client.close()
    for ask in (lambda: database.query("SELECT 1"), lambda: client.users.provision("ada")):
        with pytest.raises(PerSQLError, match="closed"):
            ask()


# Locally


def test_each_user_has_a_file(folder: PerSQL, tmp_path: Path) -> None:
    """Named like the user where that is a plain name; no two users share one, and `provision` tells it."""
    subjects = ["ada", "Ada", "a.b", "a/b", "../x", "名前", "x" * 256, " ada", "_." + "0" * 64]
    for subject in subjects:
        agent(PerSQLSessionManager.for_user(subject, folder), subject)("who am I?")
    for subject in subjects:
        database = folder.users.database(subject)
        assert isinstance(database, LocalDatabase) and database.path is not None
        assert Path(database.path).parent == tmp_path / "users"
        assert words_of(agent(PerSQLSessionManager.for_user(subject, folder)).messages)[-1] == subject
        user = folder.users.provision(subject)
        assert (user.database, user.token, user.expires_in) == (database.name, None, None)
    assert len(folder.databases.list()) == len(subjects)
    assert (tmp_path / "users" / "users.ada.db").is_file()


def test_files_are_bounded(folder: PerSQL) -> None:
    """However many users there are, so many files are open; those used longest ago were closed, and open again."""
    databases = [folder.users.database(f"user-{number}") for number in range(MAX_OPEN + 6)]
    for database in databases:
        database.query("CREATE TABLE t (a)")
    stores = [database._store for database in databases if isinstance(database, LocalDatabase)]
    assert [store.is_open for store in stores] == [False] * 6 + [True] * MAX_OPEN
    databases[0].query("INSERT INTO t VALUES (1)")
    assert sum(store.is_open for store in stores) == MAX_OPEN == 64


def test_one_file_for_all_is_no_place_for_users(tmp_path: Path) -> None:
    """They would share it; in memory each has its own."""
    with PerSQL(local=tmp_path / "agents.db") as client, pytest.raises(ValueError, match="would share it"):
        PerSQLSessionManager.for_user("ada", client)
    with PerSQL(local=":memory:") as client:
        assert isinstance(client.users, Users)
        client.users.database("ada").query("CREATE TABLE t (a)")
        with pytest.raises(PerSQLError):
            client.users.database("bob").query("SELECT * FROM t")
