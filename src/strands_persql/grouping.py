"""Carries out what sessions want of a database: alone, or under load the writes of many in one request.

A session's work is a generator of requests (`Steps`): it yields one and is sent the rows of each statement, or has the
error raised at that place. So whoever carries it out decides which thread waits, and in whose company.

A database over a network has a few requests at once. What comes meanwhile waits for the first of them to be answered,
and then goes in one transaction, as databases group the commits of their clients: a thousand agents that go on at the
same moment make dozens of requests, not a thousand. Where nothing is under way, nothing waits. A transaction that was
refused says nothing about its parts: each is then sent by itself, and learns what is wrong with it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from . import workers
from .batches import MAX_STATEMENTS
from .client import is_sql_kind
from .errors import TransportError
from .store import Row, Store, fault_of
from .workers import submit, survive_forks

if TYPE_CHECKING:
    from .client import Statement
    from .tracing import BatchSpan

__all__ = ["Answers", "Request", "Steps", "carrier"]

REQUESTS_AT_ONCE = 4
"""Requests to one database before writes wait for one another. The service runs them one by one; several on their way
at once keep it busy."""

GROUPED_CHARACTERS = 250_000
"""Characters of parameters in a request that sessions share: a longer write takes long to send, and goes by itself."""

Answers: TypeAlias = list[list[Row]]


@dataclass(slots=True)
class Request:
    """What a session wants of its database.

    Attributes:
        statements: At most 100.
        span: Makes the span round it.
        written: How many rows it writes, all of its statements in one transaction; None where it only reads.
    """

    statements: Sequence[Statement]
    span: Callable[[], BatchSpan]
    written: int | None = None

    @property
    def characters(self) -> int:
        """What its parameters take on the way."""
        texts = (value for statement in self.statements for value in statement.get("params", ()))
        return sum(len(text) for text in texts if isinstance(text, str))


Steps: TypeAlias = workers.Steps[Request, Answers]


def carrier(store: Store[Any]) -> Callable[[Steps, bool], None]:
    """What carries out the work of a store's sessions on the shared threads: at once, where it is told to."""
    group = None if store.is_local else _groups.of(store.database)

    def carry_out(steps: Steps, at_once: bool) -> None:
        if group is None or at_once:
            submit(lambda: _finish(store, steps, steps.__next__))
        else:
            group.add(_Work(store, steps))

    return carry_out


def _finish(store: Store[Any], steps: Steps, step: Callable[[], Request]) -> None:
    """Take a step, and all that come after it, alone."""
    try:
        request = step()
        while True:
            try:
                answers = _answers(store, request)
            except BaseException as error:  # theirs, whatever it is
                request = steps.throw(error)
            else:
                request = steps.send(answers)
    except StopIteration:
        pass


def _answers(store: Store[Any], request: Request) -> Answers:
    with request.span() as span:
        if request.written is None:
            answers = store.read(*request.statements)
            span.rows(sum(map(len, answers)))
        else:
            answers = store.write(request.statements, key=_key_of)
            span.rows(request.written)
    return answers


class _Work:
    """One session's steps, and the request they have come to; None at their end."""

    def __init__(self, store: Store[Any], steps: Steps) -> None:
        self.store = store
        self.request: Request | None = None
        self._steps = steps

    def begin(self) -> Request | None:
        """Come to the first request."""
        self._take(self._steps.__next__)
        return self.request

    def answered(self, answers: Answers) -> None:
        """Come to the next."""
        self._take(lambda: self._steps.send(answers))

    def failed(self, error: BaseException) -> None:
        """The same after an error."""
        self._take(lambda: self._steps.throw(error))

    def _take(self, step: Callable[[], Request]) -> None:
        try:
            self.request = step()
        except StopIteration:
            self.request = None

    def send(self, request: Request) -> None:
        """Send the request, by itself."""
        try:
            answers = _answers(self.store, request)
        except BaseException as error:  # theirs, whatever it is
            self.failed(error)
        else:
            self.answered(answers)

    def finish(self, request: Request) -> None:
        """Send the request and all that come after it, on another thread: that may take long."""
        submit(lambda: _finish(self.store, self._steps, lambda: request))


_Ready: TypeAlias = tuple[_Work, Request]


class _Group:
    """The sessions that write to one database."""

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin anew in a child process: what waited is the parent's to send."""
        self._lock = threading.Lock()
        self._waiting: deque[_Work] = deque()
        # What had begun ends in the child too, but not here: it may need a lock that is not yet replaced.
        self._inherited = getattr(self, "_ready", None)
        self._ready: deque[_Ready] = deque()  # it had no room in the last request
        self._under_way = 0

    def add(self, work: _Work) -> None:
        """Send it now, or with the next."""
        with self._lock:
            self._waiting.append(work)
            if self._under_way >= REQUESTS_AT_ONCE:
                return
            self._under_way += 1
        try:
            submit(self._serve)
        except BaseException:
            with self._lock:
                self._under_way -= 1
            raise

    def _serve(self) -> None:
        while departing := self._departing():
            if len(departing) == 1:
                ((work, request),) = departing
                work.send(request)
            else:
                _send_together(departing)
            for work, _ in departing:
                if work.request is not None:
                    work.finish(work.request)

    def _departing(self) -> list[_Ready]:
        """What goes in the next request; nothing: nothing waits, and this road is free."""
        departing: list[_Ready] = []
        statements = characters = 0
        while ready := self._next(leaving=not departing):
            work, request = ready
            count, length = len(request.statements), request.characters
            if request.written is None or length > GROUPED_CHARACTERS:
                work.finish(request)
                continue
            if statements + count > MAX_STATEMENTS or characters + length > GROUPED_CHARACTERS:
                with self._lock:
                    self._ready.append(ready)
                break
            departing.append(ready)
            statements += count
            characters += length
        return departing

    def _next(self, *, leaving: bool) -> _Ready | None:
        """The next that waits and has a request; None: nothing does, and whoever is `leaving` leaves this road."""
        while True:
            with self._lock:
                if self._ready:
                    return self._ready.popleft()
                if not self._waiting:
                    self._under_way -= leaving
                    return None
                work = self._waiting.popleft()
            request = work.begin()
            if request is not None:
                return work, request


def _send_together(group: Sequence[_Ready]) -> None:
    """Send the writes of several sessions in one request and one transaction."""
    try:
        with ExitStack() as spans:
            entered = [spans.enter_context(request.span()) for _, request in group]
            statements = [each for _, request in group for each in request.statements]
            answers = iter(group[0][0].store.write(statements, key=_key_of))
            for span, (_, request) in zip(entered, group, strict=True):
                span.rows(request.written or 0)
    except BaseException as error:
        if _concerns_all(error):
            for work, _ in group:
                work.failed(error)
        # Else each is sent by itself. Should the database have carried them out all the same, they are recognised.
    else:
        for work, request in group:
            work.answered(list(islice(answers, len(request.statements))))


def _concerns_all(error: BaseException) -> bool:
    """Whether each of a group would fail in the same way, which may take a minute and a half of attempts each time."""
    status = getattr(error, "status", None)
    return isinstance(error, TransportError) or (
        isinstance(status, int) and (status in (401, 402, 429) or status >= 500) and not is_sql_kind(fault_of(error))
    )


class _Groups:
    """The groups of this process, one for each handle that is in use: a client gives all who ask the same one."""

    def __init__(self) -> None:
        self._groups: WeakKeyDictionary[object, _Group] = WeakKeyDictionary()
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def of(self, database: object) -> _Group | None:
        """A database's group; None for a handle that can't be told from others, whose writes go one by one."""
        try:
            with self._lock:
                group = self._groups.get(database)
                if group is None:
                    group = self._groups[database] = _Group()
                return group
        except TypeError:  # it can't be hashed, or referred to weakly
            return None


_groups = _Groups()


def _key_of(statements: Sequence[Statement]) -> str:
    digest = hashlib.sha256()
    for statement in statements:
        text = "\0".join([statement["sql"], *map(str, statement.get("params", ()))])
        digest.update(text.encode("utf-8", "surrogatepass"))
    return f"strands-persql-{digest.hexdigest()}"
