"""What happens to a session's agents, turned into rows: shared by the session manager and the hooks.

An event only tells when to look. What is written is the difference between an agent as it is and as it was recorded:
serialised at the moment of the event, on the thread of the event, and handed to the writer before anything is awaited,
so that neither a cancelled task nor a change in the meantime can tear it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from strands.types.exceptions import SessionException

from ..client import logger_of
from ..database.encoding import Message, copied, encode, message_document, now
from ..database.tables import Document
from ..errors import SessionDataError, named
from .agent_state import (
    ensure_tracking_ids,
    messages_of,
    scrub_interrupts,
    storable_part,
)
from .collector import collector_paused
from .copies import RedactedCopies
from .offloads import Offloads
from .outgoing import AgentRow, MessageRow, Redaction, Row
from .recorded import Recorded, window_of
from .restore import restored
from .sandboxes import note
from .window import RECENT, Change, Window

if TYPE_CHECKING:
    from strands import Agent

    from .opening import Opening
    from .options import Written
    from .reader import StoredAgent
    from .writer import Writer

logger = logger_of(__name__)


class Recorder:
    """Records the agents of one session.

    Args:
        writer: Writes what is recorded.
        opening: Reads what is stored.
    """

    def __init__(self, writer: Writer, opening: Opening) -> None:
        self.session_id = writer.session_id
        self._writer = writer
        self._opening = opening
        self._agents: dict[str, Recorded] = {}
        self.offloads = Offloads(opening)

    # Restoring

    def restore(self, agent: Agent) -> None:
        """Bring an agent to where its stored session is, or begin one; at most one request for either.

        Messages that a new session's agent was built with are stored as the durability asks, in one more.

        Raises:
            SessionException: Another live agent of this session has the same id.
            SessionDataError: A stored row can't be read.
        """
        self.check_unique(agent)
        note(agent, self.session_id)
        agent_id = agent.agent_id
        stored = self._opening.agent(agent_id)
        if stored is None:
            logger.debug("session_id=<%s>, agent_id=<%s> | new agent", self.session_id, agent_id)
            known = self._new(agent)
        else:
            logger.debug("session_id=<%s>, agent_id=<%s> | restoring agent", self.session_id, agent_id)
            with collector_paused():
                window = restored(agent, stored, session_id=self.session_id)
            known = self._going_on(agent, stored, window)
            self.offloads.restored(agent, window)
        with self._writer.lock:
            self._agents[agent_id] = known
        if stored is None and agent.messages:
            ensure_tracking_ids(agent)
            self._writer.block(lambda: self.changed(agent))

    def attach(self, agent: Agent, built_with: int | None = None) -> None:
        """Go on from what is stored of an agent, and leave the agent as it is; one request.

        The first look at its history recognises what is stored already: by content, among the messages that the agent
        was `built_with` (all, where that is not known).
        """
        agent_id = agent.agent_id
        stored = self._opening.agent(agent_id)
        if stored is None:
            known = self._new(agent)
        else:
            built_with = sys.maxsize if built_with is None else built_with
            window = window_of(agent, stored, next_id=stored.next_id, built_with=built_with)
            known = self._going_on(agent, stored, window)
        known.window.departed.gives_ids = False
        with self._writer.lock:
            self._agents[agent_id] = known

    def _mended(self, agent: Agent, torn: Recorded) -> Recorded:
        """An agent's record made anew, from what is stored: Ctrl-C came amid an event. Blocks; the next look finds all.

        What a rival has stored since is not taken for this writer's own: what it builds on stays what it was.
        """
        agent_id, writer = agent.agent_id, self._writer
        writer.drain(at_once=True).result()
        stored = self._opening.agent(agent_id) if writer.known.agents.get(agent_id) else None
        if stored is None:
            known = Recorded.new(agent)
        else:
            next_id = writer.known.next_ids.get(agent_id, 0)
            window = window_of(agent, stored, next_id=next_id, built_with=sys.maxsize)
            window.follow(torn.window)
            known = Recorded.of(agent, stored, window)
        known.window.departed.gives_ids, known.error = torn.window.departed.gives_ids, torn.error
        self._agents[agent_id] = known
        return known

    def live(self, agent_id: str) -> Agent | None:
        """The agent of an id that was restored or attached, and is still there."""
        known = self._agents.get(agent_id)
        return None if known is None else known.agent()

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
                f"The `agent_id` of an agent must be unique in a session. Agent {named(agent.agent_id)} is part of "
                f"session {named(self.session_id)} already: give each agent an id of its own, Agent(agent_id='…'), or "
                "a session. To build an agent again, in a notebook, make its session manager anew in the same cell."
            )

    def _new(self, agent: Agent) -> Recorded:
        self._writer.known.go_on_from(agent.agent_id, 0)
        return Recorded.new(agent)

    def _going_on(self, agent: Agent, stored: StoredAgent, window: Window) -> Recorded:
        self._writer.known.go_on_from(stored.agent_id, stored.revision, stored.next_id, stored.in_parts)
        return Recorded.of(agent, stored, window)

    # Events

    def added(self, agent: Agent) -> Written:
        """A message was added."""
        with self._writer.lock:
            known = self._known(agent)
            self._record(agent, known, lambda: known.window.add(cast("list[Message]", agent.messages)))
            return self._writer.send()

    def held(self, agent: Agent) -> Written:
        """A message was added that is not to be stored before the model has answered."""
        with self._writer.lock:
            known = self._known(agent)
            self._record(agent, known, lambda: known.window.add(messages_of(agent)), hold=True)
            return self._writer.send()

    def caught_up(self, agent: Agent, missed: list[Message]) -> None:
        """Take in messages that were in an agent's history before it was attached, and may have left it since."""
        with self._writer.lock:
            known = self._known(agent)
            history = messages_of(agent)
            present = {id(message) for message in history}
            gone = [message for message in missed if id(message) not in present]
            if gone:
                self._record(agent, known, lambda: known.window.compare([*gone, *history[:-1]]))

    def checked(self, agent: Agent) -> Written:
        """The model has answered: a hook or a guardrail may have changed the end of the history."""
        with self._writer.lock:
            known = self._known(agent)
            is_changed = known.held or known.window.tail_changed(messages_of(agent))
            return self._compared(agent, last=False) if is_changed else None

    def changed(self, agent: Agent, said: Sequence[Message] = ()) -> Written:
        """Anything may have changed: it is stored when the durability asks for it.

        Args:
            agent: The agent.
            said: The messages that Strands has replaced by a later content of theirs.
        """
        return self._compared(agent, said, last=False)

    def synced(self, agent: Agent) -> Written:
        """Anything may have changed, and all of it is to be stored, whatever the durability."""
        return self._compared(agent, last=True)

    def ending(self, agent: Agent) -> None:
        """An invocation is about to end: all of it is handed over, and nothing raised before `ended`."""
        with self._writer.lock:
            try:
                # The whole is compared in `ended`, after the users' hooks. Where all rows are to go out in one request
                # now, what an invocation changes in place, in messages of its own, is to be among them.
                self._compared(agent, last=True, depth=RECENT if self._writer.durability == "invocation" else 1)
            except Exception as error:
                if self.live(agent.agent_id) is agent:
                    self._agents[agent.agent_id].error = error
                self._writer.send(last=True)

    def ended(self, agent: Agent) -> Written:
        """An invocation has ended: what has changed since `ending` is stored too."""
        with self._writer.lock:
            written, known = self.synced(agent), self._known(agent)
            error, known.error = known.error, None
        if error is not None:
            raise error
        return written

    def _compared(self, agent: Agent, said: Sequence[Message] = (), *, last: bool, depth: int | None = None) -> Written:
        """Record the whole history; with a `depth`, only if so many of its last messages show a change."""
        with self._writer.lock:
            known, messages = self._known(agent), messages_of(agent)
            is_whole = depth is None or known.held or known.window.tail_changed(messages, depth)
            self._record(agent, known, lambda: known.window.compare(messages, said=said) if is_whole else Change())
            return self._writer.send(last=last)

    def appended(self, agent: Agent, message: Message) -> Written:
        """A message was added to the session by hand: to the agent's history, or past it to the transcript alone."""
        with self._writer.lock:
            known = self._known(agent)
            history = messages_of(agent)
            if not any(message is other for other in history):
                history = [*history, message]
            self._record(agent, known, lambda: known.window.add(history))
            return self._writer.send(last=True)

    def updated(self, agent: Agent, position: int, message: Message, *, created_at: str, redacts: bool) -> Written:
        """A message of the transcript is given another content by hand; where it is in the history, there too.

        Args:
            agent: The agent.
            position: The message's position in the transcript.
            message: Its new content, which can be stored.
            created_at: When its row was first written.
            redacts: What it held before is overwritten wherever it stands.
        """
        with self._writer.lock:
            known = self._known(agent)
            self._record(agent, known, lambda: known.window.compare(messages_of(agent)))
            live = next((entry.message for entry in known.window.entries if entry.message_id == position), None)
            if live is None:
                text = encode(message, what=f"message {position} of agent {named(agent.agent_id)}")
                document = message_document(text, position, created_at, now(), redacted=redacts)
                self._writer.put([MessageRow(agent.agent_id, position, document, new=False)])
                return self._writer.send(last=True)
            live.update(copied(message))
            for key in live.keys() - message.keys() - {"tracking_id"}:
                del live[key]
            if redacts:
                return self.redacted(agent, live)
            self._record(agent, known, lambda: known.window.compare(messages_of(agent), overwritten=[live]))
            return self._writer.send(last=True)

    def redacted(self, agent: Agent, message: Message, raw: Message | None = None) -> Written:
        """The message stored last was redacted: no row keeps what it held before.

        An earlier message that holds it (a retried prompt, which Strands leaves raw) is redacted along with it, in the
        histories of this session's agents as in their rows, and so are the copies in their interrupt state.

        Args:
            agent: The agent.
            message: The message as it is now.
            raw: The message as it was, where that is known: it may not be stored yet, and no agent is changed.

        Raises:
            SessionException: There is no message to redact.
        """
        with self._writer.lock:
            known = self._known(agent)
            target = None if raw is not None else known.window.place(message, messages_of(agent))
            if target is not None:
                raw, message = target.content, target.message
            if raw is None:
                raise SessionException("No message to redact.")
            copies = RedactedCopies(raw, message)
            if copies.is_empty:
                self._record(agent, known, lambda: known.window.compare(messages_of(agent)))
                return self._writer.send(last=self._writer.durability == "message")
            known.is_torn = True  # until it is recorded
            before: dict[str, int] = {}
            for agent_id, other in self._agents.items():
                before[agent_id] = other.window.next_id
                other.window.departed.clear()  # their rows may be overwritten, too
            others = [(known, agent)]
            overwritten = [message]
            if target is not None:
                alive = [(other, other.agent()) for other in self._agents.values() if other is not known]
                others += [(other, live) for other, live in alive if live is not None]
                for other, live in others:
                    scrub_interrupts(live, copies)
                    for entry in (each for each in other.window.entries if each is not target):
                        redacted = copies.message(entry.content) or (message if entry.says_what(target) else None)
                        if redacted is not None:
                            entry.message["content"] = copied(redacted["content"])
                            overwritten.append(entry.message)
            rows: list[Row] | None = [Redaction(agent.agent_id, copies, before)]
            for other, live in others:
                look = partial(other.window.redact, messages_of(live), overwritten)
                self._record(live, other, look, rows)
                rows = None
            # What was sent raw is overwritten before the model's next step, whatever the durability.
            at_once = self._writer.has_rewrites or (target is not None and target.message_id is None)
            return self._writer.send(last=self._writer.durability == "message" or at_once)

    # From changes to rows

    def _known(self, agent: Agent) -> Recorded:
        known = self._agents.get(agent.agent_id)
        if known is None or known.agent() is not agent:
            raise SessionException(
                f"Agent {named(agent.agent_id)} is not part of session {named(self.session_id)}: pass its session "
                "manager or hooks to its constructor."
            )
        return self._mended(agent, known) if known.is_torn else known

    def _record(
        self,
        agent: Agent,
        known: Recorded,
        look: Callable[[], Change],
        rows: list[Row] | None = None,
        *,
        hold: bool = False,
    ) -> None:
        """Put the difference between an agent and its record among the rows to be written, or `hold` it back.

        Raises:
            SessionDataError: Something can't be stored; all else is pending, and goes with the next event.
        """
        known.is_torn = True  # until all of it is among the rows: Ctrl-C may come amid this
        try:
            state = known.reader.read(agent)  # first: once the window has taken a change in, it must become rows
            change = look()
            rows = rows if rows is not None else []
            error = _add_rows(rows, agent.agent_id, known, state, change)
            known.held += rows
            if known.held and not hold:
                rows, known.held = known.held, []
                self._writer.put(rows)
        except Exception:
            known.is_torn = False
            raise
        known.is_torn = False
        if error is not None:
            raise error


def _add_rows(
    rows: list[Row], agent_id: str, known: Recorded, state: dict[str, Any], change: Change
) -> SessionDataError | None:
    """Add what is to be written of a change, and of an agent's state; what of it can't be stored."""
    error = change.error
    candidate = known.storable
    if state != known.state:
        candidate = known.state = {key: value if key == "state" else copied(value) for key, value in state.items()}
    if candidate is not None and (candidate is not known.storable or change.window is not None or not known.stored):
        try:
            text = known.text(agent_id, candidate)
            known.storable = candidate
        except SessionDataError as unstorable:
            error = error or unstorable
            text = None
            if not known.stored:  # no message can be stored without it
                known.storable = storable_part(candidate)
            if known.storable is not None and (change.window is not None or not known.stored):
                text = known.text(agent_id, known.storable)
        if text is not None:
            rows.append(AgentRow(agent_id, known.window.text, Document.of(text, created_at=known.created_at)))
            known.stored = True
    for entries, new in ((change.added, True), (change.rewritten, False)):
        for entry, message in entries:
            assert entry.message_id is not None
            times = (entry.created_at, entry.created_at if new else now())
            live = entry.said is not None
            laid_out = message_document(message, entry.message_id, *times, live=live, redacted=entry.redacted)
            versions = (None, new, laid_out) if live else (laid_out, new, None)
            rows.append(MessageRow(agent_id, entry.message_id, *versions))
    return error
