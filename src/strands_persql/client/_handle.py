"""A database handle: what is the same for a database of the service and for a local one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NoReturn

from ..errors import PerSQLError
from ._protocol import QueryResult, Statement, Value
from ._statements import Prepared, prepare, prepare_batch


class Handle(ABC):
    """A database. Made by `PerSQL.database`; safe to use from several threads.

    Attributes:
        name: `"namespace/slug"`.
        loses_answers: Whether a call may fail although its statements were carried out, because the answer was lost.
    """

    loses_answers: bool

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    @abstractmethod
    def identity(self) -> Hashable:
        """The same for all handles of one database in this process, whichever client they are of."""

    @property
    def owner(self) -> Handle:
        """The handle that may create tables in it: this one, unless that takes another token."""
        return self

    def role(self) -> str | None:
        """The token's role (`"admin"`, `"readwrite"`, `"readonly"` …); None where there is none, or nothing tells."""
        return None

    def query(self, sql: str, params: Sequence[Value] | None = ()) -> QueryResult:
        """Run one statement, in one request; it commits by itself.

        Args:
            sql: The statement, with `?` for each parameter.
            params: Its parameters, by position: str, int, float, None; a bool goes as 0 or 1.

        Returns:
            The answer; its rows stand as dicts under `"data"`.

        Raises:
            PerSQLError: The statement is refused, or the database can't be reached; see `strands_persql.errors`.
                `kind` has the service's words, for a local database too.
            TypeError, ValueError: The service can't take such parameters; nothing was sent or run.
        """
        return self._query(prepare(sql, params))

    def batch(
        self,
        statements: Sequence[Statement | Mapping[str, Any]],
        *,
        transaction: bool = False,
        idempotency_key: str | None = None,
    ) -> list[QueryResult]:
        """Run up to 100 statements, in one request.

        Args:
            statements: `{"sql": "…", "params": […]}` each (`Statement`), `params` being optional.
            transaction: Whether they succeed or fail together. Without it each commits by itself, the first failure
                ends the batch, and what came before it stays.
            idempotency_key: Names this write, so that sending it again within 24 hours, from any process, answers what
                it did the first time and doesn't run it again. The batch's content is hashed into what is sent: another
                batch never gets this one's answer. By default each call has a random key that its own retries share.
                Batches that only read are sent without any. A local database loses no answer, and ignores it.

        Returns:
            One answer per statement, in order.

        Raises:
            PerSQLError: The batch is refused, or the database can't be reached; see `strands_persql.errors`.
            TypeError, ValueError: The service can't take such statements; nothing was sent or run.
        """
        prepared = prepare_batch(statements)
        return self._batch(prepared, transaction, idempotency_key) if prepared else []

    @abstractmethod
    def commit(
        self,
        statements: Sequence[Statement],
        *,
        key: str | None = None,
        patient: bool = True,
        after: PerSQLError | None = None,
        timeout: float | None = None,
    ) -> None:
        """Run statements of this package's own making as one transaction: they are not checked again.

        Args:
            statements: 1 to 100; each has `params` that are text, numbers within 2^53, or None.
            key: As `batch` takes it.
            patient: Whether they are sent again after a failure in which they may be at fault (a 5xx, a broken
                connection); else only after 429 and connections that could not be opened.
            after: How an earlier attempt to send them has failed: the next one waits as long as a retry does.
            timeout: Seconds without any progress of an answer after which an attempt is given up, where they are fewer
                than the client's own.

        Raises:
            PerSQLError: As `batch` does.
        """

    def commit_now(self, statements: Sequence[Statement]) -> bool:
        """Run statements as `commit` does, if that can't wait for anything: for an event loop's own thread.

        Returns:
            Whether they were run; if not, nothing was done. Never over a network.

        Raises:
            Exception: They failed.
        """
        return False

    def wipe(self) -> None:
        """What has been overwritten or deleted in it is to be gone from the bytes of a local file once it is closed."""
        return

    def close(self) -> None:
        """Close its local file; the next call opens it again.

        A client closes those that were used longest ago by itself. A database of the service has nothing open that is
        its own, and one in memory stays until its client is closed.
        """
        return

    @abstractmethod
    def _query(self, statement: Prepared) -> QueryResult: ...

    @abstractmethod
    def _batch(self, statements: Sequence[Prepared], transaction: bool, key: str | None) -> list[QueryResult]: ...

    def __reduce__(self) -> NoReturn:
        raise TypeError("a database handle can't be pickled; open it anew in the other process")
