"""A mirror: stores what an agent does beside whatever else manages its session, and never changes the agent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from strands.hooks import HookProvider, HookRegistry
from strands.types.exceptions import SessionException

from .agent_state import messages_of
from .closing import Closing
from .lifecycle import register, wait
from .recorder import Durability, Recorder, checked_durability, checked_session_id
from .store import Store
from .workers import submit_call

if TYPE_CHECKING:
    from strands import Agent
    from strands.multiagent.base import MultiAgentBase

    from .client import Database
    from .recorder import Written

__all__ = ["MAX_PENDING", "PerSQLHooks"]

logger = logging.getLogger(__name__)

MAX_PENDING = 10_000
"""Rows that a mirror with `on_error="log"` holds back while its store is away.

An agent's state is one row, however often it changes: only messages add up. Beyond this the mirror takes in no more and
says so; what is still in the agent's history when the store is back is stored then."""


class PerSQLHooks(Closing, HookProvider):
    """Mirrors agents into a session, alongside any other session manager, or none.

    ```python
    agent = Agent(hooks=[PerSQLHooks("user-42", db)], session_manager=FileSessionManager("user-42"))
    ```

    It never restores and never changes an agent. A history that another manager restored is recognised by its messages'
    tracking ids and content, and continued; where it differs from what is stored, the mirror follows the agent, and
    what the agent no longer has stays in the transcript. On the nodes of a Graph or Swarm, where Strands takes no
    session manager, each agent needs an `agent_id` of its own.

    A guardrail's redaction of the user's message has no event: it is noticed after the model call, and the stored row
    then overwritten. With `redaction_safe` the user's message is not stored before that.

    Args:
        session_id: Any text that is not blank. It may be the other manager's.
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        table_prefix: Starts the name of each table: a letter, then letters, digits, underscores.
        durability: When a message is stored: `"message"`, `"overlap"` or `"invocation"`.
        on_error: `"raise"`: a failed write fails the agent's turn. `"log"`: the agent goes on, the failure is logged
            once, and the rows are stored with the next event that finds the store back (see `MAX_PENDING`).
        redaction_safe: Hold the user's messages back until the model has answered.
        create_tables: Create the tables when a statement finds none; False sends no DDL ever.

    Raises:
        TypeError: `session_id` is no string, or `database` no synchronous handle.
        ValueError: One of the others is none of the above.
    """

    def __init__(
        self,
        session_id: str,
        database: Database,
        *,
        table_prefix: str = "strands_",
        durability: Durability = "message",
        on_error: Literal["raise", "log"] = "raise",
        redaction_safe: bool = False,
        create_tables: bool = True,
    ) -> None:
        self.session_id = checked_session_id(session_id)
        if on_error not in ("raise", "log"):
            raise ValueError(f"on_error must be 'raise' or 'log', got {on_error!r}")
        store = Store(database, table_prefix, create_tables=create_tables)
        self._recorder = Recorder(store, self.session_id, checked_durability(durability))
        self._listener = _Mirror(self._recorder, raises=on_error == "raise", holds_back=redaction_safe)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, pending={self.pending})"

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        """Register the callbacks, once for each agent: see `strands_persql.lifecycle`."""
        register(registry, self._listener)


class _Mirror:
    """What the mirror does at each event."""

    def __init__(self, recorder: Recorder, *, raises: bool, holds_back: bool) -> None:
        self.registries: WeakSet[HookRegistry] = WeakSet()
        self._recorder = recorder
        self._raises = raises
        self._holds_back = holds_back
        self._failing = False

    def initialized(self, agent: Agent) -> None:
        self._recorder.make_room_for(agent)  # agents that share an id are a mistake in the program: never only logged
        try:
            self._recorder.attach(agent)
        except Exception as error:
            self._failed(error)

    def added(self, agent: Agent) -> Written:
        if self._holds_back and messages_of(agent)[-1]["role"] == "user":
            return None
        return self._recorder.added(agent)

    def checked(self, agent: Agent) -> Written:
        return self._recorder.checked(agent)

    def updated(self, agent: Agent) -> Written:
        return self._recorder.synced(agent)

    def ended(self, agent: Agent) -> Written:
        return self._recorder.ended(agent)

    def multi_agent_initialized(self, source: MultiAgentBase) -> Future[None]:
        def attach() -> None:
            try:
                self._recorder.attach_multi_agent(source)
            except Exception as error:
                self._failed(error)

        return submit_call(attach)

    def node_ended(self, source: MultiAgentBase) -> Written:
        return self._recorder.recorded_multi_agent(source, last=False)

    def multi_agent_ended(self, source: MultiAgentBase) -> Written:
        return self._recorder.recorded_multi_agent(source, last=True)

    async def settle(self, subject: Any, record: Callable[[], Written]) -> None:
        try:
            if not self._recorder.knows(subject):  # registered late, or its first reading failed
                attach = self._recorder.attach_multi_agent if hasattr(subject, "nodes") else self._recorder.attach
                await asyncio.shield(asyncio.wrap_future(submit_call(lambda: attach(subject))))
            full = not self._raises and self._recorder.pending >= MAX_PENDING
            await wait(self._recorder.flush() if full else record())
        except Exception as error:
            self._failed(error)
        else:
            if self._failing and self._recorder.pending == 0:
                self._failing = False
                logger.warning("session_id=<%s> | the mirror's store is back", self._recorder.session_id)

    def _failed(self, error: Exception) -> None:
        if self._raises:
            raise error
        full = self._recorder.pending >= MAX_PENDING
        if not self._failing or full:
            logger.log(
                logging.ERROR if full or isinstance(error, SessionException) else logging.WARNING,
                "session_id=<%s>, pending=<%d> | the mirror could not store, the agent goes on%s",
                self._recorder.session_id,
                self._recorder.pending,
                "; it takes in no more until the store is back" if full else "",
                exc_info=error,
            )
        self._failing = True
