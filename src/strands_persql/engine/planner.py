"""From rows to be written to batches of statements, inside the limits of one request. Pure: no I/O, no agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..database.tables import ChunkKind, Tables, first_revision, revision_step
from .outgoing import (
    MAX_BODY_BYTES,
    MAX_STATEMENTS,
    AgentRow,
    Batch,
    DocumentKey,
    MessageRow,
    MultiAgentRow,
    Row,
    Stored,
    size_of,
    statement_of,
)

if TYPE_CHECKING:
    from ..client import Statement
    from ..database.encoding import Document


def plan(
    rows: Iterable[Row], tables: Tables, session_id: str, session: Statement | None, stored: Stored
) -> list[Batch]:
    """The batches to send, in an order in which every one alone leaves a session that can be restored.

    A document's parts come before its row, messages in their order, an agent's state after the messages it goes with.
    Whatever replaces something stored raises the agent's revision in its batch or in one before it, so that an earlier
    attempt that reaches the database late is refused.

    Args:
        rows: What is to be written.
        tables: Where to.
        session_id: Whose.
        session: What writes the session's own row unless it is there; None where it is.
        stored: What is there.
    """
    rows = list(rows)
    batches = _Plan(tables, session_id, stored).of(rows, session)
    if len(batches) > 1:
        batches = _Plan(tables, session_id, stored, raises_first=True).of(rows, session)
    return batches


class _Plan:
    def __init__(self, tables: Tables, session_id: str, stored: Stored, *, raises_first: bool = False) -> None:
        self._tables = tables
        self._raises_first = raises_first
        self._next_ids = dict(stored.next_ids)
        self._session_id = session_id
        self._stored = stored
        self._batches: list[Batch] = []
        self._size = 0

    def of(self, rows: Sequence[Row], session: Statement | None) -> list[Batch]:
        agents = {row.agent_id: row for row in rows if isinstance(row, AgentRow)}
        multi_agents = [row for row in rows if isinstance(row, MultiAgentRow)]
        new = {agent_id for agent_id in agents if not self._stored.agents.get(agent_id)}
        is_new = new or any(not self._stored.multi_agents.get(row.multi_agent_id) for row in multi_agents)
        if is_new and session is not None:
            self._add(session)
        messages = [row for row in rows if isinstance(row, MessageRow)]
        for message in messages:
            self._next_ids[message.agent_id] = max(self._next_ids.get(message.agent_id, 0), message.message_id + 1)
        revisions = dict(self._stored.agents)
        for agent_id in agents:
            if agent_id in new:
                revisions[agent_id] = self._agent(agents[agent_id], revision=0)
        replaced = {row.agent_id for row in messages if not row.new or row.key in self._stored.in_parts}
        for agent_id in sorted(replaced - new):
            if self._raises_first or agent_id not in agents:
                revisions[agent_id] = self._touch(agent_id, revision=revisions.get(agent_id, 0))
        self._messages(messages, revisions)
        for agent_id, row in agents.items():
            if agent_id not in new:
                self._agent(row, revision=revisions[agent_id])
        for multi_agent in multi_agents:
            self._multi_agent(multi_agent)
        return self._batches

    def _agent(self, row: AgentRow, *, revision: int) -> int:
        ids = (self._session_id, row.agent_id)
        new = revision + revision_step() if revision else first_revision()
        self._parts("agent", row.agent_id, 0, row.document, revision=revision or None)
        if revision:
            write = self._tables.agents.update(
                *ids,
                row.window,
                row.document.data,
                next_id=self._next_ids.get(row.agent_id, 0),
                revisions=(revision, new),
            )
        else:
            write = self._tables.agents.create(*ids, row.window, row.document.data, new_revision=new)
        self._complete(row.key, write, row.document)
        self._batches[-1].agents[row.agent_id] = new
        return new

    def _touch(self, agent_id: str, *, revision: int) -> int:
        new = revision + revision_step()
        self._add(self._tables.agents.touch(self._session_id, agent_id, revision=revision, new_revision=new))
        self._batches[-1].agents[agent_id] = new
        return new

    def _messages(self, rows: list[MessageRow], revisions: Mapping[str, int]) -> None:
        for row in sorted(rows, key=lambda row: (row.agent_id, row.message_id)):
            revision = revisions.get(row.agent_id, 0)
            documents: tuple[tuple[ChunkKind, Document | None], ...] = (("message", row.document), ("live", row.live))
            for kind, document in documents:
                if document is not None:
                    self._parts(kind, row.agent_id, row.message_id, document, revision=revision)
            write = statement_of(row, self._tables, self._session_id, revision=revision)
            self._complete(row.key, write, row.document, row.live)

    def _multi_agent(self, row: MultiAgentRow) -> None:
        ids = (self._session_id, row.multi_agent_id)
        revision = self._stored.multi_agents.get(row.multi_agent_id, 0)
        new = revision + revision_step() if revision else first_revision()
        self._parts("multi_agent", row.multi_agent_id, 0, row.document, revision=revision or None)
        if revision:
            write = self._tables.multi_agents.update(*ids, row.document.data, revision=revision, new_revision=new)
        else:
            write = self._tables.multi_agents.create(*ids, row.document.data, new_revision=new)
        self._complete(row.key, write, row.document)
        self._batches[-1].multi_agents[row.multi_agent_id] = new

    def _parts(self, kind: ChunkKind, owner: str, message_id: int, document: Document, *, revision: int | None) -> None:
        parts = self._tables.parts.add(self._session_id, kind, owner, message_id, document, revision=revision)
        for statement in parts:
            self._add(statement)
            self._batches[-1].has_parts = True

    def _complete(
        self, key: DocumentKey, write: Statement, document: Document | None, live: Document | None = None
    ) -> None:
        """A row, and in the same transaction the end of the parts it had before."""
        kind, owner, message_id = key
        if key in self._stored.in_parts:
            new = "" if live is None else live.generation
            if document is None:
                drop = self._tables.parts.drop(self._session_id, "live", owner, message_id, but=new)
            else:
                ids = (self._session_id, kind, owner, message_id)
                drop = self._tables.parts.drop(*ids, but=document.generation, live=new)
            self._add(write, drop)
        else:
            self._add(write)
        self._batches[-1].completes.append(key)

    def _add(self, *statements: Statement) -> None:
        """Add statements that must not be parted."""
        size = size_of(statements)
        full = not self._batches or len(self._batches[-1].statements) + len(statements) > MAX_STATEMENTS
        if full or self._size + size > MAX_BODY_BYTES:
            self._batches.append(Batch())
            self._size = 0
        self._size += size
        self._batches[-1].statements.extend(statements)
