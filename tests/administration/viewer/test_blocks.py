"""Every kind of content block has its place on the page, and what is none is shown as JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from strands.types.content import ContentBlock
from strands.types.tools import ToolResultContent

from strands_persql.administration.records import KINDS
from strands_persql.administration.values import size
from strands_persql.administration.viewer import session_html
from strands_persql.administration.viewer._conversation import LARGEST_IMAGE
from strands_persql.administration.viewer._text import LIMIT, duration, moment

from .pages import Element, entries, parse
from .sessions import (
    Sessions,
    assistant,
    png,
    result,
    use,
    user,
)


def page_of(*messages: dict[str, Any]) -> Element:
    """The page of one agent's messages."""
    return parse(session_html(Sessions({"default": list(messages)}), "user-42"))


def bubble(*blocks: Any) -> Element:
    """One message of these blocks, as it stands on the page."""
    return page_of(assistant(*blocks)).one("li", "entry").one("div", "bubble")


def test_no_kind_is_missing() -> None:
    """Each kind that the installed Strands declares for messages and tool results is known."""
    declared = {*ContentBlock.__annotations__, *ToolResultContent.__annotations__}
    assert declared <= set(KINDS)


def test_text_keeps_its_form() -> None:
    """A user's text stands as it was written: line ends, spaces and Markdown; right-to-left where it begins so."""
    text = "\n  # Title\n\n- **one**\n\ttab  "
    prose = page_of(user(text)).one("div", "prose")
    assert prose.text == text
    assert prose.attributes["dir"] == "auto"


def test_tool_call_with_its_result() -> None:
    """Input and result stand in one folded place, by the tool use's id; the result's message is not shown again."""
    page = page_of(
        assistant("both", use("add", "t1", a=1, b=2), use("get", "t2", key="k")),
        user(result("t2", {"json": {"v": [1]}}), result("t1", "3")),
    )
    assert len(entries(page)) == 1
    add, get = page.all("details", "tool")
    assert "open" not in add.attributes
    assert add.one("summary").words == "Tool add a=1, b=2 Done"
    assert [json.loads(each.text) for each in add.all("pre")] == [{"a": 1, "b": 2}, 3]
    assert [json.loads(each.text) for each in get.all("pre")] == [{"key": "k"}, {"v": [1]}]
    assert get.one("div", "result").one("span", "number").text == "#1"
    assert [each.attributes["id"] for each in page.all("div", "result") if "id" in each.attributes] == ["a1-1"]


def test_results_in_later_messages() -> None:
    """Results that come in several messages stand with their calls; what else those messages hold stays."""
    page = page_of(
        assistant(use("a", "t1"), use("b", "t2")),
        user(result("t1", "one")),
        user(result("t2", "two"), "and this"),
        assistant("done"),
    )
    assert [each.words for each in page.all("div", "bubble")][1:] == ["and this", "done"]
    assert [each.one("div", "result").one("pre").text for each in page.all("details", "tool")] == ["one", "two"]
    assert not page.one("main").all("span", "wait")


def test_failed_unanswered_and_unasked() -> None:
    """An error is marked, a call without its result says so, and a result without its call is shown where it stands."""
    page = page_of(
        user(result("t0", "late")),
        assistant(use("a", "t1"), use("b", "t2")),
        user(result("t1", "boom", status="error")),
    )
    stray, failed, waiting = page.all("details", "tool")
    assert stray.one("summary").words == "Tool result t0 Done"
    assert "failed" in failed.classes
    assert "Error" in failed.one("summary").words
    assert "No result" in waiting.one("summary").words


def test_a_call_without_a_name() -> None:
    """A call that is shown as JSON takes no result along: that is shown where it stands."""
    page = page_of(assistant({"toolUse": {"toolUseId": "t1", "input": {}}}), user(result("t1", "kept")))
    (stray,) = page.all("details", "tool")
    assert stray.one("pre").text == "kept"


def test_a_call_twice_under_one_id() -> None:
    """Of two calls under one id the first has the result: it stands on the page once."""
    page = page_of(assistant(use("a", "t1"), use("a", "t1")), user(result("t1", "once")))
    assert [len(each.all("div", "result")) for each in page.all("details", "tool")] == [1, 0]


@pytest.mark.parametrize(
    ("begins", "mime"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"GIF89a", "gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"\x89PNG\r\n\x1a\n", "png"),
    ],
)
def test_images_are_inside_the_page(begins: bytes, mime: str) -> None:
    """An image is a data: URI of its own type, and has a text beside it."""
    data = begins + b"rest"
    for held in (data, {"__bytes_encoded__": True, "data": base64.b64encode(data).decode()}):
        image = bubble({"image": {"format": "png", "source": {"bytes": held}}}).one("img")
        assert image.attributes["src"] == f"data:image/{mime};base64,{base64.b64encode(data).decode()}"
        assert image.attributes["alt"]


def test_image_of_a_tool() -> None:
    """An image that a tool returned stands in its result."""
    block = {"image": {"format": "png", "source": {"bytes": png(3, 2)}}}
    page = page_of(assistant(use("draw", "t1")), user(result("t1", block)))
    assert page.one("div", "result").one("img")


def test_image_too_large() -> None:
    """A huge image is named with its size."""
    data = png(2, 2) + bytes(LARGEST_IMAGE)
    found = bubble({"image": {"format": "png", "source": {"bytes": data}}})
    assert not found.all("img")
    assert "PNG · 5.0 MB" in found.words


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"document": {"name": "map", "format": "pdf", "source": {"bytes": bytes(2048)}}}, "Document map PDF · 2.0 kB"),
        ({"video": {"format": "mp4", "source": {"bytes": b"123"}}}, "Video MP4 · 3 bytes"),
        ({"audio": {"format": "wav", "source": {"bytes": b"1"}}}, "Audio WAV · 1 byte"),
        (
            {"video": {"format": "mp4", "source": {"location": {"type": "s3", "uri": "s3://films/1"}}}},
            "Video MP4 · s3://films/1",
        ),
        (
            {"document": {"name": "m", "format": "md", "context": "read it", "source": {"location": {"type": "x"}}}},
            'Document m MD · type="x" read it',
        ),
        (
            {"guardContent": {"text": {"text": "ask", "qualifiers": ["grounding_source", "query"]}}},
            "For the guardrail: grounding source, query ask",
        ),
        ({"guardContent": {"text": {"text": "ask"}}}, "For the guardrail ask"),
        ({"cachePoint": {"type": "default"}}, "Cache point"),
        ({"cachePoint": {"type": "default", "ttl": "1h"}}, "Cache point: kept 1h"),
        ({"interruptResponse": {"interruptId": "i-1", "response": "yes"}}, "Answer to an interrupt i-1 yes"),
        ({"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}, "Reasoning Signed hm"),
        (
            {"reasoningContent": {"redactedContent": b"1234"}},
            "Reasoning Encrypted 4 bytes that the model's provider keeps encrypted.",
        ),
    ],
)  # fmt: skip
def test_kinds(block: dict[str, Any], words: str) -> None:
    """Media are named with their size or place, and the rest says what it is."""
    assert bubble(block).words == words


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ({"documentPage": {"documentIndex": 0, "start": 3, "end": 4}}, "pages 3 to 4 of document 1"),
        ({"documentChar": {"documentIndex": 1, "start": 0, "end": 9}}, "characters 0 to 9 of document 2"),
        ({"documentChunk": {"start": 2, "end": 2}}, "chunks 2 to 2"),
        ({"web": {"url": "https://example.com/a", "domain": "example.com"}}, "https://example.com/a"),
        ({"searchResultLocation": {"searchResultIndex": 1, "start": 0}}, "searchResultIndex=1, start=0"),
        ({"type": "documentPage", "documentIndex": 0, "start": 1, "end": 2}, "pages 1 to 2 of document 1"),
        ({}, ""),
    ],
)  # fmt: skip
def test_citations(location: dict[str, Any], place: str) -> None:
    """Cited text is followed by its sources: title, place and quote; an address is text, no link."""
    citation = {"title": "Atlas", "location": location, "sourceContent": [{"text": "quoted"}]}
    found = bubble({"citationsContent": {"content": [{"text": "said"}, {"text": " so"}], "citations": [citation]}})
    assert found.all("div", "prose")[0].text == "said so"
    assert found.one("li").words == " ".join(f"Atlas {place} quoted".split())
    assert not found.all("a")


@pytest.mark.parametrize(
    "block",
    [
        {"searchResult": {"title": "t", "source": "s"}},
        {"text": 7},
        {"image": {"format": "png"}},
        {"image": None},
        {"toolUse": {"toolUseId": "1"}},
        {"toolUse": "odd"},
        {"toolResult": ["odd"]},
        {"document": {"source": []}},
        {"guardContent": {"image": {"format": "png"}}},
        {"citationsContent": {"content": [{"image": 1}]}},
        {"reasoningContent": {}},
        {"interruptResponse": {"interruptId": "1"}},
        {"cachePoint": 3},
        {},
        ["list"],
        None,
    ],
)
def test_unknown_is_shown_as_json(block: Any) -> None:
    """A block of another kind or shape is folded JSON: whole, and nothing else is lost by it."""
    found = page_of({"role": "user", "content": [{"text": "before"}, block, {"text": "after"}]}).one("div", "bubble")
    assert [each.text for each in found.all("div", "prose")] == ["before", "after"]
    assert json.loads(found.one("details").one("pre").text) == block


def test_known_beside_unknown() -> None:
    """Of a block with several keys each known one has its form, and the others are shown as JSON."""
    found = bubble({"text": "said", "cachePoint": {"type": "default"}, "annotations": [1]})
    assert found.one("div", "prose").text == "said"
    assert found.one("p", "cache")
    assert json.loads(found.one("pre").text) == {"annotations": [1]}


def test_bytes_in_json() -> None:
    """Binary data inside JSON is named by its size."""
    found = bubble(use("put", "t1", data=b"x" * 3000, more={"__bytes_encoded__": True, "data": "eHg="}))
    assert json.loads(found.one("pre").text) == {
        "data": "<3.0 kB of binary data>",
        "more": "<2 bytes of binary data>",
    }


@pytest.mark.parametrize("content", [None, [], "plain", {"text": "a mapping"}, 7])
def test_odd_content(content: Any) -> None:
    """A message without content, or with one that is no list, is shown all the same."""
    words = page_of({"role": "assistant", "content": content}).one("div", "bubble").words
    assert ("plain" if content == "plain" else "No content." if not content else "content") in words


def test_long_values_are_cut() -> None:
    """Of a huge text, input or result the page shows the beginning, and says how much is missing."""
    long = "x" * (LIMIT + 34_500)
    page = page_of(user(long), assistant(use("a", "t1", q=long)), user(result("t1", long)))
    assert page.all("div", "prose")[0].text == "x" * LIMIT
    assert len(page.all("p", "more")) == 3
    assert page.all("p", "more")[0].words.startswith("… 34.5 kB more, not shown here.")
    assert len(page.text) < 4 * LIMIT


def test_deep_values_are_cut() -> None:
    """JSON nested deeper than the interpreter's stack is shown down to a level."""
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    found = bubble({"toolUse": {"name": "a", "toolUseId": "1", "input": deep}})
    assert "nested deeper" in found.one("pre").text


def test_pre_keeps_a_leading_line_end() -> None:
    """A tool's text that begins with a line end keeps it."""
    page = page_of(assistant(use("a", "t1")), user(result("t1", "\n\nlate")))
    assert page.one("div", "result").one("pre").text == "\n\nlate"


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (10**12, "1000.0 GB")],
)
def test_sizes(number: int, words: str) -> None:
    """Sizes are told in the largest unit that fits."""
    assert size(number) == words


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(840, "840 ms"), (2310, "2.3 s"), (59_960, "1 min 0 s"), (64_000, "1 min 4 s"), (7_300_000, "2 h 1 min")],
)
def test_durations(milliseconds: int, words: str) -> None:
    """Spans of time are told in units that fit."""
    assert duration(milliseconds) == words


@pytest.mark.parametrize(
    ("stored", "iso", "full"),
    [
        ("2026-11-23T09:58:12.250000+00:00", "2026-11-23T09:58:12.250+00:00", "23 Nov 2026, 09:58:12 UTC"),
        ("2026-11-23T00:58:12Z", "2026-11-23T00:58:12.000+00:00", "23 Nov 2026, 00:58:12 UTC"),
        ("2026-11-23T00:58:12+02:00", "2026-11-22T22:58:12.000+00:00", "22 Nov 2026, 22:58:12 UTC"),
        ("2026-11-23T09:58:12", "2026-11-23T09:58:12.000+00:00", "23 Nov 2026, 09:58:12 UTC"),
        ("yesterday", "", "yesterday"),
        ("0001-01-01T00:00:00+05:00", "", "0001-01-01T00:00:00+05:00"),
    ],
)
def test_times(stored: str, iso: str, full: str) -> None:
    """Times are told in UTC; what is no time is shown as it is stored."""
    found = moment(stored)
    assert found is not None
    assert (found.iso, found.full) == (iso, full)
    assert moment("") is None
