"""What happens to a session's agents, turned into rows: shared by the session manager and the hooks.

An event only tells when to look. What is written is the difference between an agent as it is and as it was recorded:
serialised at the moment of the event, on the thread of the event, and handed to the writer before anything is awaited,
so that neither a cancelled task nor a change in the meantime can tear it.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionType

from ..database.connector import Row as StoredRow
from ..database.connector import Store
from ..database.decoding import (
    Restoration,
    StoredAgent,
    StoredMultiAgent,
    stored_multi_agents,
)
from ..database.encoding import (
    Message,
    copied,
    encode,
    is_strict,
    now,
    quoted,
)
from ..database.live_window import LiveWindow
from ..database.tables import Document, Tables
from ..errors import SessionDataError
from .agent_state import (
    STATE_FIELDS,
    StateReader,
    ensure_tracking_ids,
    is_stateful,
    messages_of,
    scrub_interrupts,
)
from .planner import (
    AgentRow,
    Key,
    MessageRow,
    MultiAgentRow,
    Redaction,
    Row,
)
from .restore import collector_paused, restored
from .threads import survive_forks
from .tracing import BatchSpan
from .window import Change, Window
from .writer import Writer

if TYPE_CHECKING:
    from strands import Agent
    from strands.multiagent.base import MultiAgentBase

    from ..client import Statement

__all__ = ["Durability", "Recorder", "checked_durability", "checked_session_id"]

logger = logging.getLogger(__name__)

Durability: TypeAlias = Literal["message", "overlap", "invocation"]
"""When a message is stored.

- `"message"`: before the agent goes on.
- `"overlap"`: while the model works; awaited at the next event and at the end of the invocation.
- `"invocation"`: at the end of the invocation, all in one batch.
"""

Written: TypeAlias = "Future[None] | None"
"""What to wait for before the agent goes on; None for nothing."""


def checked_session_id(session_id: object) -> str:
    """A session id: any text that is not blank.

    Raises:
        TypeError: It is no string.
        ValueError: It is blank, or no valid Unicode.
    """
    if not isinstance(session_id, str):
        raise TypeError(f"session_id must be a string such as 'user-42', got {type(session_id).__name__}")
    if not session_id.strip():
        raise ValueError("session_id must not be empty: name the session, for example 'user-42'")
    try:
        session_id.encode()
    except UnicodeEncodeError as error:
        raise ValueError("session_id must be valid Unicode: it holds a lone surrogate") from error
    return session_id


def checked_durability(durability: object) -> Durability:
    """One of the three durabilities.

    Raises:
        ValueError: It is none.
    """
    if durability not in get_args(Durability):
        raise ValueError(f"durability must be one of {', '.join(map(repr, get_args(Durability)))}, got {durability!r}")
    return cast("Durability", durability)


@dataclass(slots=True)
class _Recorded:
    """One agent as it was last recorded."""

    agent: weakref.ref[Agent]
    window: Window
    created_at: str
    state: dict[str, Any] | None = None  # the SessionAgent's fields, as last seen
    storable: dict[str, Any] | None = None  # the same, as last seen in a form that can be stored
    stored: bool = False  # its row is written, or on its way
    reader: StateReader = field(default_factory=StateReader)


class Recorder:
    """Records the agents and multi-agent orchestrators of one session.

    Args:
        store: Where to.
        session_id: The session.
        durability: When messages are stored.
    """

    def __init__(self, store: Store[Tables], session_id: str, durability: Durability) -> None:
        self.session_id = session_id
        self._store = store
        self._durability = durability
        self._lock = threading.RLock()
        self._agents: dict[str, _Recorded] = {}
        self._multi_agents: dict[str, str] = {}
        self._ahead: dict[str, StoredAgent] = {}
        self._ahead_multi: dict[str, StoredMultiAgent] = {}
        self._read_ahead: set[str] | None = set()  # agents read ahead, present or not; None: all of the session
        self._behind: Written = None  # under "overlap", the write that runs while the model works
        self._at_once = False
        session = encode(
            Session(session_id=session_id, session_type=SessionType.AGENT).to_dict(), what=f"session {session_id!r}"
        )
        self._writer = Writer(store, session_id, session)
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin anew in a child process: what was under way is the parent's to finish."""
        self._lock = threading.RLock()
        self._behind = None
        self._at_once = False

    @property
    def pending(self) -> int:
        """How many rows are not stored yet."""
        return self._writer.pending

    def flush(self, *, at_once: bool = False) -> Future[None]:
        """Store all that is pending; `at_once` where somebody blocks until then."""
        return self._writer.drain(at_once=at_once)

    def block(self, record: Callable[[], Written]) -> None:
        """Record something, and block until it is stored: it waits for no request of other sessions."""
        with self._lock:
            self._at_once = True
            try:
                written = record()
            finally:
                self._at_once = False
        if written is not None:
            written.result()

    # Restoring

    def read_ahead(self, agent_id: str | None) -> None:
        """Read the session's agents and orchestrators, or one agent, in one request, for the constructors to come."""
        tables = self._store.tables
        statements = tables.restore.agents(self.session_id, agent_id)
        if agent_id is None:
            statements += tables.multi_agents.read(self.session_id)
        answers = self._read(statements, agent_id, versioned=True)
        multi_agents = stored_multi_agents(answers[5:]) if agent_id is None else {}
        del answers[5:]
        agents = self._restoration(answers)
        with self._lock:
            self._ahead.update(agents)
            self._ahead_multi.update(multi_agents)
            if agent_id is None:
                self._read_ahead = None
            elif self._read_ahead is not None:
                self._read_ahead.add(agent_id)

    def restore(self, agent: Agent) -> None:
        """Bring an agent to where its stored session is, or begin one; at most one request for either.

        Messages that a new session's agent was built with are stored at once, in one more.

        Raises:
            SessionException: Another live agent of this session has the same id.
            SessionDataError: A stored row can't be read.
        """
        self.check_unique(agent)
        agent_id = agent.agent_id
        stored = self._take_over(agent_id)
        if stored is None:
            logger.debug("session_id=<%s>, agent_id=<%s> | new agent", self.session_id, agent_id)
            known = self._new(agent)
        else:
            logger.debug("session_id=<%s>, agent_id=<%s> | restoring agent", self.session_id, agent_id)
            with collector_paused():
                window = restored(agent, stored, session_id=self.session_id)
            known = self._going_on(agent, stored, window)
        with self._lock:
            self._agents[agent_id] = known
        if stored is None and agent.messages:
            ensure_tracking_ids(agent)
            self.block(lambda: self.synced(agent))

    def attach(self, agent: Agent, built_with: int | None = None) -> None:
        """Go on from what is stored of an agent, and leave the agent as it is; one request.

        The first look at its history recognises what is stored already: by content, among the messages that the agent
        was `built_with` (all, where that is not known).
        """
        agent_id = agent.agent_id
        stored = self._take_over(agent_id)
        if stored is None:
            known = self._new(agent)
        else:
            window, _ = Window.restored(
                LiveWindow.of_row(stored.window, agent_id),
                stored.messages,
                what=f"agent {agent_id!r}",
                next_id=stored.next_id,
                keeps_dropped=is_stateful(agent),
            )
            window.recognises = sys.maxsize if built_with is None else built_with
            known = self._going_on(agent, stored, window)
        with self._lock:
            self._agents[agent_id] = known

    def knows(self, subject: Agent | MultiAgentBase) -> bool:
        """Whether an agent, Graph or Swarm was restored or attached."""
        with self._lock:
            agent_id = getattr(subject, "agent_id", None)
            if agent_id is None:
                return getattr(subject, "id", None) in self._multi_agents
            known = self._agents.get(agent_id)
            return known is not None and known.agent() is subject

    def check_unique(self, agent: Agent) -> None:
        """See to it that no other live agent has an agent's id.

        Raises:
            SessionException: One has.
        """
        known = self._agents.get(agent.agent_id)
        if known is None or known.agent() is agent:
            return
        if known.agent() is not None:
            gc.collect()  # an agent is part of reference cycles: it may be dead already
        if known.agent() is not None:
            raise SessionException(
                f"The `agent_id` of an agent must be unique in a session. Agent {agent.agent_id!r} is part of session "
                f"{self.session_id!r} already: give each agent an id of its own, Agent(agent_id='…'), or a session."
            )

    def _take_over(self, agent_id: str) -> StoredAgent | None:
        """What is stored of an agent, once what an earlier one of its id has left is stored too."""
        if agent_id in self._agents and self._writer.has_pending:
            self.flush(at_once=True).result()
        return self._read_agent(agent_id)

    def _new(self, agent: Agent) -> _Recorded:
        self._writer.know_agent(agent.agent_id, 0)
        window = Window(what=f"agent {agent.agent_id!r}", keeps_dropped=is_stateful(agent))
        return _Recorded(weakref.ref(agent), window, now())

    def _going_on(self, agent: Agent, stored: StoredAgent, window: Window) -> _Recorded:
        in_parts: list[Key] = [("message", stored.agent_id, position) for position in stored.in_parts]
        if stored.document_in_parts:
            in_parts.append(("agent", stored.agent_id, 0))
        self._writer.know_agent(stored.agent_id, stored.revision, stored.next_id, in_parts)
        recorded = {key: value for key, value in stored.document.items() if key in STATE_FIELDS}
        created_at = str(stored.document.get("created_at", "")) or now()
        return _Recorded(weakref.ref(agent), window, created_at, recorded, recorded, stored=True)

    def _read_agent(self, agent_id: str) -> StoredAgent | None:
        with self._lock:
            if self._read_ahead is None or agent_id in self._read_ahead:
                if self._read_ahead is not None:
                    self._read_ahead.discard(agent_id)
                if agent_id in self._ahead or agent_id not in self._agents:
                    return self._ahead.pop(agent_id, None)
        statements = self._store.tables.restore.agents(self.session_id, agent_id)
        answers = self._read(statements, agent_id, versioned=True)
        return self._restoration(answers).get(agent_id)

    def _read(
        self, statements: Sequence[Statement], *owners: str | None, versioned: bool = False
    ) -> list[list[StoredRow]]:
        owned_by = [owner for owner in owners if owner is not None]
        with BatchSpan("persql.restore", statements, session_id=self.session_id, agent_ids=owned_by) as span:
            answers = self._store.read_versioned(statements) if versioned else self._store.read(*statements)
            span.rows(sum(map(len, answers)))
        return answers

    def _restoration(self, answers: list[list[StoredRow]]) -> dict[str, StoredAgent]:
        with collector_paused():
            restoration = Restoration(answers)
        while statements := restoration.wanted(self._store.tables, self.session_id):
            page = self._read(statements, *restoration.agents)
            with collector_paused():
                restoration.take(page)
        return restoration.agents

    # Events

    def added(self, agent: Agent) -> Written:
        """A message was added."""
        with self._lock:
            known = self._known(agent)
            self._record(agent, known, lambda: known.window.add(messages_of(agent)))
            return self._send()

    def recognised(self, agent: Agent) -> Written:
        """A message was added that is not to be stored yet; what was there before it is recognised."""
        with self._lock:
            known = self._known(agent)
            if known.window.recognises:
                self._record(agent, known, lambda: known.window.compare(messages_of(agent)[:-1]))
            return self._send()

    def caught_up(self, agent: Agent, missed: list[Message]) -> None:
        """Take in messages that were in an agent's history before it was attached, and may have left it since."""
        with self._lock:
            known = self._known(agent)
            history = messages_of(agent)
            present = {id(message) for message in history}
            gone = [message for message in missed if id(message) not in present]
            if gone:
                self._record(agent, known, lambda: known.window.compare([*gone, *history[:-1]]))

    def checked(self, agent: Agent) -> Written:
        """The model has answered: a hook or a guardrail may have changed the end of the history."""
        with self._lock:
            known = self._known(agent)
            if not known.window.tail_changed(messages_of(agent)):
                return None
            self._record(agent, known, lambda: known.window.compare(messages_of(agent)))
            return self._send()

    def synced(self, agent: Agent) -> Written:
        """Anything may have changed; what is written is waited for in every durability but `"invocation"`."""
        return self._compared(agent, last=self._durability != "invocation")

    def ended(self, agent: Agent) -> Written:
        """An invocation has ended: all of it is to be stored."""
        return self._compared(agent, last=True)

    def _compared(self, agent: Agent, *, last: bool) -> Written:
        with self._lock:
            known = self._known(agent)
            self._record(agent, known, lambda: known.window.compare(messages_of(agent)))
            return self._send(last=last)

    def appended(self, agent: Agent, message: Message) -> Written:
        """A message was added to the session by hand: to the agent's history, or past it to the transcript alone."""
        with self._lock:
            known = self._known(agent)
            history = messages_of(agent)
            if not any(message is other for other in history):
                history = [*history, message]
            self._record(agent, known, lambda: known.window.add(history))
            return self._send()

    def redacted(self, agent: Agent, message: Message) -> Written:
        """The message stored last was redacted: no row keeps what it held before.

        An earlier message of the same role and content (a retried prompt, which Strands leaves raw) is redacted along
        with it, in the agent's history as in its rows, and so are the copies in its interrupt state.

        Raises:
            SessionException: There is no message to redact.
        """
        with self._lock:
            known = self._known(agent)
            target = known.window.place(message, messages_of(agent))
            if target is None:
                raise SessionException("No message to redact.")
            role, raw, redacted = target.content.get("role"), target.content["content"], target.message["content"]
            rows: list[Row] = []
            if raw and raw != redacted:
                for entry in known.window.entries:
                    if entry.content.get("role") == role and entry.content["content"] == raw and entry is not target:
                        entry.message["content"] = copied(redacted)
                scrub_interrupts(agent, _pairs(raw, redacted))
                unsent = target.message_id is not None and self._writer.is_unsent(agent.agent_id, target.message_id)
                text = encode(redacted, what="a redaction")
                raw_text = encode(raw, what="a message")
                # A redacted text that SQLite's JSON can't hold (NaN) is put in by us, as one that was never sent.
                sent = not unsent and is_strict(text)
                rows.append(Redaction(agent.agent_id, str(role), raw_text, text, known.window.next_id, sent))
            self._record(agent, known, lambda: known.window.compare(messages_of(agent)), rows)
            # What was sent raw is overwritten before the model's next step, whatever the durability.
            return self._send(last=self._durability == "message" or self._writer.has_rewrites)

    def restore_multi_agent(self, source: MultiAgentBase) -> None:
        """Bring a Graph or Swarm to where its stored session is; one request."""
        stored = self._read_multi_agent(source.id)
        if stored is not None:
            logger.debug("session_id=<%s>, multi_agent_id=<%s> | restoring multi-agent", self.session_id, source.id)
            state = dict(stored.state)
            if not state.get("next_nodes_to_execute"):
                # Nothing is left to run. Early releases (1.42) take an empty list for a run to resume, at no node.
                state.pop("next_nodes_to_execute", None)
            try:
                source.deserialize_state(state)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise SessionDataError(
                    f"The row of multi-agent {source.id!r} can't be read as its state: {error}. Nothing was changed. "
                    "Look at the column data of that row, and mend it, delete it, or use another session id."
                ) from error
        self._go_on_with(source.id, stored)

    def attach_multi_agent(self, source: MultiAgentBase) -> None:
        """Go on from what is stored of a Graph or Swarm, and leave it as it is; one request."""
        self._go_on_with(source.id, self._read_multi_agent(source.id))

    def _go_on_with(self, multi_agent_id: str, stored: StoredMultiAgent | None) -> None:
        revision, in_parts = (0, False) if stored is None else (stored.revision, stored.in_parts)
        self._writer.know_multi_agent(multi_agent_id, revision, in_parts=in_parts)
        with self._lock:
            self._multi_agents[multi_agent_id] = "" if stored is None else stored.text

    def _read_multi_agent(self, multi_agent_id: str) -> StoredMultiAgent | None:
        with self._lock:
            if self._read_ahead is None and multi_agent_id not in self._multi_agents:
                return self._ahead_multi.pop(multi_agent_id, None)
        tables = self._store.tables
        statements = [tables.read_version(), *tables.multi_agents.read(self.session_id, multi_agent_id)]
        answers = self._read(statements, multi_agent_id, versioned=True)
        return stored_multi_agents(answers).get(multi_agent_id)

    def recorded_multi_agent(self, source: MultiAgentBase, *, last: bool) -> Written:
        """A node of a Graph or Swarm has run, or with `last` the whole of it."""
        with self._lock:
            text = encode(source.serialize_state(), what=f"the state of multi-agent {source.id!r}")
            if text != self._multi_agents.get(source.id):
                self._writer.put([MultiAgentRow(source.id, Document.of(text))])
                self._multi_agents[source.id] = text
            return self._send(last=last)

    # From changes to rows

    def _known(self, agent: Agent) -> _Recorded:
        known = self._agents.get(agent.agent_id)
        if known is None or known.agent() is not agent:
            raise SessionException(
                f"Agent {agent.agent_id!r} is not part of session {self.session_id!r}: pass its session manager or "
                "hooks to its constructor."
            )
        return known

    def _record(
        self, agent: Agent, known: _Recorded, look: Callable[[], Change], rows: list[Row] | None = None
    ) -> None:
        """Put the difference between an agent and its record among the rows to be written.

        Raises:
            SessionDataError: Something can't be stored; all else is pending, and goes with the next event.
        """
        state = known.reader.read(agent)  # first: once the window has taken a change in, it must become rows
        change = look()
        error = change.error
        rows = rows if rows is not None else []
        candidate = known.storable
        if state != known.state:
            candidate = known.state = {key: value if key == "state" else copied(value) for key, value in state.items()}
        if candidate is not None and (candidate is not known.storable or change.window is not None or not known.stored):
            try:
                text = _agent_text(agent.agent_id, candidate, known.created_at)
                known.storable = candidate
            except SessionDataError as unstorable:
                error = error or unstorable
                text = None
                if not known.stored:  # no message can be stored without it
                    known.storable = _storable_part(candidate)
                if known.storable is not None and (change.window is not None or not known.stored):
                    text = _agent_text(agent.agent_id, known.storable, known.created_at)
            if text is not None:
                laid_out = Document.of(text, created_at=known.created_at)
                rows.append(AgentRow(agent.agent_id, known.window.text, laid_out))
                known.stored = True
        for entries, new in ((change.added, True), (change.rewritten, False)):
            for entry, message in entries:
                assert entry.message_id is not None
                text = (
                    f'{{"message":{message},"message_id":{entry.message_id},"redact_message":null,'
                    f'"created_at":{quoted(entry.created_at)},'
                    f'"updated_at":{quoted(entry.created_at if new else now())}}}'
                )
                laid_out = Document.of(text, created_at=entry.created_at)
                rows.append(MessageRow(agent.agent_id, entry.message_id, laid_out, new))
        if rows:
            self._writer.put(rows)
        if error is not None:
            raise error

    def _send(self, *, last: bool = False) -> Written:
        """Send what is pending as the durability asks; what to wait for now."""
        if self._durability == "invocation" and not last:
            return None
        behind = self._behind
        if not self._writer.has_pending:
            self._behind = None
            return behind if behind is not None and not behind.done() else None
        written = self._writer.drain(at_once=self._at_once)
        if last or self._durability == "message":
            self._behind = None
            return written
        self._behind = written
        if behind is None or (behind.done() and behind.exception() is None):
            return None
        return written if behind.done() else behind


def _storable_part(state: dict[str, Any]) -> dict[str, Any]:
    """An agent's state with nothing in the place of each field that can't be stored."""
    part: dict[str, Any] = {}
    for name, value in state.items():
        try:
            encode(value, what=name)
            part[name] = value
        except SessionDataError:
            part[name] = {}
    return part


def _agent_text(agent_id: str, state: dict[str, Any], created_at: str) -> str:
    document = {**state, "created_at": created_at, "updated_at": now()}
    return encode(document, what=f"the state of agent {agent_id!r}")


def _pairs(raw: Any, redacted: Any) -> list[tuple[Any, Any]]:
    """Content before and after a redaction, whole and by tool result, as interrupt state carries copies of either."""
    pairs = [(raw, redacted)]
    for old, new in zip(raw, redacted, strict=False):
        if isinstance(old, dict) and isinstance(new, dict) and "toolResult" in old and "toolResult" in new:
            pairs.append((old["toolResult"], new["toolResult"]))  # pyright: ignore[reportUnknownArgumentType]
    return pairs
