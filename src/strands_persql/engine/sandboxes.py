"""Whose a sandbox is: all that Strands tells a storage of the agent that uses it (`for_sandbox`)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from strands import Agent

_users: WeakKeyDictionary[object, WeakKeyDictionary[Agent, str]] = WeakKeyDictionary()


def note(agent: Agent, session_id: str) -> None:
    """Note an agent of a session, with the sandbox that it uses: its own unless it was given one."""
    sandbox: object = getattr(agent, "sandbox", None)
    if sandbox is not None:
        with contextlib.suppress(TypeError):  # one that can't be referred to weakly
            _users.setdefault(sandbox, WeakKeyDictionary())[agent] = session_id


def users_of(sandbox: object) -> set[tuple[str, str]]:
    """The sessions and the ids of the living agents that use a sandbox."""
    try:
        users = _users.get(sandbox)
    except TypeError:
        return set()
    return set() if users is None else {(session_id, agent.agent_id) for agent, session_id in users.items()}
