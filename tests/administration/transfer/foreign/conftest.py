"""A database to import into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .files import Imported


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Imported]:
    """A database in a local file."""
    imported = Imported(tmp_path)
    yield imported
    imported.client.close()
