"""Encrypted sessions: an agent restores to the same as ever, and no file holds a word of what was said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.session import RepositorySessionManager

from strands_persql import (
    Encryption,
    EncryptionError,
    PerSQL,
    PerSQLHooks,
    PerSQLMemoryStore,
    PerSQLSessionManager,
    PerSQLSessionRepository,
    PerSQLSessions,
)
from strands_persql.encryption import generate_key

from .agents import agent_of
from .harness import DATABASE, SESSION, Build, Mode, Scenario, Store, assert_same, restored, user, words_of
from .scripted import ScriptedModel, redact_user, text, tools, use

KEY = Encryption(generate_key())
SECRET = "CANARY-TEXT"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One encrypted database file."""
    store = Store(tmp_path / "sessions.db", encryption=KEY)
    yield store
    store.close()


@pytest.fixture(params=["message", "overlap", "invocation"])
def scenario(request: pytest.FixtureRequest, store: Store, mode: Mode) -> Callable[[Build], Scenario]:
    """Start a live agent that is compared with a restored one after each turn, whatever the durability."""
    store.durability = request.param

    def start(build: Build, **options: Any) -> Scenario:
        return Scenario(store, build, mode, **options)

    return start


def opened(store: Store) -> PerSQLSessions:
    """The administrative face with the key."""
    return PerSQLSessions(store.database(), encryption=KEY)


async def test_turns_and_restarts(scenario: Any) -> None:
    """Turns with tools and state, in both forms: live == restored, in a new process too, and nothing in clear."""
    model = ScriptedModel(
        [
            tools(use("add", {"a": 1, "b": 2})),
            text(SECRET),
            tools(use("remember", {"key": SECRET, "value": SECRET})),
            "ok",
            "three",
        ]
    )
    run = scenario(agent_of(model))
    await run.turn(SECRET)
    await run.turn("b")
    assert not run.store.holds(SECRET)
    run.restart()
    await run.turn(SECRET)
    assert not run.store.holds(SECRET)
    assert words_of(run.store.messages()).count(SECRET) == 3


async def test_windows_that_slide_and_summarise(store: Store) -> None:
    """A trimmed window, and one with a summary that stands in it alone, are restored; the summary is not in clear."""
    run = Scenario(store, agent_of(ScriptedModel(list("abcdef")), conversation_manager=_sliding))
    for word in "123":
        await run.turn(f"{SECRET} {word}")
    agent = run.agent
    agent.messages[:] = [cast("Any", user(f"{SECRET} in short")), *agent.messages[-2:]]
    await run.turn("4")
    assert not store.holds(SECRET)
    assert f"{SECRET} in short" in words_of(restored(store, run.build).messages)


def _sliding() -> Any:
    return SlidingWindowConversationManager(window_size=5)


async def test_long_documents(store: Store) -> None:
    """A message that is stored in parts is sealed part by part."""
    run = Scenario(store, agent_of(ScriptedModel(["a", "b"])))
    long = SECRET * 200_000
    await run.turn(long)
    assert not store.holds(SECRET)
    run.restart()
    await run.turn("b")
    with store.sqlite() as connection:
        sizes = [size for (size,) in connection.execute("SELECT length(data) FROM strands_chunks")]
    assert len(sizes) == 3
    assert max(sizes) < 1_000_000


async def test_redaction(scenario: Any) -> None:
    """A blocked prompt is overwritten in every row that held it, although no database can look for it."""
    model = ScriptedModel(["one", "two", redact_user("[gone]"), "four"])
    run = scenario(agent_of(model))
    await run.turn(SECRET)
    await run.turn("b")
    await run.turn(SECRET)
    assert SECRET not in json.dumps(run.store.rows())
    await run.turn("c")


async def test_a_lost_answer(store: Store) -> None:
    """A write whose answer was lost is recognised, although what is sealed anew is another text."""
    run = Scenario(store, agent_of(ScriptedModel(["one", "two", "three"])), "async", at_once=False)
    await run.turn("a")
    run.database.fail_next(committed=True)
    with pytest.raises(Exception, match="lost"):
        await run.turn("b", check=False)
    await run.turn("c")


def test_two_agents_begin_a_session_at_once(store: Store) -> None:
    """Both were built before either had written: the second takes the first one's data key, and nothing is lost."""
    build = agent_of(ScriptedModel(["one", "two", "three"]))
    first, second = store.manager(), store.manager()
    one = Agent(model=ScriptedModel(["1"]), agent_id="one", session_manager=first, callback_handler=None)
    two = Agent(model=ScriptedModel(["2"]), agent_id="two", session_manager=second, callback_handler=None)
    one("a")
    two("b")
    assert build is not None
    assert words_of(store.messages("one")) == ["a", "1"]
    assert words_of(store.messages("two")) == ["b", "2"]


def test_without_the_key_nothing_is_changed(store: Store) -> None:
    """No key, another key, and a key for what is stored in clear: each is told, and no byte is written."""
    Agent(model=ScriptedModel(["one"]), session_manager=store.manager(), callback_handler=None)(SECRET)
    other = store.database()
    PerSQLSessionManager("clear", other)
    Agent(model=ScriptedModel(["x"]), session_manager=PerSQLSessionManager("clear", other), callback_handler=None)("y")
    before = store.dump()
    for session_id, encryption, words in (
        (SESSION, None, "is encrypted, and no key was given"),
        (SESSION, Encryption(generate_key()), "not among the keys given"),
        (SESSION, Encryption({KEY.key_id: generate_key()}), "another key"),
        ("clear", KEY, "is stored in clear, and a key was given"),
    ):
        manager = PerSQLSessionManager(session_id, store.database(), encryption=encryption)
        with pytest.raises(EncryptionError, match=words) as told:
            Agent(model=ScriptedModel(["z"]), session_manager=manager, callback_handler=None)
        assert SECRET not in str(told.value)
    assert store.dump() == before


def test_a_new_agent_without_the_key_stores_nothing(store: Store) -> None:
    """An agent that is not stored yet reads nothing sealed: its first write is refused, with the remedy."""
    Agent(model=ScriptedModel(["one"]), session_manager=store.manager(), callback_handler=None)(SECRET)
    manager = PerSQLSessionManager(SESSION, store.database())
    with pytest.raises(EncryptionError, match="no key was given"):
        Agent(model=ScriptedModel(["z"]), agent_id="new", session_manager=manager, callback_handler=None)(SECRET)
    assert not store.holds(SECRET)
    assert {row["agent_id"] for row in store.rows()["messages"]} == {"default"}


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "UPDATE strands_messages SET data = (SELECT data FROM strands_messages WHERE message_id = 1) "
            "WHERE message_id = 0",
            "Message 0 of agent 'default'",
        ),
        ("UPDATE strands_messages SET data = '{}' WHERE message_id = 1", "Message 1 of agent 'default'.* in clear"),
        (
            "UPDATE strands_agents SET data = (SELECT data FROM strands_messages WHERE message_id = 1)",
            "The row of agent 'default'",
        ),
        ("UPDATE strands_messages SET live = data WHERE message_id = 1", "Message 1 of agent 'default'"),
        (
            "UPDATE strands_sessions SET data_key = (SELECT data_key FROM strands_sessions WHERE session_id = 'other')",
            "holds the data key of something else",
        ),
    ],
)
def test_a_row_that_was_moved_is_refused(store: Store, sql: str, words: str) -> None:
    """A row that was swapped, moved or put there in clear is told by name, and nothing of it is shown."""
    for session_id in (SESSION, "other"):
        manager = store.manager(session_id=session_id)
        Agent(model=ScriptedModel(["one", "two"]), session_manager=manager, callback_handler=None)(SECRET)
    with store.sqlite() as connection:
        connection.execute(f"{sql}{'' if 'WHERE' in sql[-40:] else f' WHERE session_id = {SESSION!r}'}")
    with pytest.raises(EncryptionError, match=words) as told:
        restored(store, agent_of(ScriptedModel([])))
    assert SECRET not in str(told.value)


def test_beside_another_manager(store: Store) -> None:
    """The mirror encrypts what it stores."""
    hooks = PerSQLHooks(SESSION, store.database(), encryption=KEY)
    Agent(model=ScriptedModel([SECRET]), hooks=[hooks], callback_handler=None)(SECRET)
    hooks.close()
    assert not store.holds(SECRET)
    assert words_of(store.messages()) == [SECRET, SECRET]


def test_strands_own_manager(store: Store) -> None:
    """Over the repository: written by one process, read and gone on with by another, opened by our own manager."""

    def manager() -> RepositorySessionManager:
        repository = PerSQLSessionRepository(store.database(), encryption=KEY)
        return RepositorySessionManager(SESSION, repository)

    Agent(model=ScriptedModel([SECRET]), session_manager=manager(), callback_handler=None)(SECRET)
    again = Agent(model=ScriptedModel(["two"]), session_manager=manager(), callback_handler=None)
    again("more")
    assert not store.holds(SECRET)
    assert words_of(again.messages) == [SECRET, SECRET, "more", "two"]
    assert_same(again, restored(store, agent_of(ScriptedModel([]))))


def test_by_hand(store: Store) -> None:
    """A repository that has read nothing first finds the session's key, also after it was begun anew."""
    from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

    one, two = (PerSQLSessionRepository(store.database(), encryption=KEY) for _ in range(2))
    for round_ in range(2):
        one.create_session(Session(SESSION, SessionType.AGENT))
        two.create_agent(SESSION, SessionAgent("a", {"x": SECRET}, {}))
        for write, words in ((two.create_message, SECRET), (two.update_message, "b")):
            write(SESSION, "a", SessionMessage(cast("Any", user(words)), 0))
        found = one.read_message(SESSION, "a", 0)
        assert found is not None
        assert found.message["content"] == [{"text": "b"}]
        assert not store.holds(SECRET)
        if not round_:
            one.delete_session(SESSION)


async def test_read_ahead(store: Store) -> None:
    """`open` reads the key along with the session."""
    Agent(model=ScriptedModel(["one"]), session_manager=store.manager(), callback_handler=None)("a")
    database = store.database()
    manager = await PerSQLSessionManager.open(SESSION, database, encryption=KEY)
    agent = Agent(model=ScriptedModel(["two"]), session_manager=manager, callback_handler=None)
    assert len(database.requests) == 1
    assert words_of(agent.messages) == ["a", "one"]
    await asyncio.sleep(0)


def test_no_more_requests(tmp_path: Path) -> None:
    """Beginning, turns and a restore take as many requests and write as many rows as in clear."""
    counts = []
    for encryption in (None, KEY):
        store = Store(tmp_path / f"{encryption is None}.db", encryption=encryption)
        database = store.database()
        Agent(model=ScriptedModel(["one", "two"]), session_manager=store.manager(database), callback_handler=None)("a")
        requests = [len(database.requests)]
        with store.counted_writes() as written:
            database = store.database()
            agent = Agent(
                model=ScriptedModel(["one", "two"]), session_manager=store.manager(database), callback_handler=None
            )
            requests.append(len(database.requests))
            agent("b")
            requests.append(len(database.requests))
        counts.append((requests, written))
        store.close()
    assert counts[0] == counts[1]


def test_a_deleted_session_begins_with_a_new_key(store: Store) -> None:
    """Deleting takes the data key away; what is begun under the same id has another, in the same process, too."""
    database = store.database()
    keys = []
    for _ in range(2):
        manager = store.manager(database)
        Agent(model=ScriptedModel(["one"]), session_manager=manager, callback_handler=None)("a")
        with store.sqlite() as connection:
            keys += [key for (key,) in connection.execute("SELECT data_key FROM strands_sessions")]
        opened(store).delete(SESSION)
    assert len(set(keys)) == 2


def test_keys_are_checked_when_they_are_given() -> None:
    """What is no key is told at once; an object that wraps is tried."""

    class Broken:
        def wrap(self, key: bytes) -> bytes:
            raise OSError("no network")

        def unwrap(self, wrapped: bytes) -> bytes:
            return wrapped

    class Forgetful(Broken):
        def wrap(self, key: bytes) -> bytes:
            return b"x" * 64

    with pytest.raises(ValueError, match=r"must be 32 bytes.* got 16 bytes"):
        Encryption(b"x" * 16)
    with pytest.raises(ValueError, match="got something else"):
        Encryption("not a key!")
    with pytest.raises(ValueError, match="needs a key"):
        Encryption({})
    with pytest.raises(EncryptionError, match="could not be wrapped"):
        Encryption(Broken())
    with pytest.raises(EncryptionError):
        Encryption(Forgetful())
    assert "key" not in repr(Encryption(bytes(32))).replace("key_id", "")


def test_rotation(store: Store) -> None:
    """Data keys are wrapped anew, no document is touched, agents go on, and the old key is needed no more."""
    old, new = generate_key(), generate_key()
    store.encryption = Encryption({"old": old})
    agent = Agent(model=ScriptedModel(["one", "two"]), session_manager=store.manager(), callback_handler=None)
    agent(SECRET)
    with store.sqlite() as connection:
        before = connection.execute("SELECT data FROM strands_messages").fetchall()
    both = PerSQLSessions(store.database(), encryption=Encryption({"old": old, "new": new}))
    assert both.rotate() == 1
    assert both.rotate() == 0
    with store.sqlite() as connection:
        assert connection.execute("SELECT data FROM strands_messages").fetchall() == before
    agent("b")
    store.encryption = Encryption({"new": new})
    assert words_of(store.messages()) == [SECRET, "one", "b", "two"]


def test_rotation_of_memories(store: Store) -> None:
    """The data keys of what is no session's are wrapped anew, too: the old key is needed no more."""
    pytest.importorskip("strands.memory")
    old, new = generate_key(), generate_key()

    def memories(keys: Encryption) -> PerSQLMemoryStore:
        return PerSQLMemoryStore(store.database(), name="facts", encryption=keys)

    asyncio.run(memories(Encryption({"old": old})).add(SECRET))
    assert PerSQLSessions(store.database(), encryption=Encryption({"old": old, "new": new})).rotate() == 1
    found = asyncio.run(memories(Encryption({"new": new})).search(SECRET))
    assert [each.content for each in found] == [SECRET]
    assert not store.holds(SECRET)


def test_database_of_another_name() -> None:
    """A database in memory is encrypted like any other."""
    with PerSQL(local=":memory:") as client:
        database = client.database(DATABASE)
        manager = PerSQLSessionManager(SESSION, database, encryption=KEY, title=SECRET, tags=[SECRET])
        Agent(model=ScriptedModel(["one"]), session_manager=manager, callback_handler=None)("a")
        (row,) = database.query("SELECT title, tags FROM strands_sessions")["data"]
        assert SECRET not in row["title"] + row["tags"]
        detail = PerSQLSessions(database, encryption=KEY).get(SESSION)
        assert (detail.title, detail.tags) == (SECRET, (SECRET,))
