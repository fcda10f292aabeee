"""Which event of Strands calls what, on every release from 1.42 on: the table of contents of this package.

Every callback that may be a coroutine is one. Each records what has changed on the calling thread, hands the rows to a
worker thread before its first await, and then waits without blocking the loop. Whoever cancels it (asyncio, or an anyio
cancel scope around a request) cancels the wait, not the write.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import strands.hooks
from strands.hooks import (
    AfterInvocationEvent,
    AfterModelCallEvent,
    AfterMultiAgentInvocationEvent,
    AfterNodeCallEvent,
    AgentInitializedEvent,
    BeforeInvocationEvent,
    BeforeModelCallEvent,
    BeforeMultiAgentInvocationEvent,
    BeforeToolCallEvent,
    HookRegistry,
    MessageAddedEvent,
    MultiAgentInitializedEvent,
)

from ..database.encoding import mapping
from .agent_state import is_bidi
from .guardrails import watch
from .multi_agents import agents_in
from .offloads import RETRIEVAL_TOOL
from .ordering import BUILT, FIRST, LAST, adder, is_ordered
from .threads import awaited, submit_call

if TYPE_CHECKING:
    from strands import Agent
    from strands.multiagent.base import MultiAgentBase

    from ..database.encoding import Message
    from .options import Written
    from .recording import Recording
    from .succession import Owner


class Listener:
    """What a session manager does at each event; `Written` is what the agent has to wait for.

    Args:
        recording: The session.

    Attributes:
        registries: Where it listens already.
        watches: It is told of redactions by nobody, and looks for them itself.
    """

    watches = False

    def __init__(self, recording: Recording) -> None:
        self.registries: WeakSet[HookRegistry] = WeakSet()
        self.recording = recording
        self.agents = recording.agents
        self.multi_agents = recording.multi_agents

    def initialized(self, agent: Agent) -> None:
        """An agent was built."""
        self.recording.settle(("agent", agent.agent_id))
        self.agents.restore(agent)

    async def began(self, subject: Any) -> None:
        """An invocation of an agent, or a run of a Graph or Swarm, begins."""
        await self.recording.presence.begins(subject)
        if hasattr(subject, "nodes"):
            await self._begun(("multi_agent", subject.id), lambda: self.multi_agents.attach(subject))
        else:
            await self._begun(("agent", subject.agent_id), lambda: self.agents.attach(subject))

    async def added(self, agent: Agent) -> None:
        """A message was added to its history."""
        await wait(self.agents.added(agent))

    async def checked(self, agent: Agent, *, failed: bool) -> None:
        """The model has answered, or `failed` to and may be asked again."""
        await wait(self.agents.checked(agent))

    async def updated(self, agent: Agent, message: Message) -> None:
        """A message was replaced by a later content of it."""
        await wait(self.agents.changed(agent, [message]))

    def ending(self, subject: Any) -> None:
        """An invocation of an agent, or a run of a Graph or Swarm, is about to end."""
        if hasattr(subject, "nodes"):
            with suppress(Exception):  # it is met again when it has ended
                self.multi_agents.recorded(subject, last=True)
        else:
            self.agents.ending(subject)

    async def ended(self, agent: Agent, *, cut_off: bool) -> None:
        """An invocation, or a bidirectional conversation, has ended."""
        try:
            written = self.agents.ended(agent)
        finally:
            self.recording.writer.succession.ends(("agent", agent.agent_id), cut_off=cut_off)
        await wait(written)

    async def multi_agent_initialized(self, source: MultiAgentBase) -> None:
        """A Graph or Swarm was built."""
        self.watch_nodes(source)
        await self.recording.settled(("multi_agent", source.id))
        await awaited(submit_call(lambda: self.multi_agents.restore(source)))

    async def node_ended(self, source: MultiAgentBase) -> None:
        """A node of it has run."""
        await wait(self.multi_agents.recorded(source, last=False))

    async def multi_agent_ended(self, source: MultiAgentBase) -> None:
        """All of it has run."""
        try:
            written = self.multi_agents.recorded(source, last=True)
        finally:
            self.recording.writer.succession.ends(("multi_agent", source.id), cut_off=True)
        await wait(written)

    async def _begun(self, owner: Owner, attach: Callable[[], None]) -> None:
        """Take over from an earlier agent that was cut off, and go on behind what it has written since."""
        writer = self.recording.writer
        if writer.durability == "invocation" and writer.holds(owner):
            writer.send(last=True)  # an invocation before this one was left in its midst
        if writer.succession.begins(owner):
            await self.recording.settled(owner)
            await awaited(submit_call(attach))

    def watch_nodes(self, source: MultiAgentBase) -> None:
        """Be told when a guardrail blocks what a Graph or Swarm gives one of its nodes."""
        for agent in agents_in(source):
            watch(agent.hooks, self, is_built=True)

    def withheld(self, agent: Agent, message: Message) -> bool:
        """Redact a prompt that a node was given, if another node's guardrail has blocked it in this run."""
        return any(self.multi_agents.withheld(source, message) for source in self.multi_agents.sources_of(agent))

    async def redacted(self, agent: Agent, message: Message, raw: Message) -> None:
        """A guardrail has redacted the prompt of a node."""
        for source in self.multi_agents.sources_of(agent):
            await wait(self.multi_agents.redacted(source, message, raw))


def register(registry: HookRegistry, listener: Listener) -> None:
    """Register a listener's callbacks, once per registry.

    Args:
        registry: An agent's, or a Graph's or Swarm's.
        listener: The session manager's, or a mirror's.
    """
    if registry in listener.registries:
        return
    listener.registries.add(registry)
    on = adder(registry)
    if listener.watches:
        watch(registry, listener)

    # The last step of an agent's constructor. Strands takes only a synchronous callback here. Late, so that a mirror
    # sees what another manager has restored.
    on(AgentInitializedEvent, _initialized(listener, registry), order=BUILT)
    # From now on it is this agent that goes on with the session, before any hook changes it.
    on(BeforeInvocationEvent, _of_agent(listener.began), order=FIRST)
    # A message is stored before the agent goes on; its tool's changes to the agent's state go along.
    on(MessageAddedEvent, _of_agent(listener.added))
    # What the context manager has taken out is had from the transcript, once it has filled its stash with the history.
    on(BeforeModelCallEvent, _of_agent(listener.agents.offloads.give_back), order=LAST)
    on(BeforeToolCallEvent, _retrieves(listener))
    # Interventions, guardrails and hooks change the end of the history round a model call, without an event.
    on(AfterModelCallEvent, _after_model_call(listener))
    # Trimming, interrupts and the user's own edits have no event: the whole history is compared, after all other hooks.
    on(AfterInvocationEvent, _ended(listener), order=LAST)
    # A hook that fails, or a wait that is cancelled, keeps those behind it from being called: what there is to store is
    # handed over before all of them.
    on(AfterInvocationEvent, _ending(listener), order=FIRST)

    # A Graph's or Swarm's constructor runs this one in a loop of its own.
    on(MultiAgentInitializedEvent, _of_source(listener.multi_agent_initialized))
    on(BeforeMultiAgentInvocationEvent, _of_source(listener.began), order=FIRST)
    # A node has run: should the process die now, the run goes on behind it.
    on(AfterNodeCallEvent, _of_source(listener.node_ended))
    on(AfterMultiAgentInvocationEvent, _of_source(listener.multi_agent_ended), order=LAST)
    on(AfterMultiAgentInvocationEvent, _ending(listener), order=FIRST)

    # A BidiAgent appends its transcripts empty and replaces them as they grow (Strands 1.58 on).
    for event_type in filter(None, [getattr(strands.hooks, "MessageUpdatedEvent", None)]):
        on(event_type, _updated(listener))
    # It has events of its own up to 1.55, and no invocation: its end is its stop.
    bidi = _bidi_events()
    for event_type in bidi("BidiAgentInitializedEvent"):
        on(event_type, _initialized(listener, registry), order=BUILT)
    for event_type in bidi("BidiBeforeInvocationEvent"):
        on(event_type, _talks(listener), order=FIRST)
    for event_type in bidi("BidiMessageAddedEvent"):
        on(event_type, _of_agent(listener.added))
    for event_type in bidi("BidiAfterInvocationEvent", "BidiAgentStopEvent"):
        on(event_type, _ended(listener), order=LAST)


async def wait(written: Written) -> None:
    """Wait for a write without blocking the loop; a cancelled wait leaves the write running."""
    if written is not None:
        await awaited(written)


def _of_agent(respond: Callable[[Agent], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await respond(event.agent)

    return callback


def _of_source(respond: Callable[[MultiAgentBase], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await respond(event.source)

    return callback


def _initialized(listener: Listener, registry: HookRegistry) -> Callable[[Any], None]:
    def callback(event: Any) -> None:
        listener.initialized(event.agent)
        if is_bidi(event.agent):
            listener.recording.presence.talks(event.agent)
        if not is_ordered(registry):  # then those that are registered last are the first to hear of an end
            registry.add_callback(AfterInvocationEvent, _ending(listener))

    return callback


def _talks(listener: Listener) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await listener.recording.presence.note_if_due()

    return callback


def _ending(listener: Listener) -> Any:
    def callback(event: Any) -> None:
        subject = event.agent if hasattr(event, "agent") else event.source
        listener.recording.presence.ends(subject)
        listener.ending(subject)

    return callback


def _ended(listener: Listener) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await listener.ended(event.agent, cut_off=getattr(event, "result", None) is None)

    return callback


def _retrieves(listener: Listener) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        if event.tool_use["name"] == RETRIEVAL_TOOL:
            reference = mapping(event.tool_use["input"]).get("reference", "")
            await listener.agents.offloads.give_back(event.agent, str(reference))

    return callback


def _updated(listener: Listener) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await listener.updated(event.agent, event.message)

    return callback


def _after_model_call(listener: Listener) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        failed = event.exception is not None or bool(getattr(event, "retry", False))
        await listener.checked(event.agent, failed=failed)

    return callback


def _bidi_events() -> Callable[..., list[type[Any]]]:
    """Finds events of bidirectional agents by name, wherever this release keeps them.

    Nothing is imported: a BidiAgent that registers this has imported its events, and in a process without one they are
    not needed.
    """
    homes = ("strands.bidi.hooks.events", "strands.experimental.bidi.hooks.events", "strands.experimental.hooks.events")
    modules = [vars(sys.modules[home]) for home in homes if home in sys.modules]

    def find(*names: str) -> list[type[Any]]:
        found = [module[name] for name in names for module in modules if name in module]
        return list(dict.fromkeys(found))

    return find
