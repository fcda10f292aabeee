"""Error bodies: SQLite's message as the `errorDetail` the service documents (docs.persql.com, agents/errors)."""

from __future__ import annotations

import re
from typing import Any


class Refused(Exception):
    """A request that is answered with an error.

    Attributes:
        status: The answer's status. For SQL errors the documentation names none; 400 is the likely one.
        body: The answer's body.
        headers: Further headers.
    """

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(body.get("error"))
        self.status = status
        self.body = {"success": False, **body}
        self.headers = headers or {}


def plain(status: int, error: str, **more: Any) -> Refused:
    """An error without `errorDetail`."""
    return Refused(status, {"error": error, **more})


def of_sql(message: str, verb: str, kind: str | None = None) -> Refused:
    """The error a statement ended with."""
    detail = _detail(message)
    if kind is not None:
        detail["kind"] = kind
    hint = _hint(detail["kind"], verb)
    if hint:
        detail["hint"] = hint
    return Refused(400, {"error": message, "errorDetail": detail})


def _detail(message: str) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "unknown", "message": message}
    if match := re.search(r"(UNIQUE|NOT NULL) constraint failed: (.+)", message):
        found["kind"] = "unique_violation" if match[1] == "UNIQUE" else "not_null_violation"
        columns = [dict(zip(("table", "column"), name.split("."), strict=False)) for name in match[2].split(", ")]
        if len(columns[0]) == 2:
            found |= columns[0]
            if len(columns) > 1:
                found["columns"] = columns
    elif "FOREIGN KEY constraint failed" in message:
        found["kind"] = "fk_violation"
    elif match := re.search(r"CHECK constraint failed: (.+)", message):
        found |= {"kind": "check_violation", "constraint": match[1]}
    elif match := re.search(r"no such table: (\S+)", message):
        found |= {"kind": "unknown_table", "table": match[1]}
    elif match := re.search(r"no such column: (\S+)", message):
        found |= {"kind": "unknown_column", "column": match[1]}
    elif match := re.search(r"table (\S+) has no column named (\S+)", message):
        found |= {"kind": "unknown_column", "table": match[1], "column": match[2]}
    elif "syntax error" in message or "incomplete input" in message or "unrecognized token" in message:
        found["kind"] = "syntax_error"
        if match := re.search(r'near "([^"]*)"', message):
            found["near"] = match[1]
    elif "datatype mismatch" in message:
        found["kind"] = "type_mismatch"
    elif "is locked" in message:
        found["kind"] = "database_locked"
    elif "too many SQL variables" in message:
        found["kind"] = "too_many_params"
    elif "readonly database" in message:
        found["kind"] = "readonly"
    return found


def _hint(kind: str, verb: str) -> str | None:
    """A hint that depends on the verb, as the documentation says it does."""
    if kind == "unique_violation":
        if verb == "INSERT":
            return "Use INSERT … ON CONFLICT DO UPDATE, or ON CONFLICT DO NOTHING."
        return "Another row has this value already."
    if kind == "unknown_table":
        return "Create the table first." if verb in ("INSERT", "UPDATE", "DELETE") else "List the tables first."
    return None
