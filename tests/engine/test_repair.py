"""Mending histories, held against Strands' own rules."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strands.session import RepositorySessionManager

from strands_persql.engine.repair import repair

FIX = RepositorySessionManager._fix_broken_tool_use
# The newest rules: an orphan result is taken out wherever it stands, and the text beside it stays.
ORPHAN = {"toolResult": {"toolUseId": "t", "status": "success", "content": []}}
PROBE: list[Any] = [{"role": "user", "content": [{"text": "a"}, ORPHAN]}]
NEWEST = "Snapshot eligible indices" in inspect.getsource(FIX) and FIX(None, PROBE) == [  # type: ignore[arg-type]
    {"role": "user", "content": [{"text": "a"}]}
]

IDS = st.sampled_from(["t1", "t2", "t3"])
TEXT = st.fixed_dictionaries({"text": st.sampled_from(["a", "b"])})
USE = IDS.map(lambda use: {"toolUse": {"toolUseId": use, "name": "tool", "input": {}}})
RESULT = IDS.map(lambda use: {"toolResult": {"toolUseId": use, "status": "success", "content": [{"text": use}]}})
ASSISTANT = st.lists(TEXT | USE, max_size=3).map(lambda content: {"role": "assistant", "content": content})
USER = st.lists(TEXT | RESULT, max_size=3).map(lambda content: {"role": "user", "content": content})
HISTORIES = st.lists(ASSISTANT | USER, max_size=8)


def plain(messages: Any) -> list[dict[str, Any]]:
    """Messages without the ids that Strands makes up."""
    return [{key: value for key, value in message.items() if key != "tracking_id"} for message in messages]


@pytest.mark.skipif(not NEWEST, reason="an older release of Strands mends less")
@settings(max_examples=500)
@given(HISTORIES)
def test_mends_as_strands_does(history: list[dict[str, Any]]) -> None:
    """Any history is mended to what Strands' own manager makes of it, and a change is reported."""
    ours, theirs = copy.deepcopy(history), copy.deepcopy(history)
    changed = repair(ours)
    fixed = FIX(None, theirs)  # type: ignore[arg-type]
    assert plain(ours) == plain(list(fixed))
    if not changed:
        assert ours == history


@given(HISTORIES)
def test_mending_twice_changes_nothing(history: list[dict[str, Any]]) -> None:
    """What was mended is whole, so that no restore writes again."""
    repair(history)
    if all("toolUse" not in block for message in history if message["role"] == "user" for block in message["content"]):
        once = copy.deepcopy(history)
        repair(history)
        assert [m["content"] for m in history if m["role"] == "user"] == [
            m["content"] for m in once if m["role"] == "user"
        ]


def use(*ids: str) -> dict[str, Any]:
    """An assistant's message that uses tools."""
    return {"role": "assistant", "content": [{"toolUse": {"toolUseId": i, "name": "t", "input": {}}} for i in ids]}


def result(*ids: str, text: str = "") -> dict[str, Any]:
    """A user's message with tools' results, and some text."""
    content: list[dict[str, Any]] = [
        {"toolResult": {"toolUseId": i, "status": "success", "content": [{"text": "ok"}]}} for i in ids
    ]
    return {"role": "user", "content": [*content, *([{"text": text}] if text else [])]}


def said(text: str, role: str = "user") -> dict[str, Any]:
    """A message of text."""
    return {"role": role, "content": [{"text": text}]}


def test_a_whole_history_is_left_alone() -> None:
    """Nothing is touched, and nothing reported, where uses and results match."""
    history = [said("hi"), use("a", "b"), result("b", "a"), said("done", "assistant")]
    before = copy.deepcopy(history)
    assert repair(history) is False
    assert history == before


def test_a_use_at_the_end_is_left_to_the_agent() -> None:
    """The agent itself runs or answers the tool use that stands last."""
    history = [said("hi"), use("a")]
    assert repair(history) is False
    assert len(history) == 2


def test_an_interrupted_use_gets_an_error_result() -> None:
    """A use in the midst that has no answer gets one that says so, before what follows."""
    history = [said("hi"), use("a", "b"), said("again")]
    assert repair(history) is True
    assert [message["role"] for message in history] == ["user", "assistant", "user", "user"]
    results = [block["toolResult"] for block in history[2]["content"]]
    assert [(found["toolUseId"], found["status"]) for found in results] == [("a", "error"), ("b", "error")]


def test_results_without_uses_are_dropped() -> None:
    """A result whose use is gone is removed, and the message with it if nothing else stands in it."""
    history = [result("x"), result("y", text="words"), said("ok", "assistant")]
    assert repair(history) is True
    assert history == [said("words"), said("ok", "assistant")]


def test_a_missing_and_a_stale_result() -> None:
    """A result message is rebuilt to hold exactly one result a use."""
    history = [use("a", "b"), result("b", "stale", text="words"), said("ok", "assistant")]
    assert repair(history) is True
    blocks = history[1]["content"]
    assert [block["toolResult"]["toolUseId"] for block in blocks[:2]] == ["a", "b"]
    assert blocks[2:] == [{"text": "words"}]


def test_a_block_without_its_id() -> None:
    """It is an error where mending has to know the id, and else left as it is."""
    broken: list[dict[str, Any]] = [said("a"), {"role": "assistant", "content": [{"toolUse": {"name": "t"}}]}]
    once = copy.deepcopy(broken)
    assert not repair(broken)
    assert broken == once
    with pytest.raises(KeyError):
        repair([*broken, result("t1")])
