"""Erases one message, and every copy of it, under the revisions that were read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..database.decoding import shown
from ..database.encoding import Document, Message, encode, now
from ..database.live_window import LiveWindow
from ..database.query import each, together
from ..database.tables import Reading, SessionObjects
from ..engine.outgoing import AgentRow, Batch, MessageRow, MultiAgentRow, Row, Stored
from ..engine.planner import plan
from ..errors import SessionDataError
from .agents import Agent
from .blanking import Renaming, erased, ids_of, without_copies
from .guards import ATTEMPTS, conflict, written
from .missing import absence
from .searching import scrub_index

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.decoding import StoredMessage
    from ..database.tables import Search, Tables

_KEYS = 90
"""Objects deleted by one statement."""


def erase(store: Connector[Tables], index: Search, session_id: str, agent_id: str, message_id: int) -> None:
    """See `PerSQLSessions.erase`."""
    store.wipe()
    for _ in range(ATTEMPTS):
        objects, batches = _erasure(store, session_id, agent_id, message_id)
        if all(written(store, batch.statements) for batch in (*objects, *batches)):
            scrub_index(store, index)  # whatever attempt, or earlier call, has deleted the objects
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
    places = [message_id, message_id - 1, message_id + 1]  # a tool's use and its result stand beside each other
    (found, keys), messages, agents, multi_agents = store.ask(
        together(
            together(reading.find(session_id, agent_id, message_id), objects.keys()),
            each([tables.messages.read(session_id, agent_id, place) for place in places]),
            reading.agents(session_id, agent_id),
            tables.multi_agents.read(session_id),
        ),
        versioned=True,
    )
    absent = absence(found, session_id, agent_id, message_id)
    if absent is not None:
        raise absent
    assert messages[0] is not None
    row, *beside = [_Versions(messages[0]), *_readable(messages[1:])]
    agent = Agent.of(agents[0])
    known = Stored({agent_id: agent.row.revision}, next_ids={agent_id: agent.row.last + 1})
    renaming = Renaming({one.position: one.messages for one in (row, *beside)}, row.messages)
    own = _messages_without(agent_id, row, beside, renaming)
    known.in_parts.update(("message", agent_id, one.position) for one in (row, *beside) if one.in_parts)
    if agent.row.document.in_parts:
        known.in_parts.add(("agent", agent_id, 0))

    def without(document: Any) -> Any:
        for version in row.messages:
            document = without_copies(document, version)
        return renaming.applied(document)

    copies: list[Row] = _agent_without(without, agent)
    for owner, multi_agent in multi_agents.items():
        known.multi_agents[owner] = multi_agent.revision
        state = without(multi_agent.state)
        if state != multi_agent.state:
            copies.append(MultiAgentRow(owner, Document.of(encode(state, what="a changed document"))))
            if multi_agent.in_parts:
                known.in_parts.add(copies[-1].key)
    offloaded = objects.of_message(keys, agent_id, [*ids_of(row.messages[0]), *renaming.ids])
    gone = [Batch([objects.delete_keys(offloaded[start : start + _KEYS])]) for start in range(0, len(offloaded), _KEYS)]
    batches = plan([*copies, *own], tables, session_id, None, known)
    if len(batches) < 2 or not copies:
        return gone, batches
    batches = plan(copies, tables, session_id, None, known)
    for batch in batches:
        known.agents.update(batch.agents)
    return gone, [*batches, *plan(own, tables, session_id, None, known)]


class _Versions:
    """A message as it is stored: as it was said, and as it is seen now, where that is something else.

    Raises:
        SessionDataError: It can't be read.
    """

    def __init__(self, stored: StoredMessage) -> None:
        self.position = stored.position
        self.in_parts = stored.in_parts
        self.fields = [version.record() for version in (stored, stored.live) if version is not None]
        self.messages: list[Message] = [shown(fields) for fields in self.fields]


def _readable(messages: Iterable[StoredMessage | None]) -> Iterator[_Versions]:
    for message in messages:
        with suppress(SessionDataError):  # what stands beside a message that is erased may be damaged
            if message is not None:
                yield _Versions(message)


def _messages_without(agent_id: str, row: _Versions, beside: Sequence[_Versions], renaming: Renaming) -> list[Row]:
    """The rows of an erased message, and of those beside it that hold a name or id which goes with it."""
    rows: list[Row] = []
    blank = renaming.applied(erased(row.messages[0]))
    if [blank] != row.messages or row.in_parts:
        fields = {**row.fields[0], "message": blank, "redact_message": None, "updated_at": now()}
        rows.append(MessageRow(agent_id, row.position, _laid_out(fields), new=False))
    for other in beside:
        renamed = [renaming.applied(fields) for fields in other.fields]
        if renamed != other.fields:
            said, *live = map(_laid_out, renamed)
            rows.append(MessageRow(agent_id, other.position, said, new=False, live=live[0] if live else None))
    return rows


def _agent_without(without: Callable[[Any], Any], agent: Agent) -> list[Row]:
    """An agent's row without the copies of a message in its live window and its document; nothing where none are."""
    kept = {name: value for name, value in agent.document.items() if name != "state"}  # the user's own
    blank = {**agent.document, **without(kept)}
    text = agent.row.window
    window = LiveWindow.of_row(text, agent.agent_id)
    if window is not None:
        changed = window.with_inline(without)
        text = text if changed == window else changed.render()
    if blank == agent.document and text == agent.row.window:
        return []
    return [AgentRow(agent.agent_id, text, _laid_out(blank))]


def _laid_out(fields: dict[str, Any]) -> Document:
    created_at = str(fields.get("created_at", ""))
    return Document.of(encode(fields, what="a changed document"), created_at=created_at)
