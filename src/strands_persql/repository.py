"""Strands' `SessionRepository` over the same tables: for Strands' own `RepositorySessionManager`, and of a manager."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from strands.session import SessionRepository
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage

from .database.about import About
from .database.connector import Connector
from .database.encoding import Document, encode
from .database.faults import fault_of
from .database.tables import Tables
from .engine.agent_state import ensure_tracking_ids
from .engine.restore import restore_state
from .engine.strands_records import (
    checked_message_id,
    laid_out,
    made,
    message_document,
    session_message_of,
    state_document,
)
from .errors import named

if TYPE_CHECKING:
    from datetime import timedelta

    from strands import Agent
    from strands.multiagent.base import MultiAgentBase

    from .client import Database, Statement
    from .database.decoding import StoredDocument
    from .database.retention import Retention
    from .encryption import Encryption
    from .engine.recording import Recording


class PerSQLSessionRepository(SessionRepository):
    """A session for Strands' own manager, over the tables that `PerSQLSessionManager` uses too.

    ```python
    RepositorySessionManager("user-42", PerSQLSessionRepository(db))
    ```

    Each method is one request, and nothing is read before it is written. Over the service, creating what is stored
    already, with the same times, is no error: the answer of an attempt may have been lost. A session written by
    `PerSQLSessionManager` opens here and the other way round, by Strands' own rule: the conversation manager's count of
    removed messages is skipped from the start of the transcript. Where the history was something else than a tail of
    the transcript (pinned messages, messages that the user took out or put in between), Strands' manager sees that
    tail.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        table_prefix: Starts the name of each table.
        create_tables: Create the tables when a statement finds none; False sends no DDL ever.
        retention: How long the sessions that it creates are kept, as `PerSQLSessionManager` takes it; a long turn of
            Strands' own manager tells nobody that its session is in use.
        encryption: The keys that documents are encrypted with; None: they are stored in clear.

    Raises:
        TypeError: `database` is no synchronous handle, or `retention` no `timedelta`.
        ValueError: `table_prefix` is not safe inside SQL, or `retention` is out of range.
    """

    def __init__(
        self,
        database: Database,
        *,
        table_prefix: str = "strands_",
        create_tables: bool = True,
        retention: timedelta | Retention | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        self._store = Connector(database, Tables(table_prefix, encryption), create_tables=create_tables)
        self._tables = self._store.tables
        self._about = About.of(retention=retention)

    # Sessions

    def create_session(self, session: Session, **kwargs: Any) -> Session:
        """Store a new session.

        Raises:
            SessionException: It exists already.
        """
        session_id = session.session_id
        data = encode(session.to_dict(), what=f"session {named(session_id)}")
        self._write(
            session_id,
            lambda: [self._tables.sessions.create(session_id, data, self._about)],
            unique=f"Session {named(session_id)} exists already. Read it, or choose another session_id.",
            stored=lambda: _is(self._store.ask(self._tables.sessions.read(session_id)), Document(data)),
        )
        return session

    def read_session(self, session_id: str, **kwargs: Any) -> Session | None:
        """A session's own record; None where there is none."""
        stored = self._store.ask(self._tables.sessions.read(session_id))
        return None if stored is None else made(Session.from_dict, stored.fields(), what=stored.what)

    def delete_session(self, session_id: str, **kwargs: Any) -> None:
        """Delete all rows of a session, in one transaction.

        Raises:
            SessionException: There is no such session.
        """
        if not self._store.carry_out(self._tables.sessions.delete(session_id)):
            raise SessionException(f"Session {named(session_id)} does not exist.")

    # Agents

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Store a new agent.

        Raises:
            SessionException: It exists already, or its session doesn't.
        """
        agent_id = session_agent.agent_id
        document = laid_out(vars(session_agent), what=f"agent {named(agent_id)}")
        self._write(
            session_id,
            lambda: self._tables.agents.add(session_id, agent_id, document),
            unique=f"Agent {named(agent_id)} exists already in session {named(session_id)}. Update it, or use "
            "another agent_id.",
            stored=lambda: _is(self._agent(session_id, agent_id), document),
            missing=f"Session {named(session_id)} does not exist. Create it first.",
        )

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        """An agent's record; None where there is none."""
        self._store_pending(session_id)
        stored = self._agent(session_id, agent_id)
        return None if stored is None else made(SessionAgent.from_dict, stored.fields(), what=stored.what)

    def _agent(self, session_id: str, agent_id: str) -> StoredDocument | None:
        found = self._store.ask(self._tables.agents.read(session_id, agent_id))
        return None if found is None else found.document

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Store an agent's new state; its `created_at` stays.

        Raises:
            SessionException: There is no such agent.
        """
        agent_id = session_agent.agent_id
        document = laid_out(vars(session_agent), what=f"agent {named(agent_id)}")
        self._write(
            session_id,
            lambda: self._tables.agents.replace(session_id, agent_id, document),
            missing=f"Agent {named(agent_id)} does not exist in session {named(session_id)}. Create it first.",
        )

    # Messages

    def create_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Store a new message.

        Raises:
            SessionException: There is a message with this id already, or no such agent.
            ValueError: `message_id` is no integer.
        """
        message_id = checked_message_id(session_message.message_id)
        document = message_document(session_message)
        self._write(
            session_id,
            lambda: self._tables.messages.append(session_id, agent_id, message_id, document),
            unique=f"Message {message_id} of agent {named(agent_id)} exists already in session {named(session_id)}: "
            "another writer may have stored it. Keep one writer per session.",
            stored=lambda: _is(self._store.ask(self._tables.messages.read(session_id, agent_id, message_id)), document),
            missing=f"Agent {named(agent_id)} does not exist in session {named(session_id)}. Create it first.",
        )

    def read_message(self, session_id: str, agent_id: str, message_id: int, **kwargs: Any) -> SessionMessage | None:
        """A message; None where there is none.

        Raises:
            ValueError: `message_id` is no integer.
        """
        self._store_pending(session_id)
        stored = self._store.ask(self._tables.messages.read(session_id, agent_id, checked_message_id(message_id)))
        return None if stored is None else session_message_of(stored)

    def update_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Store a message's new content; its `created_at` stays.

        Of a message with a `redact_message` only that is stored: what it held before is overwritten.

        Raises:
            SessionException: There is no such message.
            ValueError: `message_id` is no integer.
        """
        message_id = checked_message_id(session_message.message_id)
        document = message_document(session_message)
        self._write(
            session_id,
            lambda: self._tables.messages.replace(session_id, agent_id, message_id, document),
            missing=f"Message {message_id} of agent {named(agent_id)} does not exist in session {named(session_id)}.",
        )

    def list_messages(
        self, session_id: str, agent_id: str, limit: int | None = None, offset: int = 0, **kwargs: Any
    ) -> list[SessionMessage]:
        """An agent's messages in their order.

        Args:
            session_id: The session.
            agent_id: The agent; an unknown one has no messages.
            limit: The most to return; None for all.
            offset: How many to skip, from the start of the transcript; -3 begins with the third from its end.
            **kwargs: For later releases of Strands.
        """
        self._store_pending(session_id)
        messages = self._store.ask(self._tables.messages.page(session_id, agent_id, limit=limit, offset=offset))
        return [session_message_of(stored) for stored in messages]

    # Graphs and Swarms

    def create_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Store a Graph's or Swarm's state.

        Raises:
            SessionException: There is no such session.
        """
        self._write(
            session_id,
            lambda: self._tables.multi_agents.put(session_id, multi_agent.id, state_document(multi_agent)),
            missing=f"Session {named(session_id)} does not exist. Create it first.",
        )

    def read_multi_agent(self, session_id: str, multi_agent_id: str, **kwargs: Any) -> dict[str, Any] | None:
        """A Graph's or Swarm's state; None where there is none."""
        self._store_pending(session_id)
        stored = self._store.ask(self._tables.multi_agents.read(session_id, multi_agent_id)).get(multi_agent_id)
        return None if stored is None else stored.state

    def update_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Store a Graph's or Swarm's new state.

        Raises:
            SessionException: There is none yet.
        """
        self._write(
            session_id,
            lambda: self._tables.multi_agents.replace(session_id, multi_agent.id, state_document(multi_agent)),
            missing=f"Multi-agent {named(multi_agent.id)} does not exist in session {named(session_id)}. Create "
            "it first.",
        )

    def _store_pending(self, session_id: str) -> None:
        """Store what a live agent of a session has pending, before it is read: here there is none."""

    def _write(
        self,
        session_id: str,
        build: Callable[[], Sequence[Statement]],
        *,
        unique: str = "",
        missing: str = "",
        stored: Callable[[], bool] = lambda: False,
    ) -> None:
        try:
            self._store.carry_out_keyed(session_id, build)
        except Exception as error:
            fault = fault_of(error) or ""
            remedy = {"unique_violation": unique, "not_null_violation": missing}.get(fault)
            if not remedy:
                raise
            if fault == "unique_violation" and not self._store.is_local and stored():
                return  # by an attempt whose answer was lost
            raise SessionException(remedy) from error


def _is(stored: StoredDocument | None, document: Document) -> bool:
    """Whether a document is stored as it is, its times included."""
    return stored is not None and stored.text() == ("".join(document.parts) or document.data)


class LiveSession(PerSQLSessionRepository):
    """The repository of a manager, whose session may have live agents: what is written goes into these too.

    Reading stores what is pending first. Of other sessions, and where no agent is live, it is the plain repository.

    Args:
        recording: The manager's session.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._store = recording.writer.connector
        self._tables = self._store.tables
        self._about = recording.about

    def create_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Store a new message; a live agent gets it at the end of its history.

        Raises:
            SessionException: There is a message with this id already, no such agent, or a live agent's next message
                has another id.
            ValueError: `message_id` is no integer.
        """
        agent = self._live(session_id, agent_id)
        next_id = self._recording.writer.known.next_ids.get(agent_id, 0)
        if agent is None or checked_message_id(session_message.message_id) < next_id:
            super().create_message(session_id, agent_id, session_message, **kwargs)
        elif session_message.message_id > next_id:
            raise SessionException(
                f"Message {session_message.message_id} would leave a gap: the next message of agent {named(agent_id)} "
                f"in session {named(session_id)} is {next_id}."
            )
        else:
            message_document(session_message)  # raises what can't be stored
            agent.messages.append(session_message.to_message())
            ensure_tracking_ids(agent)
            self._recording.writer.block(lambda: self._recording.agents.synced(agent))

    def update_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Store a message's new content; its `created_at` stays. A live agent's history gets it too.

        A `redact_message` overwrites what the message held before wherever that stands.

        Raises:
            SessionException: There is no such message.
            ValueError: `message_id` is no integer.
        """
        agent = self._live(session_id, agent_id)
        position = checked_message_id(session_message.message_id)
        message_document(session_message)  # raises what can't be stored
        before = None if agent is None else super().read_message(session_id, agent_id, position)
        if agent is None or before is None:
            super().update_message(session_id, agent_id, session_message, **kwargs)
            return
        redacts = session_message.redact_message is not None
        message = cast("dict[str, Any]", session_message.redact_message or session_message.message)
        self._recording.writer.block(
            lambda: self._recording.agents.updated(
                agent, position, message, created_at=before.created_at, redacts=redacts
            )
        )

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Store an agent's new state; its `created_at` stays. A live agent gets that state.

        Raises:
            SessionException: There is no such agent.
        """
        agent = self._live(session_id, session_agent.agent_id)
        if agent is None:
            super().update_agent(session_id, session_agent, **kwargs)
        else:
            restore_state(agent, vars(session_agent), session_id=session_id)
            self._recording.writer.block(lambda: self._recording.agents.synced(agent))

    def create_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Store a Graph's or Swarm's state.

        Raises:
            SessionException: There is no such session.
        """
        if not self._recorded(session_id, multi_agent):
            super().create_multi_agent(session_id, multi_agent, **kwargs)

    def update_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Store a Graph's or Swarm's new state.

        Raises:
            SessionException: There is none yet.
        """
        if not self._recorded(session_id, multi_agent):
            super().update_multi_agent(session_id, multi_agent, **kwargs)

    def _store_pending(self, session_id: str) -> None:
        if session_id == self._recording.session_id and self._recording.pending:
            with suppress(Exception):  # a write's failure is for its event to raise: what is stored can still be read
                self._recording.writer.drain(at_once=True).result()

    def _live(self, session_id: str, agent_id: str) -> Agent | None:
        """The live agent that a change concerns; what is pending is stored, and what was read ahead forgotten."""
        if session_id != self._recording.session_id:
            return None
        self._recording.opening.forget()
        self._recording.writer.drain(at_once=True).result()
        return self._recording.agents.live(agent_id)

    def _recorded(self, session_id: str, multi_agent: MultiAgentBase) -> bool:
        """Whether a Graph or Swarm is live: its state is then stored as at its events."""
        if session_id != self._recording.session_id or not self._recording.multi_agents.knows(multi_agent):
            return False
        self._recording.writer.block(lambda: self._recording.multi_agents.recorded(multi_agent, last=True))
        return True
