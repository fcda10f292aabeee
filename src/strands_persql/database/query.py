"""Statements together with the reader of their answers. Pure: no I/O.

A builder in `tables` returns a `Query`: whoever runs it gets one named result, and never counts positions in a list of
answers. Several queries make one (`together`), which is still one request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

if TYPE_CHECKING:
    from ..client import Statement

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Sequence[Row]
Answers: TypeAlias = Sequence[Rows]
"""The rows of each statement of a request, in their order."""

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
T = TypeVar("T")


@dataclass(frozen=True)
class Query(Generic[T]):
    """The statements of one request, and what their answers say.

    Attributes:
        statements: At most 100.
        read: Makes the result of the answers, one list of rows for each statement.
        erases: Whether what it deletes is to be gone from the bytes of a local file, too.
    """

    statements: Sequence[Statement]
    read: Callable[[Answers], T]
    erases: bool = False


@overload
def together(first: Query[A], second: Query[B], /) -> Query[tuple[A, B]]: ...
@overload
def together(first: Query[A], second: Query[B], third: Query[C], /) -> Query[tuple[A, B, C]]: ...
@overload
def together(first: Query[A], second: Query[B], third: Query[C], fourth: Query[D], /) -> Query[tuple[A, B, C, D]]: ...
def together(*queries: Query[Any]) -> Query[Any]:
    """Several queries as one request; the results of each."""
    return Query(each(queries).statements, lambda answers: tuple(each(queries).read(answers)))


def each(queries: Sequence[Query[T]]) -> Query[list[T]]:
    """Any number of queries of one kind as one request; the results in their order."""

    def read(answers: Answers) -> list[T]:
        rows = iter(answers)
        return [query.read(list(islice(rows, len(query.statements)))) for query in queries]

    return Query([statement for query in queries for statement in query.statements], read)


def rows_as(kind: Callable[..., T], statement: Statement) -> Query[list[T]]:
    """A statement whose rows are each one `kind`, made of the row's columns by their names."""
    return Query([statement], lambda answers: [kind(**row) for row in answers[0]])


def unanswered(*statements: Statement) -> Query[None]:
    """Statements whose answers tell nothing."""
    return Query(statements, lambda answers: None)
