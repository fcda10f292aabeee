"""Reads what a session restores from: for an agent, Graph or Swarm that is being built, or ahead of all of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..client import survive_forks
from ..database.decoding import Restoration, StoredAgent, StoredMultiAgent, stored_multi_agents
from .tracing import BatchSpan

if TYPE_CHECKING:
    from ..client import Statement
    from ..database.connector import Connector
    from ..database.connector import Row as StoredRow
    from ..database.tables import Tables

__all__ = ["Opening"]


class Opening:
    """What is stored of one session.

    Args:
        connector: The database and its tables.
        session_id: The session.
    """

    def __init__(self, connector: Connector[Tables], session_id: str) -> None:
        self._connector = connector
        self._session_id = session_id
        self._agents: dict[str, StoredAgent] = {}  # read ahead, and not asked for yet
        self._multi_agents: dict[str, StoredMultiAgent] = {}
        self._ahead: set[str] | None = set()  # agents read ahead, present or not; None: all of the session
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child process has locks of its own."""
        self._lock = threading.Lock()

    def read_ahead(self, agent_id: str | None) -> None:
        """Read the session's agents, Graphs and Swarms, or one agent, in one request, for the constructors to come."""
        tables = self._connector.tables
        statements = tables.restore.agents(self._session_id, agent_id)
        if agent_id is None:
            statements += tables.multi_agents.read(self._session_id)
        answers = self._read(statements, agent_id, versioned=True)
        multi_agents = stored_multi_agents(answers[5:]) if agent_id is None else {}
        del answers[5:]
        agents = self._restored(answers)
        with self._lock:
            self._agents.update(agents)
            self._multi_agents.update(multi_agents)
            if agent_id is None:
                self._ahead = None
            elif self._ahead is not None:
                self._ahead.add(agent_id)

    def agent(self, agent_id: str, *, again: bool) -> StoredAgent | None:
        """What is stored of an agent: as it was read ahead, if it was, else in one request.

        Args:
            agent_id: The agent.
            again: It was restored before, so that all its rows may have changed since the session was read ahead.
        """
        with self._lock:
            if self._ahead is None or agent_id in self._ahead:
                if self._ahead is not None:
                    self._ahead.discard(agent_id)
                if agent_id in self._agents or not again:
                    return self._agents.pop(agent_id, None)
        answers = self._read(
            self._connector.tables.restore.agents(self._session_id, agent_id), agent_id, versioned=True
        )
        return self._restored(answers).get(agent_id)

    def multi_agent(self, multi_agent_id: str, *, again: bool) -> StoredMultiAgent | None:
        """What is stored of a Graph or Swarm, in the same way."""
        with self._lock:
            if self._ahead is None and not again:
                return self._multi_agents.pop(multi_agent_id, None)
        tables = self._connector.tables
        statements = [tables.read_version(), *tables.multi_agents.read(self._session_id, multi_agent_id)]
        answers = self._read(statements, multi_agent_id, versioned=True)
        return stored_multi_agents(answers).get(multi_agent_id)

    def _read(
        self, statements: Sequence[Statement], *owners: str | None, versioned: bool = False
    ) -> list[list[StoredRow]]:
        owned_by = [owner for owner in owners if owner is not None]
        with BatchSpan("persql.restore", statements, session_id=self._session_id, agent_ids=owned_by) as span:
            answers = self._connector.read_versioned(statements) if versioned else self._connector.read(*statements)
            span.rows(sum(map(len, answers)))
        return answers

    def _restored(self, answers: list[list[StoredRow]]) -> dict[str, StoredAgent]:
        restoration = Restoration(answers)
        while statements := restoration.wanted(self._connector.tables, self._session_id):
            restoration.take(self._read(statements, *restoration.agents))
        return restoration.agents
