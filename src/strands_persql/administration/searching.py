"""Searches the text of messages, by a full-text index where the database has one, else by looking at each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from ..database.tables import lacks_secure_deletion
from ..errors import PermissionDeniedError, SessionDataError
from .results import SearchHit, SearchResult
from .transcripts import no_session, session_message

if TYPE_CHECKING:
    from ..database.connector import Row, Store
    from ..database.tables import Search, Tables

__all__ = ["create_index", "drop_index", "has_index", "scrub_index", "search"]

PAGE = 500
"""Messages looked at in one request."""

_BEFORE, _AFTER = 60, 120
"""Characters of a snippet before and after the word found."""

_DOCUMENTS = 4
"""Messages in parts that are read in one request: each is longer than 1 MB."""

_IN_PARTS = 100
"""Of so many messages that a search may look at, one may be such a long one that no index holds."""

Key = tuple[str, str, int]
_START: Key = ("", "", -1)

_WORD = re.compile(r"[^\W_]+")
"""Letters and digits, which are what FTS5 makes words of."""


# The index


def has_index(store: Store[Tables], index: Search) -> bool:
    """Whether the database has the full-text index, and all messages are in it."""
    return index.is_complete(_names(store, index))


def _names(store: Store[Tables], index: Search) -> set[str]:
    (rows,) = store.read_versioned([store.tables.read_version(), index.find()])
    return {row["name"] for row in rows}


def create_index(store: Store[Tables], index: Search, progress: Callable[[int], None] | None) -> int:
    """Create the index where there is none, and fill it; see `PerSQLSessions.enable_search`."""
    names = _names(store, index)
    try:
        if not index.is_kept(names):
            store.write(index.create())
            # Before any trigger stands: no writer may meet an index of another making.
            store.write(index.create_triggers(scrubbing=not _deletes_securely(store, index)))
    except Exception as error:
        raise _explained(error, "create") from error
    seen = _fill(store, index, progress)
    try:
        if not index.is_complete(names):
            store.write([index.mark_filled()])
    except Exception as error:
        raise _explained(error, "create") from error
    return seen


def _fill(store: Store[Tables], index: Search, progress: Callable[[int], None] | None) -> int:
    seen, after = 0, _START
    while True:
        _, ends = store.write(index.fill(after, PAGE))
        if not ends:
            return seen
        (end,) = ends
        seen += int(end["place"])
        after = (end["session_id"], end["agent_id"], int(end["message_id"]))
        if progress is not None:
            progress(seen)
        if end["place"] < PAGE:
            return seen


def _deletes_securely(store: Store[Tables], index: Search) -> bool:
    try:
        store.write([index.delete_securely()])
    except Exception as error:
        if not lacks_secure_deletion(error):
            raise
        return False
    return True


def drop_index(store: Store[Tables], index: Search) -> None:
    """Drop the index; see `PerSQLSessions.disable_search`."""
    try:
        store.write(index.drop())
    except Exception as error:
        raise _explained(error, "drop") from error


def _explained(error: Exception, what: str) -> Exception:
    if not isinstance(error, PermissionDeniedError) and getattr(error, "status", None) != 403:
        return error
    return PermissionDeniedError(
        f"This token may not {what} the search index. Use an admin token for this one call; after that a readwrite "
        "token is enough to write, and a readonly one to search. Without an index, search looks at each message.",
        status=403,
        kind=getattr(error, "kind", None),
        request_id=getattr(error, "request_id", None),
    )


def scrub_index(store: Store[Tables], index: Search) -> None:
    """See to it that the index holds nothing of messages that were deleted."""
    if index.needs_scrubbing(_names(store, index)):
        store.write([index.scrub()])


# Searching


def search(
    store: Store[Tables], index: Search, text: str, *, session_id: str | None, limit: int, max_scanned: int
) -> SearchResult:
    """Find messages; see `PerSQLSessions.search`."""
    reads = [store.tables.read_version(), index.find()]
    if session_id is not None:
        reads.append(store.tables.sessions.read(session_id))
    found, *sessions = store.read_versioned(reads)
    if session_id is not None and not sessions[0]:
        raise no_session(session_id)
    searched = _Search(store, index, text, session_id, limit)
    if index.is_complete({row["name"] for row in found}):
        return searched.by_index(max(1, max_scanned // _IN_PARTS))
    return searched.by_scan(max_scanned)


class _Search:
    def __init__(self, store: Store[Tables], index: Search, text: str, session_id: str | None, limit: int) -> None:
        self._store = store
        self._index = index
        # FTS5 folds letters itself, and otherwise than Python: `ß` stays what it is.
        self._words = [word for word in text.split() if _WORD.search(word)]
        self._patterns = [_pattern(word) for word in self._words]
        self._session_id = session_id
        self._limit = limit

    def by_index(self, max_scanned: int) -> SearchResult:
        # Each word as a string of FTS5's, a quote doubled, and as a prefix: nothing in it is syntax. Punctuation parts
        # the string into words that have to follow each other.
        match = " ".join('"' + word.replace('"', '""').replace("\0", " ") + '"*' for word in self._words)
        rows, in_parts = self._store.read(
            self._index.search(match, session_id=self._session_id, limit=self._limit + 1),
            self._index.find_in_parts(session_id=self._session_id, limit=max_scanned + 1),
        )
        hits = [
            SearchHit(
                session_id=row["session_id"],
                agent_id=row["agent_id"],
                message_id=int(row["message_id"]),
                role=row["role"],
                snippet=" ".join(str(row["snippet"]).split()),
                created_at=row["created_at"],
                score=float(row["score"]),
            )
            for row in rows
        ]
        complete = len(hits) <= self._limit and len(in_parts) <= max_scanned
        keys = [(row["session_id"], row["agent_id"], int(row["message_id"])) for row in in_parts[:max_scanned]]
        scanned = 0
        for key, document in self._documents(keys):
            if len(hits) > self._limit:
                break
            scanned += 1
            hit = self._match(key, document) if document is not None else None
            hits += [hit] if hit is not None else []
        return SearchResult(tuple(hits[: self._limit]), "index", scanned, complete and len(hits) <= self._limit)

    def by_scan(self, max_scanned: int) -> SearchResult:
        hits: list[SearchHit] = []
        scanned = 0
        after: Key = _START if self._session_id is None else (self._session_id, "", -1)
        while scanned < max_scanned:
            asked = min(PAGE, max_scanned - scanned)
            (rows,) = self._store.read(self._index.scan(after, session_id=self._session_id, limit=asked))
            if not rows:
                return SearchResult(tuple(hits), "scan", scanned, complete=True)
            keys = [_key(row) for row in rows]
            unread = dict(self._documents([key for key, row in zip(keys, rows, strict=True) if row["unread"]]))
            for key, row in zip(keys, rows, strict=True):
                scanned += 1
                document = unread.get(key)
                hit = self._match(key, document) if document is not None else self._match_row(key, row)
                if hit is not None:
                    if len(hits) == self._limit:
                        return SearchResult(tuple(hits), "scan", scanned, complete=False)
                    hits.append(hit)
            after = keys[-1]
        (rows,) = self._store.read(self._index.scan(after, session_id=self._session_id, limit=1))
        return SearchResult(tuple(hits), "scan", scanned, complete=not rows)

    def _match_row(self, key: Key, row: Row) -> SearchHit | None:
        return self._hit(key, str(row["text"]), row["role"], row["created_at"])

    def _match(self, key: Key, document: Mapping[str, Any]) -> SearchHit | None:
        message = document["message"]
        text = "\n".join(_texts(message["content"], ()))
        return self._hit(key, text, message["role"], str(document.get("created_at", "")))

    def _hit(self, key: Key, text: str, role: str, created_at: str) -> SearchHit | None:
        folded = text.casefold()
        first, *others = [pattern.search(folded) for pattern in self._patterns]
        if first is None or not all(others):
            return None
        return SearchHit(*key, role, _snippet(text, *first.span()), created_at)

    def _documents(self, keys: list[Key]) -> Iterator[tuple[Key, Mapping[str, Any] | None]]:
        """Messages by their keys, parts joined; None for one that can't be read, or is gone."""
        for start in range(0, len(keys), _DOCUMENTS):
            some = keys[start : start + _DOCUMENTS]
            answers = self._store.read(*(each for key in some for each in self._store.tables.messages.read(*key)))
            for place, key in enumerate(some):
                rows, chunks = answers[2 * place], answers[2 * place + 1]
                try:
                    yield key, session_message(rows[0]["data"], chunks, key[1], key[2]) if rows else None
                except SessionDataError:
                    yield key, None


def _key(row: Row) -> Key:
    return row["session_id"], row["agent_id"], int(row["message_id"])


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """The strings that `Search` indexes: text blocks, the strings in tool inputs, and what tools answered."""
    if isinstance(value, str):
        in_tool = path[:2] == ("toolUse", "input") or (path[:2] == ("toolResult", "content") and "json" in path)
        if in_tool or path[-1:] == ("text",):
            yield value
    elif isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield from _texts(item, (*path, name))
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _texts(item, path)


def _pattern(word: str) -> re.Pattern[str]:
    """What finds a word in casefolded text as the index does, but that it may begin inside another."""
    return re.compile(r"[\W_]+".join(_WORD.findall(word.casefold())))


def _snippet(text: str, start: int, end: int) -> str:
    """The text round a place in it, casefolded; that may move places a little, and a snippet need not be exact."""
    begin, end = max(0, start - _BEFORE), end + _AFTER
    cut = " ".join(text[begin:end].split())
    return f"{'…' if begin else ''}{cut}{'…' if end < len(text) else ''}"
