"""The connections to the service: as many as there are requests at once, each kept for the next.

Each stands in an `httpx.Client` of its own. A client that holds many connections looks through all of them at every
request, and asks the operating system about each idle one: with 32 threads that took three times as long as all the
rest of a request (1.5 ms instead of 0.5 ms of CPU).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import httpx

from ._forks import abandon, survive_forks

__all__ = ["MAX_CONNECTIONS", "Connections"]

MAX_CONNECTIONS = 64
"""Connections to the service at most: one for each of up to 64 threads; more of them wait for one another."""


class Connections:
    """HTTP clients of one connection each, of which the one used last is used next.

    Args:
        make: Makes one more.
    """

    def __init__(self, make: Callable[[], httpx.Client]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        self._idle: list[httpx.Client] = []
        self._all: list[httpx.Client] = []
        self._closed = False
        survive_forks(self)

    @contextmanager
    def one(self) -> Generator[httpx.Client, None, None]:
        """A connection, for this thread alone."""
        with self._free:
            with self._lock:
                client = self._idle.pop() if self._idle else None
                if client is None:
                    client = self._make()
                    self._all.append(client)
                    if self._closed:
                        client.close()
            try:
                yield client
            finally:
                with self._lock:
                    self._idle.append(client)

    def after_fork(self) -> None:
        """In a child process: leave the parent's connections alone, and open others when needed."""
        abandon(self._all)
        self._lock = threading.Lock()
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        self._idle, self._all = [], []

    def close(self) -> None:
        """Close all of them, those in use included: their requests fail."""
        with self._lock:
            self._closed = True
            clients, self._all = self._all, []
        for client in clients:
            client.close()
