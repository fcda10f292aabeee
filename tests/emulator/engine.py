"""One database: SQLite as a Durable Object runs it, with its limits and refusals."""

from __future__ import annotations

import re
import sqlite3
import threading
from pathlib import Path
from typing import Any

from .billing import Touched, entries, rows_read, rows_written
from .details import of_sql

MAX_PARAMS = 100
MAX_SQL_BYTES = 100_000
MAX_ROW_BYTES = 2_000_000
MAX_COLUMNS = 100
MAX_COMPOUND_TERMS = 5
MAX_FUNCTION_ARGUMENTS = 32
MAX_PATTERN_BYTES = 50
EXACT = 2**53

_TEMPORARY = {
    sqlite3.SQLITE_CREATE_TEMP_INDEX,
    sqlite3.SQLITE_CREATE_TEMP_TABLE,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
    sqlite3.SQLITE_CREATE_TEMP_VIEW,
}
_REFUSED_ACTIONS = {
    sqlite3.SQLITE_TRANSACTION,
    sqlite3.SQLITE_SAVEPOINT,
    sqlite3.SQLITE_PRAGMA,
    sqlite3.SQLITE_ATTACH,
    sqlite3.SQLITE_DETACH,
    *_TEMPORARY,
}
_REFUSED_FUNCTIONS = {"sqlite_version", "sqlite_source_id", "load_extension"}


def verb_of(sql: str) -> str:
    """The first word of a statement, comments skipped."""
    text = re.sub(r"^(?:\s+|--[^\n]*\n?|/\*.*?\*/)*?(?=\S)(?!--|/\*)", "", sql, flags=re.DOTALL)
    match = re.match(r"[A-Za-z]+", text)
    return match[0].upper() if match else ""


class Engine:
    """One database file.

    Args:
        path: The file.
        doubles: Whether numbers are bound as doubles, as the engine's JavaScript API binds them: 1 arrives as 1.0,
            which an INTEGER column stores as 1, but `json_array(?)`, a TEXT column or a column without a type show it.
    """

    def __init__(self, path: Path, *, doubles: bool = True) -> None:
        self.path = path
        self.doubles = doubles
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=0, timeout=10
        )
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = OFF")
        run("PRAGMA foreign_keys = ON")
        self._setlimits()
        self._plans: dict[tuple[str, int], tuple[list[str], set[str]]] = {}
        # A connection that one thread closes while another one's statement runs takes the process with it.
        self._lock = threading.Lock()
        self._closed = False

    def run(self, statements: list[tuple[str, list[Any]]], *, transaction: bool) -> list[dict[str, Any]]:
        """Run statements in order.

        Without a transaction, each commits by itself and the first failure ends the run (not documented).

        Raises:
            Refused: For a statement that fails, and for all once the file is closed.
        """
        with self._lock:
            if self._closed:
                raise of_sql("the database is closed", "")
            return self._run_all(statements, transaction=transaction)

    def _run_all(self, statements: list[tuple[str, list[Any]]], *, transaction: bool) -> list[dict[str, Any]]:
        if not transaction:
            return [self._run(sql, params) for sql, params in statements]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            results = [self._run(sql, params) for sql, params in statements]
            self._connection.execute("COMMIT")
            return results
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file, once the statements under way have ended."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _run(self, sql: str, params: list[Any]) -> dict[str, Any]:
        verb = verb_of(sql)
        bound = [self._bind(value, verb) for value in params]
        if len(sql.encode()) > MAX_SQL_BYTES:
            raise of_sql("statement too long", verb)
        if len(params) > MAX_PARAMS:
            raise of_sql("too many SQL variables", verb)
        if sum(len(value.encode()) for value in bound if isinstance(value, str)) > MAX_ROW_BYTES:
            raise of_sql("string or blob too big", verb)
        touched, refusals = Touched(), list[str]()
        had = entries(self._connection, sql)
        before, schema = self._connection.total_changes, self._schema_version()
        plan, sizes = self._explain(sql, bound, verb, schema)
        self._connection.set_authorizer(self._authorizer(touched, refusals))
        try:
            cursor = self._connection.execute(sql, bound)
            rows = cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise of_sql(refusals[0] if refusals else str(error), verb) from error
        finally:
            self._connection.set_authorizer(_allow)
        changed = self._connection.total_changes - before
        touched.schema = touched.schema and self._schema_version() != schema
        columns = [column[0] for column in cursor.description or []]
        return {
            "columns": columns,
            "rows": [[_as_javascript(value, verb) for value in row] for row in rows],
            "rowsRead": rows_read(plan, sizes, sql, max(len(rows), changed)),
            "rowsWritten": rows_written(self._connection, touched, changed, entries(self._connection, sql) - had),
        }

    def _explain(self, sql: str, bound: list[Any], verb: str, schema: int) -> tuple[list[str], dict[str, int]]:
        """The query plan, and how many rows each table has that it touches; nothing for what can't be explained."""
        if verb not in ("SELECT", "WITH", "UPDATE", "DELETE", "INSERT"):
            return [], {}
        if (sql, schema) not in self._plans:
            self._plans[sql, schema] = self._planned(sql, bound)
        plan, tables = self._plans[sql, schema]
        scanned = any(line.startswith("SCAN") for line in plan)
        return plan, {
            table: self._connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] if scanned else 0
            for table in tables
        }

    def _planned(self, sql: str, bound: list[Any]) -> tuple[list[str], set[str]]:
        """The query plan, and the tables that it touches."""
        touched = Touched()
        self._connection.set_authorizer(self._authorizer(touched, []))
        try:
            plan = [row[3] for row in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", bound)]
        except (sqlite3.Error, sqlite3.Warning):
            return [], set()
        finally:
            self._connection.set_authorizer(_allow)
        names = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return plan, touched.tables & names

    def _authorizer(self, touched: Touched, refusals: list[str]) -> Any:
        def authorize(action: int, first: str | None, second: str | None, *_: Any) -> int:
            if action == sqlite3.SQLITE_PRAGMA and (first, second) == ("data_version", None):
                return sqlite3.SQLITE_OK  # FTS5's own, by which it sees that its pages were changed elsewhere
            if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _REFUSED_FUNCTIONS:
                refusals.append(f"not authorized to use function: {second}")
            elif action in _REFUSED_ACTIONS or (first or "").startswith("_cf_"):
                refusals.append("not authorized: SQLITE_AUTH")
            elif action == sqlite3.SQLITE_CREATE_VTABLE and (second or "").lower() not in ("fts5", "fts5vocab"):
                refusals.append(f"not authorized: virtual table module {second}")
            else:
                touched.note(action, first, second)
                return sqlite3.SQLITE_OK
            return sqlite3.SQLITE_DENY

        return authorize

    def _bind(self, value: Any, verb: str) -> Any:
        """A parameter as it gets from JSON through JavaScript into SQLite."""
        if value is None or isinstance(value, str):
            # A lone surrogate does not survive the way to UTF-8.
            return value if value is None else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise of_sql(f"unsupported parameter type: {type(value).__name__}", verb, "type_mismatch")
        number = float(value)
        if self.doubles or not number.is_integer():
            return number
        return int(number)

    def _schema_version(self) -> int:
        return int(self._connection.execute("PRAGMA schema_version").fetchone()[0])

    def _setlimits(self) -> None:
        """Let SQLite itself keep the limits, where Python can tell it (3.11 on)."""
        setlimit = getattr(self._connection, "setlimit", None)
        if setlimit is None:
            return
        for name, limit in {
            "LENGTH": MAX_ROW_BYTES,
            "SQL_LENGTH": MAX_SQL_BYTES + 100,  # room for EXPLAIN QUERY PLAN
            "VARIABLE_NUMBER": MAX_PARAMS,
            "COLUMN": MAX_COLUMNS,
            "COMPOUND_SELECT": MAX_COMPOUND_TERMS,
            "FUNCTION_ARG": MAX_FUNCTION_ARGUMENTS,
            "LIKE_PATTERN_LENGTH": MAX_PATTERN_BYTES,
            "ATTACHED": 0,
        }.items():
            setlimit(getattr(sqlite3, f"SQLITE_LIMIT_{name}"), limit)


def _allow(*_: object) -> int:
    """The authorizer while no statement runs; Python 3.10 can't take one away again."""
    return sqlite3.SQLITE_OK


def _as_javascript(value: Any, verb: str) -> Any:
    """A value as JavaScript would print it: numbers are doubles, and 1.0 is 1."""
    if isinstance(value, bytes):
        raise of_sql("BLOB columns are not supported; store base64 text", verb, "type_mismatch")
    if isinstance(value, int) and not -EXACT <= value <= EXACT:
        value = float(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return value
