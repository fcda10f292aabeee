"""One run: its options, its scale, the folder it works in."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .contenders import ALL, Field, missing
from .latency import Latency
from .loopback import Loopback, loopback


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        histories: Rounds of turns by the messages that stand before them.
        restores: Rounds of restores by the messages restored.
        windows: Rounds of restores of a window, by the messages stored.
        allowance: Seconds a peer, `FileSessionManager` aside, may take in one cell before it takes part in one round of
            four only.
        stall_turns: Turns on a watched event loop.
        soak_turns: Turns of each in local files that others lock.
        slow_disk_turns: The same on a disk whose `fsync` is slow.
        latency: Seconds a request to a remote storage takes.
        thinking: Seconds the model takes, where overlap is measured.
        overlap_turns: Turns there.
        crowds: Rounds of all at once, by the number of agents.
        crowd_thinking: Seconds the model takes there.
        blocking_crowd: The largest crowd for those that block the event loop.
        billed_turns: Turns of which the bill is drawn up.
        held: Messages held, where memory and disk are measured.
        request_rounds: Rounds of requests of which the processor time is taken.
    """

    histories: dict[int, int]
    restores: dict[int, int]
    windows: dict[int, int]
    allowance: float
    stall_turns: int
    soak_turns: int
    slow_disk_turns: int
    latency: float
    thinking: float
    overlap_turns: int
    crowds: dict[int, int]
    crowd_thinking: float
    blocking_crowd: int
    billed_turns: int
    held: int
    request_rounds: int


FULL = Scale(
    histories={0: 80, 1_000: 40, 10_000: 16},
    restores={10: 40, 100: 30, 1_000: 20, 10_000: 8, 100_000: 2},
    windows={40: 20, 10_000: 20, 100_000: 20},
    allowance=4.0,
    stall_turns=20,
    soak_turns=20_000,
    slow_disk_turns=2_000,
    latency=0.02,
    thinking=0.2,
    overlap_turns=20,
    crowds={100: 1, 1_000: 3},
    crowd_thinking=1.0,
    blocking_crowd=100,
    billed_turns=5,
    held=5_000,
    request_rounds=200,
)
QUICK = Scale(
    histories={0: 24, 1_000: 6, 10_000: 2},
    restores={10: 8, 1_000: 5, 10_000: 2},
    windows={40: 6, 10_000: 6},
    allowance=0.3,
    stall_turns=5,
    soak_turns=1_000,
    slow_disk_turns=500,
    latency=0.02,
    thinking=0.2,
    overlap_turns=5,
    crowds={1_000: 1},
    crowd_thinking=1.0,
    blocking_crowd=0,
    billed_turns=2,
    held=1_000,
    request_rounds=60,
)
TINY = Scale(
    histories={0: 2, 10: 2},
    restores={10: 2, 50: 1},
    windows={40: 2, 60: 2},
    allowance=5.0,
    stall_turns=2,
    soak_turns=25,
    slow_disk_turns=25,
    latency=0.001,
    thinking=0.01,
    overlap_turns=2,
    crowds={3: 1},
    crowd_thinking=0.01,
    blocking_crowd=3,
    billed_turns=1,
    held=20,
    request_rounds=2,
)


@dataclass
class Run:
    """What a section is given.

    Attributes:
        scale: How much is measured.
        names: Who takes part.
        scenarios: Which turns.
        quiet: Whether nothing is said meanwhile.
        folder: Where it works.
    """

    scale: Scale
    names: Sequence[str]
    scenarios: Sequence[str] = ("plain", "tools", "eight")
    quiet: bool = False
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="strands-persql-bench-")))
    _fields: int = 0
    _ending: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _service: Loopback | None = None
    _began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, scale: Scale, names: Sequence[str] | None = None, **options: object) -> Run:
        """A run of the contenders that can take part here; agents without a session always do.

        Raises:
            ValueError: One is unknown, or was named and lacks something.
        """
        known = [each.name for each in ALL]
        lacks = missing()
        if names is None:
            taking_part = [name for name in known if name not in lacks]
        else:
            for name in names:
                if name not in known:
                    raise ValueError(f"no contender {name!r}; there are {', '.join(known)}")
                if name in lacks:
                    raise ValueError(f"{name!r} needs {lacks[name]}")
            taking_part = [name for name in known if name in names or name == "none"]
        return cls(scale, taking_part, **options)  # type: ignore[arg-type]

    def field(self, names: Sequence[str] | None = None, latency: Latency | None = None) -> Field:
        """Contenders in fresh folders."""
        self._fields += 1
        return Field(self.names if names is None else names, self.folder / str(self._fields), latency)

    def remote(self, seconds: float) -> Latency:
        """A remote service that takes so long for each request from now on: the same one for the whole run."""
        if self._service is None:
            self._service = self._ending.enter_context(loopback())
        return self._service.latency(seconds)

    def seconds(self) -> int:
        """How long it has taken so far."""
        return round(time.monotonic() - self._began)

    def say(self, words: str) -> None:
        """Show on the terminal how far it is."""
        if not self.quiet:
            print(f"  {self.seconds():5} s  {words}", file=sys.stderr, flush=True)

    def taking_part(self, *names: str) -> list[str]:
        """Those of some contenders that take part."""
        return [name for name in self.names if name in names]

    @contextlib.contextmanager
    def cleaned(self) -> Generator[Run, None, None]:
        """End the service and remove the folder at the end."""
        try:
            with self._ending:
                yield self
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
