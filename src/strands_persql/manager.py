"""The session manager: restores an agent when it is built, and stores it as it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from strands.session import SessionManager

from .client import PerSQL, shared_database
from .database.about import About
from .database.connector import Connector
from .database.tables import Tables
from .engine.closing import Closing
from .engine.lifecycle import Listener, register
from .engine.recording import Recording
from .engine.threads import awaited, submit_call
from .errors import PerSQLError
from .repository import LiveSession
from .stores.storage import PerSQLStorage

if TYPE_CHECKING:
    from datetime import timedelta

    from strands import Agent
    from strands.hooks import HookRegistry
    from strands.multiagent.base import MultiAgentBase
    from strands.storage.search import SearchStrategy
    from strands.types.content import Message
    from strands.types.session import Session, SessionAgent, SessionMessage
    from typing_extensions import Self, Unpack

    from .client import Database
    from .database.retention import Retention
    from .encryption import Encryption
    from .engine.options import Durability, SessionOptions


class _ByHand:
    """What adapters, history endpoints and tests call on Strands' File- and S3SessionManager beside the hooks.

    The methods are those of `session_repository`, which says what each returns and raises.
    """

    _recording: Recording
    session_id: str
    session_repository: LiveSession
    """This session as a `SessionRepository`: what is written by hand goes into the live agents too."""

    @cached_property
    def session(self) -> Session:
        """The session's own record; one request the first time. A new one where nothing is stored yet."""
        return self.read_session(self.session_id) or self._recording.writer.session

    def read_session(self, session_id: str, **kwargs: Any) -> Session | None:
        """A session's own record; None where there is no such session."""
        return self.session_repository.read_session(session_id, **kwargs)

    def delete_session(self, session_id: str, **kwargs: Any) -> None:
        """Delete all rows of a session.

        Raises:
            SessionException: There is no such session.
        """
        self.session_repository.delete_session(session_id, **kwargs)

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        """An agent's record; None where there is none."""
        return self.session_repository.read_agent(session_id, agent_id, **kwargs)

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Store an agent's new state, and give it to the live agent."""
        self.session_repository.update_agent(session_id, session_agent, **kwargs)

    def list_messages(
        self, session_id: str, agent_id: str, limit: int | None = None, offset: int = 0, **kwargs: Any
    ) -> list[SessionMessage]:
        """An agent's transcript in order, trimmed messages included; an `offset` of -3 begins with the last three."""
        return self.session_repository.list_messages(session_id, agent_id, limit, offset, **kwargs)

    def read_message(self, session_id: str, agent_id: str, message_id: int, **kwargs: Any) -> SessionMessage | None:
        """A message; None where there is none."""
        return self.session_repository.read_message(session_id, agent_id, message_id, **kwargs)

    def create_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Store a new message, and put it at the end of the live agent's history."""
        self.session_repository.create_message(session_id, agent_id, session_message, **kwargs)

    def update_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Store a message's new content, also in the live agent's history."""
        self.session_repository.update_message(session_id, agent_id, session_message, **kwargs)

    def read_multi_agent(self, session_id: str, multi_agent_id: str, **kwargs: Any) -> dict[str, Any] | None:
        """A Graph's or Swarm's state; None where there is none."""
        return self.session_repository.read_multi_agent(session_id, multi_agent_id, **kwargs)


class PerSQLSessionManager(_ByHand, Closing, SessionManager):
    """A durable session for an agent, or for a Graph or Swarm, in a PerSQL database.

    ```python
    db = PerSQL(local="agents.db").database("acme/agents")
    agent = Agent(session_manager=PerSQLSessionManager("user-42", db))
    ```

    An agent built with it goes on where its session stands: its messages, state, conversation manager, interrupts and
    model state are restored, and stored again as they change. Several agents of one session need an `agent_id` each.
    One writer per session: a second one gets a `SessionConflictError` with its first write, and nothing is overwritten.

    Args:
        session_id: Any text that is not blank.
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        table_prefix: Starts the name of each table: a letter, then letters, digits, underscores.
        durability: When a message is stored: `"message"` (before the agent goes on), `"overlap"` (while the model
            works, awaited at the next event and at the end of the invocation), `"invocation"` (at its end, as one).
        create_tables: Create the tables when a statement finds none; False sends no DDL ever.
        user: The id of the user whose session it is: it is then listed among that user's, and the session of another
            user is not opened.
        title: Its title; None for what its first prompt begins with.
        tags: Texts to find it by.
        metadata: Anything else to be told, a JSON object.
        retention: How long it is kept (see `Retention`); `PerSQLSessions.prune(expired=True)` deletes it then.
        encryption: The keys that its documents are encrypted with; None: they are stored in clear.

    What is told about the session is stored as it begins; later, `PerSQLSessions.update` changes it.

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
        create_tables: bool = True,
        user: str | None = None,
        title: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        retention: timedelta | Retention | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        self._connector = Connector(database, Tables(table_prefix, encryption), create_tables=create_tables)
        self._recording = Recording(
            self._connector,
            session_id,
            durability,
            About.of(user=user, title=title, tags=tags, metadata=metadata, retention=retention),
        )
        self.session_id = self._recording.session_id
        self.session_repository = LiveSession(self._recording)
        self._listener = Listener(self._recording)
        self._client: PerSQL | None = None
        self._creates_tables = create_tables

    @classmethod
    async def open(
        cls,
        session_id: str,
        database: Database,
        *,
        agent_id: str | None = None,
        table_prefix: str = "strands_",
        durability: Durability = "message",
        create_tables: bool = True,
        user: str | None = None,
        title: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        retention: timedelta | Retention | None = None,
        encryption: Encryption | None = None,
    ) -> Self:
        """Read the session off the event loop, before its agents are built: their constructors then make no request.

        Args:
            session_id: As for the class, and so the rest.
            database: The handle.
            agent_id: The one agent to read; None for all agents, Graphs and Swarms of the session.
            table_prefix: Starts the name of each table.
            durability: When a message is stored.
            create_tables: Create the tables when a statement finds none.
            user: As for the class, and so the rest.
            title: Its title.
            tags: Texts to find it by.
            metadata: Anything else.
            retention: How long it is kept.
            encryption: The keys.

        Raises:
            PerSQLError: The database refused, or could not be reached.
            SessionDataError: A stored row can't be read.
        """
        self = cls(
            session_id,
            database,
            table_prefix=table_prefix,
            durability=durability,
            create_tables=create_tables,
            user=user,
            title=title,
            tags=tags,
            metadata=metadata,
            retention=retention,
            encryption=encryption,
        )
        await self._recording.settled(None if agent_id is None else ("agent", agent_id))
        await awaited(submit_call(lambda: self._recording.opening.read_ahead(agent_id)))
        return self

    @classmethod
    def from_token(
        cls,
        session_id: str,
        token: str,
        database: str,
        *,
        base_url: str = "https://api.persql.com",
        table_prefix: str = "strands_",
        durability: Durability = "message",
        create_tables: bool = True,
        create_database: bool = False,
        user: str | None = None,
        title: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        retention: timedelta | Retention | None = None,
        encryption: Encryption | None = None,
    ) -> Self:
        """A session manager with a client of its own, which `close()` or `with` closes.

        Args:
            session_id: As for the class.
            token: A PerSQL token.
            database: The database's name, `"namespace/slug"`.
            base_url: The service.
            table_prefix: Starts the name of each table.
            durability: When a message is stored.
            create_tables: Create the tables when a statement finds none.
            create_database: Create the database when the first statement finds none: one for each agent, or user. Takes
                an admin token of its namespace.
            user: As for the class, and so the rest.
            title: Its title.
            tags: Texts to find it by.
            metadata: Anything else.
            retention: How long it is kept.
            encryption: The keys.
        """
        client = PerSQL(token=token, base_url=base_url)
        try:
            self = cls(
                session_id,
                client.database(database),
                table_prefix=table_prefix,
                durability=durability,
                create_tables=create_tables,
                user=user,
                title=title,
                tags=tags,
                metadata=metadata,
                retention=retention,
                encryption=encryption,
            )
        except BaseException:
            client.close()
            raise
        self._client = client
        if create_database:
            self._connector.provision = lambda: _create_database(client, database.rpartition("/")[2])
        return self

    @classmethod
    def for_user(
        cls, subject: str, client: PerSQL, session_id: str = "main", **options: Unpack[SessionOptions]
    ) -> Self:
        """A session in a database that is one user's alone; it is provisioned as it is first used.

        Args:
            subject: The user's id, 1 to 256 characters.
            client: A client over an admin token; or a local folder, in which each user has a file. It stays open.
            session_id: Which of the user's sessions.
            **options: As the class takes them.

        Raises:
            TypeError, ValueError: An argument can't be used, or the client is local and has one file for all.
        """
        return cls(session_id, client.users.database(subject), **options)

    @classmethod
    def from_env(
        cls,
        session_id: str,
        *,
        database: str | None = None,
        local: str | None = None,
        **options: Unpack[SessionOptions],
    ) -> Self:
        """A session in the database that the environment names, over a client that the whole process shares.

        `strands_persql.session_manager` is the same function, for configuration files that name one by its module.

        Args:
            session_id: As for the class.
            database: `"namespace/slug"`; None for that of `PERSQL_DATABASE`. A single local file needs none.
            local: A file, a folder or `:memory:`; None for what `PerSQL.from_env` takes: `PERSQL_LOCAL`, or
                `PERSQL_TOKEN` with `PERSQL_API_URL`.
            options: The rest, as for the class.

        Raises:
            ValueError: No database is named, or neither or both of `PERSQL_LOCAL` and `PERSQL_TOKEN` are set.
        """
        return cls(session_id, shared_database(database, local=local), **options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, pending={self.pending})"

    def _release(self) -> None:
        if self._client is not None:
            self._client.close()

    def storage(self, *, index: bool = False, search_strategy: SearchStrategy[Any] | None = None) -> PerSQLStorage:
        """A storage of this session alone, in the same database: for `Agent(storage=…)`, offloaded results, files.

        Other sessions can't reach what is in it, and it goes along when the session is copied, renamed, exported or
        deleted.

        Args:
            index: See `PerSQLStorage`, and so the other.
            search_strategy: One of Strands' `SearchStrategy`.

        Raises:
            ImportError: This release of Strands has no storage (it came with 1.48).
        """
        return PerSQLStorage(
            self._connector.database,
            session_id=self.session_id,
            table_prefix=self._connector.tables.prefix,
            index=index,
            search_strategy=search_strategy,
            create_tables=self._creates_tables,
            encryption=self._connector.tables.encryption,
            about=self._recording.about,
        )

    # What Strands calls

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        """Register the callbacks: see `strands_persql.engine.lifecycle`."""
        register(registry, self._listener)

    def initialize(self, agent: Agent, **kwargs: Any) -> None:
        """Restore an agent, or begin its session; blocks for one request, or none after `open`.

        What earlier agents of this id in this process have yet to store is waited for, too.

        Raises:
            SessionException: Another live agent of this session has the same id.
            SessionDataError: A stored row can't be read.
            PerSQLError: The database refused, or could not be reached.
        """
        self._listener.initialized(agent)

    def append_message(self, message: Message, agent: Agent, **kwargs: Any) -> None:
        """Store a message of an agent, and wait for it."""
        self._recording.writer.block(lambda: self._recording.agents.appended(agent, cast("dict[str, Any]", message)))

    def sync_agent(self, agent: Agent, **kwargs: Any) -> None:
        """Store whatever changed in an agent, and wait for it. Strands calls it when the context has overflowed."""
        self._recording.writer.block(lambda: self._recording.agents.synced(agent))

    def redact_latest_message(self, redact_message: Message, agent: Agent, **kwargs: Any) -> None:
        """Overwrite the message stored last, and every copy of what it held, before the model goes on.

        Raises:
            SessionException: There is no message to redact.
        """
        self._recording.writer.block(
            lambda: self._recording.agents.redacted(agent, cast("dict[str, Any]", redact_message))
        )

    def initialize_multi_agent(self, source: MultiAgentBase, **kwargs: Any) -> None:
        """Restore a Graph or Swarm, or begin its session; blocks for one request, or none after `open`."""
        self._recording.settle(("multi_agent", source.id))
        self._recording.multi_agents.restore(source)

    def sync_multi_agent(self, source: MultiAgentBase, **kwargs: Any) -> None:
        """Store the state of a Graph or Swarm, and wait for it."""
        self._recording.writer.block(lambda: self._recording.multi_agents.recorded(source, last=True))


def _create_database(client: PerSQL, slug: str) -> None:
    try:
        client.databases.create(slug, slug)
    except PerSQLError as error:
        if error.status != 409:  # somebody else has created it meanwhile
            raise
