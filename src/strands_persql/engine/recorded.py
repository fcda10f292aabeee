"""One agent as it was last recorded: what the next event is compared with."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..database.encoding import encode, now
from ..database.live_window import LiveWindow
from ..errors import named
from .agent_state import STATE_FIELDS, StateReader, is_stateful
from .window import Window

if TYPE_CHECKING:
    from strands import Agent

    from .outgoing import Row
    from .reader import StoredAgent


@dataclass(slots=True)
class Recorded:
    """One agent as it was last recorded.

    Attributes:
        agent: The agent.
        window: Its history.
        created_at: When its row was first written.
        state: The SessionAgent's fields, as last seen.
        storable: The same, as last seen in a form that can be stored.
        stored: Its row is written, or on its way.
        held: Rows that wait for the model's answer.
        error: What the end of its invocation is to raise.
        is_torn: Ctrl-C came amid an event: what this has taken in may be among no rows.
        reader: Reads its state.
    """

    agent: weakref.ref[Agent]
    window: Window
    created_at: str
    state: dict[str, Any] | None = None
    storable: dict[str, Any] | None = None
    stored: bool = False
    held: list[Row] = field(default_factory=lambda: [])
    error: Exception | None = None
    is_torn: bool = False
    reader: StateReader = field(default_factory=StateReader)

    @classmethod
    def new(cls, agent: Agent) -> Recorded:
        """An agent of which nothing is stored."""
        window = Window(what=f"agent {named(agent.agent_id)}", keeps_dropped=is_stateful(agent))
        return cls(weakref.ref(agent), window, now())

    @classmethod
    def of(cls, agent: Agent, stored: StoredAgent, window: Window) -> Recorded:
        """An agent that goes on from what is stored."""
        state = {key: value for key, value in stored.document.items() if key in STATE_FIELDS}
        created_at = str(stored.document.get("created_at", "")) or now()
        return cls(weakref.ref(agent), window, created_at, state, state, stored=True)

    def text(self, agent_id: str, state: dict[str, Any]) -> str:
        """An agent's row, with this state."""
        document = {**state, "created_at": self.created_at, "updated_at": now()}
        return encode(document, what=f"the state of agent {named(agent_id)}")


def window_of(agent: Agent, stored: StoredAgent, *, next_id: int, built_with: int) -> Window:
    """The window that is stored of an agent, which is left as it is.

    Args:
        agent: The agent.
        stored: What is stored of it.
        next_id: The position after its last message.
        built_with: How many of its messages, from the first, are found by their content.
    """
    window, _ = Window.restored(
        LiveWindow.of_row(stored.window, agent.agent_id),
        stored.messages,
        what=f"agent {named(agent.agent_id)}",
        next_id=next_id,
        keeps_dropped=is_stateful(agent),
    )
    window.recognises = built_with
    return window
