# /// script
# requires-python = ">=3.10"
# dependencies = ["strands-persql"]
# ///
"""A swarm whose state and whose nodes' conversations are stored.

    python examples/swarm.py

Two agents: a front desk that hands every question over, and a clerk who answers it. The session manager belongs to the
swarm and stores who had the task when; `PerSQLHooks` on the nodes store what each of them said, over several runs,
although a swarm's nodes forget everything when a run begins.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from strands import Agent
from strands.multiagent import Swarm
from strands.types.content import Messages
from strands.types.streaming import StreamEvent

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager
from strands_persql.client import Database
from strands_persql.testing import OfflineModel


def main() -> None:
    """Ask the swarm twice, each time as a new process would."""
    parser = argparse.ArgumentParser(description="A swarm with a session.")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        file = options.file or str(Path(temporary) / "swarm.db")
        for task in ("my name is Ada", "where is my parcel?"):
            with PerSQL(local=file) as client:
                run(client.database("local/swarm"), task)


def run(database: Database, task: str) -> None:
    """Build the swarm over its session, ask it, and print what is stored."""
    with PerSQLSessionManager("desk", database) as session, PerSQLHooks("desk", database) as mirror:
        desk = Agent(name="desk", agent_id="desk", model=HandsOver("clerk"), hooks=[mirror], callback_handler=None)
        clerk = Agent(name="clerk", agent_id="clerk", model=OfflineModel(), hooks=[mirror], callback_handler=None)
        swarm = Swarm([desk, clerk], id="desk", session_manager=session)
        result = swarm(task)

        print(f"> {task}")
        print(f"{' -> '.join(node.node_id for node in result.node_history)}: {result.status.value}")
        for name in ("desk", "clerk"):
            stored = session.list_messages("desk", name)
            print(f"{name}: {len(stored)} messages stored, {len(stored) - len(_history(swarm, name))} of earlier runs")


def _history(swarm: Swarm, name: str) -> Messages:
    agent = swarm.nodes[name].executor
    assert isinstance(agent, Agent)
    return agent.messages


class HandsOver(OfflineModel):
    """Hands the task over to another node with the tool that Strands gives to each, and then says so."""

    def __init__(self, to: str) -> None:
        super().__init__()
        self._to = to

    async def stream(self, messages: Messages, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent, None]:
        """Use the tool, unless the last message is its result."""
        if any("toolResult" in block for block in messages[-1]["content"]):
            async for event in super().stream([{"role": "user", "content": [{"text": "handed over"}]}]):
                yield event
            return
        arguments = json.dumps({"agent_name": self._to, "message": "please answer this", "context": {}})
        tool_use_id = f"handoff-{len(messages)}"
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": {"toolUse": {"name": "handoff_to_agent", "toolUseId": tool_use_id}}}}
        yield {"contentBlockDelta": {"delta": {"toolUse": {"input": arguments}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use"}}


if __name__ == "__main__":
    main()
