"""Who sends a request: a name in a signed cookie. A demo: whoever types a name is that user, there is no password.

In an application of your own, `user_of` is the one function to replace, by whatever your login leaves in the request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "chat_user"
SECRET_BYTES = 32


class Login:
    """Signs names, and reads them again.

    Args:
        secret: What they are signed with.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def user_of(self, request: Request) -> str | None:
        """Return the user's id; None where nobody is logged in."""
        encoded, _, signature = request.cookies.get(COOKIE, "").partition(".")
        if not hmac.compare_digest(self._signature(encoded).encode(), signature.encode()):
            return None
        return base64.urlsafe_b64decode(encoded).decode()

    def log_in(self, response: Response, name: str) -> None:
        """Remember a user for 30 days; behind HTTPS, add `secure=True`."""
        encoded = base64.urlsafe_b64encode(name.encode()).decode()
        value = f"{encoded}.{self._signature(encoded)}"
        response.set_cookie(COOKIE, value, max_age=30 * 24 * 3600, httponly=True, samesite="strict")

    def log_out(self, response: Response) -> None:
        """Forget the user."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def _signature(self, encoded: str) -> str:
        return hmac.new(self._secret, encoded.encode(), hashlib.sha256).hexdigest()


def kept_secret(file: Path) -> bytes:
    """Return the secret in a file that its owner alone may read; the first call makes it.

    It is written elsewhere first, so that a crash leaves a whole one or none. Any other content is replaced: nothing is
    ever signed with less.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists() or file.stat().st_size != SECRET_BYTES:
        descriptor, new = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        with os.fdopen(descriptor, "wb") as whole:
            whole.write(secrets.token_bytes(SECRET_BYTES))
            whole.flush()
            os.fsync(descriptor)
        os.replace(new, file)
    return file.read_bytes()
