"""Sealed documents: their format, by vectors, and what is refused."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from strands_persql.database import sealing
from strands_persql.database.data_keys import Moving
from strands_persql.database.encoding import message_document
from strands_persql.database.resealing import Resealing
from strands_persql.database.sealing import Cipher, place
from strands_persql.database.tables import object_place
from strands_persql.database.vault import Vault
from strands_persql.encryption import Encryption, generate_key
from strands_persql.errors import EncryptionError

KEY = bytes(range(32))
NONCE = bytes(range(12))

VECTORS = {
    "a message": (
        place("messages", "default", 3, "data"),
        '{"message":{"role":"user","content":[{"text":"hello"}]},"message_id":3,"redact_message":null,'
        '"created_at":"2026-01-02T03:04:05+00:00","updated_at":"2026-01-02T03:04:06+00:00"}',
        '{"persql_sealed":1,"created_at":"2026-01-02T03:04:05+00:00","updated_at":"2026-01-02T03:04:06+00:00",'
        '"text":"@"}',
    ),
    "a message as it is seen, redacted": (
        place("messages", "default", 3, "live"),
        '{"message":{"role":"user","content":[]},"message_id":3,"redact_message":null,"created_at":"2026-01-02",'
        '"updated_at":"2026-01-03","live":true,"redacted":true}',
        '{"persql_sealed":1,"created_at":"2026-01-02","updated_at":"2026-01-03","text":"@"}',
    ),
    "a part": (place("chunks", "message", "default", 3, "0123", 1), "…and so on", '{"persql_sealed":1,"text":"@"}'),
    "a title": (place("sessions", "title"), "Plans for Ada", '{"persql_sealed":1,"text":"@"}'),
}


def cipher(key: bytes = KEY, owner: str = "session:user-42") -> Cipher:
    """A cipher under a key that is written down."""
    return Cipher(Encryption(generate_key()).aead(key), owner)


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sealed document is what the primitive itself makes of key, nonce, place and text less times; and it opens."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    at, text, form = VECTORS[name]
    monkeypatch.setattr(sealing, "token_bytes", lambda count: NONCE)
    sealed = cipher().seal(text, at)
    associated = f'["strands-persql",1,"session:user-42",{at}'
    without, timed = re.subn(r',"created_at":"[^"]*","updated_at":"[^"]*"', "", text)
    if timed:
        associated = f'{associated[:-1]},"times"]'
    raw = NONCE + AESGCM(KEY).encrypt(NONCE, without.encode(), associated.encode())
    assert sealed == form.replace("@", base64.b64encode(raw).decode())
    assert cipher().open(sealed, at) == text


def test_the_format_is_written_down() -> None:
    """One sealed title as an earlier version has stored it: it opens as long as there is this package."""
    sealed = '{"persql_sealed":1,"text":"AAECAwQFBgcICQoLF263dbbFpHT/Ydbv0KFjSJZjuOcMkffV4HNoeMY="}'
    assert place("sessions", "title") == '"sessions","title"]'
    assert cipher().open(sealed, place("sessions", "title")) == "Plans for Ada"


def test_a_fresh_nonce_each() -> None:
    """The same document is never sealed to the same text twice."""
    sealing_with = cipher()
    assert len({sealing_with.seal("x", "at") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "at",
    [
        place("messages", "default", 4, "data"),
        place("messages", "default", 3, "live"),
        place("messages", "other", 3, "data"),
        place("agents", "default", "data"),
    ],
)
def test_a_document_elsewhere(at: str) -> None:
    """In another place a document does not open."""
    sealed = cipher().seal("secret", place("messages", "default", 3, "data"))
    with pytest.raises(ValueError, match="moved"):
        cipher().open(sealed, at)


@pytest.mark.parametrize("change", [lambda text: text[:-6] + 'AAA"}', lambda text: text[:30] + '"}', lambda text: "{}"])
def test_a_changed_document(change: Any) -> None:
    """What was changed, cut or put there in clear does not open."""
    sealed = cipher().seal("secret text that is long enough", "at")
    with pytest.raises(ValueError):
        cipher().open(change(sealed), "at")


@pytest.mark.parametrize(
    "beside",
    [
        '"message":{"role":"user","content":[{"text" :"forged"}]}',
        '"created_at":"2026-01-02","updated_at":"2026-01-03","message":{}',
        '"message":{},"created_at":"2026-01-02","updated_at":"2026-01-03"',
        '"created_at":"2026-01-02"',
        '"updated_at":"2026-01-02","created_at":"2026-01-03"',
        '"created_at":{"a":"2026-01-02"},"updated_at":"2026-01-03"',
    ],
)
def test_fields_beside_what_is_sealed(beside: str) -> None:
    """But for its times nothing may stand there: in the document it would take the place of a field of that name."""
    document = message_document('{"role":"user","content":[]}', 0, "2026-02-02", "2026-02-03").data
    sealed = cipher().seal(document, "at]")
    assert cipher().open(sealed, "at]") == document
    changed = sealed.replace('"created_at":"2026-02-02","updated_at":"2026-02-03"', beside)
    assert changed != sealed
    with pytest.raises(ValueError, match="moved"):
        cipher().open(changed, "at]")


@pytest.mark.parametrize("text", ["Plans for Ada", '{"colour":"blue"}'])
def test_times_beside_what_has_none(text: str) -> None:
    """A document without times is not given any: they would stand in it."""
    sealed = cipher().seal(text, place("sessions", "title"))
    changed = sealed.replace('"text"', '"created_at":"2026-01-02","updated_at":"2026-01-03","text"')
    for opens in (cipher().open, cipher().open_bytes):
        with pytest.raises(ValueError, match="moved"):
            opens(changed, place("sessions", "title"))


def test_the_times_of_a_document_are_not_taken_away() -> None:
    """Nor is one that has some stored without."""
    document = message_document('{"role":"user","content":[]}', 0, "2026-02-02", "2026-02-03").data
    changed = cipher().seal(document, "at]").replace('"created_at":"2026-02-02","updated_at":"2026-02-03",', "")
    with pytest.raises(ValueError, match="moved"):
        cipher().open(changed, "at]")


def test_a_document_of_another_session() -> None:
    """In another session a document does not open, even with the same data key."""
    sealed = cipher().seal("secret", place("messages", "default", 3, "data"))
    with pytest.raises(ValueError, match="moved"):
        cipher(owner="session:user-43").open(sealed, place("messages", "default", 3, "data"))


def test_another_key() -> None:
    """What another key has sealed does not open."""
    with pytest.raises(ValueError, match="moved"):
        cipher(bytes(32)).open(cipher().seal("x", "at"), "at")


def test_the_times_of_the_row_are_kept() -> None:
    """Where an update has kept an older `created_at` beside the sealed text, the document has that one."""
    document = message_document('{"role":"user","content":[]}', 0, "2026-02-02", "2026-02-03")
    sealed = json.loads(cipher().seal(document.data, "at"))
    assert (sealed["created_at"], sealed["updated_at"]) == ("2026-02-02", "2026-02-03")
    sealed["created_at"] = "2025-01-01"
    opened = json.loads(cipher().open(json.dumps(sealed, separators=(",", ":")), "at"))
    assert opened["created_at"] == "2025-01-01"
    assert opened["updated_at"] == "2026-02-03"


def test_no_time_of_the_content_stands_in_clear() -> None:
    """A tool's own `created_at` is content: those of the document alone stand beside it."""
    text = '{"state":{"created_at":"SECRET","updated_at":"SECRET"},"status":"x"}'
    assert "SECRET" not in cipher().seal(text, "at")
    nested = '{"status":"x","state":{"created_at":"SECRET","updated_at":"SECRET"}}'
    assert "SECRET" not in cipher().seal(nested, "at")


def test_a_window_has_its_ranges_in_clear() -> None:
    """Of a live window the messages are sealed, each for its place; what is opened is the same to the letter."""
    vault = Vault(Encryption(generate_key()))
    window = '[[0,0],{"message":{"role":"user","content":[{"text":"SECRET é"}]}},[40,null]]'
    stored = vault.window("s", "a", window)
    assert stored is not None
    assert "SECRET" not in stored
    assert [item for item in json.loads(stored) if isinstance(item, list)] == [[0, 0], [40, None]]
    data = vault.text("s", "{}", "agents", "a", "data")
    rows = vault.agents("s", [{"agent_id": "a", "data": data, "live_window": stored}])
    assert rows[0]["live_window"] == window


def test_resealing_goes_on() -> None:
    """What has moved to the new key stays as it is, and what has not yet moves; in either direction, and to clear."""
    old, new, at = cipher(), cipher(bytes(32)), ("agents", "a", "data")
    moved = Resealing(old, new).text(old.seal("x", place(*at)), "it", *at)
    assert new.open(moved, place(*at)) == "x"
    assert Resealing(old, new).text(moved, "it", *at) == moved
    assert Resealing(new, None).text(moved, "it", *at) == "x"
    assert Resealing(new, None).text("x", "it", *at) == "x"
    assert new.open(Resealing(None, new).text("x", "it", *at), place(*at)) == "x"
    with pytest.raises(EncryptionError, match="it can't be opened"):
        Resealing(cipher(b"1" * 32), cipher(b"2" * 32)).text(moved, "it", *at)


def test_moving_is_told_from_keys() -> None:
    """What stands in the place of a data key meanwhile is read back."""
    moving = Moving(None, '{"persql_key":1,"id":"a","wrapped":"AAAA"}')
    assert Moving.of(moving.stored) == moving
    assert Moving.of(moving.new) is None


def test_an_object_keeps_its_place_in_another_session() -> None:
    """The place of an object has no id of its session, which stands before it; nor where Strands repeats the id."""
    nested = [f"sessions/{each}/context/{each}/scopes/agent/x" for each in "ab"]
    assert object_place(nested[0]) == object_place(nested[1])
    assert object_place("sessions/a/x/y") == object_place("sessions/b/x/y")
    assert object_place("sessions/a/x/y") != object_place("sessions/a/x/z")
    assert object_place("x/y") != object_place("sessions/a/x/y")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
def test_a_key_file(mark: bytes, tmp_path: Path) -> None:
    """A key is read from a file, also where an editor of Windows has put a mark of the encoding before it."""
    key = generate_key()
    (tmp_path / "key.txt").write_bytes(mark + key.encode() + b"\r\n")
    sealed = Encryption(key).wrapped(bytes(32), "session:s")
    assert Encryption.from_file(tmp_path / "key.txt").unwrapped(sealed, "session:s", "Session 's'") == bytes(32)
