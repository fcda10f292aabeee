"""JSON documents: what goes in comes out, and errors tell where and what, never the content."""

from __future__ import annotations

import datetime
import json
import math
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strands_persql import SessionDataError
from strands_persql.database.encoding import (
    copied,
    decode,
    encode,
    is_strict,
    parts_of,
)

TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates and NUL included
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXT | st.binary()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


@given(VALUES)
def test_what_is_encoded_is_decoded(value: Any) -> None:
    """Bytes, any text, integers and floats come back as they were, through text that is valid UTF-8."""
    text = encode(value, what="a value")
    text.encode()
    assert decode(text) == value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_know_are_kept(number: float) -> None:
    """NaN and the infinities come back, and are told apart from what SQLite's JSON functions can read."""
    text = encode({"number": number}, what="a value")
    assert repr(decode(text)["number"]) == repr(number)
    assert not is_strict(text)
    assert is_strict(encode({"number": 1.5, "text": "NaN"}, what="a value"))


@pytest.mark.parametrize("text", ["\u2028\u2029", "\x00", "\ud800", "\udfff!", "é🎈漢", '"\\\n'])
def test_odd_text_is_kept(text: str) -> None:
    """Line separators, NUL, half surrogate pairs and the rest come back as they were."""
    assert decode(encode([text, {text: text}], what="a value")) == [text, {text: text}]


def test_bytes_are_written_as_strands_writes_them() -> None:
    """The encoding of bytes is that of Strands' own session files."""
    from strands.types.session import decode_bytes_values, encode_bytes_values

    value = {"image": {"source": {"bytes": b"\x00\xff"}}, "list": [b""]}
    assert json.loads(encode(value, what="a value")) == encode_bytes_values(value)
    assert decode(json.dumps(encode_bytes_values(value))) == decode_bytes_values(encode_bytes_values(value)) == value


@pytest.mark.parametrize("data", ["é", "no base64!", "abc", 5, None])
def test_what_only_looks_like_bytes_is_kept(data: Any) -> None:
    """Somebody's own dict in the shape of encoded bytes can be read again, whatever it holds."""
    value = {"__bytes_encoded__": True, "data": data}
    assert decode(encode({"input": value}, what="a value")) == {"input": value}


@pytest.mark.parametrize(
    ("value", "place", "kind"),
    [
        ({"content": [{"when": datetime.date(2026, 1, 1)}]}, "content[0][key 0]", "date"),
        ({"content": [{"set": {"secret"}}]}, "content[0][key 0]", "set"),
        ({"content": {("secret", 1): 1}}, "content", "tuple as a key"),
        ([0, [uuid.uuid4()]], "[1][0]", "UUID"),
        ({"content": [{"a secret key": {"x": object()}}]}, "content[0][key 0][key 0]", "object"),
    ],
)
def test_an_error_names_place_and_type_but_no_content(value: Any, place: str, kind: str) -> None:
    """What JSON can't hold is a clear error that quotes nothing of the message."""
    with pytest.raises(SessionDataError) as raised:
        encode(value, what="message 3 of agent 'default'")
    message = str(raised.value)
    assert "message 3 of agent 'default'" in message
    assert f"at {place})" in message
    assert f"no {kind} " in message
    assert "secret" not in message


def test_a_value_that_contains_itself_is_an_error() -> None:
    """Recursion, and nesting beyond what Python's JSON takes, end in the same clear error."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(SessionDataError, match="contains itself"):
        encode({"content": endless}, what="a value")
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SessionDataError, match="nesting"):
        encode(deep, what="a value")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(4, 40))
def test_parts_are_whole_characters_and_join_back(text: str, size: int) -> None:
    """A text is split between characters, into parts of at most so many bytes."""
    parts = parts_of(text, size)
    assert "".join(parts) == text
    assert parts
    assert all(len(part.encode()) <= size for part in parts)
    assert len(parts) == 1 or all(parts)


def test_parts_are_as_few_as_can_be() -> None:
    """A part is cut short by no more than the character that would not fit."""
    text = "a" + "é" * 30
    assert [len(part.encode()) for part in parts_of(text, 10)] == [9, 10, 10, 10, 10, 10, 2]
    assert parts_of("a" * 10, 10) == ["a" * 10]
    assert parts_of("a" * 11, 10) == ["a" * 10, "a"]
    assert parts_of("") == [""]


def test_a_copy_shares_its_strings() -> None:
    """A copy's containers are its own, its strings and bytes are the original's."""
    text, data = "words " * 100, b"bytes" * 100
    original = {"content": [{"text": text}, {"bytes": data}]}
    copy = copied(original)
    assert copy == original
    assert copy is not original
    assert copy["content"] is not original["content"]
    assert copy["content"][0] is not original["content"][0]
    assert copy["content"][0]["text"] is text
    assert copy["content"][1]["bytes"] is data
