"""A mirror: stores what an agent does beside whatever else manages its session, and never changes the agent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary, WeakSet

from strands.hooks import HookProvider, HookRegistry
from strands.types.exceptions import SessionException

from .database.connector import Store
from .database.tables import Tables
from .engine.agent_state import messages_of
from .engine.closing import Closing
from .engine.lifecycle import register, wait
from .engine.recorder import (
    Durability,
    Recorder,
    checked_durability,
    checked_session_id,
)
from .engine.threads import awaited, submit_call

if TYPE_CHECKING:
    from strands import Agent
    from strands.multiagent.base import MultiAgentBase

    from .client import Database
    from .database.encoding import Message
    from .engine.recorder import Written

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
        store = Store(database, Tables(table_prefix), create_tables=create_tables)
        self._recorder = Recorder(store, self.session_id, checked_durability(durability))
        self._listener = _Mirror(self._recorder, raises=on_error == "raise", holds_back=redaction_safe)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, pending={self.pending})"

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        """Register the callbacks, once for each agent: see `strands_persql.engine.lifecycle`."""
        register(registry, self._listener)


class _Mirror:
    """What the mirror does at each event."""

    def __init__(self, recorder: Recorder, *, raises: bool, holds_back: bool) -> None:
        self.registries: WeakSet[HookRegistry] = WeakSet()
        self._recorder = recorder
        self._raises = raises
        self._holds_back = holds_back
        self._built_with: WeakKeyDictionary[Agent, int] = WeakKeyDictionary()
        self._missed: WeakKeyDictionary[Agent, list[Message]] = WeakKeyDictionary()
        self._logged: set[str] = set()

    def initialized(self, agent: Agent) -> None:
        self._recorder.check_unique(agent)  # agents that share an id are a mistake in the program: never only logged
        self._built_with[agent] = len(agent.messages)
        try:
            self._recorder.attach(agent)
        except Exception as error:
            self._failed(error)

    def added(self, agent: Agent) -> Written:
        if self._holds_back and messages_of(agent)[-1]["role"] == "user":
            return self._recorder.recognised(agent)
        return self._recorder.added(agent)

    def checked(self, agent: Agent, *, failed: bool) -> Written:
        if self._holds_back and failed:  # the call that redacts may be yet to come
            return None
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
            if not self._recorder.knows(subject):
                await self._attach(subject)
            if not self._raises and self._recorder.pending >= MAX_PENDING:
                await wait(self._recorder.flush())  # takes in no more before this has gone through
            await wait(record())
        except Exception as error:
            self._failed(error)
        else:
            if self._logged and self._recorder.pending == 0:
                self._logged.clear()
                logger.warning("session_id=<%s> | the mirror's store is back", self._recorder.session_id)

    async def _attach(self, subject: Any) -> None:
        """Begin with a subject that was registered late, or whose stored rows could not be read before."""
        if hasattr(subject, "nodes"):
            await awaited(submit_call(lambda: self._recorder.attach_multi_agent(subject)))
            return
        built_with = self._built_with.get(subject)
        self._miss(subject)
        self._recorder.check_unique(subject)
        await awaited(submit_call(lambda: self._recorder.attach(subject, built_with)))
        self._recorder.caught_up(subject, self._missed.pop(subject, []))

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
        pending = self._recorder.pending
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
            logger.log(level, "session_id=<%s> | mirror: " + text, self._recorder.session_id, *args, exc_info=error)
