"""Messages that leave a history and come back: they are known again, and stored once."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from strands_persql.engine import departed
from strands_persql.engine.window import Change, Window

Message = dict[str, Any]


def branch(name: str, count: int = 2, *, ids: bool = True) -> list[Message]:
    """One of the histories that are swapped: new objects each time."""
    return [
        {
            "role": "user" if number % 2 == 0 else "assistant",
            "content": [{"text": f"{name}{number}"}],
            **({"tracking_id": f"id-{name}{number}"} if ids else {}),
        }
        for number in range(count)
    ]


def window_of(*branches: list[Message]) -> Window:
    """A window that has recorded one history after the other."""
    window = Window(what="agent 'a'")
    for each in branches:
        window.compare(each)
    return window


def positions(window: Window) -> list[int | None]:
    """The rows of a window's messages."""
    return [entry.message_id for entry in window.entries]


def written(change: Change) -> list[int | None]:
    """The rows that a change writes."""
    return [entry.message_id for entry, _ in (*change.added, *change.rewritten)]


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
def test_a_history_that_comes_back(ids: bool) -> None:
    """Its messages are referred to, however often it comes; what was said meanwhile is stored behind them."""
    window = window_of(branch("x", ids=ids), branch("y", ids=ids))
    for name, rows in (("x", [0, 1]), ("y", [2, 3]), ("x", [0, 1])):
        change = window.compare(branch(name, ids=ids))
        assert written(change) == []
        assert positions(window) == rows
    change = window.compare([*branch("x", ids=ids), {"role": "user", "content": [{"text": "more"}]}], added=True)
    assert written(change) == [4]
    assert window.text == "[[0,1],[4,null]]"


def test_it_comes_back_changed() -> None:
    """A message under a known id that holds something else is written to the row that it has."""
    window = window_of(branch("x"), branch("y"))
    changed = branch("x")
    changed[1]["content"] = [{"text": "edited"}]
    assert written(window.compare(changed)) == [1]
    assert positions(window) == [0, 1]


def test_said_again() -> None:
    """A message that was just added is new, whatever it looks like."""
    window = window_of(branch("x", 1), branch("y"), [])
    assert written(window.compare(branch("x", 1), added=True)) == [3]


def test_elsewhere() -> None:
    """The same content without an id is another message in another place of the history."""
    window = window_of(branch("x", ids=False), branch("y", ids=False))
    assert written(window.compare(branch("x", ids=False)[1:])) == [4]


def fresh(messages: list[Message], run: int) -> list[Message]:
    """The same examples under the fresh ids of another run."""
    return [{**copy.deepcopy(message), "tracking_id": f"run-{run}-{n}"} for n, message in enumerate(messages)]


@pytest.mark.parametrize("goes_away", [True, False])
@pytest.mark.parametrize("gives_ids", [True, False], ids=["manager", "mirror"])
def test_fresh_ids(gives_ids: bool, goes_away: bool) -> None:
    """Examples that a run begins with are stored once; a manager gives them their ids, a mirror changes nothing."""
    window = Window(what="agent 'a'")
    window.departed.gives_ids = gives_ids
    shots = branch("x", ids=False)
    window.compare(fresh(shots, 0))
    for run in (1, 2):
        if goes_away:
            window.compare([])
        begun = fresh(shots, run)
        prompt: Message = {"role": "user", "content": [{"text": f"q{run}"}], "tracking_id": f"q{run}"}
        assert written(window.compare([*begun, prompt], added=True)) == [1 + run]
        assert positions(window) == [0, 1, 1 + run]
        stored = 0 if gives_ids else run
        assert [message["tracking_id"] for message in begun] == [f"run-{stored}-0", f"run-{stored}-1"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many messages that leave, the last are kept: one that is forgotten is new again."""
    monkeypatch.setattr(departed, "MOST", 4)
    window = window_of(branch("x", 3), branch("y", 3), branch("z", 3))
    assert len(window.departed._left) == 4
    assert len(window.departed._found_by) == 8
    window.compare(branch("x", 3))
    assert positions(window) == [None, None, 2]
    assert len(window.departed._left) == 4


def test_what_was_never_stored() -> None:
    """A message that stands inline, or can't be stored, is not kept."""
    window = window_of(branch("x"))
    summary: Message = {"role": "user", "content": [{"text": "summary"}]}
    window.compare([summary, *window.messages])
    window.compare([{"role": "user", "content": [{"text": object()}]}])
    window.compare([])
    assert sorted(window.departed._left) == [0, 1]
