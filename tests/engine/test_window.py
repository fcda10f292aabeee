"""The live window against a simple model: whatever happens to a history, what is stored expands to it."""

from __future__ import annotations

import copy
import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strands_persql import SessionDataError
from strands_persql.database.encoding import decode
from strands_persql.database.live_window import LiveWindow
from strands_persql.engine.entries import Entry
from strands_persql.engine.window import INLINE_SIZE, Change, Window

from ..thorough import tries

Message = dict[str, Any]


def said(text: str, tracking_id: str | None = None, role: str = "user") -> Message:
    """A message of text."""
    message: Message = {"role": role, "content": [{"text": text}]}
    if tracking_id is not None:
        message["tracking_id"] = tracking_id
    return message


class Transcript:
    """What is stored of one window: rows by position, and the window's text. It knows nothing of `Window`."""

    def __init__(self) -> None:
        self.rows: dict[int, Message] = {}
        self.window = "[[0,null]]"

    def write(self, change: Change) -> None:
        """Carry out a change, as the tables would; nothing is written that does not change."""
        for entry, text in change.added:
            assert entry.message_id == len(self.rows), "positions are counted without a gap"
            self.rows[entry.message_id] = decode(text)
        for entry, text in change.rewritten:
            assert entry.message_id is not None
            new = decode(text)
            assert self.rows[entry.message_id] != new, "a row is rewritten only if it changed"
            self.rows[entry.message_id] = new
        if change.window is not None:
            assert change.window.render() != self.window
            self.window = change.window.render()

    def history(self) -> list[Message]:
        """The messages that the window names, in its order."""
        found: list[Message] = []
        for item in json.loads(self.window):
            if isinstance(item, dict):
                found.append(decode(json.dumps(item["message"])) if "message" in item else decode(item["encoded"]))
            else:
                low, high = item
                found += [self.rows[i] for i in sorted(self.rows) if low <= i and (high is None or i <= high)]
        return found

    def restored(self) -> tuple[Window, int]:
        """A window of another process."""
        rows = {position: Entry.stored(copy.deepcopy(row), position, "then") for position, row in self.rows.items()}
        named = {position: row for position, row in rows.items() if any(_names(self.window, position))}
        return Window.restored(LiveWindow.parse(self.window), named, what="agent 'a'", next_id=len(self.rows))


def _names(window: str, position: int) -> list[bool]:
    ranges = [item for item in json.loads(window) if isinstance(item, list)]
    return [low <= position and (high is None or position <= high) for low, high in ranges]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "append",
                "append",
                "append",
                "append_same_object",
                "append_same_id",
                "append_two",
                "insert",
                "delete",
                "trim",
                "edit",
                "replace",
                "merge_last",
                "swap",
                "copy_all",
                "clear",
                "unstorable",
                "mend",
                "big",
                "nothing",
            ]
        ),
        st.integers(0, 50),
        st.booleans(),
    ),
    max_size=30,
)


def happen(history: list[Message], name: str, number: int, ids: bool, serial: int) -> list[Message]:
    """One thing that Strands or the user may do to a history."""
    place = number % (len(history) + 1)
    index = number % len(history) if history else None
    tracking_id = f"id-{serial}" if ids else None
    if name == "append":
        history.append(said(f"{serial}", tracking_id))
    elif name == "append_two":
        history += [said(f"{serial}", tracking_id), said(f"{serial}b")]
    elif name == "insert":
        history.insert(place, said(f"{serial}", tracking_id))
    elif name == "big":
        history.insert(place, said(f"{serial}" * INLINE_SIZE, tracking_id))
    elif name == "unstorable":
        history.append({"role": "user", "content": [{"text": f"{serial}", "when": datetime.date(2026, 1, 1)}]})
    elif index is None:
        pass
    elif name == "append_same_object":
        history.append(history[index])
    elif name == "append_same_id":
        history.append({**said(f"{serial}"), "tracking_id": history[index].get("tracking_id") or "id"})
    elif name == "delete":
        del history[index]
    elif name == "trim":
        del history[: index + 1]
    elif name == "edit":
        history[index]["content"].append({"text": f"{serial}"})
    elif name == "replace":
        history[index] = {**copy.deepcopy(history[index]), "content": [{"text": f"{serial}"}]}
    elif name == "merge_last":
        history[-1] = {**history[-1], "content": [*history[-1]["content"], {"text": f"{serial}"}]}
    elif name == "swap":
        history[index], history[-1] = history[-1], history[index]
    elif name == "copy_all":
        history = copy.deepcopy(history)
    elif name == "clear":
        history = []
    elif name == "mend":
        for message in history:
            for block in message["content"]:
                block.pop("when", None)
    return history


def storable(history: list[Message]) -> list[Message]:
    """The messages of a history that JSON can hold."""
    return [message for message in history if all("when" not in block for block in message["content"])]


@settings(max_examples=tries(60, 150))
@given(OPERATIONS, st.booleans())
def test_what_is_stored_expands_to_the_history(operations: list[tuple[str, int, bool]], resume: bool) -> None:
    """After any edits, the window over the transcript's rows is the history, and a second look writes nothing."""
    window, stored, history = Window(what="agent 'a'"), Transcript(), list[Message]()
    for serial, (name, number, ids) in enumerate(operations):
        history = happen(history, name, number, ids, serial)
        if name in ("append", "append_same_object", "append_same_id", "unstorable"):
            stored.write(window.add(history))
        else:
            stored.write(window.compare(history))
        assert stored.history() == storable(history)
        assert window.messages == history
        assert window.text == stored.window
        assert not window.compare(history)
        if resume and number % 5 == 0:  # another process goes on
            window, missing = stored.restored()
            assert missing == 0
            history = window.messages
            assert history == stored.history()
            assert not window.compare(history)


@settings(max_examples=tries(40, 100))
@given(OPERATIONS, st.lists(st.booleans(), min_size=30, max_size=30))
def test_rare_looks_find_everything(operations: list[tuple[str, int, bool]], looks: list[bool]) -> None:
    """Many edits between two looks are found by one comparison of the whole."""
    window, stored, history = Window(what="agent 'a'"), Transcript(), list[Message]()
    for serial, ((name, number, ids), look) in enumerate(zip(operations, looks, strict=False)):
        history = happen(history, name, number, ids, serial)
        if look:
            stored.write(window.compare(history))
            assert stored.history() == storable(history)
    stored.write(window.compare(history))
    assert stored.history() == storable(history)


@given(st.lists(st.tuples(st.sampled_from(["append", "append_same_object", "append_same_id"]), st.integers(0, 9))))
def test_adding_and_comparing_give_the_same(operations: list[tuple[str, int]]) -> None:
    """The look at the tail alone writes what a comparison of the whole would write."""
    added, compared = Window(what="agent 'a'"), Window(what="agent 'a'")
    history: list[Message] = []
    for serial, (name, number) in enumerate(operations):
        history = happen(history, name, number, serial % 2 == 0, serial)
        one, other = added.add(history), compared.compare(history)
        assert [text for _, text in one.added] == [text for _, text in other.added]
        assert [entry.message_id for entry, _ in one.added] == [entry.message_id for entry, _ in other.added]
        assert (one.rewritten, one.window, one.error) == (other.rewritten, other.window, other.error)
        assert added.text == compared.text


def recorded(*messages: Message) -> tuple[Window, Transcript, list[Message]]:
    """A history that is stored already."""
    window, stored, history = Window(what="agent 'a'"), Transcript(), list[Message]()
    for message in messages:
        history.append(message)
        stored.write(window.add(history))
    return window, stored, history


def test_an_append_costs_one_row() -> None:
    """An added message is one new row: no other row, no window, whatever the window was."""
    window, stored, history = recorded(said("0"), said("1"), said("2"))
    del history[1]
    stored.write(window.compare(history))
    assert stored.window == "[[0,0],[2,null]]"
    history.append(said("3"))
    change = window.add(history)
    assert [entry.message_id for entry, _ in change.added] == [3]
    assert (change.rewritten, change.window) == ([], None)


def test_adding_looks_at_the_ends_alone() -> None:
    """An added message costs no comparison of the messages between, however long the history."""

    class Unlooked(dict[str, Any]):
        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        __hash__ = None

    window, _, history = recorded(*(said(str(i)) for i in range(6)))
    history[3] = Unlooked(history[3])
    history.append(said("6"))
    change = window.add(history)
    assert [entry.message_id for entry, _ in change.added] == [6]


@pytest.mark.parametrize(
    ("edit", "text", "added", "rewritten"),
    [
        (lambda history: history.__delitem__(slice(0, 2)), "[[2,null]]", [], []),
        (lambda history: history.__delitem__(slice(1, 3)), "[[0,0],[3,null]]", [], []),
        (lambda history: history.pop(), "[[0,2],[4,null]]", [], []),
        (lambda history: history.clear(), "[[4,null]]", [], []),
        (lambda history: history.reverse(), "[[3,3],[2,2],[1,1],[0,0],[4,null]]", [], []),
        (lambda history: history.append(said("new")), "[[0,null]]", [4], []),
        (lambda history: history[1]["content"].clear(), "[[0,null]]", [], [1]),
        (
            lambda history: history.__setitem__(slice(0, 3), [said("so far")]),
            '[{"message":{"role":"user","content":[{"text":"so far"}]}},[3,null]]',
            [],
            [],
        ),
    ],
    ids=["trim", "pin", "pop", "clear", "reverse", "append", "edit", "summary"],
)
def test_windows(edit: Any, text: str, added: list[int], rewritten: list[int]) -> None:
    """Each kind of change is described as the design says, and writes no more than it must."""
    window, stored, history = recorded(*(said(str(i), f"id-{i}") for i in range(4)))
    edit(history)
    change = window.compare(history)
    assert [entry.message_id for entry, _ in change.added] == added
    assert [entry.message_id for entry, _ in change.rewritten] == rewritten
    stored.write(change)
    assert stored.window == text
    assert stored.history() == history


def test_a_message_is_known_by_its_object_then_by_its_id() -> None:
    """A merged message stands in a new object with the same id: its row is rewritten, not doubled."""
    window, _stored, history = recorded(said("0"), said("1", "x"))
    history[-1] = said("1, and more", "x")
    change = window.add(history)
    assert not change.added
    assert [entry.message_id for entry, _ in change.rewritten] == [1]
    history[0]["content"] = [{"text": "changed in place, no id"}]
    change = window.compare(history)
    assert [entry.message_id for entry, _ in change.rewritten] == [0]


def test_the_same_object_twice_is_two_messages() -> None:
    """An object that stands twice has two rows, and a change of it rewrites both."""
    window, stored, history = recorded(said("again", "x"), said("answer", "y"))
    history.append(history[0])
    stored.write(window.add(history))
    history[0]["content"] = [{"text": "redacted"}]
    change = window.compare(history)
    stored.write(change)
    assert [entry.message_id for entry, _ in change.rewritten] == [0, 2]
    del history[0]
    stored.write(window.compare(history))
    assert stored.history() == history


@pytest.mark.parametrize("ids", [True, False])
def test_messages_inserted_in_the_midst_stay_within_a_budget(ids: bool) -> None:
    """However often large messages are put between others, the window stays small enough to be rewritten."""
    window, stored, history = recorded(said("0"), said("1"))
    for i in range(20):
        history.insert(1, said("z" * (INLINE_SIZE - 1000), f"id-{i}" if ids else None))
        stored.write(window.compare(history))
        assert stored.history() == history
    assert len(stored.window) <= 2 * INLINE_SIZE


def test_an_inline_message_that_grows_leaves_the_window() -> None:
    """An inline message that becomes large is a row of the transcript from then on."""
    window, stored, history = recorded(said("0"))
    history.insert(0, said("summary"))
    stored.write(window.compare(history))
    history[0]["content"] = [{"text": "z" * 3_000_000}]
    stored.write(window.compare(history))
    assert stored.history() == history
    assert len(stored.window) <= 2 * INLINE_SIZE


def test_a_message_that_can_not_be_stored_is_set_aside_and_comes_back() -> None:
    """It is an error once, leaves the rest whole, and is stored where it stands when it has changed."""
    window, stored, history = recorded(said("0"))
    history.append({"role": "user", "content": [{"when": datetime.date(2026, 1, 1)}]})
    change = window.add(history)
    assert isinstance(change.error, SessionDataError)
    assert not change.added
    stored.write(change)
    history.append(said("2"))
    change = window.add(history)
    assert change.error is None
    stored.write(change)
    assert stored.history() == [history[0], history[2]]
    assert not window.compare(history)
    history[1]["content"] = [{"when": "2026-01-01"}]
    stored.write(window.compare(history))
    assert stored.history() == history


def test_a_stored_message_that_becomes_unstorable_keeps_its_row() -> None:
    """Its row holds what it held, the error comes once, and the next storable content is written."""
    window, stored, history = recorded(said("0"), said("1"))
    history[0]["content"] = [{"text": "0"}, {"when": {1, 2}}]
    change = window.compare(history)
    assert isinstance(change.error, SessionDataError)
    stored.write(change)
    assert stored.history() == [said("0"), said("1")]
    assert window.compare(history).error is None
    history[0]["content"] = [{"text": "0, mended"}]
    stored.write(window.compare(history))
    assert stored.history() == history


def test_a_message_nested_too_deep_is_set_aside() -> None:
    """Nesting beyond what can be copied or encoded is a clear error, and the messages after it are stored."""
    window, stored, history = recorded(said("0"))
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    history.append({"role": "user", "content": [{"toolResult": {"content": [{"json": deep}]}}]})
    assert isinstance(window.add(history).error, SessionDataError)
    history.append(said("2"))
    stored.write(window.add(history))
    assert stored.history() == [history[0], history[2]]


def test_numbers_that_sqlite_can_not_read() -> None:
    """A message with NaN is kept inline too, as a string inside JSON that SQLite reads."""
    window, stored, history = recorded(said("0"))
    history.insert(0, {"role": "user", "content": [{"json": float("nan")}]})
    stored.write(window.compare(history))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(stored.window, parse_constant=refuse)
    assert repr(stored.history()) == repr(history)
    assert not window.compare(history)
    restored, _ = stored.restored()
    assert repr(restored.messages) == repr(history)


def test_a_stateful_models_messages_stay_in_the_window() -> None:
    """Strands clears such a history after each turn: nothing is deleted, and what is added is a new row."""
    window, stored = Window(what="agent 'a'", keeps_dropped=True), Transcript()
    for turn in range(2):
        history = [said(f"{turn}")]
        stored.write(window.add(history))
        history.append(said(f"{turn}, answered", role="assistant"))
        stored.write(window.add(history))
        history.clear()
        stored.write(window.compare(history))
    assert stored.window == "[[0,null]]"
    assert len(stored.history()) == 4
    rows = {position: Entry.stored(row, position, "then") for position, row in stored.rows.items()}
    restored, missing = Window.restored(LiveWindow(), rows, what="a", next_id=4, keeps_dropped=True)
    assert (restored.messages, restored.next_id, missing) == ([], 4, 0)


def test_a_window_of_strands_own() -> None:
    """No stored window means the conversation manager's messages, then all rows; the next look stores a window."""
    rows = {i: Entry.stored(said(str(i)), i, "then") for i in (2, 3)}
    window, missing = Window.restored(None, rows, what="a", next_id=4, head=[said("summary")])
    assert missing == 0
    assert window.messages == [said("summary"), said("2"), said("3")]
    change = window.compare(window.messages)
    assert change.window is not None
    assert change.window.render() == '[{"message":{"role":"user","content":[{"text":"summary"}]}},[2,null]]'
    assert not change.added


def test_rows_that_are_missing_are_counted() -> None:
    """A window that names rows which are gone restores the others and says how many are missing."""
    rows = {i: Entry.stored(said(str(i)), i, "then") for i in (0, 5, 7)}
    window, missing = Window.restored(LiveWindow.parse("[[0,1],[5,null]]"), rows, what="a", next_id=8)
    assert [message["content"][0]["text"] for message in window.messages] == ["0", "5", "7"]
    assert missing == 2
    assert not window.compare(window.messages)


@pytest.mark.parametrize(
    "text", ["[[0,null],[0,null]]", "[[0,null],[1,1]]", "[[0,1],[1,null]]", "[[2,2],[0,1]]", "[[5,2]]"]
)
def test_a_window_that_was_changed_by_hand(text: str) -> None:
    """However it names rows, the history is what it restores, and goes on from there."""
    window, stored, history = recorded(*(said(str(i)) for i in range(3)))
    stored.window = text
    window, _ = stored.restored()
    history = window.messages
    history.append(said("next"))
    change = window.add(history)
    if (
        change.window is not None and change.window.render() == stored.window
    ):  # written anew, though it could have stayed
        change.window = None
    stored.write(change)
    assert stored.history() == history
    assert stored.restored()[0].messages == history


def test_the_place_of_a_redaction() -> None:
    """A redaction concerns the object, else the last message, else the row stored last."""
    window, _, history = recorded(said("0"), said("1"))
    assert window.place(history[0], history) is window.entries[0]
    history[-1] = said("another object")
    entry = window.place(history[-1], history)
    assert entry is window.entries[-1]
    assert entry.message is history[-1]
    entry = window.place(said("foreign"), history)
    assert entry is window.entries[-1]
    assert entry.message["content"] == [{"text": "foreign"}]
    assert Window(what="a").place(said("x"), []) is None


def test_a_message_just_added_is_new_whatever_it_looks_like() -> None:
    """A history cleared and begun with the same words again, without ids, is a new message and no old one."""
    window, _, history = recorded(said("again"))
    history[:] = [said("again")]
    change = window.add(history)
    assert [entry.message_id for entry, _ in change.added] == [1]
    assert change.window == LiveWindow.parse("[[1,null]]")
