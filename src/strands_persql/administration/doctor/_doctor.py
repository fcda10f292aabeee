"""The functions for users: examine a database, and mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ...database.connector import Connector
from ...database.query import each
from ...database.tables import DoctorTables, Tables
from ...errors import PermissionDeniedError, PerSQLError
from ._database import LAY_OUT, check_connection, check_index, check_layout, check_mode, check_role, no_tables
from ._findings import Finding, line_of
from ._rows import Rows

if TYPE_CHECKING:
    from ...client import Database
    from ...encryption import Encryption

MENDED_TOGETHER = 40
"""Findings mended in one request and transaction: each takes two statements at most, of 100 in a batch."""


def diagnose(
    database: Database,
    *,
    table_prefix: str = "strands_",
    session_id: str | None = None,
    progress: Callable[[int], None] | None = None,
    encryption: Encryption | None = None,
) -> list[Finding]:
    """Examine a database, or one session of it, and change nothing.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK. A readonly token is enough.
        table_prefix: Starts the name of each table, as the session managers have it.
        session_id: Look at the rows of this session alone.
        progress: Called after each page with the number of rows looked at so far.
        encryption: The keys of sessions that are encrypted; of those that it can't open nothing is looked at.

    Returns:
        What was found. That the database can't be reached, or has no tables, is a finding too.

    Raises:
        TypeError: `database` is no synchronous handle.
        ValueError: `table_prefix` is not safe inside SQL.
        PerSQLError: The database refused a request while rows were examined.
    """
    return list(
        examine(database, table_prefix=table_prefix, session_id=session_id, progress=progress, encryption=encryption)
    )


def examine(
    database: Database,
    *,
    table_prefix: str = "strands_",
    session_id: str | None = None,
    progress: Callable[[int], None] | None = None,
    encryption: Encryption | None = None,
) -> Iterator[Finding]:
    """The findings of `diagnose` one by one, as they are found."""
    store = Connector(database, DoctorTables(table_prefix, encryption, mixed=True), create_tables=False)
    return _examine(database, store, session_id, progress or (lambda _: None))


def mend(
    database: Database,
    findings: Iterable[Finding],
    *,
    table_prefix: str = "strands_",
    progress: Callable[[int], None] | None = None,
) -> list[Finding]:
    """Mend what can be mended without a loss: findings that are `mendable`, as far as they still hold.

    Args:
        database: The handle that was examined. A layout takes an admin token, all else a readwrite one.
        findings: What to mend; the rest is left alone.
        table_prefix: As it was examined.
        progress: Called after each request with the number of findings dealt with so far.

    Returns:
        What was mended. A finding whose rows somebody else has changed meanwhile is not among it.

    Raises:
        PerSQLError: The database refused a request; what was mended before it stays mended.
    """
    store = Connector(database, DoctorTables(table_prefix), create_tables=False)
    todo = [(finding, finding.mending) for finding in findings if finding.mending is not None]
    todo.sort(key=lambda pair: pair[1] is not LAY_OUT)
    mended: list[Finding] = []
    done = 0
    while todo[done:]:
        if todo[done][1] is LAY_OUT:
            batch, changed = todo[done : done + 1], [True]
            Connector(database, Tables(table_prefix)).set_up()
        else:
            batch = todo[done : done + MENDED_TOGETHER]
            changed = store.carry_out(each([mending for _, mending in batch]))
        mended += [finding for (finding, _), is_changed in zip(batch, changed, strict=True) if is_changed]
        done += len(batch)
        if progress is not None:
            progress(done)
    return mended


def _examine(
    database: Database, store: Connector[DoctorTables], session_id: str | None, progress: Callable[[int], None]
) -> Iterator[Finding]:
    try:
        yield check_connection(store)
    except Exception as error:
        if not isinstance(error, PerSQLError) and getattr(error, "status", None) is None:
            raise
        yield Finding("error", "connection", "the database can't be used", line_of(error))
        return
    yield check_role(database, store)
    yield from check_mode(database)
    layout, is_readable = check_layout(store)
    yield layout
    if not is_readable:
        return
    try:
        yield from Rows(store, session_id, progress).findings()
        if session_id is None:
            yield from check_index(store)
    except PermissionDeniedError as error:
        if error.kind != "unknown_table":
            raise
        yield no_tables(store.tables.prefix, "of the tables some are missing")
