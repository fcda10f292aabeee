"""Which agent of this process goes on with a session, where several have it: the one whose invocation began last.

A request is often cut off while its agent is at work (somebody pressed Stop, or left), and the next one builds a new
manager and agent for the same session. So an agent is read once all that earlier ones have under way is stored, and its
first invocation takes over: what a cut-off invocation produces from then on is dropped, and the new one goes on
undisturbed. An agent that begins another invocation after that gets a `SessionConflictError`.

Building an agent, or opening its session, takes nothing over: whoever only looks hurts nobody. An agent that was read
before another one's invocation began is too late to take over; whether it may still write, the database decides by
its revisions, as it does between processes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..client import logger_of, survive_forks
from ..errors import SessionConflictError, named
from .leftovers import unwatch
from .outgoing import MultiAgentRow, Redaction, Row

if TYPE_CHECKING:
    from .writer import Writer

logger = logger_of(__name__)

Owner: TypeAlias = "tuple[Literal['agent', 'multi_agent'], str]"
"""An agent, or a Graph or Swarm, by its id."""


def owner_of(row: Row) -> Owner:
    """Whose a row is."""
    return ("multi_agent", row.multi_agent_id) if isinstance(row, MultiAgentRow) else ("agent", row.agent_id)


@dataclass(slots=True)
class _Place:
    """One agent, Graph or Swarm, as the writers of this process have used it.

    Attributes:
        holder: Who goes on with it.
        invocations: How many have begun.
        puts: How many rows were to be written.
    """

    holder: weakref.ref[Succession] | None = None
    invocations: int = 0
    puts: int = 0


class _Session:
    """A session that is in use in this process."""

    def __init__(self) -> None:
        self.members: weakref.WeakSet[Succession] = weakref.WeakSet()
        self.places: dict[Owner, _Place] = {}


class _Sessions:
    """The sessions that are in use in this process, as long as they have a writer.

    Attributes:
        lock: Held while any of them is looked at, or changed.
    """

    def __init__(self) -> None:
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child process has all sessions to itself."""
        self.lock = threading.Lock()
        self.by_key: weakref.WeakValueDictionary[Hashable, _Session] = weakref.WeakValueDictionary()


_sessions = _Sessions()


class Succession:
    """What one writer may write, beside the others of its session in this process.

    Args:
        writer: The writer.
        session: Names its session: the database, the tables, the session's id.
    """

    def __init__(self, writer: Writer, session: Hashable) -> None:
        self._writer = writer
        self._key = session
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a child process."""
        self._joined: _Session | None = None
        self._seen: dict[Owner, tuple[int, int]] = {}  # invocations and puts, when it was read
        self._held: set[Owner] = set()  # what it has gone on with, and may have lost since
        self._running: set[Owner] = set()
        self._dropped: dict[Owner, int] = {}  # rows

    @property
    def _session(self) -> _Session:
        if self._joined is None:
            self._joined = _sessions.by_key.setdefault(self._key, _Session())
            self._joined.members.add(self)
        return self._joined

    # Reading

    def before_reading(self, owner: Owner | None = None) -> list[Future[None]]:
        """Have all that was put so far stored; what to wait for before an agent, or the session, is read.

        What fails of an earlier agent's is logged; what fails of this writer's own is raised by its future.
        """
        with _sessions.lock:
            for each in self._session.places if owner is None else [owner]:
                self._seen[each] = self._counts(each)
            writers = [each._writer for each in self._session.members if each is self or each._writer.is_watched]
        return [self._stored(writer) for writer in writers if writer.holds(owner)]

    def _counts(self, owner: Owner) -> tuple[int, int]:
        place = self._session.places.get(owner)
        return (0, 0) if place is None else (place.invocations, place.puts)

    def _stored(self, writer: Writer) -> Future[None]:
        written = writer.drain(at_once=True)
        if writer is self._writer:
            return written
        settled: Future[None] = Future()

        def done(written: Future[None]) -> None:
            error = written.exception()
            if error is not None:
                logger.warning(
                    "session_id=<%s>, error=<%s> | what an earlier agent of this process has left could not be stored",
                    writer.session_id,
                    type(error).__name__,
                )
            if isinstance(error, SessionConflictError):  # it can't be stored later either: told once is enough
                unwatch(writer)
            settled.set_result(None)

        written.add_done_callback(done)
        return settled

    # Writing

    def begins(self, owner: Owner) -> bool:
        """An invocation begins, and takes over what it was not too late for.

        Returns:
            Whether an invocation that was cut off has written since this writer has read the agent.

        Raises:
            SessionConflictError: Another one has taken over since this writer's last invocation.
        """
        with _sessions.lock:
            place = self._session.places.setdefault(owner, _Place())
            invocations, puts = self._seen.get(owner, (0, 0))
            behind = not self._holds(place, owner) and place.puts != puts
            too_late = behind and place.invocations != invocations
            if not too_late:
                self._takes(place, owner)
            place.invocations += 1
            self._running.add(owner)
            return behind and not too_late

    def ends(self, owner: Owner, *, cut_off: bool) -> None:
        """An invocation has ended."""
        with _sessions.lock:
            self._running.discard(owner)
        if owner in self._dropped and not cut_off:
            logger.warning(
                "session_id=<%s>, %s=<%s>, rows=<%d> | not stored: another agent of this process has begun an "
                "invocation on the same session in the meantime",
                self._writer.session_id,
                *owner,
                self._dropped[owner],
            )

    def admitted(self, rows: Iterable[Row]) -> list[Row]:
        """Those rows that are this writer's to write; a cut-off invocation's are dropped.

        Raises:
            SessionConflictError: Another one has taken over since this writer's last invocation.
        """
        admitted: list[Row] = []
        with _sessions.lock:
            for row in rows:
                owner = owner_of(row)
                place = self._session.places.setdefault(owner, _Place())
                if not self._holds(place, owner, drops=not isinstance(row, Redaction)):
                    if owner in self._held:
                        continue
                    if place.puts == self._seen.get(owner, (0, 0))[1]:
                        self._takes(place, owner)
                place.puts += 1
                admitted.append(row)
        return admitted

    def _holds(self, place: _Place, owner: Owner, *, drops: bool = False) -> bool:
        """Whether it is this writer that goes on with it."""
        holder = None if place.holder is None else place.holder()
        if holder is self:
            return True
        if owner not in self._held:
            return False
        if holder is None and owner not in self._dropped:  # whoever took over is gone: the database decides
            self._takes(place, owner)
            return True
        if not drops or owner not in self._running:
            raise _taken_over(self._writer.session_id, owner)
        if owner not in self._dropped:
            logger.debug("session_id=<%s>, %s=<%s> | taken over, drops rows", self._writer.session_id, *owner)
        self._dropped[owner] = self._dropped.get(owner, 0) + 1
        return False

    def _takes(self, place: _Place, owner: Owner) -> None:
        place.holder = weakref.ref(self)
        self._held.add(owner)


def _taken_over(session_id: str, owner: Owner) -> SessionConflictError:
    kind, name = owner
    return SessionConflictError(
        f"Session {named(session_id)}: {kind.replace('_', '-')} {named(name)} was taken over by a newer one of this "
        "process, which has begun an invocation since. Nothing of it was overwritten. Keep one agent per session at "
        "work: build a new agent with a new PerSQLSessionManager to go on from what is stored, or fork the session "
        "to go on separately.",
        session_id=session_id,
        agent_id=name,
    )
