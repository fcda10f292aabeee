"""AG-UI's adapter behind its own endpoint: a session for each thread, several at once, and on in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from strands import Agent, tool
from strands.types.tools import ToolContext

from strands_persql import PerSQL, PerSQLSessionManager

from ..needed import needed
from .elsewhere import DATABASE, check
from .models import ObedientModel, use
from .servers import client_of, in_thread

needed("ag_ui_strands")


@tool(context=True)
def note(text: str, tool_context: ToolContext) -> str:
    """Put a text into the agent's state."""
    tool_context.agent.state.set("note", text)
    return "noted"


class Page:
    """A page that talks to the endpoint as AG-UI's client does: it sends all that it has seen of its thread."""

    def __init__(self, url: str, thread: str) -> None:
        self._url = url
        self._thread = thread
        self._messages: list[dict[str, Any]] = []

    def say(self, text: str) -> str:
        """What the agent answers."""
        self._messages.append({"id": f"m{len(self._messages)}", "role": "user", "content": text})
        asked = {
            "threadId": self._thread,
            "runId": f"run-{len(self._messages)}",
            "state": {},
            "messages": self._messages,
            "tools": [],
            "context": [],
            "forwardedProps": {},
        }
        with client_of(self._url) as client:
            response = client.post("/", json=asked, headers={"Accept": "text/event-stream"})
        events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
        assert [each for each in events if each["type"] == "RUN_ERROR"] == []
        answer = "".join(each["delta"] for each in events if each["type"] == "TEXT_MESSAGE_CONTENT").strip()
        self._messages.append({"id": f"m{len(self._messages)}", "role": "assistant", "content": answer})
        return answer


class Service:
    """The adapter over a database, as one process has it."""

    def __init__(self, file: Path) -> None:
        from ag_ui_strands import StrandsAgent, StrandsAgentConfig, create_strands_app

        self.client = PerSQL(local=file)
        database = self.client.database(DATABASE)

        async def manager_of(asked: Any) -> PerSQLSessionManager:
            return await PerSQLSessionManager.open(asked.thread_id, database)

        template = Agent(model=ObedientModel(), tools=[note], callback_handler=None)
        config = StrandsAgentConfig(session_manager_provider=manager_of)
        self.adapter = StrandsAgent(agent=template, name="helper", config=config)
        self.app = create_strands_app(self.adapter, "/")

    def agent(self, thread: str) -> Agent:
        """The agent that the adapter keeps for a thread."""
        found: Agent = self.adapter._agents_by_thread[thread]
        return found


@pytest.fixture
def service(file: Path) -> Iterator[Service]:
    """The first process."""
    made = Service(file)
    yield made
    made.client.close()


def test_threads(service: Service, file: Path) -> None:
    """Two threads at once, with tools: each has its own history and state; another process goes on with both."""
    names = {"thread-1": "Ada", "thread-2": "Grace"}

    def talk(url: str, thread: str) -> list[str]:
        page = Page(url, thread)
        return [page.say(text) for text in (f"My name is {names[thread]}.", use("note", text=thread), "And what now?")]

    with in_thread(service.app) as url, ThreadPoolExecutor(2) as threads:
        answers = dict(zip(names, threads.map(lambda thread: talk(url, thread), names), strict=True))
    for thread, name in names.items():
        assert answers[thread][0] == f"Nice to meet you, {name}."
        assert service.agent(thread).state.get("note") == thread
        check(service.agent(thread), file, thread)
    second = Service(file)
    with in_thread(second.app) as url:
        # A page that was opened anew knows nothing of what was said.
        assert Page(url, "thread-1").say("What is my name?") == "Your name is Ada."
    check(second.agent("thread-1"), file, "thread-1")
    second.client.close()


def test_a_turn_elsewhere(service: Service, file: Path) -> None:
    """An agent that was kept while another process went on is refused, and the page is told; nothing is overwritten."""
    with in_thread(service.app) as url:
        page = Page(url, "thread-1")
        page.say("My name is Ada.")
        second = Service(file)
        with in_thread(second.app) as other:
            Page(other, "thread-1").say("My name is Grace.")
        second.client.close()
        with pytest.raises(AssertionError, match="RUN_ERROR"):
            page.say("What is my name?")
    check(second.agent("thread-1"), file, "thread-1")
