"""Each test of a command runs over a local file and over the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL

from .places import Place


@pytest.fixture(params=["local", "service"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database without tables."""
    if request.param == "local":
        path = str(tmp_path / "agents.db")
        with PerSQL(local=path) as client:
            yield Place(client.database("acme/agents"), ("--local", path), {})
        return
    emulator: Any = request.getfixturevalue("emulator")
    settings = {"PERSQL_TOKEN": emulator.token("admin"), "PERSQL_API_URL": emulator.url}
    yield Place(emulator.database(), ("--database", emulator.name), settings)
