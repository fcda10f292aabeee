"""Fixtures for tests with real agents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strands_persql.client import _pace

from .harness import Build, Mode, Scenario, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One database file, whatever managers a test opens over it."""
    store = Store(tmp_path / "sessions.db")
    yield store
    store.close()


@pytest.fixture
def quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """No write is slow because something else runs on this machine."""
    monkeypatch.setattr(_pace, "SLOW_SECONDS", 30.0)


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Both ways to invoke an agent: `agent(...)` and `await agent.invoke_async(...)`."""
    mode: Mode = request.param
    return mode


@pytest.fixture
def scenario(store: Store, mode: Mode) -> Callable[[Build], Scenario]:
    """Start a live agent that is compared with a restored one after each turn, in both forms."""

    def start(build: Build, **options: Any) -> Scenario:
        return Scenario(store, build, mode, **options)

    return start
