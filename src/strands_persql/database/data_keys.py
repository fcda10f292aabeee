"""The data keys of sessions: read, made, wrapped; and what stands in the place of one. Pure: no I/O, no agent."""

from __future__ import annotations

import json
from secrets import token_bytes
from typing import TYPE_CHECKING, NamedTuple

from ..errors import EncryptionError, named
from .sealing import KEY_BYTES, Cipher

if TYPE_CHECKING:
    from ..encryption import Encryption
    from .query import Rows

DESTROYED = '{"persql_key":1,"destroyed":true}'
"""What stands in the place of the data key of a session that is being deleted."""

_MOST_KEYS = 4096
"""Data keys that are kept at a time, of the sessions read last."""


class _Clear(Cipher):
    """What is stored in clear."""

    def __init__(self) -> None:
        pass

    def seal(self, text: str, at: str) -> str:
        return text

    def open(self, sealed: str, at: str) -> str:
        return sealed


class Key(NamedTuple):
    """A data key in use.

    Attributes:
        stored: The key as it is stored: wrapped; None of a session in clear.
        cipher: What seals with it.
        data_key: The key itself.
    """

    stored: str | None
    cipher: Cipher
    data_key: bytes


class DataKeys:
    """The data keys of the sessions under one prefix, as far as they were read.

    Args:
        encryption: What wraps them.
        mixed: Take sessions that are stored in clear as they are, and do not refuse them.
    """

    def __init__(self, encryption: Encryption, *, mixed: bool = False) -> None:
        self._encryption = encryption
        self._mixed = mixed
        self._keys: dict[str, Key] = {}
        self._gone: set[str] = set()  # sessions that were stored, and are no more: they are begun with a new key

    def key(self, session_id: str) -> str | None:
        """The data key in a session's row."""
        return self._key(session_id).stored

    def begin(self, session_id: str) -> str | None:
        """The data key that a session's row is begun with: a new one where none is known."""
        if session_id in self._gone:
            self._gone.discard(session_id)
            self._keys.pop(session_id, None)
        if session_id not in self._keys:
            data_key = token_bytes(KEY_BYTES)
            stored = self._encryption.wrapped(data_key, context(session_id))
            self._keep(session_id, self._used(stored, data_key, session_id))
        return self._keys[session_id].stored

    def load(self, session_id: str, rows: Rows) -> None:
        """Go on from the data key in a session's row; where there is no row, one is made for it when it is begun.

        Raises:
            EncryptionError: The session is stored in clear, or its key can't be unwrapped.
        """
        if not rows:
            if session_id in self._keys:
                self._gone.add(session_id)
            return
        stored: str | None = rows[0]["data_key"]
        known = self._keys.get(session_id)
        self._gone.discard(session_id)
        if known is None or known.stored != stored:
            self._keep(session_id, self._opened(session_id, stored))

    def _opened(self, session_id: str, stored: str | None) -> Key:
        what = f"Session {named(session_id)}"
        if stored is None:
            if self._mixed:
                return Key(None, _Clear(), b"")
            raise EncryptionError(
                f"{what} is stored in clear, and a key was given. Nothing was changed. Encrypt it first "
                "(PerSQLSessions(…).encrypt(session_id), or `strands-persql encrypt`), or open it without the key."
            )
        check_standing(stored, what)
        return self.unwrapped(session_id, stored)

    def unwrapped(self, session_id: str, stored: str, sealed_as: str | None = None) -> Key:
        """A data key of a session, given as it is stored.

        Args:
            session_id: The session.
            stored: The key.
            sealed_as: The session's id as its documents were sealed, where that is another.

        Raises:
            EncryptionError: It can't be unwrapped.
        """
        what = f"Session {named(session_id)}"
        data_key = self._encryption.unwrapped(stored, context(session_id), what)
        return self._used(stored, data_key, sealed_as or session_id)

    def _used(self, stored: str, data_key: bytes, sealed_as: str) -> Key:
        return Key(stored, Cipher(self._encryption.aead(data_key), context(sealed_as)), data_key)

    def made(self, session_id: str) -> str:
        """A new data key for a session, as it is stored."""
        return self._encryption.wrapped(token_bytes(KEY_BYTES), context(session_id))

    def moving(self, session_id: str, new_id: str) -> Moving:
        """What stands in the row of another session that has got the documents of this one, to be sealed anew."""
        old = self._encryption.wrapped(self._key(session_id).data_key, context(new_id))
        return Moving(old, self.made(new_id), session_id)

    def rewrapped(self, session_id: str, stored: str) -> str | None:
        """A data key of a session, wrapped under the key that wraps now; None where it is that already."""
        if self._encryption.is_current(stored):
            return None
        return self._encryption.wrapped(self.unwrapped(session_id, stored).data_key, context(session_id))

    def lend(self, session_id: str, new_id: str, stored: str) -> None:
        """Seal what is stored of another session as if it were of this one; `stored` stands in its row."""
        self._keep(new_id, self._key(session_id)._replace(stored=stored))

    def forget(self, session_id: str) -> None:
        """A session's data key is another from now on."""
        self._keys.pop(session_id, None)
        self._gone.discard(session_id)

    def _keep(self, session_id: str, key: Key) -> None:
        while len(self._keys) >= _MOST_KEYS:
            self._keys.pop(next(iter(self._keys)), None)
        self._keys[session_id] = key

    def cipher(self, session_id: str) -> Cipher:
        """What seals the documents of a session."""
        return self._key(session_id).cipher

    def _key(self, session_id: str) -> Key:
        if session_id not in self._keys:
            self.begin(session_id)
        return self._keys[session_id]


def context(session_id: str) -> str:
    """What the data key of a session is wrapped with."""
    return f"session:{session_id}"


def store_context(name: str) -> str:
    """What the data key of a store is wrapped with: of free objects, or of memories."""
    return f"store:{name}"


class Moving(NamedTuple):
    """What stands in the place of a data key while a session's documents move from one key to another, or to none.

    Attributes:
        old: The data key that they were sealed with, as it is stored; None: they were stored in clear.
        new: The data key that they are to be sealed with; None: they are to be stored in clear.
        sealed_as: The id of the session that they were sealed as, where that is another.
    """

    old: str | None
    new: str | None
    sealed_as: str | None = None

    @classmethod
    def of(cls, stored: str | None) -> Moving | None:
        """What a session's row holds, if it is that."""
        if stored is None or not stored.startswith(_MOVING):
            return None
        moving = json.loads(stored)["moving"]
        return cls(moving["old"], moving["new"], moving["sealed_as"])

    @property
    def stored(self) -> str:
        """It as it is stored."""
        return f"{_MOVING}{json.dumps(self._asdict(), separators=(',', ':'))}}}"


_MOVING = '{"persql_key":1,"moving":'


def check_standing(stored: str, what: str) -> None:
    """See to it that a session with this data key is whole.

    Raises:
        EncryptionError: It is being deleted, or moved to another key.
    """
    if stored.startswith(_MOVING):
        raise EncryptionError(
            f"{what} is being encrypted, decrypted, copied or renamed, and that has not come to its end. Nothing was "
            "changed. Wait for it, or go on with it where it was cut off: PerSQLSessions(…).encrypt(session_id), or "
            "`strands-persql encrypt`."
        )
    if stored == DESTROYED:
        raise EncryptionError(
            f"{what} is being deleted: its data key is gone, and what is left of it can't be read. Delete it again, "
            "which goes on where that was cut off; or use another session id."
        )
