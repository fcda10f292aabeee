"""Tables with a full-text index in a database whose SQLite may lack FTS5, or some of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from ..client import logger_of
from ..database.connector import Connector
from ..database.tables import IndexedTables, MemoryTables, ObjectTables, StoreKeys

if TYPE_CHECKING:
    from ..client import Database
    from ..database.query import Query
    from ..database.tables import PageEnd

logger = logger_of(__name__)

T = TypeVar("T")
I = TypeVar("I", bound=IndexedTables)  # noqa: E741


class IndexedStore(Generic[I]):
    """The tables in one database. A request that fails for want of FTS5 is made again without what is lacking.

    Args:
        database: The handle.
        tables: The tables.
        create_tables: Create them when a statement finds none; False sends no DDL ever.

    Attributes:
        tables: The tables, with as much of an index as the database was found to have.

    Raises:
        TypeError: `database` is no synchronous database handle.
    """

    def __init__(self, database: Database, tables: I, *, create_tables: bool) -> None:
        self.tables = tables
        self._creating = Connector(database, tables, create_tables=create_tables)
        self._existing = Connector(database, tables, create_tables=False)

    def ask(self, build: Callable[[I], Query[T]], *, create_tables: bool = True) -> T:
        """Read by one request.

        Args:
            build: Makes the query; it is called again for tables that do with less.
            create_tables: False fails where there are no tables, as `fault_of` says.
        """
        return self._run(build, (self._creating if create_tables else self._existing).ask)

    def carry_out(self, build: Callable[[I], Query[T]], *, create_tables: bool = True) -> T:
        """Write by one request and transaction; otherwise as `ask`."""
        return self._run(build, (self._creating if create_tables else self._existing).carry_out)

    def _run(self, build: Callable[[I], Query[T]], send: Callable[[Query[T]], T]) -> T:
        while True:
            tables = self.tables
            query = build(tables)
            if not query.statements:
                return query.read([])
            try:
                return send(query)
            except Exception as error:
                lesser = tables.lesser(error)
                if lesser is None:
                    raise
            if lesser.lacks:
                logger.warning(
                    "table_prefix=<%s>, reason=<%s> | no full-text index is used", lesser.prefix, lesser.lacks
                )
            self.tables = self._creating.tables = self._existing.tables = lesser


def fill(
    enter: Callable[[Sequence[str | int], int], PageEnd | None],
    after: Sequence[str | int],
    limit: int,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Enter all rows that an index lacks, page by page; how many rows were looked at.

    Args:
        enter: Enters those of the page behind a key (see `Texts.fill`).
        after: The key before the first.
        limit: Rows in a page.
        progress: Called after each page with the number of rows looked at so far.
    """
    seen = 0
    while (end := enter(after, limit)) is not None:
        seen, after = seen + end.rows, end.key
        if progress is not None:
            progress(seen)
        if end.rows < limit:
            break
    return seen


def create_tables(database: Database, table_prefix: str) -> None:
    """Create the tables of objects, memories and keys where they are missing; where not, a token may lack the right."""
    IndexedStore(database, ObjectTables(table_prefix), create_tables=True).ask(ObjectTables.probe)
    IndexedStore(database, MemoryTables(table_prefix), create_tables=True).ask(MemoryTables.probe)
    keys = Connector(database, StoreKeys(table_prefix))
    keys.ask(keys.tables.wrapped())
