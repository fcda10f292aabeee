"""The garbage collector stands still while a history is built, and goes on afterwards, in whatever process."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from strands_persql.engine.collector import collector_paused

from ..systems import needs_fork


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """The collector as it is by default, before a test and after."""
    gc.enable()
    yield
    gc.enable()


def test_pauses_nest() -> None:
    """The one that paused it lets it go on."""
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_ends_the_pause() -> None:
    """A restore that fails leaves nothing behind."""
    with pytest.raises(ValueError, match="row"), collector_paused():
        raise ValueError("row")
    assert gc.isenabled()


def test_who_has_no_collector_is_given_none() -> None:
    """A process that has switched it off keeps it off."""
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_collects() -> None:
    """A child process that was forked in the midst of a restore has its collector."""
    with collector_paused():
        child = os.fork()
        if child == 0:
            os._exit(0 if gc.isenabled() else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
