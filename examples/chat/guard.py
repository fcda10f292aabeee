"""What every request and answer passes: no other site may send or frame anything, no script but the chat's own runs."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = {"127.0.0.1", "localhost"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Middleware that checks where a request comes from, and says what the browser may do with the answer.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        app = self._app if self._is_own(Headers(scope=scope)) else PlainTextResponse("Not from here.", 403)
        await app(scope, receive, guarded)

    def _is_own(self, headers: Headers) -> bool:
        """Whether a request was meant for this host, and sent by no page of another one."""
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            is_here = urlsplit(f"//{host}").hostname in HOSTS
            return is_here and (origin is None or urlsplit(origin).netloc == host)
        except ValueError:  # no address at all, such as "["
            return False
