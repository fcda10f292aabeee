"""A SQLite file of another library's, opened for reading alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ....client import uri_of
from ....database.tables import ForeignTables
from ....errors import SessionDataError, named
from .._items import Document, malformed

if TYPE_CHECKING:
    from ....client import Statement

_WAL = 2
"""What stands at byte 18 of a file whose writers keep a log beside it.

Source: https://sqlite.org/fileformat2.html, "File format version numbers".
"""


class ForeignDatabase:
    """The tables of such a file, as they are at one moment.

    Args:
        connection: To the file.
        name: Its path, for errors.

    Attributes:
        tables: The columns of each table.
        name: Its path, for errors.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self.name = name
        list(self._run(ForeignTables.begin()))
        columns = self._run(ForeignTables.columns())
        self.tables: dict[str, frozenset[str]] = {row["name"]: frozenset(row["columns"].split(",")) for row in columns}

    def table(self, *columns: str) -> str | None:
        """The first table that has these columns, whatever it is called."""
        return next((name for name, found in sorted(self.tables.items()) if found >= set(columns)), None)

    def rows(
        self, table: str, columns: Sequence[str], *, order: Sequence[str] = (), **where: str | int | None
    ) -> Iterator[Mapping[str, Any]]:
        """Rows of a table, each read as it is asked for.

        Args:
            table: The table.
            columns: The columns to be read.
            order: The columns that the rows are sorted by; one with a `-` before it from its greatest value down.
            **where: The values that other columns have in those rows.
        """
        return self._run(ForeignTables.rows(table, columns, where=where, order=order))

    def groups(self, table: str, *columns: str, **where: str | int | None) -> list[Mapping[str, Any]]:
        """The values of some columns that a table holds, each once, in their order, and their `rows`."""
        return list(self._run(ForeignTables.groups(table, columns, where=where)))

    def _run(self, statement: Statement) -> Iterator[Mapping[str, Any]]:
        try:
            cursor = self._connection.execute(statement["sql"], tuple(statement.get("params", ())))
            names = [column[0] for column in cursor.description or ()]
            for row in cast("Iterable[tuple[Any, ...]]", cursor if names else ()):
                yield dict(zip(names, row, strict=True))
        except sqlite3.Error as error:
            raise malformed(self.name, _why(error)) from None


@contextmanager
def opened(path: Path) -> Generator[ForeignDatabase, None, None]:
    """Open a file, and write nothing to it, nor beside it.

    Raises:
        SessionDataError: It can't be read.
    """
    with open(path, "rb") as file:
        header = file.read(20)
    log = path.with_name(f"{path.name}-wal")
    # SQLite makes files beside one with a log even if it only reads. Where there is no log nobody has it open, and
    # nothing can change under the reader.
    is_at_rest = header[18:19] == bytes([_WAL]) and not (log.exists() and log.stat().st_size)
    uri = f"{uri_of(path.resolve())}?{'immutable=1' if is_at_rest else 'mode=ro'}"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise malformed(str(path), _why(error)) from None
    with closing(connection):
        yield ForeignDatabase(connection, str(path))


def _why(error: sqlite3.Error) -> str:
    """What SQLite says, unless it may hold content."""
    words = str(error)
    if words.startswith("Could not decode"):
        return "it holds a text that is not UTF-8"
    if "readonly" in words:
        return (
            "its last writer ended in the middle of a transaction, which only a program that may write can take back: "
            "open it once with the library that it is of"
        )
    return f"SQLite can't read it ({words})"


def json_of(value: object, where: str) -> Any:
    """A column that holds JSON, decoded; None where it holds nothing. A text in JSON that is JSON itself counts as one.

    Raises:
        SessionDataError: It holds something else.
    """
    if value is None:
        return None
    try:
        found = json.loads(value) if isinstance(value, (str, bytes)) else value
        # Some releases encode twice: a JSON column of SQLAlchemy's that is given a text.
        return json.loads(found) if isinstance(found, str) and found[:1] in ("{", "[") else found
    except (ValueError, RecursionError):
        raise malformed(where, "it is no JSON") from None


def object_of(value: object, where: str) -> Document:
    """A column that holds a JSON object, or nothing.

    Raises:
        SessionDataError: It holds something else.
    """
    found = json_of(value, where)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise malformed(where, f"it is no JSON object but {type(found).__name__}")
    return cast("Document", found)


def objects_of(value: object, where: str) -> list[Document]:
    """A column that holds a list of JSON objects, or nothing.

    Raises:
        SessionDataError: It holds something else.
    """
    found = json_of(value, where)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in cast("list[Any]", found)):
        raise malformed(where, "it is no list of JSON objects")
    return cast("list[Document]", found)


def missing(session_id: str, name: str) -> SessionDataError:
    """The error for a session that a file does not hold."""
    return SessionDataError(f"{named(name)} holds no session {named(session_id)} to import.")
