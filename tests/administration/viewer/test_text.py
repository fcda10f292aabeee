"""Values as text: as much of a long one as is shown, whose rest is not gone through; records as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from strands_persql.administration.records import Head, JsonPart, plain
from strands_persql.administration.viewer._text import Clip, clip, json_text, one_line

NESTED: Any = []
for _ in range(150):
    NESTED = [NESTED]

VALUES: tuple[Any, ...] = (
    {"a": 1, "b": [True, None, 2.5, {"c": "text", "d": []}], "": {}},
    ["x" * 1000, {"key " * 50: "y" * 500}, "z"],
    {"bytes": {"__bytes_encoded__": True, "data": "AAAA" * 100}, "raw": b"abc", "more": list(range(300))},
    {"half": "\ud800 and \U0001f600", "number": float("nan"), 7: "seven"},
    NESTED,
    "a text \n with \t signs" * 30,
    12345678901234567890,
)


class Endless(Mapping[str, Any]):
    """Has one more field than anybody looks at."""

    def __getitem__(self, key: str) -> Any:
        return f"value of {key}"

    def __iter__(self) -> Iterator[str]:
        for number in range(200):
            yield f"field {number}"
        raise AssertionError("nobody shows so many")

    def __len__(self) -> int:
        return 10**9


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("limit", [1, 10, 99, 1000, 100_000])
def test_the_beginning_is_that_of_the_whole(value: Any, limit: int) -> None:
    """Cut wherever it is, and told as cut exactly where it is."""
    whole = json.dumps(plain(value), indent=2, ensure_ascii=False)
    shown = json_text(value, limit)
    assert shown.text == whole[:limit]
    assert bool(shown.missing) == (len(whole) > limit)
    assert clip(shown) is shown


def test_what_is_not_shown_is_not_gone_through() -> None:
    """Neither in a summary, nor of a value that is cut."""
    assert one_line(Endless()).startswith('field 0="value of field 0", field 1=')
    head = Head(Endless(), 1000)
    assert not head.is_whole and 10 < len(head.value) < 100


def test_summaries() -> None:
    """A tool's input in a line, cut where it is long."""
    assert one_line({"city": "Oslo", "days": 3}) == 'city="Oslo", days=3'
    assert one_line({"text": "x" * 5000}) == 'text="' + "x" * 114 + "…"
    assert one_line(["a\n   b"]) == '["a\\n b"]'
    assert one_line({"text": " " * 5000 + "x"}).endswith("…")
    assert one_line("short") == '"short"'


@pytest.mark.parametrize("value", VALUES)
def test_records_are_json(value: Any) -> None:
    """As `plain` makes them, told to be so already or not; a plain value is not copied."""
    found = JsonPart(value).to_json()["json"]
    assert json.dumps(found, allow_nan=False).encode() and found == plain(value, strict=True)
    ready = {"a": [1, 2.5, None, True, {"b": "text"}]}
    assert JsonPart(ready).to_json()["json"] is ready


def test_how_much_is_missing() -> None:
    """In words, about as many bytes as the rest takes."""
    assert json_text(["x" * 1000] * 3000, 100_000).missing == "2.9 MB"
    assert json_text({"a": 1}, 100) == Clip('{\n  "a": 1\n}')
