"""Uses the whole public API. Never run: mypy and basedpyright check it, strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from strands import Agent
from strands.hooks import HookRegistry
from strands.memory.types import MemoryEntry, MemoryStore
from strands.models import Model
from strands.multiagent import GraphBuilder
from strands.multiagent.graph import Graph
from strands.session import RepositorySessionManager
from strands.types.content import Message
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

import strands_persql
from strands_persql import (
    ApprovalRequiredError,
    AuthenticationError,
    BalanceExhaustedError,
    Database,
    Encryption,
    EncryptionError,
    PermissionDeniedError,
    PerSQL,
    PerSQLError,
    PerSQLHooks,
    PerSQLMemoryStore,
    PerSQLSessionManager,
    PerSQLSessionRepository,
    PerSQLSessions,
    PerSQLStorage,
    QueryResult,
    RateLimitError,
    Retention,
    SessionConflictError,
    SessionDataError,
    Statement,
    TransportError,
    session_manager,
)
from strands_persql.administration.evaluation import Evaluation
from strands_persql.administration.owned import ChangedError
from strands_persql.administration.records import ConversationPage, MediaPart, ToolCallPart
from strands_persql.administration.results import Deletion, SearchResult, SessionPage, SessionSummary
from strands_persql.administration.transfer import AgentCoreMemory, EncryptedExport, Snapshots
from strands_persql.administration.users import UserSessions, VersionedDetail
from strands_persql.client import ProvisionedUser
from strands_persql.encryption import generate_key
from strands_persql.testing import VOLATILE, OfflineModel, stored_rows
from strands_persql.web import EVERYONE, sessions_app


class SdkLikeHandle:
    """A handle as PerSQL's SDK has them: no relation to this package, parameter names and types of its own."""

    def query(self, sql: str, params: list[Any] | None = None) -> dict[str, Any]:
        """Run one statement."""
        return {"data": []}

    def batch(
        self,
        statements: list[dict[str, Any]],
        transaction: bool = False,
        idempotency_key: str | None = None,
    ) -> list[dict[str, Any]]:
        """Run several statements."""
        return [{"data": []} for _ in statements]


class AsyncHandle:
    """A handle that has to be awaited, which the manager refuses."""

    async def query(self, sql: str, params: list[Any] | None = None) -> dict[str, Any]:
        """Run one statement."""
        return {"data": []}

    async def batch(self, statements: list[dict[str, Any]], *, transaction: bool = False) -> list[dict[str, Any]]:
        """Run several statements."""
        return []


def client() -> None:
    """The client, in each of its forms."""
    PerSQL("psql_live_example")
    PerSQL(token="psql_live_example", base_url="https://api.persql.com", timeout=10.0, max_retries=2)
    PerSQL.from_env().close()
    with PerSQL(local=":memory:") as local:
        database = local.database("acme/agents")
        rows: list[dict[str, Any]] = database.query("SELECT ?", [1])["data"]
        database.query("SELECT 1")
        database.query("SELECT ?, ?", ("one", None))
        results = database.batch(
            [{"sql": "SELECT 1"}, {"sql": "SELECT ?", "params": [2.5]}], transaction=True, idempotency_key="once"
        )
        more: list[dict[str, Any]] = results[0]["data"]
        statement: Statement = {"sql": "SELECT ?", "params": ["typed"]}
        answer: QueryResult = database.batch([statement])[0]
        rows.extend([*more, *answer["data"]])
        handles: list[Database] = [database, SdkLikeHandle()]
        print(handles)


def manager() -> None:
    """The session manager, over this package's handles and over anything shaped like one."""
    database = PerSQL(local=":memory:").database("acme/agents")
    Agent(session_manager=PerSQLSessionManager("user-42", database))
    PerSQLSessionManager("user-42", SdkLikeHandle())
    PerSQLSessionManager("user-42", database=database, table_prefix="app_", durability="message")
    PerSQLSessionManager("user-42", database, durability="overlap", create_tables=False)
    PerSQLSessionManager("user-42", database, durability="invocation")
    PerSQLSessionManager.from_env("user-42", user="ada", durability="overlap").close()
    session_manager("user-42", local="agents.db", database="acme/agents", tags=["work"]).close()
    PerSQLSessionManager("chat-7", database, user="ada", title="Tea", tags=["work"], metadata={"plan": "free"})
    PerSQLHooks("chat-7", database, user="ada", title="Tea", tags=("work",), metadata={"plan": "free"})
    PerSQLSessionManager("chat-8", database, retention=timedelta(days=30))
    PerSQLHooks("chat-8", database, retention=Retention(timedelta(days=30), sliding=False))
    PerSQLSessionManager("user-42", database, retention=30)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PerSQLSessionManager("user-42", database, durability="sometimes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PerSQLSessionManager("user-42", AsyncHandle())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PerSQLSessionManager("user-42", "acme/agents")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    with PerSQLSessionManager.from_token("user-42", "psql_live_example", "acme/agents") as owner:
        session_id: str = owner.session_id
        Agent(session_manager=owner, agent_id=session_id)
        owner.flush()
    owner.close()


async def users() -> None:
    """A database for each user."""
    with PerSQL("psql_live_example") as client:
        user: ProvisionedUser = client.users.provision("ada", role="read", expires_in=600)
        told: tuple[str, str | None, bool | None, float | None] = (
            user.database,
            user.token,
            user.created,
            user.expires_in,
        )
        handle: Database = client.users.database("ada")
        session: PerSQLSessionManager = PerSQLSessionManager.for_user("ada", client)
        PerSQLSessionManager.for_user("ada", client, "second", durability="overlap", retention=timedelta(days=30))
        PerSQLSessionManager.for_user("ada", client, colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        client.users.provision("ada", role="admin")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await PerSQLSessionManager.open("main", handle)
        PerSQLSessionRepository(handle, retention=timedelta(days=30))
        print(told, session.session_id)


async def opened() -> None:
    """A session that is read off the event loop, and what else can be asked of it."""
    database = SdkLikeHandle()
    session = await PerSQLSessionManager.open("user-42", database)
    named = await PerSQLSessionManager.open("user-42", database, agent_id="writer", durability="overlap")
    messages: list[SessionMessage] = session.list_messages("user-42", "writer", limit=10, offset=20)
    header: Session | None = session.read_session("user-42")
    session.delete_session("user-42")
    waiting: int = session.pending
    await session.aflush()
    async with session as same:
        print(same.session_id, waiting)
    await session.aclose()
    graph = GraphBuilder()
    graph.set_session_manager(named)
    print(messages, header)


def hooks() -> None:
    """The mirror beside another session manager."""
    database = PerSQL(local=":memory:").database("acme/agents")
    Agent(hooks=[PerSQLHooks("user-42", database)])
    PerSQLHooks("user-42", SdkLikeHandle(), table_prefix="app_", durability="invocation", on_error="log")
    with PerSQLHooks("user-42", database, on_error="raise", redaction_safe=True, create_tables=False) as mirror:
        waiting: int = mirror.pending
        mirror.flush()
    print(waiting)
    PerSQLHooks("user-42", database, on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def repository() -> None:
    """The repository, under Strands' own manager and by itself."""
    tables = PerSQLSessionRepository(PerSQL(local="agents.db").database("acme/agents"), table_prefix="app_")
    Agent(session_manager=RepositorySessionManager("user-42", PerSQLSessionRepository(SdkLikeHandle())))
    session: Session | None = tables.read_session("user-42")
    agent: SessionAgent | None = tables.read_agent("user-42", "default")
    page: list[SessionMessage] = tables.list_messages("user-42", "default", limit=10, offset=20)
    tables.delete_session("user-42")
    print(session, agent, page)


def errors(agent: Agent, message: Message) -> None:
    """Each error with what it tells."""
    try:
        agent([message])
    except ApprovalRequiredError as error:
        where: str | None = error.approval_url
        print(where)
    except RateLimitError as error:
        seconds: float | None = error.retry_after
        print(seconds)
    except TransportError as error:
        sent: bool = error.sent
        print(sent)
    except (AuthenticationError, BalanceExhaustedError, PermissionDeniedError) as error:
        refused: PerSQLError = error
        print(refused)
    except PerSQLError as error:
        told: tuple[int | None, str | None, dict[str, object] | None, str | None] = (
            error.status,
            error.kind,
            error.detail,
            error.request_id,
        )
        print(told)
    except SessionConflictError as error:
        conflict: tuple[str, str, int | None] = (error.session_id, error.agent_id, error.message_id)
        print(conflict)
    except SessionDataError as error:
        base: SessionException = error
        print(base)


def kept(retention: Retention) -> None:
    """For how long a session is kept."""
    known: Retention | None = Retention.of(timedelta(days=30))
    ends: str | None = retention.fixed_at("2026-01-01T00:00:00+00:00")
    print(known, retention.period, retention.sliding, retention.seconds, retention.quiet, ends)


def people(client: PerSQL) -> None:
    """A database for each user."""
    print(client.users.database("ada").query("SELECT 1"), client.users.provision("ada"))


def testing() -> None:
    """The stored rows as plain data, and a model."""
    model: Model = OfflineModel("one", "two")
    print(Agent(model=model))
    tables: dict[str, list[dict[str, Any]]] = stored_rows(SdkLikeHandle(), table_prefix="app_", mask=False)
    exported: list[str] = strands_persql.__all__
    masked: set[str] = set(VOLATILE)
    print(tables, exported, masked)


async def who(request: Request) -> str | None:
    """The user of a request."""
    return request.headers.get("x-user")


def web(database: Database) -> None:
    """The sessions of one user, as methods and over HTTP."""
    sessions = UserSessions(database, "ada", table_prefix="app_")
    user: str | None = sessions.user
    page: SessionPage = sessions.list(tag="work", order="id", limit=20, after=None)
    found: VersionedDetail = sessions.get(page.sessions[0].session_id)
    messages: ConversationPage = sessions.messages("s", agent_id="a", before="12", limit=20, media="inline")
    part: MediaPart = sessions.media("s", messages.messages[0].id, "1")
    last: int = sessions.newest("s", agent_id="a").last
    hits: SearchResult = sessions.search("tea", session_id="s", limit=5, max_scanned=100)
    tokens: int = sessions.usage("s").input_tokens
    lines: list[str] = list(sessions.export("s"))
    try:
        sessions.update("s", title=None, tags=["work"], metadata={}, unchanged=found.version)
    except ChangedError as error:
        print(error, user, part, last, hits, tokens, lines)
    copy: SessionSummary = sessions.fork("s", agent_id="a", at=3)
    sessions.rewind(copy.session_id, None, to=1, unchanged=found.version)
    deletion: Deletion = sessions.delete("s", unchanged=found.version)
    print(deletion, UserSessions(database, EVERYONE).list(user="bob"), sessions.list(copy_of="s"))
    print([each.last for each in sessions.newest_of_all("s")])
    app: Starlette = Starlette()
    app.mount("/chats", sessions_app(database, user=who, read_only=True, without=["export_session"], max_threads=4))
    app.mount("/all", sessions_app(database, user=lambda request: EVERYONE, max_streams=5, poll_seconds=1.5))


def administration() -> None:
    """Sessions listed, read, searched, forked, moved, erased."""
    sessions = PerSQLSessions(PerSQL(local="agents.db").database("acme/agents"), table_prefix="app_")
    page = sessions.list(prefix="user-", limit=10)
    ids: list[str] = [session.session_id for session in page.sessions]
    for messages in sessions.transcript("user-42", "default"):
        for message in messages:
            print(message.message_id, message.message["role"], message.live)
    tokens: int = sessions.usage("user-42").input_tokens
    found: list[str] = [hit.snippet for hit in sessions.search("invoice", session_id="user-42").hits]
    sessions.fork("user-42", "user-42-again", at=3)
    sessions.rewind("user-42", "default", to=3)
    rows: int = sessions.prune(older_than=timedelta(days=30), dry_run=True).rows
    expired: tuple[str, ...] = sessions.prune(expired=True, prefix="user-").session_ids
    kept = sessions.update("user-42", retention=timedelta(days=30)).expiry
    fixed = sessions.update("user-42", retention=Retention(timedelta(days=30), sliding=False)).expiry
    forever = sessions.update("user-42", retention=None).expiry
    if kept is not None and fixed is not None and forever is None:
        ends: tuple[str, int, bool] = (kept.at, fixed.seconds, fixed.sliding)
        print(ends, expired)
    print(ids, tokens, found, rows, page.after, sessions.delete("user-42").session_ids)


async def memory() -> None:
    """Long-term memory, which is one of Strands' stores."""
    store = PerSQLMemoryStore(PerSQL(local="agents.db").database("acme/agents"), name="facts", scope="ada")
    as_store: MemoryStore = store
    await as_store.search("tea")
    await store.forget_all()


# Each class once more, with all of its public methods: test_api.py finds the one that is missing.


def every_database(database: Database) -> None:
    """What is asked of a handle."""
    answer: Mapping[str, Any] = database.query("SELECT ?", [1])
    answers: Sequence[Mapping[str, Any]] = database.batch([{"sql": "SELECT 1"}], transaction=True)
    print(answer, answers)


def every_client(client: PerSQL) -> None:
    """The client and the databases of a token or a folder."""
    with PerSQL.from_env(timeout=5.0, max_retries=1) as other:
        created: dict[str, Any] = other.databases.create("Agent state", slug="agent-state")
        listed: list[dict[str, Any]] = client.databases.list()
    rows: list[dict[str, Any]] = client.database("acme/agents").query("SELECT 1")["data"]
    client.close()
    print(created, listed, rows)


async def every_manager(manager: PerSQLSessionManager, agent: Agent, message: Message, graph: Graph) -> None:
    """Strands' session manager, and what is ours beside it."""
    opened: PerSQLSessionManager = await PerSQLSessionManager.open("user-42", SdkLikeHandle(), create_tables=False)
    owner: PerSQLSessionManager = PerSQLSessionManager.from_token(
        "user-42", "psql_live_example", "acme/agents", durability="overlap", create_database=True
    )
    manager.register_hooks(HookRegistry())
    manager.initialize(agent)
    manager.append_message(message, agent)
    manager.redact_latest_message(message, agent)
    manager.sync_agent(agent)
    manager.initialize_multi_agent(graph)
    manager.sync_multi_agent(graph)
    session: Session | None = manager.read_session("user-42")
    messages: list[SessionMessage] = manager.list_messages("user-42", "writer", limit=10, offset=20)
    stored: SessionAgent | None = manager.read_agent("user-42", "writer")
    message_0: SessionMessage | None = manager.read_message("user-42", "writer", 0)
    state: dict[str, Any] | None = manager.read_multi_agent("user-42", "graph")
    if stored is not None and message_0 is not None:
        manager.update_agent("user-42", stored)
        manager.create_message("user-42", "writer", message_0)
        manager.update_message("user-42", "writer", message_0)
    manager.delete_session("user-42")
    every_kind: PerSQLStorage = manager.storage(index=True)
    every_repository(manager.session_repository, graph)
    kind: SessionType = manager.session.session_type
    waiting: int = manager.pending
    manager.flush()
    await manager.aflush()
    manager.close()
    await manager.aclose()
    print(opened, owner, session, messages, state, every_kind, kind, waiting)


async def every_mirror(mirror: PerSQLHooks) -> None:
    """The mirror."""
    mirror.register_hooks(HookRegistry())
    waiting: int = mirror.pending
    mirror.flush()
    await mirror.aflush()
    mirror.close()
    await mirror.aclose()
    print(waiting)


def every_repository(tables: PerSQLSessionRepository, graph: Graph) -> None:
    """The whole of Strands' repository."""
    session: Session = tables.create_session(Session("user-42", SessionType.AGENT))
    there: Session | None = tables.read_session("user-42")
    agent = SessionAgent("writer", {}, {})
    tables.create_agent("user-42", agent)
    stored: SessionAgent | None = tables.read_agent("user-42", "writer")
    tables.update_agent("user-42", agent)
    message = SessionMessage({"role": "user", "content": [{"text": "Hello."}]}, 0)
    tables.create_message("user-42", "writer", message)
    first: SessionMessage | None = tables.read_message("user-42", "writer", 0)
    tables.update_message("user-42", "writer", message)
    page: list[SessionMessage] = tables.list_messages("user-42", "writer", limit=10, offset=20)
    tables.create_multi_agent("user-42", graph)
    state: dict[str, Any] | None = tables.read_multi_agent("user-42", "team")
    tables.update_multi_agent("user-42", graph)
    tables.delete_session("user-42")
    print(session, there, stored, first, page, state)


def every_administration(sessions: PerSQLSessions) -> None:
    """What people do with stored sessions."""
    since = datetime(2025, 1, 1, tzinfo=timezone.utc)
    sessions.backup("copy.db")
    views: tuple[str, ...] = (*sessions.create_views(), *sessions.drop_views())
    evaluation: Evaluation = sessions.evaluation("user-42", agent_id="a", since=since, until=since, expected=True)
    sessions.import_from(AgentCoreMemory(object(), memory_id="m", actor_id="ada"))
    sessions.export("user-42", Snapshots(object(), history=True))
    sessions.export("user-42", "user-42.md", form="markdown", progress=print)
    print(views, evaluation.cases, evaluation.trajectories, evaluation.replay(evaluation.cases[0])["output"])
    after: str | None = sessions.list(since=since, until="2025-02-01", after="user-41").after
    listed = sessions.list(user="ada", tag="work", order="recent", limit=20).sessions
    lines: list[tuple[str, str, str | None]] = [(each.title, each.preview, each.user) for each in listed]
    updated: tuple[str, ...] = sessions.update("user-42", title="Tea", user=None, tags=["work"], metadata={"a": 1}).tags
    print(lines, updated, sessions.get("user-42").metadata)
    agents: list[str] = [agent.agent_id for agent in sessions.get("user-42").agents]
    seen = [message.live for page in sessions.transcript("user-42", live=True, page_size=10) for message in page]
    snippets: list[str] = [hit.snippet for hit in sessions.search("invoice", limit=5, max_scanned=100).hits]
    indexed: bool = sessions.has_search()
    entered: int = sessions.enable_search(progress=print)
    sessions.disable_search()
    by_activity: bool = sessions.has_recent()
    looked_at: int = sessions.enable_recent(progress=print)
    sessions.disable_recent()
    copies = sessions.list(copy_of="user-42")
    some: SearchResult = sessions.search("invoice", user="ada", tag="work")
    print(by_activity, looked_at, copies.in_order, [each.copy_of for each in copies.sessions], some.complete)
    conversation = sessions.messages("user-42", agent_id="writer", before="40", limit=20, media="inline")
    said: list[str] = [f"{record.role}: {record.text}" for record in conversation.messages if record.in_window]
    calls = [part for record in conversation.messages for part in record.parts if isinstance(part, ToolCallPart)]
    answers: list[str] = [part.result.text for part in calls if part.result is not None]
    linked: dict[str, Any] = sessions.messages("user-42", media=lambda id, part: f"{id}/{part.place}").to_json()
    image: bytes | None = sessions.media("user-42", "12", "0.1", agent_id="writer").data
    print(conversation.before, said, answers, linked, image)
    tokens: int = sessions.usage("user-42").input_tokens
    renamed: str = sessions.rename("user-42", "user-43").session_id
    copied: str = sessions.fork("user-43", "user-44", agent_id="writer", at=3).session_id
    sessions.rewind("user-43", "writer", to=3)
    sessions.rewind("user-43", "writer", before=3)
    sessions.rewind("user-43", "writer", to=None)
    sessions.erase("user-43", "writer", 1)
    deleted: tuple[str, ...] = sessions.delete("user-43", progress=print).session_ids
    pruned: int = sessions.prune(older_than=timedelta(days=30), prefix="user-").rows
    moved: list[str] = [each.session_id for each in sessions.import_from("sessions", agent_ids=["writer"])]
    written: str = sessions.export("user-44", Path("user-44.jsonl")).session_id
    sessions.encrypt("user-44", progress=print)
    encrypted: int = sessions.encrypt_store("memories", progress=print)
    decrypted: int = sessions.decrypt_store("objects", progress=print)
    print(encrypted, decrypted)
    sealed = EncryptedExport("user-44.jsonl", Encryption(bytes(32)))
    sessions.export("user-44", sealed)
    sessions.import_from(sealed, new_id="user-45")
    sessions.decrypt("user-44", progress=print)
    rotated: int = sessions.rotate(progress=print)
    print(rotated)
    print(after, agents, seen, snippets, indexed, entered, tokens, renamed, copied, deleted, pruned, moved, written)


class Kms:
    """A key management service."""

    def wrap(self, key: bytes) -> bytes:
        """Wrap a data key."""
        return key

    def unwrap(self, wrapped: bytes) -> bytes:
        """Unwrap it."""
        return wrapped


def every_encryption(encryption: Encryption, database: Database) -> None:
    """Keys of one's own."""
    keyring = Encryption({"old": bytes(32), "text": generate_key(), "kms": Kms()})
    key_id: str = keyring.key_id
    for one in (Encryption(bytes(32)), Encryption(Kms()), encryption.from_text("…"), encryption.from_file("key")):
        try:
            PerSQLSessionManager("user-42", database, encryption=one).initialize(Agent())
        except EncryptionError as error:
            print(error, key_id)
    stored: str = encryption.wrapped(bytes(32), "context")
    opened: bytes = encryption.unwrapped(stored, "context", "Session 'user-42'")
    sealed: bytes = encryption.aead(opened).encrypt(bytes(12), b"text", None)
    is_current: bool = encryption.is_current(stored)
    print(sealed, is_current)


async def every_memory(store: PerSQLMemoryStore, messages: list[Message]) -> None:
    """What is remembered, entered, found, listed and forgotten."""
    await store.initialize()
    found: list[MemoryEntry] = await store.search("tea", {"max_search_results": 3})
    added: str = await store.add("Ada drinks tea.", {"source": "chat"})
    ids: list[str] = await store.add_messages(messages)
    tools: int = len(store.get_tools())
    page: list[str] = [memory.content for memory in (await store.list_memories(limit=10)).memories]
    gone: bool = await store.forget(added)
    count: int = await store.forget_all()
    print(found, ids, tools, page, gone, count)


async def every_storage(storage: PerSQLStorage) -> None:
    """Objects by their keys."""
    inner: PerSQLStorage = storage.namespace("offloaded")
    own: PerSQLStorage = storage.for_sandbox(object())
    await storage.write("offloaded/key", b"data")
    data: bytes | None = await inner.read("key")
    same: bytes | None = await storage.read("offloaded/key")
    keys: list[str] = await storage.list("offloaded/")
    found: list[str] = [result.key for result in await storage.search("words")]
    entered: int = await storage.rebuild_index()
    await storage.delete("offloaded/key")
    print(data, same, keys, found, entered, own)
