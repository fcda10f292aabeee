"""`strands-persql web`: it serves the pages until it is interrupted, and to others only with a token."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from strands_persql import PerSQL

from ..systems import needs_interrupts
from .places import Place, start, talk


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """A local file with one session."""
    path = str(tmp_path / "agents.db")
    with PerSQL(local=path) as client:
        talk(client.database("acme/agents"), "chat", turns=1)
    return Place(None, ("--local", path), {})


@pytest.mark.slow
@needs_interrupts
def test_serves_until_interrupted(local: Place) -> None:
    """It says where it is, answers there, and ends with Ctrl-C."""
    process = start("web", "--port", "0", *local.options)
    assert process.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
    assert found is not None
    with urllib.request.urlopen(found[0], timeout=120) as answer:
        assert "chat" in answer.read().decode()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in err


@pytest.mark.slow
@needs_interrupts
def test_ends_while_a_page_is_open(local: Place) -> None:
    """A stream of new messages does not keep it up."""
    process = start("web", "--port", "0", *local.options)
    assert process.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
    assert found is not None
    with urllib.request.urlopen(f"{found[0]}events?id=chat", timeout=120) as stream:
        assert stream.readline().startswith(b"retry:")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in err, err


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--host", "0.0.0.0"), 2, "--host 0.0.0.0: others reach it, so set a token"),
        (("--host", "example.com"), 2, "others reach it"),
        (("--allow-host", "localhost", "--allow-host", "agents.example"), 2, "--allow-host agents.example: others"),
        (("--auth-token", "short"), 2, "16 characters or more"),
        (("--host", "127.0.0.1", "--port", "70000"), 2, "--port"),
        (("--host", "nowhere.invalid", "--auth-token", "x" * 16), 1, "there is no such address"),
    ],
)
def test_refused(local: Place, options: tuple[str, ...], code: int, words: str) -> None:
    """It does not begin to listen where others could come in, or with a token that could be guessed."""
    done = local.run("web", *options)
    assert done.code == code and words in done.err
    assert "short" not in done.err.replace("too short", "")


def test_a_port_that_is_taken(local: Place) -> None:
    """It names another way."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = local.run("web", "--port", str(other.getsockname()[1]))
    assert done.code == 1 and "name another: --port" in done.err
