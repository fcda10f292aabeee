"""Times what a session manager does in its own callbacks.

A turn after a long history takes Strands itself so long, and so unevenly, that the difference between two turns says
little about a session manager that adds a hundredth of it. The time from the start of each of its callbacks to their
end has no such noise. It does not see what goes on beside them, such as a write under way while the model works.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any


class Clock:
    """What a manager's callbacks have taken, in seconds, since the last `read`."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def read(self) -> float:
        """The seconds; begins anew."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def watch(self, manager: Any) -> None:
        """Time the callbacks that a manager registers from now on."""
        register = manager.register_hooks

        def register_hooks(registry: Any, **kwargs: Any) -> None:
            add = registry.add_callback

            @functools.wraps(add)
            def add_callback(event_type: Any, callback: Any, **options: Any) -> None:
                add(event_type, self._timed(callback), **options)

            registry.add_callback = add_callback
            try:
                register(registry, **kwargs)
            finally:
                del registry.add_callback

        manager.register_hooks = register_hooks

    def _timed(self, callback: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if inspect.iscoroutinefunction(callback):

            async def awaited(event: Any) -> None:
                began = time.perf_counter()
                try:
                    await callback(event)
                finally:
                    self._seconds += time.perf_counter() - began

            return awaited

        def called(event: Any) -> None:
            began = time.perf_counter()
            try:
                callback(event)
            finally:
                self._seconds += time.perf_counter() - began

        return called
