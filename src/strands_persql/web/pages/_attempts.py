"""How often somebody may guess the token: a few times at once, and then ever more slowly."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starlette.types import Scope

FREE = 10
"""Wrong tokens after which the next one is waited for."""

LONGEST_WAIT = 60
"""Seconds."""

MOST_KNOWN = 1000
"""Addresses that are remembered, those that guessed last."""


class _Guesses(NamedTuple):
    wrong: int
    last: float


class Attempts:
    """The wrong tokens of each address, as far as they are remembered.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, _Guesses] = OrderedDict()

    def wait(self, scope: Scope) -> int:
        """How many seconds the sender of a request has to wait before a token is looked at; 0 where it is at once."""
        guesses = self._known.get(_address(scope))
        if guesses is None or guesses.wrong < FREE:
            return 0
        wait = min(1 << min(guesses.wrong - FREE, 10), LONGEST_WAIT)
        return max(0, math.ceil(guesses.last + wait - self._clock()))

    def note(self, scope: Scope, *, is_right: bool) -> None:
        """A token was looked at."""
        address = _address(scope)
        guesses = self._known.pop(address, _Guesses(0, 0.0))
        if not is_right:
            self._known[address] = _Guesses(guesses.wrong + 1, self._clock())
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)


def _address(scope: Scope) -> str:
    """Where a request comes from; of IPv6 the network, any address of which is one computer's to choose."""
    host = str((scope.get("client") or ("",))[0])
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host
