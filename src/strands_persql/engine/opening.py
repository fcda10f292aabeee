"""Reads what a session restores from: for an agent, Graph or Swarm that is being built, or ahead of all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from strands.types.exceptions import SessionException

from ..client import survive_forks
from ..database.query import Answers, Query, together
from ..database.tables import Reading
from ..errors import named
from .collector import collector_paused
from .reader import Restoration, StoredAgent, restoring
from .tracing import BatchSpan, Subject

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.decoding import Part, StoredMessage, StoredMultiAgent
    from ..database.encoding import Message
    from ..database.tables import Tables
    from .presence import Presence
    from .succession import Owner

_PARTS = 4
"""Parts of a long document that are asked for at a time, 1 MB each."""

T = TypeVar("T")


class Opening:
    """What is stored of one session.

    Args:
        connector: The database and its tables.
        session_id: The session.
        presence: It is told of what was read.
        user: Whose it has to be, if it is anybody's; None for whoever's.
    """

    def __init__(
        self, connector: Connector[Tables], session_id: str, presence: Presence, user: str | None = None
    ) -> None:
        self._connector = connector
        self._presence = presence
        self._user = user
        self.session_id = session_id
        self._agents: dict[str, StoredAgent] = {}  # read ahead, and not asked for yet
        self._multi_agents: dict[str, StoredMultiAgent] = {}
        self._ahead: set[Owner] = set()  # what was read ahead, stored or not, and not asked for yet
        self._all_ahead = False  # all of the session was, but for what has been asked for
        self._taken: set[Owner] = set()
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child process has locks of its own."""
        self._lock = threading.Lock()

    def read_ahead(self, agent_id: str | None) -> None:
        """Read the session's agents, Graphs and Swarms, or one agent, in one request, for the constructors to come."""
        tables = self._connector.tables
        query = restoring(tables, self.session_id, agent_id)
        multi_agents: dict[str, StoredMultiAgent] = {}
        if agent_id is None:
            both = together(query, tables.multi_agents.read(self.session_id))
            restoration, multi_agents = self._ask(both, versioned=True)
        else:
            restoration = self._ask(query, agent_id, versioned=True)
        agents = self._whole(restoration)
        self._opened([*agents.values(), *multi_agents.values()])
        with self._lock:
            self._agents.update(agents)
            self._multi_agents.update(multi_agents)
            if agent_id is None:
                self._all_ahead = True
            else:
                self._ahead.add(("agent", agent_id))

    def forget(self) -> None:
        """What was read ahead may have changed since."""
        with self._lock:
            self._agents, self._multi_agents = {}, {}
            self._ahead, self._all_ahead = set(), False

    def is_ahead(self, owner: Owner) -> bool:
        """Whether an agent, Graph or Swarm was read ahead, and not asked for since: it is had without a request."""
        return owner in self._ahead or (self._all_ahead and owner not in self._taken)

    def _takes(self, owner: Owner) -> bool:
        ahead = self.is_ahead(owner)
        self._ahead.discard(owner)
        self._taken.add(owner)
        return ahead

    def agent(self, agent_id: str) -> StoredAgent | None:
        """What is stored of an agent: as it was read ahead, if it was, else in one request."""
        with self._lock:
            if self._takes(("agent", agent_id)):
                return self._agents.pop(agent_id, None)
        query = restoring(self._connector.tables, self.session_id, agent_id)
        found = self._whole(self._ask(query, agent_id, versioned=True)).get(agent_id)
        self._opened([found])
        return found

    def originals(self, agent_id: str, holding: str) -> list[Message]:
        """Messages as they were said of which the model sees something else now; see `Reading.originals`."""
        tables = self._connector.tables
        found = self._ask(Reading(tables).originals(self.session_id, agent_id, holding), agent_id)
        return [
            whole_message(self._connector.ask, tables, self.session_id, agent_id, each).record()["message"]
            for each in found
        ]

    def multi_agent(self, multi_agent_id: str) -> StoredMultiAgent | None:
        """What is stored of a Graph or Swarm, in the same way."""
        with self._lock:
            if self._takes(("multi_agent", multi_agent_id)):
                return self._multi_agents.pop(multi_agent_id, None)
        query = self._connector.tables.multi_agents.read(self.session_id, multi_agent_id)
        found = self._ask(query, multi_agent_id, versioned=True).get(multi_agent_id)
        self._opened([found])
        return found

    def _opened(self, found: Iterable[StoredAgent | StoredMultiAgent | None]) -> None:
        stored = [each for each in found if each is not None]
        if stored:
            self._presence.opened(stored[0].facts, max(each.last_active for each in stored))

    def _ask(self, query: Query[T], *owners: str, versioned: bool = False) -> T:
        query = self._of_user(query)
        version = [self._connector.tables.read_version()] if versioned else []
        statements = [*version, *query.statements]
        subject = Subject(self._connector.system, self.session_id, owners)
        with BatchSpan("persql.restore", statements, subject, begins_trace=False) as span:
            return self._connector.ask(span.counted(_uncollected(query)), versioned=versioned)

    def _of_user(self, query: Query[T]) -> Query[T]:
        """The same query; its reader refuses the session of another user."""
        if self._user is None:
            return query
        both = together(query, self._connector.tables.sessions.about(self.session_id))

        def read(answers: Answers) -> T:
            found, about = both.read(answers)
            if about is not None and about.user not in (None, self._user):
                raise SessionException(
                    f"Session {named(self.session_id)} is another user's than {named(self._user)}, and was not opened. "
                    "Check where the session_id comes from."
                )
            return found

        return Query(both.statements, read)

    def _whole(self, restoration: Restoration) -> dict[str, StoredAgent]:
        while (page := restoration.next_page(self._connector.tables, self.session_id)) is not None:
            self._ask(page, *restoration.agents)
        return restoration.agents


def _uncollected(query: Query[T]) -> Query[T]:
    """The same query; the garbage collector pauses while its answers are read."""

    def read(answers: Answers) -> T:
        with collector_paused():
            return query.read(answers)

    return Query(query.statements, read)


def whole_message(
    ask: Callable[[Query[list[Part]]], list[Part]],
    tables: Tables,
    session_id: str,
    agent_id: str,
    message: StoredMessage,
) -> StoredMessage:
    """A message with its parts, of which a few are read at a time."""
    while numbers := message.missing(_PARTS):
        message = message.with_parts(ask(tables.parts.some(session_id, agent_id, message, numbers)))
        if message.missing(1) == numbers[:1]:
            break  # the part does not exist, which `record` reports
    return message
