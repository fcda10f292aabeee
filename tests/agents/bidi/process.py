"""One process with a bidirectional conversation in it: run by test_conversations.py."""

from __future__ import annotations

import asyncio
import sys

from strands_persql import PerSQL, PerSQLSessionManager

from ..agents import TOOLS
from ..harness import DATABASE, SESSION
from .scripted import (
    BidiAgent,
    ScriptedBidiModel,
    converse,
    hears,
    says,
    uses,
)


async def main(path: str) -> None:
    model = ScriptedBidiModel(
        hears(), uses("add", {"a": 1, "b": 2}), uses("remember", {"key": "k", "value": 1}), says("assistant", "three")
    )
    manager = PerSQLSessionManager(SESSION, PerSQL(local=path).database(DATABASE))
    await converse(BidiAgent(model=model, tools=list(TOOLS), session_manager=manager), "1 + 2?")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
