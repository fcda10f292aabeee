"""Fixtures for tests over the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ...emulator import Emulator
from .places import Remote


@pytest.fixture
def remote(emulator: Emulator, tmp_path: Path) -> Iterator[Remote]:
    """A database of the service, through this package's own client."""
    remote = Remote(tmp_path, emulator=emulator)
    yield remote
    remote.close()


@pytest.fixture(params=["client", "sdk"])
def either(request: pytest.FixtureRequest, remote: Remote) -> Remote:
    """The same through either kind of handle."""
    remote.sdk = request.param == "sdk"
    return remote
