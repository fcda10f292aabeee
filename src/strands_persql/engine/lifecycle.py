"""Which event of Strands calls what, on every release from 1.42 on: the table of contents of this package.

Every callback that may be a coroutine is one. Each records what has changed on the calling thread, hands the rows to a
worker thread before its first await, and then waits without blocking the loop. Whoever cancels it (asyncio, or an anyio
cancel scope around a request) cancels the wait, not the write.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

import strands.hooks
from strands.hooks import (
    AfterInvocationEvent,
    AfterModelCallEvent,
    AfterMultiAgentInvocationEvent,
    AfterNodeCallEvent,
    AgentInitializedEvent,
    HookRegistry,
    MessageAddedEvent,
    MultiAgentInitializedEvent,
)

from .threads import awaited

if TYPE_CHECKING:
    from strands import Agent
    from strands.multiagent.base import MultiAgentBase

    from .recorder import Written

__all__ = ["Listener", "register", "wait"]

T = TypeVar("T")

LAST = 100
"""`HookOrder.SDK_LAST`: after all hooks of the user's, where a registry knows an order (Strands 1.43 on)."""


class Listener(Protocol):
    """What a session manager and a mirror do at each event; `Written` is what the agent has to wait for."""

    registries: WeakSet[HookRegistry]
    """Where it listens already."""

    def initialized(self, agent: Agent) -> None:
        """An agent was built."""
        ...

    def added(self, agent: Agent) -> Written:
        """A message was added to its history."""
        ...

    def checked(self, agent: Agent, *, failed: bool) -> Written:
        """The model has answered, or failed to and may be asked again."""
        ...

    def updated(self, agent: Agent) -> Written:
        """A message was replaced."""
        ...

    def ended(self, agent: Agent) -> Written:
        """An invocation, or a bidirectional conversation, has ended."""
        ...

    def multi_agent_initialized(self, source: MultiAgentBase) -> Future[None]:
        """A Graph or Swarm was built."""
        ...

    def node_ended(self, source: MultiAgentBase) -> Written:
        """A node of it has run."""
        ...

    def multi_agent_ended(self, source: MultiAgentBase) -> Written:
        """All of it has run."""
        ...

    async def settle(self, subject: Any, record: Callable[[], Written]) -> None:
        """Record a change of an agent, Graph or Swarm, and wait as long as the agent has to."""
        ...


def register(registry: HookRegistry, listener: Listener) -> None:
    """Register a listener's callbacks, once per registry.

    Args:
        registry: An agent's, or a Graph's or Swarm's.
        listener: The session manager's, or a mirror's.
    """
    if registry in listener.registries:
        return
    listener.registries.add(registry)
    on = _adder(registry)

    # The last step of an agent's constructor. Strands takes only a synchronous callback here. Last, so that a mirror
    # sees what another manager has restored.
    on(AgentInitializedEvent, _initialized(listener), last=True)
    # A message is stored before the agent goes on; its tool's changes to the agent's state go along.
    on(MessageAddedEvent, _of_agent(listener, listener.added))
    # Interventions, guardrails and hooks change the end of the history round a model call, without an event.
    on(AfterModelCallEvent, _after_model_call(listener))
    # Trimming, interrupts and the user's own edits have no event: the whole history is compared, after all other hooks.
    on(AfterInvocationEvent, _of_agent(listener, listener.ended), last=True)

    # A Graph's or Swarm's constructor runs this one in a loop of its own.
    on(MultiAgentInitializedEvent, _initialized_multi_agent(listener))
    # A node has run: should the process die now, the run goes on behind it.
    on(AfterNodeCallEvent, _of_source(listener, listener.node_ended))
    on(AfterMultiAgentInvocationEvent, _of_source(listener, listener.multi_agent_ended), last=True)

    # A BidiAgent appends its transcripts empty and replaces them as they grow (Strands 1.58 on).
    for event_type in filter(None, [getattr(strands.hooks, "MessageUpdatedEvent", None)]):
        on(event_type, _of_agent(listener, listener.updated))
    # It has events of its own up to 1.55, and no invocation: its end is its stop.
    bidi = _bidi_events()
    for event_type in bidi("BidiAgentInitializedEvent"):
        on(event_type, _initialized(listener), last=True)
    for event_type in bidi("BidiMessageAddedEvent"):
        on(event_type, _of_agent(listener, listener.added))
    for event_type in bidi("BidiAfterInvocationEvent", "BidiAgentStopEvent"):
        on(event_type, _of_agent(listener, listener.ended), last=True)


async def wait(written: Written) -> None:
    """Wait for a write without blocking the loop; a cancelled wait leaves the write running."""
    if written is not None:
        await awaited(written)


def _initialized(listener: Listener) -> Callable[[Any], None]:
    def callback(event: Any) -> None:
        listener.initialized(event.agent)

    return callback


def _of_agent(listener: Listener, record: Callable[[Agent], Written]) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await listener.settle(event.agent, lambda: record(event.agent))

    return callback


def _after_model_call(listener: Listener) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        failed = event.exception is not None or bool(getattr(event, "retry", False))
        await listener.settle(event.agent, lambda: listener.checked(event.agent, failed=failed))

    return callback


def _of_source(listener: Listener, record: Callable[[MultiAgentBase], Written]) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await listener.settle(event.source, lambda: record(event.source))

    return callback


def _initialized_multi_agent(listener: Listener) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await wait(listener.multi_agent_initialized(event.source))

    return callback


def _adder(registry: HookRegistry) -> Callable[..., None]:
    add_callback: Callable[..., None] = registry.add_callback
    ordered = "order" in inspect.signature(add_callback).parameters

    def add(event_type: type[Any], callback: Callable[[Any], Any], *, last: bool = False) -> None:
        add_callback(event_type, callback, **({"order": LAST} if ordered and last else {}))

    return add


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
