"""Sessions of any `SessionRepository` of Strands'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from strands.session import SessionRepository
from strands.types.session import encode_bytes_values

from ...errors import SessionDataError
from ._items import (
    AgentItem,
    Document,
    HeadItem,
    Item,
    MessageItem,
    MultiAgentItem,
    checked_agent,
    checked_message,
    checked_object,
    checked_position,
    malformed,
)

__all__ = ["RepositorySource"]

PAGE = 100
"""Messages asked for at a time."""


class RepositorySource:
    """The sessions of a repository.

    Strands' interface reads what it is told the ids of, and lists nothing. A repository may list by methods of its
    own: `list_sessions()`, `list_agents(session_id)` and `list_multi_agents(session_id)`, each of ids.

    Args:
        repository: The repository.
        agent_ids: The agents to bring over; None for those that it lists.
        multi_agent_ids: The Graphs and Swarms; None for those that it lists, or none.
    """

    def __init__(
        self,
        repository: SessionRepository,
        agent_ids: Sequence[str] | None = None,
        multi_agent_ids: Sequence[str] | None = None,
    ) -> None:
        self._repository = repository
        self._agent_ids = agent_ids
        self._multi_agent_ids = multi_agent_ids

    def session_ids(self) -> list[str] | None:
        """Which sessions it has, where it lists them."""
        return self._listed("list_sessions")

    def count(self, session_ids: Iterable[str]) -> int | None:
        """Only reading them tells."""
        return None

    def sessions(self, session_id: str | None) -> Iterator[RepositorySession]:
        """One session, or all of them.

        Raises:
            ValueError: It doesn't tell what it has, and nobody else did.
        """
        ids = self.session_ids() if session_id is None else [session_id]
        if ids is None:
            raise ValueError("This repository can't list its sessions. Name the one to import: session_id=…")
        for each in ids:
            agent_ids = self._agent_ids if self._agent_ids is not None else self._listed("list_agents", each)
            if agent_ids is None:
                raise ValueError(
                    "This repository can't list the agents of a session. Name them: agent_ids=[…]; an agent built "
                    "without an agent_id is 'default'."
                )
            multi = self._multi_agent_ids
            multi_agent_ids = multi if multi is not None else self._listed("list_multi_agents", each) or []
            yield RepositorySession(each, self._repository, sorted(set(agent_ids)), sorted(set(multi_agent_ids)))

    def _listed(self, method: str, *arguments: str) -> list[str] | None:
        listing = cast("Callable[..., Iterable[str]] | None", getattr(self._repository, method, None))
        return None if listing is None else sorted(listing(*arguments))


@dataclass(frozen=True)
class RepositorySession:
    """One session of a repository."""

    session_id: str
    repository: SessionRepository
    agent_ids: list[str]
    multi_agent_ids: list[str]

    def items(self) -> Iterator[Item]:
        """All of it, messages by the page.

        Raises:
            SessionDataError: Something is missing, or no record of Strands'.
        """
        name = type(self.repository).__name__
        session = self.repository.read_session(self.session_id)
        if session is None:
            raise SessionDataError(f"The {name} holds no session {self.session_id!r} to import.")
        yield HeadItem(_plain(session.to_dict()))
        for agent_id in self.agent_ids:
            where = f"Agent {agent_id!r} of session {self.session_id!r} in the {name}"
            agent = self.repository.read_agent(self.session_id, agent_id)
            if agent is None:
                raise malformed(where, "there is no such agent")
            yield AgentItem(agent_id, checked_agent(_plain(agent.to_dict()), where))
            offset, before = 0, -1
            while True:
                page = self.repository.list_messages(self.session_id, agent_id, limit=PAGE, offset=offset)
                for message in page:
                    place = f"Message {message.message_id} of agent {agent_id!r} in the {name}"
                    position = checked_position(message.message_id, place)
                    if position <= before:
                        raise malformed(place, f"it stands after message {before}")
                    before = position
                    yield MessageItem(agent_id, position, checked_message(_plain(message.to_dict()), place))
                if len(page) < PAGE:
                    break
                offset += len(page)
        for multi_agent_id in self.multi_agent_ids:
            where = f"Multi-agent {multi_agent_id!r} of session {self.session_id!r} in the {name}"
            state: Any = self.repository.read_multi_agent(self.session_id, multi_agent_id)
            if state is None:
                raise malformed(where, "there is no such Graph or Swarm")
            yield MultiAgentItem(multi_agent_id, checked_object(_plain(state), where))


def _plain(document: Any) -> Document:
    """A record as JSON has it: bytes encoded."""
    return cast("Document", encode_bytes_values(document))
