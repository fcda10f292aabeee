"""The files that other libraries wrote, and what was imported from them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from strands_persql import PerSQL, PerSQLSessions
from strands_persql.testing import stored_rows

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.sql"))


def made(name: str, folder: Path, *, log: bool = False) -> Path:
    """One of the files, made anew of its SQL; with `log` as a writer leaves it that keeps a log beside it."""
    path = folder / f"{name}.db"
    with closing(sqlite3.connect(path)) as connection:
        if log:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript((HERE / f"{name}.sql").read_text("utf-8"))
    return path


def change(path: Path, sql: str, *params: Any) -> None:
    """Damage a file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, params)


class Imported:
    """A database into which sessions are imported, and what is then in it."""

    def __init__(self, folder: Path) -> None:
        self.client = PerSQL(local=str(folder / "imported.db"))
        self.database = self.client.database("test/agents")
        self.sessions = PerSQLSessions(self.database)
        self.sessions.list()  # the tables are there

    def said(self, session_id: str, agent_id: str = "default") -> list[tuple[str, list[Any]]]:
        """The messages of an agent: role and blocks, bytes as bytes."""
        return [
            (message.message["role"], message.message["content"])
            for page in self.sessions.transcript(session_id, agent_id)
            for message in page
        ]

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """All rows, times included."""
        return stored_rows(self.database, mask=False)
