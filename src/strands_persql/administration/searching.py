"""Searches the text of messages: by a full-text index where the database has one, else by reading all messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ..database.decoding import shown
from ..database.query import Query, each, together, unanswered
from ..database.tables import (
    EXCERPT,
    MessageKey,
    ObjectTables,
    Ownership,
    Within,
    find_indexes,
    lacks_secure_deletion,
    without_deleted_words,
)
from ..errors import PermissionDeniedError, SessionDataError
from ..stores import fill
from .missing import no_session
from .results import SearchHit, SearchResult

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.decoding import StoredMessage
    from ..database.query import Answers
    from ..database.tables import FoundMessage, ScannedMessage, Search, Tables

PAGE = 500
"""Messages looked at in one request."""

_BEFORE, _AFTER = 60, 120
"""Characters of a snippet before and after the word found."""

_DOCUMENTS = 4
"""Messages in parts that are read in one request: each is longer than 1 MB."""

_IN_PARTS = 100
"""A search may read one of the messages in parts, which no index holds, for so many others that it may scan."""

_START = MessageKey("", "", -1)

_WORD = re.compile(r"[^\W_]+")
"""Letters and digits, which are what FTS5 makes words of."""


# The index


def has_index(store: Connector[Tables], index: Search) -> bool:
    """Whether the database has the full-text index, and all messages are in it."""
    return bool(store.ask(index.find(), versioned=True))


def create_index(store: Connector[Tables], index: Search, progress: Callable[[int], None] | None) -> int:
    """Create the index where there is none, and fill it; see `PerSQLSessions.enable_search`."""
    is_complete = store.ask(index.find(), versioned=True)
    with explained("create"):
        if not is_complete:
            try:
                store.carry_out(unanswered(*index.create(secure=True)))
            except Exception as error:
                if not lacks_secure_deletion(error):
                    raise
                store.carry_out(unanswered(*index.create(secure=False)))
    seen = fill(lambda after, limit: store.carry_out(index.fill(after, limit)), _START, PAGE, progress)
    with explained("create"):
        if not is_complete:
            store.carry_out(index.mark_complete())
    return seen


def drop_index(store: Connector[Tables], index: Search) -> None:
    """Drop the index; see `PerSQLSessions.disable_search`."""
    with explained("drop"):
        store.carry_out(index.drop())


@contextmanager
def explained(what: str, which: str = "search index") -> Generator[None, None, None]:
    """Say what to do about a token that may not run DDL."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, PermissionDeniedError) and getattr(error, "status", None) != 403:
            raise
        raise PermissionDeniedError(
            f"This token may not {what} the {which}. Use an admin token for this one call; after that a readwrite "
            "token is enough to write, and a readonly one to read. Without an index, more rows are looked at.",
            status=403,
            kind=getattr(error, "kind", None),
            request_id=getattr(error, "request_id", None),
        ) from error


def scrub_index(store: Connector[Tables], index: Search) -> None:
    """Clear the indexes of the words of deleted messages and objects, where SQLite has not done it."""
    names = store.ask(find_indexes(index.name, ObjectTables(store.tables.prefix).index_name), versioned=True)
    if names:
        store.carry_out(unanswered(*map(without_deleted_words, names)))


# Searching


def search(
    store: Connector[Tables], index: Search, text: str, within: Within, *, limit: int, max_scanned: int
) -> SearchResult:
    """Find messages; see `PerSQLSessions.search`."""
    session_id = within.session_id
    if session_id is None:
        is_complete = store.ask(index.find(), versioned=True)
    else:
        is_complete, session = store.ask(together(index.find(), store.tables.sessions.read(session_id)), versioned=True)
        if session is None:
            raise no_session(session_id)
    searched = _Search(store, index, text, within, limit, max_scanned)
    return searched.by_index() if is_complete else searched.by_scan()


def search_chosen(
    store: Connector[Tables], index: Search, text: str, within: Within, *, limit: int, max_scanned: int
) -> SearchResult:
    """Find messages by reading those of chosen sessions alone, whatever index there is; see `UserSessions.search`."""
    more = within.session_id is None and store.ask(index.has_more_sessions(within.user), versioned=True)
    found = _Search(store, index, text, within, limit, max_scanned).by_scan()
    return replace(found, complete=found.complete and not more)


class _Search:
    def __init__(
        self,
        store: Connector[Tables],
        index: Search,
        text: str,
        within: Within,
        limit: int,
        max_scanned: int,
    ) -> None:
        self._store = store
        self._index = index
        # FTS5 folds letters by its own rules, not by Python's: to it, `ß` is no `ss`.
        self._words = [word for word in text.split() if _WORD.search(word)]
        self._patterns = [_pattern(word) for word in self._words]
        self._within = within
        self._session_id = within.session_id
        self._limit = limit
        self._max_scanned = max_scanned
        self._scanned = 0
        self._long = 0  # of those scanned, how many were in parts

    def by_index(self) -> SearchResult:
        most_in_parts = max(1, self._max_scanned // _IN_PARTS)
        pieces = [piece for word in self._words for piece in _WORD.findall(word.lower())]
        # SQLite knows no case but ASCII's.
        pieces = [piece for piece in pieces if piece.isascii() or piece.upper() == piece]
        found, in_parts, page = self._store.ask(
            together(
                self._index.search(
                    self._words, session_id=self._session_id, limit=self._limit + 1, around=_first(self._words[0])
                ),
                self._index.find_in_parts(session_id=self._session_id, limit=most_in_parts + 1),
                self._scan(self._start, holding=pieces),
            )
        )
        hits = {_key(hit): hit for hit in map(self._found, found)}
        for key, document in self._documents(in_parts[:most_in_parts]):
            if len(hits) > self._limit:
                break
            self._scanned += 1
            hit = self._match(key, document) if document is not None else None
            if hit is not None:
                hits[key] = hit
        while page and len(hits) <= self._limit and self._scanned < self._max_scanned:
            for hit in self._matching(page):
                hits.setdefault(_key(hit), hit)
            page = self._store.ask(self._scan(page[-1].key, holding=pieces))
        complete = len(hits) <= self._limit and len(in_parts) <= most_in_parts and not page
        return SearchResult(tuple(hits.values())[: self._limit], "index", self._scanned, complete)

    def by_scan(self) -> SearchResult:
        hits: list[SearchHit] = []
        page = self._store.ask(self._scan(self._start))
        while page:
            read = page[: self._affordable(page)]
            hits += self._matching(read)
            if len(hits) > self._limit or len(read) < len(page) or self._left <= 0:
                page = read
                break
            page = self._store.ask(self._scan(page[-1].key))
        complete = len(hits) <= self._limit and (not page or not self._store.ask(self._scan(page[-1].key, most=1)))
        return SearchResult(tuple(hits[: self._limit]), "scan", self._scanned, complete)

    @property
    def _start(self) -> MessageKey:
        return _START if self._session_id is None else MessageKey(self._session_id, "", -1)

    @property
    def _left(self) -> int:
        """How many messages may still be scanned; one in parts counts as several."""
        return self._max_scanned - self._scanned - (_IN_PARTS - 1) * self._long

    def _affordable(self, page: Sequence[ScannedMessage]) -> int:
        """How many of a page's messages may be scanned; of a search one at least."""
        left = self._left
        for number, message in enumerate(page):
            left -= _IN_PARTS if message.in_parts else 1
            if left < 0 and (number or self._scanned):
                return number
        return len(page)

    def _scan(
        self, after: MessageKey, *, most: int = PAGE, holding: Sequence[str] | None = None
    ) -> Query[list[ScannedMessage]]:
        limit = max(1, min(most, self._left))
        return self._index.scan(after, within=self._within, limit=limit, holding=holding)

    def _matching(self, page: Sequence[ScannedMessage]) -> Iterator[SearchHit]:
        """Those of a page that hold all words."""
        documents = dict(self._documents([message.key for message in page if message.unread]))
        for message in page:
            self._scanned += 1
            self._long += message.in_parts
            document = documents.get(message.key)
            if document is not None:
                hit = self._match(message.key, document)
            else:
                hit = self._hit(message.key, message.text, message.role, message.created_at)
            if hit is not None:
                yield hit

    def _found(self, message: FoundMessage) -> SearchHit:
        place = self._patterns[0].search(message.excerpt.casefold())
        snippet = _snippet(message.excerpt, *(place.span() if place is not None else (0, 0)))
        cut = "" if len(message.excerpt) < EXCERPT or snippet.startswith("…") else "…"
        ids = (message.session_id, message.agent_id, message.message_id)
        return SearchHit(*ids, message.role, cut + snippet, message.created_at, message.score)

    def _match(self, key: MessageKey, document: Mapping[str, Any]) -> SearchHit | None:
        message = shown(document)
        text = "\n".join(_texts(message["content"], ()))
        return self._hit(key, text, message["role"], str(document.get("created_at", "")))

    def _hit(self, key: MessageKey, text: str, role: str, created_at: str) -> SearchHit | None:
        folded = text.casefold()
        first, *others = self._patterns
        place = first.search(folded)
        if place is None or not all(other.search(folded) for other in others):
            return None
        return SearchHit(*key, role, _snippet(text, *place.span()), created_at)

    def _documents(self, keys: Sequence[MessageKey]) -> Iterator[tuple[MessageKey, Mapping[str, Any] | None]]:
        """Messages by their keys, parts joined; None for one that can't be read, or is gone."""
        for start in range(0, len(keys), _DOCUMENTS):
            some = keys[start : start + _DOCUMENTS]
            found = self._store.ask(each([self._read(key) for key in some]))
            for key, stored in zip(some, found, strict=True):
                try:
                    yield key, None if stored is None else stored.record()
                except SessionDataError:
                    yield key, None

    def _read(self, key: MessageKey) -> Query[StoredMessage | None]:
        """One message whole; None where it is gone, or has become another user's."""
        message = self._store.tables.messages.read(*key)
        if self._within.user is None:
            return message
        theirs = Ownership(self._store.tables, key.session_id, self._within.user).look(versioned=False)
        both = together(theirs, message)

        def read(answers: Answers) -> StoredMessage | None:
            standing, stored = both.read(answers)
            return None if standing is None else stored

        return Query(both.statements, read)


def _key(hit: SearchHit) -> MessageKey:
    return MessageKey(hit.session_id, hit.agent_id, hit.message_id)


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


def _first(word: str) -> str:
    """The first letters and digits of a word."""
    found = _WORD.search(word)
    return found[0] if found else word


def _pattern(word: str) -> re.Pattern[str]:
    """What finds a word in casefolded text as the index does; unlike there, the word may begin inside another."""
    return re.compile(r"[\W_]+".join(_WORD.findall(word.casefold())))


def _snippet(text: str, start: int, end: int) -> str:
    """The text round a place, which may be a little off: it was found in the casefolded text."""
    begin, end = max(0, start - _BEFORE), end + _AFTER
    cut = " ".join(text[begin:end].split())
    return f"{'…' if begin else ''}{cut}{'…' if end < len(text) else ''}"
