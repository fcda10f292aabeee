"""An agent's state, taken and given back through what Strands offers in public, on every release from 1.42 on.

What Strands' own managers read of an agent (`agent._interrupt_state`, `agent._model_state`) comes with its
`SessionAgent`, in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from strands.agent.state import AgentState
from strands.types.content import Message as StrandsMessage
from strands.types.session import SessionAgent

from ..database.encoding import Message, encode
from ..errors import SessionDataError

if TYPE_CHECKING:
    from strands import Agent

    from .copies import Copies

STATE_FIELDS = tuple(field.name for field in fields(SessionAgent) if field.name not in ("created_at", "updated_at"))
"""The fields of Strands' `SessionAgent`, less its times."""

_HAS_TRACKING_IDS = "tracking_id" in StrandsMessage.__annotations__  # Strands 1.47 on


def messages_of(agent: Agent) -> list[Message]:
    """The agent's history: the list itself, not a copy."""
    return cast("list[Message]", agent.messages)


def is_stateful(agent: Agent) -> bool:
    """Whether the model's own server holds the history, so that Strands clears it after each turn."""
    return bool(getattr(agent.model, "stateful", False))


def ensure_tracking_ids(agent: Agent) -> None:
    """Give each message without a tracking id one, where Strands has them, so that it keeps the same in all processes.

    Strands itself gives fresh ones at the start of every invocation of every process.
    """
    if _HAS_TRACKING_IDS:
        for message in messages_of(agent):
            if not message.get("tracking_id"):
                message["tracking_id"] = str(uuid4())


def scrub_interrupts(agent: Agent, copies: Copies) -> None:
    """Clear the copies of a message that interrupt state carries."""
    session_agent = session_agent_of(agent)
    internal = vars(session_agent)["_internal_state"]
    scrubbed = copies.cleared(internal)
    if scrubbed != internal:
        _initialize(SessionAgent.from_dict({**vars(session_agent), "_internal_state": scrubbed}), agent)


@dataclass(frozen=True)
class Restorable:
    """A stored agent's document, checked before anything of an agent is changed."""

    session_agent: SessionAgent
    state: AgentState

    @classmethod
    def of(cls, document: dict[str, Any]) -> Restorable:
        """Check a document.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is no `SessionAgent`.
        """
        if not isinstance(document["conversation_manager_state"], dict):
            raise TypeError("conversation_manager_state is no object")
        session_agent = SessionAgent.from_dict(document)
        return cls(session_agent, AgentState(session_agent.state))

    def apply(self, agent: Agent) -> None:
        """Give an agent its state back, interrupts and model state included."""
        agent.state = self.state
        _initialize(self.session_agent, agent)


class StateReader:
    """Reads one agent's state again and again, at the least cost that its Strands release allows.

    A `SessionAgent` copies all of the agent's own state each time it is made. Where the release counts the changes of
    that state, and the rest of a `SessionAgent` turned out to be what can be had from the agent directly, a copy is
    made only when the count has changed.
    """

    def __init__(self) -> None:
        self._direct = False
        self._counted: Any = None
        self._count: object = None
        self._state: dict[str, Any] = {}

    def read(self, agent: Agent) -> dict[str, Any]:
        """Its own state, its conversation manager's, its interrupts' and its model's, by the names of `STATE_FIELDS`.

        The values may share objects with the agent, but for `state`, which is the same object until it changes.
        """
        source: Any = agent
        if self._direct:
            try:
                return self._read(source)
            except AttributeError:  # another kind of state was put in its place
                self._direct = False
        session_agent = session_agent_of(agent)
        document = {name: getattr(session_agent, name) for name in STATE_FIELDS}
        try:
            self._direct = self._read(source) == document
        except AttributeError:
            self._direct = False
        return document

    def _read(self, agent: Any) -> dict[str, Any]:
        counted: Any = agent.state
        # A class of the user's may change its values, or make them, without counting.
        count: object = counted._get_version() if counted.__class__ is AgentState else None
        if counted is not self._counted or count is None or count != self._count:
            self._state = counted.get()
            self._counted, self._count = counted, count
        return {
            "agent_id": agent.agent_id,
            "conversation_manager_state": agent.conversation_manager.get_state(),
            "state": self._state,
            "_internal_state": {
                "interrupt_state": agent._interrupt_state.to_dict(),
                "model_state": agent._model_state,
            },
        }


def is_bidi(agent: Any) -> bool:
    """Whether an agent is a bidirectional one."""
    return not hasattr(agent, "conversation_manager")


def session_agent_of(agent: Agent) -> SessionAgent:
    """An agent's state as Strands' own managers take it."""
    of_bidi = getattr(SessionAgent, "from_bidi_agent", None)  # up to Strands 1.55
    if of_bidi is not None and is_bidi(agent):
        return cast("SessionAgent", of_bidi(agent))
    return SessionAgent.from_agent(agent)


def _initialize(session_agent: SessionAgent, agent: Agent) -> None:
    of_bidi = getattr(session_agent, "initialize_bidi_internal_state", None)  # up to Strands 1.55
    if of_bidi is not None and is_bidi(agent):
        of_bidi(agent)
    else:
        session_agent.initialize_internal_state(agent)


def storable_part(state: dict[str, Any]) -> dict[str, Any]:
    """An agent's state with nothing in the place of each field that can't be stored."""
    part: dict[str, Any] = {}
    for name, value in state.items():
        try:
            encode(value, what=name)
            part[name] = value
        except SessionDataError:
            part[name] = {}
    return part
