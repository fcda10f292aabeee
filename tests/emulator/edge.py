"""The way between a client and the service: where requests are logged and faults strike."""

from __future__ import annotations

import socket
import struct
import traceback
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .control import Emulator
from .faults import Fault
from .log import RequestRecord


class Edge:
    """The ASGI application that uvicorn runs: it hands whole requests on, and whole answers back, or doesn't.

    Args:
        service: The application behind it.
        namespaces: The namespaces there are, by name.
    """

    def __init__(self, service: ASGIApp, namespaces: dict[str, Emulator]) -> None:
        self._service = service
        self._namespaces = namespaces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._service(scope, receive, send)
            return
        body = await _body(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        tokens = {token: one for one in self._namespaces.values() for token in one.tokens}
        emulator = self._namespace(scope["path"], headers, tokens)
        record, fault = _record(emulator, scope, headers, body)
        if fault is not None and not fault.runs:
            await _strike(fault, record, b"", [], 0, receive, send)
            return
        scope.update(emulator=emulator, tokens=tokens, fault=fault, record=record)
        status, answer_headers, answer = await self._ask(scope, body)
        # Cloudflare, in front of the service, gives each request an id.
        answer_headers.append((b"cf-ray", f"{record.number:016x}-TST".encode()))
        if fault is None or fault.how == "latency":
            record.status = status
            await _answer(status, answer_headers, answer, send)
        else:
            await _strike(fault, record, answer, answer_headers, status, receive, send)

    def _namespace(self, path: str, headers: dict[str, str], tokens: dict[str, Emulator]) -> Emulator | None:
        parts = path.split("/")
        if path.startswith("/v1/db/") and len(parts) > 3:
            return self._namespaces.get(parts[3])
        return tokens.get(headers.get("authorization", "").removeprefix("Bearer "))

    async def _ask(self, scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """The service's whole answer."""
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        try:
            await self._service(scope, receive, send)
        except Exception:
            # A fault of the emulator itself: let the test's output say so, since uvicorn is silenced.
            traceback.print_exc()
        content = b"".join(message.get("body", b"") for message in messages[1:])
        return messages[0]["status"], list(messages[0]["headers"]), content


def _record(
    emulator: Emulator | None, scope: Scope, headers: dict[str, str], body: bytes
) -> tuple[RequestRecord, Fault | None]:
    if emulator is None:
        return RequestRecord.read(0, scope["method"], scope["path"], headers, body), None
    record = RequestRecord.read(emulator.requests + 1, scope["method"], scope["path"], headers, body)
    record.connection = scope["client"][1]
    emulator.log.append(record)
    fault = emulator.faults.take(record.number, body)
    record.fault = fault.name if fault is not None else None
    return record, fault


async def _strike(
    fault: Fault,
    record: RequestRecord,
    answer: bytes,
    headers: list[tuple[bytes, bytes]],
    status: int,
    receive: Receive,
    send: Send,
) -> None:
    """Let the client see the fault instead of the answer."""
    # uvicorn hands its own request over as `send`; a reset needs the connection itself.
    transport: Any = send.__self__.transport  # type: ignore[attr-defined]
    if fault.how == "answer":
        record.status = fault.status
        pairs = [(name.encode(), value.encode()) for name, value in fault.headers]
        await _answer(fault.status, [*pairs, (b"content-length", str(len(fault.body)).encode())], fault.body, send)
        return
    if fault.how in ("truncate", "stall"):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer[: len(answer) // 2], "more_body": True})
    if fault.how == "truncate":
        transport.close()
    elif fault.how == "cut":
        # Without lingering, closing means a reset instead of an orderly end.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    # A stalled connection stays until the client has had enough of it.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
