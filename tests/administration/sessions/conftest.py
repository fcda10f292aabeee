"""Where these tests store: a local file, and a database of the service; sessions made by real agents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from strands import Agent

from strands_persql.administration.sessions import PerSQLSessions

from ...agents.agents import agent_of
from ...agents.harness import RecordingDatabase, Store
from ...agents.remote.places import Remote
from ...agents.scripted import Reply, ScriptedModel
from ...emulator import Emulator


class Place:
    """One database, what agents leave in it, and its administrative face.

    Attributes:
        store: The database; every agent has a client and a manager of its own.
        sessions: The administrative face, over a client of its own.
        database: The handle of that, which logs its requests.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        handle: Any = store.database()
        self.database = handle if isinstance(handle, RecordingDatabase) else RecordingDatabase(handle)
        self.sessions = PerSQLSessions(self.database)

    def agent(self, session_id: str, *script: Reply, **options: Any) -> Agent:
        """What a process gets that opens a session: restored, with a model that plays a script."""
        return agent_of(ScriptedModel(list(script)), **options)(self.store.manager(session_id=session_id))

    def pages(self, *args: Any, **options: Any) -> list[Any]:
        """The messages of a transcript, its pages put together."""
        return [message for page in self.sessions.transcript(*args, **options) for message in page]

    def run(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """One statement behind the package's back."""
        rows: list[dict[str, Any]] = self.database.query(sql, list(params))["data"]
        return rows

    def run_beside(self, sql: str) -> None:
        """One statement in a file, by nobody's handle."""
        with self.store.sqlite() as connection:
            connection.execute(sql)


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A local file, and a database of the service."""
    if request.param == "local":
        store = Store(tmp_path / "sessions.db")
    else:
        emulator: Emulator = request.getfixturevalue("emulator")
        store = Remote(tmp_path, emulator=emulator)
    yield Place(store)
    store.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Place]:
    """A local file."""
    store = Store(tmp_path / "sessions.db")
    yield Place(store)
    store.close()


@pytest.fixture
def remote(emulator: Emulator, tmp_path: Path) -> Iterator[Place]:
    """A database of the service."""
    store = Remote(tmp_path, emulator=emulator)
    yield Place(store)
    store.close()
