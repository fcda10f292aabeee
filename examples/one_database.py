# /// script
# requires-python = ">=3.10"
# dependencies = ["strands-persql", "strands-agents>=1.51"]
# ///
"""All that an agent keeps, in one database: its session, snapshots to go back to, long tool results, and memories.

    python examples/one_database.py

Ada plans a journey. Each part runs as a process of its own would: nothing is shared but the file. Strands' own classes
do the work (`SnapshotSessionManager`, `ContextOffloader`, `MemoryManager`); `PerSQLStorage` and `PerSQLMemoryStore` are
where they put things. Needs Strands 1.51 or newer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

from strands import Agent, tool
from strands.memory import MemoryManager
from strands.session.snapshot_session_manager import SnapshotSessionManager
from strands.types.content import Messages
from strands.types.streaming import StreamEvent
from strands.vended_plugins.context_offloader import ContextOffloader
from texts import text_of

from strands_persql import PerSQL, PerSQLMemoryStore, PerSQLStorage
from strands_persql.client import Database
from strands_persql.testing import OfflineModel


def main() -> None:
    """Run the parts one after the other, each with a client and an agent of its own."""
    parser = argparse.ArgumentParser(description="All that an agent keeps, in one database.")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        file = options.file or str(Path(temporary) / "agents.db")
        for part in (plan, turn_back, ask_again, look):
            with PerSQL(local=file) as client:
                asyncio.run(part(client.database("local/agents")))


def build(database: Database, session_id: str) -> tuple[Agent, SnapshotSessionManager]:
    """Build Ada's agent over one of her sessions; whatever it keeps, it keeps in this database."""
    storage = PerSQLStorage(database, session_id=session_id)
    memories = PerSQLMemoryStore(database, name="preferences", scope="ada", description="What Ada likes and dislikes")
    session = SnapshotSessionManager(session_id, storage=storage)
    agent = Agent(
        model=TravelModel(),
        tools=[timetable],
        session_manager=session,
        plugins=[ContextOffloader(storage=storage, max_result_tokens=500, preview_tokens=50)],
        memory_manager=MemoryManager(stores=[memories], add_tool_config=True),
        callback_handler=None,
    )
    return agent, session


async def plan(database: Database) -> None:
    """Have something remembered, and read something long."""
    print("1. Ada begins to plan.")
    agent, _ = build(database, "summer")
    await say(agent, "Remember that I get seasick, so no ferries.")
    await say(agent, "Read the timetable.")
    print(
        f"  The timetable has {len(timetable()):,} characters, the whole history {len(json.dumps(agent.messages)):,}."
    )
    await say(agent, "When does the night train leave?")


async def turn_back(database: Database) -> None:
    """Resume the session, go astray, and go back in time."""
    print("\n2. The next day, in another process.")
    agent, session = build(database, "summer")
    print(f"  {len(agent.messages)} messages restored.")
    snapshot_id = await session.save_snapshot(agent, is_latest=False)
    await say(agent, "Forget trains! Is there a ferry?")
    print(f"  {len(agent.messages)} messages. Ada thinks better of it.")
    await session.restore_snapshot(agent, snapshot_id=snapshot_id)
    await session.save_snapshot(agent, is_latest=True)
    print(f"  {len(agent.messages)} messages: the agent is back where it was.")


async def ask_again(database: Database) -> None:
    """Begin another session, which knows nothing of the first but what was to be remembered."""
    print("\n3. Next year, in a new session.")
    agent, _ = build(database, "winter")
    print(f"  {len(agent.messages)} messages restored.")
    await say(agent, "Shall I take the ferry to the islands?")


async def look(database: Database) -> None:
    """List what the database holds by now."""
    print("\nIn the database:")
    for key in await PerSQLStorage(database).list(""):
        print(f"- {key}")
    for scope in ("ada", "bob"):
        page = await PerSQLMemoryStore(database, name="preferences", scope=scope).list_memories()
        print(f"- memories of {scope}: {[memory.content for memory in page.memories]}")


async def say(agent: Agent, prompt: str) -> None:
    """Put one prompt to the agent, and print its answer."""
    result = await agent.invoke_async(prompt)
    print(f"  > {prompt}\n  {text_of(result.message)}")


@tool
def timetable() -> str:
    """All departures of the day."""
    times = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(0, 60, 5)]
    lines = [f"{time}  {'night train' if time == '22:40' else 'local train'}, platform {time[-1]}" for time in times]
    return "\n".join(lines)


class TravelModel(OfflineModel):
    """Some rules in the place of a model: which tool to use when, and what to say to its result."""

    async def stream(self, messages: Messages, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent, None]:
        """Stream a tool use or an answer, as the last message asks for one or the other."""
        last = messages[-1]["content"]
        results = [block["toolResult"] for block in last if "toolResult" in block]
        given = text_of(messages[-1])  # the memories that were found stand beside the prompt
        prompt = re.sub(r"\s*<memory>.*</memory>\s*", "", given, flags=re.DOTALL)
        recalled = re.search(r"<entry[^>]*>(.*?)</entry>", given)
        reference = re.search(r"\[Stored references:\]\\n\s*(\S+) \(", json.dumps(messages))
        if results:
            said = " ".join(block["text"] for result in results for block in result["content"] if "text" in block)
            found = re.search(r"\d\d:\d\d  night train, platform \d", said)
            events = _text(
                found[0] if found else "I have read its beginning." if "Offloaded" in said else "I will remember."
            )
        elif prompt.startswith("Remember that "):
            events = _use("add_memory", {"entries": [prompt.removeprefix("Remember that ")]}, len(messages))
        elif prompt == "Read the timetable.":
            events = _use("timetable", {}, len(messages))
        elif "night train" in prompt and reference:
            arguments = {"reference": reference[1], "pattern": "night train", "context_lines": 0}
            events = _use("retrieve_offloaded_content", arguments, len(messages))
        elif recalled:
            events = _text(f'Once you told me: "{recalled[1]}"')
        else:
            events = _text(f"You said: {prompt}")
        for event in events:
            yield event


def _text(words: str) -> Iterator[StreamEvent]:
    yield {"messageStart": {"role": "assistant"}}
    yield {"contentBlockDelta": {"delta": {"text": words}}}
    yield {"contentBlockStop": {}}
    yield {"messageStop": {"stopReason": "end_turn"}}


def _use(name: str, arguments: dict[str, Any], number: int) -> Iterator[StreamEvent]:
    yield {"messageStart": {"role": "assistant"}}
    yield {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": f"use-{number}"}}}}
    yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(arguments)}}}}
    yield {"contentBlockStop": {}}
    yield {"messageStop": {"stopReason": "tool_use"}}


if __name__ == "__main__":
    main()
