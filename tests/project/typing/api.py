"""Uses the whole public API. Never run: mypy and basedpyright check it, strictly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from strands import Agent
from strands.memory.types import MemoryStore
from strands.multiagent import GraphBuilder
from strands.session import RepositorySessionManager
from strands.types.content import Message
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage

import strands_persql
from strands_persql import (
    ApprovalRequiredError,
    AuthenticationError,
    BalanceExhaustedError,
    Database,
    PermissionDeniedError,
    PerSQL,
    PerSQLError,
    PerSQLHooks,
    PerSQLMemoryStore,
    PerSQLSessionManager,
    PerSQLSessionRepository,
    PerSQLSessions,
    QueryResult,
    RateLimitError,
    SessionConflictError,
    SessionDataError,
    Statement,
    TransportError,
)
from strands_persql.testing import stored_rows


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
    PerSQLSessionManager("user-42", database, durability="sometimes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PerSQLSessionManager("user-42", AsyncHandle())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PerSQLSessionManager("user-42", "acme/agents")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    with PerSQLSessionManager.from_token("user-42", "psql_live_example", "acme/agents") as owner:
        session_id: str = owner.session_id
        Agent(session_manager=owner, agent_id=session_id)
        owner.flush()
    owner.close()


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


def testing() -> None:
    """The stored rows as plain data."""
    tables: dict[str, list[dict[str, Any]]] = stored_rows(SdkLikeHandle(), table_prefix="app_", mask=False)
    exported: list[str] = strands_persql.__all__
    print(tables, exported)


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
    print(ids, tokens, found, rows, page.after, sessions.delete("user-42").session_ids)


async def memory() -> None:
    """Long-term memory, which is one of Strands' stores."""
    store = PerSQLMemoryStore(PerSQL(local="agents.db").database("acme/agents"), name="facts", scope="ada")
    as_store: MemoryStore = store
    await as_store.search("tea")
    await store.forget_all()
