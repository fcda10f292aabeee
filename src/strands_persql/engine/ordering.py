"""The order in which Strands calls the callbacks of an event, where a registry knows one (Strands 1.43 on)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strands.hooks import HookRegistry

FIRST, LAST = -math.inf, math.inf
"""Before and after all hooks of the user's, whatever order they choose."""

BUILT = 100
"""`HookOrder.SDK_LAST`: an agent is restored after the user's hooks have seen it built, and before Strands' own of this
order, which read what was restored."""


def adder(registry: HookRegistry) -> Callable[..., None]:
    """`add(event_type, callback, order=…)` for a registry; without a known order, it is that of registration."""
    add_callback: Callable[..., None] = registry.add_callback
    ordered = is_ordered(registry)

    def add(event_type: type[Any], callback: Callable[[Any], Any], *, order: float = 0) -> None:
        add_callback(event_type, callback, **({"order": order} if ordered and order else {}))

    return add


def is_ordered(registry: HookRegistry) -> bool:
    """Whether a registry knows an order."""
    return "order" in inspect.signature(registry.add_callback).parameters
