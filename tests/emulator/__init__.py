"""An emulator of PerSQL's REST API for tests: starlette on uvicorn in a thread, over real SQLite files.

It is a RECONSTRUCTION from PerSQL's published documentation and from the source of the engine underneath (SQLite in
Cloudflare's Durable Objects); nobody has compared it with the service. It is strict about what is documented: limits,
roles, refused statements, error bodies, idempotency. Where the documentation is silent it takes the reading that is
hardest on a client, and says so where it does.

- `Server` runs it on a free loopback port.
- `Emulator` is one namespace of it: its databases, tokens, request log, bill, faults and switches. Each test has its
  own, so tests don't see each other.
- `faults` holds what can go wrong between a client and the service.

By hand: `python -m tests.emulator --file x.db --port 8787` prints a token and the address, and stops by Ctrl-C.
"""

from __future__ import annotations

from . import faults
from .control import Emulator
from .faults import Fault
from .log import RequestRecord
from .server import Server

__all__ = ["Emulator", "Fault", "RequestRecord", "Server", "faults"]
