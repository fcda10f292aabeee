"""Sessions to bring in and out, and how to compare them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.session import FileSessionManager, SessionRepository
from strands.session.session_manager import SessionManager
from strands.types.session import SessionAgent, SessionMessage

from strands_persql.administration.transfer import export, import_from, opened
from strands_persql.database import connector as stores
from strands_persql.database.tables import Tables

from ...agents.agents import agent_of
from ...agents.harness import Build, Store
from ...agents.scripted import (
    ScriptedModel,
    redact_user,
    tools,
    use,
)
from ...agents.test_multiagent import LINE, graph_of

__all__ = [
    "PlainRepository",
    "documents",
    "export_of",
    "file_session",
    "files",
    "graph",
    "import_of",
    "long_session",
    "store_of",
    "talk",
]


def store_of(place: Store) -> stores.Connector[Tables]:
    """The tables of a place, over a client of their own."""
    return stores.Connector(place.database(), Tables())


def import_of(
    place: Store,
    source: Any,
    *,
    agent_ids: Sequence[str] | None = None,
    **options: Any,
) -> Any:
    """Import over a handle of its own; what was brought in, where it is one session."""
    transfers = import_from(store_of(place), opened(source, agent_ids=agent_ids), **options)
    return transfers[0] if len(transfers) == 1 else transfers


def export_of(place: Store, session_id: str, target: Any, **options: Any) -> Any:
    """Export over a handle of its own."""
    return export(store_of(place), session_id, target, **options)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path, and every folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"<folder>"
        for path in sorted(folder.rglob("*"))
    }


def talk(*, summarizing: bool = False, replies: Any = None, **options: Any) -> Build:
    """An agent whose history is trimmed or summarised, with tools, pictures and a redaction."""
    manager = (
        (lambda: SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2))
        if summarizing
        else (lambda: SlidingWindowConversationManager(window_size=6))
    )
    script = replies or [
        tools(use("picture"), use("add", {"a": 1, "b": 2})),
        "Eine Brücke, 橋, \u2028 done",
        tools(use("remember", {"key": "colour", "value": {"ratio": 1.0, "list": [None, True]}})),
        "noted",
        redact_user("[removed]"),
        *(f"answer {number}" for number in range(8)),
    ]
    return agent_of(ScriptedModel(script), conversation_manager=manager, **options)


def file_session(folder: Path, session_id: str = "user-1", build: Build | None = None) -> FileSessionManager:
    """A session that a real agent leaves in Strands' own files."""
    manager = FileSessionManager(session_id, storage_dir=str(folder))
    agent = (build or talk())(manager)
    for prompt in ("a picture, please", "remember this", "my number is 123", "and one", "and two", "and three"):
        agent(prompt)
    return manager


def graph(manager: SessionManager) -> None:
    """A session of three agents in a graph."""
    graph_of({name: ScriptedModel([f"{name} one"]) for name in "abc"}, LINE)(manager)("task")


def long_session(folder: Path, count: int, session_id: str = "long", *, first: int = 0) -> Path:
    """A session of many messages in the files of Strands' manager, written by that manager."""
    manager = FileSessionManager(session_id, storage_dir=str(folder))
    if not first:
        agent = SessionAgent("default", {}, SlidingWindowConversationManager().get_state())
        manager.create_agent(session_id, agent)
    for number in range(first, count):
        role = "assistant" if number % 2 else "user"
        words = f'message {number}: "{hashlib.sha256(str(number).encode()).hexdigest()}" äöü'
        message: Any = {"role": role, "content": [{"text": words}]}
        manager.create_message(session_id, "default", SessionMessage(message, number))
    return folder / f"session_{session_id}"


def documents(path: Path) -> list[Any]:
    """The lines of a .jsonl file, decoded."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


class PlainRepository(SessionRepository):
    """Strands' interface over another repository, and nothing that lists."""

    def __init__(self, inner: SessionRepository) -> None:
        self._inner = inner

    def create_session(self, *given: Any, **options: Any) -> Any:
        return self._inner.create_session(*given, **options)

    def read_session(self, *given: Any, **options: Any) -> Any:
        return self._inner.read_session(*given, **options)

    def create_agent(self, *given: Any, **options: Any) -> None:
        self._inner.create_agent(*given, **options)

    def read_agent(self, *given: Any, **options: Any) -> Any:
        return self._inner.read_agent(*given, **options)

    def update_agent(self, *given: Any, **options: Any) -> None:
        self._inner.update_agent(*given, **options)

    def create_message(self, *given: Any, **options: Any) -> None:
        self._inner.create_message(*given, **options)

    def read_message(self, *given: Any, **options: Any) -> Any:
        return self._inner.read_message(*given, **options)

    def update_message(self, *given: Any, **options: Any) -> None:
        self._inner.update_message(*given, **options)

    def list_messages(self, *given: Any, **options: Any) -> Any:
        return self._inner.list_messages(*given, **options)

    def read_multi_agent(self, *given: Any, **options: Any) -> Any:
        return self._inner.read_multi_agent(*given, **options)
