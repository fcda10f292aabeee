"""Encryption with keys of one's own: what is stored of a session can be read with the key alone.

```python
encryption = Encryption(os.environ["PERSQL_ENCRYPTION_KEY"])
manager = PerSQLSessionManager("user-42", db, encryption=encryption)
```

Each session has a random data key, which seals its documents. The keys given here wrap the data keys and nothing else:
a key is replaced by wrapping the data keys anew, one row a session. The format is documented in `docs/encryption.md`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from .errors import EncryptionError, named

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Encryption", "Key", "KeyWrapper", "generate_key"]

KEY_BYTES = 32
"""Bytes of a key: AES-256."""

NONCE_BYTES = 12
"""Bytes of a nonce, a random one for each value (NIST SP 800-38D, 8.2.2: at most 2^32 values under one key)."""

_LONGEST_ID = 200
_WRAPPED_VERSION = 1


class KeyWrapper(Protocol):
    """What wraps and unwraps data keys, such as a key management service: the key itself never leaves it."""

    def wrap(self, key: bytes, /) -> bytes:
        """Wrap 64 bytes, so that `unwrap` alone gives them back."""
        ...

    def unwrap(self, wrapped: bytes, /) -> bytes:
        """Give back what `wrap` was given."""
        ...


Key: TypeAlias = "bytes | str | KeyWrapper"
"""32 bytes, or these as base64 or hexadecimal digits, or what wraps keys by itself."""


class Aead(Protocol):
    """Authenticated encryption with associated data, as `cryptography`'s `AESGCM` has it."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        """The ciphertext, and the tag at its end."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        """The text; raises `InvalidTag` where it is another's."""
        ...


def generate_key() -> str:
    """A new random key, as base64."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def aes_gcm(key: bytes) -> Aead:
    """AES-256-GCM under a key.

    Raises:
        ImportError: The extra `encryption` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise ImportError(
            "Encryption needs the package cryptography: pip install 'strands-persql[encryption]'. Nothing was stored."
        ) from error
    return AESGCM(key)


class Encryption:
    """The keys under which sessions are encrypted.

    Args:
        key: A key, or several by their ids: the last one wraps the keys of new sessions, the others open those that it
            has not wrapped yet (see `PerSQLSessions.rotate`). A key is 32 bytes, or these as base64 or hexadecimal
            digits; or an object with `wrap` and `unwrap`, such as a key management service's, which is tried here.

    Attributes:
        key_id: The id of the key that wraps. One that was given without an id is named by its fingerprint.

    Raises:
        ImportError: The extra `encryption` is not installed.
        ValueError: It is no key, there is none, or an id is blank or too long.
        EncryptionError: The object with `wrap` and `unwrap` fails, or doesn't give back what it was given.
    """

    def __init__(self, key: Key | Mapping[str, Key]) -> None:
        self._wrappers: dict[str, KeyWrapper] = {}
        keys = key if isinstance(key, Mapping) else {"": key}
        for name, each in keys.items():
            wrapper, fingerprint = _wrapper(each)
            if isinstance(key, Mapping):
                _check_id(name)
                self._wrappers[name] = wrapper
                self._wrappers.setdefault(fingerprint, wrapper)
                self.key_id = name
            else:
                self._wrappers[fingerprint] = wrapper
                self.key_id = fingerprint
        if not self._wrappers:
            raise ValueError("encryption needs a key: 32 bytes, as generate_key() makes them")
        self._try()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """From one key as base64 or hexadecimal digits, or several as a JSON object: their ids, the newest last.

        Raises:
            ValueError: It is neither.
        """
        if not text.lstrip().startswith("{"):
            return cls(text)
        try:
            keys = json.loads(text)
        except ValueError:
            raise ValueError("the keys can't be read: they are no JSON object of ids and keys") from None
        return cls(cast("dict[str, Key]", keys))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """From a file that holds what `from_text` takes.

        Raises:
            OSError: The file can't be read.
            ValueError: It holds something else.
        """
        try:
            text = Path(path).read_text("utf-8-sig")  # editors of Windows put a mark before it
        except UnicodeDecodeError:
            raise _no_digits() from None
        return cls.from_text(text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key_id={self.key_id!r})"

    def wrapped(self, data_key: bytes, context: str) -> str:
        """A data key as it is stored.

        Args:
            data_key: The key.
            context: What it is of, such as `session:` and the session's id: in another's place it is refused.

        Raises:
            EncryptionError: The key management service failed.
        """
        try:
            wrapped = self._wrappers[self.key_id].wrap(data_key + _digest(context))
        except Exception as error:
            raise EncryptionError(
                f"A data key could not be wrapped under key {named(self.key_id)} ({type(error).__name__}), so nothing "
                "was stored. Check that the key management service can be reached, and allows it."
            ) from error
        text = base64.b64encode(wrapped).decode()
        return json.dumps({"persql_key": _WRAPPED_VERSION, "id": self.key_id, "wrapped": text}, separators=(",", ":"))

    def unwrapped(self, stored: str, context: str, what: str) -> bytes:
        """The data key that `wrapped` was given.

        Args:
            stored: What it gave.
            context: The same.
            what: What is opened, for the error: "Session 'user-42'".

        Raises:
            EncryptionError: Its key is not among the keys, or another; or it was wrapped for something else.
        """
        key_id, wrapped = _parsed(stored, what)
        wrapper = self._wrappers.get(key_id)
        if wrapper is None:
            raise EncryptionError(
                f"{what} is encrypted under key {named(key_id)}, which is not among the keys given "
                f"({', '.join(map(named, self._wrappers))}). Nothing was changed. Give that key, or a keyring that "
                "holds it."
            )
        opened = _unwrapped(wrapper, wrapped, key_id, what)
        if len(opened) != 2 * KEY_BYTES or opened[KEY_BYTES:] != _digest(context):
            raise EncryptionError(
                f"{what} holds the data key of something else: its row was moved, swapped or changed. Nothing was "
                "changed. Bring the row back from a backup."
            )
        return opened[:KEY_BYTES]

    def aead(self, data_key: bytes) -> Aead:
        """What seals documents under a data key."""
        return aes_gcm(data_key)

    def is_current(self, stored: str) -> bool:
        """Whether a wrapped data key is wrapped under the key that wraps now."""
        return _parsed(stored, "A data key")[0] == self.key_id

    def _try(self) -> None:
        probe = os.urandom(KEY_BYTES)
        opened = self.unwrapped(self.wrapped(probe, "probe"), "probe", "A data key")
        if opened != probe:
            raise EncryptionError(f"Key {named(self.key_id)} doesn't unwrap what it has wrapped. Nothing was stored.")


class _AesKey:
    """A key that wraps by AES-256-GCM."""

    def __init__(self, key: bytes) -> None:
        self._aead = aes_gcm(key)

    def wrap(self, key: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, key, _WRAPS)

    def unwrap(self, wrapped: bytes) -> bytes:
        return self._aead.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _WRAPS)


_WRAPS = b"strands-persql data key 1"


def _wrapper(key: Any) -> tuple[KeyWrapper, str]:
    """What wraps under a key, and the id of one that has no name."""
    if callable(getattr(key, "wrap", None)) and callable(getattr(key, "unwrap", None)):
        return cast("KeyWrapper", key), str(getattr(key, "key_id", "") or "wrapper")
    raw = _key_bytes(key)
    if len(raw) != KEY_BYTES:
        raise ValueError(
            f"an encryption key must be {KEY_BYTES} bytes (AES-256), or these as base64 or hexadecimal digits; got "
            f"{len(raw)} bytes. generate_key() makes one."
        )
    return _AesKey(raw), hashlib.sha256(b"strands-persql key id" + raw).hexdigest()[:16]


def _key_bytes(key: Any) -> bytes:
    if isinstance(key, (bytes, bytearray)):
        return bytes(key)
    if not isinstance(key, str):
        raise TypeError(
            f"an encryption key must be bytes, a string, or an object with wrap and unwrap, got {type(key).__name__}"
        )
    text = key.strip()
    if len(text) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        raise _no_digits() from None


def _no_digits() -> ValueError:
    return ValueError(
        f"an encryption key must be {KEY_BYTES} bytes as base64 or hexadecimal digits; got something else. "
        "generate_key() makes one."
    )


def _check_id(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_ID:
        raise ValueError(f"the id of an encryption key must be 1 to {_LONGEST_ID} characters that are not all blank")


def _parsed(stored: str, what: str) -> tuple[str, bytes]:
    try:
        fields: dict[str, Any] = json.loads(stored)
        if fields["persql_key"] == _WRAPPED_VERSION and isinstance(fields["id"], str):
            return fields["id"], base64.b64decode(fields["wrapped"], validate=True)
    except (ValueError, KeyError, TypeError):
        pass
    raise EncryptionError(
        f"{what} has a data key that can't be read: it was changed, or wrapped by a newer version of strands-persql. "
        "Nothing was changed. Upgrade strands-persql, or bring the row back from a backup."
    )


def _unwrapped(wrapper: KeyWrapper, wrapped: bytes, key_id: str, what: str) -> bytes:
    if isinstance(wrapper, _AesKey):
        from cryptography.exceptions import InvalidTag

        try:
            return wrapper.unwrap(wrapped)
        except (InvalidTag, ValueError):
            raise EncryptionError(
                f"{what} is encrypted under another key than the one given as {named(key_id)}, or its data key was "
                "changed. Nothing was changed. Give the key that it was encrypted with."
            ) from None
    try:
        return wrapper.unwrap(wrapped)
    except Exception as error:
        raise EncryptionError(
            f"{what} can't be opened: its data key could not be unwrapped under key {named(key_id)} "
            f"({type(error).__name__}). Nothing was changed. Check that the key management service can be reached, and "
            "that its key is the one that the session was encrypted with."
        ) from error


def _digest(context: str) -> bytes:
    return hashlib.sha256(f"strands-persql {context}".encode()).digest()
