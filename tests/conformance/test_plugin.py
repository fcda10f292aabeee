"""What `scripts/conformance` puts in the place of Strands' mock: the run itself needs the network, this does not."""

from __future__ import annotations

import pytest
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionType

from .strands_persql_conformance import FreshRepository


def test_each_repository_is_empty() -> None:
    """Two repositories share nothing."""
    session = Session(session_id="s", session_type=SessionType.AGENT)
    first, second = FreshRepository(), FreshRepository()
    first.create_session(session)
    assert second.read_session("s") is None
    second.create_session(session)
    with pytest.raises(SessionException):
        FreshRepository.create_session(first, session)
