"""What the installed Strands can do with a storage, asked of it and not of its version."""

from __future__ import annotations

import importlib.util

import pytest


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False


def needs(module: str) -> pytest.MarkDecorator:
    """Skip where the installed Strands has no such module."""
    return pytest.mark.skipif(not _has(module), reason=f"this Strands has no {module}")


needs_storage = needs("strands.storage")
needs_search = needs("strands.storage.search")
needs_snapshots = needs("strands.session.snapshot_session_manager")
needs_files_of_memory = needs("strands.vended_memory_stores.file_memory_store")
