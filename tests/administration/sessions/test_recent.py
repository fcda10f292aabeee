"""The newest sessions of all users: an index that is opt-in, and what is listed without it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from strands import Agent
from strands.multiagent import GraphBuilder

from strands_persql import PermissionDeniedError, PerSQLSessionManager, PerSQLSessions
from strands_persql.database.tables import _listing

from ...agents.scripted import ScriptedModel, text
from ...emulator import Emulator
from .conftest import Place
from .test_about import opened, put_back

OLD = "2025-01-01T00:00:00+00:00"


def newest(place: Place, **options: Any) -> list[str]:
    """The ids of all sessions, the newest first, page by page."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = place.sessions.list(order="recent", after=after, **options)
        assert page.in_order
        found += [each.session_id for each in page.sessions]
        if (after := page.after) is None:
            return found


def activity(place: Place) -> dict[str, str | None]:
    """When each session was noted as active."""
    return {row["session_id"]: row["active"] for row in place.run("SELECT session_id, active FROM strands_sessions")}


def test_the_index_holds_all_sessions(place: Place) -> None:
    """Those that were there, those that come, with a user and without; switched off, as though it had never been."""
    for number, user in enumerate(("ada", None, "bob", None)):
        opened(place, f"s{number}", text("fine"), user=user)("hello")
    assert not place.sessions.has_recent()
    seen: list[int] = []
    assert place.sessions.enable_recent(progress=seen.append) == 4 and seen == [4]
    assert place.sessions.has_recent()
    opened(place, "s4", text("fine"))("hello")
    assert newest(place, limit=2) == ["s4", "s3", "s2", "s1", "s0"]
    assert newest(place, limit=1, prefix="s3") == ["s3"]
    put_back(place, "s1", OLD)
    opened(place, "s1", text("fine"))("again")
    assert newest(place, limit=2)[0] == "s1"
    place.sessions.update("s0", user=None)
    assert all(activity(place).values())
    assert place.sessions.enable_recent() == 5  # harmless
    place.sessions.disable_recent()
    assert not place.sessions.has_recent()
    opened(place, "s5", text("fine"))("hello")
    told = activity(place)
    assert [name for name, active in told.items() if active] == ["s2"]
    assert newest(place, limit=2)[:2] == ["s5", "s1"]


def test_whoever_writes_is_noted(local: Place) -> None:
    """A Graph's session, a copy, and one under another id are in it too; noted once in five minutes."""
    opened(local, "s", *[text("fine")] * 3)("hello")
    local.sessions.enable_recent()
    put_back(local, "s", OLD)
    agent = opened(local, "s", *[text("fine")] * 2)
    agent("one")
    noted = activity(local)["s"]
    assert noted is not None and noted > OLD
    agent("two")
    assert activity(local)["s"] == noted
    builder = GraphBuilder()
    builder.add_node(Agent(model=ScriptedModel([text("fine")] * 2), callback_handler=None, agent_id="a"), "a")
    builder.set_graph_id("graph")
    builder.set_execution_timeout(60)
    builder.set_session_manager(PerSQLSessionManager("g", local.store.database()))
    graph = builder.build()
    graph("plan a trip")
    put_back(local, "g", OLD)
    graph("plan another")
    local.sessions.fork("s", "copy")
    local.sessions.rename("copy", "renamed")
    told = activity(local)
    assert told.keys() == {"s", "g", "renamed"} and all(active and active > OLD for active in told.values())


def test_its_price(remote: Place, emulator: Emulator) -> None:
    """As the docs say: nothing of a plain turn; a row or two of a beginning and of five minutes of activity."""
    remote.sessions.list()
    remote.sessions.enable_recent()

    def turn(agent: Agent) -> tuple[int, int]:
        emulator.reset()
        agent("hello")
        return emulator.requests, emulator.billing.rows_written

    old = (datetime.now(timezone.utc) - timedelta(minutes=6)).isoformat()
    nobodys = opened(remote, "n", *[text("fine")] * 3)
    adas = opened(remote, "s", *[text("fine")] * 3, user="ada")
    assert (turn(nobodys), turn(adas)) == ((2, 6), (2, 6))
    assert turn(nobodys) == turn(adas) == (2, 2)
    put_back(remote, "n", old)
    # The emulator counts of what a trigger changes the rows of tables alone, and none of indexes.
    assert turn(nobodys) == (2, 2 + 1)
    put_back(remote, "s", old)
    assert turn(opened(remote, "s", text("fine"), user="ada")) == (2, 2 + 1)


def test_without_the_index(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many sessions at a time are put in order, all are reached, and the page says so."""
    monkeypatch.setattr(_listing, "AMONG", 3)
    for name in ("d", "a", "c", "b", "f", "e", "g"):
        opened(place, name, text("fine"))("hello")
    pages: list[list[str]] = []
    after: str | None = None
    while True:
        page = place.sessions.list(order="recent", limit=2, after=after)
        assert not page.in_order
        pages.append([each.session_id for each in page.sessions])
        if (after := page.after) is None:
            break
    assert pages == [["b", "c"], ["a"], ["e", "f"], ["d"], ["g"]]
    assert newest(place, prefix="g") == ["g"]
    place.sessions.enable_recent()
    assert newest(place, limit=3) == ["g", "e", "f", "b", "c", "a", "d"]


def test_it_takes_an_admin_token(emulator: Emulator) -> None:
    """With a lesser one it says so, and nothing is changed."""
    admin = PerSQLSessions(emulator.database())
    admin.list()
    writer = PerSQLSessions(emulator.database(role="readwrite"))
    with pytest.raises(PermissionDeniedError, match="admin token"):
        writer.enable_recent()
    assert not admin.has_recent()
    admin.enable_recent()
    with pytest.raises(PermissionDeniedError, match="admin token"):
        writer.disable_recent()
    assert admin.has_recent()
