"""When a session's pending rows are sent, and what its agent has to wait for: the three durabilities."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from strands.types.session import Session, SessionType

from ..client import survive_forks
from ..database.encoding import encode
from .options import Durability, Written
from .writer import Writer

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables

__all__ = ["Delivery"]


class Delivery:
    """One session's writer, and the durability it was opened with.

    Args:
        connector: The database and its tables.
        session_id: The session.
        durability: When messages are stored.

    Attributes:
        lock: Held while an event is recorded.
        writer: Holds the pending rows.
    """

    def __init__(self, connector: Connector[Tables], session_id: str, durability: Durability) -> None:
        self.connector = connector
        self.session_id = session_id
        session = Session(session_id=session_id, session_type=SessionType.AGENT).to_dict()
        self.writer = Writer(connector, session_id, encode(session, what=f"session {session_id!r}"))
        self._durability = durability
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin anew in a child process: what was under way is the parent's to finish."""
        self.lock = threading.RLock()
        self._behind: Written = None  # under "overlap", the write that runs while the model works
        self._at_once = False

    @property
    def waits_for_sync(self) -> bool:
        """Whether what Strands asks for between two events is stored before the agent goes on."""
        return self._durability != "invocation"

    @property
    def waits_for_message(self) -> bool:
        """Whether each message is stored before the agent goes on."""
        return self._durability == "message"

    def flush(self, *, at_once: bool = False) -> Future[None]:
        """Store all that is pending; `at_once` where somebody blocks until then."""
        return self.writer.drain(at_once=at_once)

    def block(self, record: Callable[[], Written]) -> None:
        """Record something, and block until it is stored: it waits for no request of other sessions."""
        with self.lock:
            self._at_once = True
            try:
                written = record()
            finally:
                self._at_once = False
        if written is not None:
            written.result()

    def send(self, *, last: bool = False) -> Written:
        """Send what is pending as the durability asks; what to wait for now.

        Args:
            last: The agent waits for all of it, whatever the durability.
        """
        if self._durability == "invocation" and not last:
            return None
        behind = self._behind
        if not self.writer.has_pending:
            self._behind = None
            return behind if behind is not None and not behind.done() else None
        written = self.writer.drain(at_once=self._at_once)
        if last or self._durability == "message":
            self._behind = None
            return written
        self._behind = written
        if behind is None or (behind.done() and behind.exception() is None):
            return None
        return written if behind.done() else behind
