"""Where objects live in these tests: a local file, and the service."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL
from strands_persql.stores.storage import PerSQLStorage

from ...emulator import Emulator


class Handle:
    """A handle that counts its requests, and lets a test do something before or after one of them.

    Attributes:
        requests: The SQL of each statement of each request so far.
        before: Called with the number of each request, from 1, before it is sent.
        after: The same, once it has been answered.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.requests: list[list[str]] = []
        self.before: Callable[[int], None] = lambda number: None
        self.after: Callable[[int], None] = lambda number: None

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._inner.query(sql, params)

    def batch(self, statements: Sequence[Any], *, transaction: bool = False, idempotency_key: str | None = None) -> Any:
        self.requests.append([each["sql"] for each in statements])
        number = len(self.requests)
        self.before(number)
        answer = self._inner.batch(statements, transaction=transaction, idempotency_key=idempotency_key)
        self.after(number)
        return answer


class Place:
    """One database, and the storages that a test opens over it.

    Attributes:
        emulator: The service's; None where the database is a local file.
    """

    def __init__(self, folder: Path, emulator: Emulator | None) -> None:
        self.emulator = emulator
        self._file = folder / "objects.db"
        self._clients: list[PerSQL] = []

    def database(self, **options: Any) -> Handle:
        """A handle over a client of its own."""
        if self.emulator is not None:
            return Handle(self.emulator.database(**options))
        self._clients.append(PerSQL(local=str(self._file)))
        return Handle(self._clients[-1].database("local/objects"))

    def storage(self, database: Any = None, **options: Any) -> PerSQLStorage:
        """A storage over a handle and client of its own, unless a handle is given."""
        return PerSQLStorage(database or self.database(), **options)

    @contextlib.contextmanager
    def sqlite(self) -> Iterator[sqlite3.Connection]:
        """The file behind it all."""
        path = self._file if self.emulator is None else self.emulator.path("agents")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield connection

    def rows(self, columns: str = "key, part") -> list[tuple[Any, ...]]:
        """Columns of every row there is."""
        with self.sqlite() as connection:
            return connection.execute(f"SELECT {columns} FROM strands_objects ORDER BY key, part").fetchall()

    def close(self) -> None:
        while self._clients:
            self._clients.pop().close()


@pytest.fixture(params=["local", "emulator"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Both in turn."""
    place = Place(tmp_path, request.getfixturevalue("emulator") if request.param == "emulator" else None)
    yield place
    place.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Place]:
    """A local file."""
    place = Place(tmp_path, None)
    yield place
    place.close()


@pytest.fixture
def service(tmp_path: Path, emulator: Emulator) -> Iterator[Place]:
    """The service."""
    place = Place(tmp_path, emulator)
    yield place
    place.close()
