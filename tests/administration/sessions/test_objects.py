"""A session's objects: offloaded results and snapshots, which go wherever the session goes."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands import Agent, tool
from strands.types.exceptions import SessionException

from strands_persql import PerSQLSessionManager, PerSQLSessions, PerSQLStorage, SessionConflictError, SessionDataError
from strands_persql.administration.blanking import ids_of
from strands_persql.database.tables import SessionObjects

from ...agents.scripted import ScriptedModel, text, tools, use
from .conftest import Place

pytest.importorskip("strands.storage")

ODD = ["a/b", "..", "ünï %2F", "x" * 200, "{session}", "a\\b"]


def storage(place: Place, session_id: str | None = None) -> PerSQLStorage:
    """A storage over the place's database."""
    return PerSQLStorage(place.store.database(), session_id=session_id)


def put(where: PerSQLStorage, *keys: str) -> None:
    """Write an object under each key, which holds the key."""
    for key in keys:
        asyncio.run(where.write(key, key.encode() + b" \xff"))


def read(where: PerSQLStorage, key: str) -> bytes | None:
    """The object under a key."""
    return asyncio.run(where.read(key))


def keys(place: Place) -> list[str]:
    """All keys of the database."""
    return asyncio.run(storage(place).list(""))


def begin(place: Place, session_id: str, agent_id: str = "default") -> None:
    """A session of one turn."""
    place.agent(session_id, text("ok"), agent_id=agent_id)("hi")


def session(place: Place, session_id: str = "s", agent_id: str = "default") -> None:
    """A session of one turn, with an object of its own, two of Strands' and one of another session."""
    begin(place, session_id, agent_id)
    put(storage(place, session_id), "notes", f"context/{session_id}/scopes/agent/{agent_id}/u_0")
    put(storage(place), f"context/{session_id}/scopes/agent/{agent_id}/u_0", f"session/{session_id}/scopes/x", "shared")
    put(storage(place, "other"), "notes")


def test_sessions_are_apart(place: Place) -> None:
    """No session reads, lists or overwrites what another has, whatever is in the ids."""
    places = {name: storage(place, name) for name in ("a", "A", "a/b", "a%2Fb", "..", "%2E%2E", "agents", "a\\b")}
    for name, where in places.items():
        asyncio.run(where.write("k", name.encode()))
    for name, where in places.items():
        assert read(where, "k") == name.encode()
        assert asyncio.run(where.list("")) == ["k"]
    assert len(keys(place)) == len(places)


@pytest.mark.parametrize("new", ["copy", *ODD])
def test_fork(place: Place, new: str) -> None:
    """A fork has copies of them, under the keys under which Strands looks for them; a fork of one agent has its own."""
    session(place)
    put(storage(place, "s"), "context/s/scopes/agent/b/u_0", "agents/b/offloader/u_0", "agents/default/offloader/u_0")
    place.sessions.fork("s", new)
    assert read(storage(place, new), "notes") == read(storage(place, "s"), "notes") is not None
    copies = SessionObjects("strands_", new)
    found = keys(place)
    ours = SessionObjects("strands_", "s")
    mine = sorted(ours.relative(key) for key in found if any(key.startswith(each) for each in ours.prefixes))
    theirs = sorted(copies.relative(key) for key in found if any(key.startswith(each) for each in copies.prefixes))
    assert mine == theirs
    assert len(mine) == 7
    place.sessions.fork("s", "one", agent_id="default")
    assert [key for key in keys(place) if key.startswith("sessions/one/")] == [
        "sessions/one/agents/default/offloader/u_0",
        "sessions/one/context/one/scopes/agent/default/u_0",
        "sessions/one/notes",
    ]


def test_rename(place: Place) -> None:
    """They move along; whose name is taken by objects alone is taken."""
    session(place)
    place.sessions.rename("s", "new")
    assert read(storage(place, "new"), "notes") is not None
    assert read(storage(place), "context/new/scopes/agent/default/u_0") is not None
    assert not any("s/" in key.split("sessions/")[-1][:2] or "/s/" in key for key in keys(place))
    begin(place, "s")
    with pytest.raises(Exception, match="exists already"):
        place.sessions.rename("s", "other")


@pytest.mark.parametrize("by", ["delete", "prune", "repository", "manager"])
def test_delete(place: Place, by: str) -> None:
    """They go with their session, and no other's go."""
    session(place)
    if by == "delete":
        rows = place.sessions.delete("s").rows
        assert rows == 4 + 4
    elif by == "prune":
        place.sessions.prune(older_than="2099-01-01")
    else:
        manager = place.store.manager(session_id="s")
        (manager if by == "manager" else manager.session_repository).delete_session("s")
    assert keys(place) == ["sessions/other/notes", "shared"]


def test_delete_what_a_session_has_left(place: Place) -> None:
    """A session of which there are objects alone, such as snapshots, can be deleted."""
    put(storage(place), "session/t/scopes/agent/a/snapshots/snapshot_latest.json", "session/tt/scopes/x")
    begin(place, "s")
    assert place.sessions.delete("t").rows == 1
    assert keys(place) == ["session/tt/scopes/x"]


def test_erase(place: Place) -> None:
    """What was offloaded of an erased message goes with it, and nothing else."""
    agent = place.agent("s", tools(use("remember", {"key": "k", "value": 1}, "u")), text("ok"), agent_id="a")
    agent("go")
    of_message = [f"{each}_0" for each in ids_of(agent.messages[2])]
    gone = ["context/s/scopes/agent/a/u_0", "agents/a/offloader/u_12", *of_message]
    kept = ["context/s/scopes/agent/b/u_0", "agents/b/offloader/u_0", "uu_0", "u_x", "u_0/more", "v_0"]
    put(storage(place, "s"), *gone, *kept)
    place.sessions.erase("s", "a", 2)
    assert asyncio.run(storage(place, "s").list("")) == sorted(kept)


@pytest.mark.parametrize("how", ["delete", "erase", "erase beside a writer"])
def test_the_index_of_objects_forgets_too(place: Place, how: str) -> None:
    """What an index of objects has of a deleted session, or of an erased result, leaves it for good."""
    agent = place.agent("s", tools(use("remember", {"key": "k", "value": 1}, "u")), text("ok"), agent_id="a")
    agent("go")
    indexed = PerSQLStorage(place.store.database(), session_id="s", index=True)
    asyncio.run(indexed.write("context/s/scopes/agent/a/u_0", b"herring"))
    writes = 0

    def write_first(request: Any) -> None:
        nonlocal writes
        writes += bool(request.writes)
        if writes == 2:  # the objects are gone, the message is not erased yet
            place.database.on_call = None
            place.run("UPDATE strands_agents SET revision = revision + 1")

    if how == "delete":
        place.sessions.delete("s")
    else:
        place.database.on_call = write_first if "beside" in how else None
        place.sessions.erase("s", "a", 2)
    assert place.run("SELECT count(*) AS n FROM strands_objects_index")[0]["n"] == 0
    pages = place.run("SELECT hex(block) AS block FROM strands_objects_index_data")
    assert b"herring".hex().upper() not in "".join(page["block"] for page in pages)


@pytest.mark.slow
@pytest.mark.parametrize("new", [None, "a/b"])
def test_export_and_import(place: Place, tmp_path: Path, new: str | None) -> None:
    """Lines carry them, under any id; an import that runs again writes nothing, and another object is a conflict."""
    session(place)
    asyncio.run(storage(place, "s").write("text", "ünï\u2028".encode() * 150_000))
    place.sessions.export("s", tmp_path / "s.jsonl")
    before = {key: read(storage(place), key) for key in keys(place)}
    stream = io.StringIO()
    place.sessions.export("s", stream)
    assert stream.getvalue() == (tmp_path / "s.jsonl").read_text(encoding="utf-8")
    if new is None:
        place.sessions.delete("s")
    for _ in range(2):
        place.sessions.import_from(tmp_path / "s.jsonl", new_id=new)
    if new is None:
        assert {key: read(storage(place), key) for key in keys(place)} == before
    else:
        assert asyncio.run(storage(place, new).list("")) == ["context/a/b/scopes/agent/default/u_0", "notes", "text"]
    asyncio.run(storage(place, new or "s").write("notes", b"else"))
    with pytest.raises(SessionConflictError, match="object"):
        place.sessions.import_from(tmp_path / "s.jsonl", new_id=new)


@pytest.mark.parametrize(
    "change",
    [("notes", "../notes"), ("sessions/{session}/", "elsewhere/"), ('"encoding"', '"coding"'), ("bm90", "bm91")],
)
def test_changed_lines_are_refused(place: Place, tmp_path: Path, change: tuple[str, str]) -> None:
    """A key that is no session's, another value or a missing field: an error, and no session is there."""
    begin(place, "s")
    put(storage(place, "s"), "notes")
    place.sessions.export("s", tmp_path / "s.jsonl")
    lines = (tmp_path / "s.jsonl").read_text("utf-8").replace(*change)
    with pytest.raises(SessionDataError, match="can't be imported"):
        place.sessions.import_from(io.StringIO(lines), new_id="new")
    assert [each.session_id for each in place.sessions.list().sessions] == ["s"]
    assert all(key.endswith("/notes") for key in keys(place))


@tool
def big(user: str) -> str:
    """Tell much."""
    return f"secret of {user} " * 3000


@pytest.mark.parametrize("given", ["database", "manager"])
def test_an_offloader_keeps_results_in_the_session(place: Place, given: str) -> None:
    """Two sessions whose models number their tool uses alike, and two agents of one: each reads back its own result."""
    offloader: Any = pytest.importorskip("strands.vended_plugins.context_offloader").ContextOffloader

    def build(session_id: str, agent_id: str, model: Any) -> Agent:
        manager = PerSQLSessionManager(session_id, place.store.database())
        where = manager.storage() if given == "manager" else PerSQLStorage(place.store.database())
        plugin = offloader(storage=where, max_result_tokens=500, preview_tokens=100, include_retrieval_tool=True)
        return Agent(
            model=model,
            agent_id=agent_id,
            tools=[big],
            plugins=[plugin],
            session_manager=manager,
            callback_handler=None,
        )

    if given == "database" and not hasattr(Agent, "sandbox"):
        pytest.skip("this release's offloader doesn't tell its agent")
    users = [("ada", "a"), ("bob", "a"), ("bob", "b")]
    for user in users:
        build(*user, ScriptedModel([tools(use("big", {"user": " ".join(user)}, "call_0")), "seen"]))("go")
    for user in users:
        model = ScriptedModel([])
        agent = build(*user, model)
        name = next(each for each in agent.tool_registry.registry if "retriev" in each)
        schema: Any = agent.tool_registry.registry[name].tool_spec["inputSchema"]
        model.play(tools(use(name, {schema["json"]["required"][0]: "call_0_0"})), "got")
        agent("fetch")
        assert f"secret of {' '.join(user)}" in str(agent.messages[-2])
    sessions = PerSQLSessions(place.store.database())
    for session_id in ("ada", "bob"):
        sessions.delete(session_id)
    assert keys(place) == []


class Overtaken:
    """A handle before one of whose requests something else is done.

    Attributes:
        left: How many requests come before that.
    """

    def __init__(self, database: Any, left: int, first: Callable[[], object]) -> None:
        self._database, self._first = database, first
        self.left = left

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._database.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        if self.left == 0:
            self._first()
        self.left -= 1
        return self._database.batch(statements, transaction=transaction)


@pytest.mark.parametrize("number", range(12))
def test_an_import_whose_session_is_deleted_meanwhile(local: Place, number: int) -> None:
    """Before any of its requests: it is told, or all is there, or nothing; never a session without its objects."""
    begin(local, "s")
    put(storage(local, "s"), "one", "two")
    exported = io.StringIO()
    local.sessions.export("s", exported)
    local.sessions.delete("s")

    def delete() -> None:
        with contextlib.suppress(SessionException):
            local.sessions.delete("s")

    database = Overtaken(local.store.database(), number, delete)
    try:
        PerSQLSessions(database).import_from(io.StringIO(exported.getvalue()))
    except SessionConflictError:
        assert database.left < 0
        return
    again = io.StringIO()
    with contextlib.suppress(SessionDataError):  # deleted after all
        local.sessions.export("s", again)
        assert again.getvalue() == exported.getvalue()
