"""On a release of Strands without memory stores, the module imports, and the name says what is needed."""

from __future__ import annotations

import pytest

from strands_persql import PerSQL
from strands_persql.stores.memory import PerSQLMemoryStore

from .features import MEMORY


@pytest.mark.skipif(MEMORY, reason="this Strands has memory stores")
def test_an_older_strands() -> None:
    """The constructor names the release that is needed."""
    with PerSQL(local=":memory:") as client, pytest.raises(ImportError, match=r"strands-agents>=1\.44"):
        PerSQLMemoryStore(client.database("local/any"), name="facts")
