"""What Strands keeps in a storage, by real agents: snapshots with time travel, offloaded results, files of memory."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from strands import Agent, tool

from ...agents.scripted import (
    ScriptedModel,
    text,
    tools,
    use,
)
from .conftest import Place
from .features import needs_files_of_memory, needs_snapshots, needs_storage

LATEST = "session/session-1/scopes/agent/default/snapshots/snapshot_latest.json"


def build(storage: Any, *script: Any, **options: Any) -> tuple[Agent, Any]:
    from strands.session.snapshot_session_manager import SnapshotSessionManager

    manager = SnapshotSessionManager("session-1", storage=storage)
    return Agent(model=ScriptedModel(list(script)), session_manager=manager, callback_handler=None, **options), manager


def words(agent: Agent) -> list[str]:
    return [block["text"] for message in agent.messages for block in message["content"] if "text" in block]


@needs_snapshots
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_session_is_restored_by_another_process(place: Place, sync: bool) -> None:
    """Messages and state, through a client of its own."""
    agent, _ = build(place.storage(), text("Hello Ada."))
    agent.state.set("city", "London")
    if sync:
        agent("I am Ada.")
    else:
        await agent.invoke_async("I am Ada.")
    again, _ = build(place.storage(), text("You are Ada."))
    assert words(again) == ["I am Ada.", "Hello Ada."]
    assert again.state.get("city") == "London"
    await again.invoke_async("Who am I?")
    assert words(build(place.storage())[0]) == ["I am Ada.", "Hello Ada.", "Who am I?", "You are Ada."]


@needs_snapshots
async def test_an_agent_goes_back_to_an_older_snapshot(place: Place) -> None:
    """By its id, which another process finds too; what came later is gone from the newest state only."""
    agent, manager = build(place.storage(), text("one"), text("two"), text("three"))
    await agent.invoke_async("1")
    first = await manager.save_snapshot(agent, is_latest=False)
    await agent.invoke_async("2")
    second = await manager.save_snapshot(agent, is_latest=False)
    await agent.invoke_async("3")

    again, manager = build(place.storage(), text("other"))
    assert await manager.list_snapshot_ids(again) == [first, second]
    assert await manager.restore_snapshot(again, snapshot_id=first)
    assert words(again) == ["1", "one"]
    await again.invoke_async("4")
    assert words(build(place.storage())[0]) == ["1", "one", "4", "other"]
    assert await manager.restore_snapshot(again, snapshot_id=second)
    assert words(again) == ["1", "one", "2", "two"]
    await manager.delete_session()
    assert await place.storage().list("") == []


@needs_snapshots
async def test_a_snapshot_is_saved_and_restored_by_one_request_each(service: Place) -> None:
    """However long the conversation is, up to a megabyte; a save writes one row."""
    emulator = service.emulator
    assert emulator is not None
    agent, _ = build(service.storage(), text("Hello."), text("x" * 900_000))
    await agent.invoke_async("Hello?")
    emulator.reset()
    await agent.invoke_async("Tell me all.")
    assert emulator.requests == 1
    emulator.reset()
    again, _ = build(service.storage(), text("More."))
    assert emulator.requests == 1
    assert words(again)[-1] == "x" * 900_000
    assert service.rows() == [(LATEST, 0)]


@needs_snapshots
async def test_a_document_of_some_megabytes_is_restored_whole(place: Place) -> None:
    """The snapshot that holds it is more than one request."""
    content = bytes(range(256)) * 20_000
    document: Any = {"document": {"name": "map", "format": "pdf", "source": {"bytes": content}}}
    agent, _ = build(place.storage(), text("Seen."))
    await agent.invoke_async([{"text": "Look."}, document])
    again, _ = build(place.storage())
    assert again.messages[0]["content"][1]["document"]["source"]["bytes"] == content


@needs_snapshots
async def test_a_failed_save_is_made_up_for_by_the_next(service: Place) -> None:
    """The turn fails with Strands' own error; the snapshot before stays, and the next one has it all."""
    emulator = service.emulator
    assert emulator is not None
    database = service.database()
    agent, manager = build(service.storage(database), text("one"), text("two"))
    await agent.invoke_async("1")

    def fail(number: int) -> None:
        raise ConnectionError

    database.before = fail
    with pytest.raises(Exception, match="snapshot_latest"):
        await agent.invoke_async("2")
    database.before = lambda number: None
    assert words(build(service.storage())[0]) == ["1", "one"]
    await manager.save_snapshot(agent, is_latest=True)
    assert words(build(service.storage())[0]) == ["1", "one", "2", "two"]


@needs_storage
async def test_long_tool_results_are_offloaded_and_found_again(place: Place) -> None:
    """The history holds a preview; the storage holds the whole result."""
    from strands.vended_plugins.context_offloader import ContextOffloader

    if "storage" not in inspect.signature(ContextOffloader.__init__).parameters:
        pytest.skip("this Strands offloads to no storage")

    @tool
    def timetable() -> str:
        """Read the timetable."""
        return "\n".join(f"{number:05} Zürich - Genève" for number in range(2_000))

    agent = Agent(
        model=ScriptedModel([tools(use("timetable")), text("Read.")]),
        tools=[timetable],
        plugins=[ContextOffloader(storage=place.storage(), max_result_tokens=500, preview_tokens=50)],
        callback_handler=None,
    )
    await agent.invoke_async("Read the timetable.")
    assert len(str(agent.messages)) < 5_000
    again = place.storage()
    stored = [await again.read(key) for key in await again.list("")]
    assert any("01999 Zürich - Genève" in (value or b"").decode(errors="replace") for value in stored)


@needs_files_of_memory
@pytest.mark.parametrize("index", [False, True], ids=["keywords", "indexed"])
async def test_files_of_memory_are_recalled_by_another_process(place: Place, index: bool) -> None:
    """Each store in a namespace of its own."""
    from strands.vended_memory_stores.file_memory_store import FileMemoryStore

    store = FileMemoryStore(name="ada", storage=place.storage(index=index))
    await store.add("# Travel\nAda prefers trains to planes.")
    await store.add("# Food\nAda likes figs.")
    await FileMemoryStore(name="bob", storage=place.storage(index=index)).add("# Travel\nBob likes trains.")
    found = await FileMemoryStore(name="ada", storage=place.storage(index=index)).search("Which trains?")
    assert [entry.content for entry in found] == ["# Travel\nAda prefers trains to planes."]
