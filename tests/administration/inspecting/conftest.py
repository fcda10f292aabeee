"""Where these tests store: a local file, and the emulator of the service."""

from __future__ import annotations

from ..transfer.conftest import local, place, remote

__all__ = ["local", "place", "remote"]
