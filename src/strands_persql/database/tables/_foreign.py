"""What is asked of the SQLite files of other libraries, whose tables are not this package's. Reads alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ._statements import Value, statement

if TYPE_CHECKING:
    from ...client import Statement


class ForeignTables:
    """The statements over a file of another library's."""

    @staticmethod
    def begin() -> Statement:
        """Begin a transaction: all that is read in it is as it was at one moment."""
        return statement("BEGIN")

    @staticmethod
    def columns() -> Statement:
        """The columns of all tables: rows of `name` and `columns`, each one's separated by commas."""
        return statement(
            "SELECT m.name AS name, group_concat(c.name, ',') AS columns "
            "FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' GROUP BY m.name"
        )

    @staticmethod
    def rows(table: str, columns: Sequence[str], *, where: Mapping[str, Value], order: Sequence[str]) -> Statement:
        """Rows of a table.

        Args:
            table: The table.
            columns: The columns to be read.
            where: The values that other columns have in those rows.
            order: The columns that the rows are sorted by; one with a `-` before it from its greatest value down.
        """
        condition = "".join(f" AND {_quoted(name)} IS ?" for name in where)
        return statement(
            f"SELECT {', '.join(map(_quoted, columns))} FROM {_quoted(table)} WHERE true{condition}{_order(order)}",
            *where.values(),
        )

    @staticmethod
    def groups(table: str, columns: Sequence[str], *, where: Mapping[str, Value]) -> Statement:
        """The values of some columns that a table holds, each once, in their order, and their `rows`."""
        condition = "".join(f" AND {_quoted(name)} IS ?" for name in where)
        names = ", ".join(map(_quoted, columns))
        return statement(
            f"SELECT {names}, count(*) AS rows FROM {_quoted(table)} WHERE true{condition} "
            f"GROUP BY {names} ORDER BY {names}",
            *where.values(),
        )


def _order(columns: Sequence[str]) -> str:
    terms = [f"{_quoted(each.removeprefix('-'))}{' DESC' if each.startswith('-') else ''}" for each in columns]
    return f" ORDER BY {', '.join(terms)}" if terms else ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
