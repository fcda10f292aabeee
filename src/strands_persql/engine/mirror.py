"""What a mirror does at each event: it records like a session manager, restores nothing, and may outlive its store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from strands.types.exceptions import SessionException

from ..client import logger_of
from .agent_state import messages_of
from .lifecycle import Listener, wait
from .threads import awaited, submit_call

if TYPE_CHECKING:
    from strands import Agent
    from strands.multiagent.base import MultiAgentBase

    from ..database.encoding import Message
    from .options import Written
    from .recording import Recording
    from .succession import Owner

logger = logger_of(__name__)

MAX_PENDING = 10_000
"""Rows that a mirror with `on_error="log"` holds back while its store is away.

An agent's state is one row, however often it changes: only messages add up. Beyond this the mirror takes in no more and
says so; what is still in the agent's history when the store is back is stored then."""


class Mirror(Listener):
    """Records agents, and leaves them as they are.

    Args:
        recording: The session.
        raises: A failed write fails the agent's turn; else it is logged, and the rows follow later.
        holds_back: The user's messages are not stored before the model has answered.
    """

    watches = True

    def __init__(self, recording: Recording, *, raises: bool, holds_back: bool) -> None:
        super().__init__(recording)
        self._raises = raises
        self._holds_back = holds_back
        self._built_with: WeakKeyDictionary[Agent, int] = WeakKeyDictionary()
        self._missed: WeakKeyDictionary[Agent, list[Message]] = WeakKeyDictionary()
        self._logged: set[str] = set()

    def initialized(self, agent: Agent) -> None:
        """An agent was built."""
        self.agents.check_unique(agent)  # agents that share an id are a mistake in the program: never only logged
        self._built_with[agent] = len(agent.messages)
        try:
            self.recording.settle(("agent", agent.agent_id))
            self.agents.attach(agent)
        except Exception as error:
            self._failed(error)

    async def added(self, agent: Agent) -> None:
        """A message was added to its history."""
        waits = self._holds_back and messages_of(agent)[-1]["role"] == "user"
        await self._record(agent, self.agents.held if waits else self.agents.added)

    async def checked(self, agent: Agent, *, failed: bool) -> None:
        """The model has answered, or `failed` to and may be asked again."""
        waits = self._holds_back and failed  # the call that redacts may be yet to come
        await self._record(agent, (lambda _: None) if waits else self.agents.checked)

    async def redacted(self, agent: Agent, message: Message, raw: Message) -> None:
        """A guardrail has redacted its prompt."""
        if agent.hooks in self.registries:
            await self._record(agent, lambda agent: self.agents.redacted(agent, message, raw))
        for source in self.multi_agents.sources_of(agent):
            await self._record(source, lambda source: self.multi_agents.redacted(source, message, raw))

    async def updated(self, agent: Agent, message: Message) -> None:
        """A message was replaced by a later content of it."""
        await self._record(agent, lambda agent: self.agents.changed(agent, [message]))

    def ending(self, subject: Any) -> None:
        """An invocation of an agent, or a run of a Graph or Swarm, is about to end."""
        is_multi_agent = hasattr(subject, "nodes")
        known = self.multi_agents.knows(subject) if is_multi_agent else self.agents.live(subject.agent_id) is subject
        if known and self.recording.pending < MAX_PENDING:
            super().ending(subject)

    async def ended(self, agent: Agent, *, cut_off: bool) -> None:
        """An invocation, or a bidirectional conversation, has ended."""
        await self._record(agent, self.agents.ended)
        self.recording.writer.succession.ends(("agent", agent.agent_id), cut_off=cut_off)

    async def multi_agent_initialized(self, source: MultiAgentBase) -> None:
        """A Graph or Swarm was built."""
        self.multi_agents.check_unique(source)  # never only logged, either
        self.watch_nodes(source)
        try:
            await self._attach_multi_agent(source)
        except Exception as error:
            self._failed(error)

    async def node_ended(self, source: MultiAgentBase) -> None:
        """A node of it has run."""
        await self._record(source, lambda source: self.multi_agents.recorded(source, last=False))

    async def multi_agent_ended(self, source: MultiAgentBase) -> None:
        """All of it has run."""
        await self._record(source, lambda source: self.multi_agents.recorded(source, last=True))
        self.recording.writer.succession.ends(("multi_agent", source.id), cut_off=True)

    async def _begun(self, owner: Owner, attach: Callable[[], None]) -> None:
        try:
            await super()._begun(owner, attach)
        except Exception as error:
            self._failed(error)

    async def _record(self, subject: Any, record: Callable[[Any], Written]) -> None:
        """Record a change of an agent, Graph or Swarm, and wait as long as it has to."""
        try:
            if hasattr(subject, "nodes"):
                if not self.multi_agents.knows(subject):
                    await self._attach_multi_agent(subject)
            elif self.agents.live(subject.agent_id) is not subject:
                await self._attach(subject)
            if not self._raises and self.recording.pending >= MAX_PENDING:
                await wait(self.recording.writer.drain())  # takes in no more before this has gone through
            await wait(record(subject))
        except Exception as error:
            self._failed(error)
        else:
            if self._logged and self.recording.pending == 0:
                self._logged.clear()
                logger.warning("session_id=<%s> | the mirror's store is back", self.recording.session_id)

    async def _attach(self, agent: Agent) -> None:
        """Begin with an agent that was registered late, or whose stored rows could not be read before."""
        built_with = self._built_with.get(agent)
        self._miss(agent)
        self.agents.check_unique(agent)
        await self.recording.settled(("agent", agent.agent_id))
        await awaited(submit_call(lambda: self.agents.attach(agent, built_with)))
        self.agents.caught_up(agent, self._missed.pop(agent, []))

    async def _attach_multi_agent(self, source: MultiAgentBase) -> None:
        await self.recording.settled(("multi_agent", source.id))
        await awaited(submit_call(lambda: self.multi_agents.attach(source)))

    def _miss(self, agent: Agent) -> None:
        """Keep hold of a history that can't be stored yet: some of it may be trimmed before it can."""
        missed = self._missed.setdefault(agent, [])
        known = {id(message) for message in missed}
        missed += [message for message in messages_of(agent) if id(message) not in known]
        if len(missed) > MAX_PENDING:
            self._log("full", logging.ERROR, "messages beyond %d that leave the history are not stored", MAX_PENDING)
            del missed[MAX_PENDING:]

    def _failed(self, error: Exception) -> None:
        if self._raises:
            raise error
        error.__traceback__ = None  # its frames would keep the agent alive, in the log's record and beyond
        pending = self.recording.pending
        if isinstance(error, SessionException):
            self._log(type(error).__name__, logging.ERROR, "not stored, the agent goes on", error=error)
        elif pending >= MAX_PENDING:
            self._log("full", logging.ERROR, "pending=<%d>, takes in no more until the store is back", pending)
        else:
            self._log("failing", logging.WARNING, "pending=<%d>, not stored, the agent goes on", pending, error=error)

    def _log(self, once: str, level: int, text: str, *args: object, error: Exception | None = None) -> None:
        """Log once until the store is back."""
        if once not in self._logged:
            self._logged.add(once)
            logger.log(level, "session_id=<%s> | mirror: " + text, self.recording.session_id, *args, exc_info=error)
