"""How far away a storage is."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Latency:
    """How long each request to a storage takes.

    Attributes:
        seconds: The wait; 0 for a local storage as it is.
        url: Where the remote service listens, for those that have one; the wait is there then.
        token: For it.
    """

    seconds: float = 0.0
    url: str | None = None
    token: str = ""

    def wait(self) -> None:
        """Block, as a request to a storage over there would."""
        if self.seconds:
            time.sleep(self.seconds)
