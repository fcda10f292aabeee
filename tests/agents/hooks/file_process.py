"""One process of a session in files with a mirror beside it: run by test_beside_files.py."""

from __future__ import annotations

import sys
from pathlib import Path

from strands_persql import PerSQL, PerSQLHooks

from ..agents import agent_of
from ..harness import DATABASE, SESSION
from ..scripted import ScriptedModel, tools, use
from .mirrors import file_manager


def main(path: str, folder: str, prompt: str) -> None:
    """Run two turns, the first with a tool."""
    mirror = PerSQLHooks(SESSION, PerSQL(local=path).database(DATABASE))
    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2}, f"use-{prompt}")), f"{prompt}: three", f"{prompt}: bye"])
    agent = agent_of(model, hooks=lambda: [mirror])(file_manager(Path(folder)))
    agent(f"{prompt}: what is 1 + 2?")
    agent(f"{prompt}: thanks")


if __name__ == "__main__":
    main(*sys.argv[1:])
