"""A store for conversations, and none of these tests where Strands has no bidirectional agents."""

from __future__ import annotations

from ..conftest import store

__all__ = ["store"]
