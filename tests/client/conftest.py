"""The places a handle can lead to, for tests that run over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from strands_persql.client import PerSQL

from ..emulator import Emulator

PLACES = ("file", "folder", "memory", "remote")


@dataclass
class Place:
    """Where a test's database lives.

    Attributes:
        kind: `"file"`, `"folder"`, `"memory"` or `"remote"`.
        name: The database's name.
        open: Makes another client of the same place; with `"memory"` it sees nothing of the first.
    """

    kind: str
    name: str
    open: Callable[[], PerSQL]

    @property
    def shared(self) -> bool:
        """Whether two clients see the same data."""
        return self.kind != "memory"


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each of the places in turn."""
    clients: list[PerSQL] = []
    if request.param == "remote":
        emulator: Emulator = request.getfixturevalue("emulator")
        yield Place("remote", emulator.name, emulator.client)
        return
    local = {"file": str(tmp_path / "agents.db"), "folder": f"{tmp_path}/agents/", "memory": ":memory:"}[request.param]

    def open_local() -> PerSQL:
        clients.append(PerSQL(local=local))
        return clients[-1]

    yield Place(request.param, "acme/agents", open_local)
    for client in clients:
        client.close()


@pytest.fixture
def client(place: Place) -> PerSQL:
    """A client of that place."""
    return place.open()


@pytest.fixture
def db(client: PerSQL, place: Place) -> Any:
    """A handle, and a table to try it on."""
    handle = client.database(place.name)
    handle.query("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER CHECK (n > 0), x)")
    return handle
