"""How a document is sealed: its form, and the place that it is bound to. Pure: no I/O, no agent.

A sealed document is JSON text, so that SQLite finds its times where it finds those of one in clear:

    {"persql_sealed":1,"created_at":"…","updated_at":"…","text":"<base64 of nonce, ciphertext, tag>"}

The associated data of each is its place: table, owner, position, column or part. Which session it is of is told by the
key: each session has its own, which is wrapped together with the session's id. So a row that was moved or swapped is
refused, and a session is renamed by wrapping its key anew.
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from secrets import token_bytes
from typing import TYPE_CHECKING

from ..errors import EncryptionError
from .encoding import PARTS_MARKER, SEALED, encode

if TYPE_CHECKING:
    from ..encryption import Aead

KEY_BYTES, NONCE_BYTES = 32, 12

_MARKER = f"{SEALED}1,"
_BODY = '"text":"'
_CREATED = '"created_at":"'
_TIME = r'"[^"\\]{1,40}"'
_TIMES = re.compile(rf',("created_at":{_TIME},"updated_at":{_TIME})(?:,"live":true)?(?:,"redacted":true)?\}}$')
"""The times at the end of a document, where both this package and Strands have them."""


def place(*path: str | int) -> str:
    """Where a document stands, as its associated data names it."""
    return json.dumps(["strands-persql", 1, *path], separators=(",", ":"))


def object_place(key: str) -> str:
    """The place of an object: its key within its session, so that the session may get another id."""
    kind, _, rest = key.partition("/")
    if kind == "sessions":
        return place("objects", "sessions", rest.partition("/")[2])
    if kind in ("context", "session") and "/scopes/" in rest:
        return place("objects", kind, rest.rpartition("/scopes/")[2])
    return place("objects", "", key)


def is_sealed(text: object) -> bool:
    """Whether a stored text is sealed."""
    return isinstance(text, str) and text.startswith(SEALED)


class Cipher:
    """Seals and opens the documents of one session, or one store.

    Args:
        aead: AES-256-GCM under its data key.
    """

    def __init__(self, aead: Aead) -> None:
        self._aead = aead

    def seal(self, text: str, at: str) -> str:
        """A document as it is stored.

        Args:
            text: The document; what marks one that is stored in parts stays as it is.
            at: Its `place`.
        """
        if text.startswith(PARTS_MARKER):
            return text
        times = _TIMES.search(text, max(0, len(text) - 200)) if text.endswith("}") else None
        return self.seal_bytes(text.encode(), at, "" if times is None else f"{times[1]},")

    def seal_bytes(self, data: bytes, at: str, times: str = "") -> str:
        """The same of bytes; `times` stand beside them in clear."""
        nonce = token_bytes(NONCE_BYTES)
        body = b2a_base64(nonce + self._aead.encrypt(nonce, data, at.encode()), newline=False).decode()
        return f'{_MARKER}{times}{_BODY}{body}"}}'

    def open(self, sealed: str, at: str) -> str:
        """The document.

        Raises:
            ValueError: It is no sealed document, or another's; the text says which.
        """
        if not sealed.startswith(_MARKER):
            if sealed.startswith(PARTS_MARKER):
                return sealed
            raise ValueError("newer" if is_sealed(sealed) else "clear")
        text = self.open_bytes(sealed, at).decode()
        if sealed.startswith(_CREATED, len(_MARKER)):
            start = len(_MARKER) + len(_CREATED)
            created_at = sealed[start : sealed.index('"', start)]
            if created_at not in text[-200:]:  # an update keeps the row's, as it keeps a whole document's
                text = encode({**json.loads(text), "created_at": created_at}, what="a document")
        return text

    def open_bytes(self, sealed: str, at: str) -> bytes:
        """The bytes that `seal_bytes` was given; raises as `open` does."""
        try:
            raw = a2b_base64(sealed[sealed.index(_BODY) + len(_BODY) : -2])  # the times before it hold no quotes
            return self._aead.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], at.encode())
        except (ValueError, Base64Error):
            raise ValueError("moved") from None
        except Exception as error:  # `cryptography` is optional, and InvalidTag its own
            if type(error).__name__ != "InvalidTag":
                raise
            raise ValueError("moved") from None


def unopened(what: str, error: Exception, column: str) -> EncryptionError:
    """The error for a document that can't be opened; nothing of it stands in that."""
    why = str(error)
    if why == "newer":
        return EncryptionError(
            f"{what} was sealed by a newer version of strands-persql. Nothing was changed. Upgrade strands-persql."
        )
    reason = (
        "it is stored in clear among encrypted rows, so it was not written with the session's key"
        if why == "clear"
        else "it was moved, swapped or changed since it was sealed, or is sealed with another key"
    )
    return EncryptionError(
        f"{what} can't be opened: {reason}. Nothing was changed. Look at the column {column} of that row, and bring "
        "the row back from a backup, delete it, or use another session id."
    )


def items_of(window: str) -> list[str]:
    """The JSON of each item of a live window, as it stands there.

    Raises:
        ValueError, IndexError: It is no JSON list.
    """
    items: list[str] = []
    at = window.index("[") + 1
    while window[at] != "]":
        if window[at] in ", \n":
            at += 1
            continue
        _, end = _DECODER.raw_decode(window, at)
        items.append(window[at:end])
        at = end
    return items


_DECODER = json.JSONDecoder()
