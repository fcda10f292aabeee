"""Keeps a session that has a retention from expiring while it is in use.

Whether a session has expired is told from its newest rows, and they cost nothing more. What they don't tell is noted by
a request of its own: where somebody opens a session, or is in a turn with it, and nothing was written to it for a third
of the time that it may be quiet. A plain turn writes each message at once, so it makes no such request.

A conversation with a bidirectional agent may be silent for long, and of its beginning newer releases tell by no event.
As long as such an agent is in memory, it is looked at as often as that, and noted if it has been started.
"""

from __future__ import annotations

import contextvars
import math
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..client import logger_of, survive_forks
from ..database.encoding import now
from ..database.query import unanswered
from .threads import awaited, handed_over, submit_call

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.retention import SessionFacts
    from ..database.tables import Tables
    from .outgoing import Stored

logger = logger_of(__name__)

NOTES = 3
"""How often a session is noted in the time after which it would expire: one note may fail, or come late."""

IDLE_SECONDS = 60.0
"""How long the thread stays that waits for turns; the next turn would start another one."""

LONGEST_SECONDS = 3600.0
"""How long it sleeps at most."""


class Presence:
    """Who uses one session in this process.

    Args:
        connector: The database and its tables.
        session_id: The session.
        known: What is known to be stored of it.
    """

    def __init__(self, connector: Connector[Tables], session_id: str, known: Stored) -> None:
        self._connector = connector
        self._session_id = session_id
        self._known = known
        self._was_opened = False
        self._noted = -math.inf  # of `time.monotonic`
        self._looked = -math.inf
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """The turns of a parent process are the parent's."""
        self._users: WeakSet[Any] = WeakSet()  # what is in a turn: one that dies amid it ends it
        self._talkers: WeakSet[Any] = WeakSet()

    @property
    def due(self) -> float:
        """When it is to be noted next, of `time.monotonic`; infinity for never."""
        retention, expires = self._known.keeping
        if retention is None:
            return math.inf
        quiet = retention.quiet.total_seconds()
        due = max(self._known.written, self._noted) + quiet / NOTES
        if not expires:
            return due
        left = (datetime.fromisoformat(expires) - datetime.now(timezone.utc)).total_seconds()
        return max(due, time.monotonic() + left - quiet)  # long before its end there is nothing to note

    @property
    def wakes(self) -> float:
        """When it is to be looked at next: as `due`, unless it was looked at since, and nobody used it."""
        retention = self._known.keeping.retention
        return self.due if retention is None else max(self.due, self._looked + retention.quiet.total_seconds() / NOTES)

    @property
    def is_in_turn(self) -> bool:
        """Whether an agent, a Graph or a Swarm is at work, or a conversation has been started."""
        return bool(self._users) or any(getattr(agent, "_started", False) for agent in self._talkers)

    @property
    def is_watched(self) -> bool:
        """Whether that has to be asked again."""
        return bool(self._users or self._talkers)

    def talks(self, agent: Any) -> None:
        """A bidirectional agent was built, which may be started at any time."""
        if self.due < math.inf:
            self._talkers.add(agent)
            _watch.turns(self, self.wakes)

    def opened(self, facts: SessionFacts, last_active: str) -> None:
        """Something of it was read, which was active at a time, ISO 8601; blocks for a request where one is due."""
        self._known.learn(facts)
        if facts.keeping.retention is None:
            return
        try:
            age = (datetime.now(timezone.utc) - datetime.fromisoformat(last_active)).total_seconds()
        except (TypeError, ValueError):  # nothing tells
            age = math.inf
        then = time.monotonic() - max(0.0, age)
        self._known.written = max(then, self._known.written) if self._was_opened else then
        self._was_opened = True
        if self.due <= time.monotonic():
            self.note()

    async def begins(self, subject: Any) -> None:
        """A turn of an agent, a Graph or a Swarm begins; it is noted first, where that is due."""
        due = self.due
        if due == math.inf:
            return
        self._users.add(subject)
        _watch.turns(self, due)
        await self.note_if_due()

    def ends(self, subject: Any) -> None:
        """The turn is over."""
        self._users.discard(subject)

    async def note_if_due(self) -> None:
        """Note that it is in use, where that is due."""
        if self.due <= time.monotonic():
            await awaited(submit_call(self.note))

    def note(self) -> None:
        """Note that it is in use. Raises nothing: what can't be noted now is tried again."""
        self.postpone()
        try:
            self._connector.carry_out(unanswered(self._connector.tables.sessions.note_use(self._session_id, now())))
        except Exception as error:
            logger.debug(
                "session_id=<%s>, error=<%s> | could not note that it is in use",
                self._session_id,
                type(error).__name__,
            )

    def postpone(self) -> None:
        """It is being noted: a third of the time passes before the next time."""
        self._noted = time.monotonic()

    def look(self) -> None:
        """Have it noted, if it is in use; else it is looked at again after a third of the time."""
        if self.is_in_turn:
            self.postpone()
            handed_over(self.note)
        else:
            self._looked = time.monotonic()


class _Watch:
    """One thread of this process, which has those sessions noted that are in a long turn, or conversation."""

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child process has turns, and a thread, of its own."""
        self._changed = threading.Condition()
        self._presences: WeakSet[Presence] = WeakSet()
        self._wakes = math.inf
        self._runs = False

    def turns(self, presence: Presence, due: float) -> None:
        """A session is in a turn, and to be noted at a time."""
        with self._changed:
            self._presences.add(presence)
            if not self._runs:
                thread = threading.Thread(target=self._run, name="strands-persql-presence", daemon=True)
                try:
                    contextvars.Context().run(thread.start)
                except RuntimeError:  # the interpreter is ending, or there is no thread to be had
                    return
                self._runs = True
            elif due < self._wakes:
                self._changed.notify()

    def _run(self) -> None:
        while self._waited():
            pass

    def _waited(self) -> bool:
        """Have noted what is due, and wait until something may be; False where nobody is in a turn any more."""
        with self._changed:
            self._have_noted()
            dues = [presence.wakes for presence in self._presences]
            seconds = min(dues) - time.monotonic() if dues else IDLE_SECONDS
            seconds = min(max(seconds, 0.01), LONGEST_SECONDS)
            self._wakes = time.monotonic() + seconds
            told = self._changed.wait(seconds)
            self._runs = told or bool(self._presences)  # one may have come since the time was up
            return self._runs

    def _have_noted(self) -> None:
        for presence in list(self._presences):
            if not presence.is_watched:
                self._presences.discard(presence)
            elif presence.wakes <= time.monotonic():
                presence.look()


_watch = _Watch()
