"""One session as the session manager and the hooks hold it: what reads it, what records it, what sends its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .leftovers import abandon
from .multi_agents import MultiAgentRecorder
from .opening import Opening
from .options import Durability, checked_durability, checked_session_id
from .presence import Presence
from .recorder import Recorder
from .threads import awaited
from .writer import Writer

if TYPE_CHECKING:
    from ..database.about import About
    from ..database.connector import Connector
    from ..database.tables import Tables
    from .succession import Owner


class Recording:
    """One session, its agents, Graphs and Swarms.

    Args:
        connector: The database and its tables.
        session_id: The session.
        durability: When messages are stored.
        about: What the session is begun with. One of another user is not opened.

    Raises:
        TypeError: `session_id` is no string.
        ValueError: `session_id` is blank, or `durability` none of the three.
    """

    def __init__(self, connector: Connector[Tables], session_id: str, durability: Durability, about: About) -> None:
        self.session_id = checked_session_id(session_id)
        self.about = about
        self.writer = Writer(connector, self.session_id, checked_durability(durability), about)
        self.presence = Presence(connector, self.session_id, self.writer.known)
        self.opening = Opening(connector, self.session_id, self.presence, about.user)
        self.agents = Recorder(self.writer, self.opening)
        self.multi_agents = MultiAgentRecorder(self.writer, self.opening)

    def __del__(self) -> None:
        if hasattr(self, "writer"):
            abandon(self.writer)

    def settle(self, owner: Owner) -> None:
        """Wait, before an agent, Graph or Swarm is read, for all that this process has yet to store of it. Blocks.

        Raises:
            Exception: What this session's own rows failed with; what an earlier manager's did is logged.
        """
        if not self.opening.is_ahead(owner):
            for stored in self.writer.succession.before_reading(owner):
                stored.result()

    async def settled(self, owner: Owner | None = None) -> None:
        """The same without blocking the loop, for one of them or for the whole session."""
        if owner is None or not self.opening.is_ahead(owner):
            for stored in self.writer.succession.before_reading(owner):
                await awaited(stored)

    @property
    def pending(self) -> int:
        """How many rows are not stored yet."""
        return self.writer.pending
