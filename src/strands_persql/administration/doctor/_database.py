"""The database itself: whether it answers, what the token may do, the layout, the search index."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...client import Handle, LocalDatabase
from ...database.connector import Connector
from ...database.query import Query
from ...database.tables import DoctorTables, Search
from ...errors import PermissionDeniedError, PerSQLError, named
from ..values import many
from . import _pages
from ._findings import Finding, line_of

if TYPE_CHECKING:
    from ...client import Database

LAY_OUT: Query[bool] = Query([], lambda answers: True)
"""The mending of a layout: the tables are laid out as by whoever opens a session, step by step."""

PINGS = 3


def check_connection(store: Connector[DoctorTables]) -> Finding:
    """How fast the database answers."""
    took: list[float] = []
    for _ in range(PINGS + 1):  # the first opens the connection
        begun = time.perf_counter()
        store.ask(store.tables.ping())
        took.append((time.perf_counter() - begun) * 1000)
    return Finding("ok", "connection", f"answers in {statistics.median(took[1:]):.1f} ms (the first in {took[0]:.1f})")


def check_role(database: Database, store: Connector[DoctorTables]) -> Finding:
    """What may be written, asked without writing."""
    if isinstance(database, LocalDatabase):
        try:
            store.carry_out(store.tables.write_nothing())
        except PerSQLError as error:
            if not isinstance(error, PermissionDeniedError) or error.kind != "unknown_table":
                return Finding("warning", "role", "the file can't be written to", line_of(error))
            return Finding("ok", "role", "a local file: no token is needed")
        return Finding("ok", "role", "a local file that can be written to: no token is needed")
    role = _role_of_token(database)
    if role is None:
        return Finding("info", "role", "the service doesn't tell the token's role")
    if role in _CAN:
        return Finding("ok", "role", f"the token's role is {role}: {_CAN[role]}")
    if role not in ("readonly", "read"):
        return Finding("info", "role", f"the token's role is {named(role)}, which this version doesn't know")
    return Finding(
        "warning",
        "role",
        f"the token's role is {role}: agents can't store anything with it",
        "Give agents a token whose role is readwrite; for looking at sessions this one is enough.",
    )


_WRITES = "it reads and writes; creating tables takes an admin token"
_CREATES = "it reads, writes and creates tables"
_CAN = {"admin": _CREATES, "owner": _CREATES, "readwrite": _WRITES, "write": _WRITES}


def _role_of_token(database: Database) -> str | None:
    try:
        return database.role() if isinstance(database, Handle) else None
    except PerSQLError:  # a token may be good for this database and not for that question
        return None


def check_mode(database: Database) -> Iterator[Finding]:
    """Whether a local file is its owner's alone, as one is that this package has made."""
    path = database.path if isinstance(database, LocalDatabase) else None
    mode = os.stat(path).st_mode & 0o777 if path and os.name == "posix" else 0
    if mode & 0o077:
        yield Finding(
            "warning",
            "file-mode",
            f"the file's mode is {mode:04o}: others than its owner may read what is stored",
            f"Run `chmod 600 {path}`, and the same for {path}-wal and {path}-shm where they exist.",
        )


def check_layout(store: Connector[DoctorTables]) -> tuple[Finding, bool]:
    """Whether the tables have the newest layout, and whether they can be read."""
    newest = len(store.tables.steps)
    prefix = store.tables.prefix
    try:
        version = store.ask(store.tables.version())
    except PermissionDeniedError as error:
        if error.kind != "unknown_table":
            raise
        return no_tables(prefix, "there are no tables"), False
    if version is None:
        return no_tables(prefix, "the table of layouts is empty"), True
    if version == newest:
        return Finding("ok", "layout", f"tables {prefix}* have layout {version}, the newest"), True
    if version > newest:
        remedy = "Upgrade strands-persql; nothing else of this database was looked at."
        return Finding("error", "layout", f"tables {prefix}* have layout {version}, newer than {newest}", remedy), False
    old = Finding(
        "warning",
        "layout",
        f"tables {prefix}* have layout {version}, older than {newest}",
        "Run `strands-persql init` with an admin token.",
        mending=LAY_OUT,
    )
    return old, True


def no_tables(prefix: str, what: str) -> Finding:
    """The finding for tables that are missing."""
    return Finding(
        "error",
        "layout",
        f"{what} ({prefix}*)",
        "Run `strands-persql init` with an admin token, or name the right database and table prefix.",
        mending=LAY_OUT,
    )


def check_index(store: Connector[DoctorTables]) -> Iterator[Finding]:
    """Whether the full-text index, where there is one, has all messages."""
    is_complete = store.ask(Search(store.tables.prefix).find())
    if is_complete is None:
        return
    remedy = "Run `strands-persql index on` with an admin token: it goes on where it was cut off."
    if not is_complete:
        yield Finding(
            "warning", "search-index", "the search index was never finished, so nothing is found by it", remedy
        )
        return
    page = store.ask(store.tables.unindexed(("", "", -1), _pages.PAGE))
    lacking = page.lacking
    while page.last is not None:
        page = store.ask(store.tables.unindexed(page.last, _pages.PAGE))
        lacking += page.lacking
    if lacking:
        yield Finding("warning", "search-index", f"the search index lacks {many(lacking, 'message')}", remedy)
    else:
        yield Finding("ok", "search-index", "the search index has every message")
