"""Stores a session of every kind in a file, for later versions to open: `python -m tests.project.frozen.make`.

It writes the file of the newest layout, and refuses where there is one: what a release has stored doesn't change.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager, SummarizingConversationManager
from strands.multiagent import GraphBuilder, Swarm
from strands.session import RepositorySessionManager

from strands_persql import (
    Encryption,
    PerSQL,
    PerSQLHooks,
    PerSQLMemoryStore,
    PerSQLSessionManager,
    PerSQLSessionRepository,
    PerSQLSessions,
    PerSQLStorage,
)
from strands_persql.client import Database
from strands_persql.database.tables import STEPS
from strands_persql.testing import OfflineModel

from ...agents.agents import PIXEL, add, picture, remember
from ...agents.scripted import ScriptedModel, redact_user, tools, use

HERE = Path(__file__).parent
FILE = HERE / f"layout-{len(STEPS)}.sqlite"
NAME = "frozen/agents"
KEY = "11" * 32
"""Of the one session that is encrypted."""


def plain(db: Database) -> None:
    """Tools, bytes, state, a pinned beginning that has no message of its own."""
    model = ScriptedModel(
        [
            tools(use("add", {"a": 1, "b": 2}), use("picture"), words="I look."),
            "Three, and a picture.",
            tools(use("remember", {"key": "colour", "value": {"name": "blue", "rank": [1, None, 2.5]}})),
            "Noted.",
        ]
    )
    session = PerSQLSessionManager("plain", db, user="ada", title="Sums", tags=["one", "two"], metadata={"n": 1})
    agent = Agent(model=model, tools=[add, picture, remember], session_manager=session, callback_handler=None)
    prompt: Any = [{"text": "What is 1 + 2? 😀"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}]
    agent(prompt)
    agent("Remember blue.")


def trimmed(db: Database) -> None:
    """A window that has lost its beginning."""
    agent = Agent(
        model=OfflineModel(),
        session_manager=PerSQLSessionManager("trimmed", db),
        conversation_manager=SlidingWindowConversationManager(window_size=4),
        callback_handler=None,
    )
    for number in range(5):
        agent(f"Message {number}.")


def summarised(db: Database) -> None:
    """A summary, which stands in the window alone."""
    manager = SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2)
    model = ScriptedModel(["one", "two", "three", "The summary."])
    session = PerSQLSessionManager("summarised", db)
    agent = Agent(model=model, session_manager=session, conversation_manager=manager, callback_handler=None)
    for number in range(3):
        agent(f"Message {number}.")
    manager.reduce_context(agent)
    session.sync_agent(agent)


def edited(db: Database) -> None:
    """What was said beside what the model sees; a redaction; NaN, which is stored in parts; a second agent."""
    session = PerSQLSessionManager("edited", db)
    model = ScriptedModel(["a long answer " * 20, redact_user("[redacted]"), "Yes."])
    agent = Agent(model=model, session_manager=session, callback_handler=None)
    agent("Tell me something long.")
    agent.messages[1]["content"][0]["text"] = "[shortened]"
    session.sync_agent(agent)
    agent("My secret is 1234.")
    agent.state.set("score", float("nan"))
    agent("Ready?")
    Agent(agent_id="second", model=OfflineModel(), session_manager=session, callback_handler=None)("I am the second.")


def rewound(db: Database) -> None:
    """A session that was taken back, and one that was copied from it."""
    agent = Agent(
        model=OfflineModel(), session_manager=PerSQLSessionManager("rewound", db, user="ada"), callback_handler=None
    )
    for number in range(3):
        agent(f"Message {number}.")
    sessions = PerSQLSessions(db)
    sessions.rewind("rewound", "default", to=3)
    sessions.fork("rewound", "forked", at=1)


def kept(db: Database) -> None:
    """A session that is encrypted, and one that is kept for a time."""
    sealed = PerSQLSessionManager("sealed", db, encryption=Encryption.from_text(KEY))
    Agent(model=OfflineModel(), session_manager=sealed, callback_handler=None)("My name is Ada.")
    for_ever = PerSQLSessionManager("kept", db, retention=timedelta(days=365_000))
    Agent(model=OfflineModel(), session_manager=for_ever, callback_handler=None)("My name is Ada.")


def of_strands(db: Database) -> None:
    """What Strands' own manager writes through the repository, and what a mirror does."""
    manager = RepositorySessionManager("strands", PerSQLSessionRepository(db))
    Agent(model=OfflineModel(), session_manager=manager, callback_handler=None)("My name is Ada.")
    Agent(model=OfflineModel(), hooks=[PerSQLHooks("mirror", db)], callback_handler=None)("My name is Bob.")


def orchestrated(db: Database) -> None:
    """A Graph and a Swarm that have ended."""
    builder = GraphBuilder()
    for name in ("first", "second"):
        builder.add_node(Agent(name=name, model=OfflineModel(), callback_handler=None), name)
    builder.add_edge("first", "second")
    builder.set_session_manager(PerSQLSessionManager("graph", db))
    builder.build()("Go.")
    nodes = [Agent(name="only", model=OfflineModel(), callback_handler=None)]
    Swarm(nodes, session_manager=PerSQLSessionManager("swarm", db))("Go.")


def stored(db: Database) -> None:
    """An object of a session, one of nobody's, and memories, with an index of their words."""
    PerSQLSessions(db).enable_search()

    async def store() -> None:
        await PerSQLStorage(db, session_id="plain").write("results/1", b"\x00\x01 of a session")
        await PerSQLStorage(db).write("free/1", b"of nobody")
        memories = PerSQLMemoryStore(db, name="facts", scope="ada")
        await memories.add_messages([{"role": "user", "content": [{"text": "I get seasick."}]}])

    asyncio.run(store())


KINDS: list[Callable[[Database], None]] = [
    plain, trimmed, summarised, edited, rewound, kept, of_strands, orchestrated, stored,
]  # fmt: skip


def key_of(session_id: str) -> Encryption | None:
    """The key of the session that takes one."""
    return Encryption.from_text(KEY) if session_id == "sealed" else None


def opened(session_id: str, db: Database) -> PerSQLSessionManager:
    """A session's manager."""
    return PerSQLSessionManager(session_id, db, encryption=key_of(session_id))


def restored(db: Database) -> dict[str, Any]:
    """What each session restores, by its id and its agents': messages and state, ready for JSON."""
    found: dict[str, Any] = {}
    for session in PerSQLSessions(db).list().sessions:
        session_id = session.session_id
        for each in PerSQLSessions(db, encryption=key_of(session_id)).get(session_id).agents:
            manager = opened(session_id, db)
            agent = Agent(agent_id=each.agent_id, model=OfflineModel(), session_manager=manager, callback_handler=None)
            found[f"{session_id}/{each.agent_id}"] = {
                "messages": json.loads(json.dumps(agent.messages, default=repr)),
                "state": json.loads(json.dumps(agent.state.get())),
            }
    return found


def main() -> None:
    """Write the file, or say why not."""
    if FILE.exists():
        sys.exit(f"{FILE.name} is there already: what a release has stored doesn't change")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / FILE.name
        with PerSQL(local=str(whole)) as client:
            for kind in KINDS:
                kind(client.database(NAME))
        shutil.copy(whole, FILE)


if __name__ == "__main__":
    main()
