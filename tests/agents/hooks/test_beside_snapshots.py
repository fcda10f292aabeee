"""A mirror beside Strands' SnapshotSessionManager, where it exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import strands.session

from ..harness import Store, words_of
from ..scripted import (
    ScriptedModel,
    redact_user,
    tools,
    use,
)
from .mirrors import assert_mirrored, mirrored, turn

if not hasattr(strands.session, "SnapshotSessionManager"):
    pytest.skip("this Strands has no SnapshotSessionManager", allow_module_level=True)


def snapshots(folder: Path, save: Any) -> Any:
    """A session in snapshots, in files."""
    from strands.session import SnapshotSessionManager
    from strands.storage import LocalFileStorage

    return SnapshotSessionManager("session-1", storage=LocalFileStorage(str(folder)), save_latest_on=save)


@pytest.mark.parametrize("save", ["invocation", "message"])
async def test_three_processes(store: Store, tmp_path: Path, mode: str, save: Any) -> None:
    """Over three processes the mirror holds what the snapshots hold, once and in order."""
    for number in range(3):
        model = ScriptedModel([f"one {number}", tools(use("remember", {"key": "k", "value": number})), "two"])
        agent = mirrored(store, model, snapshots(tmp_path, save))
        assert len(agent.messages) == 6 * number
        for prompt in ("a", "b"):
            await turn(agent, mode, prompt)
        assert store.messages() == agent.messages
        assert_mirrored(store, agent)
    assert store.messages() == mirrored(store, ScriptedModel(), snapshots(tmp_path, save)).messages


async def test_redaction(store: Store, tmp_path: Path, mode: str) -> None:
    """A redaction leaves no raw text, and the next process goes on."""
    agent = mirrored(store, ScriptedModel(["one", redact_user("[gone]")]), snapshots(tmp_path, "invocation"))
    await turn(agent, mode, "a")
    await turn(agent, mode, "MY-RAW-SECRET")
    assert not store.holds("MY-RAW-SECRET")
    agent = mirrored(store, ScriptedModel(["two"]), snapshots(tmp_path, "invocation"))
    await turn(agent, mode, "b")
    assert words_of(store.messages())[2:3] == ["[gone]"]
    assert store.messages() == agent.messages


async def test_a_lost_turn(store: Store, tmp_path: Path, mode: str) -> None:
    """A turn that the snapshots lost, as with a killed process, stays in the mirror's transcript, out of its window."""
    agent = mirrored(store, ScriptedModel(["one"]), snapshots(tmp_path, "invocation"))
    await turn(agent, mode, "a")
    lost = mirrored(store, ScriptedModel(["lost"]), snapshots(tmp_path, "trigger"))
    await turn(lost, mode, "b")
    agent = mirrored(store, ScriptedModel(["two"]), snapshots(tmp_path, "invocation"))
    await turn(agent, mode, "c")
    assert words_of(agent.messages) == ["a", "one", "c", "two"]
    assert words_of(store.messages()) == ["a", "one", "b", "lost", "c", "two"]
    assert_mirrored(store, agent)


async def test_restored_to_an_earlier_snapshot(store: Store, tmp_path: Path, mode: str) -> None:
    """Going back to an earlier snapshot is going back in the mirror's window too."""
    manager = snapshots(tmp_path, "invocation")
    agent = mirrored(store, ScriptedModel(["one", "two", "three"]), manager)
    await turn(agent, mode, "a")
    earlier = agent.take_snapshot(preset="session")
    await turn(agent, mode, "b")
    agent.load_snapshot(earlier)
    await turn(agent, mode, "c")
    assert words_of(agent.messages) == ["a", "one", "c", "three"]
    assert words_of(store.messages()) == ["a", "one", "b", "two", "c", "three"]
    assert_mirrored(store, agent)
