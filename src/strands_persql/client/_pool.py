"""The connections to the service: one pool for each client, and one request over it, within the bounds of `_bounds`.

They are urllib3's. Its retries are off: which failures are met by sending again is decided in `_remote`, by whether a
request may have arrived. That is known here: nothing has, until its first byte is handed to an open connection.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from urllib3 import BaseHTTPResponse, Retry, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from ..errors import TransportError
from ._answers import Failure, Received, unreadable
from ._bounds import ATTEMPT_TIMEOUTS, MAX_ANSWER_BYTES, TooLargeError, body_of, within
from ._environment import pool_of
from ._failures import closed_error, quote_free

if TYPE_CHECKING:
    from urllib3.util import Url

MAX_CONNECTIONS = 64
"""Connections to the service at most: one for each of up to 64 threads; more of them wait for one another."""

KEEPALIVE_SECONDS = 90.0
"""How long an idle connection is used again: a model's answer often takes a minute, and each new connection costs three
round trips (TCP, TLS). Cloudflare, in front of the service, keeps its end for longer."""

PIECE_BYTES = 65_536
"""Bytes of an answer that are read at once."""

_NEVER = Retry(False)


class _Attempt:
    """One request under way, which any thread may abort."""

    def __init__(self) -> None:
        self.connection: HTTPConnection | None = None
        self.aborted = False
        self.sent = False

    def abort(self) -> None:
        """Have it fail at once."""
        self.aborted = True
        # The socket is closed by the thread that uses it: another socket might get its number meanwhile.
        sock = None if self.connection is None else self.connection.sock
        if sock is not None:
            with suppress(OSError):  # it is closed already, or has become a TLS socket's
                # Not the TLS socket's own method: from then on it would send in the clear.
                socket.socket.shutdown(getattr(sock, "socket", sock), socket.SHUT_RDWR)


class _Thread(threading.local):
    attempt: _Attempt


_thread = _Thread()


class _Response(http.client.HTTPResponse):
    """An answer, after those that only announce it (`102 Processing`, `103 Early Hints`)."""

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = cast("Any", None)  # else it would take itself for begun
            super().begin()


class _Connection(HTTPConnection):
    """What each connection does besides: it tells the attempt how far it is, and sends head and body as one piece."""

    response_class = _Response
    _used_at = 0.0
    _parts: list[bytes] | None = None

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self._used_at < KEEPALIVE_SECONDS and super().is_connected

    def connect(self) -> None:
        _thread.attempt.connection = self
        super().connect()

    def request(self, *arguments: Any, **options: Any) -> None:
        parts: list[bytes] = []
        self._parts = parts
        try:
            super().request(*arguments, **options)
        finally:
            self._parts = None
        if self.sock is None:
            self.connect()
        attempt = _thread.attempt
        attempt.connection = self
        if attempt.aborted:
            raise NewConnectionError(self, "aborted")
        attempt.sent = True
        self._used_at = time.monotonic()
        self.send(b"".join(parts))

    def putheader(self, header: Any, *values: Any) -> None:
        http.client.HTTPConnection.putheader(self, header, *values)  # urllib3 looks for marks that nobody sets here

    def send(self, data: Any) -> None:
        if self._parts is None:
            super().send(data)
        else:
            self._parts.append(data)


class Pool:
    """The connections of one client, of which the one used last is used next. Safe to use from several threads.

    Args:
        address: The service's.
        timeout: Seconds without any progress after which an attempt fails.

    Raises:
        PerSQLError: The environment's settings can't be used.
    """

    def __init__(self, address: Url, timeout: float) -> None:
        self._timeout = timeout
        self._pool = pool_of(address, timeout=timeout, maxsize=MAX_CONNECTIONS)
        made = self._pool.ConnectionCls  # by TLS or without, through a SOCKS proxy or not
        self._pool.ConnectionCls = cast("Any", type(made.__name__, (_Connection, made), {}))
        self._lock = threading.Lock()
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        self._busy: set[_Attempt] = set()
        self._closed = False

    def exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        *,
        timeout: float | None = None,
    ) -> Received | Failure:
        """Send one request and read its answer.

        Args:
            method: The HTTP method.
            path: The whole path.
            content: The body.
            headers: Those that are this package's to set.
            timeout: Seconds that each part of the answer is waited for, where they are fewer than the pool's.

        Raises:
            PerSQLError: The pool is closed.
        """
        attempt = _Attempt()
        patience = self._pool.timeout
        if timeout is not None and timeout < self._timeout:
            patience = Timeout(connect=self._timeout, read=timeout)
        with self._free:
            with self._lock:
                if self._closed:
                    raise closed_error()
                self._busy.add(attempt)
            _thread.attempt = attempt
            try:
                with within(ATTEMPT_TIMEOUTS * self._timeout, attempt.abort):
                    response = self._pool.urlopen(
                        method,
                        path,
                        content,
                        headers,
                        retries=_NEVER,
                        redirect=False,
                        assert_same_host=False,
                        timeout=patience,
                        preload_content=False,
                        decode_content=False,
                    )
                    outcome = _read(response)
                if attempt.aborted:  # and what came of the answer was taken for the whole of it
                    raise ReadTimeoutError(self._pool, path, "aborted")
                return outcome
            except HTTPError as cause:
                return _unreached(cause, self._pool.host, attempt)
            finally:
                with self._lock:
                    self._busy.discard(attempt)

    def close(self) -> None:
        """Close all connections; requests under way fail."""
        with self._lock:
            self._closed = True
            for attempt in self._busy:
                attempt.abort()
        self._pool.close()


def _read(response: BaseHTTPResponse) -> Received | Failure:
    try:
        body = body_of(_pieces(response), response.headers.get("content-encoding", ""))
    except BaseException as error:
        response.close()  # the rest of it must not be the next request's answer
        if isinstance(error, TooLargeError):
            return _too_large(error, response.status)
        if isinstance(error, ValueError):
            return unreadable(response.status)
        raise
    finally:
        response.release_conn()
    return Received(response.status, response.headers, body)


def _pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    while piece := response.read(PIECE_BYTES, decode_content=False):
        yield piece
        if response.length_remaining == 0:
            return


def _unreached(cause: HTTPError, host: str, attempt: _Attempt) -> Failure:
    reason = _reason(cause)
    refusal = str(reason).partition("Tunnel connection failed: ")[2]
    sent, again = attempt.sent, True
    doubt = "so a write may or may not have been carried out" if sent else "and nothing was sent"
    if attempt.aborted or isinstance(reason, TimeoutError):
        which = "in all" if attempt.aborted else type(cause).__name__
        words = f"timed out ({which}), {doubt}; try again, or raise timeout="
    elif sent:
        words = f"failed in the middle ({type(reason).__name__}), {doubt}; try again"
    elif isinstance(reason, ssl.SSLCertVerificationError):
        again = False  # it will be refused the next time too
        words = (
            f"could not be opened ({_brief(reason)}), {doubt}; if a proxy of your company's stands in between, set "
            "SSL_CERT_FILE to a file with its certificate"
        )
    elif refusal:
        again = refusal.startswith("5")  # else it wants a password, or doesn't serve this host
        words = f"was refused by the proxy ({quote_free(refusal)}), {doubt}; check HTTPS_PROXY and its password"
    else:
        words = f"could not be opened ({_brief(reason)}), {doubt}; check base_url and the network"
    error = TransportError(f"the connection to {host} {words}", sent=sent)
    error.__cause__ = reason
    return Failure(error, again)


def _reason(error: BaseException) -> BaseException:
    """The system's error behind one of urllib3's."""
    while isinstance(error, HTTPError):
        behind = error.__cause__ or next((each for each in error.args if isinstance(each, BaseException)), None)
        if behind is None:
            return error
        error = behind
    return error


def _too_large(cause: TooLargeError, status: int) -> Failure:
    error = TransportError(
        f"{status}: the answer is longer than {MAX_ANSWER_BYTES:,} bytes and was not read, so a write may or may not "
        "have been carried out; read less at once, and check base_url and any proxy in between",
        status=status,
    )
    error.__cause__ = cause
    return Failure(error, again=False)


def _brief(cause: BaseException) -> str:
    return quote_free(str(cause)) or type(cause).__name__
