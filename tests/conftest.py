"""What all tests share: the emulator of the service, a namespace of it for each test, and where snapshots stand."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.amber import AmberSnapshotExtension

from strands_persql.client import _retry

from . import processes
from .emulator import Emulator, Server
from .thorough import tries

settings.register_profile(  # unhurried, and with a blob printed that repeats a failure
    "strands-persql",
    deadline=None,
    max_examples=tries(25, 60),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("strands-persql")


def pytest_collection_finish() -> None:
    """Let no collection of garbage look again and again at what was imported: it stays until the end."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No collection of garbage: in the midst of JSON nested to the recursion limit, every destructor would fail."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _processes() -> Iterator[None]:
    """What starts the tests' processes ends with the tests."""
    yield
    processes.close()


class _BesideAllTests(AmberSnapshotExtension):
    """Keeps snapshots in `tests/__snapshots__`, not in a folder beside each test."""

    snapshot_dirname = str(Path(__file__).with_name("__snapshots__"))


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """The stored rows as they should be: `pytest --snapshot-update` writes them anew."""
    return snapshot.use_extension(_BesideAllTests)
