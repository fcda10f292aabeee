"""Live == restored: run an agent, and let a second, process-like manager restore it into a fresh one.

A `Store` is one SQLite file that several processes could open: every manager made from it has a client of its own, and
shares no object with another. A `Scenario` is one live agent over a store, compared with what a fresh agent restores
after each of its turns.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import re
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from strands import Agent
from strands.session.session_manager import SessionManager
from strands.types.exceptions import SessionException
from strands.types.session import SessionAgent

from strands_persql import Encryption, PerSQL, PerSQLSessionManager
from strands_persql.client import Handle, Statement
from strands_persql.client._local import LocalDatabase
from strands_persql.errors import PerSQLError, TransportError

DATABASE = "test/sessions"
SESSION = "session-1"

Build: TypeAlias = "Callable[[SessionManager | None], Agent]"
Mode: TypeAlias = Literal["sync", "async"]
Durability: TypeAlias = Literal["message", "overlap", "invocation"]


@dataclass
class Request:
    """One call of a database handle: its statements, and the thread that made it."""

    call: Literal["query", "batch"]
    statements: list[tuple[str, tuple[Any, ...]]]
    transaction: bool
    thread: int

    @property
    def kinds(self) -> list[str]:
        """What each statement does, without its columns: `INSERT messages`."""
        return [kind_of(sql) for sql, _ in self.statements]

    @property
    def writes(self) -> bool:
        """Whether any statement is more than a question."""
        return any(not kind.startswith("SELECT") for kind in self.kinds)


def kind_of(sql: str) -> str:
    """A statement's verb and table: `INSERT messages`, `UPDATE agents`, `SELECT schema`."""
    verb = sql.split(None, 1)[0].upper()
    table = re.search(r"\b(?:FROM|INTO|UPDATE|EXISTS|TABLE)\s+\"?strands_(\w+)", sql)
    return f"{verb} {table.group(1) if table else '?'}"


class RecordingDatabase:
    """A handle that logs its calls, and fails when it is told to.

    Attributes:
        requests: Every call so far, failed ones too.
        on_call: Called in the thread of each call, before it runs.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.requests: list[Request] = []
        self.on_call: Callable[[Request], None] | None = None
        self._faults: dict[int, tuple[bool, BaseException]] = {}
        self._outage: tuple[bool, BaseException] | None = None

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._call("query", [(sql, tuple(params))], False, lambda: self._inner.query(sql, params))

    def batch(self, statements: Any, *, transaction: bool = False, idempotency_key: str | None = None) -> Any:
        options: dict[str, Any] = {"transaction": transaction}
        if idempotency_key is not None:
            options["idempotency_key"] = idempotency_key
        return self._call("batch", _listed(statements), transaction, lambda: self._inner.batch(statements, **options))

    def _call(
        self, call: Any, statements: list[tuple[str, tuple[Any, ...]]], transaction: bool, run: Callable[[], Any]
    ) -> Any:
        request = Request(call, statements, transaction, threading.get_ident())
        self.requests.append(request)
        if self.on_call is not None:
            self.on_call(request)
        fault = self._faults.pop(len(self.requests), None) or self._outage
        if fault is None:
            return run()
        committed, error = fault
        if committed:
            run()
        raise error

    def commit_now(self, statements: Sequence[Statement]) -> bool:
        """Let a transaction be made at once, where it can be; it counts as a call if it was, or was to fail."""
        fault = self._faults.get(len(self.requests) + 1) or self._outage
        if fault is None and not self._inner.commit_now(statements):
            return False
        self._call("batch", _listed(statements), True, lambda: fault and self._inner.commit(statements))
        return True

    def fail_call(self, number: int, *, committed: bool = False, error: BaseException | None = None) -> None:
        """Let the call of this number, counted from 1, fail once: before it runs, or after it has committed."""
        self._faults[number] = (committed, error or broken(committed))

    def fail_next(self, nth: int = 1, *, committed: bool = False, error: BaseException | None = None) -> None:
        """Let the nth call from now fail once."""
        self.fail_call(len(self.requests) + nth, committed=committed, error=error)

    @contextlib.contextmanager
    def outage(self, *, committed: bool = False, error: BaseException | None = None) -> Iterator[None]:
        """Let every call fail for a while."""
        self._outage = (committed, error or broken(committed))
        try:
            yield
        finally:
            self._outage = None

    def heal(self) -> None:
        """Let no more calls fail."""
        self._faults.clear()
        self._outage = None

    def clear(self) -> None:
        """Forget the calls so far."""
        self.requests.clear()

    @property
    def kinds(self) -> list[list[str]]:
        """The kinds of the statements of each call so far."""
        return [request.kinds for request in self.requests]


def _listed(statements: Any) -> list[tuple[str, tuple[Any, ...]]]:
    return [(each["sql"], tuple(each.get("params", ()))) for each in statements]


class RecordingHandle(RecordingDatabase, Handle):
    """The same as one of this package's own handles: what is small is written at once, on the event's thread."""

    loses_answers = False

    def __init__(self, inner: LocalDatabase) -> None:
        RecordingDatabase.__init__(self, inner)
        self.name = inner.name

    query, batch = Handle.query, Handle.batch

    @property
    def identity(self) -> Hashable:
        identity: Hashable = self._inner.identity
        return identity

    def commit(self, statements: Sequence[Statement], **options: Any) -> None:
        self._call("batch", _listed(statements), True, lambda: self._inner.commit(statements, **options))

    def wipe(self) -> None:
        self._inner.wipe()

    def _query(self, statement: Any) -> Any:
        return self._call("query", [statement], False, lambda: self._inner._query(statement))

    def _batch(self, statements: Any, transaction: bool, key: str | None) -> Any:
        return self._call(
            "batch", list(statements), transaction, lambda: self._inner._batch(statements, transaction, key)
        )


def broken(committed: bool) -> BaseException:
    """The error of a call that failed: refused outright, or carried out with its answer lost."""
    if committed:
        return TransportError("the answer was lost", sent=True)
    return PerSQLError("the database is out of order", status=500, kind="internal")


@dataclass
class Store:
    """One database file, opened anew by each manager as a process of its own would.

    Attributes:
        encryption: The keys of its sessions; None: they are stored in clear.
    """

    path: Path
    durability: Durability = "message"
    encryption: Encryption | None = None
    _open: list[Any] = field(default_factory=list)

    def database(self, *, at_once: bool = False) -> RecordingDatabase:
        """A handle over a client of its own; with `at_once` what is small is written on the event's thread."""
        client = PerSQL(local=str(self.path))
        self._open.append(client)
        database: Any = client.database(DATABASE)
        return RecordingHandle(database) if at_once else RecordingDatabase(database)

    def manager(
        self, database: Any = None, *, session_id: str = SESSION, durability: Durability | None = None
    ) -> PerSQLSessionManager:
        """A manager over a handle and client of its own, unless a handle is given."""
        manager = PerSQLSessionManager(
            session_id,
            database or self.database(),
            durability=durability or self.durability,
            encryption=self.encryption,
        )
        self._open.append(manager)
        return manager

    def close(self) -> None:
        """Close what was opened, managers before their clients; some have lost their session to a later one."""
        while self._open:
            with contextlib.suppress(SessionException, PerSQLError):
                self._open.pop().close()

    @contextlib.contextmanager
    def sqlite(self) -> Iterator[sqlite3.Connection]:
        """The file itself, beside the package."""
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            yield connection
            connection.commit()
        finally:
            connection.close()

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Every stored row, decoded, nothing masked: `{table: [row, …]}`."""
        from strands_persql.testing import stored_rows

        client = PerSQL(local=str(self.path))
        try:
            return stored_rows(client.database(DATABASE), mask=False, encryption=self.encryption)
        finally:
            client.close()

    def messages(self, agent_id: str = "default", session_id: str = SESSION) -> list[dict[str, Any]]:
        """The transcript of one agent, whether or not the model still sees it."""
        return [
            row["data"]["message"]
            for row in self.rows()["messages"]
            if row["agent_id"] == agent_id and row["session_id"] == session_id
        ]

    def dump(self) -> str:
        """The whole file as SQL, what stands in its write-ahead log included."""
        with self.sqlite() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return "\n".join(connection.iterdump())

    def holds(self, words: str) -> bool:
        """Whether any row holds these words (ASCII), as they are or base64-encoded."""
        dump = self.dump()
        return words in dump or any(form in dump for form in _base64_forms(words))

    @contextlib.contextmanager
    def counted_writes(self) -> Iterator[list[str]]:
        """The rows written meanwhile, as SQLite's own triggers see them: a table's name for each row."""
        with self.sqlite() as connection:
            tables = [
                name
                for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if name.startswith("strands_")
            ]
            connection.execute("CREATE TABLE written (place INTEGER PRIMARY KEY, name TEXT)")
            for table in tables:
                for event in ("INSERT", "UPDATE", "DELETE"):
                    connection.execute(
                        f"CREATE TRIGGER written_{event}_{table} AFTER {event} ON {table} "
                        f"BEGIN INSERT INTO written (name) VALUES ('{table.removeprefix('strands_')}'); END"
                    )
        written: list[str] = []
        yield written
        with self.sqlite() as connection:
            written += [name for (name,) in connection.execute("SELECT name FROM written ORDER BY place")]
            for table in tables:
                for event in ("INSERT", "UPDATE", "DELETE"):
                    connection.execute(f"DROP TRIGGER written_{event}_{table}")
            connection.execute("DROP TABLE written")


def _base64_forms(words: str) -> Iterator[str]:
    """The parts of a base64 text that are the same wherever in a document the words stand."""
    for offset in range(3):
        form = base64.b64encode(b"\0" * offset + words.encode()).decode().rstrip("=")[4 if offset else 0 : -4]
        if len(form) >= 8:  # a shorter one would be found by chance
            yield form


# Comparing agents


def capture(agent: Agent) -> dict[str, Any]:
    """All that a session holds of an agent, the times apart, in a form that compares exactly."""
    document = copy.deepcopy(SessionAgent.from_agent(agent)).__dict__
    state = {key: value for key, value in document.items() if key not in ("created_at", "updated_at")}
    captured: dict[str, Any] = canonical({"messages": list(agent.messages), **state})
    return captured


def canonical(value: Any) -> Any:
    """A copy in which equality is exact: no 1 == True, NaN equals itself, a tuple is what JSON makes of it."""
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, float):
        return ("float", repr(value))
    if isinstance(value, bool):
        return ("bool", value)
    return value


def restored(store: Store, build: Build, *, session_id: str = SESSION) -> Agent:
    """What a new process gets: a fresh agent over a fresh manager, client and connection."""
    return build(store.manager(session_id=session_id))


def assert_same(live: Agent, other: Agent) -> None:
    """The two agents hold the same messages, state, conversation manager state, interrupts and model state."""
    expected, found = capture(live), capture(other)
    for part in expected:
        assert found[part] == expected[part], part


def assert_rows_sound(store: Store, live: Agent | None = None) -> None:
    """Positions count 0, 1, 2 …, and no message stands in two rows."""
    rows = store.rows()
    seen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows["messages"]:
        seen.setdefault((row["session_id"], row["agent_id"]), []).append(row)
    for owner, found in seen.items():
        assert [row["message_id"] for row in found] == list(range(len(found))), owner
        assert all(row["data"]["message_id"] == row["message_id"] for row in found), owner
        ids = [row["data"]["message"].get("tracking_id") for row in found]
        allowed = _repeated_ids(live) if live is not None and live.agent_id == owner[1] else set()
        once = [each for each in ids if each is not None and each not in allowed]
        assert len(once) == len(set(once)), f"a message of {owner} stands in two rows"


def _repeated_ids(agent: Agent) -> set[Any]:
    ids = [message.get("tracking_id") for message in agent.messages]
    return {each for each in ids if ids.count(each) > 1}


@dataclass
class Scenario:
    """One live agent, compared with a restored one after each turn.

    Attributes:
        at_once: Whether what is small is written on the event's thread; by default where the agent is invoked there.
        agent: The live agent.
        database: The live agent's handle.
    """

    store: Store
    build: Build
    mode: Mode = "async"
    at_once: bool | None = None
    database: RecordingDatabase = field(init=False)
    manager: PerSQLSessionManager = field(init=False)
    agent: Agent = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Go on in a new process: the live agent is left behind as it is."""
        self.database = self.store.database(at_once=self.mode == "async" if self.at_once is None else self.at_once)
        self.manager = self.store.manager(self.database)
        self.agent = self.build(self.manager)

    async def turn(self, prompt: Any = None, *, check: bool = True, **options: Any) -> Any:
        """One invocation, in the scenario's form, and the comparison after it."""
        if self.mode == "sync":
            result = self.agent(prompt, **options)
        else:
            result = await self.agent.invoke_async(prompt, **options)
        if check:
            self.check()
        return result

    def check(self) -> Agent:
        """Live == restored, and every row sound. Returns the restored agent."""
        other = restored(self.store, self.build)
        assert_same(self.agent, other)
        assert_rows_sound(self.store, self.agent)
        return other


async def soon(waiting: Awaitable[Any]) -> Any:
    """Wait for what another task is about to do; where it never does, the test fails and does not hang."""
    return await asyncio.wait_for(waiting, 30)


def user(words: str) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": [{"text": words}]}


def assistant(words: str) -> dict[str, Any]:
    """An assistant message."""
    return {"role": "assistant", "content": [{"text": words}]}


def words_of(messages: Any) -> list[str]:
    """The texts of messages: what a conversation reads like, tools aside."""
    return [block["text"] for message in messages for block in message["content"] if "text" in block]


def roles_of(messages: Any) -> str:
    """The roles of messages as one word: `uauu`."""
    return "".join(message["role"][0] for message in messages)
