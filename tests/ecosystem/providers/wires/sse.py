"""Server-sent events, which most providers speak."""

from __future__ import annotations

import json
from typing import Any

CONTENT_TYPE = "text/event-stream; charset=utf-8"


def one_line(value: Any) -> str:
    """JSON in which what some clients take for the end of a line is escaped, as providers do; all else is as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\u2028", "\\u2028")


def data(value: Any, event: str | None = None) -> bytes:
    """One event with a JSON value."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {one_line(value)}\n\n".encode()
