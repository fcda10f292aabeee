"""Who takes part: how each session manager is opened, and how a long session of its kind is seeded.

Each contender has a folder of its own, and whatever its managers can share (a client, an engine) is shared, as in a
process that serves many sessions. Each is used as its documentation shows, with its defaults.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strands.hooks import MessageAddedEvent
from strands.session import FileSessionManager, RepositorySessionManager, SessionManager
from strands.types.session import SessionMessage

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessionRepository
from strands_persql.engine.lifecycle import wait
from strands_persql.engine.threads import submit_call

from .agents import AGENT_ID, WINDOW, build, history, turn
from .clock import Clock
from .latency import Latency

NAMESPACE = "bench"


class Contender:
    """Agents without a session: what all others are compared with.

    Args:
        folder: Where its files go.
        latency: What each request to its storage takes.
    """

    name = "none"
    title = "no session manager"
    remote = False

    def __init__(self, folder: Path, latency: Latency) -> None:
        self.folder = folder
        self.latency = latency
        self.open()

    def open(self) -> None:
        """Open what its managers share."""

    def manager(self, session_id: str) -> Any:
        """A manager of a session, as a new process would make it."""
        return None

    async def opened(self, session_id: str) -> Any:
        """A manager, off the event loop where it can be."""
        return self.manager(session_id)

    async def seed(self, session_id: str, size: int, *, window: bool = False) -> None:
        """Store a session of so many messages; with `window`, the model sees the last 40."""
        messages = history(size)
        manager = self.manager(session_id)
        if window and size > WINDOW:
            # The window slides in a turn, which brings two messages of its own.
            await turn(build(manager, messages=messages[: size - 2], window=WINDOW))
        else:
            agent = build(manager, messages=messages, window=WINDOW if window else None)
            if manager is not None:
                manager.sync_agent(agent)
        self.release(manager)

    def agent(self, session_id: str, size: int = 0, clock: Clock | None = None) -> Any:
        """An agent that goes on with a seeded session of so many messages; a clock times its manager."""
        manager = self.manager(session_id)
        if clock is not None:
            clock.watch(manager)
        return build(manager)

    def release(self, manager: Any) -> None:
        """Let go of a manager."""
        if hasattr(manager, "close"):
            manager.close()

    def close(self) -> None:
        """Close what its managers share."""

    def bytes_on_disk(self) -> int:
        """What its files take, in blocks of the file system."""
        files = (path.stat() for path in self.folder.rglob("*") if path.is_file())
        return sum(getattr(file, "st_blocks", -(-file.st_size // 4096) * 8) * 512 for file in files)


class Bare(Contender):
    """Its agents are built with their history."""

    async def seed(self, session_id: str, size: int, *, window: bool = False) -> None:
        pass

    def agent(self, session_id: str, size: int = 0, clock: Clock | None = None) -> Any:
        return build(None, messages=history(size))


class HandOver(Bare):
    """Stores nothing: a worker thread is asked to do nothing, and awaited, at each message. Turns alone show it.

    It is the least that a manager costs which stores each message before the agent goes on, and leaves the event loop
    free meanwhile.
    """

    name = "hand-over"
    title = "(a hand-over to a thread, empty)"

    def agent(self, session_id: str, size: int = 0, clock: Clock | None = None) -> Any:
        manager = _HandingOver()
        if clock is not None:
            clock.watch(manager)
        return build(manager, messages=history(size))


class _HandingOver(SessionManager):
    def register_hooks(self, registry: Any, **kwargs: Any) -> None:
        async def added(event: MessageAddedEvent) -> None:
            await wait(submit_call(lambda: None))

        registry.add_callback(MessageAddedEvent, added)

    def initialize(self, agent: Any, **kwargs: Any) -> None: ...

    def append_message(self, message: Any, agent: Any, **kwargs: Any) -> None: ...

    def sync_agent(self, agent: Any, **kwargs: Any) -> None: ...

    def redact_latest_message(self, redact_message: Any, agent: Any, **kwargs: Any) -> None: ...


class Files(Contender):
    """Strands' own, one file a message."""

    name = "file"
    title = "FileSessionManager"

    def manager(self, session_id: str) -> Any:
        return _SlowFiles(session_id, self.latency, storage_dir=str(self.folder))

    async def seed(self, session_id: str, size: int, *, window: bool = False) -> None:
        manager = self.manager(session_id)
        _row_only(manager, size, window)
        for number, message in enumerate(history(size)):
            path = manager._get_message_path(session_id, AGENT_ID, number)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(SessionMessage.from_message(message, number).to_dict(), file, indent=2, ensure_ascii=False)


class _SlowFiles(FileSessionManager):
    """Each file written or read is a request."""

    def __init__(self, session_id: str, latency: Latency, **options: Any) -> None:
        self._latency = latency
        super().__init__(session_id, **options)

    def _write_file(self, path: str, data: dict[str, Any]) -> None:
        self._latency.wait()
        super()._write_file(path, data)

    def _read_file(self, path: str) -> dict[str, Any]:
        self._latency.wait()
        return super()._read_file(path)


class Snapshots(Contender):
    """Strands' own, one file a session, written whole; the strategy says when."""

    name = "snapshot"
    title = "SnapshotSessionManager, LocalFileStorage, invocation"
    strategy = "invocation"

    def storage(self) -> Any:
        from strands.storage import LocalFileStorage

        latency = self.latency

        class SlowFiles(LocalFileStorage):
            async def write(self, key: str, data: bytes) -> None:
                latency.wait()  # it writes on the event loop, so it would wait there
                await super().write(key, data)

            async def read(self, key: str) -> bytes | None:
                latency.wait()
                return await super().read(key)

        return SlowFiles(str(self.folder))

    def open(self) -> None:
        self._storage = self.storage()

    def manager(self, session_id: str) -> Any:
        from strands.session import SnapshotSessionManager

        strategy: Any = self.strategy
        return SnapshotSessionManager(session_id, storage=self._storage, save_latest_on=strategy)


class SnapshotsByMessage(Snapshots):
    """The same, written with each message."""

    name = "snapshot-message"
    title = "SnapshotSessionManager, LocalFileStorage, message"
    strategy = "message"


class SqlStorage(Snapshots):
    """Snapshots in a SQLAlchemy table."""

    name = "sql-storage"
    title = "SnapshotSessionManager, strands-sql-storage, SQLite"

    def storage(self) -> Any:
        from strands_sql_storage import SQLStorage

        self._engine = _engine(self.folder, self.latency)
        return SQLStorage(engine=self._engine)

    def close(self) -> None:
        self._engine.dispose()


class SqlSession(Contender):
    """A SQLAlchemy row a message."""

    name = "session-sql"
    title = "strands-session-sql, SQLite"

    def open(self) -> None:
        self._engine = _engine(self.folder, self.latency)

    def manager(self, session_id: str) -> Any:
        from strands_session_sql import SQLSessionManager

        return SQLSessionManager(session_id, engine=self._engine)

    async def seed(self, session_id: str, size: int, *, window: bool = False) -> None:
        from strands_agents_session import keys

        manager = self.manager(session_id)
        _row_only(manager, size, window)
        partition = keys.messages_pk(session_id, AGENT_ID)
        rows = [
            {
                "pk": partition,
                "sk": keys.message_sk(number),
                "data": json.dumps(SessionMessage.from_message(message, number).to_dict()),
            }
            for number, message in enumerate(history(size))
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(manager.storage.table.insert(), rows)

    def close(self) -> None:
        self._engine.dispose()


class Repository(Contender):
    """Strands' own `RepositorySessionManager` over this package's tables."""

    name = "repository"
    title = "RepositorySessionManager(PerSQLSessionRepository)"
    remote = True

    def open(self) -> None:
        if self.latency.url is not None:
            self.client = PerSQL(self.latency.token, base_url=self.latency.url)
        else:
            self.client = PerSQL(local=self.folder / "agents.db")
        self.database = self.client.database(f"{NAMESPACE}/{self.name}")

    def manager(self, session_id: str) -> Any:
        return RepositorySessionManager(session_id, PerSQLSessionRepository(self.database))

    async def seed(self, session_id: str, size: int, *, window: bool = False) -> None:
        # The same rows, written in a few large batches instead of one by one.
        seeder = _Seeder.__new__(_Seeder)
        seeder.database = self.database
        await Contender.seed(seeder, session_id, size, window=window)

    def close(self) -> None:
        self.client.close()


class PerSQLMessage(Repository):
    """This package, every message stored before the agent goes on."""

    name = "persql"
    title = 'PerSQLSessionManager, "message"'
    durability: Any = "message"

    def manager(self, session_id: str) -> Any:
        return PerSQLSessionManager(session_id, self.database, durability=self.durability)

    async def opened(self, session_id: str) -> Any:
        return await PerSQLSessionManager.open(session_id, self.database, durability=self.durability)


class PerSQLApart(PerSQLMessage):
    """The same, each session in a database of its own: no two can share a request. Crowds alone show it."""

    name = "persql-apart"
    title = 'PerSQLSessionManager, "message", a database for each session'

    async def opened(self, session_id: str) -> Any:
        database = self.client.database(f"{NAMESPACE}/{session_id}")
        return await PerSQLSessionManager.open(session_id, database, durability=self.durability)


class PerSQLOverlap(PerSQLMessage):
    """The same, written while the model works."""

    name = "persql-overlap"
    title = 'PerSQLSessionManager, "overlap"'
    durability = "overlap"


class PerSQLInvocation(PerSQLMessage):
    """The same, written at the end of the turn."""

    name = "persql-invocation"
    title = 'PerSQLSessionManager, "invocation"'
    durability = "invocation"


class _Seeder(PerSQLInvocation):
    pass


ALL: tuple[type[Contender], ...] = (
    Bare,
    Files,
    Snapshots,
    SnapshotsByMessage,
    SqlSession,
    SqlStorage,
    Repository,
    PerSQLMessage,
    PerSQLOverlap,
    PerSQLInvocation,
)
OURS = tuple(each.name for each in (PerSQLMessage, PerSQLOverlap, PerSQLInvocation))
PEERS = tuple(each.name for each in (Files, Snapshots, SnapshotsByMessage, SqlSession, SqlStorage))
BESIDES: tuple[type[Contender], ...] = (HandOver, PerSQLApart)
"""Those that only some sections show, to tell where the others' time goes."""
TITLES = {each.name: each.title for each in (*ALL, *BESIDES)}


def missing() -> dict[str, str]:
    """The contenders that can't take part here, and what they lack."""
    import strands.session

    lacks: dict[str, str] = {}
    if not hasattr(strands.session, "SnapshotSessionManager"):
        lacks |= dict.fromkeys(("snapshot", "snapshot-message", "sql-storage"), "a Strands release with snapshots")
    for name, module in (("session-sql", "strands_session_sql"), ("sql-storage", "strands_sql_storage")):
        if importlib.util.find_spec(module) is None:
            lacks.setdefault(name, f"the package {module}")
    return lacks


class Field:
    """Contenders side by side, each in a folder of its own; a context manager, which removes the folders.

    Args:
        names: Who takes part.
        folder: Where.
        latency: What a request to a storage takes; None for a local storage as it is.
    """

    def __init__(self, names: Sequence[str], folder: Path, latency: Latency | None = None) -> None:
        self.latency = latency or Latency()
        self._folder = folder
        self.contenders: dict[str, Contender] = {}
        for kind in (*ALL, *BESIDES):
            if kind.name not in names:
                continue
            own = folder / kind.name
            os.makedirs(own)
            own_latency = self.latency
            if kind.remote and own_latency.url is None and own_latency.seconds:
                raise ValueError(f"{kind.name} needs the address of a service to have latency")
            self.contenders[kind.name] = kind(own, own_latency)

    def __enter__(self) -> dict[str, Contender]:
        return self.contenders

    def __exit__(self, *_: object) -> None:
        for contender in self.contenders.values():
            contender.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _row_only(manager: Any, size: int, window: bool) -> None:
    """Store an agent of a `RepositorySessionManager`, its messages aside."""
    removed = max(0, size - WINDOW) if window else 0
    build(manager, window=WINDOW if window else None, removed=removed)


def _engine(folder: Path, latency: Latency) -> Any:
    """SQLAlchemy's engine over a SQLite file; each statement is a request."""
    from sqlalchemy import create_engine, event

    engine = create_engine(f"sqlite:///{folder / 'agents.db'}")

    event.listen(engine, "before_cursor_execute", lambda *_: latency.wait())
    return engine
