"""A pytest plugin: Strands' own tests of its repository session manager and of its storage, over this package's own.

For `scripts/conformance`, which loads it by its name alone, in a folder where `tests` is Strands' own package. So it
imports nothing of this package's tests, and the module that it changes only once it is there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from typing import Any

import pytest
from strands.types.session import SessionAgent

from strands_persql import PerSQL, PerSQLSessionRepository
from strands_persql.stores.storage import PerSQLStorage

MOCKED_INTERRUPTS = "its agent is a Mock with Mocks for interrupt state: no JSON, so no store, can hold them"
"""Up to Strands 1.55, whose repository session manager knows bidirectional agents by methods of their own."""

REPOSITORY = dict.fromkeys(
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

EPHEMERAL = "it asserts that the storage does not outlive the process: this one does"
PRIVATE = "it writes into a private field of InMemoryStorage"
NAMED = "it asserts the name of the class InMemoryStorage"
PATCHED = "it puts a method into the storage that it has given: an offloader uses its session's part, another object"

STORAGE = {
    "test_save_includes_inline_stash_for_ephemeral_storage": EPHEMERAL,
    "test_eviction_debug_log_on_delete_failure": PATCHED,
    "test_save_omits_stash_when_empty": EPHEMERAL,
    "test_immutable_snapshot_includes_stash": EPHEMERAL,
    "test_ephemeral_detection_survives_namespacing": EPHEMERAL,
    "test_false_with_namespaced_in_memory_storage": EPHEMERAL,
    "test_skips_keys_where_read_returns_none": PRIVATE,
    "test_returns_class_name_of_base_storage": NAMED,
}


class FreshRepository(PerSQLSessionRepository):
    """A repository in the place of Strands' mock: without arguments, over an empty database in memory.

    A class, for a test calls its methods unbound.
    """

    def __init__(self) -> None:
        super().__init__(PerSQL(local=":memory:").database("conformance/repository"))


class FreshStorage(PerSQLStorage):
    """A storage in the place of Strands' `InMemoryStorage`: over an empty database in memory.

    A class, for a test derives from it.
    """

    def __init__(self, *, search_strategy: Any = None) -> None:
        super().__init__(PerSQL(local=":memory:").database("conformance/storage"), search_strategy=search_strategy)

    def clear(self) -> None:
        """Delete all that is visible here; in a thread, for a test calls it from its event loop."""

        async def delete_all() -> None:
            for key in await self.list(""):
                await self.delete(key)

        thread = threading.Thread(target=lambda: asyncio.run(delete_all()))
        thread.start()
        thread.join()


def pytest_configure(config: pytest.Config) -> None:
    """Put our classes in the place of Strands' before any test module imports them."""
    sys.path.insert(0, str(config.rootpath))
    import tests.fixtures.mock_session_repository as fixture  # type: ignore[import-not-found]  # of Strands' tests

    mocked: Any = fixture
    mocked.MockedSessionRepository = FreshRepository
    if importlib.util.find_spec("strands.storage"):
        for name in ("strands.storage", "strands.storage.in_memory_storage"):
            module: Any = importlib.import_module(name)
            module.InMemoryStorage = FreshStorage


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what no store can pass, and what is about memory alone."""
    reasons = STORAGE | (REPOSITORY if hasattr(SessionAgent, "from_bidi_agent") else {})
    left_out = [item for item in items if item.name in reasons]
    items[:] = [item for item in items if item.name not in reasons]
    config.hook.pytest_deselected(items=left_out)
    config.stash[_LEFT_OUT] = {item.name: reasons[item.name] for item in left_out}


_LEFT_OUT = pytest.StashKey[dict[str, str]]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was left out, and why."""
    for name, reason in config.stash.get(_LEFT_OUT, {}).items():
        terminalreporter.write_line(f"DESELECTED {name}: {reason}")
