"""Sessions of any `SessionRepository` of Strands'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from strands.session import SessionRepository
from strands.types.session import encode_bytes_values

from ...errors import SessionDataError, named
from ._items import (
    HeadItem,
    Item,
    MessageItem,
    Source,
    SourceSession,
    StateItem,
    agent_item,
    checked_object,
    checked_position,
    malformed,
    message_item,
)

PAGE = 100
"""Messages asked for at a time."""


class RepositorySource(Source):
    """The sessions of a repository.

    Strands' interface reads by id, and lists nothing. A repository may list by methods of its own:
    `list_sessions()`, `list_agents(session_id)` and `list_multi_agents(session_id)`, each of ids.

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
        self._name = type(repository).__name__
        self._agent_ids = agent_ids
        self._multi_agent_ids = multi_agent_ids

    def session_ids(self) -> list[str] | None:
        return self._listed("list_sessions")

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
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
            given = self._multi_agent_ids
            multi_agent_ids = given if given is not None else self._listed("list_multi_agents", each) or []
            yield SourceSession(each, self._items(each, sorted(set(agent_ids)), sorted(set(multi_agent_ids))))

    def _listed(self, method: str, *arguments: str) -> list[str] | None:
        listing = cast("Callable[..., Iterable[str]] | None", getattr(self._repository, method, None))
        return None if listing is None else sorted(listing(*arguments))

    def _items(self, session_id: str, agent_ids: list[str], multi_agent_ids: list[str]) -> Iterator[Item]:
        session = self._repository.read_session(session_id)
        if session is None:
            raise SessionDataError(f"The {self._name} holds no session {named(session_id)} to import.")
        yield HeadItem(encode_bytes_values(session.to_dict()))
        for agent_id in agent_ids:
            where = f"Agent {named(agent_id)} of session {named(session_id)} in the {self._name}"
            agent = self._repository.read_agent(session_id, agent_id)
            if agent is None:
                raise malformed(where, "there is no such agent")
            yield agent_item(agent_id, encode_bytes_values(agent.to_dict()), where)
            yield from self._messages(session_id, agent_id)
        for owner in multi_agent_ids:
            where = f"Multi-agent {named(owner)} of session {named(session_id)} in the {self._name}"
            state: Any = self._repository.read_multi_agent(session_id, owner)
            if state is None:
                raise malformed(where, "there is no such Graph or Swarm")
            yield StateItem("multi_agent", owner, checked_object(encode_bytes_values(state), where))

    def _messages(self, session_id: str, agent_id: str) -> Iterator[MessageItem]:
        offset, position = 0, -1
        while True:
            page = self._repository.list_messages(session_id, agent_id, limit=PAGE, offset=offset)
            for message in page:
                where = f"Message {message.message_id} of agent {named(agent_id)} in the {self._name}"
                position = checked_position(message.message_id, where, after=position)
                yield message_item(agent_id, position, encode_bytes_values(message.to_dict()), where)
            if len(page) < PAGE:
                return
            offset += len(page)
