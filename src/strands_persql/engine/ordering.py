"""The order in which Strands calls the callbacks of an event, where a registry knows one (Strands 1.43 on)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strands.hooks import HookRegistry

__all__ = ["FIRST", "LAST", "adder"]

FIRST, LAST = -100, 100
"""`HookOrder.SDK_FIRST` and `SDK_LAST`: before and after all hooks of the user's."""


def adder(registry: HookRegistry) -> Callable[..., None]:
    """`add(event_type, callback, order=…)` for a registry; without a known order, it is that of registration."""
    add_callback: Callable[..., None] = registry.add_callback
    ordered = "order" in inspect.signature(add_callback).parameters

    def add(event_type: type[Any], callback: Callable[[Any], Any], *, order: int = 0) -> None:
        add_callback(event_type, callback, **({"order": order} if ordered and order else {}))

    return add
