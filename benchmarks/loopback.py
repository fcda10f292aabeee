"""A remote service at a known distance: PerSQL's API over loopback, in a process of its own.

It answers as the emulator of the tests does, from SQLite in memory, but neither checks limits nor draws up a bill, so
that a thousand agents at once meet their own cost and not the server's. Each answer waits for the latency, at the same
time as all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

from strands_persql import PerSQL, PerSQLError

from .latency import Latency

TOKEN = "psql_test_benchmarks"
HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[1]


class _Service:
    """What all connections share.

    Attributes:
        latency: Seconds that each answer waits.
    """

    def __init__(self) -> None:
        self.latency = 0.0
        self._client = PerSQL(local=":memory:")

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Carry out one request."""
        payload = json.loads(body)
        if path == "/latency":
            self.latency = payload
            return 200, b"{}"
        _, _, _, namespace, slug, verb = path.split("/")
        database = self._client.database(f"{namespace}/{slug}")
        try:
            if verb == "query":
                data: Any = _wire(database.query(payload["sql"], payload.get("params", [])))
            else:
                results = database.batch(payload["statements"], transaction=payload.get("transaction", False))
                data = [_wire(result) for result in results]
        except PerSQLError as error:
            refusal = {"success": False, "error": str(error), "errorDetail": error.detail}
            return 400, json.dumps(refusal).encode()
        return 200, json.dumps({"success": True, "data": data}, ensure_ascii=False, separators=(",", ":")).encode()


def _wire(result: Any) -> dict[str, Any]:
    return {"columns": result["columns"], "rows": result["rows"], "rowsRead": 0, "rowsWritten": result["rows_written"]}


class _Connection(asyncio.Protocol):
    """One connection of a client, which sends its next request after the answer to the last."""

    def __init__(self, service: _Service) -> None:
        self._service = service
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._received = rest[length:]
        latency = self._service.latency
        status, body = self._service.answer(lines[0].split(" ")[1], rest[:length])
        asyncio.get_running_loop().call_later(latency, self._send, status, body)

    def _send(self, status: int, body: bytes) -> None:
        if self._transport.is_closing():
            return
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def _serve() -> None:
    service = _Service()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(service), HOST, 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent holds the other end of this pipe: when it is gone, so is the server.
    await loop.run_in_executor(None, sys.stdin.read)


class Loopback:
    """The running service.

    Attributes:
        url: Its address.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"

    def latency(self, seconds: float) -> Latency:
        """Let each answer wait so long from now on."""
        request = urllib.request.Request(f"{self.url}/latency", json.dumps(seconds).encode(), method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request):
            return Latency(seconds, self.url, TOKEN)


@contextlib.contextmanager
def loopback() -> Generator[Loopback, None, None]:
    """The service in a process of its own, for as long as this lasts."""
    command = [sys.executable, "-m", "benchmarks.loopback"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            port = process.stdout.readline()
            if not port:
                raise RuntimeError("the loopback service did not start: its error stands above")
            yield Loopback(int(port))
        finally:
            process.stdin.close()
            process.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
