"""Who may see the pages, and which requests are a browser's that shows them: the app's only door.

- `Host` must name this computer, so that no domain can be pointed at it (DNS rebinding).
- A request that changes something must come from a page of this very origin, and a form carries a token besides.
- With a token set, nothing but the login is shown to whoever has not sent it. The browser then keeps a cookie that
  holds nothing of the token, and that ends with this process. A program sends the token with each request: no page of
  another origin can make a browser do that. Whoever sends wrong ones has to wait ever longer.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from ._attempts import Attempts

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "strands_persql"
LOGIN = "/login"
CSRF = "strands_persql.csrf"
"""The key of a request's scope under which its forms' token stands."""

LOGGED_IN = "strands_persql.logged_in"
"""The key of a request's scope under which stands whether its browser has logged in, and so can log out."""

SHORTEST_TOKEN = 16
"""Characters of the shortest token that is taken."""

_SAFE = ("GET", "HEAD")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers would send `Origin: null` with forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_loopback(host: str) -> bool:
    """Whether a host, as one listens on or as a browser names it, is this computer alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """An ASGI app before another.

    Args:
        app: The other.
        token: What a browser must send before it is shown anything; None for nothing.
        hosts: The names under which the pages are reached, besides those of this computer; they take a token.

    Raises:
        ValueError: The token is too short to keep anybody out, or is missing where others are let in.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Collection[str]) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise ValueError(f"the token must have {SHORTEST_TOKEN} characters or more")
        if token is None and (others := [host for host in hosts if not is_loopback(host)]):
            raise ValueError(f"others reach {others[0]}, so it takes a token")
        self._app = app
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts)
        self._secret = secrets.token_bytes(32)
        self._ended: set[str] = set()
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        session = self._session(headers)
        refused = self._refused(scope, headers, session)
        new = ""
        if session is None and self._token is None and refused is None:
            session, new = self.new_session(scope)
        scope[CSRF] = self._signed("csrf", session or "")
        scope[LOGGED_IN] = self._token is not None and session is not None

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
                if new:
                    answer.append("set-cookie", new)
            await send(message)

        await (refused or self._app)(scope, receive, guarded)

    def wait(self, scope: Scope) -> int:
        """How many seconds the sender of a request has to wait before a token is looked at."""
        return self._attempts.wait(scope)

    def is_token(self, scope: Scope, given: str) -> bool:
        """Whether somebody knows the token; it takes as long for every other text of its length."""
        if self._token is None:
            return False
        is_right = hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())
        self._attempts.note(scope, is_right=is_right)
        return is_right

    def new_session(self, scope: Scope) -> tuple[str, str]:
        """A browser's session, and the header that gives it the cookie."""
        session = secrets.token_urlsafe(18)
        return session, _cookie(scope, f"{session}.{self._signed('in', session)}", self._same_site)

    def end_session(self, scope: Scope) -> str:
        """Let a browser's session count no more; answers the header that takes the cookie away."""
        session = self._session(Headers(scope=scope))
        if session is not None:
            self._ended.add(session)
        return _cookie(scope, "", f"{self._same_site}; Max-Age=0")

    @property
    def _same_site(self) -> str:
        """Where nobody logs in, a link on another site must not make the forms of open pages too old."""
        return "Lax" if self._token is None else "Strict"

    def is_from_form(self, scope: Scope, given: str) -> bool:
        """Whether a form was sent with the token of this browser's pages."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), scope[CSRF].encode())

    def _refused(self, scope: Scope, headers: Headers, session: str | None) -> Response | None:
        if not self._is_ours(headers.getlist("host")):
            return PlainTextResponse("This address is not one of this server's.\n", 421)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._token is not None:
            if wait := self.wait(scope):
                words = f"There were too many wrong tokens. Wait {wait} seconds.\n"
                return PlainTextResponse(words, 429, {"Retry-After": str(wait)})
            if self.is_token(scope, token.strip()):
                return None
        changes = scope["method"] not in _SAFE
        if changes and not _is_same_origin(headers):
            return PlainTextResponse("This request did not come from a page of this server.\n", 403)
        path = _inner_path(scope)
        if self._token is None or session is not None or path == LOGIN or path.startswith("/static/"):
            return None
        if changes or path.startswith("/api/"):
            return PlainTextResponse("Log in first.\n", 401, {"WWW-Authenticate": "Bearer"})
        return RedirectResponse(LOGIN, 303)

    def _is_ours(self, named: list[str]) -> bool:
        if len(named) != 1:
            return False
        try:
            host = urlsplit(f"//{named[0]}").hostname or ""
            urlsplit(f"//{named[0]}").port  # noqa: B018
        except ValueError:
            return False
        return is_loopback(host) or host in self._hosts

    def _session(self, headers: Headers) -> str | None:
        for line in headers.getlist("cookie"):
            session, _, signature = cookie_parser(line).get(COOKIE, "").partition(".")
            is_own = hmac.compare_digest(signature.encode("utf-8", "replace"), self._signed("in", session).encode())
            if is_own and session not in self._ended:
                return session
        return None

    def _signed(self, what: str, session: str) -> str:
        return hmac.digest(self._secret, f"{what}:{session}".encode("utf-8", "replace"), "sha256").hex()


def _is_same_origin(headers: Headers) -> bool:
    """Whether a request comes from a page of the same host; one without an `Origin` is refused too."""
    origin = urlsplit(headers.get("origin", ""))
    site = headers.get("sec-fetch-site", "same-origin")
    return origin.scheme in ("http", "https") and origin.netloc == headers["host"] and site == "same-origin"


def _cookie(scope: Scope, value: str, same_site: str) -> str:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"{COOKIE}={value}; Path=/; HttpOnly{secure}; SameSite={same_site}"


def _inner_path(scope: Scope) -> str:
    """The path behind where the app is mounted, as its router sees it."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    inside = path.removeprefix(root)
    return inside if inside[:1] in ("", "/") else path
