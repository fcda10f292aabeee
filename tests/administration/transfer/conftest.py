"""Where these tests bring sessions: a local file, and the emulator of the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ...agents.harness import Store
from ...agents.remote.conftest import remote
from ...agents.remote.places import Remote

__all__ = ["local", "place", "remote"]


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A database, in both of its forms."""
    if request.param == "local":
        place = Store(tmp_path / "place.db")
    else:
        place = Remote(tmp_path, emulator=request.getfixturevalue("emulator"))
    yield place
    place.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Store]:
    """A database in a local file."""
    place = Store(tmp_path / "place.db")
    yield place
    place.close()
