"""The connections to the service: as many as there are requests at once, each kept for the next.

Each stands in an `httpx.Client` of its own. A client that holds many connections looks through all of them at every
request, and asks the operating system about each idle one: with 32 threads that took three times as long as all the
rest of a request (1.5 ms instead of 0.5 ms of CPU).
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import httpx

from ..errors import PerSQLError, TransportError
from ._answers import Failure, unreadable
from ._bounds import ACCEPTED_ENCODING, ATTEMPT_TIMEOUTS, MAX_ANSWER_BYTES, TooLargeError, body_of, within
from ._failures import closed_error, quote_free
from ._forks import abandon, survive_forks

T = TypeVar("T")

MAX_CONNECTIONS = 64
"""Connections to the service at most: one for each of up to 64 threads; more of them wait for one another."""

KEEPALIVE_SECONDS = 90.0
"""How long an idle connection is kept: a model's answer often takes longer than httpx's 5 seconds, and each new
connection costs three round trips (TCP, TLS). Cloudflare, in front of the service, keeps its end for longer."""


class Received(NamedTuple):
    """An answer, whole."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Connection:
    """One connection, for one thread at a time, which any thread may abort."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._stream: Any = None
        self.aborted = False

    def exchange(
        self, method: str, address: httpx.URL, content: bytes | None, headers: Mapping[str, str], *, timeout: float
    ) -> Received | Failure:
        """Send one request and read its answer, within the bounds of `_bounds`."""
        status: int | None = None
        stream = self._http.stream(
            method, address, content=content, headers=headers, extensions={"trace": self._note_stream}
        )
        try:
            with within(ATTEMPT_TIMEOUTS * timeout, self.abort), stream as response:
                status = response.status_code
                body = body_of(response.iter_raw(), response.headers.get("content-encoding", ""))
        except httpx.RequestError as cause:
            return _unreached(cause, address.host, overdue=self.aborted)
        except TooLargeError as cause:
            return _too_large(cause, status)
        except ValueError:
            return unreadable(status or 200)
        return Received(status, response.headers, body)

    def abort(self) -> None:
        """Have what is under way fail at once."""
        # The socket is closed by the thread that uses it: another socket might get its number meanwhile.
        self.aborted = True
        self._shut_down()

    def close(self) -> None:
        """Close it; nobody may be using it."""
        self._http.close()

    def _note_stream(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = info["return_value"]
            if self.aborted:
                self._shut_down()

    def _shut_down(self) -> None:
        if self._stream is not None:
            with suppress(OSError):  # it is closed already, or has become a TLS socket's
                # Not the TLS socket's own method: from then on it would send in the clear.
                socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)


class Connections:
    """HTTP clients of one connection each, of which the one used last is used next.

    Args:
        make: Makes one more.
    """

    def __init__(self, make: Callable[[], httpx.Client]) -> None:
        self._make = make
        self._closed = False
        self.after_fork()
        survive_forks(self)

    @contextmanager
    def one(self) -> Generator[Connection, None, None]:
        """A connection, for this thread alone.

        Raises:
            PerSQLError: They are closed, or the environment's settings allow none.
        """
        with self._free:
            with self._lock:
                if self._closed:
                    raise closed_error()
                connection = self._idle.pop() if self._idle else Connection(self._make())
                connection.aborted = False
                self._busy.add(connection)
            try:
                yield connection
            finally:
                with self._lock:
                    self._busy.discard(connection)
                    closed = self._closed
                    if not closed:
                        self._idle.append(connection)
                if closed:
                    connection.close()

    def after_fork(self) -> None:
        """In a child process: leave the parent's connections alone, and open others when needed."""
        if hasattr(self, "_lock"):
            abandon([*self._idle, *self._busy])
        self._lock = threading.Lock()
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    def close(self) -> None:
        """Close all of them; requests under way fail."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for connection in self._busy:
                connection.abort()
        for connection in idle:
            connection.close()


def http_clients(
    auth: httpx.Auth, *, encrypted: bool, trust_env: bool, timeout: float, agent: str
) -> Callable[[], httpx.Client]:
    """What makes HTTP clients of one connection each.

    Args:
        auth: Puts the token into each request.
        encrypted: Whether the service is reached by TLS.
        trust_env: Whether the environment's proxies and certificates hold.
        timeout: Seconds without any progress after which an attempt fails.
        agent: Names this package to the service.

    Raises:
        PerSQLError: The environment's settings can't be used, here or when a client is made.
    """
    # Once: it reads all certificates.
    verify = _usable(lambda: httpx.create_ssl_context(trust_env=trust_env)) if encrypted else False

    def make() -> httpx.Client:
        return httpx.Client(
            auth=auth,
            verify=verify,
            timeout=timeout,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS),
            headers={"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": ACCEPTED_ENCODING},
            follow_redirects=False,
            trust_env=trust_env,
        )

    return lambda: _usable(make)


def _usable(made: Callable[[], T]) -> T:
    """What is made of the environment's settings, or an error that quotes none of them: one may hold a password."""
    try:
        return made()
    except OSError:
        wrong = (
            "the certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be loaded; set it to a file or folder of "
            "certificates in PEM form, or unset it"
        )
    except ImportError:
        wrong = (
            "ALL_PROXY, HTTPS_PROXY or HTTP_PROXY names a SOCKS proxy, for which httpx needs another package; "
            'pip install "httpx[socks]", or name an HTTP proxy'
        )
    except (httpx.InvalidURL, ValueError):
        wrong = (
            "ALL_PROXY, HTTPS_PROXY, HTTP_PROXY or NO_PROXY can't be read; write a proxy as "
            "http://user:password@host:port, with %-escapes in user and password, and in NO_PROXY names of hosts and "
            "IP addresses, without brackets and networks of IPv6"
        )
    # Here, and not where it was caught: it would lead to its cause.
    raise PerSQLError(f"the environment can't be used to reach the service: {wrong}", kind="environment")


def _unreached(cause: httpx.RequestError, host: str, *, overdue: bool) -> Failure:
    # A connection that was never made, a refused one, an unknown host, a proxy that refused, or none free.
    unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
    sent = not isinstance(cause, unsent)
    doubt = "so a write may or may not have been carried out" if sent else "and nothing was sent"
    again = not isinstance(cause, httpx.UnsupportedProtocol)
    if overdue or isinstance(cause, httpx.TimeoutException):
        which = "in all" if overdue else type(cause).__name__
        words = f"timed out ({which}), {doubt}; try again, or raise timeout="
    elif sent:
        words = f"failed in the middle ({type(cause).__name__}), {doubt}; try again"
    elif _is_untrusted(cause):
        again = False
        words = (
            f"could not be opened ({_brief(cause)}), {doubt}; if a proxy of your company's stands in between, set "
            "SSL_CERT_FILE to a file with its certificate"
        )
    elif isinstance(cause, httpx.ProxyError):
        again = str(cause).startswith("5")  # else it wants a password, or doesn't serve this host
        words = f"was refused by the proxy ({_brief(cause)}), {doubt}; check HTTPS_PROXY and its password"
    else:
        words = f"could not be opened ({_brief(cause)}), {doubt}; check base_url and the network"
    error = TransportError(f"the connection to {host} {words}", sent=sent)
    error.__cause__ = cause
    return Failure(error, again)


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether the other end's certificate was refused: it will be the next time too."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _too_large(cause: TooLargeError, status: int | None) -> Failure:
    error = TransportError(
        f"{status}: the answer is longer than {MAX_ANSWER_BYTES:,} bytes and was not read, so a write may or may not "
        "have been carried out; read less at once, and check base_url and any proxy in between",
        status=status,
    )
    error.__cause__ = cause
    return Failure(error, again=False)


def _brief(cause: Exception) -> str:
    return quote_free(str(cause)) or type(cause).__name__
