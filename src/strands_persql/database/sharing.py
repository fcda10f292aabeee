"""Writes of many sessions in one request, where a database over a network is under load.

A database has a few requests at once. A session that comes meanwhile is a follower: it waits, without a thread of its
own, for a leader to take it along. Who finds room for one more request becomes a leader: it takes all that waits and
sends it as one transaction, as databases group the commits of their clients. A thousand agents that go on at the same
moment make dozens of requests, not a thousand. Where nothing is under way, nothing waits.

A transaction that failed says nothing about its parts. Where one of them may be at fault, a few are sent by themselves
at once, before any wait of a retry. If one of these goes through, the other sessions follow by themselves, and whoever
is at fault learns it alone. If all fail, it is the service: the whole is sent again as patiently as any request. What
comes of it is told to each, like all that would meet every session alike (a revoked token, a balance used up).

A part may also make the service hang. So what is shared is not waited for as long as the client would, but twice as
long as the slowest of the last requests took. A service that has become slow is not asked ever more for it: each wait
that was too short doubles the next one, until one is long enough and tells how long requests take now.
"""

from __future__ import annotations

import copy
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..client import MAX_STATEMENTS, characters_of, is_blameless, logger_of, survive_forks
from ..errors import PerSQLError, TransportError

if TYPE_CHECKING:
    from ..client import Statement
    from .connector import Connector

logger = logger_of(__name__)

REQUESTS_AT_ONCE = 4
"""Requests to one database before writes wait for one another. The service runs them one by one; several on their way
at once keep it busy."""

SHARED_CHARACTERS = 250_000
"""Characters of parameters in a request that sessions share: a longer write takes long to send, and goes by itself."""

PROBES = 3
"""Parts of a failed request that are sent by themselves, to tell one session's fault from the service's."""

LONGER_THAN_LATELY = 2
"""How many times as long as the slowest of the last requests a shared one is waited for."""
LAST_REQUESTS = 32
"""How many these are."""
SHORTEST_WAIT = 0.5
"""Seconds for which a shared request is waited for at least: a service that is well may take that long now and then."""
MOST_DOUBLINGS = 10
"""How often the wait is doubled at most; the client's own timeout ends it long before."""


class Follower(Protocol):
    """One session's write, as a leader takes it along. None of these methods blocks, or raises."""

    connector: Connector[Any]

    def joins(self) -> Sequence[Statement]:
        """The statements of its write, one transaction; none where it doesn't come along after all."""
        ...

    def in_span(self) -> AbstractContextManager[None]:
        """Inside it, a request is sent that is this session's alone."""
        ...

    def stored(self) -> None:
        """Its statements were carried out."""
        ...

    def failed(self, error: BaseException, *, alone: bool, sent: bool) -> None:
        """Its statements were not carried out.

        Args:
            error: Why.
            alone: That may be its own fault.
            sent: They may have been carried out all the same, or yet be.
        """
        ...

    def goes_alone(self, error: BaseException | None = None, *, sent: bool = False) -> None:
        """It has to write by itself.

        Args:
            error: What an attempt of its own has met: the next one waits as long as a retry does.
            sent: Its statements may have been carried out, or yet be.
        """
        ...


_Part: TypeAlias = "tuple[Follower, Sequence[Statement]]"


class _RecentRequests:
    """How long requests have taken lately, and so how long one that sessions share is waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[float] = deque(maxlen=LAST_REQUESTS)
        self._too_short = 0

    def wait(self) -> float | None:
        """Seconds without any progress after which a shared request is given up; None while no other is known."""
        with self._lock:
            if not self._seconds:
                return None
            return max(SHORTEST_WAIT, LONGER_THAN_LATELY * max(self._seconds)) * 2.0**self._too_short

    def failure_of(self, followers: Sequence[_Part], wait: float | None = None) -> BaseException | None:
        """Send the statements of sessions once, as one transaction; how that failed, or None."""
        began = time.perf_counter()
        failure = _failure_of(followers, patient=False, wait=wait)
        seconds = time.perf_counter() - began
        with self._lock:
            if failure is None:
                self._seconds.append(seconds)
            if len(followers) > 1:
                if failure is None:
                    self._too_short = 0
                elif wait is not None and seconds >= wait:
                    self._too_short = min(self._too_short + 1, MOST_DOUBLINGS)
        return failure


class SharedRequests:
    """The requests to one database that sessions share."""

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin anew in a child process: what waits is the parent's to send."""
        self._lock = threading.Lock()
        self._waiting: deque[Follower] = deque()
        self._under_way = 0
        self._recent = _RecentRequests()

    def add(self, follower: Follower) -> bool:
        """Have a session wait for a leader; True where there is room for one more: then have `serve` called soon."""
        with self._lock:
            self._waiting.append(follower)
            if self._under_way >= REQUESTS_AT_ONCE:
                return False
            self._under_way += 1
            return True

    def retract(self) -> None:
        """Nobody is going to lead, after all."""
        with self._lock:
            self._under_way -= 1

    def serve(self, handed_over: Callable[[Callable[[], None]], bool]) -> None:
        """Lead: send what waits, request after request, and block until each is answered.

        Args:
            handed_over: Has a call made on another thread, if it can: between two requests the thread is left to
                whoever needs it.
        """
        while self._lead():
            if handed_over(partial(self.serve, handed_over)):
                return

    def _lead(self) -> bool:
        """Send what waits as one request; whether more waits now. If not, there is room for another leader."""
        followers: list[_Part] = []
        try:
            self._gather(followers)
            _send(followers, self._recent)
        except Exception:  # whatever it is, nobody waits for ever
            logger.exception("sessions=<%d> | a shared request failed for an unexpected reason", len(followers))
        finally:
            for follower, _ in followers:
                follower.goes_alone(sent=True)
            followers.clear()  # from Python 3.12 on, the error that a session is told leads to this frame
            with self._lock:
                more = bool(self._waiting)
                self._under_way -= not more
        return more

    def _gather(self, followers: list[_Part]) -> None:
        """Take what waits along, as far as one request holds it."""
        count = characters = 0
        while count < MAX_STATEMENTS and (follower := self._next()) is not None:
            statements = follower.joins()
            if not statements:
                continue
            count += len(statements)
            characters += sum(characters_of(statement.get("params", ())) for statement in statements)
            if count > MAX_STATEMENTS or characters > SHARED_CHARACTERS:
                follower.goes_alone()
                return
            followers.append((follower, statements))

    def _next(self) -> Follower | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None


def _send(followers: list[_Part], recent: _RecentRequests) -> None:
    """Send the statements of several sessions as one transaction, and tell each what came of it.

    A follower leaves the list when it is told.
    """
    if len(followers) == 1:
        _send_alone(followers, recent)
    elif followers:
        wait = recent.wait()
        failure = recent.failure_of(followers, wait)
        if failure is not None and not _meets_all(failure):
            status = getattr(failure, "status", None) or type(failure).__name__
            logger.debug("sessions=<%d>, status=<%s> | retrying request, in parts", len(followers), status)
            failure = _split(followers, recent, wait)
        while followers:
            follower, _ = followers[0]
            if failure is None:
                follower.stored()
            else:
                follower.failed(_copy_of(failure), alone=False, sent=True)
            del followers[0]


def _send_alone(followers: list[_Part], recent: _RecentRequests) -> None:
    """Send the statements of the one session that came along, and wait for them as long as the client does."""
    follower, _ = followers[0]
    once = follower.connector.has_patience
    failure = recent.failure_of(followers) if once else _failure_of(followers, patient=True)
    if failure is None:
        follower.stored()
    else:
        _tell_own(follower, failure, sent=_was_sent(failure))
    del followers[0]


def _tell_own(follower: Follower, failure: BaseException, *, sent: bool) -> None:
    """Tell a session how its statements have failed by themselves, or have it write them with patience."""
    connector = follower.connector
    if connector.has_patience and _is_of_service(failure):
        follower.goes_alone(failure, sent=True)
    elif connector.lacks_tables(failure):
        follower.goes_alone(sent=sent)
    else:
        follower.failed(failure, alone=not _meets_all(failure), sent=sent)


def _split(followers: list[_Part], recent: _RecentRequests, wait: float | None) -> BaseException | None:
    """Tell one session's fault from the service's, by the first few parts; what those left are to be told."""
    failures: list[BaseException] = []
    for part in followers[:PROBES]:
        failure = recent.failure_of([part], wait)
        if failure is None:
            followers.remove(part)
            part[0].stored()
            break
        failures.append(failure)
    else:
        if all(map(_is_of_service, failures)):
            failure = _failure_of(followers, patient=True)
            if failure is None or _is_of_service(failure):
                return failure
    for failure in failures:  # of the first ones, in their order
        _tell_own(followers[0][0], failure, sent=True)
        del followers[0]
    while followers:
        followers[0][0].goes_alone(sent=True)
        del followers[0]
    return None


def _failure_of(followers: Sequence[_Part], *, patient: bool, wait: float | None = None) -> BaseException | None:
    """Send the statements of sessions as one transaction; how that failed, or None."""
    first, _ = followers[0]
    statements = [each for _, own in followers for each in own]
    try:
        with first.in_span() if len(followers) == 1 else nullcontext():
            first.connector.commit(statements, patient=patient, timeout=wait)
    except BaseException as error:
        return error  # not handled here: it would be the context of each session's own
    return None


def _meets_all(error: BaseException) -> bool:
    """Whether each session would meet an error by itself, after as many attempts."""
    return is_blameless(error) or (isinstance(error, PerSQLError) and error.status in (401, 402))


def _is_of_service(error: BaseException) -> bool:
    """Whether an error may be the service's own, and gone with the next attempt."""
    return isinstance(error, TransportError) and _was_sent(error)


def _was_sent(error: BaseException) -> bool:
    """Whether what failed may have been carried out all the same."""
    return bool(getattr(error, "sent", True))


def _copy_of(error: BaseException) -> BaseException:
    """One session's own copy of an error.

    It leads to nothing of the other sessions': neither to a frame that holds their messages, nor to the request.
    """
    own = copy.copy(error).with_traceback(None)
    if "__notes__" in vars(own):
        vars(own)["__notes__"] = list(vars(own)["__notes__"])
    return own


class _ByHandle:
    """The shared requests of each handle that is in use: a client gives all who ask the same handle."""

    def __init__(self) -> None:
        self._requests: dict[int, tuple[weakref.ref[object], SharedRequests]] = {}
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def of(self, database: object) -> SharedRequests | None:
        """A handle's; None for one that can't be referred to weakly, whose sessions write one by one."""
        key = id(database)  # not by what the handle calls equal: its token may be another
        try:
            handle = weakref.ref(database, lambda _: self._requests.pop(key, None))
        except TypeError:
            return None
        with self._lock:
            return self._requests.setdefault(key, (handle, SharedRequests()))[1]


_by_handle = _ByHandle()

shared_requests = _by_handle.of
"""The shared requests of a handle; None for one that can't be referred to weakly."""
