"""The chat of `examples/chat`, served in a process of its own, and tabs in which its users have it open."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ...processes import kill, python
from .test_examples import EXAMPLES, environment

__all__ = ["EXAMPLES", "Server", "Tab", "serving", "text_of"]

APP = EXAMPLES / "chat" / "app.py"


@dataclass
class Server:
    """A server that runs.

    Attributes:
        url: Its address, without a slash at the end.
        process: Its process.
        tabs: The tabs that were opened, which end with it.
    """

    url: str
    process: subprocess.Popen[str]
    tabs: list[Tab] = field(default_factory=lambda: [])

    def tab(self, name: str | None, **options: Any) -> Tab:
        """A tab of somebody's; None for nobody's."""
        opened = Tab(httpx.Client(base_url=self.url, timeout=60, verify=False, **options))
        self.tabs.append(opened)
        if name is not None:
            opened.send("POST", "login", name=name)
        return opened

    def kill(self) -> None:
        """Kill it, as a power failure would."""
        kill(self.process)


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, **settings: str) -> Iterator[Server]:
    """A server over a file in `folder`, until the end of the block."""
    command = [*python(), str(APP), "--port", "0", "--file", str(folder / "chats.db"), *arguments]
    with subprocess.Popen(
        command, cwd=folder, env={**environment(), **settings}, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        server = None
        try:
            line = process.stdout.readline()
            assert line.startswith("Chat: http://127.0.0.1:"), line
            server = Server(line.split()[1].rstrip("/"), process)
            yield server
        finally:
            for tab in server.tabs if server else ():
                tab.client.close()
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=60)


@dataclass
class Tab:
    """The chat as one browser's tab has it, less the page."""

    client: httpx.Client

    def send(self, method: str, path: str, **body: Any) -> Any:
        """A request that has to work; its answer."""
        response = self.client.request(method, f"/api/{path}", json=body or None)
        assert response.is_success, (response.status_code, response.text)
        return response.json() if response.content else None

    def refused(self, method: str, path: str, **body: Any) -> int:
        """A request that has to fail; with which status."""
        response = self.client.request(method, f"/api/{path}", json=body or None)
        assert not response.is_success, response.text
        return response.status_code

    def begin(self, prompt: str) -> str:
        """Begin a conversation; its id."""
        return str(self.send("POST", "ask", prompt=prompt)["session_id"])

    def follow(self, session_id: str, start: int = 0) -> Iterator[dict[str, Any]]:
        """The events of the answer under way, as they come; none where there is none."""
        headers = {"Last-Event-ID": str(start)} if start else {}
        with self.client.stream("GET", f"/api/answers/{session_id}", headers=headers) as response:
            assert response.status_code in (200, 204), response.status_code
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def finish(self, session_id: str) -> list[dict[str, Any]]:
        """Wait for the end of the answer under way; its events, as far as they were still to be had."""
        return list(self.follow(session_id))

    def say(self, session_id: str | None, prompt: str, **options: Any) -> str:
        """Ask, and wait for the end of the answer; the conversation's id."""
        if session_id is None:
            session_id = self.begin(prompt)
        else:
            self.send("POST", f"ask/{session_id}", prompt=prompt, **options)
        self.finish(session_id)
        return session_id

    def messages(self, session_id: str) -> list[dict[str, Any]]:
        """What is stored of the newest messages."""
        page = self.send("GET", f"sessions/{session_id}/messages")
        found: list[dict[str, Any]] = page["messages"]
        return [message for message in found if message["parts"]]

    def words(self, session_id: str) -> list[str]:
        """What the page shows: the text of each message that no edit has replaced."""
        return [message["text"] for message in self.messages(session_id) if not message["taken_back"]]

    def conversations(self) -> list[dict[str, Any]]:
        """The user's conversations, the newest first."""
        found: list[dict[str, Any]] = self.send("GET", "sessions")["sessions"]
        return found


def text_of(events: list[dict[str, Any]]) -> str:
    """What was said in these events."""
    return "".join(event["text"] for event in events if event["type"] == "text")
