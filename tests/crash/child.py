"""What a process does until it is killed: restores a session, tells what it got, runs turns and tells what is stored.

It tells by lines in a file, each written with one call of the system, which a kill does not take back:

    {"restored": {agent: snapshot}}     what the constructors gave
    {"intent": n, "agent": …, …}        about to be stored: the agent as it is, and the key of a message that was added
    {"stored": n}                       all intents up to n have been acknowledged
    {"redacted": words}                 no row holds these words any more
    {"surfaced": error}                 the agent was told of an error; what is pending goes with the next event
    {"failed": error}                   what never must happen
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import traceback
from dataclasses import dataclass
from typing import Any

from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.hooks import AfterInvocationEvent, HookRegistry, MessageAddedEvent
from strands.types.exceptions import EventLoopException
from strands.types.session import SessionAgent

from strands_persql import PerSQL, PerSQLError, PerSQLSessionManager
from strands_persql.client import _retry
from strands_persql.engine.ordering import FIRST, adder

from ..agents.agents import TOOLS
from ..agents.scripted import ScriptedModel, overflow, redact_user, text, tools, use
from .checks import Snapshot, key_of

AGENTS = ("alpha", "beta")


@dataclass
class Task:
    """What a process is to do.

    Attributes:
        diary: The file it tells its story in.
        session_id: The session.
        durability: The manager's.
        seed: Of its choices.
        first: The first number that its messages may carry.
        turns: How many turns, should it live so long.
        local: The SQLite file; else `url`, `token` and `database` say where the service is.
        retries: How often its client repeats a request.
        large: Whether documents of several batches are among its messages.
    """

    diary: str
    session_id: str
    durability: Any
    seed: int
    first: int
    turns: int
    local: str | None = None
    url: str = ""
    token: str = ""
    database: str = "crash/agents"
    retries: int = 40
    large: bool = False

    def client(self) -> PerSQL:
        """A client of its own."""
        if self.local is not None:
            return PerSQL(local=self.local)
        return PerSQL(self.token, base_url=self.url, timeout=2.0, max_retries=self.retries)


class Diary:
    """The file that outlives the process."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.intents = 0

    def write(self, **line: Any) -> None:
        """Add a line."""
        os.write(self._file, json.dumps(line, default=_digest).encode() + b"\n")

    def intend(self, agent: Agent, added: Any = None) -> None:
        """An event is about to be stored."""
        self.intents += 1
        key = None if added is None else key_of(_plain(added))
        self.write(intent=self.intents, agent=agent.agent_id, added=key, snapshot=snapshot(agent))

    def acknowledge(self, upto: int) -> None:
        """Intents have been stored."""
        self.write(stored=upto)


def snapshot(agent: Agent) -> Snapshot:
    """What a session holds of an agent, as plain JSON with digests for bytes."""
    stored = SessionAgent.from_agent(agent)
    manager = stored.conversation_manager_state
    plain: Snapshot = _plain({"messages": agent.messages, "state": stored.state, "manager": manager})
    return plain


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=_digest))


def _digest(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest(), "bytes": len(value)}
    raise TypeError(type(value).__name__)


class Told(PerSQLSessionManager):
    """A session manager whose events are told before they are stored and after."""

    diary: Diary
    durability: str

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        registry.add_callback(MessageAddedEvent, lambda event: self.diary.intend(event.agent, event.message))
        super().register_hooks(registry, **kwargs)
        registry.add_callback(MessageAddedEvent, lambda event: self.after_event())
        # Before the manager's own, which hands over what there is first of all; what is registered last is called first
        # here. The end is acknowledged when the invocation returns.
        on = adder(registry)
        on(AfterInvocationEvent, lambda event: self.diary.intend(event.agent), order=FIRST)

    def after_event(self) -> None:
        """What a returned event says, by durability: this is stored, the one before it, or nothing yet."""
        if self.durability == "message":
            self.diary.acknowledge(self.diary.intents)
        elif self.durability == "overlap":
            self.diary.acknowledge(self.diary.intents - 1)

    def redact_latest_message(self, redact_message: Any, agent: Agent, **kwargs: Any) -> None:
        self.diary.intend(agent)
        super().redact_latest_message(redact_message, agent, **kwargs)
        self.after_event()

    def sync_agent(self, agent: Agent, **kwargs: Any) -> None:
        self.diary.intend(agent)
        super().sync_agent(agent, **kwargs)
        self.after_event()


class Life:
    """One process's turns."""

    def __init__(self, task: Task, diary: Diary) -> None:
        self.task = task
        self.diary = diary
        self.choice = random.Random(task.seed)
        self.numbers = iter(range(task.first, task.first + 100_000))
        self.client = task.client()
        self.model = ScriptedModel()
        self.manager = self.open(diary)
        self.agents = self.build(self.manager)

    def open(self, diary: Diary) -> Told:
        """A manager on the session."""
        manager = Told(self.task.session_id, self.client.database(self.task.database), durability=self.task.durability)
        manager.diary, manager.durability = diary, self.task.durability
        return manager

    def build(self, manager: Told) -> dict[str, Agent]:
        """The session's agents, as every process builds them."""
        return {
            agent_id: Agent(
                agent_id=agent_id,
                model=self.model,
                tools=list(TOOLS),
                session_manager=manager,
                conversation_manager=SlidingWindowConversationManager(window_size=10),
                callback_handler=None,
            )
            for agent_id in AGENTS
        }

    def run(self) -> None:
        """Live until the kill comes, or all turns are done."""
        for _ in range(self.task.turns):
            agent = self.agents[self.choice.choice(AGENTS)]
            self.model.replies.clear()
            kinds = [self.plain, self.plain, self.with_tools, self.with_tools, self.redacted]
            if len(agent.messages) >= 8:  # there has to be something to trim
                kinds.append(self.overflowing)
            if self.task.large:
                kinds.append(self.document)
            prompt = self.choice.choice(kinds)()
            try:
                if agent.messages and self.choice.random() < 0.15:
                    # Without this, an edit amidst the history is stored when the invocation ends.
                    self.choice.choice(agent.messages)["content"].append({"text": "edited"})
                    self.manager.sync_agent(agent)
                if self.choice.random() < 0.3:
                    agent.state.set("turns", next(self.numbers))
                agent(prompt)
            except (PerSQLError, EventLoopException) as error:
                # Within a turn with tools, Strands wraps it.
                cause = error.original_exception if isinstance(error, EventLoopException) else error
                if not isinstance(cause, PerSQLError):
                    raise
                self.diary.write(surfaced=f"{type(cause).__name__}: {cause}")
                continue
            self.diary.acknowledge(self.diary.intents)
            if isinstance(prompt, str) and prompt.startswith("SECRET"):
                self.diary.write(redacted=prompt)
        self.manager.close()
        again = self.build(self.open(self.diary))
        self.diary.write(
            finished={agent_id: snapshot(agent) for agent_id, agent in self.agents.items()},
            restored_again={agent_id: snapshot(agent) for agent_id, agent in again.items()},
        )
        self.client.close()

    def plain(self) -> Any:
        self.model.play(text(f"answer #{next(self.numbers)}"))
        return f"question #{next(self.numbers)}"

    def with_tools(self) -> Any:
        for _ in range(self.choice.choice([1, 1, 2])):
            number = next(self.numbers)
            uses = [
                use("add", {"a": number, "b": 1}, f"use#{number}.0"),
                use("picture", {}, f"use#{number}.1"),
                use("remember", {"key": "note", "value": number}, f"use#{number}.2"),
            ]
            self.model.play(tools(*self.choice.sample(uses, self.choice.randint(1, 3)), words=f"thinking #{number}"))
        return self.plain()

    def redacted(self) -> Any:
        number = next(self.numbers)
        self.model.play(redact_user(f"redacted #{number}", words=f"no #{next(self.numbers)}"))
        return f"SECRET-{number}-{self.choice.getrandbits(64):x} #{number}"

    def overflowing(self) -> Any:
        self.model.play(overflow())
        return self.plain()

    def document(self) -> Any:
        content = self.choice.randbytes(3_500_000)
        source = {"bytes": content}
        return [{"text": self.plain()}, {"document": {"format": "pdf", "name": "long", "source": source}}]


def live(task: Task) -> None:
    """The whole life of a process."""
    # A trial is about what gets lost, not about waiting.
    _retry.FIRST_BACKOFF, _retry.LONGEST_BACKOFF = 0.001, 0.01
    diary = Diary(task.diary)
    try:
        life = Life(task, diary)
        diary.write(restored={agent_id: snapshot(agent) for agent_id, agent in life.agents.items()})
        life.run()
    except PerSQLError as error:
        diary.write(surfaced=f"{type(error).__name__}: {error}")
    except BaseException:
        diary.write(failed=traceback.format_exc())
