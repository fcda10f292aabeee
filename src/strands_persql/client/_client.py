"""`PerSQL`: the client, remote or local."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, NoReturn
from weakref import WeakValueDictionary

from ._databases import Databases
from ._environment import setting
from ._failures import closed_error
from ._local import Folder, LocalDatabase
from ._names import check_base_url, split_name
from ._remote import RemoteDatabase, Service
from ._users import Grants, Users

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

DEFAULT_BASE_URL = "https://api.persql.com"


class PerSQL:
    """A client for PerSQL's REST API, or for SQLite in this process. Safe to share between threads.

    It speaks the API as PerSQL documents it (docs.persql.com, reference/rest-api) with the call shapes of PerSQL's SDK.
    Building it opens nothing and sends nothing. `with PerSQL(…) as client:` closes it at the end.

    Args:
        token: A token of the namespace (`psql_live_…`). It is kept out of reprs, logs and errors.
        local: Instead of a token: `"agents.db"`, that one file whatever a database is called; `"agents/"` (or an
            existing folder), one file per database; `":memory:"`, one database in memory per name, gone with the
            client. `~/` is the home folder. New files and folders are their owner's alone (0600, 0700).
        base_url: The service's address. `https://`, or `http://` for loopback hosts alone.
        timeout: Seconds without any progress after which an attempt is given up (remote).
        max_retries: How often a request is sent again at most (remote). Where one request in five fails, 8 leave one
            failure in two million.

    Raises:
        TypeError: Unless exactly one of `token` and `local` is given.
        ValueError: For a token that can't be one, an address that is not allowed, or numbers out of range.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        local: str | os.PathLike[str] | None = None,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float = 30.0,
        max_retries: int = 8,
    ) -> None:
        if (token is None) == (local is None):
            raise TypeError(
                "PerSQL takes exactly one of token= (the service) and local= (SQLite in this process): "
                'PerSQL(token=os.environ["PERSQL_TOKEN"]) or PerSQL(local="agents.db")'
            )
        if not timeout > 0:
            raise ValueError("timeout is in seconds and must be greater than 0")
        if max_retries < 0:
            raise ValueError("max_retries must be 0 (never try again) or more")
        self._place: Service | Folder
        if local is not None:
            self._place = Folder(local)
        else:
            address, token = check_base_url(base_url), _check_token(token or "")
            self._place = Service(address, token, timeout=timeout, max_retries=max_retries)
        self._grants = Grants(self._place) if isinstance(self._place, Service) else None
        self._handles: WeakValueDictionary[str, RemoteDatabase | LocalDatabase] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def from_env(cls, *, timeout: float = 30.0, max_retries: int = 8) -> Self:
        """Build a client of what the environment names.

        That is either `PERSQL_LOCAL`, a file, a folder or `:memory:` as for `local`; or `PERSQL_TOKEN` and, where it is
        set, `PERSQL_API_URL`, PerSQL's own names for the service's.

        Args:
            timeout: As for the class, and so the other.
            max_retries: How often a request is sent again at most.

        Raises:
            ValueError: Neither `PERSQL_LOCAL` nor `PERSQL_TOKEN` is set, or both are.
        """
        local, token = setting("PERSQL_LOCAL"), setting("PERSQL_TOKEN")
        if local and token:
            raise ValueError(
                "the environment variables PERSQL_LOCAL and PERSQL_TOKEN are both set; unset the one that is not meant"
            )
        if local:
            return cls(local=local, timeout=timeout, max_retries=max_retries)
        if not token:
            raise ValueError(
                "neither of the environment variables PERSQL_TOKEN (the service) and PERSQL_LOCAL (a file, say) is "
                "set; set one of them"
            )
        base_url = setting("PERSQL_API_URL") or DEFAULT_BASE_URL
        return cls(token, base_url=base_url, timeout=timeout, max_retries=max_retries)

    def database(self, name: str) -> RemoteDatabase | LocalDatabase:
        """A handle of the database `"namespace/slug"`; the same one as long as anybody has it.

        Nothing is opened or sent.

        Raises:
            ValueError: For a name that isn't of that form.
            PerSQLError: Where the client is closed.
        """
        namespace, slug = split_name(name)
        with self._lock:
            if self._closed:
                raise closed_error()
            handle = self._handles.get(name)
            if handle is None:
                if isinstance(self._place, Folder):
                    handle = LocalDatabase(name, self._place, self._place.store(namespace, slug))
                else:
                    handle = RemoteDatabase(self._place, namespace, slug)
                self._handles[name] = handle
            return handle

    @property
    def databases(self) -> Databases:
        """Creates and lists databases."""
        return Databases(self._place)

    @property
    def users(self) -> Users:
        """Provisions a database for each user of a product."""
        has_files = isinstance(self._place, Folder) and self._place.has_one_each
        return Users(self._grants, self.database, has_files=has_files)

    def close(self) -> None:
        """Close connections and files; calls on its handles raise from now on. Closing twice is fine."""
        with self._lock:
            self._closed = True
        self._place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "_closed"):
            return "<PerSQL (not built)>"  # as a debugger shows it where an argument was refused
        return f"<PerSQL {self._place!r}{' (closed)' if self._closed else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client can't be pickled, since its token must not leave the process; build one in the other")


def _check_token(token: str) -> str:
    token = token.strip()  # read from a file, it ends in a line end
    if not re.fullmatch(r"[!-~]+", token):
        raise ValueError(
            "the token is empty, or holds characters no token has (white space, non-ASCII); copy it anew from PerSQL's "
            "console"
        )
    return token
