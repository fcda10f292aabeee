"""What all tests share: the emulator of the service, and a namespace of it for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from strands_persql.client import _retry

from .emulator import Emulator, Server


@pytest.fixture(scope="session")
def emulator_server() -> Iterator[Server]:
    """The emulator, running on a free loopback port."""
    with Server() as server:
        yield server


@pytest.fixture
def emulator(emulator_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A namespace of the emulator for this test alone; the clients it hands out hardly wait between retries."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)
    emulator = emulator_server.namespace()
    yield emulator
    emulator.close()
