"""A pytest plugin: Strands' own tests of its repository session manager, over this package's repository.

For `scripts/conformance`, which loads it by its name alone, in a folder where `tests` is Strands' own package. So it
imports nothing of this package's tests, and the module that it changes only once it is there.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
from strands.types.session import SessionAgent

from strands_persql import PerSQL, PerSQLSessionRepository

MOCKED_INTERRUPTS = "its agent is a Mock with Mocks for interrupt state: no JSON, so no store, can hold them"
"""Up to Strands 1.55, whose repository session manager knows bidirectional agents by methods of their own."""

DESELECTED = dict.fromkeys(
    (
        "test_append_bidi_message",
        "test_bidi_agent_no_conversation_manager",
        "test_bidi_agent_unique_id_constraint",
        "test_initialize_bidi_agent_calls_read_agent_for_existing_session",
        "test_initialize_bidi_agent_creates_new",
        "test_initialize_bidi_agent_skips_read_agent_for_new_session",
        "test_sync_bidi_agent",
    ),
    MOCKED_INTERRUPTS,
)


class FreshRepository(PerSQLSessionRepository):
    """A repository in the place of Strands' mock: without arguments, over an empty database in memory.

    A class, for a test calls its methods unbound.
    """

    def __init__(self) -> None:
        super().__init__(PerSQL(local=":memory:").database("conformance/repository"))


def pytest_configure(config: pytest.Config) -> None:
    """Put our repository in the mock's place before any test module imports it."""
    sys.path.insert(0, str(config.rootpath))
    import tests.fixtures.mock_session_repository as fixture

    mocked: Any = fixture
    mocked.MockedSessionRepository = FreshRepository


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what no store can pass."""
    if not hasattr(SessionAgent, "from_bidi_agent"):
        return
    left_out = [item for item in items if item.name in DESELECTED]
    items[:] = [item for item in items if item.name not in DESELECTED]
    config.hook.pytest_deselected(items=left_out)
    config.stash[_LEFT_OUT] = [item.name for item in left_out]


_LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was left out, and why."""
    for name in config.stash.get(_LEFT_OUT, []):
        terminalreporter.write_line(f"DESELECTED {name}: {DESELECTED[name]}")
