"""How a document is sealed: its form, and the place that it is bound to. Pure: no I/O, no agent.

A sealed document is JSON text, so that SQLite finds its times where it finds those of one in clear:

    {"persql_sealed":1,"created_at":"…","updated_at":"…","text":"<base64 of nonce, ciphertext, tag>"}

The times stand there alone: an update keeps the row's `created_at`, as it keeps a whole document's.

The associated data of each is whose it is and its place: the session (or the store), table, agent, position, column or
part, and whether times stand beside it. So a row that was moved or swapped is refused, and so is one that was given
times, or another field beside what is sealed.
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from secrets import token_bytes
from typing import TYPE_CHECKING

from ..errors import EncryptionError
from .encoding import PARTS_MARKER, SEALED

if TYPE_CHECKING:
    from ..encryption import Aead

KEY_BYTES, NONCE_BYTES = 32, 12

_MARKER = f"{SEALED}1,"
_HEAD = len(_MARKER)
_BODY = '"text":"'
_TIME = r'"[^"\\]{1,40}"'
_TIMES = re.compile(rf',("created_at":{_TIME},"updated_at":{_TIME})((?:,"live":true)?(?:,"redacted":true)?\}})$')
"""The times at the end of a document, where both this package and Strands have them, and what follows them."""
_BODY_AFTER = re.compile(rf'(?:("created_at":{_TIME},"updated_at":{_TIME}),)?{_BODY}')
"""What stands before what is sealed: times or nothing, for a field beside them would take one of its own away."""
_ENDS = (',"live":true,"redacted":true}', ',"live":true}', ',"redacted":true}', "}")
"""What may follow them."""


def place(*path: str | int) -> str:
    """Where a document stands in its session or store: the end of its associated data, which is a JSON list."""
    return json.dumps(path, separators=(",", ":"))[1:]


def is_sealed(text: object) -> bool:
    """Whether a stored text is sealed."""
    return isinstance(text, str) and text.startswith(SEALED)


class Cipher:
    """Seals and opens the documents of one session, or one store.

    Args:
        aead: AES-256-GCM under its data key.
        owner: Whose they are; what its data key is wrapped with, too (`session:` and its id).
    """

    def __init__(self, aead: Aead, owner: str) -> None:
        self._aead = aead
        self._head = f'["strands-persql",1,{json.dumps(owner)},'

    def seal(self, text: str, at: str) -> str:
        """A document as it is stored.

        Args:
            text: The document; what marks one that is stored in parts stays as it is.
            at: Its `place`.
        """
        if text.startswith(PARTS_MARKER):
            return text
        found = _TIMES.search(text, max(0, len(text) - 200)) if text.endswith("}") else None
        if found is None:
            return self.seal_bytes(text.encode(), at)
        return self.seal_bytes(f"{text[: found.start()]}{found[2]}".encode(), at, f"{found[1]},")

    def seal_bytes(self, data: bytes, at: str, times: str = "") -> str:
        """The same of bytes; `times` stand beside them in clear."""
        nonce = token_bytes(NONCE_BYTES)
        body = nonce + self._aead.encrypt(nonce, data, self._associated(at, has_times=bool(times)))
        return f'{_MARKER}{times}{_BODY}{b2a_base64(body, newline=False).decode()}"}}'

    def open(self, sealed: str, at: str) -> str:
        """The document.

        Raises:
            ValueError: It is no sealed document, or another's; the text says which.
        """
        if not sealed.startswith(_MARKER):
            if sealed.startswith(PARTS_MARKER):
                return sealed
            raise ValueError("newer" if is_sealed(sealed) else "clear")
        # Short, for a restore calls it thousands of times: on, and one more call.
        before = _BODY_AFTER.match(sealed, _HEAD)
        text = self._opened(sealed, before, at).decode()
        times = before and before[1]
        if not times:
            return text
        if text.endswith("true}"):
            end = next(each for each in _ENDS if text.endswith(each))
            return f"{text[: -len(end)]},{times}{end}"
        return f"{text[:-1]},{times}}}"

    def open_bytes(self, sealed: str, at: str) -> bytes:
        """The bytes that `seal_bytes` was given; raises as `open` does."""
        return self._opened(sealed, _BODY_AFTER.match(sealed, _HEAD), at)

    def _associated(self, at: str, *, has_times: bool) -> bytes:
        return f'{self._head}{at[:-1]},"times"]'.encode() if has_times else f"{self._head}{at}".encode()

    def _opened(self, sealed: str, before: re.Match[str] | None, at: str) -> bytes:
        """What is sealed in a document, given what stands before that; raises as `open` does."""
        try:
            if before is None:
                raise ValueError
            raw = a2b_base64(sealed[before.end() : -2])
            associated = self._associated(at, has_times=before[1] is not None)
            return self._aead.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], associated)
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
