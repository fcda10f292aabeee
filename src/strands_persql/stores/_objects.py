"""Objects in the database: written, read, listed and searched by blocking calls, for worker threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..database.decoding import sealed_error
from ..database.encoding import SEALED
from ..database.faults import fault_of
from ..database.query import Query, unanswered
from ..database.tables import Encoded, ObjectTables, decoded, drop_broken_off, first_number
from ..errors import named
from ._indexed import IndexedStore, fill

if TYPE_CHECKING:
    from ..client import Database, Statement
    from ..database.tables import KeyScore, KeySize, ObjectRows, PageEnd
    from ._sealed import ObjectSeals

T = TypeVar("T")

PARTS_A_REQUEST = 4
"""Parts, of a megabyte at most each, that one request writes or reads: PerSQL names no limit of a request's body."""

MOST_PARTS = 1 << 20
"""Parts that a value may have; a row that names more is damaged."""

KEYS_A_PAGE = 2_000
"""Keys that one request lists."""

KEYS_A_BATCH = 45
"""Objects that one request reads, or enters into the index."""

MOST_FOUND = 1_000
"""The most that a search by the index answers."""

ATTEMPTS = 5
MOST_READS = 100
"""How often a value in parts is written or read from the start, when another writer gets in between."""


class UnreadableError(Exception):
    """What is stored is no value."""


class Objects:
    """The objects of one table prefix; each method is one request or, where it says so, several.

    Args:
        database: The handle.
        prefix: Starts the names of the tables.
        index: Keep a full-text index.
        create_tables: Create the tables when a write finds none.
        seals: What seals the values; None: they are stored in clear.
    """

    def __init__(
        self,
        database: Database,
        prefix: str,
        *,
        index: bool = False,
        create_tables: bool = True,
        seals: ObjectSeals | None = None,
    ) -> None:
        self._seals = seals
        self._store = IndexedStore(database, ObjectTables(prefix, indexed=index), create_tables=create_tables)
        self._unindexed = Objects(database, prefix, create_tables=create_tables) if index else self

    @property
    def indexed(self) -> bool:
        """Whether a full-text index is kept."""
        return self._store.tables.indexed

    def write(self, key: str, data: bytes) -> None:
        """Store a value; more than one request where it is longer than a few megabytes."""
        for attempt in range(1, ATTEMPTS + 1):
            first = first_number()
            stored, guards = (data, []) if self._seals is None else self._seals.seal(key, data)
            value = replace(Encoded.of(stored), size=len(data))
            try:
                return self._write(key, value, first, guards)
            except Exception as error:
                fault = fault_of(error)
                if guards and fault == "not_null_violation" and self._seals is not None and self._seals.reload(key):
                    continue
                if len(value.parts) == 1 or fault not in ("unique_violation", "not_null_violation"):
                    raise
                # Somebody deleted the key while this was under way; or it was carried out, and its answer lost.
                if fault == "not_null_violation" and self._is_stored(key, value, first):
                    return None
                # Else parts of another write have these numbers, and they are left alone.
                if attempt == ATTEMPTS:
                    raise

    def replace(self, key: str, change: Callable[[bytes, str], tuple[bytes, int] | None]) -> bool:
        """Store another value in the place of one, unless somebody else does meanwhile: then that one is read.

        Args:
            key: The key.
            change: Given what is stored and the key, what is to be, and the bytes of it as it is to be read; or None
                for what is there.

        Returns:
            Whether another one was stored.

        Raises:
            UnreadableError: What is stored is no value.
        """
        for attempt in range(1, ATTEMPTS + 1):
            rows = self._rows(key)
            changed = None if rows is None else change(self._value(rows.encoding, rows.all), key)
            if rows is None or changed is None:
                return False
            first, value = first_number(), replace(Encoded.of(changed[0]), size=changed[1])
            try:
                self._write(key, value, first, [self._store.tables.unchanged(key, rows)], erases=True)
                return True
            except Exception as error:
                fault = fault_of(error)
                if fault not in ("unique_violation", "not_null_violation"):
                    raise
                if fault == "not_null_violation" and self._is_stored(key, value, first):
                    return True
                if attempt == ATTEMPTS:
                    raise
        return False

    def drop_broken_off(self, session_id: str | None) -> None:
        """Delete what is left of broken-off writes of a session's objects, or of those that are no session's."""
        self._ask(lambda tables: drop_broken_off(tables.prefix, session_id))

    def _is_stored(self, key: str, value: Encoded, first: int) -> bool:
        """Whether a value of several parts is stored after all, by an attempt whose answer was lost; if not, drop them.

        Those of the value that is stored must not go.
        """
        if len(value.parts) == 1:
            return False
        written = range(first, first + len(value.parts) - 1)
        return self._store.carry_out(partial(ObjectTables.drop_unnamed, key=key, numbers=written))

    def _write(
        self, key: str, value: Encoded, first: int, guards: Sequence[Statement], *, erases: bool = False
    ) -> None:
        parts = list(enumerate(value.parts[1:], first))
        # The last request writes the first part, which makes the value visible, whole; it takes further parts along.
        early = max(0, len(parts) - (PARTS_A_REQUEST - 1))
        for start in range(0, early, PARTS_A_REQUEST):
            batch = parts[start : min(start + PARTS_A_REQUEST, early)]
            self._store.carry_out(partial(ObjectTables.put_parts, key=key, parts=batch))

        def put(tables: ObjectTables) -> Query[None]:
            query = unanswered(*guards, *tables.put(key, value, first, parts[early:]).statements)
            return replace(query, erases=erases)

        self._store.carry_out(put)

    def read(self, key: str) -> bytes | None:
        """Read a value; more than one request where it is longer than a few megabytes."""
        rows = self._rows(key)
        return None if rows is None else self._decoded(key, rows.encoding, rows.all)

    def _rows(self, key: str) -> ObjectRows | None:
        """All rows of a value."""
        incomplete: range | None = None
        for _ in range(MOST_READS):
            found = self._ask(lambda tables: tables.read(key, PARTS_A_REQUEST))
            if found is None:
                return None
            if len(found.numbers) <= MOST_PARTS and self._read_rest(key, found.numbers, found.parts):
                return found
            if found.numbers == incomplete:
                break  # nobody is writing it anew
            incomplete = found.numbers
        raise UnreadableError(
            f"parts of it are missing in the table {self._store.tables.table}. Write it anew, or delete it."
        )

    def _read_rest(self, key: str, of: range, parts: dict[int, str]) -> bool:
        """Read the parts that are lacking; whether all are there, which they aren't where the key is written anew."""
        missing = [number for number in of if number not in parts]
        for at in range(0, len(missing), PARTS_A_REQUEST):
            wanted = missing[at : at + PARTS_A_REQUEST]
            numbers = range(wanted[0], wanted[-1] + 1)
            found = self._ask(partial(ObjectTables.read_parts, key=key, numbers=numbers))
            parts.update(found or {})
            if not parts.keys() >= set(wanted):
                return False
        return True

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes | UnreadableError]:
        """Read values, by one request and one for each that is in parts; what can't be read is an error."""
        values: dict[str, bytes | UnreadableError] = {}
        for found in self._ask(lambda tables: tables.read_many(keys)) or ():
            try:
                value = (
                    self.read(found.key) if found.parts > 1 else self._decoded(found.key, found.encoding, [found.data])
                )
            except UnreadableError as error:
                values[found.key] = error
            else:
                if value is not None:
                    values[found.key] = value
        return values

    def _decoded(self, key: str, encoding: str, parts: Sequence[str]) -> bytes:
        value = self._value(encoding, parts)
        if self._seals is not None:
            return self._seals.open(key, value)
        if value.startswith(SEALED.encode()):
            raise sealed_error(f"Object {named(key)}")
        return value

    def _value(self, encoding: str, parts: Sequence[str]) -> bytes:
        """A value as it is stored."""
        try:
            return decoded(encoding, parts)
        except ValueError as error:
            raise UnreadableError(
                f"its row in the table {self._store.tables.table} holds {error}. Write it anew, or delete it."
            ) from error

    def delete(self, key: str) -> None:
        """Delete a value."""
        try:
            self._store.carry_out(lambda tables: tables.delete(key), create_tables=False)
        except Exception as error:
            if fault_of(error) != "unknown_table":
                raise
            if self.indexed:  # there may be objects and no index yet
                self._unindexed.delete(key)

    def list_keys(self, prefix: str) -> list[KeySize]:
        """List the keys that begin with a prefix; a request a page."""
        return [each for page in self.pages(prefix) for each in page]

    def pages(self, prefix: str) -> Iterator[list[KeySize]]:
        """The same, page by page."""
        page: list[KeySize] = []
        while True:
            after = page[-1].key if page else None
            page = self._ask(partial(ObjectTables.list_keys, prefix=prefix, after=after, limit=KEYS_A_PAGE)) or []
            yield page
            if len(page) < KEYS_A_PAGE:
                return

    def search(self, words: Sequence[str], prefix: str) -> list[KeyScore] | None:
        """Search by the index; None where there is none."""
        return self._ask(lambda tables: tables.search(words, prefix, MOST_FOUND)) if words else []

    def fill_index(self) -> None:
        """Enter the objects that the index lacks; several requests."""
        fill(self._fill, ("",), KEYS_A_BATCH)
        self._store.carry_out(ObjectTables.scrub)

    def _fill(self, after: Sequence[str | int], limit: int) -> PageEnd | None:
        def build(tables: ObjectTables) -> Query[PageEnd | None]:
            return tables.texts.fill(after, limit) if tables.indexed else Query((), lambda answers: None)

        return self._store.carry_out(build)

    def _ask(self, build: Callable[[ObjectTables], Query[T]]) -> T | None:
        """What a query finds; None where there is no table: a token that may only read can't create one."""
        try:
            return self._store.ask(build, create_tables=False)
        except Exception as error:
            if fault_of(error) != "unknown_table":
                raise
            return None
