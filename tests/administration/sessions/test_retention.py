"""Sessions that are kept for a time: what is told of them, when they go, and that none goes that is in use."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.multiagent import GraphBuilder
from strands.session import FileSessionManager, RepositorySessionManager

from strands_persql import (
    PerSQL,
    PerSQLHooks,
    PerSQLSessionManager,
    PerSQLSessionRepository,
    PerSQLSessions,
    Retention,
    SessionConflictError,
    SessionDataError,
)
from strands_persql.administration.doctor import examine
from strands_persql.administration.viewer import session_html
from strands_persql.errors import PerSQLError

from ...agents.agents import agent_of
from ...agents.harness import words_of
from ...agents.remote.places import Remote
from ...agents.scripted import Pause, Reply, ScriptedModel, text
from .conftest import Place

DAY = timedelta(days=1)
MONTH = timedelta(days=30)
FIXED = Retention(MONTH, sliding=False)


def kept(place: Place, session_id: str, *script: Reply, retention: Any = MONTH, **options: Any) -> Agent:
    """An agent of a session that is kept for a time."""
    manager = PerSQLSessionManager(session_id, place.store.database(), retention=retention, **options)
    return Agent(model=ScriptedModel(list(script)), session_manager=manager, callback_handler=None)


def ago(age: timedelta) -> str:
    """A time, as rows have it."""
    return (datetime.now(timezone.utc) - age).isoformat()


def grow_old(place: Place, session_id: str, age: timedelta) -> None:
    """Let all rows of a session be written so long ago; and its fixed retention, too, if it has one."""
    then = ago(age)
    for name in ("sessions", "agents", "messages"):
        place.run(
            f"UPDATE strands_{name} SET data = json_set(data, '$.created_at', ?, '$.updated_at', ?) "
            "WHERE session_id = ?",
            then,
            then,
            session_id,
        )
    place.run("UPDATE strands_multi_agents SET updated_at = ? WHERE session_id = ?", then, session_id)
    place.run(
        "UPDATE strands_sessions SET expires = ? WHERE session_id = ? AND expires IS NOT NULL",
        ago(age - MONTH),
        session_id,
    )


def pruned(place: Place, **options: Any) -> tuple[str, ...]:
    """What goes that has expired."""
    counted = place.sessions.prune(expired=True, dry_run=True, **options)
    done = place.sessions.prune(expired=True, **options)
    assert (counted.session_ids, counted.rows) == (done.session_ids, done.rows)
    return done.session_ids


def noted(place: Place, session_id: str) -> str:
    """When a session was noted as active."""
    (row,) = place.run("SELECT data FROM strands_sessions WHERE session_id = ?", session_id)
    return str(json.loads(row["data"])["updated_at"])


# What is told


def test_every_door_takes_a_retention(place: Place) -> None:
    """Manager, mirror, repository: the session is begun with it, and whoever opens it later leaves it."""
    kept(place, "manager", text("fine"))("hi")
    mirror = PerSQLHooks("mirror", place.store.database(), retention=FIXED)
    Agent(model=ScriptedModel([text("fine")]), hooks=[mirror], callback_handler=None)("hi")
    repository = PerSQLSessionRepository(place.store.database(), retention=DAY)
    strands = RepositorySessionManager("repository", repository)
    Agent(model=ScriptedModel([text("fine")]), session_manager=strands, callback_handler=None)("hi")
    kept(place, "manager", text("fine"), retention=DAY)("again")
    place.agent("plain", text("fine"))("hi")

    told = {each.session_id: each for each in place.sessions.list().sessions}
    found = {name: each.expiry and (each.expiry.seconds, each.expiry.sliding) for name, each in told.items()}
    assert found == {
        "manager": (30 * 86_400, True),
        "mirror": (30 * 86_400, False),
        "repository": (86_400, True),
        "plain": None,
    }
    for name, each in told.items():
        assert place.sessions.get(name).expiry == each.expiry
        if each.expiry is not None and each.expiry.sliding:
            ends = datetime.fromisoformat(each.last_active) + timedelta(seconds=each.expiry.seconds)
            assert each.expiry.at == ends.isoformat()
    assert "expires" in session_html(place.sessions, "manager")
    assert "expires" not in session_html(place.sessions, "plain")


async def test_a_session_that_is_read_ahead(local: Place) -> None:
    """So does a manager whose session is read off the loop."""
    manager = await PerSQLSessionManager.open("s", local.store.database(), retention=MONTH)
    await Agent(model=ScriptedModel([text("fine")]), session_manager=manager, callback_handler=None).invoke_async("hi")
    assert local.sessions.get("s").expiry is not None


@pytest.mark.parametrize("wrong", [timedelta(0), -DAY, timedelta.max, 30, "30d", True])
def test_what_is_no_retention_is_refused_at_once(local: Place, wrong: Any) -> None:
    """By every door, before anything is sent."""
    database = local.store.database()
    for door in (
        lambda: PerSQLSessionManager("s", database, retention=wrong),
        lambda: PerSQLSessionManager.from_token("s", "psql_live_x", "acme/agents", retention=wrong),
        lambda: PerSQLHooks("s", database, retention=wrong),
        lambda: PerSQLSessionRepository(database, retention=wrong),
        lambda: local.sessions.update("s", retention=wrong),
    ):
        with pytest.raises((TypeError, ValueError), match="retention"):
            door()
    assert not local.database.requests


def test_it_is_changed_and_taken_away(place: Place) -> None:
    """One request, one row; a fixed one counts from then; the session counts as no more active."""
    kept(place, "s", text("fine"))("hi")
    grow_old(place, "s", DAY)
    before = place.sessions.get("s").last_active
    place.database.clear()
    found = place.sessions.update("s", retention=Retention(DAY, sliding=False))
    assert len(place.database.requests) == 1
    assert found.expiry is not None and not found.expiry.sliding
    left = datetime.fromisoformat(found.expiry.at) - datetime.now(timezone.utc)
    assert timedelta(hours=23) < left <= DAY
    assert place.sessions.update("s", title="Tea").expiry == found.expiry
    assert place.sessions.update("s", retention=DAY).last_active == before
    assert place.sessions.update("s", retention=None).expiry is None
    (row,) = place.run("SELECT retention, expires FROM strands_sessions")
    assert (row["retention"], row["expires"]) == (None, None)


# When sessions go


def test_what_has_expired_is_pruned(place: Place) -> None:
    """Each by its own retention, from its newest row on; sessions without one stay, however old."""
    for name, age in (("a-old", 31), ("a-new", 29), ("b-old", 31), ("a-kept", 4000)):
        kept(place, name, text("fine"), retention=None if name == "a-kept" else MONTH)("hi")
        grow_old(place, name, timedelta(days=age))
    kept(place, "a-user", text("fine"), user="ada")("hi")
    grow_old(place, "a-user", timedelta(days=31))
    assert pruned(place, prefix="a-") == ("a-old", "a-user")
    assert [each.session_id for each in place.sessions.list().sessions] == ["a-kept", "a-new", "b-old"]
    assert pruned(place) == ("b-old",)
    assert pruned(place) == ()


def test_any_row_keeps_a_session(place: Place) -> None:
    """A message, an agent's state, a Graph's: whichever is the newest."""
    kept(place, "s", text("fine"))("hi")
    place.run("INSERT INTO strands_multi_agents VALUES ('s', 'graph', 5, ?, '{}')", ago(MONTH))
    for touch in (
        "UPDATE strands_messages SET data = json_set(data, '$.updated_at', ?) WHERE message_id = 1",
        "UPDATE strands_agents SET data = json_set(data, '$.updated_at', ?)",
        "UPDATE strands_multi_agents SET updated_at = ?",
        "UPDATE strands_sessions SET data = json_set(data, '$.updated_at', ?)",
    ):
        grow_old(place, "s", 2 * MONTH)
        place.run(touch, ago(MONTH - timedelta(minutes=1)))
        assert pruned(place) == ()
        grow_old(place, "s", MONTH)
        assert place.sessions.prune(expired=True, dry_run=True).session_ids == ("s",)


def test_a_fixed_one_goes_at_its_time(place: Place) -> None:
    """However active it was before; unless it is in use at that time. A copy goes with the original."""
    kept(place, "s", text("fine"), retention=FIXED)("hi")
    place.sessions.fork("s", "copy")
    grow_old(place, "s", timedelta(days=31))
    end = ago(DAY)
    place.run("UPDATE strands_sessions SET expires = ?", end)
    place.run(
        "UPDATE strands_messages SET data = json_set(data, '$.updated_at', ?) WHERE session_id = 's'",
        ago(timedelta(minutes=14)),
    )
    expiry = place.sessions.get("s").expiry
    assert expiry is not None and expiry.at > end
    assert pruned(place) == ()
    for name in ("s", "copy"):
        grow_old(place, name, timedelta(minutes=16))
        place.run("UPDATE strands_sessions SET expires = ? WHERE session_id = ?", end, name)
    assert pruned(place) == ("copy", "s")


def test_a_pruning_that_was_killed_goes_on(local: Place) -> None:
    """What a killed run has left of a session has still expired."""
    kept(local, "s", text("fine"))("hi")
    local.run(
        "INSERT INTO strands_messages WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 2499) "
        "SELECT 's', 'default', n.i, (SELECT data FROM strands_messages WHERE message_id = 1), NULL FROM n"
    )
    grow_old(local, "s", timedelta(days=31))
    local.database.clear()
    local.database.fail_next(3)
    with pytest.raises(PerSQLError):
        local.sessions.prune(expired=True)
    (row,) = local.run("SELECT count(*) AS left FROM strands_messages")
    assert row["left"] == 1500
    assert local.sessions.prune(expired=True).session_ids == ("s",)
    assert not any(local.store.rows().values())


def test_another_retention_between_two_pages_keeps_a_session(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Of a long session that has expired, what is left by then stays."""
    kept(place, "s", text("fine"))("hi")
    place.run(
        "INSERT INTO strands_messages WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 2499) "
        "SELECT 's', 'default', n.i, (SELECT data FROM strands_messages WHERE message_id = 1), NULL FROM n"
    )
    grow_old(place, "s", timedelta(days=31))
    pages = 0

    def keep(request: Any) -> None:
        nonlocal pages
        pages += bool(request.writes)
        if pages == 2:
            place.database.on_call = None
            PerSQLSessions(place.store.database()).update("s", retention=None)

    place.database.on_call = keep
    assert place.sessions.prune(expired=True).session_ids == ()
    assert "session_id=<s>, rows=<1000>" in caplog.text
    (row,) = place.run("SELECT count(*) AS left FROM strands_messages")
    assert row["left"] == 1500 and place.sessions.get("s").expiry is None


def test_which_sessions_are_to_go_must_be_said(local: Place) -> None:
    """Neither all, nor by two rules at once."""
    wrong: list[dict[str, Any]] = [{}, {"expired": False}, {"expired": True, "older_than": DAY}]
    for options in wrong:
        with pytest.raises(ValueError, match="say which"):
            local.sessions.prune(**options)
    with pytest.raises(ValueError, match="longer ago"):
        local.sessions.prune(older_than=timedelta.max)


# Sessions in use


def test_a_turn_while_it_is_pruned_keeps_a_session(place: Place) -> None:
    """One between the look at it and its deletion: the transaction looks again."""
    for name in ("a", "b"):
        kept(place, name, text("fine"))("hi")
        grow_old(place, name, timedelta(days=31))
    live = kept(place, "a", text("awake"))
    grow_old(place, "a", timedelta(days=31))  # opening it has noted it

    def wake(request: Any) -> None:
        if request.writes:
            place.database.on_call = None
            live("hello?")

    place.database.on_call = wake
    assert place.sessions.prune(expired=True).session_ids == ("b",)
    assert words_of(place.agent("a").messages)[-1] == "awake"


@pytest.mark.parametrize("retention", [None, 2 * MONTH, FIXED])
def test_another_retention_while_it_is_pruned_keeps_a_session(place: Place, retention: Any) -> None:
    """What was decided in the last moment holds."""
    kept(place, "s", text("fine"))("hi")
    grow_old(place, "s", timedelta(days=31))
    other = PerSQLSessions(place.store.database())

    def change(request: Any) -> None:
        if request.writes:
            place.database.on_call = None
            other.update("s", retention=retention)

    place.database.on_call = change
    assert place.sessions.prune(expired=True).rows == 0
    assert place.sessions.get("s").agents[0].messages == 2


def test_opening_a_session_keeps_it(place: Place) -> None:
    """One that has expired, and that nobody has pruned yet, is there for the turn to come, and for its next ones."""
    kept(place, "s", text("fine"))("hi")
    grow_old(place, "s", timedelta(days=31))
    live = kept(place, "s", text("hello again"))
    assert pruned(place) == ()
    live("and now?")
    assert words_of(live.messages) == ["hi", "fine", "and now?", "hello again"]


async def test_a_turn_keeps_a_session_from_its_beginning(place: Place) -> None:
    """Also where nothing is written before its end; and an agent that is only kept in memory doesn't."""
    pause = Pause()
    kept(place, "s", text("fine"))("hi")
    manager = PerSQLSessionManager("s", place.store.database(), retention=MONTH, durability="invocation")
    live = Agent(model=ScriptedModel([text("done", before=pause)]), session_manager=manager, callback_handler=None)
    grow_old(place, "s", timedelta(days=31))
    manager._recording.writer.known.written -= 31 * 86_400
    turn = asyncio.ensure_future(live.invoke_async("and now?"))
    await pause.reached.wait()
    assert (await asyncio.to_thread(place.sessions.prune, expired=True)).rows == 0
    pause.go_on.set()
    await turn
    assert words_of(place.agent("s").messages)[-1] == "done"

    idle = kept(place, "s", text("too late"))
    grow_old(place, "s", timedelta(days=31))
    assert (await asyncio.to_thread(place.sessions.prune, expired=True)).session_ids == ("s",)
    with pytest.raises(SessionConflictError, match="was deleted"):
        await idle.invoke_async("still there?")


def has_been_noted(place: Place, since: str) -> bool:
    """Whether the session was noted anew."""
    return noted(place, "s") > since


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes of itself; at most a minute."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["agent", "mirror", "graph"])
async def test_a_long_turn_is_noted_again_and_again(local: Place, kind: str) -> None:
    """As long as it lasts, three times in its retention; and no longer."""
    pause = Pause()
    short: Any = timedelta(seconds=1)
    model = ScriptedModel([text("fine", before=pause)])
    database = local.store.database()
    if kind == "graph":
        builder = GraphBuilder()
        builder.add_node(Agent(model=model, callback_handler=None, agent_id="a"), "a")
        builder.set_graph_id("graph")
        builder.set_execution_timeout(60)
        manager = PerSQLSessionManager("s", database, retention=short)
        builder.set_session_manager(manager)
        agent: Any = await asyncio.to_thread(builder.build)
    else:
        manager = (
            PerSQLSessionManager("s", database, retention=short)
            if kind == "agent"
            else PerSQLHooks("s", database, retention=short)  # type: ignore[assignment]
        )
        more: dict[str, Any] = {"session_manager": manager} if kind == "agent" else {"hooks": [manager]}
        agent = Agent(model=model, callback_handler=None, **more)
    if kind == "graph":  # its row comes with the first node
        await asyncio.to_thread(lambda: kept(local, "s", text("hi"), retention=short, durability="message")("hello"))
    turn = asyncio.ensure_future(agent.invoke_async("a long one"))
    await pause.reached.wait()
    for _ in range(3):
        before = noted(local, "s")
        await asyncio.to_thread(wait_until, partial(has_been_noted, local, before))
    assert local.sessions.prune(expired=True).rows == 0
    pause.go_on.set()
    await turn
    presence = manager._recording.presence
    assert not presence.is_in_turn


def test_a_fixed_one_is_noted_at_its_end_alone(local: Place) -> None:
    """Long before its end there is nothing to note, and a turn costs no more than any."""

    def opened() -> tuple[Agent, float]:
        manager = PerSQLSessionManager("s", local.store.database(), retention=FIXED)
        agent = Agent(model=ScriptedModel([text("fine")]), session_manager=manager, callback_handler=None)
        return agent, manager._recording.presence.due - time.monotonic()

    agent, due = opened()
    assert due > 29 * 86_400
    agent("hi")
    grow_old(local, "s", timedelta(days=29, hours=23))
    before = noted(local, "s")
    assert 0 < opened()[1] <= 3600 and noted(local, "s") == before
    grow_old(local, "s", timedelta(days=29, hours=23, minutes=55))
    assert 0 < opened()[1] <= 300 and noted(local, "s") > ago(timedelta(minutes=1))


def test_what_cannot_be_noted_fails_nothing(remote: Place) -> None:
    """With a token that only reads, a session opens as ever."""
    kept(remote, "s", text("fine"))("hi")
    grow_old(remote, "s", timedelta(days=31))
    assert isinstance(remote.store, Remote)
    reader = remote.store.emulator.database(role="readonly")
    manager = PerSQLSessionManager("s", reader)
    assert words_of(agent_of(ScriptedModel())(manager).messages) == ["hi", "fine"]


def test_what_it_costs(remote: Place) -> None:
    """Nothing in a plain turn; a request and a row where nothing was written for a third of the time."""
    assert isinstance(remote.store, Remote)
    emulator = remote.store.emulator
    kept(remote, "warm", text("fine"))("hi")
    live = kept(remote, "s", text("fine"), text("fine"), text("fine"))
    emulator.reset()
    live("hi")
    assert (emulator.billing.requests, emulator.billing.rows_written) == (2, 4)
    emulator.reset()
    live("again")
    assert (emulator.billing.requests, emulator.billing.rows_written) == (2, 2)
    emulator.reset()
    kept(remote, "s", text("fine"))("once more")
    assert (emulator.billing.requests, emulator.billing.rows_written) == (3, 2)
    grow_old(remote, "s", timedelta(days=11))
    emulator.reset()
    kept(remote, "s", text("fine"))("later")
    assert (emulator.billing.requests, emulator.billing.rows_written) == (4, 3)


# Where it goes along


def test_it_goes_wherever_the_session_goes(place: Place, tmp_path: Path) -> None:
    """Forks, renames, exports into files and folders, backups."""
    kept(place, "s", text("fine"), retention=FIXED)("hi")
    kept(place, "t", text("fine"))("hi")
    ends = place.sessions.get("s").expiry
    assert ends is not None
    place.sessions.rename("s", "moved")
    place.sessions.fork("moved", "copied")
    place.sessions.fork("moved", "cut", agent_id="default", at=0)
    lines = io.StringIO()
    place.sessions.export("moved", lines)
    place.sessions.export("moved", tmp_path / "folder")
    place.sessions.import_from(lines.getvalue().splitlines(True), new_id="lines")
    place.sessions.import_from(tmp_path / "folder", new_id="folder")
    tables: Any = place.sessions
    place.sessions.import_from(tables, session_id="moved", new_id="tables")
    told = {each.session_id: each.expiry for each in place.sessions.list().sessions}
    assert {name: each for name, each in told.items() if name != "t"} == dict.fromkeys(
        ("moved", "copied", "cut", "lines", "folder", "tables"), ends
    )
    FileSessionManager("moved", storage_dir=str(tmp_path / "folder")).read_session("moved")

    place.sessions.backup(tmp_path / "copy.db")
    with PerSQL(local=tmp_path / "copy.db") as client:
        found = PerSQLSessions(client.database("any/name")).list().sessions
        assert {each.session_id: each.expiry for each in found} == told


def test_an_export_with_another_retention_is_refused(local: Place) -> None:
    """A file that was changed by hand: it is told, and nothing stored."""
    kept(local, "s", text("fine"))("hi")
    lines = io.StringIO()
    local.sessions.export("s", lines)
    wrong = lines.getvalue().replace('"retention":2592000', '"retention":"a month"')
    assert wrong != lines.getvalue()
    with pytest.raises(SessionDataError, match="retention"):
        local.sessions.import_from(wrong.splitlines(True), new_id="t")


@pytest.mark.parametrize(
    "change",
    ["retention = 'soon'", "retention = -1", "expires = '2026'", "expires = 'someday'", "retention = NULL"],
)
def test_the_doctor_sees_what_cannot_be_read(local: Place, change: str) -> None:
    """It never expires then, and the remedy gives it a new one."""
    kept(local, "s", text("fine"), retention=FIXED)("hi")
    grow_old(local, "s", timedelta(days=31))
    assert not [each for each in examine(local.database) if each.severity == "error"]
    local.run(f"UPDATE strands_sessions SET {change}")
    assert local.sessions.get("s").expiry is None
    assert [each.check for each in examine(local.database) if each.severity == "error"] == ["unreadable-labels"]
    assert pruned(local) == ()
    local.sessions.update("s", retention=None)
    assert not [each for each in examine(local.database) if each.severity == "error"]
