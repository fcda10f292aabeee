"""Where these tests store: the emulator, through this package's handle or one shaped like PerSQL's SDK."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from strands_persql.testing import stored_rows

from ...emulator import Emulator
from ..harness import Store


class SdkError(Exception):
    """An error of a class this package has never heard of."""

    def __init__(self, message: str, detail: dict[str, Any] | None) -> None:
        super().__init__(message)
        self.detail = detail


class SdkDatabase:
    """A handle with no idempotency keys and no retries, of which nothing but the shape is known.

    Args:
        emulator: Where to.
        role: Its token's.
    """

    def __init__(self, emulator: Emulator, role: Any = "admin") -> None:
        self._http = httpx.Client(
            base_url=f"{emulator.url}/v1/db/{emulator.name}",
            headers={"Authorization": f"Bearer {emulator.token(role)}"},
            trust_env=False,
        )

    def query(self, sql: str, params: Any = None) -> dict[str, Any]:
        return self._dicts(self._post("query", {"sql": sql, "params": list(params or [])}))

    def batch(self, statements: list[dict[str, Any]], transaction: bool = False) -> list[dict[str, Any]]:
        given = [{"sql": each["sql"], "params": list(each.get("params", []))} for each in statements]
        return [self._dicts(one) for one in self._post("batch", {"statements": given, "transaction": transaction})]

    def close(self) -> None:
        self._http.close()

    def _post(self, verb: str, body: dict[str, Any]) -> Any:
        try:
            answer = self._http.post(verb, json=body).json()
        except (httpx.HTTPError, ValueError) as error:
            raise SdkError(f"request failed: {type(error).__name__}", None) from error
        if not answer["success"]:
            raise SdkError(answer["error"], answer.get("errorDetail"))
        return answer["data"]

    def _dicts(self, result: dict[str, Any]) -> dict[str, Any]:
        return {"data": [dict(zip(result["columns"], row, strict=True)) for row in result["rows"]]}


@dataclass
class Remote(Store):
    """One database of the service; each manager has a client of its own.

    Attributes:
        emulator: The service.
        options: The client's.
        sdk: Whether handles are shaped like the SDK's.
    """

    emulator: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    sdk: bool = False

    def database(self, role: Any = "admin", *, at_once: bool = False) -> Any:
        if not self.sdk:
            return self.emulator.database(role=role, **self.options)
        handle = SdkDatabase(self.emulator, role)
        self._open.append(handle)
        return handle

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        return stored_rows(self.emulator.database(max_retries=20), mask=False, encryption=self.encryption)

    def dump(self) -> str:
        with self.emulator.sqlite() as connection:
            return "\n".join(connection.iterdump())
