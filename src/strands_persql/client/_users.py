"""`client.users`: a database for each user of a product (docs.persql.com, platform/per-user-databases).

The service makes a user's database with the first `POST /v1/users`, and answers each with a token for it that lasts for
minutes to a day. A handle of such a database asks when it is first used, and again before its token ends. Locally each
user has a file.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args
from weakref import WeakValueDictionary

from ..errors import AuthenticationError, PermissionDeniedError, PerSQLError, named
from ._answers import Answer, as_object
from ._forks import survive_forks
from ._handle import Handle
from ._names import split_name
from ._protocol import QueryResult, Statement
from ._remote import RemoteDatabase, Request, Service
from ._statements import Prepared

T = TypeVar("T")
UserRole: TypeAlias = Literal["write", "read"]

LONGEST_SUBJECT = 256
"""Characters of a subject (docs.persql.com, platform/per-user-databases; so the bounds of `expires_in`)."""

SHORTEST_SECONDS, LONGEST_SECONDS, USUAL_SECONDS = 60, 86_400, 3_600
"""Seconds for which a token may be asked for, and for which one is."""

AHEAD_SECONDS = 60.0
"""Seconds before its end from which on a token is renewed; a quarter of its time, where that is less."""

MAX_GRANTS = 10_000
"""Users whose tokens a client keeps at most; of more, those used longest ago are asked for again."""

LOCAL_NAMESPACE = "users"
"""The namespace of the databases of users in a local folder."""


@dataclass(frozen=True)
class ProvisionedUser:
    """A user's database, and a token for it.

    Attributes:
        subject: The user.
        database: The database's name, `"namespace/slug"`.
        token: For this database alone, and for a while; None locally. It stands in no repr.
        created: Whether the database was made by this call; None where the service doesn't tell.
        expires_in: Seconds for which the token lasts, counted from the call; None locally.
    """

    subject: str
    database: str
    token: str | None = field(repr=False)
    created: bool | None
    expires_in: float | None


class _Key(NamedTuple):
    subject: str
    role: UserRole
    expires_in: int


class Grant(NamedTuple):
    """Access to a user's database.

    Attributes:
        database: The database, over the user's token.
        renewed: From when on it is renewed, of `time.monotonic`.
        ends: When the token ends.
    """

    database: Handle
    renewed: float
    ends: float


class Users:
    """The databases of a client's users. Made by `PerSQL.users`.

    Args:
        grants: Who may be asked for a user's database; None for local ones.
        database: A handle of a database of the client's.
        has_files: Whether local databases are kept apart: in a folder, or in memory.
    """

    def __init__(self, grants: Grants | None, database: Callable[[str], Handle], *, has_files: bool) -> None:
        self._grants = grants
        self._database = database
        self._has_files = has_files

    def provision(self, subject: str, *, role: UserRole = "write", expires_in: int = USUAL_SECONDS) -> ProvisionedUser:
        """Make a user's database unless it is there, and a token for it: for a program of the user's own.

        A server that stores the sessions of its users takes `database` instead, which does this by itself.

        Args:
            subject: The user's id, 1 to 256 characters. The same subject has the same database each time.
            role: What the token may do: `"write"` (rows, but no tables), or `"read"`.
            expires_in: Seconds for which the token lasts, 60 to 86,400.

        Raises:
            PermissionDeniedError: The client's token is not an admin's, or is limited to some tables.
            PerSQLError: The service refused, or could not be reached.
            TypeError, ValueError: An argument can't be used.
        """
        key = _checked(subject, role, expires_in)
        if self._grants is None:
            return ProvisionedUser(subject, self._local_name(subject), None, None, None)
        return self._grants.provisioned(key)

    def database(self, subject: str, *, role: UserRole = "write", expires_in: int = USUAL_SECONDS) -> Handle:
        """A handle of a user's database, which is provisioned as it is first used. Nothing is opened or sent.

        Its tokens are renewed before they end, and once after a 401. Tables, which they may not create, are created
        with the client's own token.

        Args:
            subject: The user's id, 1 to 256 characters.
            role: What the handle may do.
            expires_in: Seconds for which each of its tokens lasts, 60 to 86,400.

        Raises:
            TypeError, ValueError: An argument can't be used, or the client is local and has one file for all.
        """
        key = _checked(subject, role, expires_in)
        return self._database(self._local_name(subject)) if self._grants is None else self._grants.handle(key)

    def _local_name(self, subject: str) -> str:
        if not self._has_files:
            raise ValueError(
                "this client has one file for all databases, so users would share it; use a folder: "
                'PerSQL(local="users/")'
            )
        # What is no plain name has one of its own, which no plain name is.
        plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}", subject)
        slug = subject if plain else f"_.{hashlib.sha256(subject.encode()).hexdigest()}"
        return f"{LOCAL_NAMESPACE}/{slug}"


class Grants:
    """The tokens of users that a client has. Safe to use from several threads.

    Args:
        service: The service, over a token that may provision users.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._handles: WeakValueDictionary[_Key, UserDatabase] = WeakValueDictionary()
        self._access: OrderedDict[_Key, _Access] = OrderedDict()
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child process has locks of its own, and goes on with the same tokens."""
        self._lock = threading.Lock()
        for access in self._access.values():
            access.lock = threading.Lock()

    def handle(self, key: _Key) -> UserDatabase:
        """A handle of a user's database; the same one as long as anybody has it."""
        with self._lock:
            handle = self._handles.get(key)
            if handle is None:
                handle = self._handles[key] = UserDatabase(self, self._service, key)
            return handle

    def access(self, key: _Key, *, but: Grant | None = None) -> Grant:
        """Access to a user's database by now; another one than what was refused. Blocks for a request at times."""
        with self._lock:
            access = self._access.setdefault(key, _Access())
            self._access.move_to_end(key)
            while len(self._access) > MAX_GRANTS:
                self._access.popitem(last=False)
        return access.current(lambda: self._granted(key), but=but)

    def _granted(self, key: _Key) -> Grant:
        asked = time.monotonic()
        user = self.provisioned(key)
        assert user.token is not None and user.expires_in is not None
        lasts = user.expires_in
        database = RemoteDatabase(self._service, *split_name(user.database), token=user.token)
        return Grant(database, asked + lasts - min(AHEAD_SECONDS, lasts / 4), asked + lasts)

    def provisioned(self, key: _Key) -> ProvisionedUser:
        """Make a user's database unless it is there, and a token for it; one request."""
        payload = {"subject": key.subject, "role": key.role, "expiresIn": key.expires_in}
        # Without an `Idempotency-Key`: it is idempotent for each subject, and a replay's token would have ended.
        request = Request("POST", "/v1/users", payload, "(a user's)")
        try:
            return self._service.request(request, lambda answer: _read(answer, key))
        except PermissionDeniedError as error:
            if error.status != 403:
                raise
            raise PermissionDeniedError(
                f"{error} A user's database is provisioned with an admin token that is not limited to some tables: "
                "make the client with one.",
                status=error.status,
                kind=error.kind,
                detail=error.detail,
                request_id=error.request_id,
            ) from error


class _Access:
    """The newest access to one user's database."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._grant: Grant | None = None

    def current(self, ask: Callable[[], Grant], *, but: Grant | None) -> Grant:
        """It, as long as it lasts; one thread asks for the next one, and the others go on with what still lasts."""
        grant, now = self._grant, time.monotonic()
        lasts = grant is not None and grant is not but and now < grant.ends
        if grant is not None and lasts and now < grant.renewed:
            return grant
        lock = self.lock
        if not lock.acquire(blocking=not lasts):
            assert grant is not None
            return grant
        try:
            found = self._grant
            if found is None or found is but or time.monotonic() >= found.renewed:
                found = self._grant = ask()
            return found
        except PerSQLError:
            if grant is not None and lasts and time.monotonic() < grant.ends:  # it is asked for again by the next call
                return grant
            raise
        finally:
            lock.release()


class UserDatabase(Handle):
    """A user's database at the service. Made by `Users.database`."""

    loses_answers = True

    def __init__(self, grants: Grants, service: Service, key: _Key) -> None:
        super().__init__(f"of user {named(key.subject)}")
        self._grants = grants
        self._service = service
        self._key = key

    @property
    def identity(self) -> Hashable:
        """The service, over the client's token, and the user."""
        return (self._service, self._key.subject)

    @property
    def owner(self) -> Handle:
        """The same database over the client's own token, which may create tables."""
        return RemoteDatabase(self._service, *split_name(self._grants.access(self._key).database.name))

    def role(self) -> str | None:
        """The role of the user's token; None where the service doesn't tell."""
        return self._over(lambda database: database.role())

    def commit(
        self,
        statements: Sequence[Statement],
        *,
        key: str | None = None,
        patient: bool = True,
        after: PerSQLError | None = None,
        timeout: float | None = None,
    ) -> None:
        """Run statements of this package's own making as one transaction, in one request."""
        self._over(lambda database: database.commit(statements, key=key, patient=patient, after=after, timeout=timeout))

    def _query(self, statement: Prepared) -> QueryResult:
        return self._over(lambda database: database._query(statement))

    def _batch(self, statements: Sequence[Prepared], transaction: bool, key: str | None) -> list[QueryResult]:
        return self._over(lambda database: database._batch(statements, transaction, key))

    def _over(self, ask: Callable[[Handle], T]) -> T:
        """Ask the database with the user's token, and once more with a new one, should the service know it no more."""
        grant = self._grants.access(self._key)
        try:
            return ask(grant.database)
        except AuthenticationError:  # nothing was carried out
            return ask(self._grants.access(self._key, but=grant).database)

    def __repr__(self) -> str:
        return f"<PerSQL database {self.name} at {self._service.base_url}>"


def _checked(subject: object, role: object, expires_in: object) -> _Key:
    if not isinstance(subject, str):
        raise TypeError(f"subject must be a string, got {type(subject).__name__}")
    if not subject.strip() or len(subject) > LONGEST_SUBJECT:
        raise ValueError(f"subject must be 1 to {LONGEST_SUBJECT} characters, and not blank; got {len(subject)}")
    try:
        subject.encode()
    except UnicodeEncodeError as error:
        raise ValueError("subject must be valid Unicode: it holds a lone surrogate") from error
    if role not in get_args(UserRole):
        raise ValueError(f"role must be 'write' or 'read', got {named(role)}")
    if not isinstance(expires_in, int) or isinstance(expires_in, bool):
        raise TypeError(f"expires_in must be a whole number of seconds, got {type(expires_in).__name__}")
    if not SHORTEST_SECONDS <= expires_in <= LONGEST_SECONDS:
        raise ValueError(f"expires_in must be {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds, got {expires_in}")
    return _Key(subject, cast("UserRole", role), expires_in)


def _read(answer: Answer, key: _Key) -> ProvisionedUser | None:
    """What the service has answered: a database, a token, `created`, `namespaceSlug`.

    Whether the database is a slug, a name or an object that has a slug is not documented, nor is whether a token comes
    as an object. None where neither can be told.
    """
    found = as_object(answer.data) or {}
    token = _text(found.get("token"), "token", "value")
    slug = _text(found.get("database"), "slug", "name")
    namespace = _text(found.get("namespaceSlug"), "slug") or _text(as_object(found.get("database")), "namespaceSlug")
    if token is None or slug is None or re.fullmatch(r"[!-~]+", token) is None:
        return None
    name = slug if "/" in slug or namespace is None else f"{namespace}/{slug}"
    try:
        split_name(name)
    except ValueError:
        return None
    created = found.get("created")
    return ProvisionedUser(
        key.subject, name, token, created if isinstance(created, bool) else None, _lasts(found, key.expires_in)
    )


def _text(value: Any, *names: str) -> str | None:
    """A text, or the first that an object has under one of these names."""
    if isinstance(value, str):
        return value or None
    parts = as_object(value) or {}
    return next((part for part in map(parts.get, names) if isinstance(part, str) and part), None)


def _lasts(found: dict[str, Any], asked: int) -> float:
    """Seconds for which a token lasts: as many as were asked for, unless the service says that they are fewer."""
    said: list[float] = [float(asked)]
    for part in (found, as_object(found.get("token")) or {}):
        seconds, at = part.get("expiresIn"), part.get("expiresAt")
        if isinstance(seconds, (int, float)) and math.isfinite(seconds) and seconds > 0:
            said.append(float(seconds))
        if isinstance(at, str):
            with suppress(ValueError, TypeError):
                end = datetime.fromisoformat(f"{at[:-1]}+00:00" if at[-1:] in ("Z", "z") else at)
                left = (end - datetime.now(timezone.utc)).total_seconds()
                if left > 0:  # else the clocks disagree, and a 401 tells
                    said.append(left)
    return min(said)
