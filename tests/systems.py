"""What only some systems have. A test that needs it says so, with the reason, and is skipped elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def needs_posix(why: str) -> pytest.MarkDecorator:
    """For a test that Windows can't run.

    Args:
        why: What is missing there, or different.
    """
    return pytest.mark.skipif(os.name != "posix", reason=f"not on Windows: {why}")


def needs_linux(why: str) -> pytest.MarkDecorator:
    """For a test that neither Windows nor macOS can run.

    Args:
        why: What is missing there, or different.
    """
    return pytest.mark.skipif(sys.platform != "linux", reason=f"on Linux alone: {why}")


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on Windows: a process can't be forked")
needs_modes = needs_posix("files have no modes")
needs_links = needs_posix("symbolic links take a right")
needs_open_files_to_move = needs_posix("a file that is open can't be moved, replaced or deleted")
needs_requests_that_end = needs_posix("a request that waits for an answer notices its end only when it times out")
needs_interrupts = needs_posix("Ctrl-C can't be sent to one process")


def is_executable(path: Path) -> bool:
    """Whether a script may be run; on Windows, where files have no such modes, any may."""
    return os.name != "posix" or bool(path.stat().st_mode & 0o111)
