"""Says what is not there: a session, an agent of it, a message of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from strands.types.exceptions import SessionException

from ..database.tables import Reading
from ..errors import named

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Found, Tables


class SeveralAgentsError(SessionException):
    """A session has several agents, and none was named."""


def missing(
    store: Connector[Tables], session_id: str, agent_id: str | None = None, message_id: int | None = None
) -> SessionException | None:
    """The error for the first of them that is not there; None where all are."""
    found = Reading(store.tables).find(session_id, agent_id, -1 if message_id is None else message_id)
    return absence(store.ask(found, versioned=True), session_id, agent_id, message_id)


def absence(
    found: Found, session_id: str, agent_id: str | None = None, message_id: int | None = None
) -> SessionException | None:
    """The same, given what was found."""
    if not found.session:
        return no_session(session_id)
    if agent_id is not None and not found.agent:
        return no_agent(session_id, agent_id)
    if message_id is not None and not found.message:
        holds = "it has none yet" if found.last is None else f"its messages are 0 to {found.last}"
        return SessionException(
            f"Message {message_id} of agent {named(agent_id)} does not exist in session {named(session_id)}: {holds}."
        )
    return None


def no_session(session_id: str) -> SessionException:
    """The error for a session that does not exist."""
    return SessionException(
        f"Session {named(session_id)} does not exist in this database. List the sessions to see which do, and "
        "check the database and the table_prefix."
    )


def no_agent(session_id: str, agent_id: str) -> SessionException:
    """The error for an agent that does not exist."""
    return SessionException(
        f"Agent {named(agent_id)} does not exist in session {named(session_id)}. Get the session to see which do."
    )


def several_agents(session_id: str, agent_ids: Sequence[str], so: str = "") -> SessionException:
    """The error for a session that has not one agent alone, where none was named."""
    kind = SeveralAgentsError if agent_ids else SessionException
    agents = ", ".join(named(agent_id) for agent_id in agent_ids) or "none"
    return kind(f"Session {named(session_id)} has {len(agent_ids)} agents ({agents}){so}: say which with agent_id=.")
