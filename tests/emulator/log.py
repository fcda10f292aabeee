"""What was asked of the emulator, for tests that compare it exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RequestRecord:
    """One request, whatever became of it.

    Attributes:
        number: Its place, from 1, since the last reset.
        method: `"POST"`.
        path: `"/v1/db/t1/agents/batch"`.
        statements: The SQL and the parameters of each statement, as they were sent.
        transaction: What a batch asked for; None for anything else.
        headers: By lower-case name, less the token.
        body: The size of the body in bytes.
        connection: The client's port: the same one for requests over one connection.
        status: What was answered; None where nothing whole was.
        fault: The name of the fault it met.
        replayed: Whether the answer came out of the replay cache.
    """

    number: int
    method: str
    path: str
    statements: list[tuple[str, list[Any]]] = field(default_factory=lambda: list[tuple[str, list[Any]]]())
    transaction: bool | None = None
    headers: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    body: int = 0
    connection: int = 0
    status: int | None = None
    fault: str | None = None
    replayed: bool = False

    @property
    def verb(self) -> str:
        """The path's last part: `"query"`, `"batch"`."""
        return self.path.rpartition("/")[2]

    @property
    def sql(self) -> list[str]:
        """The statements' SQL alone."""
        return [sql for sql, _ in self.statements]

    @property
    def key(self) -> str | None:
        """The `Idempotency-Key` it carried."""
        return self.headers.get("idempotency-key")

    @classmethod
    def read(cls, number: int, method: str, path: str, headers: dict[str, str], body: bytes) -> RequestRecord:
        """Make the record of a request that has just come in."""
        record = cls(number, method, path, body=len(body))
        record.headers = {name: value for name, value in headers.items() if name != "authorization"}
        try:
            payload = json.loads(body)
            statements = payload.get("statements", [payload])
            record.statements = [(one["sql"], one.get("params", [])) for one in statements]
            if "statements" in payload:
                record.transaction = payload.get("transaction", False)
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        return record
