"""One namespace of the emulator, as a test holds it: databases, tokens, log, bill, faults, switches."""

from __future__ import annotations

import contextlib
import fnmatch
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strands_persql.client import PerSQL

from .billing import Bill
from .engine import Engine
from .faults import Faults
from .log import RequestRecord

if TYPE_CHECKING:
    from .server import Server

Role = Literal["admin", "readwrite", "readonly"]
ONE_DAY = 24 * 3600.0


@dataclass
class Cached:
    """A successful answer that its key replays."""

    at: float
    status: int
    body: bytes


@dataclass(frozen=True)
class Token:
    """What a token is good for.

    Attributes:
        role: What it may do.
        slug: The one database that it is for; None for all of the namespace.
        tables: Glob of the tables that it is limited to; None for all.
        ends: When it ends, of the namespace's time; None for never.
    """

    role: Role
    slug: str | None = None
    tables: str | None = None
    ends: float | None = None


@dataclass
class Rule:
    """An approval rule: which tables, and what it does."""

    glob: str
    action: Literal["require_approval", "deny"] = "require_approval"
    note: str = ""


@dataclass
class Switches:
    """What the documentation leaves open, or what a test wants to happen to the whole namespace.

    Attributes:
        auto_create: Whether an unknown database comes into being by its first use; else it is 404.
        meta: Where the cost envelope stands: inside each result, beside `data`, or nowhere.
        exhausted: Whether the balance is used up (402).
        doubles: Whether numbers are bound as doubles, as the engine's own API binds them.
        detail: Whether SQL errors come with an `errorDetail`.
        sql_status: The status SQL errors come with.
        user: How a user's database is told: by its slug, by its whole name, or by objects for it and its token.
    """

    auto_create: bool = True
    meta: Literal["absent", "inside", "beside"] = "inside"
    exhausted: bool = False
    doubles: bool = True
    detail: bool = True
    sql_status: int = 400
    user: Literal["slug", "name", "object"] = "slug"


class Emulator:
    """One namespace, and all that a test can see and steer of it.

    Attributes:
        namespace: Its name.
        name: A database of its own, `"namespace/agents"`.
        log: Its requests, in the order in which they came in.
        billing: What they cost.
        faults: What goes wrong with which of them.
        switches: What the documentation leaves open.
        rules: Approval rules, over all databases.
    """

    def __init__(self, server: Server, namespace: str, folder: Path, *, file: Path | None = None) -> None:
        self.namespace = namespace
        self.name = f"{namespace}/agents"
        self.server = server
        self.log: list[RequestRecord] = []
        self.billing = Bill()
        self.faults = Faults()
        self.switches = Switches()
        self.rules: list[Rule] = []
        self.databases: dict[str, dict[str, Any]] = {}
        self.users: dict[str, str] = {}
        self.replays: dict[tuple[str, str], Cached] = {}
        self._folder = folder
        self._file = file
        self._tokens: dict[str, Token] = {}
        self._engines: dict[Path, Engine] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._clients: list[PerSQL] = []
        self._clock = 0.0

    @property
    def url(self) -> str:
        """The address clients are given as `base_url`."""
        return self.server.url

    @property
    def requests(self) -> int:
        """How many requests came in since the last reset."""
        return len(self.log)

    def token(
        self, role: Role = "admin", *, slug: str | None = None, tables: str | None = None, seconds: float | None = None
    ) -> str:
        """A new token of this namespace; see `Token`. It lasts for so many seconds."""
        token = f"psql_test_{self.namespace}_{secrets.token_hex(12)}"
        self._tokens[token] = Token(role, slug, tables, None if seconds is None else self.now() + seconds)
        return token

    def revoke(self, token: str) -> None:
        """Make a token worthless: 401 from now on."""
        self._tokens.pop(token, None)

    @property
    def tokens(self) -> list[str]:
        """The tokens of this namespace, those that have ended too."""
        return list(self._tokens)

    def rights(self, token: str) -> Token | None:
        """What a token is good for here; None for one of nobody's, of another namespace, or that has ended."""
        found = self._tokens.get(token)
        return None if found is None or (found.ends is not None and self.now() >= found.ends) else found

    def client(self, *, role: Role = "admin", token: str | None = None, **options: Any) -> PerSQL:
        """A client with a new token; it is closed at the end of the test."""
        settings: dict[str, Any] = {"base_url": self.url, "timeout": 10.0, **options}
        client = PerSQL(token or self.token(role), **settings)
        self._clients.append(client)
        return client

    def database(self, **options: Any) -> Any:
        """A handle of this test's own database, over a new client."""
        return self.client(**options).database(self.name)

    def reset(self) -> None:
        """Forget the log, the bill and the faults; the data stays."""
        self.log.clear()
        self.billing = Bill()
        self.faults.clear()

    def advance(self, seconds: float) -> None:
        """Let time pass, for the replay cache and for tokens."""
        self._clock += seconds

    def now(self) -> float:
        """The namespace's time, in seconds."""
        return time.monotonic() + self._clock

    @contextlib.contextmanager
    def refusing(self) -> Generator[None, None, None]:
        """While it lasts, connections to the server are refused and open ones are gone."""
        with self.server.refusing():
            yield

    def path(self, slug: str) -> Path:
        """The SQLite file of a database."""
        return self._file or self._folder / f"{self.namespace}.{slug}.db"

    @contextlib.contextmanager
    def sqlite(self, slug: str = "agents") -> Generator[sqlite3.Connection, None, None]:
        """A connection of one's own to a database's file, to look at it behind the service's back."""
        with contextlib.closing(sqlite3.connect(self.path(slug), isolation_level=None)) as connection:
            yield connection

    def engine(self, slug: str, *, create: bool) -> Engine | None:
        """The engine of a database; None where there is no such database and none is to be made, or all are closed."""
        if slug not in self.databases:
            if not create:
                return None
            self.create(slug, slug)
        path = self.path(slug)
        with self._lock:  # a request that is late opens no file that nobody would close
            if self._closed:
                return None
            if path not in self._engines:
                self._engines[path] = Engine(path)
            engine = self._engines[path]
        engine.doubles = self.switches.doubles
        return engine

    def create(self, slug: str, name: str) -> dict[str, Any]:
        """Enter a database into the namespace's list."""
        self.databases[slug] = {
            "id": f"db_{len(self.databases) + 1:04d}",
            "slug": slug,
            "name": name,
            "status": "active",
            "region": "auto",
            "createdAt": "2025-01-01T00:00:00.000Z",
        }
        return self.databases[slug]

    def hits(self, statements: list[tuple[str, list[Any]]]) -> list[dict[str, str]]:
        """The approval rules that statements run into, by the names that stand in their SQL."""
        words = {word for sql, _ in statements for word in re.findall(r"\w+", sql)}
        return [
            {"tableGlob": rule.glob, "action": rule.action, "matchedTable": word, "note": rule.note}
            for rule in self.rules
            for word in sorted(words)
            if fnmatch.fnmatchcase(word, rule.glob)
        ]

    def replay(self, path: str, key: str) -> Cached | None:
        """The answer a key replays: for 24 hours, whatever the request says."""
        cached = self.replays.get((path, key))
        return cached if cached is not None and self.now() - cached.at < ONE_DAY else None

    def close(self) -> None:
        """Close the clients and the files, and be known to the server no more."""
        self.server.forget(self)
        for client in self._clients:
            client.close()
        with self._lock:
            self._closed = True
            for engine in self._engines.values():
                engine.close()
