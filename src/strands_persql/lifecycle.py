"""Which event of Strands calls what, on every release from 1.42 on: the table of contents of this package.

Every callback that may be a coroutine is one. Each records what has changed on the calling thread, hands the rows to a
worker thread before its first await, and then waits without blocking the loop. Whoever cancels it (asyncio, or an anyio
cancel scope around a request) cancels the wait, not the write.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

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

from .workers import submit_call

if TYPE_CHECKING:
    from strands import Agent

    from .recorder import Recorder, Written

__all__ = ["register_manager"]

E = TypeVar("E")

LAST = 100
"""Where a registry knows an order (Strands 1.43 on), after all hooks of the user's: `HookOrder.SDK_LAST`."""


def register_manager(registry: HookRegistry, recorder: Recorder, restore: Callable[[Agent], None]) -> None:
    """Register a session manager's callbacks.

    Args:
        registry: An agent's, or a Graph's or Swarm's.
        recorder: Records the session.
        restore: Brings a new agent to where its session is.
    """
    on = _adder(registry)

    # The last step of an agent's constructor. Strands takes only a synchronous callback here.
    on(AgentInitializedEvent, lambda event: restore(event.agent))
    # A message is stored before the agent goes on; its tool's changes to the agent's state go along.
    on(MessageAddedEvent, _then(lambda event: recorder.added(event.agent)))
    # Interventions and hooks change the end of the history round a model call, without an event of their own.
    on(AfterModelCallEvent, _then(lambda event: recorder.checked(event.agent)))
    # Trimming, interrupts and the user's own edits have no event: the whole history is compared, after all other hooks.
    on(AfterInvocationEvent, _then(lambda event: recorder.ended(event.agent)), last=True)

    # A Graph's or Swarm's constructor runs this one in a loop of its own.
    on(MultiAgentInitializedEvent, _restore_multi_agent(recorder))
    # A node has run: should the process die now, the next one goes on behind it.
    on(AfterNodeCallEvent, _then(lambda event: recorder.recorded_multi_agent(event.source, last=False)))
    on(
        AfterMultiAgentInvocationEvent,
        _then(lambda event: recorder.recorded_multi_agent(event.source, last=True)),
        last=True,
    )


async def wait(written: Written) -> None:
    """Wait for a write without blocking the loop; a cancelled wait leaves the write running."""
    if written is not None:
        await asyncio.shield(asyncio.wrap_future(written))


def _then(record: Callable[[Any], Written]) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await wait(record(event))

    return callback


def _restore_multi_agent(recorder: Recorder) -> Callable[[Any], Awaitable[None]]:
    async def callback(event: Any) -> None:
        await asyncio.shield(asyncio.wrap_future(submit_call(lambda: recorder.restore_multi_agent(event.source))))

    return callback


def _adder(registry: HookRegistry) -> Callable[..., None]:
    ordered = "order" in inspect.signature(registry.add_callback).parameters

    def add(event_type: type[Any], callback: Callable[[Any], Any], *, last: bool = False) -> None:
        if ordered and last:
            registry.add_callback(event_type, callback, order=LAST)
        else:
            registry.add_callback(event_type, callback)

    return add
