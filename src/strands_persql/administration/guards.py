"""Writes that a live agent may come before: they are refused, and built anew on what is then stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..database.faults import GUARDS, fault_of
from ..database.query import unanswered
from ..errors import SessionConflictError, named

if TYPE_CHECKING:
    from ..client import Statement
    from ..database.connector import Connector
    from ..database.tables import Tables

ATTEMPTS = 5
"""How often something is read, changed and written, while a live agent changes it too."""


def written(store: Connector[Tables], statements: Sequence[Statement]) -> bool:
    """Write a batch; False where it was built on a revision that is stored no longer."""
    try:
        store.carry_out(unanswered(*statements))
    except Exception as error:
        if fault_of(error) in GUARDS:
            return False
        raise
    return True


def conflict(session_id: str, agent_id: str) -> SessionConflictError:
    """The error for what could not be written in as many attempts."""
    return SessionConflictError(
        f"Session {named(session_id)}: agent {named(agent_id)} is being written to all the time, so it could not be "
        "changed. Nothing of it was overwritten. Stop the agent, or call again.",
        session_id=session_id,
        agent_id=agent_id,
    )


def check_version(store: Connector[Tables]) -> None:
    """Tell whether a refusal was for the layout of the tables.

    Raises:
        SessionDataError: They were laid out by a newer version of this package.
    """
    store.ask(unanswered(), versioned=True)
