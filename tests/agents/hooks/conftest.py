"""The fixtures of tests with real agents: a store, and both forms of an invocation."""

from __future__ import annotations

from ..conftest import mode, store

__all__ = ["mode", "store"]
