"""Seals what is stored besides sessions: a session's objects with its data key, all else with one of the store's."""

from __future__ import annotations

import hmac
import json
import threading
from secrets import token_bytes
from typing import TYPE_CHECKING

from strands.types.session import Session, SessionType

from ..client import survive_forks
from ..database.about import About
from ..database.connector import Connector
from ..database.data_keys import store_context
from ..database.encoding import encode
from ..database.faults import fault_of
from ..database.sealing import KEY_BYTES, Cipher, is_sealed, place, unopened
from ..database.tables import FoundMemory, MemoryText, StoreKeys, Tables, object_place, require, session_of
from ..database.vault import Vault
from ..errors import EncryptionError, named

if TYPE_CHECKING:
    from ..client import Database, Statement
    from ..encryption import Encryption


class StoreKey:
    """The data key of a store, read when it is used first.

    Args:
        database: The handle.
        prefix: Starts the name of each table.
        name: The store's.
        encryption: What wraps it.
    """

    def __init__(self, database: Database, prefix: str, name: str, encryption: Encryption) -> None:
        self._store = Connector(database, StoreKeys(prefix))
        self._name = name
        self._encryption = encryption
        self._key: tuple[bytes, Cipher] | None = None
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child process has locks of its own."""
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return self._read() is not None

    @property
    def cipher(self) -> Cipher:
        """What seals with it; the first time it is read, or made."""
        return self._loaded()[1]

    def digest(self, text: str) -> bytes:
        """A hash of a text that nobody makes without the key."""
        return hmac.digest(self._loaded()[0], text.encode(), "sha256")

    def _loaded(self) -> tuple[bytes, Cipher]:
        with self._lock:
            if self._key is None:
                context = store_context(self._name)
                stored = self._read()
                if stored is None:
                    made = self._encryption.wrapped(token_bytes(KEY_BYTES), context)
                    stored = self._store.carry_out(self._store.tables.begin(self._name, made))
                data_key = self._encryption.unwrapped(stored, context, f"The store {named(self._name)}")
                self._key = (data_key, Cipher(self._encryption.aead(data_key), context))
            return self._key

    def _read(self) -> str | None:
        try:
            return self._store.ask(self._store.tables.read(self._name))
        except Exception as error:
            if fault_of(error) != "unknown_table":
                raise
            return None


class MemorySeals:
    """Seals the memories of one store and scope.

    Args:
        key: The data key of all memories under one prefix.
        name: The store.
        scope: Whose memories.
    """

    def __init__(self, key: StoreKey, name: str, scope: str) -> None:
        self._key, self._name, self._scope = key, name, scope

    def number(self, content: str, salt: int) -> int:
        """The id of a content; without the key nobody can tell whether a text is among the memories."""
        text = json.dumps([self._name, self._scope, content, salt])
        return int.from_bytes(self._key.digest(text)[:8], "big") >> 12

    def seal(self, number: int, text: MemoryText) -> MemoryText:
        """A memory as it is stored: no word of it stands beside it."""
        metadata = None if text.metadata is None else self._sealed(number, text.metadata, "metadata")
        return text._replace(content=self._sealed(number, text.content, "content"), words="", metadata=metadata)

    def open(self, row: FoundMemory) -> FoundMemory:
        """A stored memory, opened.

        Raises:
            EncryptionError: It can't be opened.
        """
        metadata = None if row.metadata is None else self.opened(row.id, row.metadata, "metadata")
        return row._replace(content=self.opened(row.id, row.content, "content"), metadata=metadata)

    def opened(self, number: int, sealed: str, column: str) -> str:
        """One column of a stored memory, opened; raises as `open` does."""
        try:
            return self._key.cipher.open(sealed, self._place(number, column))
        except ValueError as error:
            raise unopened(f"Memory {number:013x} of the store {named(self._name)}", error, column) from None

    def _sealed(self, number: int, text: str, column: str) -> str:
        return self._key.cipher.seal(text, self._place(number, column))

    def _place(self, number: int, column: str) -> str:
        return place("memories", self._name, self._scope, number, column)


class ObjectSeals:
    """Seals objects.

    Args:
        database: The handle.
        prefix: Starts the name of each table.
        encryption: What wraps the data keys.
        about: What a session is begun with of which an object is stored before anything else is.
        mixed: Take the objects of sessions that are stored in clear as they are.
    """

    def __init__(
        self,
        database: Database,
        prefix: str,
        encryption: Encryption,
        about: About | None = None,
        *,
        mixed: bool = False,
    ) -> None:
        self._store = Connector(database, Tables(prefix, encryption, mixed=mixed))
        self._free = StoreKey(database, prefix, "objects", encryption)
        self._about = about or About()
        self._loaded: set[str] = set()

    def seal(self, key: str, data: bytes) -> tuple[bytes, list[Statement]]:
        """A value as it is stored, and the conditions under which it is: its session's data key is still the same."""
        session_id = session_of(key)
        if session_id is None:
            return self._free.cipher.seal_bytes(data, object_place(key)).encode(), []
        self._load(session_id)
        tables = self._store.tables
        fields = Session(session_id=session_id, session_type=SessionType.AGENT).to_dict()
        begun = tables.sessions.ensure(session_id, encode(fields, what=f"session {named(session_id)}"), self._about)
        sealed = self._cipher(session_id).seal_bytes(data, object_place(key)).encode()
        return sealed, [begun, require(tables, tables.keys.held, *tables.keys.bounds(session_id))]

    def open(self, key: str, stored: bytes) -> bytes:
        """The value.

        Raises:
            EncryptionError: It can't be opened.
        """
        text, session_id = stored.decode("utf-8", "replace"), session_of(key)
        if session_id is not None:
            self._load(session_id)
        if not is_sealed(text):
            if session_id is not None and self._store.tables.mixed and self._key(session_id) is None:
                return stored
            raise EncryptionError(
                f"Object {named(key)} is stored in clear, and a key was given. Nothing was changed. Read it without "
                "the key, and write it anew with it; or encrypt its session."
            )
        try:
            cipher = self._free.cipher if session_id is None else self._cipher(session_id)
            return cipher.open_bytes(text, object_place(key))
        except ValueError:
            raise EncryptionError(
                f"Object {named(key)} can't be opened: it was moved, swapped or changed since it was sealed, or is "
                "sealed with another key. Nothing was changed. Write it anew, or delete it."
            ) from None

    def reload(self, key: str) -> bool:
        """Read the data key of an object's session again; whether it is another one."""
        session_id = session_of(key)
        if session_id is None:
            return False
        known = self._key(session_id)
        self._loaded.discard(session_id)
        self._load(session_id)
        return self._key(session_id) != known

    def _key(self, session_id: str) -> str | None:
        return self._store.tables.seals.key(session_id)

    def _load(self, session_id: str) -> None:
        if session_id not in self._loaded:
            self._store.ask(self._store.tables.keys.load(session_id), versioned=True)
            self._loaded.add(session_id)

    def _cipher(self, session_id: str) -> Cipher:
        seals = self._store.tables.seals
        assert isinstance(seals, Vault)
        return seals.keys.cipher(session_id)
