"""After a batch was refused: was it a rival's write, or an earlier attempt of ours that was carried out after all?

The rows are read back. What is stored as this writer has sent it is its own: it is noted, and the rest is sent anew.
Any other change is a rival's, and becomes a `SessionConflictError`.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import SessionConflictError, named
from .outgoing import AgentRow, Key, MessageRow, MultiAgentRow, Row
from .tracing import BatchSpan

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.decoding import Settlement
    from ..database.tables import Tables
    from .outgoing import Outgoing

Owner: TypeAlias = Literal["agent", "multi_agent"]


def settle(out: Outgoing, connector: Connector[Tables], lock: threading.RLock) -> bool:
    """Read back what a refused batch ran into.

    Args:
        out: What was being sent. What turns out to be stored is noted there.
        connector: Where to.
        lock: The writer's, held while `out` changes.

    Returns:
        Whether some of what was being sent turned out to be stored already.

    Raises:
        SessionConflictError: A rival's.
    """
    rows = list(out.rows.values())
    agent_ids = sorted({row.agent_id for row in rows if not isinstance(row, MultiAgentRow)})
    multi_ids = [row.multi_agent_id for row in rows if isinstance(row, MultiAgentRow)]
    wanted = {
        agent_id: [row.message_id for row in rows if isinstance(row, MessageRow) and row.agent_id == agent_id]
        for agent_id in agent_ids
    }
    seals = connector.tables.seals
    known = seals.key(out.session_id)
    query = connector.tables.settlement(out.session_id, agent_ids, multi_ids, wanted)
    with BatchSpan.of(out, "persql.settle", query.statements, rows) as span:
        found = connector.ask(span.counted(query))
    with lock:
        settlement = _Settlement(out, found)
        progress = [settlement.message(row) for row in rows]
        progress += [settlement.revision("agent", agent_id) for agent_id in agent_ids]
        progress += [settlement.revision("multi_agent", multi_id) for multi_id in multi_ids]
        progress.append(known != seals.key(out.session_id))  # another writer has begun the session, with its own key
        # Else the session went between the requests that were to begin an owner in it.
        if not any(progress) and not found.session_exists:
            first: tuple[Owner, str] = ("agent", agent_ids[0]) if agent_ids else ("multi_agent", multi_ids[0])
            raise settlement.conflict(*first, deleted=True)
    return any(progress)


class _Settlement:
    """What was being sent, beside what is stored."""

    def __init__(self, out: Outgoing, found: Settlement) -> None:
        self._out = out
        self._found = found

    def message(self, row: Row) -> bool:
        """Whether a message that was being sent turned out to be stored, perhaps with an earlier content of ours."""
        if not isinstance(row, MessageRow):
            return False
        place = (row.agent_id, row.message_id)
        if place not in self._found.messages:
            return False
        stored = (self._found.messages[place], self._found.live[place])
        if row.stands_in(*stored):
            self._out.is_stored(row.key)
            return True
        if not row.new:
            return False
        sent = self._out.attempts.rows.get(row.key, ())
        if not any(isinstance(one, MessageRow) and one.stands_in(*stored) for one in sent):
            raise self.conflict("agent", row.agent_id, message_id=row.message_id)
        self._out.known.pass_message(row.agent_id, row.message_id)
        self._out.rows[row.key] = replace(row, new=False)
        return True

    def revision(self, kind: Owner, owner: str) -> bool:
        """Whether an agent, Graph or Swarm turned out to stand at a revision that an earlier attempt of ours made."""
        known = self._out.known.agents if kind == "agent" else self._out.known.multi_agents
        key: Key = (kind, owner, 0)
        revision = self._found.revision(kind, owner) or 0
        wanted = self._out.rows.get(key)
        agent = self._found.agents.get(owner) if isinstance(wanted, AgentRow) else None
        last = None if agent is None else agent.last_message_id
        if last is not None and last >= self._out.known.next_ids.get(owner, 0):
            raise self.conflict(kind, owner, message_id=last)
        if revision == known.get(owner, 0):
            return False
        attempts = self._out.attempts
        if not revision or (owner, revision) not in (attempts.agents if kind == "agent" else attempts.multi_agents):
            raise self.conflict(kind, owner)
        known[owner] = revision
        if (
            isinstance(wanted, AgentRow)
            and agent is not None
            and (wanted.window, wanted.document.data) == (agent.window, agent.document.data)
        ) or (isinstance(wanted, MultiAgentRow) and wanted.document.data == self._found.multi_agents[owner][1]):
            self._out.is_stored(key)
        return True

    def conflict(
        self, kind: Owner, owner: str, *, message_id: int | None = None, deleted: bool = False
    ) -> SessionConflictError:
        """The error for a rival's write."""
        known = (self._out.known.agents if kind == "agent" else self._out.known.multi_agents).get(owner, 0)
        stored = self._found.revision(kind, owner)
        what = (
            f"message {message_id} of agent {named(owner)}"
            if message_id is not None
            else f"{kind.replace('_', '-')} {named(owner)}"
        )
        happened = "was deleted" if stored is None and (known or deleted) else "was changed by another writer"
        if message_id is not None and (stored or 0) == known:
            differs = "another message is stored there than this writer has sent"
        else:
            differs = f"revision {known or 'none'} expected, {stored or 'none'} stored"
        return SessionConflictError(
            f"Session {named(self._out.session_id)}: {what} {happened} ({differs}). Nothing of it was overwritten, and "
            "this writer writes no more; what it could not store is still in the agent's messages. Keep one writer per "
            "session: build a new agent with a new PerSQLSessionManager to go on from what is stored, or fork the "
            "session to go on separately.",
            session_id=self._out.session_id,
            agent_id=owner,
            message_id=message_id,
            expected_revision=known,
            stored_revision=stored,
        )


def conflict_again(error: SessionConflictError) -> SessionConflictError:
    """The same error, to be raised once more."""
    return SessionConflictError(
        str(error),
        session_id=error.session_id,
        agent_id=error.agent_id,
        message_id=error.message_id,
        expected_revision=error.expected_revision,
        stored_revision=error.stored_revision,
    )
