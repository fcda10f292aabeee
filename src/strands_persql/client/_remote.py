"""PerSQL over HTTP: `POST /v1/db/:namespace/:slug/query` and `/batch` (docs.persql.com, reference/rest-api).

One request is sent until it is answered: refused connections, timeouts, 429, gateway errors and answers that can't be
read are tried again, up to `max_retries` times and as long as an attempt would begin within 90 seconds, after a random
wait that doubles (0.25, 0.5, 1 … at most 8 seconds, full jitter) and never less than the answer's `Retry-After`. A
write carries the same `Idempotency-Key` each time, so the service answers a repetition from what it did the first time.
That holds for repetitions one after the other; two at once may both run, so a write that must not happen twice needs a
primary key or a condition of its own as well.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from weakref import WeakSet

from ..errors import PerSQLError, TransportError
from ._answers import Answer, Failure, as_object, read_answer, read_result, read_results, unreadable
from ._bounds import ACCEPTED_ENCODING
from ._environment import proxies
from ._failures import closed_error, is_blameless, logger_of
from ._forks import abandon, survive_forks
from ._handle import Handle
from ._pool import Pool
from ._protocol import QueryResult, Statement
from ._retry import Retries
from ._statements import Prepared, only_reads
from ._version import installed_version

if TYPE_CHECKING:
    from urllib3.util import Url

T = TypeVar("T")
logger = logger_of(__name__)

LONGEST_KEY = 200
"""Characters the service takes as an `Idempotency-Key` (docs.persql.com, agents/idempotency)."""


class Headers:
    """The one place that knows a token: makes each request's headers, and keeps it out of whatever is shown."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._headers = {
            "Authorization": f"Bearer {token}",
            "User-Agent": f"strands-persql/{installed_version()}",
            "Accept": "application/json",
            "Accept-Encoding": ACCEPTED_ENCODING,
        }

    def of(self, request: Request) -> dict[str, str]:
        """A request's headers."""
        headers = self._headers.copy()
        if request.payload is not None:
            headers["Content-Type"] = "application/json"
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        return headers

    def hide(self, text: str) -> str:
        """A text of the service's, without the token, should it repeat it."""
        return text.replace(self._token, "…")

    def __repr__(self) -> str:
        return "<token>"


class Request(NamedTuple):
    """One request, however often it is sent.

    Attributes:
        method: The HTTP method.
        path: The path below the base address.
        payload: What is sent as JSON, or is JSON already; None for nothing.
        database: What it concerns, for messages and the log.
        key: The `Idempotency-Key` that each attempt carries.
        patient: Whether it is sent again after a failure in which it may have been carried out.
        after: How an earlier attempt has failed.
        timeout: Seconds without any progress of the answer after which an attempt is given up, at most the client's.
    """

    method: str
    path: str
    payload: object | None
    database: str
    key: str | None = None
    patient: bool = True
    after: PerSQLError | None = None
    timeout: float | None = None


class Service:
    """The connection to the service that all handles of a client share. Safe to use from several threads.

    Args:
        base_url: The service's address, checked.
        token: The token, checked.
        timeout: Seconds without any progress after which an attempt is given up: connecting, sending, or between two
            parts of the answer. In all it takes `ATTEMPT_TIMEOUTS` as long at most.
        max_retries: How often a request is sent again at most.
    """

    def __init__(self, base_url: Url, token: str, *, timeout: float, max_retries: int) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self.max_retries = max_retries
        self._headers = Headers(token)
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._closed = threading.Event()
        survive_forks(self)
        proxies.expect(base_url)
        _services.add(self)

    def request(self, request: Request, read: Callable[[Answer], T | None], token: Headers | None = None) -> T:
        """Send one request and read its answer, retrying as the module's docstring says.

        Args:
            request: What is sent.
            read: Reads the answer; None where it hasn't the documented shape.
            token: Another token than the service's own.

        Raises:
            PerSQLError: One of its kinds, after all retries.
        """
        payload, database = request.payload, request.database
        content = payload if isinstance(payload, bytes) or payload is None else encode(payload)
        headers = token or self._headers
        retries = Retries(self.max_retries)
        arrived = False
        earlier = request.after
        while True:
            if earlier is None:
                outcome = self._attempt(request, content, headers)
            else:
                outcome, earlier = Failure(earlier, again=True), None
            if isinstance(outcome, Answer):
                result = read(outcome)
                if result is not None:
                    return result
                outcome = unreadable(200)
            error = outcome.error
            if isinstance(error, TransportError):
                # Only if no attempt at all can have arrived is it certain that nothing was done.
                arrived = arrived or error.sent
                error.sent = arrived
            again = outcome.again and (request.patient or is_blameless(error))
            delay = retries.next_delay(outcome.retry_after) if again else None
            if delay is None:
                raise error
            logger.log(
                logging.DEBUG if retries.attempt == 2 else logging.WARNING,
                "database=<%s>, attempt=<%d>, status=<%s> | retrying request",
                database,
                retries.attempt,
                error.status or type(error.__cause__).__name__,
            )
            if self._closed.wait(delay):
                raise closed_error() from error

    def _attempt(self, request: Request, content: bytes | None, headers: Headers) -> Answer | Failure:
        path = f"{self.base_url.path}{request.path}"
        outcome = self._open().exchange(request.method, path, content, headers.of(request), timeout=request.timeout)
        if not isinstance(outcome, Failure):
            return read_answer(outcome, database=request.database, hide=headers.hide)
        if self._closed.is_set():
            raise closed_error() from outcome.error.__cause__
        return outcome

    def _open(self) -> Pool:
        if self._closed.is_set():
            raise closed_error()
        pool = self._pool
        if pool is not None:
            return pool
        with self._lock:
            if self._pool is None:
                self._pool = Pool(self.base_url, self.timeout)
            return self._pool

    def after_fork(self) -> None:
        """In a child process: leave the parent's connections alone, and its locks, which a thread of its may hold."""
        abandon(self._pool)
        self._pool = None
        self._lock = threading.Lock()
        was_closed = self._closed.is_set()
        self._closed = threading.Event()
        if was_closed:
            self._closed.set()

    def __repr__(self) -> str:
        return f"base_url={str(self.base_url)!r}"

    def close(self) -> None:
        """Close the connections; waits that precede a retry end at once."""
        self._closed.set()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


_services: WeakSet[Service] = WeakSet()


def end_requests() -> None:
    """Have the requests of all clients fail at once, and no further one begin: the process is to end."""
    for service in list(_services):
        service.close()


class RemoteDatabase(Handle):
    """A database of the service.

    Args:
        service: The service.
        namespace: The database's namespace.
        slug: What it is called there.
        token: A token for this database; None for the service's own.
    """

    loses_answers = True

    def __init__(self, service: Service, namespace: str, slug: str, *, token: str | None = None) -> None:
        super().__init__(f"{namespace}/{slug}")
        self._token = None if token is None else Headers(token)
        self._path = f"/v1/db/{namespace}/{slug}"
        self._service = service

    @property
    def identity(self) -> Hashable:
        """The service's address and the database's name."""
        return (str(self._service.base_url), self.name)

    def _query(self, statement: Prepared) -> QueryResult:
        key = None if only_reads(statement[0]) else _fresh_key()
        request = Request("POST", f"{self._path}/query", _wire(statement), self.name, key)
        return self._service.request(request, lambda answer: read_result(answer.data, answer.meta), self._token)

    def commit(
        self,
        statements: Sequence[Statement],
        *,
        key: str | None = None,
        patient: bool = True,
        after: PerSQLError | None = None,
        timeout: float | None = None,
    ) -> None:
        """Run statements of this package's own making as one transaction, in one request."""
        prepared = [(statement["sql"], statement.get("params", ())) for statement in statements]
        self._send(
            self._request(prepared, True, key)._replace(patient=patient, after=after, timeout=timeout), len(prepared)
        )

    def _batch(self, statements: Sequence[Prepared], transaction: bool, key: str | None) -> list[QueryResult]:
        return self._send(self._request(statements, transaction, key), len(statements))

    def _request(self, statements: Sequence[Prepared], transaction: bool, key: str | None) -> Request:
        content = encode({"statements": [_wire(statement) for statement in statements], "transaction": transaction})
        if all(only_reads(sql) for sql, _ in statements):
            key = None
        else:
            key = _fresh_key() if key is None else _named_key(key, self._path, content)
        return Request("POST", f"{self._path}/batch", content, self.name, key)

    def _send(self, request: Request, count: int) -> list[QueryResult]:
        return self._service.request(request, lambda answer: read_results(answer, count), self._token)

    def role(self) -> str | None:
        """The token's role (`"admin"`, `"readwrite"`, `"readonly"` …); None where the service doesn't tell.

        It is what `GET /v1/me` answers (docs.persql.com, platform/templates).

        Raises:
            PerSQLError: The service refuses the question, or can't be reached.
        """
        request = Request("GET", "/v1/me", None, self.name)
        found = self._service.request(request, lambda answer: (answer.data,), self._token)[0]
        role = (as_object(found) or {}).get("role")
        return role if isinstance(role, str) else None

    def __repr__(self) -> str:
        return f"<PerSQL database {self.name!r} at {self._service.base_url}>"


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encode(payload: object) -> bytes:
    """A payload as the bytes that are sent."""
    return _ENCODER.encode(payload).encode()


def _wire(statement: Prepared) -> dict[str, object]:
    sql, params = statement
    return {"sql": sql, "params": params} if params else {"sql": sql}


def _fresh_key() -> str:
    return secrets.token_hex(16)


def _named_key(given: str, path: str, content: bytes) -> str:
    """The caller's key with the content's hash: the service would answer another content from the cache otherwise."""
    digest = hashlib.sha256(path.encode() + b"\0" + content).hexdigest()
    # A header takes visible ASCII only, and no more than 200 characters of it.
    if len(given) + 1 + len(digest) > LONGEST_KEY or re.fullmatch(r"[!-~]+", given) is None:
        given = hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()
    return f"{given}.{digest}"
