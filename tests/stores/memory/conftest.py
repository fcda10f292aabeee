"""Where memories live in these tests: a local file, and the service."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL
from strands_persql.stores.memory import PerSQLMemoryStore

from ...emulator import Emulator


class Place:
    """One database, and the stores that a test opens over it.

    Attributes:
        emulator: The service's; None where the database is a local file.
    """

    def __init__(self, folder: Path, emulator: Emulator | None) -> None:
        self.emulator = emulator
        self._file = folder / "memories.db"
        self._clients: list[PerSQL] = []

    def database(self) -> Any:
        """A handle over a client of its own."""
        if self.emulator is not None:
            return self.emulator.database()
        self._clients.append(PerSQL(local=str(self._file)))
        return self._clients[-1].database("local/memories")

    def store(self, scope: str = "ada", *, database: Any = None, **options: Any) -> PerSQLMemoryStore:
        """A store of the memories of one user."""
        return PerSQLMemoryStore(database or self.database(), scope=scope, **{"name": "facts", **options})

    @contextlib.contextmanager
    def sqlite(self) -> Iterator[sqlite3.Connection]:
        """The file behind it all."""
        path = self._file if self.emulator is None else self.emulator.path("agents")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield connection

    def holds(self, words: str) -> bool:
        """Whether any table, the index's own included, has these bytes in any row."""
        with self.sqlite() as connection:
            tables = [
                name
                for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
                if "USING fts5" not in sql
            ]
            return any(
                words.encode() in (value if isinstance(value, bytes) else str(value).encode())
                for table in tables
                for row in connection.execute(f"SELECT * FROM {table}")
                for value in row
            )

    def close(self) -> None:
        """Close the local clients; the emulator closes its own."""
        for client in self._clients:
            client.close()


@pytest.fixture(params=["file", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each of the places in turn."""
    place = Place(tmp_path, request.getfixturevalue("emulator") if request.param == "remote" else None)
    yield place
    place.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Place]:
    """A local file."""
    place = Place(tmp_path, None)
    yield place
    place.close()


@pytest.fixture
def remote(tmp_path: Path, emulator: Emulator) -> Place:
    """The service."""
    return Place(tmp_path, emulator)
