"""The part of the administrative face that searches the text of messages, and keeps the indexes that are opt-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..database.connector import Connector
from ..database.tables import Search, Tables, Within
from ..engine.options import checked_session_id
from ..errors import EncryptionError
from . import arguments, recency, searching
from .results import SearchResult

if TYPE_CHECKING:
    from ..client import Database
    from ..encryption import Encryption


class Searchable:
    """A database of sessions, and its opt-in indexes; see `PerSQLSessions`."""

    def __init__(
        self,
        database: Database,
        *,
        table_prefix: str = "strands_",
        create_tables: bool = True,
        encryption: Encryption | None = None,
    ) -> None:
        self._store = Connector(database, Tables(table_prefix, encryption), create_tables=create_tables)
        self._index = Search(table_prefix)

    def search(
        self,
        text: str,
        *,
        session_id: str | None = None,
        user: str | None = None,
        tag: str | None = None,
        limit: int = 20,
        max_scanned: int = 10_000,
    ) -> SearchResult:
        """Messages that hold all words of a text, whatever their case.

        With the index of `enable_search`: words that begin with the given ones, best match first; after these come
        messages that hold Chinese, Thai or another script without spaces between words, in which words are found
        wherever they stand. Without it messages are scanned in the order of session, agent and position, and words are
        found inside others too. Either way what is searched is the text of messages, the input of tool uses and the
        text of tool results.

        Args:
            text: Words, at most 20. Nothing in it is syntax.
            session_id: Search this session alone.
            user: Search this user's sessions alone, the newest 1,000: messages are scanned then, also with an index.
            tag: Search sessions with this tag alone, likewise; of all users the first 1,000 sessions are looked at.
            limit: The most hits, 1 to 1000.
            max_scanned: The most messages to read without an index, where one stored in parts (longer than a row may
                be) counts as 100; with one, the most of those that hold all words and a script without spaces, and a
                hundredth of it of those stored in parts, which no index holds.

        Raises:
            ValueError: `text` holds no word or too many, or a number is out of range.
            SessionException: There is no such session.
            EncryptionError: A key was given: what is encrypted can't be searched.
        """
        self._check_searchable()
        words, limit = arguments.words("text", text), arguments.count("limit", limit)
        max_scanned = arguments.count("max_scanned", max_scanned, most=None)
        within = Within(
            None if session_id is None else checked_session_id(session_id),
            None if user is None else arguments.text("user", user),
            None if tag is None else arguments.text("tag", tag),
        )
        search = searching.search_chosen if within.is_chosen else searching.search
        return search(self._store, self._index, words, within, limit=limit, max_scanned=max_scanned)

    def has_search(self) -> bool:
        """Whether the database has the full-text index, with every message in it; one request."""
        return searching.has_index(self._store, self._index)

    def enable_search(self, *, progress: Callable[[int], None] | None = None) -> int:
        """Create the full-text index, and fill it with what is stored; takes an admin token.

        From then on triggers keep it current, whoever writes. Run again after an interruption, it goes on; until
        it has run to its end, `search` looks at each message.

        Each new message then writes about eleven rows where it wrote one (measured with SQLite 3.40 and messages of 50
        words), and its text is stored a second time. What is rewritten, erased or deleted leaves the index for good:
        at once from SQLite 3.42 on, as PerSQL has it; before, in that the index is merged, which takes the longer the
        larger it is. A local file whose index was made by 3.42 or later can't be written to by older ones.

        Args:
            progress: Called after each page with the number of messages looked at so far.

        Returns:
            How many messages were looked at.

        Raises:
            PermissionDeniedError: The token may not run DDL.
            EncryptionError: A key was given: what is encrypted can't be searched.
        """
        self._check_searchable()
        return searching.create_index(self._store, self._index, progress)

    def _check_searchable(self) -> None:
        if self._store.tables.seals.is_on:
            raise EncryptionError(
                "What is encrypted can't be searched: no index holds its words, and the database can't read it. "
                "Nothing was sent. Search the sessions that are stored in clear without the key, or decrypt those to "
                "be searched."
            )

    def disable_search(self) -> None:
        """Drop the full-text index, its triggers and all that it holds; nothing else. Takes an admin token."""
        searching.drop_index(self._store, self._index)

    def has_recent(self) -> bool:
        """Whether all sessions are kept in the order of their last activity; one request."""
        return recency.has_recency(self._store)

    def enable_recent(self, *, progress: Callable[[int], None] | None = None) -> int:
        """Keep all sessions in the order of their last activity, for `list(order="recent")`; takes an admin token.

        From then on triggers note, at most once in 5 minutes, that a session is active, whoever writes. Run again after
        an interruption, it goes on. A session that is nobody's then costs 2 rows more when it begins, and 2 more in 5
        minutes of activity; one with a user 1 more, where it cost 1 or 2.

        Args:
            progress: Called after each page with the number of sessions looked at so far.

        Returns:
            How many sessions were looked at.

        Raises:
            PermissionDeniedError: The token may not run DDL.
        """
        return recency.keep_recency(self._store, progress)

    def disable_recent(self) -> None:
        """Drop that index and its triggers; nothing else. Takes an admin token."""
        recency.drop_recency(self._store)
