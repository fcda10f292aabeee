"""`PerSQLSessionRepository`: Strands' contract, one request a method."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest
from strands.session import SessionRepository
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from strands_persql import Database, Encryption, PerSQL, PerSQLSessionRepository, SessionDataError
from strands_persql.encryption import generate_key

from ...emulator import Emulator
from ...emulator.faults import cut_after_commit

BIG = "é漢🎈\x00\u2028" * 120_000
IDS = ["s", "", " ", "a/b", "..", "\\", "'; DROP TABLE strands_sessions; --", '"', "é漢🎈", "nul\x00", "%", "x" * 1000]


class Recording:
    """A handle that counts its requests."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.requests: list[list[str]] = []

    def query(self, sql: str, params: Sequence[Any] = ()) -> Mapping[str, Any]:
        """One statement."""
        self.requests.append([sql])
        return self.inner.query(sql, params)

    def batch(self, statements: Sequence[Mapping[str, Any]], *, transaction: bool = False) -> Sequence[Any]:
        """One request."""
        self.requests.append([statement["sql"] for statement in statements])
        return self.inner.batch(statements, transaction=transaction)


class Multi:
    """What the repository needs of a Graph or Swarm."""

    def __init__(self, multi_agent_id: str, state: dict[str, Any]) -> None:
        self.id = multi_agent_id
        self.state = state

    def serialize_state(self) -> dict[str, Any]:
        """Its state."""
        return self.state


@pytest.fixture
def database() -> Recording:
    """A database with the tables."""
    recording = Recording(PerSQL(local=":memory:").database("test/repository"))
    PerSQLSessionRepository(recording).read_session("none")
    recording.requests.clear()
    return recording


@pytest.fixture
def repository(database: Recording) -> PerSQLSessionRepository:
    """A repository over it."""
    return PerSQLSessionRepository(database)


def session(session_id: str = "s") -> Session:
    """A session."""
    return Session(session_id=session_id, session_type=SessionType.AGENT)


def agent(agent_id: str = "a", **more: Any) -> SessionAgent:
    """An agent."""
    fields: dict[str, Any] = {"state": {"n": 1}, "conversation_manager_state": {"removed_message_count": 0}}
    return SessionAgent(agent_id=agent_id, **(fields | more))


def message(position: int, text: str = "words", **more: Any) -> SessionMessage:
    """A message."""
    return SessionMessage(
        message={"role": "user", "content": [{"text": text}]}, message_id=position, **cast("dict[str, Any]", more)
    )


def multi(state: Any = 1, multi_agent_id: str = "m") -> Any:
    """A Graph or Swarm."""
    return Multi(multi_agent_id, {"type": "graph", "state": state})


def filled(repository: PerSQLSessionRepository, count: int = 3, session_id: str = "s") -> None:
    """A session with an agent, messages, and a Graph."""
    repository.create_session(session(session_id))
    repository.create_agent(session_id, agent())
    for i in range(count):
        repository.create_message(session_id, "a", message(i, f"text {i}"))
    repository.create_multi_agent(session_id, multi())


def stored(database: Recording) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table but the layout's version."""
    names = ("sessions", "agents", "messages", "multi_agents", "chunks")
    return {name: list(database.inner.query(f"SELECT * FROM strands_{name}")["data"]) for name in names}


def test_it_is_a_session_repository(repository: PerSQLSessionRepository) -> None:
    """Strands' own class takes it."""
    assert isinstance(repository, SessionRepository)


def test_what_is_created_is_read(repository: PerSQLSessionRepository) -> None:
    """Sessions, agents, messages and Graphs come back as they were."""
    one, two, three = session(), agent(state={"é": [1, None, {"x": "\u2028"}]}), message(0, "hello")
    assert repository.create_session(one) is one
    repository.create_agent("s", two)
    repository.create_message("s", "a", three)
    repository.create_multi_agent("s", multi({"nodes": ["x"]}))
    assert repository.read_session("s") == one
    assert repository.read_agent("s", "a") == two
    assert repository.read_message("s", "a", 0) == three
    assert repository.list_messages("s", "a") == [three]
    assert repository.read_multi_agent("s", "m") == {"type": "graph", "state": {"nodes": ["x"]}}


def test_what_is_missing_is_none(repository: PerSQLSessionRepository) -> None:
    """A read of what is not there answers None, a list of messages is empty."""
    assert repository.read_session("s") is None
    assert repository.read_agent("s", "a") is None
    assert repository.read_message("s", "a", 0) is None
    assert repository.read_multi_agent("s", "m") is None
    assert repository.list_messages("s", "a") == []


def test_what_is_missing_can_not_be_changed(repository: PerSQLSessionRepository, database: Recording) -> None:
    """An update or delete of what is not there raises, and writes nothing."""
    attempts: list[Callable[[], Any]] = [
        lambda: repository.update_agent("s", agent()),
        lambda: repository.update_message("s", "a", message(0)),
        lambda: repository.update_multi_agent("s", multi()),
        lambda: repository.delete_session("s"),
        lambda: repository.create_agent("s", agent(state={"big": BIG})),
        lambda: repository.create_message("s", "a", message(0, BIG)),
        lambda: repository.create_multi_agent("s", multi(BIG)),
    ]
    for attempt in attempts:
        with pytest.raises(SessionException, match=r"'[sam]'.*does not exist|does not exist"):
            attempt()
    assert not any(stored(database).values())


def test_what_exists_is_not_created_again(repository: PerSQLSessionRepository, database: Recording) -> None:
    """A second creation of a session, agent or message raises, and changes nothing."""
    filled(repository)
    before = stored(database)
    for attempt in (
        lambda: repository.create_session(session()),
        lambda: repository.create_agent("s", agent(state={"other": BIG})),
        lambda: repository.create_message("s", "a", message(1, BIG)),
    ):
        with pytest.raises(SessionException, match="exists already"):
            attempt()
    assert stored(database) == before


@pytest.mark.parametrize("number", range(1, 10))
@pytest.mark.parametrize("encryption", [None, Encryption({"one": generate_key()})], ids=["clear", "encrypted"])
def test_an_answer_that_was_lost(emulator: Emulator, encryption: Encryption | None, number: int) -> None:
    """A creation that was carried out, though no key replays its answer, is not told as somebody else's."""
    repository = PerSQLSessionRepository(emulator.database(), encryption=encryption)
    repository.read_session("s")
    emulator.reset()
    emulator.faults.at(number, cut_after_commit(cached=False))
    repository.create_session(session())
    repository.create_agent("s", agent(state={"long": BIG}))
    for position, content in enumerate(("short", BIG, "\ud800")):
        repository.create_message("s", "a", message(position, content))
    repository.create_multi_agent("s", multi())
    repository.update_multi_agent("s", multi(2))
    repository.update_message("s", "a", message(0, "new"))
    assert [each.message["content"][0]["text"] for each in repository.list_messages("s", "a")] == ["new", BIG, "\ud800"]
    assert repository.read_multi_agent("s", "m") == {"type": "graph", "state": 2}


def test_updates_replace_and_keep_created_at(repository: PerSQLSessionRepository) -> None:
    """The new content is stored, the time of the first writing stays."""
    filled(repository)
    repository.update_agent("s", agent(state={"n": 2}, created_at="later", updated_at="later"))
    repository.update_message("s", "a", message(1, "new", created_at="later", updated_at="later"))
    repository.update_multi_agent("s", multi(2))
    one, two = repository.read_agent("s", "a"), repository.read_message("s", "a", 1)
    assert one is not None
    assert two is not None
    assert (one.state, one.updated_at) == ({"n": 2}, "later")
    assert (two.message["content"], two.updated_at) == ([{"text": "new"}], "later")
    assert "later" not in (one.created_at, two.created_at)
    assert repository.read_multi_agent("s", "m") == {"type": "graph", "state": 2}


@pytest.mark.parametrize("old", ["small", BIG, float("nan")], ids=["small", "big", "nan"])
@pytest.mark.parametrize("new", ["small", BIG, float("nan")], ids=["small", "big", "nan"])
def test_created_at_is_kept_whatever_the_size(repository: PerSQLSessionRepository, old: Any, new: Any) -> None:
    """Also where the old or the new document stands in parts, or holds what SQLite's JSON does not know."""
    repository.create_session(session())
    repository.create_agent("s", agent(state={"x": old}, created_at="first"))
    content: Any = {"role": "user", "content": [{"toolResult": {"content": [{"json": old}]}}]}
    repository.create_message("s", "a", SessionMessage(message=content, message_id=0, created_at="first"))
    repository.update_agent("s", agent(state={"x": new}, created_at="later"))
    content = {"role": "user", "content": [{"toolResult": {"content": [{"json": new}]}}]}
    repository.update_message("s", "a", SessionMessage(message=content, message_id=0, created_at="later"))
    one, two = repository.read_agent("s", "a"), repository.read_message("s", "a", 0)
    assert one is not None
    assert two is not None
    assert repr(one.state) == repr({"x": new})
    assert repr(two.message) == repr(content)
    assert (one.created_at, two.created_at) == ("first", "first")


@pytest.mark.parametrize("raw", ["SECRET", "SECRET" * 300_000], ids=["small", "big"])
def test_a_redacted_message_is_physically_overwritten(
    repository: PerSQLSessionRepository, database: Recording, raw: str
) -> None:
    """No row holds what a message held before its redaction."""
    filled(repository)
    repository.create_message("s", "a", message(3, raw))
    redacted: Any = {"role": "user", "content": [{"text": "gone"}]}
    repository.update_message("s", "a", message(3, raw, redact_message=redacted))
    assert "SECRET" not in json.dumps(stored(database))
    found = repository.read_message("s", "a", 3)
    assert found is not None
    assert found.to_message() == redacted
    repository.create_message("s", "a", message(4, raw, redact_message=redacted))
    assert "SECRET" not in json.dumps(stored(database))
    assert [one.to_message()["content"][0].get("text") for one in repository.list_messages("s", "a", offset=3)] == [
        "gone",
        "gone",
    ]


@pytest.mark.parametrize("position", ["0", 0.0, None, True, [0]])
def test_a_message_id_is_an_integer(repository: PerSQLSessionRepository, position: Any) -> None:
    """Anything else is a ValueError, and nothing is sent."""
    filled(repository)
    attempts: list[Callable[[], Any]] = [
        lambda: repository.read_message("s", "a", position),
        lambda: repository.create_message("s", "a", message(position)),
        lambda: repository.update_message("s", "a", message(position)),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match="message_id"):
            attempt()


@pytest.mark.parametrize(
    ("limit", "offset"),
    [(None, 0), (None, 2), (2, 0), (2, 2), (0, 0), (9, 4), (None, 5), (1, 9), (None, -2), (2, -3), (3, -9)],
)
def test_messages_are_listed_by_position(repository: PerSQLSessionRepository, limit: int | None, offset: int) -> None:
    """In the order of their ids, whatever the order of their creation; limit and offset count messages, not ids.

    A negative offset counts from the end, as it does with Strands' own FileSessionManager.
    """
    repository.create_session(session())
    repository.create_agent("s", agent())
    for i in (30, 2, 10, 1, 20):
        repository.create_message("s", "a", message(i, BIG if i == 20 else str(i)))
    ids = [1, 2, 10, 20, 30]
    found = repository.list_messages("s", "a", limit=limit, offset=offset)
    assert [one.message_id for one in found] == ids[offset:][: len(ids) if limit is None else limit]
    assert all(
        one.message["content"][0].get("text") == (BIG if one.message_id == 20 else str(one.message_id)) for one in found
    )


def test_keyword_calls_and_further_arguments(repository: PerSQLSessionRepository) -> None:
    """Strands calls by keyword, and passes on what it does not know."""
    repository.create_session(session=session(), further=1)
    repository.read_session(session_id="s", further=1)
    repository.create_agent(session_id="s", session_agent=agent(), further=1)
    repository.read_agent(session_id="s", agent_id="a", further=1)
    repository.update_agent(session_id="s", session_agent=agent(), further=1)
    repository.create_message(session_id="s", agent_id="a", session_message=message(0), further=1)
    repository.read_message(session_id="s", agent_id="a", message_id=0, further=1)
    repository.update_message(session_id="s", agent_id="a", session_message=message(0), further=1)
    repository.create_multi_agent(session_id="s", multi_agent=multi(), further=1)
    repository.read_multi_agent(session_id="s", multi_agent_id="m", further=1)
    repository.update_multi_agent(session_id="s", multi_agent=multi(), further=1)
    assert len(repository.list_messages(session_id="s", agent_id="a", limit=None, offset=0, further=1)) == 1
    repository.delete_session(session_id="s", further=1)


def test_each_method_is_one_request(repository: PerSQLSessionRepository, database: Recording) -> None:
    """Nothing is read before it is written, and nothing asked twice, big documents included."""
    for size in ("small", BIG):
        for call in (
            lambda: repository.create_session(session()),
            lambda: repository.read_session("s"),
            lambda size=size: repository.create_agent("s", agent(state={"x": size})),
            lambda: repository.read_agent("s", "a"),
            lambda size=size: repository.update_agent("s", agent(state={"x": size})),
            lambda size=size: repository.create_message("s", "a", message(0, size)),
            lambda: repository.read_message("s", "a", 0),
            lambda size=size: repository.update_message("s", "a", message(0, size)),
            lambda: repository.list_messages("s", "a"),
            lambda size=size: repository.create_multi_agent("s", multi(size)),
            lambda: repository.read_multi_agent("s", "m"),
            lambda size=size: repository.update_multi_agent("s", multi(size)),
            lambda: repository.delete_session("s"),
        ):
            database.requests.clear()
            call()
            assert len(database.requests) == 1, database.requests


def test_the_tables_are_made_when_they_are_missing() -> None:
    """The first call on an empty database makes three requests, the next one; none are made without leave."""
    database = Recording(PerSQL(local=":memory:").database("test/repository"))
    with pytest.raises(Exception, match=r"unknown_table|no such table|init"):
        PerSQLSessionRepository(database, create_tables=False).read_session("s")
    assert len(database.requests) == 1
    database.requests.clear()
    repository = PerSQLSessionRepository(database)
    repository.create_session(session())
    assert len(database.requests) == 3
    PerSQLSessionRepository(database, create_tables=False).create_session(session("other"))
    assert len(database.requests) == 4


@pytest.mark.parametrize("odd", IDS)
def test_odd_ids(repository: PerSQLSessionRepository, odd: str) -> None:
    """Any text names a session, an agent or a Graph, and one name's rows are not another's."""
    filled(repository)
    name = f"{odd}2" if odd == "s" else odd
    repository.create_session(session(name))
    repository.create_agent(name, agent(name, state={"own": name}))
    repository.create_message(name, name, message(0, name))
    repository.create_multi_agent(name, multi(name, name))
    found = repository.read_agent(name, name)
    assert found is not None
    assert (found.agent_id, found.state) == (name, {"own": name})
    assert [one.message["content"][0].get("text") for one in repository.list_messages(name, name)] == [name]
    assert repository.read_multi_agent(name, name) == {"type": "graph", "state": name}
    assert len(repository.list_messages("s", "a")) == 3
    repository.delete_session(name)
    assert repository.read_session(name) is None
    assert len(repository.list_messages("s", "a")) == 3


def test_a_deleted_session_leaves_no_row(repository: PerSQLSessionRepository, database: Recording) -> None:
    """Of none of its parts either; other sessions stay whole, and it can begin anew."""
    filled(repository, session_id="other")
    before = stored(database)
    filled(repository)
    repository.create_agent("s", agent("b", state={"x": BIG}))
    repository.create_message("s", "a", message(3, BIG))
    repository.update_multi_agent("s", multi(BIG))
    assert stored(database)["chunks"]
    repository.delete_session("s")
    assert stored(database) == before
    with pytest.raises(SessionException, match="does not exist"):
        repository.delete_session("s")
    filled(repository)


def test_big_documents(repository: PerSQLSessionRepository, database: Recording) -> None:
    """They are stored in parts, read whole, and replaced without a trace."""
    filled(repository)
    repository.update_agent("s", agent(state={"x": BIG}))
    repository.update_message("s", "a", message(1, BIG))
    repository.update_multi_agent("s", multi(BIG))
    found, one = repository.read_agent("s", "a"), repository.read_message("s", "a", 1)
    assert found is not None
    assert one is not None
    assert found.state == {"x": BIG}
    assert one.message["content"] == [{"text": BIG}]
    assert [len(each.message["content"][0]["text"]) for each in repository.list_messages("s", "a")] == [6, len(BIG), 6]
    assert repository.read_multi_agent("s", "m") == {"type": "graph", "state": BIG}
    for row in (row for rows in stored(database).values() for row in rows):
        assert sum(len(value.encode()) for value in row.values() if isinstance(value, str)) < 2_000_000
    repository.update_agent("s", agent(state={"x": 1}))
    repository.update_message("s", "a", message(1, "small"))
    repository.update_multi_agent("s", multi("small"))
    assert stored(database)["chunks"] == []


def test_bytes_and_odd_content(repository: PerSQLSessionRepository) -> None:
    """Images, odd text and odd numbers come back as they were."""
    content: Any = [
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG\x00"}}},
        {"text": "\x00\u2028\u2029\ud800"},
        {"toolResult": {"content": [{"json": {"n": [1.5, -0.0, 2**60, float("inf")]}}]}},
    ]
    repository.create_session(session())
    repository.create_agent("s", agent())
    repository.create_message("s", "a", SessionMessage(message={"role": "user", "content": content}, message_id=0))
    found = repository.read_message("s", "a", 0)
    assert found is not None
    assert found.to_message()["content"] == content


def test_what_can_not_be_stored(repository: PerSQLSessionRepository, database: Recording) -> None:
    """A clear error before anything is sent."""
    filled(repository)
    database.requests.clear()
    with pytest.raises(SessionDataError, match=r"agent 'a'.*state\[key 0\]"):
        repository.update_agent("s", agent(state={"when": object()}))
    with pytest.raises(SessionDataError, match="message 1"):
        repository.update_message("s", "a", message(1, cast("str", object())))
    assert not database.requests


@pytest.mark.parametrize("data", ["{}", "[]", "{", "null", '{"persql_parts":2,"generation":"g"}', '{"message":5}'])
def test_rows_that_can_not_be_read(repository: PerSQLSessionRepository, database: Recording, data: str) -> None:
    """The error is ours and says which row."""
    filled(repository)
    for name in ("sessions", "agents", "messages"):
        database.inner.query(f"UPDATE strands_{name} SET data = ?", [data])
    for call, what in (
        (lambda: repository.read_session("s"), "session 's'"),
        (lambda: repository.read_agent("s", "a"), "agent 'a'"),
        (lambda: repository.read_message("s", "a", 1), "Message 1 of agent 'a'"),
        (lambda: repository.list_messages("s", "a"), "Message 0 of agent 'a'"),
    ):
        with pytest.raises(SessionDataError, match=what):
            call()


def test_table_prefixes_are_apart() -> None:
    """Two prefixes in one database know nothing of each other."""
    database = PerSQL(local=":memory:").database("test/repository")
    one, two = PerSQLSessionRepository(database), PerSQLSessionRepository(database, table_prefix="mine_")
    filled(one)
    assert two.read_session("s") is None
    filled(two, 1)
    assert len(one.list_messages("s", "a")) == 3
    with pytest.raises(ValueError, match="table_prefix"):
        PerSQLSessionRepository(database, table_prefix="a;b")
    with pytest.raises(TypeError, match="batch"):
        PerSQLSessionRepository(cast("Any", object()))
