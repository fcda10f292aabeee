"""A thousand canaries wherever content can stand: with a key none of them is in the file, its log, or on the wire."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from pathlib import Path
from typing import Any, cast

import pytest
from strands import Agent, ToolContext, tool
from strands.multiagent import GraphBuilder

from strands_persql import (
    Database,
    Encryption,
    PerSQL,
    PerSQLMemoryStore,
    PerSQLSessionManager,
    PerSQLSessions,
    PerSQLStorage,
)
from strands_persql.encryption import generate_key

from ..harness import user
from ..scripted import ScriptedModel, text, tools, use
from .places import Remote

pytestmark = pytest.mark.slow

THOUSAND = 1_000


class Canaries:
    """Texts that stand nowhere else, each told from all others."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.all: list[str] = []

    def some(self, count: int = 1) -> str:
        """So many new ones in one text."""
        new = [f"<canary {next(self._numbers):04}>" for _ in range(count)]
        self.all += new
        return " ".join(new)

    def found(self, held: bytes) -> int:
        """How many of them stand somewhere, as they are, or in base64."""
        return sum(any(form in held for form in _forms(each.encode())) for each in self.all)


def _forms(canary: bytes) -> list[bytes]:
    """A text, and the part of its base64 that is the same wherever it begins."""
    encoded = (base64.b64encode(b"\0" * offset + canary)[4 if offset else 0 : -4] for offset in range(3))
    return [canary, *encoded]


def plant(database: Database, encryption: Encryption | None) -> Canaries:
    """Have agents, a Graph and people put canaries wherever content can stand."""
    canaries = Canaries()

    @tool(context=True)
    def echo(words: str, tool_context: ToolContext) -> dict[str, Any]:
        """Answer with words, an image and a document, and remember some."""
        tool_context.agent.state.set(canaries.some(), {"deep": [canaries.some(20)]})
        image = {"image": {"format": "png", "source": {"bytes": canaries.some(20).encode()}}}
        return {
            "status": "success",
            "content": [{"text": canaries.some(100)}, {"json": {"a": canaries.some(20)}}, image],
        }

    def manager(session_id: str) -> PerSQLSessionManager:
        return PerSQLSessionManager(
            session_id,
            database,
            encryption=encryption,
            title=canaries.some(),
            tags=[canaries.some()],
            metadata={canaries.some(): canaries.some()},
        )

    with manager("agent") as session:
        script: list[Any] = [
            tools(use("echo", {"words": canaries.some(100)})),
            text(canaries.some(100)),
            "short",
            "long",
        ]
        agent = Agent(model=ScriptedModel(script), tools=[echo], session_manager=session, callback_handler=None)
        agent(canaries.some(100))
        agent.messages[:] = [cast("Any", user(canaries.some(50))), *agent.messages[-1:]]  # as a summary stands there
        agent(canaries.some(100))
        agent(canaries.some(200) + "x" * 800_000)  # in parts
    with manager("graph") as session:
        builder = GraphBuilder()
        for name in "ab":
            node = Agent(model=ScriptedModel([canaries.some(50)]), agent_id=name, callback_handler=None)
            builder.add_node(node, name)
        builder.add_edge("a", "b")
        builder.set_entry_point("a")
        builder.set_max_node_executions(5)
        builder.set_session_manager(session)
        builder.build()(canaries.some(100))
    store(database, encryption, canaries)
    sessions = PerSQLSessions(database, encryption=encryption)
    sessions.update("agent", title=canaries.some(), metadata={"a": canaries.some(10)})
    sessions.fork("agent", "copy")
    return canaries


def store(database: Database, encryption: Encryption | None, canaries: Canaries) -> None:
    """Memories, and objects of a session and of none, where this release of Strands has a storage."""
    with contextlib.suppress(ImportError):
        memories = PerSQLMemoryStore(database, name="facts", encryption=encryption)
        words = canaries.some(5)
        asyncio.run(memories.add(words, {"a": canaries.some(5)}))
        assert [each.content for each in asyncio.run(memories.search("canary"))] == [words]
    with contextlib.suppress(ImportError):
        for session_id in ("agent", None):
            storage = PerSQLStorage(database, session_id=session_id, encryption=encryption)
            asyncio.run(storage.write("key", canaries.some(10).encode()))
            assert asyncio.run(storage.read("key"))


@pytest.mark.parametrize("is_on", [True, False], ids=["encrypted", "clear"])
def test_in_a_file(is_on: bool, tmp_path: Path) -> None:
    """A file that is open, its write-ahead log, and the file once it is closed."""
    path = tmp_path / "agents.db"
    with PerSQL(local=str(path)) as client:
        canaries = plant(client.database("test/canaries"), Encryption(generate_key()) if is_on else None)
        held = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        assert any(each.name.endswith("-wal") for each in tmp_path.iterdir())
    closed = path.read_bytes()
    assert len(canaries.all) >= THOUSAND
    # In clear SQLite parts a few of them, where a long text goes on in another page.
    for found in (canaries.found(held), canaries.found(closed)):
        assert found == 0 if is_on else found >= THOUSAND


@pytest.mark.parametrize("is_on", [True, False], ids=["encrypted", "clear"])
def test_on_the_wire(is_on: bool, remote: Remote) -> None:
    """Every request to the service, all of its statements and parameters; and the service's own file."""
    canaries = plant(remote.database(), Encryption(generate_key()) if is_on else None)
    sent = json.dumps([request.statements for request in remote.emulator.log], ensure_ascii=False).encode()
    assert len(canaries.all) >= THOUSAND
    assert canaries.found(sent) == (0 if is_on else len(canaries.all))
    stored = canaries.found(remote.dump().encode())
    assert stored == 0 if is_on else stored >= THOUSAND
