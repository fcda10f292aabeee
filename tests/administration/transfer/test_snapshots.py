"""Sessions of Strands' `SnapshotSessionManager`: brought in from its storage, and taken out to it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager

from strands_persql import PerSQLSessions, PerSQLStorage, SessionDataError
from strands_persql.administration.transfer import Snapshots

from ...agents.features import needs
from ...agents.harness import Store, assert_same
from ...agents.scripted import ScriptedModel, tools, use
from ...agents.test_multiagent import LINE, graph_of
from .material import talk

SNAPSHOTS = importlib.util.find_spec("strands.session.snapshot_session_manager") is not None
PROMPTS = ("a picture, please", "remember this", "my number is 123", "and one", "and two", "and three")
pytestmark = needs(SNAPSHOTS, "snapshots of sessions")


def storage_of(folder: Path) -> Any:
    """Strands' storage in files."""
    from strands.storage import LocalFileStorage

    return LocalFileStorage(str(folder))


def manager_of(session_id: str, storage: Any, **options: Any) -> Any:
    """Strands' manager."""
    from strands.session import SnapshotSessionManager

    return SnapshotSessionManager(session_id, storage=storage, **options)


def spoken(storage: Any, *, summarizing: bool = False, session_id: str = "s") -> Agent:
    """An agent whose every turn is a snapshot."""
    build = talk(summarizing=summarizing)
    agent = build(manager_of(session_id, storage, snapshot_trigger=lambda **event: True))
    for prompt in PROMPTS:
        agent(prompt)
    if summarizing:
        agent.conversation_manager.reduce_context(agent)
        agent("and four")
    return agent


@pytest.mark.parametrize("summarizing", [False, True], ids=["sliding", "summarizing"])
@pytest.mark.parametrize("history", [False, True], ids=["newest", "history"])
def test_an_imported_agent_is_what_it_was(local: Store, tmp_path: Path, summarizing: bool, history: bool) -> None:
    """With its history or without, the agent restores from what was imported as from its snapshot."""
    storage = storage_of(tmp_path / "snapshots")
    spoken(storage, summarizing=summarizing)
    sessions = PerSQLSessions(local.database())
    [done] = sessions.import_from(Snapshots(storage, history=history))
    build = talk(summarizing=summarizing, replies=["I am back"])
    theirs, ours = build(manager_of("s", storage)), build(local.manager(session_id="s"))
    assert_same(theirs, ours)
    assert (done.messages > len(ours.messages)) is history
    said = [message for page in sessions.transcript("s") for message in page]
    assert sum(message.live for message in said) == len(ours.messages)
    if history:
        texts = [block.get("text") for message in said for block in message.message["content"]]
        assert [text for text in texts if text in PROMPTS and text != PROMPTS[2]] == [
            prompt for prompt in PROMPTS if prompt != PROMPTS[2]
        ]
    ours("are you?")
    assert_same(ours, build(local.manager(session_id="s")))


def test_it_is_checked_and_gone_on_with(local: Store, tmp_path: Path) -> None:
    """A manager is a source for its own session, a storage for all; a second import writes nothing."""
    storage = storage_of(tmp_path / "snapshots")
    manager = manager_of("s", storage)
    talk()(manager)(PROMPTS[0])
    talk()(manager_of("other", storage))(PROMPTS[0])
    sessions = PerSQLSessions(local.database())
    [first] = sessions.import_from(manager)
    assert (first.session_id, first.written) == ("s", first.messages)
    both = sessions.import_from(storage)
    assert [(each.session_id, each.written > 0) for each in both] == [("other", True), ("s", False)]
    assert both[1].checksum == first.checksum
    assert sessions.get("s").metadata == {}


def test_a_graph_comes_along(local: Store, tmp_path: Path) -> None:
    """A Graph's state is brought in, where the release keeps it in snapshots."""
    storage = storage_of(tmp_path / "snapshots")
    try:
        build = graph_of({name: ScriptedModel([f"{name} one"]) for name in "abc"}, LINE)
        build(manager_of("g", storage))("task")
    except NotImplementedError:
        pytest.skip("this release keeps no Graphs in snapshots")
    if not asyncio.run(storage.list("session/g/")):
        pytest.skip("this release keeps no Graphs in snapshots")
    sessions = PerSQLSessions(local.database())
    [done] = sessions.import_from(storage)
    assert done.multi_agents == 1
    target = storage_of(tmp_path / "again")
    sessions.export("g", target)
    key = next(key for key in asyncio.run(target.list("session/g/")) if "multiAgent" in key)
    states = [json.loads(asyncio.run(each.read(key)) or b"")["data"] for each in (storage, target)]
    assert states[0] == states[1]


@pytest.mark.parametrize("summarizing", [False, True], ids=["sliding", "summarizing"])
def test_back_to_snapshots(local: Store, tmp_path: Path, summarizing: bool) -> None:
    """An agent restores from an exported snapshot what it restores from the tables."""
    build = talk(summarizing=summarizing)
    live = build(local.manager(session_id="s"))
    for prompt in PROMPTS:
        live(prompt)
    if summarizing:
        live.conversation_manager.reduce_context(live)
        live("and four")
    live.messages[-1]["content"][0]["text"] = "shortened since"
    live("and more")
    assert any(message.seen for page in PerSQLSessions(local.database()).transcript("s") for message in page)
    storage = storage_of(tmp_path / "snapshots")
    sessions = PerSQLSessions(local.database())
    done = sessions.export("s", manager_of("s", storage))
    assert done.messages == sessions.get("s").agents[0].messages
    assert_same(live, build(manager_of("s", storage)))
    with pytest.raises(SessionDataError, match="holds this session already"):
        sessions.export("s", Snapshots(storage))


def test_offloaded_results_come_along(local: Store) -> None:
    """What a context manager has put aside goes with the session, in both directions."""
    inner = PerSQLStorage(local.database(), table_prefix="theirs_")
    agent = Agent(
        model=ScriptedModel([tools(use("add", {"a": 1, "b": 2})), "three"]),
        session_manager=manager_of("s", inner),
        conversation_manager=SlidingWindowConversationManager(),
        callback_handler=None,
    )
    agent("add")
    asyncio.run(inner.write("context/s/scopes/agent/default/use-1_0", b'{"text":"long"}'))
    sessions = PerSQLSessions(local.database())
    sessions.import_from(inner, new_id="copy")
    ours = PerSQLStorage(local.database())
    assert asyncio.run(ours.read("context/copy/scopes/agent/default/use-1_0")) == b'{"text":"long"}'
    sessions.export("copy", inner)
    assert asyncio.run(inner.read("context/copy/scopes/agent/default/use-1_0")) == b'{"text":"long"}'


def test_an_export_that_was_cut_off_goes_on(local: Store) -> None:
    """At each of its writes: no snapshot stands there without what it refers to, and the next one comes to its end."""
    sessions = PerSQLSessions(local.database())
    for agent_id in ("a", "b"):
        agent = Agent(
            model=ScriptedModel([f"{agent_id} one"]),
            agent_id=agent_id,
            session_manager=local.manager(session_id="s"),
            callback_handler=None,
        )
        agent("hello")
    stash = "context/s/scopes/agent/a/use-1_0"
    asyncio.run(PerSQLStorage(local.database()).write(stash, b"long"))

    class Cut(PerSQLStorage):
        """A storage that is cut off after so many writes."""

        left = 0

        async def write(self, key: str, data: bytes) -> None:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            await super().write(key, data)

    storage = Cut(local.database(), table_prefix="theirs_")
    for at, left in enumerate((0, 1, 2)):
        storage.left = left
        with pytest.raises(KeyboardInterrupt):
            sessions.export("s", storage)
        assert len(asyncio.run(storage.list())) == at
        assert not at or asyncio.run(storage.read(stash)) == b"long"
    storage.left = 3
    assert sessions.export("s", storage).agents == 2
    assert len(asyncio.run(storage.list())) == 3
    with pytest.raises(SessionDataError, match="holds this session already"):
        sessions.export("s", storage)
    key = "session/s/scopes/agent/a/snapshots/snapshot_latest.json"
    asyncio.run(storage.delete(key.replace("/a/", "/b/")))
    storage.left = 1
    asyncio.run(storage.write(key, b"{}"))  # somebody has gone on with it
    with pytest.raises(SessionDataError, match="holds this session already"):
        sessions.export("s", storage)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda document: b"{", "it is no JSON"),
        (lambda document: {**document, "schema_version": "2.0"}, "it has version '2.0'"),
        (lambda document: {**document, "data": []}, "it has no data"),
        (
            lambda document: {**document, "data": {**document["data"], "messages": [{"role": 1}]}},
            "its messages are none",
        ),
        (lambda document: {**document, "data": {**document["data"], "state": {"a": 1}, "messages": "x"}}, "are none"),
    ],
    ids=["no JSON", "version", "data", "message", "messages"],
)
def test_a_damaged_snapshot_is_named(local: Store, tmp_path: Path, change: Any, words: str) -> None:
    """A snapshot that can't be read is told by its key, and nothing of it is imported."""
    storage = storage_of(tmp_path / "snapshots")
    talk()(manager_of("s", storage))(PROMPTS[0])
    key = "session/s/scopes/agent/default/snapshots/snapshot_latest.json"
    changed = change(json.loads(asyncio.run(storage.read(key)) or b""))
    asyncio.run(storage.write(key, changed if isinstance(changed, bytes) else json.dumps(changed).encode()))
    with pytest.raises(SessionDataError, match=rf"Snapshot {key} can't be imported: .*{words}"):
        PerSQLSessions(local.database()).import_from(storage)
    with pytest.raises(SessionDataError, match="holds no snapshot of session 'nobody'"):
        PerSQLSessions(local.database()).import_from(storage, session_id="nobody")


def test_what_is_no_storage_is_told(tmp_path: Path) -> None:
    """Something else than a storage, or a manager without one, is told."""
    with pytest.raises(TypeError, match="storage must be a Storage"):
        Snapshots(object())
    with pytest.raises(ValueError, match="has no storage of its own"):
        Snapshots(manager_of("s", None))


def test_a_folder_is_a_storage(local: Store, tmp_path: Path) -> None:
    """Named by its path, all of its snapshots and what was offloaded are read."""
    storage = storage_of(tmp_path / "snapshots")
    spoken(storage)
    stash = "context/s/scopes/agent/default/use-1_0"
    asyncio.run(storage.write(stash, b"{}"))
    [done] = PerSQLSessions(local.database()).import_from(tmp_path / "snapshots")
    again = PerSQLSessions(local.database()).import_from(Snapshots(storage, history=True), new_id="again")
    assert (done.messages, done.checksum) == (again[0].messages, again[0].checksum)
    assert asyncio.run(PerSQLStorage(local.database()).read("context/s/scopes/agent/default/use-1_0")) == b"{}"
