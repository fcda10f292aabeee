"""Answers under way: each is a task of its own, which no request owns.

So it goes on when its reader leaves, and any number of tabs may follow it, from its first word on. Only `stop` ends it
early; what was said by then is stored like any other answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from strands import Agent
from strands.hooks import AfterModelCallEvent, BeforeModelCallEvent, HookProvider, HookRegistry
from strands.types.exceptions import SessionException

from strands_persql import PerSQLError, PerSQLSessionManager, SessionConflictError
from strands_persql.client import Database
from strands_persql.web import UserSessions

logger = logging.getLogger(__name__)

AGENT = "default"
"""The id of the agent, the only one of each session."""

PATIENCE = 10.0
"""Seconds that an end of the server waits for a model that sends nothing."""


class AnsweringError(Exception):
    """The conversation is being answered already."""


class Answer(HookProvider):
    """What one answer has brought so far, as events for the page: text, tool calls, results, and how it ended.

    Attributes:
        events: They.
        stopped: Whether it is to stop.
        question: The position of the message that it answers.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.stopped = False
        self.question = 0
        self._news = asyncio.Event()
        self._said = ""

    def stop(self) -> None:
        """Have the agent stop at its next word, or after the tool that is running."""
        self.stopped = True

    def add(self, type: str, **fields: Any) -> None:
        """Add an event, and wake up whoever follows."""
        self.events.append({"type": type, **fields})
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self, start: int = 0) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Yield the events from number `start` on, as they come, each with the number after it."""
        while True:
            news = self._news
            for event in self.events[start:]:
                start += 1
                yield start, event
                if event["type"] == "end":
                    return
            await news.wait()

    def hear(self, event: dict[str, Any], agent: Agent) -> None:
        """Take an event of `Agent.stream_async`."""
        if self.stopped:
            agent.cancel()
        if not self.events and ("data" in event or "message" in event):  # by now the question is stored
            self.add("begin", question=self.question)
        if "data" in event:
            self._said += event["data"]
            self.add("text", text=event["data"])
        for block in event.get("message", {}).get("content", ()):
            if "toolUse" in block:
                use = block["toolUse"]
                self.add("tool_call", id=use["toolUseId"], name=use["name"], input=use["input"])
            elif "toolResult" in block:
                result = block["toolResult"]
                told = [item.get("text", item.get("json", "…")) for item in result["content"]]
                self.add("tool_result", id=result["toolUseId"], status=result["status"], content=told)

    # Strands drops what a model had said when it was stopped: here it is put back, before the message is stored.

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        """Listen to the calls of the model."""
        registry.add_callback(BeforeModelCallEvent, self._ask)
        registry.add_callback(AfterModelCallEvent, self._keep)

    def _ask(self, event: BeforeModelCallEvent) -> None:
        self._said = ""

    def _keep(self, event: AfterModelCallEvent) -> None:
        if event.stop_response and event.stop_response.stop_reason == "cancelled":
            message: dict[str, Any] = cast("dict[str, Any]", event.stop_response.message)
            message["content"] = [{"text": self._said.strip() or "…"}]
            message["metadata"] = {**message.get("metadata", {}), "custom": {"stopped": True}}


class Answers:
    """The answers under way in this process: one at a time for each conversation.

    Args:
        database: Where the conversations are.
        make_agent: Builds the agent, given its session manager and hooks.
    """

    def __init__(self, database: Database, make_agent: Callable[..., Agent]) -> None:
        self._database = database
        self._make_agent = make_agent
        self._running: dict[tuple[str, str], Answer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, user: str, session_id: str) -> Answer | None:
        """Return the answer under way in a conversation of a user's."""
        return self._running.get((user, session_id))

    def begin(self, user: str, session_id: str, prompt: str, *, instead_of: int | None = None) -> None:
        """Begin to answer a prompt; with `instead_of`, an edited one, which takes the place of that message.

        Raises:
            AnsweringError: Another answer is under way.
        """
        if (user, session_id) in self._running:
            raise AnsweringError
        self._running[user, session_id] = answer = Answer()
        task = asyncio.create_task(self._run(answer, user, session_id, prompt, instead_of))
        self._tasks.add(task)  # the event loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop all answers, and wait until what they have said is stored; cut off what a silent model holds up."""
        for answer in self._running.values():
            answer.stop()
        if self._tasks:
            _, held_up = await asyncio.wait(self._tasks, timeout=PATIENCE)
            for task in held_up:
                task.cancel()
            await asyncio.gather(*held_up, return_exceptions=True)

    async def _run(self, answer: Answer, user: str, session_id: str, prompt: str, instead_of: int | None) -> None:
        problem = None
        try:
            if instead_of is not None:
                await asyncio.to_thread(UserSessions(self._database, user).rewind, session_id, AGENT, before=instead_of)
            answer.question = await asyncio.to_thread(self._next, user, session_id)
            async with await PerSQLSessionManager.open(session_id, self._database, user=user) as session:
                agent = self._make_agent(session_manager=session, hooks=[answer], agent_id=AGENT)
                async for event in agent.stream_async(prompt):
                    answer.hear(event, agent)
        except Exception as error:
            problem = problem_of(error)
        finally:
            del self._running[user, session_id]  # whoever hears of the end may ask at once
            answer.add("end", stopped=answer.stopped, problem=problem)

    def _next(self, user: str, session_id: str) -> int:
        """Return the position of the next message."""
        try:
            return UserSessions(self._database, user).newest(session_id, agent_id=AGENT).last + 1
        except SessionException:
            return 0  # a conversation that begins


def problem_of(error: Exception) -> str:
    """Return what the page says of a failure; what a hook raises, Strands wraps."""
    for each in (error, error.__cause__):
        if isinstance(each, SessionConflictError):
            return "This conversation was changed elsewhere meanwhile. Nothing was overwritten; ask again."
        if isinstance(each, PerSQLError):
            logger.error("a conversation could not be stored", exc_info=error)
            return "The database could not be reached. What is shown here after a reload is what was stored."
    logger.error("a question was not answered", exc_info=error)
    return "The model could not answer. Edit your message to ask again."
