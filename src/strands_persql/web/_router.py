"""From a path to the operation behind it.

A session's id may be any text, slashes included, so paths are taken apart as they were sent, before their escapes are
read: `/sessions/a%2Fb` names the session `a/b`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from ..engine.options import checked_session_id
from ._problems import METHOD_NOT_ALLOWED, NOT_FOUND, Problem

if TYPE_CHECKING:
    from starlette.types import Scope

    from ..administration.users import UserSessions
    from ._service import Service

LONGEST_SEGMENT = 4000
"""Characters of one part of a path, before its escapes are read; no longer one names anything."""


@dataclass(frozen=True)
class Exchange:
    """A request, and all that an operation has to answer it.

    Attributes:
        request: The request.
        sessions: What its sender may see.
        service: The app.
        names: The parts of the path that its template names, escapes read.
    """

    request: Request
    sessions: UserSessions
    service: Service
    names: Mapping[str, str]

    @property
    def session_id(self) -> str:
        """The session that the path names.

        Raises:
            Problem: No session can have such an id.
        """
        try:
            return checked_session_id(self.names["session_id"])
        except ValueError:
            raise Problem(NOT_FOUND) from None

    @property
    def root(self) -> str:
        """The path that this app is mounted under; empty where it is not."""
        return quote(str(self.request.scope.get("root_path", "")).rstrip("/"))

    def address(self, *parts: str) -> str:
        """The path of something in this app, wherever that is mounted."""
        return "/".join([self.root, *(quote(part, safe="") for part in parts)])


@dataclass(frozen=True)
class Operation:
    """Something that can be asked for.

    Attributes:
        method: The HTTP method. GET is HEAD too.
        path: The path, with `{name}` for a part that names something.
        answer: Answers a request.
        writes: Whether it changes something.
        takes: Its parameters besides the path's, by their names in the OpenAPI document.
        body: The schema of its body.
        gives: What it answers, in words.
        result: What it answers, as a dataclass.
        status: The status of that.
        media_type: The type of that.
    """

    method: str
    path: str
    answer: Callable[[Exchange], Awaitable[Response]]
    writes: bool = False
    takes: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = None
    gives: str = ""
    result: Any = None
    status: int = 200
    media_type: str = "application/json"

    @property
    def name(self) -> str:
        """Its name."""
        return self.answer.__name__

    def names(self, parts: Sequence[str]) -> dict[str, str] | None:
        """What the parts of a path name, where it is this operation's; else None."""
        template = self.path.split("/")[1:]
        if len(template) != len(parts):
            return None
        found: dict[str, str] = {}
        for wanted, part in zip(template, parts, strict=True):
            if wanted.startswith("{"):
                found[wanted[1:-1]] = part
            elif wanted != part:
                return None
        return found


def found(operations: Sequence[Operation], method: str, scope: Scope) -> tuple[Operation, dict[str, str]]:
    """The operation that a request is for, and what its path names.

    Raises:
        Problem: There is none with this path, or none with this method.
    """
    parts = _parts(scope, most=max(each.path.count("/") for each in operations))
    matching = [(each, names) for each in operations if parts and (names := each.names(parts)) is not None]
    if not matching:
        raise Problem(NOT_FOUND)
    for operation, names in matching:
        if operation.method == ("GET" if method == "HEAD" else method):
            return operation, names
    methods = {operation.method for operation, _ in matching}
    allowed = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
    raise Problem(METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(allowed)})


def _parts(scope: Scope, *, most: int) -> list[str] | None:
    """The parts of a path behind where the app is mounted; None where it names nothing, as with more than the most."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    inside = (
        path[len(root) :] if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/") else path
    )
    parts = _as_sent(scope, inside, most=most).split("/")[1:]
    if len(parts) > most or any(not part or len(part) > LONGEST_SEGMENT for part in parts):
        return None
    try:
        return [unquote(part, errors="strict") for part in parts]
    except UnicodeDecodeError:
        return None


def _as_sent(scope: Scope, inside: str, *, most: int) -> str:
    """The end of a path with its escapes, given the same without; what has none left is as good as sent so.

    An end of more parts than the most is not looked for: each look takes as long as the path is.
    """
    sent = scope.get("raw_path")
    text = sent.partition(b"?")[0].decode("latin-1") if isinstance(sent, bytes) else ""
    end = ""
    for part in reversed(text.split("/")[1:][-most:]):
        end = f"/{part}{end}"
        if unquote(end) == inside:
            return end
    return quote(inside)
