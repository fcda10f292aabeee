"""Random sequences of turns, failures and the user's own changes: live == restored after each."""

from __future__ import annotations

import contextlib
import copy
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands.agent.conversation_manager import (
    NullConversationManager,
    SlidingWindowConversationManager,
    SummarizingConversationManager,
)
from strands.agent.state import AgentState

from ..thorough import tries
from .agents import agent_of
from .harness import Durability, Scenario, Store, assert_rows_sound, assert_same, assistant, restored, user
from .scripted import ScriptedModel, fail, overflow, redact_user, tools, use

SEED = os.environ.get("STRANDS_PERSQL_SEED")
"""Runs one session alone: the one whose test printed this seed."""

SESSIONS = 1 if SEED else tries(8, 24)
STEPS = 22

MANAGERS: list[Callable[[], Any]] = [
    NullConversationManager,
    lambda: SlidingWindowConversationManager(window_size=6),
    lambda: SlidingWindowConversationManager(window_size=9, per_turn=2),
    lambda: SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2),
]


def answered(messages: list[Any]) -> bool:
    """Whether a restore leaves a history as it is: uses and results in pairs, a use in the last message apart."""
    for index, message in enumerate(messages):
        results = {block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block}
        before = messages[index - 1]["content"] if index else []
        uses = {block["toolUse"]["toolUseId"] for block in before if "toolUse" in block}
        if results != uses:
            return False
    return True


class Walk:
    """One random session.

    Attributes:
        steps: What it has done so far, for whoever has to find out why.
    """

    def __init__(self, seed: int, path: Path) -> None:
        self.choice = random.Random(seed)
        durability: Durability = self.choice.choice(["message", "message", "overlap", "invocation"])
        self.store = Store(path, durability=durability)
        self.model = ScriptedModel()
        build = agent_of(self.model, conversation_manager=self.choice.choice(MANAGERS))
        self.run = Scenario(self.store, build, "async")
        self.steps: list[str] = [durability]
        self.count = 0

    async def step(self) -> None:
        """Do something, then make sure that it is stored."""
        kind: Callable[[], Any] = self.choice.choice(
            [
                self.plain,
                self.plain,
                self.with_tools,
                self.with_tools,
                self.redacted,
                self.failing,
                self.overflowing,
                self.edit,
                self.insert,
                self.pop,
                self.clear,
                self.rebind,
                self.duplicate,
                self.move,
                self.state,
                self.broken_write,
                self.broken_write,
                self.restart,
            ]
        )
        self.count += 1
        self.steps.append(kind.__name__)
        await kind()
        self.check()

    def check(self) -> None:
        """Live == restored, unless the history is one that no model would take: then it is restored mended."""
        live = self.run.agent
        other = restored(self.store, self.run.build)
        if answered(live.messages):
            assert_same(live, other)
        else:
            assert answered(other.messages)
            live.messages.clear()
            self.run.manager.sync_agent(live)
            self.run.manager.flush()
        if self.unique:
            assert_rows_sound(self.store, live)

    unique = True
    """Whether no message can stand in two rows: one that left the history and came back is stored anew."""

    def word(self) -> str:
        """One of a few words, so that they come again."""
        return f"SECRET-{self.choice.randrange(3)}" if self.choice.random() < 0.5 else f"word {self.count}"

    async def turn(self, *replies: Any, prompt: Any = None) -> None:
        self.model.replies.clear()
        self.model.play(*replies, *[f"a{self.count}"] * 3)
        await self.run.turn(prompt or self.word(), check=False)

    async def plain(self) -> None:
        await self.turn(f"a{self.count}")

    async def with_tools(self) -> None:
        uses = [use("add", {"a": self.count, "b": 1}), use("boom"), use("remember", {"key": "k", "value": self.count})]
        await self.turn(tools(*self.choice.sample(uses, self.choice.randint(1, 3))))

    async def redacted(self) -> None:
        secret = f"SECRET-{self.choice.randrange(3)}"
        await self.turn(redact_user("[redacted]"), prompt=secret)
        assert not self.store.holds(secret)

    async def failing(self) -> None:
        with pytest.raises(RuntimeError):
            await self.turn(fail(RuntimeError("down"), after=self.choice.randrange(4)))

    async def overflowing(self) -> None:
        with contextlib.suppress(Exception):
            await self.turn(overflow(), "a summary, perhaps")

    def synced(self) -> None:
        self.run.manager.sync_agent(self.run.agent)
        self.run.manager.flush()

    @property
    def messages(self) -> list[Any]:
        return self.run.agent.messages

    def place(self) -> int:
        return self.choice.randint(0, len(self.messages))

    async def edit(self) -> None:
        # A secret stays below an edit, in the row of what was said: a redaction of it takes the edit away as well.
        plain = [
            each
            for each in self.messages
            if all("text" in block and "SECRET" not in block["text"] for block in each["content"])
        ]
        for message in self.choice.sample(plain, min(len(plain), self.choice.randint(1, 3))):
            message["content"] = [{"text": f"edited {self.count}"}]
            message["content"] += [{"text": "and more"}] * self.choice.randrange(2)
        self.synced()

    async def insert(self) -> None:
        at = self.place()
        self.messages[at:at] = [user(self.word()), assistant("inserted")][: self.choice.randint(1, 2)]
        self.synced()

    async def pop(self) -> None:
        at = self.place()
        del self.messages[at : at + self.choice.randint(1, 4)]
        self.synced()

    async def clear(self) -> None:
        self.messages.clear()
        if self.choice.random() < 0.5:
            self.messages.append(user(self.word()))
        self.synced()

    async def rebind(self) -> None:
        copied = copy.deepcopy(self.messages)
        if self.choice.random() < 0.3:
            for message in copied:
                message.pop("tracking_id", None)
        self.run.agent.messages = copied
        await self.plain()

    async def duplicate(self) -> None:
        if self.messages:
            self.unique = False
            self.messages.insert(self.place(), self.choice.choice(self.messages))
            if self.choice.random() < 0.5:
                self.messages.append(copy.deepcopy(self.messages[-1]))
        self.synced()

    async def move(self) -> None:
        if self.messages:
            self.messages.insert(self.place(), self.messages.pop(self.choice.randrange(len(self.messages))))
        self.synced()

    async def state(self) -> None:
        agent = self.run.agent
        value: Any = self.choice.choice([None, 2.5, False, "", "ü\u2028", [], {"deep": [self.count]}, self.count])
        if self.choice.random() < 0.3:
            agent.state = AgentState({"new": value})
        else:
            agent.state.set(self.choice.choice("xyz"), value)
        self.synced()

    async def broken_write(self) -> None:
        self.run.database.fail_next(self.choice.randint(1, 4), committed=self.choice.random() < 0.5)
        if self.choice.random() < 0.3:
            self.run.database.fail_next(5, committed=self.choice.random() < 0.5)
        with contextlib.suppress(Exception):
            await self.choice.choice([self.plain, self.with_tools, self.redacted, self.edit, self.pop, self.state])()
        self.run.database.heal()
        await self.choice.choice([self.plain, self.with_tools])()

    async def restart(self) -> None:
        self.run.restart()
        self.check()
        await self.plain()


@pytest.mark.parametrize("session", range(SESSIONS))
async def test_random_session(tmp_path: Path, session: int) -> None:
    """A random session of turns, failures and changes."""
    seed = int(SEED or random.SystemRandom().randrange(2**32))
    walk = Walk(seed, tmp_path / "sessions.db")
    print(f"to run this session alone: STRANDS_PERSQL_SEED={seed} pytest tests/agents/test_random.py")
    try:
        for _ in range(STEPS):
            await walk.step()
    except BaseException:
        print("steps:", ", ".join(walk.steps))
        raise
    finally:
        walk.store.close()
