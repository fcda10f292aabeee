"""What tokens of each role can do, and layouts this version doesn't know."""

from __future__ import annotations

from typing import Any

import pytest

from strands_persql import PermissionDeniedError, PerSQLError, PerSQLSessionManager, SessionDataError

from ...emulator import Emulator
from ..agents import agent_of
from ..harness import (
    SESSION,
    Scenario,
    assert_same,
    restored,
    words_of,
)
from ..scripted import (
    ScriptedModel,
    redact_user,
    tools,
    use,
)
from .places import Remote


def verbs(remote: Remote) -> set[str]:
    """The first words of all statements that were sent."""
    return {sql.split(None, 1)[0] for record in remote.emulator.log for sql in record.sql}


async def test_readwrite(remote: Remote) -> None:
    """Once an admin's process has made the tables, a readwrite token does all that a session needs, without DDL."""
    model = ScriptedModel(["one"])
    build = agent_of(model)
    await Scenario(remote, build).turn("a")
    remote.emulator.reset()
    manager = remote.manager(remote.database("readwrite"))
    agent = build(manager)
    model.play(tools(use("remember", {"key": "k", "value": "v"})), "two")
    await agent.invoke_async("b")
    model.play(redact_user("redacted"))
    await agent.invoke_async("SECRET")
    large: Any = {"document": {"format": "pdf", "name": "long", "source": {"bytes": bytes(3_000_000)}}}
    model.play("three")
    await agent.invoke_async([{"text": "read"}, large])
    agent.messages[0]["content"].append({"text": "edited"})
    manager.sync_agent(agent)
    assert verbs(remote) == {"SELECT", "INSERT", "UPDATE"}
    assert_same(agent, restored(remote, build))
    manager.delete_session(SESSION)
    assert verbs(remote) == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert not any(remote.rows().values())


@pytest.mark.parametrize("role", ["readwrite", "readonly"])
@pytest.mark.parametrize("create_tables", [True, False])
async def test_no_tables(remote: Remote, role: str, create_tables: bool) -> None:
    """Without tables the error says who can make them; told not to, the package doesn't try."""
    database = remote.database(role)
    manager = PerSQLSessionManager(SESSION, database, create_tables=create_tables)
    with pytest.raises(PerSQLError, match="strands-persql init") as caught:
        agent_of(ScriptedModel())(manager)
    assert "admin token" in str(caught.value)
    assert isinstance(caught.value, PermissionDeniedError) or not create_tables
    assert ("CREATE" in verbs(remote)) is create_tables
    with pytest.raises(PerSQLError, match="strands-persql init"):
        await PerSQLSessionManager.open(SESSION, database, create_tables=create_tables)


async def test_no_ddl(remote: Remote) -> None:
    """With `create_tables=False` even an admin's token sends none, with tables or without."""
    model = ScriptedModel(["one", "two"])
    build = agent_of(model)
    with pytest.raises(PerSQLError, match="strands-persql init"):
        build(PerSQLSessionManager(SESSION, remote.database(), create_tables=False))
    assert verbs(remote) == {"SELECT"}
    await Scenario(remote, build).turn("a")
    remote.emulator.reset()
    agent = build(PerSQLSessionManager(SESSION, remote.database(), create_tables=False))
    await agent.invoke_async("b")
    assert verbs(remote) == {"SELECT", "INSERT"}
    assert_same(agent, restored(remote, build))


async def test_readonly(remote: Remote) -> None:
    """A readonly token can restore; what it can't store stays in the agent, and is pending."""
    model = ScriptedModel(["one"])
    build = agent_of(model)
    run = Scenario(remote, build)
    await run.turn("a")
    before = remote.rows()
    manager = remote.manager(remote.database("readonly"))
    agent = build(manager)
    assert_same(run.agent, agent)
    with pytest.raises(PermissionDeniedError, match="readwrite"):
        await agent.invoke_async("b")
    assert words_of(agent.messages) == ["a", "one", "b"]
    assert manager.pending > 0
    assert manager.list_messages(SESSION, "default")
    assert remote.rows() == before


@pytest.mark.parametrize("way", ["constructor", "open"])
async def test_a_newer_layout_is_refused(remote: Remote, way: str) -> None:
    """Tables of a later version of this package are left alone, and the error says what to do."""
    build = agent_of(ScriptedModel(["one"]))
    await Scenario(remote, build).turn("a")
    with remote.emulator.sqlite() as connection:
        connection.execute("INSERT INTO strands_schema (version) VALUES (?)", (99,))
    before = remote.dump()
    remote.emulator.reset()
    with pytest.raises(SessionDataError, match=r"layout 99.*Upgrade strands-persql"):
        if way == "open":
            await PerSQLSessionManager.open(SESSION, remote.database())
        else:
            build(remote.manager())
    assert verbs(remote) == {"SELECT"}
    assert remote.dump() == before


async def test_a_revoked_token(remote: Remote) -> None:
    """In the midst of a session: a clear error, and nothing that names the token or the words."""
    token = remote.emulator.token()
    database: Any = remote.emulator.client(token=token).database(remote.emulator.name)
    model = ScriptedModel(["one", "two", "three"])
    agent = agent_of(model)(remote.manager(database))
    await agent.invoke_async("a")
    remote.emulator.revoke(token)
    with pytest.raises(PerSQLError) as caught:
        await agent.invoke_async("PRIVATE")
    assert caught.value.status == 401 and caught.value.request_id
    assert token not in str(caught.value) and "PRIVATE" not in str(caught.value)
    assert words_of(remote.messages()) == ["a", "one"]


async def test_database_created_on_first_use(emulator: Emulator) -> None:
    """A missing database is an error that names the remedy, unless it is to be created: then the first use does it."""
    emulator.switches.auto_create = False
    name = emulator.name.replace("/agents", "/user-42")
    token = emulator.token("admin")
    build = agent_of(ScriptedModel(["one"]))
    with (
        PerSQLSessionManager.from_token(SESSION, token, name, base_url=emulator.url) as manager,
        pytest.raises(PerSQLError, match=r"databases\.create"),
    ):
        build(manager)
    for messages in (0, 2):  # the second finds it
        with PerSQLSessionManager.from_token(
            SESSION, token, name, base_url=emulator.url, create_database=True
        ) as manager:
            agent = build(manager)
            assert len(agent.messages) == messages
            if not messages:
                await agent.invoke_async("a")
    assert [record.path for record in emulator.log].count("/v1/databases") == 1


def test_a_database_is_created_by_whatever_comes_first(emulator: Emulator) -> None:
    """A session that is read before there is an agent, too."""
    emulator.switches.auto_create = False
    name = emulator.name.replace("/agents", "/user-42")
    with PerSQLSessionManager.from_token(
        SESSION, emulator.token("admin"), name, base_url=emulator.url, create_database=True
    ) as manager:
        assert manager.read_session(SESSION) is None
        agent_of(ScriptedModel(["one"]))(manager)("a")
        assert len(manager.list_messages(SESSION, "default")) == 2
    assert [record.path for record in emulator.log].count("/v1/databases") == 1


async def test_database_created_by_two_at_once(emulator: Emulator) -> None:
    """The one that comes second takes the database that the first one has just created."""
    emulator.switches.auto_create = False
    name = emulator.name.replace("/agents", "/user-42")
    with PerSQLSessionManager.from_token(
        SESSION, emulator.token("admin"), name, base_url=emulator.url, create_database=True
    ) as manager:
        provision = manager._connector.provision
        assert provision is not None

        def both() -> None:
            emulator.client().databases.create("user-42", "user-42")
            provision()

        manager._connector.provision = both
        agent_of(ScriptedModel(["one"]))(manager)("a")
        assert len(manager.list_messages(SESSION, "default")) == 2
