"""Carries out what sessions want of a database: alone, or under load the writes of many in one request.

A session's work is a generator of requests (`Steps`): it yields one and is sent the rows of each statement, or has the
error raised at that place. So whoever carries it out decides which thread waits, and in whose company.

A database over a network has a few requests at once. What comes meanwhile waits for the first of them to be answered,
and then goes in one transaction, as databases group the commits of their clients: a thousand agents that go on at the
same moment make dozens of requests, not a thousand. Where nothing is under way, nothing waits. A transaction that was
refused says nothing about its parts: each is then sent by itself, and learns what is wrong with it.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from ..client import is_sql_kind
from ..database.connector import Row, Store, fault_of
from ..errors import PerSQLError, TransportError
from . import threads as workers
from .planner import MAX_STATEMENTS
from .threads import handed_over, submit, survive_forks
from .tracing import Start

if TYPE_CHECKING:
    from ..client import Statement
    from .tracing import BatchSpan

__all__ = ["Answers", "Request", "Steps", "carrier"]

logger = logging.getLogger(__name__)

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
        span: Makes the span round it, from when it was sent; None for now.
        written: How many rows it writes, all of its statements in one transaction; None where it only reads.
        attempted: It was sent in company, and may have been carried out, or yet be.
    """

    statements: Sequence[Statement]
    span: Callable[[Start | None], BatchSpan]
    written: int | None = None
    attempted: bool = False

    @property
    def characters(self) -> int:
        """What its parameters take on the way."""
        texts = (value for statement in self.statements for value in statement.get("params", ()))
        return sum(len(text) for text in texts if isinstance(text, str))


Steps: TypeAlias = workers.Steps[Request, Answers]


def carrier(store: Store[Any]) -> Callable[[Steps, bool], None]:
    """What carries out the work of one session on the shared threads; at once, where somebody blocks until then."""
    return _Carrier(store, None if store.is_local else _groups.of(store.database))


class _Carrier:
    """One session's road to its database.

    Args:
        store: The database.
        group: Those it shares requests with; None for nobody.
    """

    def __init__(self, store: Store[Any], group: _Group | None) -> None:
        self.store = store
        self._group = group
        self._failed = False  # it was refused by itself: it would spoil the requests of others

    def __call__(self, steps: Steps, at_once: bool) -> None:
        if self._group is None or self._failed or at_once:
            submit(lambda: self.finish(steps, steps.__next__))
        else:
            self._group.add(_Work(self, steps))

    def finish(self, steps: Steps, step: Callable[[], Request]) -> None:
        """Take a step, and all that come after it, alone."""
        try:
            request = step()
            while True:
                try:
                    answers = self.answers(request)
                except BaseException as error:
                    request = steps.throw(_theirs(error))
                else:
                    request = steps.send(answers)
        except StopIteration:
            pass

    def answers(self, request: Request) -> Answers:
        """Send a request, by itself."""
        self._failed = True
        with request.span(None) as span:
            if request.written is None:
                answers = self.store.read(*request.statements)
                span.rows(sum(map(len, answers)))
            else:
                answers = self.store.write(request.statements, key=_key_of)
                span.rows(request.written)
        self._failed = False
        return answers


class _Work:
    """One session's steps, and the request they have come to; None at their end."""

    def __init__(self, carrier: _Carrier, steps: Steps) -> None:
        self.request: Request | None = None
        self.carrier = carrier
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
            answers = self.carrier.answers(request)
        except BaseException as error:
            self.failed(_theirs(error))
        else:
            self.answered(answers)

    def finish(self, request: Request) -> None:
        """Send the request and all that come after it, on another thread: that may take long."""
        submit(lambda: self.carrier.finish(self._steps, lambda: request))


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
        self._under_way = 0

    def add(self, work: _Work) -> None:
        """Send it now, or with the next."""
        with self._lock:
            self._waiting.append(work)
            if self._under_way >= REQUESTS_AT_ONCE:
                return
            self._under_way += 1
        try:
            taken = handed_over(self._serve)
        except BaseException:
            with self._lock:
                self._under_way -= 1
            raise
        if not taken:
            self._serve()

    def _serve(self) -> None:
        """Send what waits, one request after the other; between two of them a thread is left to whoever needs it."""
        while self._has_sent():
            if handed_over(self._serve):
                return

    def _has_sent(self) -> bool:
        """Send what waits in one request; whether more waits now. If not, this road is free."""
        departing: list[_Ready] = []
        try:
            self._depart(departing)
            _send(departing)
        except Exception:  # whatever it is, nobody waits for ever
            logger.exception(
                "sessions=<%d> | a request that they share failed for an unexpected reason", len(departing)
            )
            _give_up(departing)
        finally:
            _send_on(departing)
            departing.clear()  # from Python 3.12 on, what a session was told leads back to this frame
            with self._lock:
                more = bool(self._waiting)
                self._under_way -= not more
        return more

    def _depart(self, departing: list[_Ready]) -> None:
        """Take what goes in the next request."""
        statements = characters = 0
        while statements < MAX_STATEMENTS and (work := self._next()):
            request = work.begin()
            if request is None:
                continue
            statements += len(request.statements)
            characters += request.characters
            if request.written is None or statements > MAX_STATEMENTS or characters > GROUPED_CHARACTERS:
                work.finish(request)  # at once: what was begun counts as sent
                break
            departing.append((work, request))

    def _next(self) -> _Work | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None


def _send(departing: Sequence[_Ready]) -> None:
    if len(departing) == 1:
        ((work, request),) = departing
        work.send(request)
    elif departing:
        _send_together(departing)


def _send_on(departing: Sequence[_Ready]) -> None:
    """Have those that are not done go on by themselves."""
    for work, _ in departing:
        if work.request is not None:
            work.finish(work.request)


def _give_up(departing: Sequence[_Ready]) -> None:
    """Tell those who have heard nothing."""
    for work, request in departing:
        if work.request is request:
            work.failed(PerSQLError("a request failed for an unexpected reason, which is logged; try again"))


def _send_together(group: Sequence[_Ready]) -> None:
    """Send the writes of several sessions in one request and one transaction."""
    start = Start.now()
    failure: BaseException | None = None
    answers: Answers = []
    statements = [statement for _, request in group for statement in request.statements]
    try:
        answers = group[0][0].carrier.store.write(statements, key=_key_of)
    except BaseException as error:
        failure = error  # not handled here: it would be the context of each session's own
    del statements  # what a session is told leads to this frame
    rows = iter(answers)
    each: _Ready | None
    for each in group:
        if failure is None:
            _answer(*each, rows, start)
        else:
            _fail(*each, failure, start)
    each = failure = None


def _answer(work: _Work, request: Request, rows: Iterator[list[Row]], start: Start) -> None:
    answers = list(islice(rows, len(request.statements)))
    try:
        with request.span(start) as span:
            span.rows(request.written or 0)
    except BaseException as error:
        work.failed(_theirs(error))
    else:
        work.answered(answers)


def _fail(work: _Work, request: Request, failure: BaseException, start: Start) -> None:
    """Tell a session what it would run into by itself; else it is sent by itself.

    Should the database have carried it out all the same, it is recognised.
    """
    request.attempted = getattr(failure, "sent", True)
    own = _own(failure)
    del failure
    if own is not None:
        try:
            with request.span(start):
                raise own
        except BaseException as error:
            own = error.with_traceback(None)
        work.failed(own)


def _theirs(error: BaseException) -> BaseException:
    """What is raised in a generator for an error of a handle's, whatever that is."""
    return RuntimeError("the database's handle raised GeneratorExit") if isinstance(error, GeneratorExit) else error


def _own(error: BaseException) -> BaseException | None:
    """One session's copy of an error that each of a group would run into, after as many attempts; None for others.

    It leads to nothing of the other sessions': neither to a frame that holds their messages, nor to the request.
    """
    if not (isinstance(error, PerSQLError) and _concerns_all(error)):
        return None
    own = copy.copy(error)
    if "__notes__" in vars(own):
        vars(own)["__notes__"] = list(vars(own)["__notes__"])
    return own


def _concerns_all(error: PerSQLError) -> bool:
    status = error.status or 0
    return isinstance(error, TransportError) or (
        (status in (401, 402, 429) or status >= 500) and not is_sql_kind(fault_of(error))
    )


class _Groups:
    """The groups of this process, one for each handle that is in use: a client gives all who ask the same one."""

    def __init__(self) -> None:
        self._groups: dict[int, tuple[weakref.ref[object], _Group]] = {}
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def of(self, database: object) -> _Group | None:
        """A handle's group; None for one that can't be referred to weakly, whose sessions go one by one."""
        key = id(database)  # not by what the handle calls equal: its token may be another
        try:
            handle = weakref.ref(database, lambda _: self._groups.pop(key, None))
        except TypeError:
            return None
        with self._lock:
            if key not in self._groups:
                self._groups[key] = (handle, _Group())
            return self._groups[key][1]


_groups = _Groups()


def _key_of(statements: Sequence[Statement]) -> str:
    digest = hashlib.sha256()
    for statement in statements:
        text = "\0".join([statement["sql"], *map(str, statement.get("params", ()))])
        digest.update(text.encode("utf-8", "surrogatepass"))
    return f"strands-persql-{digest.hexdigest()}"
