"""Servers on loopback: in a thread of this process, or processes of their own, which are ended by their ids."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from ...processes import ROOT, python

PATIENCE = 120
"""Seconds until a test gives up waiting for what should come at once."""


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition has a value that counts as true; the value.

    Raises:
        TimeoutError: It never had.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError(condition)


def client_of(url: str) -> httpx.Client:
    """A client for a server of the test."""
    return httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False, verify=False)


@contextlib.contextmanager
def in_thread(app: Any, **options: Any) -> Iterator[str]:
    """An app of ASGI under uvicorn; its address."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5, **{"port": 0, **options})
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@contextlib.contextmanager
def in_process(
    *arguments: str, log: Path, port: int, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A command of Python's that serves on a port, once it does; its address, and the process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PERSQL_")}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "examples"), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*python(), *arguments],
            cwd=ROOT,
            env={**clean, **environment, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def words_in(response: httpx.Response) -> Iterator[str]:
    """The words of server-sent events, as they come."""
    for line in response.iter_lines():
        if line.startswith("data: ") and isinstance(word := json.loads(line.removeprefix("data: ")), str):
            yield word
