"""Writes of many sessions in one request, where a database over a network is under load.

A database has a few requests at once. A session that comes meanwhile is a follower: it waits, without a thread of its
own, for a leader to take it along. Who finds room for one more request becomes a leader: it takes all that waits and
sends it as one transaction, as databases group the commits of their clients. A thousand agents that go on at the same
moment make dozens of requests, not a thousand. Where nothing is under way, nothing waits.

A transaction that failed says nothing about its parts: each session then writes by itself at once, before any wait of
a retry, and learns what is wrong with its own rows. Only what would meet every session alike (a token that was revoked,
a balance used up, a service that can't be reached) is told to each.
"""

from __future__ import annotations

import copy
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from ..client import survive_forks
from ..errors import PerSQLError, TransportError
from .faults import GUARDS, fault_of

if TYPE_CHECKING:
    from ..client import Statement
    from .connector import Connector

__all__ = ["Follower", "SharedRequests", "shared_requests"]

logger = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 4
"""Requests to one database before writes wait for one another. The service runs them one by one; several on their way
at once keep it busy."""

MAX_STATEMENTS = 100
"""Statements in one batch (PerSQL, "Platform limits")."""

SHARED_CHARACTERS = 250_000
"""Characters of parameters in a request that sessions share: a longer write takes long to send, and goes by itself."""


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

    def failed(self, error: BaseException) -> None:
        """Its statements were not carried out: this is what it would run into by itself."""
        ...

    def goes_alone(self, *, sent: bool) -> None:
        """It has to write by itself; with `sent`, its statements may have been carried out, or yet be."""
        ...


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

    def add(self, follower: Follower) -> bool:
        """Have a session wait for a leader; True where there is room for one more: then call `lead` soon."""
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

    def lead(self) -> bool:
        """Send what waits as one request, and block until it is answered; True where more waits: then call it again."""
        followers: list[tuple[Follower, Sequence[Statement]]] = []
        try:
            self._gather(followers)
            _send(followers)
        except Exception:  # whatever it is, nobody waits for ever
            logger.exception("sessions=<%d> | a shared request failed for an unexpected reason", len(followers))
            for follower, _ in followers:
                follower.goes_alone(sent=True)
        followers.clear()  # from Python 3.12 on, the error that a session is told leads to this frame
        with self._lock:
            more = bool(self._waiting)
            self._under_way -= not more
        return more

    def _gather(self, followers: list[tuple[Follower, Sequence[Statement]]]) -> None:
        """Take what waits along, as far as one request holds it."""
        count = characters = 0
        while count < MAX_STATEMENTS and (follower := self._next()) is not None:
            statements = follower.joins()
            if not statements:
                continue
            count += len(statements)
            characters += _characters(statements)
            if count > MAX_STATEMENTS or characters > SHARED_CHARACTERS:
                follower.goes_alone(sent=False)
                return
            followers.append((follower, statements))

    def _next(self) -> Follower | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None


def _send(followers: list[tuple[Follower, Sequence[Statement]]]) -> None:
    """Send the statements of several sessions as one transaction, and tell each what came of it."""
    if not followers:
        return
    connector = followers[0][0].connector
    by_itself = len(followers) == 1
    shared = not by_itself or connector.fails_at_once
    statements = [each for _, own in followers for each in own]
    with followers[0][0].in_span() if by_itself else nullcontext():
        failure = _failure_of(lambda: connector.commit(statements, shared=shared))
    if failure is not None and not _is_own(failure, by_itself, shared):
        status = getattr(failure, "status", None) or type(failure).__name__
        logger.debug(
            "sessions=<%d>, attempt=<2>, status=<%s> | retrying request, each by itself", len(followers), status
        )
        sent = bool(getattr(failure, "sent", True))
        while followers:
            followers.pop(0)[0].goes_alone(sent=sent)
    while followers:
        follower, _ = followers.pop(0)
        if failure is None:
            follower.stored()
        else:
            follower.failed(failure if by_itself else _copy_of(failure))


def _failure_of(request: Callable[[], None]) -> BaseException | None:
    try:
        request()
    except BaseException as error:
        return error  # not handled here: it would be the context of each session's own
    return None


def _is_own(failure: BaseException, by_itself: bool, shared: bool) -> bool:
    """Whether each session would meet the same failure by itself, after as many attempts."""
    if by_itself and (not shared or fault_of(failure) in GUARDS):
        return True
    return isinstance(failure, PerSQLError) and (
        failure.status in (401, 402, 429) or (isinstance(failure, TransportError) and not failure.sent)
    )


def _copy_of(error: BaseException) -> BaseException:
    """One session's own copy of an error.

    It leads to nothing of the other sessions': neither to a frame that holds their messages, nor to the request.
    """
    own = copy.copy(error).with_traceback(None)
    if "__notes__" in vars(own):
        vars(own)["__notes__"] = list(vars(own)["__notes__"])
    return own


def _characters(statements: Sequence[Statement]) -> int:
    texts = (value for statement in statements for value in statement.get("params", ()))
    return sum(len(text) for text in texts if isinstance(text, str))


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
