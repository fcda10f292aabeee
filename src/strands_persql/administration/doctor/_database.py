"""The database itself: whether it answers, what the token may do, the layout, the search index."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...client._local import LocalDatabase
from ...client._remote import RemoteDatabase
from ...database.connector import Store
from ...database.tables import Search
from ...database.tables._doctor import DoctorTables
from ...errors import PermissionDeniedError, PerSQLError
from . import _rows
from ._findings import Finding, line_of, many

if TYPE_CHECKING:
    from ...client import Database

__all__ = ["check_connection", "check_index", "check_layout", "check_role", "no_tables"]

PINGS = 3


def check_connection(store: Store[DoctorTables]) -> Finding:
    took: list[float] = []
    for _ in range(PINGS + 1):  # the first opens the connection
        begun = time.perf_counter()
        store.read(store.tables.ping())
        took.append((time.perf_counter() - begun) * 1000)
    return Finding("ok", "connection", f"answers in {statistics.median(took[1:]):.1f} ms (the first in {took[0]:.1f})")


def check_role(database: Database, store: Store[DoctorTables]) -> Finding:
    """What may be written, asked without writing."""
    if isinstance(database, LocalDatabase):
        try:
            store.write([store.tables.write_nothing()])
        except PermissionDeniedError as error:
            if error.kind == "unknown_table":
                return Finding("ok", "role", "a local file: no token is needed")
            return Finding("warning", "role", "the file can't be written to", line_of(error))
        except PerSQLError as error:
            return Finding("warning", "role", "the file can't be written to", line_of(error))
        return Finding("ok", "role", "a local file that can be written to: no token is needed")
    role = _role_of_token(database)
    if role is None:
        return Finding("info", "role", "the service doesn't tell the token's role", "")
    if role in ("admin", "owner"):
        return Finding("ok", "role", f"the token's role is {role}: it reads, writes and creates tables")
    if role in ("readwrite", "write"):
        return Finding(
            "ok", "role", f"the token's role is {role}: it reads and writes; creating tables takes an admin token"
        )
    if role in ("readonly", "read"):
        return Finding(
            "warning",
            "role",
            f"the token's role is {role}: agents can't store anything with it",
            "Give agents a token whose role is readwrite; for looking at sessions this one is enough.",
        )
    return Finding("info", "role", f"the token's role is {role!r}, which this version doesn't know")


def _role_of_token(database: Database) -> str | None:
    if not isinstance(database, RemoteDatabase):
        return None
    try:
        return database.role()
    except PerSQLError:  # a token may be good for this database and not for that question
        return None


def check_layout(store: Store[DoctorTables]) -> tuple[Finding, bool]:
    newest = len(store.tables.steps)
    prefix = store.tables.prefix
    try:
        rows = store.read(store.tables.read_version())[0]
    except PermissionDeniedError as error:
        if error.kind != "unknown_table":
            raise
        return no_tables(store, "there are no tables"), False
    version = rows[0]["version"] if rows else None
    if version == newest:
        return Finding("ok", "layout", f"tables {prefix}* have layout {version}, the newest"), True
    if version is None:
        return no_tables(store, "the table of layouts is empty"), True
    if version > newest:
        remedy = "Upgrade strands-persql; nothing else of this database was looked at."
        return Finding("error", "layout", f"tables {prefix}* have layout {version}, newer than {newest}", remedy), False
    return (
        Finding(
            "warning",
            "layout",
            f"tables {prefix}* have layout {version}, older than {newest}",
            "Run `strands-persql init` with an admin token.",
            mending=tuple(store.tables.lay_out(int(version))),
        ),
        True,
    )


def no_tables(store: Store[DoctorTables], what: str) -> Finding:
    return Finding(
        "error",
        "layout",
        f"{what} ({store.tables.prefix}*)",
        "Run `strands-persql init` with an admin token, or name the right database and table prefix.",
        mending=tuple(store.tables.lay_out()),
    )


def check_index(store: Store[DoctorTables]) -> Iterator[Finding]:
    """Whether the full-text index, where there is one, has all messages."""
    state = store.ask(Search(store.tables.prefix).find())
    if not state.begun:
        return
    remedy = "Run `strands-persql index on` with an admin token: it goes on where it was cut off."
    if not state.complete:
        yield Finding(
            "warning", "search-index", "the search index was never finished, so nothing is found by it", remedy
        )
        return
    lacking = 0
    after: tuple[str, str, int] | None = ("", "", -1)
    while after is not None:
        rows = store.read(store.tables.unindexed(after, _rows.PAGE))[0]
        lacking += sum(bool(row["lacking"]) for row in rows)
        last = rows[-1] if len(rows) == _rows.PAGE else None
        after = None if last is None else (last["session_id"], last["agent_id"], last["message_id"])
    if lacking:
        yield Finding("warning", "search-index", f"the search index lacks {many(lacking, 'message')}", remedy)
    else:
        yield Finding("ok", "search-index", "the search index has every message")
