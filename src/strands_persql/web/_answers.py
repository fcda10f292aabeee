"""Answers: JSON with an entity tag, and what a caller already has sent as 304."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from ..administration.results import AgentSummary, MultiAgentSummary
from ._parameters import etags

HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
"""Headers of every answer: only the caller's own browser keeps it, and asks before it shows it again."""


HIDDEN = {(AgentSummary, "state"), (MultiAgentSummary, "data")}
"""What agents, Graphs and Swarms keep for themselves: no caller sees it."""


DEEPEST = 64
"""Levels of an answer: more is left out, as metadata that was stored before its depth was checked."""


def json_of(value: Any, *, depth: int = 0) -> Any:
    """A result of the administrative face as JSON has it: dataclasses as objects, keys named like their fields."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if depth > DEEPEST:
        return f"<nested deeper than {DEEPEST} levels>"
    to_json = getattr(value, "to_json", None)
    if callable(to_json):
        return to_json()
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        names = [each.name for each in fields(value) if (kind, each.name) not in HIDDEN]
        return {name: json_of(getattr(value, name), depth=depth + 1) for name in names}
    if isinstance(value, Mapping):
        return {str(key): json_of(item, depth=depth + 1) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [json_of(item, depth=depth + 1) for item in cast("Sequence[Any]", value)]
    return value


def answer(
    request: Request, value: Any, *, tag: str | None = None, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in JSON, to GET with an entity tag. A large one takes a while: make it on a thread.

    Args:
        request: What it answers.
        value: Results, dicts, lists, texts and numbers.
        tag: What the entity tag holds; None for a digest of the answer itself.
        status: Its status.
        headers: Further headers.
    """
    text = json.dumps(json_of(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    body = text.encode("utf-8", "replace")
    if request.method in ("GET", "HEAD"):
        return tagged(request, body, tag, "application/json", headers)
    return Response(body, status, {**HEADERS, **(headers or {})}, "application/json")


def tagged(
    request: Request, body: bytes, tag: str | None, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer with an entity tag, or 304 where the caller has it; see `answer`."""
    tag = tag or hashlib.sha256(body).hexdigest()[:32]
    all_headers = {**HEADERS, "ETag": f'"{tag}"', **(headers or {})}
    known = request.headers.get("if-none-match")
    if known is not None and (known.strip() == "*" or tag in etags(known.replace("W/", ""))):
        return Response(None, 304, all_headers)
    return Response(body, 200, all_headers, media_type)
