"""What goes wrong, as RFC 9457 has it: `application/problem+json` with a `type` that stays what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from starlette.responses import Response
from strands.types.exceptions import SessionException

from ..administration.missing import SeveralAgentsError
from ..administration.owned import ChangedError
from ..errors import PerSQLError, RateLimitError, SessionConflictError, SessionDataError

PREFIX = "urn:strands-persql:problem:"
"""Begins each `type`."""


class Kind(NamedTuple):
    """A kind of problem.

    Attributes:
        name: Ends its `type`.
        status: The HTTP status.
        title: What it is called.
        detail: What to do about it, where nothing more precise can be said.
    """

    name: str
    status: int
    title: str
    detail: str


UNAUTHENTICATED = Kind("unauthenticated", 401, "Not logged in", "Log in, and send what proves it along.")
NOT_FOUND = Kind("not-found", 404, "Not found", "There is no such thing here, or it is not yours.")
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed", 405, "Method not allowed", "The header Allow names the methods that are."
)
BAD_PARAMETER = Kind("bad-parameter", 400, "A parameter can't be used", "See the OpenAPI document.")
BAD_BODY = Kind("bad-body", 400, "The body can't be used", "See the OpenAPI document.")
BODY_TOO_LARGE = Kind("body-too-large", 413, "The body is too large", "See the OpenAPI document.")
NOT_JSON = Kind("not-json", 415, "The body is not JSON", "Send it with Content-Type: application/json.")
CHANGED = Kind("changed", 412, "The session has changed", "Get the session again, and send its new ETag.")
CONFLICT = Kind("conflict", 409, "The session is being written to", "Send the request again in a moment.")
TOO_MANY_STREAMS = Kind("too-many-streams", 503, "Too many streams", "Close some, or try again later.")
UNREADABLE = Kind("unreadable", 500, "A stored row can't be read", "Ask whoever runs this service.")
UNAVAILABLE = Kind("unavailable", 503, "The database can't be reached", "Send the request again later.")
INTERNAL = Kind("internal", 500, "Something went wrong here", "Ask whoever runs this service.")

KINDS = (
    UNAUTHENTICATED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    BAD_PARAMETER,
    BAD_BODY,
    BODY_TOO_LARGE,
    NOT_JSON,
    CHANGED,
    CONFLICT,
    TOO_MANY_STREAMS,
    UNREADABLE,
    UNAVAILABLE,
    INTERNAL,
)


class Problem(Exception):
    """A request that is answered with a problem.

    Args:
        kind: Its kind.
        detail: What is wrong with this request; it may hold what the caller has sent, and nothing else.
        headers: Further headers of the answer.
    """

    def __init__(self, kind: Kind, detail: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(kind.name)
        self.kind = kind
        self.detail = detail or kind.detail
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        body = {
            "type": PREFIX + self.kind.name,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        return Response(
            json.dumps(body),
            status_code=self.kind.status,
            headers={"Cache-Control": "no-store", **self.headers},
            media_type="application/problem+json",
        )


def problem_of(error: Exception) -> Problem | None:
    """What a caller is told of an error, none of whose own words are meant for them; None for one of ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ChangedError):
        return Problem(CHANGED)
    if isinstance(error, SessionConflictError):
        return Problem(CONFLICT, headers={"Retry-After": "1"})
    if isinstance(error, SessionDataError):
        return Problem(UNREADABLE)
    if isinstance(error, SeveralAgentsError):
        return Problem(BAD_PARAMETER, "The session has several agents: name one with agent_id.")
    if isinstance(error, SessionException):
        return Problem(NOT_FOUND)
    if isinstance(error, PerSQLError):
        seconds = error.retry_after if isinstance(error, RateLimitError) else None
        return Problem(UNAVAILABLE, headers={"Retry-After": str(max(1, round(seconds or 5)))})
    return None
