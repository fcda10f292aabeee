"""A provider of models on loopback: it answers by a script, in a wire format, and keeps what it was asked.

An `Endpoint` is a real HTTP server. What a test wants said stands in `Answer`, which knows no provider; a `Wire` makes
the bytes of it that a provider would send, in the pieces in which it would send them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol

from typing_extensions import Self


@dataclass(frozen=True)
class Call:
    """A tool that the model wants called."""

    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the model says to one request, or what goes wrong with it.

    Attributes:
        text: What it says, if anything.
        thinking: What it thought before, as far as the wire has a place for that.
        calls: The tools that it wants called, at once.
        fault: `throttled`: the request is refused with 429. `cut`: the connection breaks in the middle of the answer.
            `stalled`: the answer stops in the middle, until the test lets it go on.
        tokens: How many went in and came out.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    fault: Literal["throttled", "cut", "stalled"] | None = None
    tokens: tuple[int, int] = (11, 7)


class Wire(Protocol):
    """How a provider speaks."""

    content_type: str
    """Of a streamed answer."""

    throttled: tuple[dict[str, str], Any]
    """Headers and JSON body of a refusal with status 429."""

    def pieces(self, answer: Answer, number: int) -> list[bytes]:
        """The body of the `number`-th answer, piece by piece; what has an id gets one with this number in it."""
        ...


def words(text: str) -> list[str]:
    """A text in the two parts in which it is streamed."""
    half = len(text) // 2
    return [part for part in (text[:half], text[half:]) if part]


@dataclass
class Endpoint:
    """A running provider.

    Attributes:
        bodies: Every request so far, in their order: JSON as it came, as caches of prompts compare it.
        go_on: Lets an answer go on that has stopped in the middle.
    """

    wire: Wire
    bodies: list[bytes] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    _script: list[Answer] = field(default_factory=list)

    def play(self, *answers: Answer) -> None:
        """Answer the next requests so. What was left of the script is an error: a request did not come."""
        assert not self._script, f"{len(self._script)} answers were not asked for"
        self._script[:] = answers

    def take(self, body: bytes) -> tuple[int, Answer]:
        """Keep a request, and return its number and answer."""
        self.bodies.append(body)
        return len(self.bodies), self._script.pop(0)

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that have left."""


def _handler_of(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            number, answer = endpoint.take(self.rfile.read(int(self.headers["Content-Length"])))
            if answer.fault == "throttled":
                headers, refusal = endpoint.wire.throttled
                self._begin(429, {"Content-Type": "application/json", **headers}, json.dumps(refusal).encode())
                return
            self._begin(200, {"Content-Type": endpoint.wire.content_type, "Transfer-Encoding": "chunked"})
            with contextlib.suppress(ConnectionError):  # the client has left
                for piece in self._sent(endpoint.wire.pieces(answer, number), answer):
                    # A network splits anywhere, in the midst of a character, too.
                    for part in (piece[: len(piece) // 2], piece[len(piece) // 2 :]):
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                if answer.fault != "cut":
                    self.wfile.write(b"0\r\n\r\n")
                    return
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def _begin(self, status: int, headers: dict[str, str], body: bytes | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if body is not None:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body or b"")

        def _sent(self, pieces: list[bytes], answer: Answer) -> Iterator[bytes]:
            middle = len(pieces) // 2
            yield from pieces[:middle]
            if answer.fault == "cut":
                return
            if answer.fault == "stalled":
                endpoint.go_on.wait(60)
            yield from pieces[middle:]

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
