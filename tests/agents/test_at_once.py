"""Small writes to a local file are made on the event's own thread, and all else as ever."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from strands_persql import PerSQL, PerSQLSessionManager, SessionConflictError
from strands_persql.client import AT_ONCE_STATEMENTS, Handle
from strands_persql.engine.agent_state import StateReader
from strands_persql.engine.departed import Departed
from strands_persql.engine.outgoing import Attempts, Batch, Outgoing
from strands_persql.engine.recorded import Recorded
from strands_persql.engine.sender import Sender
from strands_persql.engine.threads import Turns
from strands_persql.engine.window import Window
from strands_persql.engine.writer import Writer

from .agents import agent_of
from .harness import Durability, RecordingDatabase, Store, soon, user, words_of
from .scripted import ScriptedModel, redact_user, text, tools, use

EVERY: list[Any] = ["message", "overlap", "invocation"]


pytestmark = pytest.mark.usefixtures("quick_files", "collected")


@pytest.fixture
def collected() -> Iterator[None]:
    """What Ctrl-C has left half done is garbage of this test, not amid the next: Python 3.11 may take that amiss."""
    yield
    gc.collect()


def threads_of(database: RecordingDatabase) -> set[int]:
    """Who has written."""
    return {request.thread for request in database.requests if request.writes}


async def begun(store: Store, database: RecordingDatabase, durability: Durability, replies: list[Any]) -> Any:
    """An agent that has been asked once, which has opened the file and begun its log."""
    manager = store.manager(database, durability=durability)
    agent: Any = agent_of(ScriptedModel(["hello!", *replies]))(manager)
    await agent.invoke_async("hello")
    manager.flush()
    database.clear()
    return agent


@pytest.mark.parametrize("durability", EVERY)
async def test_a_turn_hands_nothing_over(store: Store, durability: Durability) -> None:
    """Neither messages nor state: they are stored when the event is over, in as many requests as ever."""
    database = store.database(at_once=True)
    agent = await begun(store, database, durability, [tools(use("add", {"a": 1, "b": 2})), "three"])
    agent.state.set("asked", "one and two")
    await agent.invoke_async("one and two?")
    assert threads_of(database) == {threading.get_ident()}
    assert len(database.requests) == (1 if durability == "invocation" else 4)
    assert store.messages() == agent.messages
    assert store.rows()["agents"][0]["data"]["state"] == {"asked": "one and two"}


@pytest.mark.parametrize("durability", EVERY)
async def test_a_file_that_another_process_is_writing(store: Store, durability: Durability) -> None:
    """The loop goes on meanwhile; a worker waits, and what comes after it waits behind it."""
    database = store.database(at_once=True)
    agent = await begun(store, database, durability, ["one!", "two!"])
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asked = asyncio.ensure_future(agent.invoke_async("one"))
        while not threads_of(database) - {threading.get_ident()}:
            await asyncio.sleep(0.01)
        assert not asked.done()
        assert words_of(store.messages()) == ["hello", "hello!"]
        other.execute("COMMIT")
        await soon(asked)
    await agent.invoke_async("two")
    assert words_of(store.messages())[2:] == ["one", "one!", "two", "two!"]


@pytest.mark.parametrize("durability", EVERY)
async def test_a_rival(store: Store, durability: Durability) -> None:
    """Whoever comes second is told so, and has overwritten nothing."""
    database = store.database(at_once=True)
    agent = await begun(store, database, durability, ["late!"])
    # A process of its own, which this one's knowledge of its sessions doesn't reach.
    client: Any = database._inner
    with store.sqlite() as connection:
        connection.execute("UPDATE strands_agents SET revision = revision + 1")
    assert client.commit_now([{"sql": "UPDATE strands_sessions SET data = data"}])
    with pytest.raises(SessionConflictError):
        await agent.invoke_async("late")
    assert words_of(store.messages()) == ["hello", "hello!"]


@pytest.mark.parametrize("durability", EVERY)
async def test_a_write_that_fails(store: Store, durability: Durability) -> None:
    """It stays pending, the error surfaces, and the next event writes it along."""
    database = store.database(at_once=True)
    agent = await begun(store, database, durability, [text("one!"), text("two!")])
    with database.outage(), pytest.raises(Exception, match="out of order"):
        await agent.invoke_async("one")
    await agent.invoke_async("two")
    assert "two" in words_of(agent.messages)
    assert store.messages() == agent.messages


@pytest.mark.parametrize("committed", [False, True])
async def test_an_answer_that_is_lost(store: Store, committed: bool) -> None:
    """A worker tries it again, and knows what is stored of it."""
    database = store.database(at_once=True)
    agent = await begun(store, database, "message", ["one!"])
    database.fail_next(1, committed=committed)
    await agent.invoke_async("one")
    assert words_of(store.messages())[2:] == ["one", "one!"]


async def test_a_long_message_goes_to_a_worker(store: Store) -> None:
    """And short ones are written at once again, as soon as the file's log has been copied back."""
    database = store.database(at_once=True)
    turns = 50
    agent = await begun(store, database, "message", ["short!"] * (turns + 1))
    await agent.invoke_async("long" * 50_000)
    here = threading.get_ident()
    at_once = [request.thread == here for request in database.requests if request.writes]
    assert not at_once[0]
    while not at_once[-1] and turns:
        turns -= 1
        await agent.invoke_async("short")
        at_once = [request.thread == here for request in database.requests if request.writes]
    assert at_once[-1]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Window, "add"),
        (Window, "compare"),
        (Window, "_add_row"),
        (StateReader, "read"),
        (Recorded, "text"),
        (Writer, "put"),
        (Turns, "begin_now"),
        (Writer, "_take"),
        (Sender, "planned"),
        (Handle, "commit_now"),
        (Sender, "note"),
        (Outgoing, "is_stored"),
        (Attempts, "clear"),
        (Writer, "_take_back"),
        (Turns, "end_now"),
    ],
)
def test_ctrl_c(store: Store, owner: Any, name: str, early: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost, doubled or taken for a rival's, and the next turn waits for nobody."""
    database = store.database(at_once=True)
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        agent = loop.run_until_complete(begun(store, database, "message", ["one!", "two!"]))
        owner = type(database) if owner is Handle else owner
        call = getattr(owner, name)
        here, interrupts = threading.get_ident(), [KeyboardInterrupt]

        def interrupted(*args: Any, **options: Any) -> Any:
            if early and interrupts and threading.get_ident() == here:
                raise interrupts.pop()
            result = call(*args, **options)
            if interrupts and threading.get_ident() == here:
                raise interrupts.pop()
            return result

        monkeypatch.setattr(owner, name, interrupted)
        agent.state.set("asked", 1)
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(agent.invoke_async("one"))
    asyncio.run(soon(agent.invoke_async("two")))
    assert words_of(agent.messages)[-1].endswith("!")
    assert store.messages() == agent.messages
    assert store.rows()["agents"][0]["data"]["state"] == {"asked": 1}


async def test_a_long_history_is_planned_by_a_worker(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements for hundreds of rows take longer than the loop may be kept; a few are planned where they come."""
    database = store.database(at_once=True)
    agent = await begun(store, database, "message", ["many!", "few!"])
    here, planned = threading.get_ident(), list[tuple[int, int]]()
    plan = Sender.planned

    def noted(sender: Sender) -> list[Batch]:
        planned.append((threading.get_ident(), len(sender._out.rows)))
        return plan(sender)

    monkeypatch.setattr(Sender, "planned", noted)
    agent.messages += [user(f"brought along {number}") for number in range(300)]
    await agent.invoke_async("many")
    assert max(rows for _, rows in planned) > 100
    assert not [rows for thread, rows in planned if thread == here and rows > AT_ONCE_STATEMENTS]
    planned.clear()
    await agent.invoke_async("few")
    assert {thread for thread, _ in planned} == {here}
    assert len(store.messages()) == 306


def test_memory() -> None:
    """A database in memory, too."""
    with PerSQL(local=":memory:") as client:
        database: Any = client.database("acme/agents")
        agent = agent_of(ScriptedModel(["one!", "two!"]))(PerSQLSessionManager("s", database))
        agent("one")
        threads: list[int] = []
        note = lambda: threads.append(threading.get_ident())  # noqa: E731
        database._store.use(lambda connection: connection.create_function("note", 0, note))
        database.query("CREATE TRIGGER told AFTER INSERT ON strands_messages BEGIN SELECT note(); END")
        asked: list[int] = []

        async def ask() -> None:
            asked.append(threading.get_ident())
            await agent.invoke_async("two")

        asyncio.run(ask())
        assert threads == [*asked, *asked]


def interrupting(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, meanwhile: Callable[[], Any] = lambda: None
) -> None:
    """Ctrl-C comes once, when a method has done its work, and something else."""
    call, interrupts = getattr(owner, name), [KeyboardInterrupt]

    def interrupted(*args: Any, **options: Any) -> Any:
        result = call(*args, **options)
        if interrupts:
            interrupt = interrupts.pop()
            meanwhile()
            raise interrupt
        return result

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("durability", EVERY)
@pytest.mark.parametrize(("owner", "name"), [(Window, "redact"), (Departed, "clear"), (Writer, "put")])
def test_ctrl_c_amid_a_redaction(
    store: Store, durability: Durability, owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was redacted is overwritten with the next event."""
    manager = store.manager(store.database(at_once=True), durability=durability)
    model = ScriptedModel([text("one!")])
    agent = agent_of(model)(manager)
    asyncio.run(agent.invoke_async("one"))
    model.play(redact_user("[redacted]", before=lambda: interrupting(monkeypatch, owner, name)), "three!")
    with contextlib.closing(asyncio.new_event_loop()) as loop, pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(agent.invoke_async("SECRET-WORD"))
    asyncio.run(soon(agent.invoke_async("three")))
    assert words_of(store.messages()) == ["one", "one!", "[redacted]", "three", "three!"]
    assert not store.holds("SECRET-WORD")


def test_ctrl_c_and_a_rival(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a rival has stored meanwhile is not taken for this agent's own."""

    def rival() -> None:
        agent = agent_of(ScriptedModel(["rival!"]))(store.manager())
        thread = threading.Thread(target=lambda: asyncio.run(agent.invoke_async("rival")))
        thread.start()
        thread.join()

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        agent = loop.run_until_complete(begun(store, store.database(at_once=True), "message", ["one!", "two!"]))
        interrupting(monkeypatch, Window, "add", rival)
        with pytest.raises((KeyboardInterrupt, SessionConflictError)):
            loop.run_until_complete(agent.invoke_async("one"))
    with pytest.raises(SessionConflictError):
        asyncio.run(soon(agent.invoke_async("two")))
    assert words_of(store.messages()) == ["hello", "hello!", "rival", "rival!"]
