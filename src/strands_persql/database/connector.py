"""A user's database handle and the tables in it: statements in, rows out, and one call is one request.

Any object with `query` and `batch` in the shapes of PerSQL's SDK serves (see `strands_persql.client.Database`).
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from ..client import Handle
from ..errors import PermissionDeniedError, PerSQLError, SessionDataError, TransportError
from .decoding import number
from .faults import fault_of
from .query import unanswered
from .sharing import SharedRequests, shared_requests
from .tables import Tables

if TYPE_CHECKING:
    from ..client import Database, Statement
    from .query import Query, Row

T = TypeVar("T")


class Layout(Protocol):
    """Tables that a store creates when a statement finds none."""

    prefix: str

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The statements that create them, or bring them from one version of the layout to the newest."""
        ...


L = TypeVar("L", bound=Layout)


class Connector(Generic[L]):
    """The tables of one layout in one database: statements in, rows out; one call is one request.

    Args:
        database: The handle.
        tables: The tables, and their statements.
        create_tables: Create the tables when a statement finds none; False sends no DDL ever.

    Raises:
        TypeError: The handle lacks `query` or `batch`, or is an asynchronous one.
    """

    def __init__(
        self,
        database: Database,
        tables: L,
        *,
        create_tables: bool = True,
    ) -> None:
        self.tables = tables
        self.database = _checked(database)
        self._create_tables = create_tables
        self.provision: Callable[[], object] | None = None
        """Creates the database, when a statement finds none."""
        self.identity: Hashable = database.identity if isinstance(database, Handle) else id(database)
        """The same for all connectors of a database in this process; another library's handle is told by its object."""
        self.is_local: bool = not getattr(database, "loses_answers", True)
        """Whether requests are calls in this process, each answered at once."""
        self.system: str = "sqlite" if self.is_local else "persql"
        """The database's kind, as OpenTelemetry's conventions name it."""
        parameters = _parameters(database.batch)
        # A handle that never loses an answer has no use for a key, and making one takes as long as planning the batch.
        self._takes_key = not self.is_local and "idempotency_key" in parameters
        # One whose `batch` was replaced is another library's: what was put in its place is to see every request.
        is_own = isinstance(database, Handle) and type(database).batch is Handle.batch and "batch" not in vars(database)
        self._own = cast("Handle", database) if is_own else None
        self.shared: SharedRequests | None = None if self.is_local else shared_requests(database)
        """The requests that sessions share, where the database is reached over a network."""

    def ask(self, query: Query[T], *, versioned: bool = False) -> T:
        """Run a query that reads, as one request; with `versioned` where the layout may be another version's.

        Raises:
            SessionDataError: The tables were laid out by a newer version of this package.
        """
        if not versioned:
            return self.carry_out(query)
        tables = cast("Connector[Tables]", self).tables
        newest, statements = len(tables.steps), [tables.read_version(), *query.statements]
        versions, *answers = self._with_tables(lambda: self._batch(statements, None))
        with _reading():
            version = number(versions[0]["version"] or 0, "The layout's row", "version") if versions else newest
        if version != newest:
            self._bring_up(version, newest)
            answers = self._batch(query.statements, None)
        with _reading():
            return query.read(answers)

    def carry_out(self, query: Query[T]) -> T:
        """Run a query that writes, as one request and one transaction, all of it or nothing."""
        if query.erases:
            self.wipe()
        answers = self._with_tables(lambda: self._batch(query.statements, None))
        with _reading():
            return query.read(answers)

    def carry_out_keyed(self: Connector[Tables], session_id: str, build: Callable[[], Sequence[Statement]]) -> None:
        """Run statements that are built for a session's data key, as it is known; where it is another by now, anew.

        Raises:
            EncryptionError: The session can't be opened with the key given, or with none.
        """
        keys, statements = self.tables.keys, build()
        known = keys.seals.key(session_id)
        try:
            return self.carry_out(unanswered(*statements))
        except Exception as error:
            if fault_of(error) != "not_null_violation":
                raise
            self.ask(keys.load(session_id))
            if keys.seals.key(session_id) == known:
                raise
        self.carry_out(unanswered(*build()))

    def commit(
        self,
        statements: Sequence[Statement],
        *,
        patient: bool = True,
        after: BaseException | None = None,
        timeout: float | None = None,
    ) -> None:
        """Run statements over rows of sessions, as one request and one transaction.

        They carry the revisions they were built on: no two such batches are alike, and the content is the key.

        Args:
            statements: At most 100.
            patient: Create missing tables, and send them again after a failure in which they may be at fault.
            after: How an attempt to send them has failed: the next one waits as long as a retry does.
            timeout: Seconds, where they are fewer than the client's own.
        """
        key = _key_of(statements) if self._takes_key else None
        if patient:
            self._with_tables(lambda: self._commit(statements, key, patient, after, timeout))
        else:
            self._commit(statements, key, patient, after, timeout)

    def commit_now(self, statements: Sequence[Statement]) -> bool:
        """Run statements as `commit` does, if that can't wait for anything; False where nothing was done."""
        return self._own is not None and self._own.commit_now(statements)

    def wipe(self) -> None:
        """What is overwritten or deleted now is to be gone from the bytes of a local file once it is closed."""
        if isinstance(self.database, Handle):
            self.database.wipe()

    @property
    def has_patience(self) -> bool:
        """Whether `commit` heeds `patient`: another library's handle sends again as it likes."""
        return self._own is not None

    def lacks_tables(self, error: BaseException) -> bool:
        """Whether a statement failed for want of what `commit` creates where it is patient."""
        return fault_of(error) == "unknown_table" or (
            self.provision is not None and getattr(error, "status", None) == 404
        )

    def _commit(
        self,
        statements: Sequence[Statement],
        key: str | None,
        patient: bool,
        after: BaseException | None,
        timeout: float | None,
    ) -> None:
        if self._own is None:
            self._batch(statements, key)
        else:
            failed = after if isinstance(after, PerSQLError) else None
            self._own.commit(statements, key=key, patient=patient, after=failed, timeout=timeout)

    def set_up(self: Connector[Tables]) -> int:
        """Create the tables, or those that are missing, or bring them to the newest layout; the layout's version.

        Raises:
            PermissionDeniedError: The token may not run DDL.
            SessionDataError: The tables were laid out by a newer version of this package.
        """
        self.ask(unanswered(), versioned=True)
        self._create_missing()
        return len(self.tables.steps)

    def _batch(self, statements: Sequence[Statement], key: str | None) -> list[list[Row]]:
        options = {} if key is None else {"idempotency_key": key}
        results: Any = self.database.batch(list(statements), transaction=True, **options)
        if type(cast("object", results)) is not list:  # asked first: the others take longer than all the rest
            if inspect.isawaitable(cast("object", results)):
                close = getattr(cast("object", results), "close", None)
                if callable(close):
                    close()
                raise TypeError(_ASYNCHRONOUS)
            if isinstance(results, Mapping):
                results = cast("Mapping[str, Any]", results).get("data")
        with _reading():
            rows = [_rows(result) for result in cast("list[Any]", results)]
        if len(rows) != len(statements):
            raise PerSQLError(_MISSHAPEN.format(f"{len(rows)} results for {len(statements)} statements"))
        return rows

    def _with_tables(self, request: Callable[[], T]) -> T:
        try:
            return request()
        except Exception as error:
            if self.provision is not None and getattr(error, "status", None) == 404:
                self.provision()
                self.provision = None
            elif fault_of(error) != "unknown_table":
                raise
            elif not self._create_tables:
                raise PermissionDeniedError(
                    f"The tables {self.tables.prefix}* don't exist in this database, and create_tables=False keeps "
                    f"them from being created. {_SET_UP}",
                    kind="unknown_table",
                ) from error
        self._lay_out(0)
        return request()

    def _bring_up(self, version: int, newest: int) -> None:
        """Bring the tables from an older layout to the newest."""
        prefix = self.tables.prefix
        if version > newest:
            raise SessionDataError(
                f"The tables {prefix}* have layout {version}, this version of strands-persql knows layouts up to "
                f"{newest}. Upgrade strands-persql, or use another table_prefix. Nothing was changed."
            )
        if not self._create_tables:
            raise SessionDataError(
                f"The tables {prefix}* have layout {version}, and create_tables=False keeps them from being brought to "
                f"layout {newest}. Open one session without it, with an admin token. Nothing was changed."
            )
        self._lay_out(version)

    def _lay_out(self, version: int) -> None:
        """Take the steps from one version to the newest, but for those that another process takes meanwhile."""
        try:
            self._create(self.tables.lay_out(version))
        except Exception as error:
            # Whoever is out of reach answers no question, and a token that may not create may not create less either.
            if isinstance(error, (TransportError, PermissionDeniedError)):
                raise
            # A column can't be added twice: these steps fail once another process has taken them.
            taken = self._steps_taken()
            if taken <= version:
                raise
            newest = len(cast("Connector[Tables]", self).tables.steps)
            if taken != newest:
                self._bring_up(taken, newest)
            elif version == 0:
                self._create_missing()

    def _create_missing(self) -> None:
        """Create the tables anew that somebody has dropped since all steps were taken."""
        statements = self.ask(cast("Connector[Tables]", self).tables.missing())
        if statements:
            self._create(statements)

    def _create(self, statements: list[Statement]) -> None:
        owner = self.database.owner if isinstance(self.database, Handle) else self.database
        try:
            owner.batch(statements, transaction=True)
        except Exception as error:
            if not isinstance(error, PermissionDeniedError) and getattr(error, "status", None) != 403:
                raise
            raise PermissionDeniedError(
                f"The tables {self.tables.prefix}* don't exist in this database, or have an older layout, and this "
                f"token may not create them. {_SET_UP}",
                status=403,
                kind="unknown_table",
                request_id=getattr(error, "request_id", None),
            ) from error

    def _steps_taken(self) -> int:
        """The version that the tables have by now; 0 where there are none, or where they have none."""
        if not isinstance(self.tables, Tables):
            return 0
        try:
            ((row,),) = self._batch([self.tables.read_version()], None)
        except Exception as error:
            if fault_of(error) == "unknown_table":
                return 0
            raise
        return number(row["version"] or 0, "The layout's row", "version")


_SET_UP = (
    "Open one session with an admin token (or run `strands-persql init` with one, where the command line is "
    "installed); after that a readwrite token is enough."
)


def _rows(result: Any) -> list[Row]:
    rows = cast("object", result["data"] if type(result) is dict or isinstance(result, Mapping) else result.data)
    if not isinstance(rows, list):
        raise TypeError
    return cast("list[Row]", rows)


@contextmanager
def _reading() -> Generator[None, None, None]:
    """Inside it, an answer is read: what it lacks is told as an error of the database."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise PerSQLError(_MISSHAPEN.format(type(error).__name__)) from error


_MISSHAPEN = (
    "The database's answer has another shape than what was asked for ({}), so a write may or may not have been carried "
    "out. Check what stands between this program and the database, and whether a row was changed by hand."
)


_ASYNCHRONOUS = (
    "The database handle is asynchronous. Pass a handle of the synchronous client, such as "
    "PerSQL(token=…).database('namespace/slug'): the session manager's hooks run off the event loop already, and a "
    "handle bound to one loop can't serve Strands, which opens a fresh loop for every agent(...) call."
)


def _checked(database: Database) -> Database:
    methods = [getattr(database, name, None) for name in ("query", "batch")]
    if not all(callable(method) for method in methods):
        hint = (
            " This looks like a client: pass client.database('namespace/slug')."
            if callable(getattr(database, "database", None))
            else ""
        )
        raise TypeError(
            f"database must have the methods query(sql, params) and batch(statements, transaction=…), as "
            f"PerSQL(…).database('namespace/slug') has; got {type(database).__name__}.{hint}"
        )
    if any(inspect.iscoroutinefunction(method) for method in methods):
        raise TypeError(_ASYNCHRONOUS)
    return database


def _parameters(method: Callable[..., object]) -> Mapping[str, object]:
    try:
        return inspect.signature(method).parameters
    except (TypeError, ValueError):
        return {}


def _key_of(statements: Sequence[Statement]) -> str:
    digest = hashlib.sha256()
    for statement in statements:
        text = "\0".join([statement["sql"], *map(str, statement.get("params", ()))])
        digest.update(text.encode("utf-8", "surrogatepass"))
    return f"strands-persql-{digest.hexdigest()}"
