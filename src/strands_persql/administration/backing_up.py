"""Copies a database into a file while agents use it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..client import LocalDatabase, PerSQL, is_link, is_open, is_sqlite, make_private_folder, whole
from ..database.connector import Connector
from ..database.query import unanswered
from ..database.tables import Tables, find_stored
from ..errors import SessionConflictError, named
from ..stores import create_tables
from .guards import ATTEMPTS

if TYPE_CHECKING:
    from ..client import Database
    from ..database.query import Row
    from ..database.tables import StoredTable

_ROWS = 100
"""Rows that one transaction writes."""


def back_up(store: Connector[Tables], target: str | os.PathLike[str]) -> None:
    """See `PerSQLSessions.backup`."""
    path = os.path.abspath(target)
    # A link leads somewhere else, and the log of another database would be taken into the copy.
    if is_link(path) or (os.path.exists(path) and not os.path.isfile(path)):
        raise ValueError(f"{named(str(target))} is no plain file. Name a new file for the copy, or an earlier copy.")
    if is_open(path) or os.path.exists(f"{path}-wal") or _is_file_of(store.database, path):
        raise ValueError(f"{named(str(target))} is a database that is in use. Name another file for the copy.")
    if os.path.exists(path) and os.path.getsize(path) and not is_sqlite(path):
        raise ValueError(f"{named(str(target))} exists already and is no copy of a database. Name a new file for it.")
    make_private_folder(os.path.dirname(path))
    with whole(path, over=True) as part:
        if isinstance(store.database, LocalDatabase):
            store.database.copy_to(part)
        else:
            with PerSQL(local=part) as client:
                _copy(store, client.database("local/agents"))


def _is_file_of(database: Database, path: str) -> bool:
    """Whether this is the file of a database, which is opened only when something is asked of it."""
    own = database.path if isinstance(database, LocalDatabase) else None
    return own is not None and os.path.exists(path) and os.path.exists(own) and os.path.samefile(own, path)


def _copy(source: Connector[Tables], database: Database) -> None:
    """Copy all rows into an empty database.

    Raises:
        SessionConflictError: Something was written to all the time.
    """
    prefix = source.tables.prefix
    copy = Connector(database, Tables(prefix))
    copy.set_up()
    create_tables(database, prefix)
    source.ask(unanswered(), versioned=True)
    tables = _tables(source, are_keys=False)
    for table in tables:
        _copy_table(source, copy, table)
    attempts = 0
    while changed := _changed(source, copy, tables):
        attempts += 1
        if attempts > ATTEMPTS:
            raise SessionConflictError(
                f"The database is being written to all the time (by {named(changed[0][1])}, for one), so it could not "
                "be copied. Nothing was changed by this. Try again when there is less to do.",
                session_id=changed[0][1],
                agent_id="",
            )
        for column, owner in changed:
            for table in tables:
                if table.key[0] == column:
                    copy.carry_out(table.delete(owner))
                    _copy_table(source, copy, table, owner)
    for table in _tables(source, are_keys=True):  # last: something may have been encrypted for the first time
        _copy_table(source, copy, table)


def _tables(source: Connector[Tables], *, are_keys: bool) -> list[StoredTable]:
    """The tables that there are by now: that of the stores' data keys, or all others."""
    found = source.ask(find_stored(source.tables.prefix))
    return [table for table in found if (table.name == f"{source.tables.prefix}keys") is are_keys]


def _copy_table(
    source: Connector[Tables], copy: Connector[Tables], table: StoredTable, owner: str | None = None
) -> None:
    after: Row | None = None
    while page := source.ask(table.page(after, owner)):
        after = page[-1]
        for start in range(0, len(page), _ROWS):
            copy.carry_out(table.insert(page[start : start + _ROWS]))


def _changed(
    source: Connector[Tables], copy: Connector[Tables], tables: Sequence[StoredTable]
) -> list[tuple[str, str]]:
    """Whose rows were written anew since they were copied: the column that says whose they are, and its value."""
    return sorted(
        {
            (table.key[0], owner)
            for table in tables
            if table.version
            for owner, _ in {*_versions(source, table)} ^ {*_versions(copy, table)}
        }
    )


def _versions(store: Connector[Tables], table: StoredTable) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Each row's owner, with its key and version."""
    after: Row | None = None
    while page := store.ask(table.versions(after)):
        after = page[-1]
        yield from ((row[table.key[0]], tuple(row.values())) for row in page)
