"""Records and restores the Graphs and Swarms of a session."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from strands.types.exceptions import SessionException

from ..client import logger_of
from ..database.encoding import Message, decode, encode, is_message, mapping, why
from ..database.tables import Document
from ..errors import SessionDataError, named
from .copies import Copies, RedactedCopies
from .outgoing import MultiAgentRow

if TYPE_CHECKING:
    from strands import Agent
    from strands.multiagent.base import MultiAgentBase

    from ..database.decoding import StoredMultiAgent
    from .opening import Opening
    from .options import Written
    from .writer import Writer

logger = logger_of(__name__)


class MultiAgentRecorder:
    """The Graphs and Swarms of one session.

    Args:
        writer: Writes what is recorded.
        opening: Reads what is stored.
    """

    def __init__(self, writer: Writer, opening: Opening) -> None:
        self._writer = writer
        self._opening = opening
        self._recorded: dict[str, str] = {}  # the state of each, as last recorded
        self._sources: WeakSet[MultiAgentBase] = WeakSet()
        self._blocked: WeakKeyDictionary[MultiAgentBase, list[RedactedCopies]] = WeakKeyDictionary()  # in this run

    def knows(self, source: MultiAgentBase) -> bool:
        """Whether a Graph or Swarm was restored or attached."""
        return getattr(source, "id", None) in self._recorded

    def restore(self, source: MultiAgentBase) -> None:
        """Bring a Graph or Swarm to where its stored session is; one request.

        Raises:
            SessionException: Another live one of this session has the same id.
            SessionDataError: Its stored row can't be read.
        """
        self.check_unique(source)
        stored = self._opening.multi_agent(source.id)
        if stored is not None:
            logger.debug(
                "session_id=<%s>, multi_agent_id=<%s> | restoring multi-agent", self._writer.session_id, source.id
            )
            state = dict(stored.state)
            if not state.get("next_nodes_to_execute"):
                # Nothing is left to run. Early releases (1.42) take an empty list for a run to resume, at no node.
                state.pop("next_nodes_to_execute", None)
            try:
                source.deserialize_state(state)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise SessionDataError(
                    f"The row of multi-agent {named(source.id)} can't be read as its state ({why(error)}). Nothing was "
                    "changed. Look at the column data of that row, and mend it, delete it, or use another session id."
                ) from error
        self._go_on_with(source, stored)

    def check_unique(self, source: MultiAgentBase) -> None:
        """See to it that no other live Graph or Swarm has the id of one.

        Raises:
            SessionException: One has.
        """

        def is_taken() -> bool:
            return any(other.id == source.id and other is not source for other in self._sources)

        if is_taken():
            gc.collect()  # it is part of reference cycles: it may be dead already
        if is_taken():
            raise SessionException(
                f"The id of a Graph or Swarm must be unique in a session. {named(source.id)} is part of session "
                f"{named(self._writer.session_id)} already: give each an id of its own, set_graph_id('…') or "
                "Swarm(id='…'), or a session."
            )

    def attach(self, source: MultiAgentBase) -> None:
        """Go on from what is stored of a Graph or Swarm, and leave it as it is; one request."""
        self._go_on_with(source, self._opening.multi_agent(source.id))

    def recorded(self, source: MultiAgentBase, *, last: bool) -> Written:
        """A node of a Graph or Swarm has run, or with `last` the whole of it."""
        with self._writer.lock:
            if last:
                self._blocked.pop(source, None)
            self._put(source.id, source.serialize_state())
            return self._writer.send(last=last)

    def sources_of(self, agent: Agent) -> list[MultiAgentBase]:
        """The Graphs and Swarms of which an agent is a node."""
        return [source for source in self._sources if any(node is agent for node in agents_in(source))]

    def withheld(self, source: MultiAgentBase, message: Message) -> bool:
        """Redact a prompt that a node is given, if what it holds was blocked in this run, beside this node."""
        for copies in self._blocked.get(source, ()):
            redacted = copies.message(message) if message["role"] == "user" else None
            if redacted is not None:
                message.update(content=redacted["content"])
                return True
        return False

    def redacted(self, source: MultiAgentBase, message: Message, raw: Message) -> Written:
        """A node's prompt was redacted: the next node is not given what was blocked, and no row keeps it.

        Args:
            source: The Graph or Swarm.
            message: The prompt as it is now.
            raw: The prompt as it was.
        """
        copies = RedactedCopies(raw, message)
        with self._writer.lock:
            self._blocked.setdefault(source, []).append(copies)
            _scrub(source, copies)
            stored = decode(self._recorded.get(source.id) or "{}")
            state = copies.cleared(stored)
            if state != stored:
                self._put(source.id, state)
                return self._writer.send(last=True)
            return None

    def _put(self, multi_agent_id: str, state: dict[str, Any]) -> None:
        text = encode(state, what=f"the state of multi-agent {named(multi_agent_id)}")
        if text != self._recorded.get(multi_agent_id):
            self._writer.put([MultiAgentRow(multi_agent_id, Document.of(text))])
            self._recorded[multi_agent_id] = text

    def _go_on_with(self, source: MultiAgentBase, stored: StoredMultiAgent | None) -> None:
        multi_agent_id = source.id
        self._sources.add(source)
        revision, in_parts = (0, False) if stored is None else (stored.revision, stored.in_parts)
        self._writer.known.go_on_from_multi_agent(multi_agent_id, revision, in_parts=in_parts)
        self._recorded[multi_agent_id] = "" if stored is None else stored.text


def agents_in(source: Any) -> Iterator[Agent]:
    """The agents that are nodes of a Graph or Swarm, or of one that is a node of it."""
    for executor in _executors(source):
        if hasattr(executor, "nodes"):
            yield from agents_in(executor)
        elif hasattr(executor, "messages") and hasattr(executor, "hooks"):
            yield executor


def _executors(source: Any) -> list[Any]:
    return [node.executor for node in mapping(getattr(source, "nodes", None)).values() if hasattr(node, "executor")]


def _scrub(source: Any, copies: Copies) -> None:
    """Clear the copies of a message in what a Graph or Swarm holds in memory, and those that are nodes of it."""
    state = source.state
    state.task = copies.task(state.task)
    _scrub_results(state.results, copies)
    if getattr(state, "handoff_message", None):  # a Swarm's, and so the next
        state.handoff_message = copies.handoff(state.handoff_message)
    if hasattr(source, "shared_context"):
        source.shared_context.context = copies.shared_context(source.shared_context.context)
    interrupts = mapping(getattr(getattr(source, "_interrupt_state", None), "context", None))
    for key, value in interrupts.items():
        interrupts[key] = copies.cleared(value)
    for executor in _executors(source):
        if hasattr(executor, "nodes"):
            _scrub(executor, copies)


def _scrub_results(results: dict[str, Any], copies: Copies) -> None:
    for node in results.values():
        _scrub_results(getattr(node.result, "results", {}), copies)
        message: Any = getattr(node.result, "message", None)
        redacted = copies.message(message) if is_message(message) else None
        if redacted is not None:
            message.update(content=redacted["content"])
