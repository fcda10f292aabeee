"""Bad input is refused at construction, with an error that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL, PerSQLSessionManager

from .agents import agent_of
from .harness import Store
from .scripted import ScriptedModel


@pytest.mark.parametrize("session_id", ["", "  ", None, 7, b"bytes", ["a"]])
def test_session_id(store: Store, session_id: Any) -> None:
    """An empty session id, or one that is no string."""
    with pytest.raises((TypeError, ValueError), match="session_id"):
        store.manager(session_id=session_id)


@pytest.mark.parametrize("name", ["", "agents", "a/b/c", "/b", "a/"])
def test_database_name(tmp_path: Path, name: str) -> None:
    """A database name that is not `namespace/slug`."""
    with PerSQL(local=str(tmp_path / "x.db")) as client, pytest.raises(ValueError):
        client.database(name)
    with pytest.raises(ValueError):
        PerSQLSessionManager.from_token("session", "psql_token", name)


@pytest.mark.parametrize("prefix", ["", "1st_", "a b", "x; DROP TABLE y", 'a"b', "sqlite_", "ü_", None, 7])
def test_table_prefix(store: Store, prefix: Any) -> None:
    """A table prefix that is not safe inside SQL."""
    with pytest.raises((TypeError, ValueError), match="table_prefix"):
        PerSQLSessionManager("session", store.database(), table_prefix=prefix)


class _QueryOnly:
    def query(self, sql: str, params: Any = ()) -> Any:
        raise AssertionError


class _NotCallable:
    query = batch = "no method"


@pytest.mark.parametrize("handle", [None, object(), "acme/agents", _QueryOnly(), _NotCallable()])
def test_handle_without_the_two_calls(handle: Any) -> None:
    """A handle that lacks `query` or `batch`."""
    with pytest.raises(TypeError, match="query"):
        PerSQLSessionManager("session", handle)


def test_client_in_place_of_a_handle(tmp_path: Path) -> None:
    """The client itself, whose `database` was forgotten: the error says so."""
    with PerSQL(local=str(tmp_path / "x.db")) as client, pytest.raises(TypeError, match="database"):
        PerSQLSessionManager("session", client)  # type: ignore[arg-type]


class _Asynchronous:
    async def query(self, sql: str, params: Any = ()) -> Any:
        raise AssertionError

    async def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        raise AssertionError


def test_awaitable_handle() -> None:
    """An asynchronous handle is told apart at construction."""
    with pytest.raises(TypeError, match=r"[Aa]sync|synchronous"):
        PerSQLSessionManager("session", _Asynchronous())  # type: ignore[arg-type]


class _ReturnsAwaitables:
    def __init__(self) -> None:
        self._inner = _Asynchronous()

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._inner.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        return self._inner.batch(statements, transaction=transaction)


@pytest.mark.filterwarnings("error")
def test_handle_that_returns_awaitables() -> None:
    """A handle whose calls only turn out to be awaitable is told apart at its first call; nothing is left unawaited."""
    manager = PerSQLSessionManager("session", _ReturnsAwaitables())
    with pytest.raises(TypeError, match=r"[Aa]sync|synchronous"):
        agent_of(ScriptedModel())(manager)


def test_token_and_local(tmp_path: Path) -> None:
    """A token and a local path at once, or neither."""
    with pytest.raises((TypeError, ValueError)):
        PerSQL(token="psql_token", local=str(tmp_path / "x.db"))
    with pytest.raises((TypeError, ValueError)):
        PerSQL()


@pytest.mark.parametrize("durability", ["", "messages", "always", None, 1])
def test_durability(store: Store, durability: Any) -> None:
    """A durability that there isn't."""
    with pytest.raises((TypeError, ValueError), match="durability"):
        PerSQLSessionManager("session", store.database(), durability=durability)


def test_construction_makes_no_request(store: Store) -> None:
    """The manager's constructor makes no request, and is truthy, as Strands needs it to be."""
    database = store.database()
    manager = store.manager(database)
    assert database.requests == []
    assert manager
    assert manager.session_id == "session-1"


def test_secrets_stay_out_of_sight() -> None:
    """A manager's repr holds no token."""
    with PerSQLSessionManager.from_token(
        "session", "psql_VERYSECRET", "acme/agents", base_url="http://127.0.0.1:9"
    ) as it:
        assert "VERYSECRET" not in repr(it)
        assert "session" in repr(it)
