"""Encrypted exports: the lines of one in clear, each sealed under a data key of the file's own.

```
{"format":"strands-persql-sealed","version":1,"session_id":"user-42","messages":2,"data_key":{"persql_key":1,…}}
{"persql_sealed":1,"text":"…"}
{"persql_sealed":1,"text":"…"}
```
The data key is wrapped under the user's key. Each line is bound to its file and to its number there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from secrets import token_bytes
from typing import TextIO

from ...database.decoding import sealed_error
from ...database.encoding import SEALED
from ...database.sealing import KEY_BYTES, Cipher, place
from ...encryption import Encryption
from ...errors import EncryptionError, named
from ._items import Document, checked_head, checked_object, decoded_object, malformed

FORMAT, VERSION = "strands-persql-sealed", 1
VERSIONS = {FORMAT: VERSION}


@dataclass(frozen=True)
class EncryptedExport:
    """A `.jsonl` file or stream whose lines are encrypted: for `PerSQLSessions.export` and `import_from`.

    `import_from` takes the path or the lines alone, too, where its keys are those of the `PerSQLSessions`.

    Attributes:
        place: The file's path, which ends in `.jsonl`, or an open stream of text; to import, any lines.
        encryption: The keys. The newest wraps the data key of a file that is written.
    """

    place: str | os.PathLike[str] | TextIO | Iterable[str]
    encryption: Encryption


def sealed_lines(
    lines: Iterable[str], session_id: str, total: int | None, encryption: Encryption | None
) -> Iterator[str]:
    """The lines of a session's export, encrypted; without keys as they are."""
    if encryption is None:
        yield from lines
        return
    data_key, owner = token_bytes(KEY_BYTES), _owner(session_id)
    head: Document = {"format": FORMAT, "version": VERSION, "session_id": session_id}
    if total is not None:
        head["messages"] = total
    head["data_key"] = json.loads(encryption.wrapped(data_key, owner))
    yield f"{json.dumps(head, separators=(',', ':'))}\n"
    cipher = Cipher(encryption.aead(data_key), owner)
    for number, line in enumerate(lines):
        yield f"{cipher.seal_bytes(line.encode(), place('lines', number))}\n"


def opened_lines(lines: Iterable[tuple[str, str]], encryption: Encryption | None) -> Iterator[tuple[str, str]]:
    """Lines with their places for errors, those that are encrypted opened.

    Raises:
        EncryptionError: There is no key, or another; or a line was moved, swapped or changed.
        SessionDataError: A line stands where it can't.
    """
    cipher: Cipher | None = None
    number = 0
    for where, text in lines:
        if is_head(text):
            cipher, number = _cipher(decoded_object(text, where), where, encryption), 0
        elif not text.startswith(SEALED):
            if cipher is not None:
                raise malformed(where, "it stands in clear among encrypted lines")
            yield where, text
        elif cipher is None:
            raise malformed(where, "it is encrypted, and no first line of an encrypted session stands before it")
        else:
            yield where, _opened(cipher, number, text, where)
            number += 1


def is_head(line: object) -> bool:
    """Whether a line begins an encrypted session."""
    return isinstance(line, str) and f'"{FORMAT}"' in line[:200]


def _cipher(head: Document, where: str, encryption: Encryption | None) -> Cipher:
    """What opens the lines of a session, given its first line."""
    session_id: str = checked_head(head, where, VERSIONS)["session_id"]
    what = f"Session {named(session_id)} in {where.partition(' of ')[2]}"
    if encryption is None:
        raise sealed_error(what)
    stored = json.dumps(checked_object(head.get("data_key"), where))
    owner = _owner(session_id)
    return Cipher(encryption.aead(encryption.unwrapped(stored, owner, what)), owner)


def _opened(cipher: Cipher, number: int, text: str, where: str) -> str:
    try:
        return cipher.open_bytes(text, place("lines", number)).decode()
    except ValueError:
        raise EncryptionError(
            f"{where} can't be opened: it was moved, swapped or changed since it was sealed, or is of another file. "
            "Nothing of the session was stored. Bring the file back from where it was exported to, or export the "
            "session again."
        ) from None


def _owner(session_id: str) -> str:
    return f"export:{session_id}"
