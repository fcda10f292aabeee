"""What `scripts/conformance` puts in the place of Strands' classes: the run itself needs the network, this does not."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionType

from .strands_persql_conformance import FreshRepository, FreshStorage


def test_each_repository_is_empty() -> None:
    """Two repositories share nothing."""
    session = Session(session_id="s", session_type=SessionType.AGENT)
    first, second = FreshRepository(), FreshRepository()
    first.create_session(session)
    assert second.read_session("s") is None
    second.create_session(session)
    with pytest.raises(SessionException):
        FreshRepository.create_session(first, session)


@pytest.mark.skipif(importlib.util.find_spec("strands.storage") is None, reason="Strands has a storage from 1.48 on")
async def test_each_storage_is_empty_and_can_be_cleared() -> None:
    """Two storages share nothing, and a namespace clears no more than itself."""
    first: Any = FreshStorage()
    second = FreshStorage()
    await first.write("keep", b"1")
    await first.namespace("scope").write("drop", b"2")
    assert await second.list("") == []
    first.namespace("scope").clear()
    assert await first.list("") == ["keep"]
    first.clear()
    assert await first.list("") == []
