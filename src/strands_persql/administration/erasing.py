"""Erases one message, and every copy of it, under the revisions that were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..database.decoding import shown
from ..database.encoding import Document, Message, encode, now
from ..database.live_window import LiveWindow
from ..database.query import together
from ..database.tables import Reading, SessionObjects
from ..engine.outgoing import AgentRow, Batch, MessageRow, MultiAgentRow, Row, Stored
from ..engine.planner import plan
from .agents import Agent
from .blanking import erased, ids_of, without_copies
from .guards import ATTEMPTS, conflict, written
from .missing import absence
from .searching import scrub_index

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Search, Tables

__all__ = ["erase"]

_KEYS = 90
"""Objects deleted by one statement."""


def erase(store: Connector[Tables], index: Search, session_id: str, agent_id: str, message_id: int) -> None:
    """See `PerSQLSessions.erase`."""
    store.wipe()
    for _ in range(ATTEMPTS):
        objects, batches = _erasure(store, session_id, agent_id, message_id)
        if all(written(store, batch.statements) for batch in (*objects, *batches)):
            if objects:
                scrub_index(store, index)
            return
    raise conflict(session_id, agent_id)


def _erasure(
    store: Connector[Tables], session_id: str, agent_id: str, message_id: int
) -> tuple[list[Batch], list[Batch]]:
    """The batches that delete what was offloaded of a message, and those that overwrite it and its copies.

    Where it takes several, the message comes after its copies: they are found by it.
    """
    tables, reading = store.tables, Reading(store.tables)
    objects = SessionObjects(tables.prefix, session_id)
    (found, keys), message_row, agents, multi_agents = store.ask(
        together(
            together(reading.find(session_id, agent_id, message_id), objects.keys()),
            tables.messages.read(session_id, agent_id, message_id),
            reading.agents(session_id, agent_id),
            tables.multi_agents.read(session_id),
        ),
        versioned=True,
    )
    absent = absence(found, session_id, agent_id, message_id)
    if absent is not None:
        raise absent
    assert message_row is not None
    agent = Agent.of(agents[0])
    known = Stored({agent_id: agent.row.revision}, next_ids={agent_id: agent.row.last + 1})
    stored = message_row.record()
    message: Message = shown(stored)
    blank = erased(message)
    versions = [message] if message_row.live is None else [message, shown(message_row.live.record())]
    own: list[Row] = []
    if [blank] != versions or message_row.in_parts:
        fields = {**stored, "message": blank, "redact_message": None, "updated_at": now()}
        own.append(MessageRow(agent_id, message_id, _laid_out(fields), new=False))
    if message_row.in_parts:
        known.in_parts.add(("message", agent_id, message_id))
    if agent.row.document.in_parts:
        known.in_parts.add(("agent", agent_id, 0))
    copies: list[Row] = _agent_without(versions, agent)
    for owner, multi_agent in multi_agents.items():
        known.multi_agents[owner] = multi_agent.revision
        state = _without(multi_agent.state, versions)
        if state != multi_agent.state:
            row = MultiAgentRow(owner, Document.of(encode(state, what="a changed document")))
            copies.append(row)
            if multi_agent.in_parts:
                known.in_parts.add(row.key)
    offloaded = objects.of_message(keys, agent_id, ids_of(message))
    gone = [Batch([objects.delete_keys(offloaded[start : start + _KEYS])]) for start in range(0, len(offloaded), _KEYS)]
    batches = plan([*copies, *own], tables, session_id, "", known)
    if len(batches) < 2 or not copies:
        return gone, batches
    batches = plan(copies, tables, session_id, "", known)
    for batch in batches:
        known.agents.update(batch.agents)
    return gone, [*batches, *plan(own, tables, session_id, "", known)]


def _without(document: Any, versions: list[Message]) -> Any:
    """A document without the copies of a message, as it was said or as it is seen now."""
    for message in versions:
        document = without_copies(document, message)
    return document


def _agent_without(versions: list[Message], agent: Agent) -> list[Row]:
    """An agent's row without the copies of a message in its live window and its document; nothing where none are."""
    kept = {name: value for name, value in agent.document.items() if name != "state"}  # the user's own
    blank = {**agent.document, **_without(kept, versions)}
    text = agent.row.window
    window = LiveWindow.of_row(text, agent.agent_id)
    if window is not None:
        changed = window.with_inline(lambda inline: _without(inline, versions))
        text = text if changed == window else changed.render()
    if blank == agent.document and text == agent.row.window:
        return []
    return [AgentRow(agent.agent_id, text, _laid_out(blank))]


def _laid_out(fields: dict[str, Any]) -> Document:
    created_at = str(fields.get("created_at", ""))
    return Document.of(encode(fields, what="a changed document"), created_at=created_at)
