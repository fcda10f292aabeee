"""What pages have from the REST app, under addresses that name a session in their query.

In a path browsers read the ids `.` and `..` as steps, even escaped, and ask for something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.requests import Request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

Query = Mapping[str, str]

_PASSED = (("agent", "agent_id"), ("agents", "agents"), ("after", "after"))
"""The parameters that are handed on, and what the REST app calls them."""


class Inner:
    """An endpoint that the REST app answers.

    Args:
        rest: The REST app.
        path: The parts of a path in it, given a request's parameters.
    """

    def __init__(self, rest: ASGIApp, path: Callable[[Query], tuple[str, ...]]) -> None:
        self._rest = rest
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        given = Request(scope).query_params
        parts = self._path(given)
        root = f"{scope.get('root_path', '')}/api"
        query = urlencode({name: given[own] for own, name in _PASSED if own in given})
        inner = {
            "root_path": root,
            "path": "/".join((root, *parts)),
            "raw_path": "/".join((quote(root), *(quote(part, safe="") for part in parts))).encode(),
            "query_string": query.encode(),
        }
        await self._rest({**scope, **inner}, receive, send)


def export_path(given: Query) -> tuple[str, ...]:
    """All of a session, as a file."""
    return "sessions", given["id"], "export"


def events_path(given: Query) -> tuple[str, ...]:
    """A session's new messages."""
    return "sessions", given["id"], "events"


def media_path(given: Query) -> tuple[str, ...]:
    """The bytes of a part of a message."""
    return "sessions", given["id"], "messages", given["record"], "media", given["place"]
