"""The live window against a plain list: whatever is done to it, it names the messages that the list would hold."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strands_persql import SessionDataError
from strands_persql.database.live_window import (
    LiveWindow,
    Range,
    removed_by_rule,
)

Message = dict[str, Any]


def said(text: str) -> Message:
    """A message of text."""
    return {"role": "user", "content": [{"text": text}]}


ENTRIES = st.integers(0, 12) | st.sampled_from("abc").map(said)
HISTORIES = st.lists(ENTRIES, max_size=12, unique_by=lambda entry: entry if isinstance(entry, int) else id(entry))


def expanded(window: LiveWindow, count: int) -> list[int | Message]:
    """The history that a window gives over a transcript of so many messages, read from its JSON."""
    found: list[int | Message] = []
    for item in json.loads(window.render()):
        if "message" in item:
            found.append(item["message"])
        else:
            low, high = item
            found += [position for position in range(count) if low <= position and (high is None or position <= high)]
    return found


@given(HISTORIES)
def test_a_history_is_what_its_window_names(history: list[int | Message]) -> None:
    """Positions and inline messages in any order: the window names them in that order, and the next message last."""
    window = LiveWindow.of_history(history, next_id=13)
    assert window.is_plain
    assert expanded(window, 13) == history
    assert expanded(window, 14) == [*history, 13]
    assert LiveWindow.parse(window.render()) == LiveWindow.parse(json.loads(window.render())) == window
    assert window.inline == [entry for entry in history if not isinstance(entry, int)]
    assert {position for position in range(13) if window.holds(position)} == {
        entry for entry in history if isinstance(entry, int)
    }


@given(HISTORIES, st.integers(0, 12))
def test_a_history_is_set_back(history: list[int | Message], at: int) -> None:
    """A window ends with a message that is in it; one that isn't is reached with all of the transcript before it."""
    window = LiveWindow.of_history(history, next_id=13)
    kept = history[: history.index(at) + 1] if at in history else list(range(at + 1))
    kept = [entry for entry in kept if not isinstance(entry, int) or entry <= at]  # newer messages were said after it
    rewound = window.rewound(at, next_id=13)
    assert rewound.is_plain
    assert expanded(rewound, 13) == kept
    assert expanded(rewound, 14) == [*kept, 13]
    assert expanded(window.rewound(at, next_id=at + 1), at + 2) == [*kept, at + 1]
    before = window.rewound(at, next_id=13, kept=False)
    assert before.is_plain
    assert expanded(before, 14) == [*(entry for entry in kept if entry != at), 13]


@given(HISTORIES, st.integers(0, 13), st.booleans())
def test_what_a_page_left_out_is_read_next(history: list[int | Message], count: int, shuffled: bool) -> None:
    """After the first rows in the window's order the rest remains; after rows in another order, everything."""
    window = LiveWindow.of_history(history, next_id=13)
    positions = [entry for entry in history if isinstance(entry, int)]
    seen = positions[:count]
    if shuffled:
        seen = seen[::-1]
    unread = [position for low, high in window.unread(seen, last=12) for position in range(low, (high or 0) + 1)]
    assert unread == (positions if seen != positions[: len(seen)] else positions[len(seen) :])


def test_a_transcript_that_ends_closes_the_ranges() -> None:
    """No range reaches beyond the last message; one that begins there, and one that names nothing, go."""
    summary = said("summary")
    window = LiveWindow((Range(0, 0), summary, Range(7, 5), Range(4, None), Range(9, None)))
    assert window.closed(6) == LiveWindow((Range(0, 0), summary, Range(4, 6)))
    assert window.closed(-1) == LiveWindow((summary,))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("[[0,null]]", True),
        ("[[0,0],[40,null]]", True),
        ("[[5,9],[0,0],[40,null]]", True),
        ("[]", False),
        ("[[0,4]]", False),
        ("[[0,null],[9,null]]", False),
        ("[[0,4],[4,null]]", False),
        ("[[9,null],[0,4]]", False),
        ('[[0,null],{"message":{"role":"user","content":[]}}]', False),
    ],
)
def test_windows_of_another_form_are_told(text: str, plain: bool) -> None:
    """Plain is a window with one open range, at its end, and no message in two of its ranges."""
    assert LiveWindow.parse(text).is_plain is plain


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("nonsense", "Expecting value"),
        ("[[0,null]", "Expecting ',' delimiter"),
        ("5", "not a list"),
        ('"x"', "not a list"),
        ("{}", "not a list"),
        ("null", "not a list"),
        ("[1]", "pair of positions"),
        ("[[1]]", "pair of positions"),
        ('[["0",null]]', "pair of positions"),
        ("[[0,1.5]]", "pair of positions"),
        ("[[null,null]]", "pair of positions"),
        ("[[0,1,2]]", "pair of positions"),
        ("[[0,-1]]", "pair of positions"),
        ("[[null,1]]", "pair of positions"),
        ("[[0.0,null]]", "pair of positions"),
        ("[[true,null]]", "pair of positions"),
        (f"[[{2**53},null]]", "pair of positions"),
        ("[{}]", "inline message"),
        ('[{"x":1}]', "inline message"),
        ('[{"message":5}]', "inline message"),
        ('[{"message":{"role":"user"}}]', "inline message"),
        ('[{"message":{"role":"user","content":"text"}}]', "inline message"),
        ("[[0,9],[0,9],[9,9]]", "message 9 more than twice"),
        ("[[0,null],[0,4],[7,null],[3,8]]", "message 3 more than twice"),
        (f"[{','.join(['[0,39]'] * 10_000)}]", "message 0 more than twice"),
        ('[{"encoded":1}]', "inline message"),
        ('[{"encoded":"nonsense"}]', "Expecting value"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.usefixtures("no_collection")
def test_what_is_no_window_is_refused(text: str, reason: str) -> None:
    """The error says why, and in a row also whose window it is and what to do."""
    with pytest.raises(ValueError, match=reason):
        LiveWindow.parse(text)
    with pytest.raises(SessionDataError, match=rf"live window of agent 'a' can't be read \(.*{reason}"):
        LiveWindow.of_row(text, "a")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9) | st.none()), max_size=6), st.integers(0, 12))
def test_what_ranges_hold(ranges: list[tuple[int, int | None]], position: int) -> None:
    """A position is in a window if it is in any of its ranges, whatever their order, and however they overlap."""
    window = LiveWindow(tuple(Range(*ends) for ends in ranges))
    assert window.holds(position) is any(found.holds(position) for found in window.ranges)
    named = [sum(found.holds(at) for found in window.ranges) for at in range(20)]
    text = json.dumps([list(ends) for ends in ranges])
    if max(named, default=0) <= 2:
        assert LiveWindow.parse(text).ranges == window.ranges
    else:
        with pytest.raises(ValueError, match=f"names message {next(at for at in range(20) if named[at] > 2)} more"):
            LiveWindow.parse(text)


def test_a_row_may_have_no_window() -> None:
    """NULL in the column is no window."""
    assert LiveWindow.of_row(None, "a") is None


def test_messages_that_json_lacks_words_for_are_kept() -> None:
    """NaN goes as a string, which SQLite can read; bytes and lone surrogates as everywhere."""
    message = {"role": "user", "content": [{"text": "\ud800"}, {"raw": b"\0\xff"}, {"score": math.nan}]}
    text = LiveWindow((message, Range(4, None))).render()
    assert json.loads(text, parse_constant=pytest.fail)[1] == [4, None]
    (found,) = LiveWindow.parse(text).inline
    assert found["content"][:2] == message["content"][:2]
    assert math.isnan(found["content"][2]["score"])


def test_inline_messages_are_changed() -> None:
    """Each is replaced, ranges stay, and the window itself is as it was."""
    window = LiveWindow((said("a"), Range(3, 4), said("b"), Range(9, None)))
    changed = window.with_inline(lambda message: said(message["content"][0]["text"].upper()))
    assert changed == LiveWindow((said("A"), Range(3, 4), said("B"), Range(9, None)))
    assert window.inline == [said("a"), said("b")]


@pytest.mark.parametrize(
    ("state", "items"),
    [
        (None, (Range(0, None),)),
        ("nonsense", (Range(0, None),)),
        ({"removed_message_count": 3}, (Range(3, None),)),
        ({"removed_message_count": -3}, (Range(0, None),)),
        ({"removed_message_count": "3", "summary_message": {"role": "user"}}, (Range(0, None),)),
        ({"removed_message_count": 3, "summary_message": said("so far")}, (said("so far"), Range(3, None))),
    ],
)
def test_strands_own_rule(state: Any, items: tuple[Any, ...]) -> None:
    """Without a window: the conversation manager's summary, and all but the messages that it counts as removed."""
    document = {"conversation_manager_state": state}
    assert LiveWindow.by_rule(document) == LiveWindow(items)
    assert removed_by_rule(document) == items[-1].low
