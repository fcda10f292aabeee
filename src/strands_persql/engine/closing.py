"""What a session manager and a mirror share: a count of what is pending, and ways to store it and to end."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from ..errors import SessionConflictError
from .leftovers import unwatch
from .lifecycle import wait

if TYPE_CHECKING:
    from typing_extensions import Self

    from .recording import Recording


class Closing:
    """Stores what is pending, and ends."""

    _recording: Recording

    @property
    def pending(self) -> int:
        """How many rows are not stored yet: 0 after every event under `"message"`, unless a write failed."""
        return self._recording.pending

    def flush(self) -> None:
        """Store all that is pending, and wait for it.

        Raises:
            PerSQLError: The database refused, or could not be reached; the rows stay pending.
            SessionConflictError: Another writer changed the session.
        """
        self._recording.writer.drain(at_once=True).result()

    async def aflush(self) -> None:
        """`flush()`, without blocking the event loop."""
        await wait(self._recording.writer.drain())

    def close(self) -> None:
        """Store all that is pending, then let go of what is this object's own.

        Raises:
            PerSQLError: As `flush`.
            SessionConflictError: As `flush`.
        """
        try:
            self.flush()
        except SessionConflictError:  # nothing pending can be stored any more, as its user knows now
            unwatch(self._recording.writer)
            raise
        finally:
            self._release()

    async def aclose(self) -> None:
        """`close()`, without blocking the event loop."""
        stored = self._recording.writer.drain()
        # Whoever is cancelled stops waiting; what is being written still needs its client.
        stored.add_done_callback(lambda _: self._release())
        try:
            await wait(stored)
        except SessionConflictError:  # nothing pending can be stored any more, as its user knows now
            unwatch(self._recording.writer)
            raise
        finally:
            if stored.done():  # its callbacks may still be waiting for their turn
                self._release()

    def _release(self) -> None:
        """Let go of what is this object's own: nothing, as a rule."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
