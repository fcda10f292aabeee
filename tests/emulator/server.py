"""The running server: uvicorn in a thread, on a loopback port."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from .control import Emulator
from .edge import Edge
from .service import service

if TYPE_CHECKING:
    from typing_extensions import Self

HOST = "127.0.0.1"


class Server:
    """The emulator on a port of this machine. Use it as a context manager, or call `start` and `stop`.

    Args:
        port: The port; 0 for any that is free.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._namespaces: dict[str, Emulator] = {}
        self._numbers = itertools.count(1)
        self._folder = tempfile.TemporaryDirectory(prefix="persql-emulator-")
        self._uvicorn: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def namespace(self, name: str | None = None, *, file: Path | None = None) -> Emulator:
        """A new namespace: empty, and unseen by the others.

        Args:
            name: Its name; by default one that no other has.
            file: One SQLite file for all its databases; by default each has its own, gone with the server.
        """
        name = name or f"t{next(self._numbers)}"
        # A folder of its own: of an earlier namespace with the same name nothing is left.
        emulator = Emulator(self, name, Path(tempfile.mkdtemp(dir=self._folder.name)), file=file)
        self._namespaces[name] = emulator
        return emulator

    def forget(self, emulator: Emulator) -> None:
        """Know a namespace no more: its tokens are good for nothing, and its log is let go."""
        self._namespaces.pop(emulator.namespace, None)

    def start(self) -> None:
        """Listen; returns when connections are taken."""
        # With the protocol named, asyncio turns Nagle's algorithm off; else each answer waits 40 ms for an ACK.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # on Windows it lets two servers have the same port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        # The access log and uvicorn's own lines would stand between a test's.
        config = uvicorn.Config(
            Edge(service(), self._namespaces),
            http="h11",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(config)
        # The socket listens already: a connection waits in its backlog until the loop runs.
        self._thread = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [listener]}, name="emulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and all connections; the data stays."""
        if self._uvicorn is None or self._thread is None:
            return
        self._uvicorn.should_exit = True
        self._thread.join()
        self._uvicorn = self._thread = None

    def close(self) -> None:
        """Stop, and remove the data."""
        self.stop()
        for emulator in list(self._namespaces.values()):
            emulator.close()
        self._folder.cleanup()

    @contextlib.contextmanager
    def refusing(self) -> Generator[None, None, None]:
        """While it lasts, connections are refused; afterwards the same port is open again."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
