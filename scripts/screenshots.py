"""Takes the pictures of the web face in docs/_static, with what the tests need installed, and Debian's Chromium.

python scripts/screenshots.py
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import uvicorn
from playwright.sync_api import sync_playwright
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessions
from strands_persql.web.pages import pages_app

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "_static"
sys.path.insert(0, str(ROOT / "examples" / "chat"))

WHERE = "scrollTo(0, (document.querySelector('.edge.live')?.getBoundingClientRect().top ?? 300) - 300)"
"""A script that shows where the model's window begins."""

CONVERSATIONS = [
    (
        "trip",
        "ada",
        ["My name is Ada.", "What is the weather in Lisbon?", "Roll three dice for me.", "What is my name?"],
    ),
    ("tea", "ada", ["How many messages are there?"]),
    ("story", "grace", ["Tell me a story about a lighthouse."]),
    ("weather", "alan", ["What is the weather in Cambridge?"]),
]


def converse(database: Any) -> None:
    """Fill a database with conversations."""
    from chat_model import TOOLS, ChatModel  # type: ignore[import-not-found]  # of the example

    for session_id, user, prompts in CONVERSATIONS:
        agent = Agent(
            model=ChatModel(pace=0),
            tools=TOOLS,
            conversation_manager=SlidingWindowConversationManager(window_size=8),
            session_manager=PerSQLSessionManager(session_id, database, user=user, tags=["demo"]),
            callback_handler=None,
        )
        for prompt in prompts:
            agent(prompt)
    PerSQLSessions(database).update("trip", title="A trip to Lisbon")


@contextmanager
def served(app: Any) -> Iterator[str]:
    """A server on loopback, as its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


def main() -> None:
    """Take them."""
    shots: list[tuple[str, str, Literal["light", "dark"]]]
    shots = [("sessions-light", "/", "light"), ("session-light", "/session?id=trip", "light")]
    shots += [("session-dark", "/session?id=trip", "dark")]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with (
        tempfile.TemporaryDirectory() as folder,
        PerSQL(local=str(Path(folder) / "agents.db")) as client,
        sync_playwright() as playwright,
    ):
        database = client.database("local/agents")
        converse(database)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with served(pages_app(database)) as address:
            for name, path, scheme in shots:
                page = browser.new_page(viewport={"width": 860, "height": 720}, color_scheme=scheme)
                page.goto(address + path, wait_until="load")
                page.evaluate(WHERE)
                page.screenshot(path=PICTURES / f"web-{name}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
