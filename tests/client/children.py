"""Forked children for the tests."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable


def forked(work: Callable[[int], object]) -> tuple[int, int]:
    """Fork a child that ends with `work`, given a pipe's end to write to; its id, and the end to read from."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 on warns of forking while threads run; that is the case under test.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # one that hangs ends as a failure
        os.close(reading)
        try:
            work(writing)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode()[:60_000])
        os._exit(0)
    os.close(writing)
    return pid, reading


def heard(pid: int, reading: int) -> str:
    """What a child has said, once it has ended."""
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def in_child(work: Callable[[], str]) -> str:
    """What a forked child says."""
    return heard(*forked(lambda pipe: os.write(pipe, work().encode()[:60_000])))
