"""Run the emulator by hand: `python -m tests.emulator --file x.db --port 8787`."""

from __future__ import annotations

import argparse
import contextlib
import threading
from pathlib import Path

from .server import Server


def main() -> None:
    """Serve one namespace, `local`, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description="An emulator of PerSQL's REST API.")
    parser.add_argument("--file", type=Path, help="one SQLite file for all databases (default: a temporary one each)")
    parser.add_argument("--port", type=int, default=0, help="the loopback port (default: any that is free)")
    parser.add_argument("--role", choices=["admin", "readwrite", "readonly"], default="admin", help="the token's role")
    options = parser.parse_args()
    with Server(options.port) as server:
        emulator = server.namespace("local", file=options.file)
        print(f"PERSQL_API_URL={server.url}", flush=True)
        print(f"PERSQL_TOKEN={emulator.token(options.role)}", flush=True)
        print("PERSQL_DATABASE=local/agents", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
