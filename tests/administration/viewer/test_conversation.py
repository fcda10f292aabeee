"""An agent's conversation on the page: who said what, when, and what of it the model sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from strands_persql.administration.results import TranscriptMessage
from strands_persql.administration.viewer import session_html
from strands_persql.administration.viewer._conversation import Entry, conversation, with_inline
from strands_persql.administration.viewer._filters import changed

from .pages import Element, entries, parse
from .sessions import (
    Sessions,
    assistant,
    result,
    stamp,
    use,
    user,
)


def page_of(sessions: Sessions) -> Element:
    """The page of a session."""
    return parse(session_html(sessions, sessions.session_id))


def chips(entry: Element) -> list[str]:
    """What the line over a message says of it."""
    return [each.words for each in entry.all("div", "label")[0].all("span", "chip")]


def line(page: Element) -> list[str]:
    """The conversation in short: messages' words, edges and days in their order."""
    found: list[str] = []
    for each in page.one("ol", "messages").children:
        if isinstance(each, Element):
            found.append(each.one("div", "bubble").words if "entry" in each.classes else f"-- {each.words}")
    return found


def test_sides() -> None:
    """Users' messages and assistants' are told apart, by a heading too; another role is shown by its name."""
    page = page_of(Sessions({"default": [user("a"), assistant("b"), {**user("c"), "role": "system"}]}))
    assert [each.one("h3").text for each in entries(page)] == ["User", "Assistant", "System"]
    assert [each.classes for each in entries(page)] == [{"entry", role} for role in ("user", "assistant", "other")]


def test_times_and_positions() -> None:
    """Each message has its time, for machines too, and its position, which is a link to it."""
    entry = entries(page_of(Sessions({"default": [user("a"), assistant("b")]})))[1]
    assert entry.one("time").attributes["datetime"] == "2026-11-23T09:58:16.250+00:00"
    assert entry.one("time").text == "09:58:16"
    assert entry.one("a").words == "#1"
    assert entry.one("a").attributes["href"] == f"#{entry.attributes['id']}" == "#a1-1"


def test_days() -> None:
    """Where a new day begins, it is named once."""
    page = page_of(Sessions({"default": [user("a"), assistant("b"), user("c")]}, pace=40_000))
    assert line(page) == ["-- 23 Nov 2026", "a", "b", "-- 24 Nov 2026", "c"]


def test_trimmed() -> None:
    """Messages that the model no longer sees are marked one by one, and the window's edge is drawn."""
    messages = [user("a"), assistant("b"), user("c"), assistant("d")]
    page = page_of(Sessions({"default": messages}, dead={"default": {0, 1}}))
    assert line(page) == [
        "-- Trimmed: the model no longer sees these",
        "-- 23 Nov 2026",
        "a",
        "b",
        "-- The model sees from here",
        "c",
        "d",
    ]
    assert [chips(each) for each in entries(page)] == [["Trimmed"], ["Trimmed"], [], []]
    assert ["trimmed" in each.classes for each in entries(page)] == [True, True, False, False]
    assert "The model sees 2 messages; 4 in the transcript" in page.one("main").words


def test_pinned_first() -> None:
    """A window in pieces has an edge at each end of each."""
    messages = [user("a", metadata={"custom": {"pinned": True}}), assistant("b"), user("c"), assistant("d")]
    page = page_of(Sessions({"default": messages}, dead={"default": {1, 2}}))
    assert line(page)[1:] == [
        "a",
        "-- Trimmed: the model no longer sees these",
        "b",
        "c",
        "-- The model sees from here",
        "d",
    ]
    assert chips(entries(page)[0]) == ["Pinned"]
    assert not entries(page)[0].all("details")


def test_all_seen() -> None:
    """Where the model sees all of it there is no edge."""
    page = page_of(Sessions({"default": [user("a"), assistant("b")]}))
    assert not page.all("li", "edge")
    assert "The model sees all of 2 messages" in page.one("main").words


def test_summary_at_its_place() -> None:
    """A summary stands where the window has it: after what it sums up, before what follows; and says what it is."""
    messages = [user("a"), assistant("b"), user("c"), assistant("d")]
    page = page_of(Sessions({"default": messages}, dead={"default": {0, 1}}, inline={"default": {2: [user("sum")]}}))
    assert line(page)[-4:] == ["-- The model sees from here", "sum", "c", "d"]
    assert chips(entries(page)[2]) == ["In the window only"]
    assert not entries(page)[2].all("a")


def test_inline_without_a_follower() -> None:
    """Messages of the window that nothing follows, or whose follower is gone by now, come last: none is left out."""
    inline = [TranscriptMessage("a", None, user(name), "", "", True) for name in "xyz"]
    stored = [TranscriptMessage("a", n, user(str(n)), stamp(n), stamp(n), True) for n in range(3)]
    gone = TranscriptMessage("a", 9, user("9"), stamp(9), stamp(9), True)
    window = [inline[0], stored[1], inline[1], gone, inline[2]]
    found = [each.message["content"][0]["text"] for each in with_inline(stored, window)]
    assert found == ["0", "x", "1", "2", "y", "z"]


@pytest.mark.parametrize(
    "text",
    ["[User input redacted.]", "[Assistant output redacted.]", "[redacted]", "<REDACTED>", "***redacted***"],
)
def test_redacted(text: str) -> None:
    """What a guardrail wrote over a message is marked as redacted, with the time of it."""
    entry = entries(page_of(Sessions({"default": [user(text)]}, rewritten={"default": {0}})))[0]
    assert chips(entry) == ["Redacted", "Changed 09:58:14"]


def test_redacted_result() -> None:
    """A tool's result that a guardrail overwrote says so where it is folded."""
    page = page_of(Sessions({"default": [assistant(use("a", "t1")), user(result("t1", "[redacted]"))]}))
    assert page.one("details", "tool").one("summary").one("span", "mark").text == "Redacted"


def test_erased() -> None:
    """An erased message is marked."""
    page = page_of(Sessions({"default": [user("[erased]"), assistant(use("a", "1")), user(result("1", "[erased]"))]}))
    assert chips(entries(page)[0]) == ["Erased"]
    assert page.one("details", "tool").one("summary").one("span", "mark").text == "Erased"


@pytest.mark.parametrize("text", ["the [redacted] part", "redacted", "[draft] redacted [copy]", "[erased] by me"])
def test_talk_of_redaction(text: str) -> None:
    """A message that merely speaks of it is not marked."""
    assert chips(entries(page_of(Sessions({"default": [user(text)]})))[0]) == []


def test_stored_by_a_repository() -> None:
    """The two times that Strands takes for one message, a moment apart, are no change."""
    times = ("2026-11-23T09:58:12.249999+00:00", "2026-11-23T09:58:12.250003+00:00")
    message = TranscriptMessage("a", 0, user("a"), *times, live=True)
    entry = list(conversation([message], "a"))[-1]
    assert isinstance(entry, Entry)
    assert changed(entry.record) is None


def test_tokens_and_latency() -> None:
    """What metadata tells of a model call stands under its message; further metadata is folded."""
    message = assistant("a", tokens=(12_345, 67), latency=2310, metadata={"custom": {"by": "me"}})
    message["metadata"]["usage"]["cacheReadInputTokens"] = 800
    message["metadata"]["metrics"]["timeToFirstByteMs"] = 400
    entry = entries(page_of(Sessions({"default": [user("q"), message]})))[1]
    facts = "12,345 tokens in · 67 out · 800 from cache · 2.3 s · first byte after 400 ms"
    assert entry.one("p", "facts").words == facts
    assert entry.one("details", "json").words == 'Metadata { "by": "me" }'


@pytest.mark.parametrize(
    "metadata",
    [None, 7, {"usage": None}, {"usage": {"inputTokens": "many"}, "metrics": {"latencyMs": float("nan")}}],
)
def test_odd_metadata(metadata: Any) -> None:
    """Metadata of another shape is no error."""
    assert not entries(page_of(Sessions({"default": [assistant("a", metadata=metadata)]})))[0].all("p", "facts")


def test_result_seen_otherwise_than_its_call() -> None:
    """Where the window ends between a call and its result, the result says so."""
    page = page_of(Sessions({"default": [assistant(use("a", "1")), user(result("1", "r"))]}, dead={"default": {0}}))
    assert page.one("div", "result").one("span", "chip").text == "Seen by the model"


def test_reads_no_further_than_it_must() -> None:
    """Messages are shown as they are read: a result is looked for in some messages after its call, and no further."""

    def messages(following: dict[str, Any]) -> Iterator[TranscriptMessage]:
        for number in range(1000):
            read.append(number)
            message = following if number else assistant(use("a", "1"))
            yield TranscriptMessage("a", number, message, stamp(number), stamp(number), True)

    for following, most in ((user(result("1")), 2), (assistant("next"), 10), (user("more"), 10)):
        read: list[int] = []
        items = conversation(messages(following), "a")
        next(items)
        next(items)
        assert len(read) == most
