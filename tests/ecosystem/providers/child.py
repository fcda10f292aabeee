"""One turn in a process of its own: MODULE CLASS URL FILE PROMPT, the tests' class and the place of its provider."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from ...agents.harness import Store
from .suite import agent_of

if __name__ == "__main__":
    module, name, url, path, prompt = sys.argv[1:]
    tests = getattr(importlib.import_module(module), name)()
    store = Store(Path(path))
    agent_of(tests.model(url), store.manager())(prompt)
    store.close()
