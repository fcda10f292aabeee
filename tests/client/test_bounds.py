"""What bounds an answer of the service's: its size, compressed or not, its time in all, and the length of its texts."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from strands_persql.client import PerSQL, _bounds, _pool
from strands_persql.client._answers import Received, read_answer
from strands_persql.client._failures import LONGEST_TEXT
from strands_persql.errors import PerSQLError, TransportError

from ..systems import needs_requests_that_end

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ROWS = b'{"success":true,"data":{"columns":["a"],"rows":[["%s"]]}}'


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server whose every connection is answered by a function, once the request is there; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_sockets = [listener]

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_sockets.append(connection)
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with suppress(OSError):
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(65536)
            answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for each in open_sockets:
            each.close()


def client_of(url: str, **options: Any) -> PerSQL:
    return PerSQL("psql_test_x", base_url=url, **{"timeout": 20.0, "max_retries": 0, **options})


def whole(body: bytes, *headers: bytes) -> bytes:
    """An answer as it is sent."""
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("form", ["plain", "gzip", "chunked", "bomb"])
def test_an_answer_beyond_the_bound_is_not_read(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """However it is sent; it is an error that says what to do, and no reason to try again."""
    monkeypatch.setattr(_bounds, "MAX_ANSWER_BYTES", 10_000)
    requests: list[int] = []

    def answer(connection: socket.socket) -> None:
        requests.append(1)
        body = ROWS % (b"A" * 10_000)
        if form == "bomb":
            body = ROWS % (b"A" * 50_000_000)
        if form == "chunked":
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        zipped = form in ("gzip", "bomb")
        connection.sendall(whole(gzip.compress(body, 1), b"Content-Encoding: gzip") if zipped else whole(body))

    with serving(answer) as url, client_of(url, max_retries=3) as client:
        with pytest.raises(TransportError, match=r"longer than .* bytes and was not read.*read less") as caught:
            client.database("a/b").query("SELECT 1")
        assert (caught.value.status, requests) == (200, [1])


def test_no_more_than_the_bound_is_ever_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few compressed bytes may stand for gigabytes."""
    monkeypatch.setattr(_bounds, "MAX_ANSWER_BYTES", 1_000)
    assert _bounds.body_of([gzip.compress(b"x" * 1_000)], "gzip") == b"x" * 1_000
    with pytest.raises(_bounds.TooLargeError):
        _bounds.body_of(iter([gzip.compress(b"x" * 1_001)]), "gzip")
    with pytest.raises(_bounds.TooLargeError):
        _bounds.body_of(iter(lambda: b" ", None), "")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "identity", "GZIP"])
def test_compressed_answers_are_read(encoding: str) -> None:
    """In pieces of any size."""
    body = ROWS % b"one"
    sent = body if encoding == "identity" else gzip.compress(body)
    answer = whole(sent, b"Content-Encoding: " + encoding.encode())
    with serving(lambda connection: connection.sendall(answer)) as url, client_of(url) as client:
        assert client.database("a/b").query("SELECT 1")["data"] == [{"a": "one"}]
    assert _bounds.body_of([sent[i : i + 1] for i in range(len(sent))], encoding) == body


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip"])
def test_another_compression_than_asked_for_is_unreadable(encoding: str) -> None:
    """What was asked for is gzip alone: others have no bound to what they inflate to."""
    sent = whole(b"no gzip at all", b"Content-Encoding: " + encoding.encode())
    with (
        serving(lambda connection: connection.sendall(sent)) as url,
        client_of(url) as client,
        pytest.raises(TransportError, match="could not be read"),
    ):
        client.database("a/b").query("SELECT 1")


@pytest.mark.parametrize("where", ["headers", "interim", "body"])
def test_an_answer_byte_by_byte_ends(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Each byte is progress, and yet the attempt ends."""
    monkeypatch.setattr(_pool, "ATTEMPT_TIMEOUTS", 0.01)

    def answer(connection: socket.socket) -> None:
        start = {
            "headers": b"HTTP/1.1 200 OK\r\nX-A: ",
            "interim": b"",
            "body": HEAD + b"Content-Length: 999999\r\n\r\n",
        }
        connection.sendall(start[where])
        while True:
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" if where == "interim" else b" ")
            time.sleep(0.02)

    with serving(answer) as url, client_of(url) as client:
        with pytest.raises(TransportError, match=r"timed out \(in all\).*may or may not.*raise timeout=") as caught:
            client.database("a/b").query("SELECT 1")
        assert caught.value.sent is True


def test_announcements_of_an_answer_are_passed_over() -> None:
    """`103 Early Hints` is no answer, and what follows on it isn't the next request's."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2

    def answer(connection: socket.socket) -> None:
        for word in (b"one", b"two"):
            connection.sendall(early)
            time.sleep(0.02)
            connection.sendall(whole(ROWS % word))
            connection.recv(65536)

    with serving(answer) as url, client_of(url) as client:
        db = client.database("a/b")
        assert [db.query("SELECT 1")["data"] for _ in range(2)] == [[{"a": "one"}], [{"a": "two"}]]


def test_a_connection_serves_again_after_an_answer_that_took_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request opens another."""
    monkeypatch.setattr(_pool, "ATTEMPT_TIMEOUTS", 0.01)
    answers = iter([b"", whole(ROWS % b"one")])

    def answer(connection: socket.socket) -> None:
        if found := next(answers):
            connection.sendall(found)
            return
        connection.sendall(HEAD + b"Content-Length: 99\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.02)

    with serving(answer) as url, client_of(url, max_retries=1) as client:
        assert client.database("a/b").query("SELECT 1")["data"] == [{"a": "one"}]


@needs_requests_that_end
def test_closing_ends_what_is_under_way() -> None:
    """At once: no timeout has to pass."""
    began = threading.Event()
    with serving(lambda connection: began.set()) as url:
        client = client_of(url, timeout=600.0)
        caught: list[str | None] = []

        def call() -> None:
            try:
                client.database("a/b").query("SELECT 1")
            except PerSQLError as error:
                caught.append(error.kind)

        thread = threading.Thread(target=call)
        thread.start()
        assert began.wait(30)
        client.close()
        thread.join(30)
        assert caught == ["closed"]


@pytest.mark.parametrize("words", ["database ", "table x ", "UNIQUE constraint failed: ", "'"])
@pytest.mark.parametrize("status", [400, 404, 500])
def test_long_texts_of_errors_are_cut(words: str, status: int) -> None:
    """Before any pattern sees them, and what is kept of them is no longer than anybody reads."""
    text = words * (2_000_000 // len(words))
    detail = {"kind": "unknown", "message": text, "columns": [{"table": "t", "column": "c"}] * 1000}
    for body in ({"success": False, "error": text}, {"success": False, "error": text, "errorDetail": detail}):
        received = Received(status, {"cf-ray": "r" * 5000}, json.dumps(body).encode())
        outcome = read_answer(received, database="a/b", hide=lambda text: text)
        assert isinstance(outcome, tuple) and isinstance(error := outcome[0], PerSQLError)
        assert len(str(error)) < 1_000 and len(error.request_id or "") <= 80
        assert error.detail is not None and len(str(error.detail["message"])) == LONGEST_TEXT
