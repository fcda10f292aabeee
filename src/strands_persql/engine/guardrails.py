"""Notices that a guardrail has redacted an agent's prompt: Strands tells the agent's own session manager alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

from strands.hooks import (
    AfterModelCallEvent,
    AgentInitializedEvent,
    BeforeModelCallEvent,
    HookRegistry,
    MessageAddedEvent,
)

from ..database.encoding import Message, copied
from .agent_state import messages_of
from .ordering import FIRST, LAST, adder, is_ordered

if TYPE_CHECKING:
    from strands import Agent


class Told(Protocol):
    """Is told of redactions."""

    async def redacted(self, agent: Agent, message: Message, raw: Message) -> None:
        """An agent's prompt was redacted; `raw` is a copy of the message before."""

    def withheld(self, agent: Agent, message: Message) -> bool:
        """Whether a message that an agent was given was blocked elsewhere meanwhile, and is redacted now."""
        ...


class _Watch:
    """Compares the last message of one agent's history before and after each call of its model."""

    def __init__(self) -> None:
        self.told: WeakSet[Told] = WeakSet()
        self._asked: tuple[Message, Message] | None = None

    async def added(self, event: Any) -> None:
        message: Message = event.message
        raw = copied(message)
        if any([each.withheld(event.agent, message) for each in list(self.told)]):
            await self._tell(event.agent, message, raw)

    async def before(self, event: Any) -> None:
        history = messages_of(event.agent)
        is_prompt = bool(history) and history[-1].get("role") == "user"
        self._asked = (history[-1], copied(history[-1])) if is_prompt else None

    def built(self, event: Any) -> None:
        event.agent.hooks.add_callback(AfterModelCallEvent, self.after)

    async def after(self, event: Any) -> None:
        asked, self._asked = self._asked, None
        if asked is not None and asked[0]["content"] != asked[1]["content"]:
            await self._tell(event.agent, *asked)

    async def _tell(self, agent: Agent, message: Message, raw: Message) -> None:
        for each in list(self.told):
            await each.redacted(agent, message, raw)


_watched: WeakKeyDictionary[HookRegistry, _Watch] = WeakKeyDictionary()


def watch(registry: HookRegistry, told: Told, *, is_built: bool = False) -> None:
    """Have somebody told of the redactions of an agent.

    Args:
        registry: The agent's: its callbacks can't be taken back, so each registry gets them once.
        told: Who; it is not kept alive.
        is_built: The agent's constructor has ended.
    """
    watch = _watched.get(registry)
    if watch is None:
        watch = _watched[registry] = _Watch()
        on = adder(registry)
        on(MessageAddedEvent, watch.added, order=FIRST)
        on(BeforeModelCallEvent, watch.before, order=LAST)  # after hooks that change the prompt themselves
        if is_built or is_ordered(registry):
            on(AfterModelCallEvent, watch.after, order=FIRST)
        else:  # those that are registered last are the first to hear of it
            on(AgentInitializedEvent, watch.built)
    watch.told.add(told)
