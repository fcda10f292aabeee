"""What the package asks of a database handle: two methods, and the shapes of statements and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, runtime_checkable

if TYPE_CHECKING:
    from typing_extensions import NotRequired

Value: TypeAlias = "str | int | float | bool | None"
"""What a parameter may be. A bool goes as 0 or 1; bytes have no form in JSON and are refused."""


class Statement(TypedDict):
    """One statement of a batch: `{"sql": "…", "params": […]}`, `params` being optional."""

    sql: str
    params: NotRequired[Sequence[Value]]


class QueryResult(TypedDict):
    """What one statement answers.

    `data` is always there: the rows as dicts by column name. The other keys hold the same rows by position (`columns`,
    `rows`), the service's billing counters (`rows_read`, `rows_written`: rows and index rows; a local database leaves
    `rows_read` out) and its cost envelope (`meta`, as the service gives it).
    """

    data: list[dict[str, Any]]
    columns: NotRequired[list[str]]
    rows: NotRequired[list[list[Any]]]
    rows_read: NotRequired[int]
    rows_written: NotRequired[int]
    meta: NotRequired[dict[str, Any]]


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
