"""Which library a SQLite file is of, and its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ....client import is_sqlite
from ....errors import SessionDataError, brief, named
from .._items import Item, Source, SourceSession
from ._adk import Adk
from ._agno import Agno
from ._langgraph import LangGraph
from ._openai_agents import OpenAIAgents
from ._sqlite import ForeignDatabase, missing, opened


class Library(Protocol):
    """One library's sessions in a file of its own."""

    @staticmethod
    def of(database: ForeignDatabase) -> Library | None:
        """The sessions in a file, if its tables are this library's."""
        ...

    def session_ids(self) -> list[str]:
        """The ids of its sessions, in order."""
        ...

    def items(self, session_id: str) -> Iterator[Item]:
        """One of its sessions.

        Raises:
            SessionDataError: Something in it can't be read.
        """
        ...


LIBRARIES: tuple[type[Library], ...] = (OpenAIAgents, LangGraph, Adk, Agno)


def is_foreign(path: Path) -> bool:
    """Whether a file is SQLite's, with the tables of a library whose sessions can be read.

    Raises:
        SessionDataError: It can't be read.
    """
    if not path.is_file() or not is_sqlite(path):
        return False
    with opened(path) as database:
        return _library(database) is not None


def _library(database: ForeignDatabase) -> Library | None:
    return next((found for found in (library.of(database) for library in LIBRARIES) if found is not None), None)


class SqliteSource(Source):
    """The sessions in the SQLite file of another library's.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def session_ids(self) -> list[str]:
        with opened(self._path) as database:
            return self._in(database).session_ids()

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
        with opened(self._path) as database:
            library = self._in(database)
            known = library.session_ids()
            if session_id is not None and session_id not in known:
                raise missing(session_id, str(self._path))
            for each in known if session_id is None else [session_id]:
                yield SourceSession(each, library.items(each))

    def _in(self, database: ForeignDatabase) -> Library:
        library = _library(database)
        if library is None:
            raise SessionDataError(
                f"{named(brief(self._path, 300))} is a SQLite file, and its tables are of no library whose sessions "
                "can be imported. Sessions of strands-persql are imported from PerSQLSessions(…) of that file."
            )
        return library
