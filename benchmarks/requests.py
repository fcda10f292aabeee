"""The processor time of a request: the client's own thread, beside `http.client` with the same bytes.

Both send over a kept connection to a service in another process. `http.client` is given the body as bytes, and reads
the answer as bytes: it makes no JSON, knows no retries, and trusts the answer.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from strands_persql import PerSQL

from .contenders import NAMESPACE
from .measure import Samples, ratio, settled, shuffled, summary
from .run import Run

BARE = "http.client"
AT_ONCE = 20
"""Requests of one sample, of which each gives the mean."""
STATEMENT = {"sql": "INSERT INTO requests VALUES (?, ?)", "params": ["user-42", "x" * 400]}


def run(run: Run) -> list[dict[str, Any]]:
    """Two rows written in one request: one record for the client, one for `http.client`."""
    if not run.taking_part("persql"):
        return []
    run.say("requests: processor time of the client")
    latency = run.remote(0.0)
    address = urlsplit(str(latency.url))
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    with PerSQL(latency.token, base_url=str(latency.url)) as client, closing(connection):
        database: Any = client.database(f"{NAMESPACE}/requests")
        database.query("CREATE TABLE IF NOT EXISTS requests (id, data)")
        ways = {"persql": lambda: database.commit([STATEMENT] * 2), BARE: _bare(connection, database)}
        samples = Samples()
        for way in ways.values():
            way()
        with settled():
            for number in range(run.scale.request_rounds):
                for name in shuffled(ways, number):
                    began = time.thread_time()
                    for _ in range(AT_ONCE):
                        ways[name]()
                    samples.add(name, number, (time.thread_time() - began) / AT_ONCE)
    return [
        {
            "contender": name,
            "cpu": summary(samples.values(name)),
            "ratio_to_bare": ratio(samples.values(name), samples.values(BARE)),
        }
        for name in ways
    ]


def _bare(connection: http.client.HTTPConnection, database: Any) -> Callable[[], object]:
    """The same request by `http.client` alone."""
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = database._request([(STATEMENT["sql"], STATEMENT["params"])] * 2, True, None)
    headers = database._service._headers.of(request)

    def send() -> bytes:
        connection.request(request.method, request.path, request.payload, headers)
        return connection.getresponse().read()

    return send
