"""Renames and forks sessions, and rewinds agents.

An agent whose history is to end earlier is read, cut here, and written under the revision that was read: whoever wrote
to it meanwhile is not overwritten, and it is read anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strands.types.exceptions import SessionException

from ..database.encoding import Document, encode, mapping, now
from ..database.faults import GUARDS, fault_of
from ..database.live_window import LiveWindow
from ..database.query import together, unanswered
from ..database.tables import Copying, Cut, Deleting, Listing, Reading
from ..database.vault import Vault
from ..engine.outgoing import AgentRow, Stored
from ..engine.planner import plan
from ..errors import named
from .agents import Agent
from .encrypting import move
from .guards import ATTEMPTS, conflict, written
from .listing import summary_of
from .missing import absence, missing, no_session, several_agents

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..database.connector import Connector
    from ..database.query import Query
    from ..database.rewinds import Rewinds
    from ..database.tables import SessionRow, Tables
    from .results import SessionSummary

_PARTS_SENT = 3
"""Parts sent in one request. One is of up to 1 MB."""


def rename(store: Connector[Tables], session_id: str, new_id: str) -> SessionSummary:
    """See `PerSQLSessions.rename`."""

    def renamed(data_key: str | None) -> SessionSummary:
        time = now()
        query = Copying(store.tables).rename(session_id, new_id, now=time, data_key=data_key)
        return _moved(store, session_id, new_id, query, time)

    return _sealed_anew(store, session_id, new_id, renamed)


def fork(
    store: Connector[Tables], session_id: str, new_id: str, *, agent_id: str | None, at: int | None
) -> SessionSummary:
    """See `PerSQLSessions.fork`."""

    def copied(data_key: str | None) -> SessionSummary:
        return _copied(store, session_id, new_id, agent_id=agent_id, at=at, data_key=data_key)

    return _sealed_anew(store, session_id, new_id, copied)


def _sealed_anew(
    store: Connector[Tables], session_id: str, new_id: str, bring: Callable[[str | None], SessionSummary]
) -> SessionSummary:
    """Bring a session's documents to another id as they are, and then seal them for it, if it is encrypted.

    Until all of them are, nobody opens it.

    Args:
        store: The database and its tables.
        session_id: The session.
        new_id: The other id.
        bring: Copies or moves the rows, given what is to stand for the data key in the new session's row.
    """
    seals = store.tables.seals
    if not isinstance(seals, Vault):
        return bring(None)
    store.ask(store.tables.keys.load(session_id), versioned=True)
    moving = seals.keys.moving(session_id, new_id).stored
    seals.keys.lend(session_id, new_id, moving)
    try:
        bring(moving)
    finally:
        seals.keys.forget(new_id)
    move(store, new_id, seals=True)
    row = store.ask(Listing(store.tables).summary(new_id))
    if row is None:
        raise no_session(new_id)
    return summary_of(row)


def _copied(
    store: Connector[Tables],
    session_id: str,
    new_id: str,
    *,
    agent_id: str | None,
    at: int | None,
    data_key: str | None = None,
) -> SessionSummary:
    copying, time = Copying(store.tables), now()
    if at is None:
        query = copying.fork(session_id, new_id, agent_id=agent_id, now=time, data_key=data_key)
        return _moved(store, session_id, new_id, query, time, agent_id)
    for _ in range(ATTEMPTS):
        agent = _agent(store, session_id, agent_id, at)
        agent_id = agent.agent_id
        cut = _forked(agent, at)
        sent = _send_parts(store, session_id, cut)
        if sent is None:
            continue
        try:
            query = copying.fork_cut(session_id, new_id, cut, sent=sent, now=time, data_key=data_key)
            return summary_of(store.carry_out(query))
        except Exception as error:
            if fault_of(error) not in GUARDS:
                raise
            if (made := store.ask(copying.made(new_id, time))) is not None:
                return summary_of(made)
            _drop_parts(store, session_id, cut, sent)
            _check_move(store, session_id, new_id, agent_id)
    raise conflict(session_id, str(agent_id))


def rewind(store: Connector[Tables], session_id: str, agent_id: str | None, *, to: int | None, kept: bool) -> None:
    """See `PerSQLSessions.rewind`; without `agent_id`, of the session's only agent.

    With `kept`, message `to` is the last one, else the one before it is; None for an empty history.
    """
    for _ in range(ATTEMPTS):
        agent = _agent(store, session_id, agent_id, to)
        agent_id = agent.agent_id
        cut = _rewound(agent, to, kept=kept)
        row = AgentRow(agent_id, cut.window, cut.document)
        noted = store.tables.agents.note_rewinds(session_id, agent_id, cut.rewinds)
        known = Stored({agent_id: cut.revision}, next_ids={agent_id: agent.row.last + 1})
        if agent.row.document.in_parts:
            known.in_parts.add(row.key)
        batches = plan([row], store.tables, session_id, None, known)
        batches[-1].statements.append(noted)
        if all(written(store, batch.statements) for batch in batches):
            return
    raise conflict(session_id, str(agent_id))


def _moved(
    store: Connector[Tables],
    session_id: str,
    new_id: str,
    query: Query[SessionRow],
    time: str,
    agent_id: str | None = None,
) -> SessionSummary:
    """Carry out a fork or a renaming of this time."""
    try:
        return summary_of(store.carry_out(query))
    except Exception as error:
        if fault_of(error) in GUARDS:
            if (made := store.ask(Copying(store.tables).made(new_id, time))) is not None:
                return summary_of(made)
            _check_move(store, session_id, new_id, agent_id)
        raise


def _check_move(store: Connector[Tables], session_id: str, new_id: str, agent_id: str | None) -> None:
    """Raise what keeps a session from being copied or moved, where it can be told.

    Raises:
        SessionException: It is missing, or the new id is taken.
    """
    absent = missing(store, session_id, agent_id)
    if absent is not None:
        raise absent
    store.ask(store.tables.keys.load(session_id))
    if store.ask(Deleting(store.tables).count(new_id)):
        raise SessionException(
            f"Session {named(new_id)} exists already. Choose another id, or delete that session first. Nothing "
            "was changed."
        )


def _agent(store: Connector[Tables], session_id: str, agent_id: str | None, at: int | None) -> Agent:
    """An agent that has a message, or the only one of its session.

    Raises:
        SessionException: There is no such session, agent or message, or the session has several agents.
    """
    reading = Reading(store.tables)
    found, rows = store.ask(
        together(reading.find(session_id, agent_id, -1 if at is None else at), reading.agents(session_id, agent_id)),
        versioned=True,
    )
    if not found.session:
        raise no_session(session_id)
    if agent_id is None and len(rows) != 1:
        so = ", so a position alone names no message"
        raise several_agents(session_id, [row.agent_id for row in rows], so)
    absent = absence(found, session_id, rows[0].agent_id if rows else agent_id, at)
    if absent is not None:
        raise absent
    return Agent.of(rows[0])


def _forked(agent: Agent, at: int) -> Cut:
    """An agent whose transcript ends with a message."""
    # A fork without a window goes on by Strands' own rule.
    window = None
    if agent.row.window is not None:
        window = agent.window.rewound(at, next_id=at + 1, history=agent.rewinds.history(at))
    is_live = agent.window.holds(at)
    is_shorter = at < agent.row.last or not is_live
    return _cut(agent, at, window, agent.rewinds.cut(at), is_shorter=is_shorter, is_live=is_live)


def _rewound(agent: Agent, to: int | None, *, kept: bool) -> Cut:
    """An agent whose history ends with a message, before it, or is empty; its transcript stays."""
    last = agent.row.last
    if to is None:
        window = LiveWindow.of_history([], next_id=last + 1)
        rewinds = agent.rewinds.rewound(-1, next_id=last + 1)
        return _cut(agent, last, window, rewinds, is_shorter=True, is_live=False)
    is_live = agent.window.holds(to)
    window = agent.window.rewound(to, next_id=last + 1, kept=kept, history=agent.rewinds.history(to))
    rewinds = agent.rewinds.rewound(to, next_id=last + 1, kept=kept)
    return _cut(agent, to, window, rewinds, is_shorter=not (kept and is_live and to == last), is_live=is_live)


def _cut(agent: Agent, at: int, window: LiveWindow | None, rewinds: Rewinds, *, is_shorter: bool, is_live: bool) -> Cut:
    """An agent as it is to be with a history that ends earlier.

    What hangs on the messages after that goes: open interrupts, what the model's server keeps; and where the message
    had left the live window, what the conversation manager knows of having removed it. Only fields that are there are
    replaced: other conversation managers have other fields.
    """
    changes: dict[str, Any] = {"updated_at": now()}
    if is_shorter:
        internal = mapping(agent.document.get("_internal_state"))
        nothing: dict[str, Any] = {
            "interrupt_state": {"interrupts": {}, "context": {}, "activated": False},
            "model_state": {},
        }
        changes["_internal_state"] = {**internal, **{name: nothing[name] for name in internal if name in nothing}}
    if not is_live:
        manager = mapping(agent.document.get("conversation_manager_state"))
        removed = {"removed_message_count": 0, "summary_message": None}
        changes["conversation_manager_state"] = {
            **manager,
            **{name: removed[name] for name in manager if name in removed},
        }
    text = encode({**agent.document, **changes}, what="a changed document")
    return Cut(
        agent_id=agent.agent_id,
        at=at,
        revision=agent.row.revision,
        window=None if window is None else window.render(),
        document=Document.of(text, created_at=str(agent.document.get("created_at", ""))),
        rewinds=rewinds.render(),
    )


def _send_parts(store: Connector[Tables], session_id: str, cut: Cut) -> int | None:
    """Write a fork's first parts, where all are too many for one request; how many that were.

    They wait beside the agent they are made from, which doesn't name them, until the fork takes them along. None where
    the agent has been written to.
    """
    parts = store.tables.parts.add(session_id, "agent", cut.agent_id, 0, cut.document, revision=cut.revision)
    sent = 0
    while len(parts) - sent > _PARTS_SENT:
        if not written(store, parts[sent : sent + _PARTS_SENT]):
            _drop_parts(store, session_id, cut, sent)
            return None
        sent += _PARTS_SENT
    return sent


def _drop_parts(store: Connector[Tables], session_id: str, cut: Cut, sent: int) -> None:
    if sent:
        store.carry_out(unanswered(Copying(store.tables).drop_sent(session_id, cut)))
