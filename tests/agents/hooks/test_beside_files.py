"""A mirror beside a FileSessionManager, and beside nothing: its transcript is the session's, over several processes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager

from ...processes import python
from ..harness import (
    Store,
    assistant,
    user,
    words_of,
)
from ..scripted import (
    ScriptedModel,
    overflow,
    redact_user,
    tools,
    use,
)
from .mirrors import (
    assert_mirrored,
    file_manager,
    messages_in_files,
    mirror_of,
    mirrored,
    turn,
    without_ids,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_three_real_processes(store: Store, tmp_path: Path) -> None:
    """Three processes of two turns each leave the same messages in the mirror as in the files, exactly."""
    folder = tmp_path / "files"
    for prompt in ("first", "second", "third"):
        ended = subprocess.run(
            [*python(), "-m", f"{__package__}.file_process", str(store.path), str(folder), prompt],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    assert len(store.messages()) == 18
    assert store.messages() == messages_in_files(folder)
    agent = mirrored(store, ScriptedModel(), file_manager(folder))
    assert_mirrored(store, agent)


async def test_three_processes(store: Store, tmp_path: Path, mode: str) -> None:
    """The same after each turn, in both forms of an invocation."""
    folder = tmp_path / "files"
    for number in range(3):
        model = ScriptedModel([f"one {number}", tools(use("remember", {"key": "k", "value": number})), "two"])
        agent = mirrored(store, model, file_manager(folder))
        for prompt in ("a", "b"):
            await turn(agent, mode, prompt)
            assert store.messages() == messages_in_files(folder)
            assert_mirrored(store, agent)
    assert len(store.messages()) == 18


async def test_same_words_again_and_again(store: Store, tmp_path: Path, mode: str) -> None:
    """Messages that are equal are told apart by their place: none is doubled, none is missed."""
    folder = tmp_path / "files"
    for _ in range(3):
        agent = mirrored(store, ScriptedModel(["yes", "yes"]), file_manager(folder))
        await turn(agent, mode, "sure?")
        await turn(agent, mode, "sure?")
    assert words_of(store.messages()) == ["sure?", "yes"] * 6
    assert store.messages() == messages_in_files(folder)
    assert_mirrored(store, agent)


async def test_preloaded(store: Store, tmp_path: Path, mode: str) -> None:
    """Messages that an agent was built with are recognised in each process, although their ids are fresh in each."""
    folder = tmp_path / "files"
    preloaded = [user("p"), assistant("q"), user("p"), assistant("q")]
    for number in range(3):
        agent = mirrored(store, ScriptedModel([f"one {number}"]), file_manager(folder), messages=preloaded)
        await turn(agent, mode, f"a {number}")
        assert without_ids(store.messages()) == without_ids(messages_in_files(folder))
    assert words_of(store.messages()) == ["p", "q", "p", "q", "a 0", "one 0", "a 1", "one 1", "a 2", "one 2"]


async def test_files_that_were_there_before(store: Store, tmp_path: Path, mode: str) -> None:
    """A mirror that is added to a session later takes in what the session holds by then."""
    folder = tmp_path / "files"
    agent = mirrored(store, ScriptedModel(["one"]), file_manager(folder), mirror=mirror_of(store, session_id="other"))
    await turn(agent, mode, "a")
    agent = mirrored(store, ScriptedModel(["two"]), file_manager(folder))
    await turn(agent, mode, "b")
    assert words_of(store.messages()) == ["a", "one", "b", "two"]
    assert store.messages() == messages_in_files(folder)
    assert_mirrored(store, agent)


async def test_turns_without_the_mirror(store: Store, tmp_path: Path, mode: str) -> None:
    """Turns of a process without the mirror are taken in by the next one with it."""
    folder = tmp_path / "files"
    for number in range(4):
        mirror = mirror_of(store, session_id="session-1" if number % 2 == 0 else "elsewhere")
        agent = mirrored(store, ScriptedModel([f"one {number}"]), file_manager(folder), mirror=mirror)
        await turn(agent, mode, f"a {number}")
    agent = mirrored(store, ScriptedModel(["end"]), file_manager(folder))
    await turn(agent, mode, "the end")
    assert store.messages() == messages_in_files(folder)
    assert_mirrored(store, agent)


@pytest.mark.parametrize(
    "manager",
    [
        lambda: SlidingWindowConversationManager(window_size=2),
        lambda: SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2),
    ],
    ids=["sliding", "summarizing"],
)
async def test_shrinking_histories(store: Store, tmp_path: Path, mode: str, manager: Any) -> None:
    """What leaves the model's view stays in the transcript; the window follows the agent in every process."""
    folder = tmp_path / "files"
    for number in range(3):
        model = ScriptedModel([f"one {number}", f"two {number}"])
        if number:
            model.replies[1:1] = [overflow()]
            if "Summar" in type(manager()).__name__:
                model.replies.insert(2, ScriptedModel([f"summary {number}"]).replies[0])
        agent = mirrored(store, model, file_manager(folder), conversation_manager=manager)
        await turn(agent, mode, f"a {number}")
        await turn(agent, mode, f"b {number}")
        assert_mirrored(store, agent, conversation_manager=manager)
    said = [words for words in words_of(store.messages()) if not words.startswith("summary")]
    assert said == [f"{word} {number}" for number in range(3) for word in ("a", "one", "b", "two")]


async def test_redaction_in_another_process(store: Store, tmp_path: Path, mode: str) -> None:
    """A redaction reaches both, and the next process goes on with the replacement."""
    folder = tmp_path / "files"
    agent = mirrored(store, ScriptedModel([redact_user("[gone]")]), file_manager(folder))
    await turn(agent, mode, "MY-RAW-SECRET")
    agent = mirrored(store, ScriptedModel(["two"]), file_manager(folder))
    await turn(agent, mode, "b")
    assert store.messages() == messages_in_files(folder)
    assert not store.holds("MY-RAW-SECRET")
    assert_mirrored(store, agent)


async def test_beside_nothing(store: Store, mode: str) -> None:
    """Without any session manager every process begins anew: the transcript keeps all, the window the last."""
    for number in range(3):
        agent = mirrored(store, ScriptedModel([f"one {number}", f"two {number}"]))
        await turn(agent, mode, f"a {number}")
        await turn(agent, mode, f"b {number}")
        assert_mirrored(store, agent)
    assert words_of(store.messages()) == [f"{word} {n}" for n in range(3) for word in ("a", "one", "b", "two")]


async def test_beside_our_own_manager(store: Store, mode: str) -> None:
    """A mirror beside a PerSQLSessionManager, in a session of its own: both hold the same."""
    for number in range(3):
        mirror = mirror_of(store, session_id="mirror")
        agent = mirrored(store, ScriptedModel([f"one {number}"]), store.manager(), mirror=mirror)
        await turn(agent, mode, f"a {number}")
    assert len(store.messages()) == 6
    assert store.messages(session_id="mirror") == store.messages()
