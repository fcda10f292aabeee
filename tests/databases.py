"""Database handles for tests: real SQLite, with faults, records, and another library's looks."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from strands_persql import Database, PerSQL

Fault = Literal["before", "after", "late"]
"""What may go wrong with a request.

- `before`: it never reached the database.
- `after`: it was carried out, and its answer was lost.
- `late`: its answer was lost, and it is carried out only once the next request has been.
"""


class Lost(Exception):
    """No answer came."""


class Faulty:
    """A handle whose requests fail as planned, and which remembers what was sent.

    Attributes:
        faults: What goes wrong with the n-th request from now, counted from 1.
        sent: Every batch that was sent, failed ones too.
        done: The batches that the database carried out.
    """

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.faults: dict[int, Fault] = {}
        self.sent: list[list[Mapping[str, Any]]] = []
        self.done: list[list[Mapping[str, Any]]] = []
        self._late: list[list[Mapping[str, Any]]] = []
        self._count = 0

    def plan(self, faults: Mapping[int, Fault]) -> None:
        """Set the faults of the requests to come."""
        self._count = 0
        self.faults = dict(faults)

    def query(self, sql: str, params: Sequence[Any] = ()) -> Mapping[str, Any]:
        """One statement; it never fails."""
        return self.inner.query(sql, params)

    def batch(self, statements: Sequence[Mapping[str, Any]], *, transaction: bool = False) -> Sequence[Any]:
        """One request, with its fault."""
        assert transaction, "every batch is one transaction"
        assert len(statements) <= 100, "PerSQL takes 100 statements"
        self._count += 1
        self.sent.append(list(statements))
        fault = self.faults.pop(self._count, None)
        if fault == "late":
            self._late.append(list(statements))
            raise Lost("late")
        if fault == "before":
            raise Lost("before")
        try:
            answers = self.inner.batch(statements, transaction=True)
            self.done.append(list(statements))
        finally:
            self.arrive()
        if fault == "after":
            raise Lost("after")
        return answers

    def arrive(self) -> None:
        """Carry out what was late."""
        late, self._late = self._late, []
        for statements in late:
            try:
                self.inner.batch(statements, transaction=True)
            except Exception:
                continue
            self.done.append(statements)


class ForeignError(Exception):
    """Another library's error: SQLite's text is all it carries."""


class Bare:
    """A handle in the shape of PerSQL's SDK: no idempotency keys, plain dicts, errors of a class of its own."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._connection.close)  # Python 3.13 warns of one that is left open

    def query(self, sql: str, params: Sequence[Any] = ()) -> dict[str, Any]:
        """One statement."""
        return self._run({"sql": sql, "params": params})

    def batch(self, statements: Sequence[Mapping[str, Any]], *, transaction: bool = False) -> list[dict[str, Any]]:
        """Several statements, in a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            answers = [self._run(statement) for statement in statements]
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return answers

    def _run(self, statement: Mapping[str, Any]) -> dict[str, Any]:
        try:
            cursor = self._connection.execute(statement["sql"], tuple(statement.get("params", ())))
        except sqlite3.Error as error:
            raise ForeignError(str(error)) from None
        names = [column[0] for column in cursor.description or ()]
        return {"data": [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]}


def local() -> Database:
    """A fresh local database of this package's own client, in memory."""
    database: Any = PerSQL(local=":memory:").database("test/unit")
    weakref.finalize(database, database._store.close)  # Python 3.13 warns of one that is left open
    opened: Database = database
    return opened


HANDLES: dict[str, Callable[[], Database]] = {"PerSQL": local, "SDK-shaped": Bare}


def table(database: Any, name: str, *, prefix: str = "strands_") -> list[dict[str, Any]]:
    """All rows of a table, in the order of its key."""
    return list(database.query(f"SELECT * FROM {prefix}{name}")["data"])
