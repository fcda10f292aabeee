"""What a statement costs: PerSQL's meters (requests, rows read, rows written) and their prices.

How rows are counted. The service reports the engine's own counters, which plain SQLite does not show, so:

- **Rows written**: every row inserted, updated or deleted, and every row of an index that goes along. A rowid table
  whose primary key is not an INTEGER has an index for it, so an insert counts 2; a `WITHOUT ROWID` table is its own
  primary key, so an insert counts 1. An update touches the indexes over a column it sets. Of an index with a condition
  an insert or a deletion counts the rows that came or went. What triggers and foreign
  keys change is counted as if it were the statement's own table. A statement that changes the schema counts 1.
- **Rows read**: for each table that the query plan scans, all its rows; for what it looks up by an index, the rows that
  come out (returned, updated or deleted). So an aggregate over an index range counts less here than it would there.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

PRICE_OF_A_REQUEST = 0.5e-6
PRICE_OF_A_ROW_READ = 0.005e-6
PRICE_OF_A_ROW_WRITTEN = 2e-6


@dataclass
class Bill:
    """What a namespace has used."""

    requests: int = 0
    rows_read: int = 0
    rows_written: int = 0

    @property
    def dollars(self) -> float:
        """Its price by PerSQL's list (docs.persql.com, platform/billing), storage aside."""
        return (
            self.requests * PRICE_OF_A_REQUEST
            + self.rows_read * PRICE_OF_A_ROW_READ
            + self.rows_written * PRICE_OF_A_ROW_WRITTEN
        )


class Touched:
    """What a statement touches, as SQLite's authorizer reports it while compiling."""

    def __init__(self) -> None:
        self.written: str | None = None
        self.inserts = False
        self.deletes = False
        self.set_columns: set[str] = set()
        self.tables: set[str] = set()
        self.schema = False

    def note(self, action: int, first: str | None, second: str | None) -> None:
        """Take one of the authorizer's calls."""
        if action == sqlite3.SQLITE_READ and first:
            self.tables.add(first)
        if action not in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE) or not first:
            return
        if first.startswith("sqlite_"):
            self.schema = True
            return
        self.tables.add(first)
        self.written = self.written or first
        if first == self.written:
            self.inserts = self.inserts or action == sqlite3.SQLITE_INSERT
            self.deletes = self.deletes or action == sqlite3.SQLITE_DELETE
            if action == sqlite3.SQLITE_UPDATE and second:
                self.set_columns.add(second)


def entries(connection: sqlite3.Connection, sql: str) -> int:
    """How many rows those indexes have that a condition limits, of the table that a statement writes to."""
    written = re.match(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)", sql, re.IGNORECASE)
    if written is None:
        return 0
    conditions = connection.execute(
        "SELECT substr(sql, instr(sql, ' WHERE ')) FROM sqlite_master "
        "WHERE type = 'index' AND tbl_name = ? AND instr(sql, ' WHERE ') > 0",
        (written[1],),
    ).fetchall()
    counts = (f"SELECT count(*) FROM {written[1]} {condition}" for (condition,) in conditions)
    return sum(int(connection.execute(count).fetchone()[0]) for count in counts)


def rows_written(connection: sqlite3.Connection, touched: Touched, changed: int, entered: int = 0) -> int:
    """How many rows, index rows included, a statement wrote that changed so many rows.

    Args:
        connection: The database.
        touched: What the statement touches.
        changed: The rows that it changed.
        entered: The rows that it added to the indexes that a condition limits, or took away (less than 0).
    """
    if touched.schema:
        return 1
    if not changed or touched.written is None:
        return changed
    indexes = connection.execute(
        "SELECT name, instr(coalesce(sql, ''), ' WHERE ') FROM sqlite_master WHERE type = 'index' AND tbl_name = ?",
        (touched.written,),
    ).fetchall()
    if touched.inserts or touched.deletes:
        return changed * (1 + sum(not limited for _, limited in indexes)) + abs(entered)
    # One without columns of its own name is over an expression: taken as touched.
    columns = [_columns(connection, name) for name, _ in indexes]
    return changed * (1 + sum(None in each or bool(each & touched.set_columns) for each in columns))


def rows_read(plan: list[str], sizes: dict[str, int], sql: str, came_out: int) -> int:
    """How many rows a statement read.

    Args:
        plan: The lines of its query plan.
        sizes: The rows of each table it touches.
        sql: Its text, to find the table behind an alias.
        came_out: The rows it returned or changed.
    """
    read, looked_up = 0, False
    for line in plan:
        match = re.match(r"(SCAN|SEARCH) (?:TABLE )?(\S+)", line)
        if match is None or "VIRTUAL TABLE" in line:
            continue
        table = match[2] if match[2] in sizes else _behind(match[2], sizes, sql)
        if table is None:
            continue
        if match[1] == "SCAN":
            read += sizes[table]
        else:
            looked_up = True
    return read + (came_out if looked_up else 0)


def _behind(alias: str, sizes: dict[str, int], sql: str) -> str | None:
    for table in sizes:
        if re.search(rf"\b{re.escape(table)}[\"\]`]?\s+(?:AS\s+)?{re.escape(alias)}\b", sql, re.IGNORECASE):
            return table
    return None


def _columns(connection: sqlite3.Connection, index: str) -> set[str | None]:
    return {row[0] for row in connection.execute("SELECT name FROM pragma_index_info(?)", (index,))}
