"""What all requests of an app share: its options, its threads, and what the sender of a request may see."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import anyio.to_thread
from anyio.lowlevel import RunVar
from starlette.requests import Request

from ..administration.users import EVERYONE, Everyone, UserSessions
from ._problems import UNAUTHENTICATED, Problem
from ._streams import Streams

if TYPE_CHECKING:
    from ..client import Database
    from ..encryption import Encryption

T = TypeVar("T")

Caller: TypeAlias = "str | Everyone | None"
"""A user's id; `EVERYONE` for somebody who may see all sessions; None for nobody who is known."""

UserOf: TypeAlias = Callable[[Request], "Caller | Awaitable[Caller]"]
"""Tells who sends a request, from whatever the application's own login has left in it. A plain function is called on
the event loop."""


@dataclass
class Service:
    """One app.

    Attributes:
        database: The database.
        user: Tells who sends a request.
        table_prefix: Starts the name of each table.
        max_threads: How many calls to the database are under way at once; others wait.
        max_streams: How many streams are open at once.
        poll_seconds: How often a stream asks for new messages.
        encryption: The keys of sessions that are encrypted.
        streams: The streams that are open.
    """

    database: Database
    user: UserOf
    table_prefix: str = "strands_"
    max_threads: int = 8
    max_streams: int = 100
    poll_seconds: float = 2.0
    encryption: Encryption | None = None
    streams: Streams = field(init=False, repr=False)
    _limiter: RunVar[anyio.CapacityLimiter] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.streams = Streams(self.max_streams)
        self._limiter = RunVar(f"threads of {id(self)}")

    def check(self) -> None:
        """Find out before the first request whether the database can be used.

        Raises:
            TypeError, ValueError: It can't, or the prefix can't.
        """
        UserSessions(self.database, EVERYONE, table_prefix=self.table_prefix, encryption=self.encryption)

    async def sessions_of(self, request: Request) -> UserSessions:
        """What the sender of a request may see. There is no other way to the database.

        Raises:
            Problem: Nobody is logged in.
            Exception: The application's own function failed.
        """
        caller = self.user(request)
        if inspect.isawaitable(caller):
            caller = await caller
        if caller is None:
            raise Problem(UNAUTHENTICATED, headers={"WWW-Authenticate": "Application"})
        return UserSessions(self.database, caller, table_prefix=self.table_prefix, encryption=self.encryption)

    async def run(self, call: Callable[..., T], *args: Any, **options: Any) -> T:
        """Make a blocking call on one of the app's threads; a caller who leaves meanwhile takes none away from it."""
        try:
            limiter = self._limiter.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(self.max_threads)
            self._limiter.set(limiter)
        return await anyio.to_thread.run_sync(partial(call, *args, **options), limiter=limiter)
