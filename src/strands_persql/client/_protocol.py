"""What the package asks of a database: two methods, and the shapes that go in and come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypedDict, runtime_checkable

__all__ = ["Database", "QueryResult", "Statement", "Value"]

Value: TypeAlias = "str | int | float | bool | None"
"""What a parameter may be. A bool goes as 0 or 1; bytes have no form in JSON and are refused."""


class _Sql(TypedDict):
    sql: str


class Statement(_Sql, total=False):
    """One statement of a batch: `{"sql": "…", "params": […]}`, `params` being optional."""

    params: Sequence[Value]


class _Data(TypedDict):
    data: list[dict[str, Any]]


class QueryResult(_Data, total=False):
    """What one statement answers.

    `data` is always there: the rows as dicts by column name. The other keys hold the same rows by position (`columns`,
    `rows`), the service's billing counters (`rows_read`, `rows_written`: rows and index rows; a local database leaves
    `rows_read` out) and its cost envelope (`meta`, as the service gives it).
    """

    columns: list[str]
    rows: list[list[Any]]
    rows_read: int
    rows_written: int
    meta: dict[str, Any]


@runtime_checkable
class Database(Protocol):
    """A database handle: this package's own (`PerSQL.database`), or one of PerSQL's SDK.

    The parameters are typed `Any` and by position, so a handle that takes lists, dicts or tuples of its own typing,
    under names of its own, fits. No more than `["data"]` is read of an answer.
    """

    def query(self, sql: str, params: Any = ..., /) -> Mapping[str, Any]:
        """Run one statement; its answer holds the rows as dicts under `"data"`."""
        ...

    def batch(self, statements: Any, /, *, transaction: bool = ...) -> Sequence[Mapping[str, Any]]:
        """Run several statements in one request; one answer per statement, in order."""
        ...
