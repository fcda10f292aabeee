"""The errors of this package, each with the remedy in its message.

```
Exception
├── PerSQLError                       the database refused, or could not be reached
│   ├── AuthenticationError           401: the token is missing, malformed or revoked
│   ├── BalanceExhaustedError         402: the prepaid balance is used up
│   ├── PermissionDeniedError         403: the token's role or scope does not allow it
│   │   └── ApprovalRequiredError     403: an approval rule holds the statement back
│   ├── RateLimitError                429: too many requests, after all retries
│   └── TransportError                no answer, or none that could be read: the outcome may be unknown
└── strands SessionException
    ├── SessionConflictError          somebody else wrote to this session
    └── SessionDataError              something that can't be stored, or a stored row that can't be read
        └── EncryptionError           an encrypted session without its key, or a sealed row that is not what it was
```

Messages never hold a token or the content of a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from strands.types.exceptions import SessionException

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "ApprovalRequiredError",
    "AuthenticationError",
    "BalanceExhaustedError",
    "EncryptionError",
    "PerSQLError",
    "PermissionDeniedError",
    "RateLimitError",
    "SessionConflictError",
    "SessionDataError",
    "TransportError",
]


class _Told(TypedDict, total=False):
    status: int | None
    kind: str | None
    detail: dict[str, object] | None
    request_id: str | None


LONGEST_NAME = 200
"""Characters of an id, a key or a path that a message or a log line names."""


def brief(value: object, longest: int = LONGEST_NAME) -> str:
    """An id, a path or another's words, as they may stand in a message or a log line: one line, and not a long one.

    Args:
        value: Whatever is named.
        longest: Characters at most, before escaping; what is left out stood in the middle.
    """
    text = value if isinstance(value, str) else str(value)
    if len(text) > longest:
        text = f"{text[: longest // 2]}…{text[len(text) - (longest - 1) // 2 :]}"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def named(value: object) -> str:
    """An id, a key, a path or an option's value as a message names it: a text in quotation marks, escaped, and cut."""
    return f"'{brief(value)}'" if isinstance(value, str) else brief(repr(value))


class PerSQLError(Exception):
    """The database refused a request.

    Attributes:
        status: The HTTP status; None where there was none (local files, no answer).
        kind: What went wrong, in the words of the service's `errorDetail.kind`: `unique_violation`,
            `not_null_violation`, `unknown_table`, `database_locked`, `syntax_error` …; None where unknown.
            Local databases use the same words.
        detail: The whole `errorDetail` of the answer, where there was one.
        request_id: The id of the request as the answer's headers name it, for support; None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str | None = None,
        detail: dict[str, object] | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.request_id = request_id


class AuthenticationError(PerSQLError):
    """The token is missing, malformed or revoked (401)."""


class BalanceExhaustedError(PerSQLError):
    """The namespace's prepaid balance is used up (402)."""


class PermissionDeniedError(PerSQLError):
    """The token's namespace, role or table scope does not allow the statement (403), or a file is read-only."""


class ApprovalRequiredError(PermissionDeniedError):
    """An approval rule of the database holds the statement back until a person approves it (403).

    Attributes:
        approval_url: Where to approve it; None where the answer names no place.
    """

    def __init__(self, message: str, *, approval_url: str | None = None, **told: Unpack[_Told]) -> None:
        super().__init__(message, **told)
        self.approval_url = approval_url


class RateLimitError(PerSQLError):
    """Too many requests (429), after all retries.

    Attributes:
        retry_after: Seconds the service asked to wait; None where it named none.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **told: Unpack[_Told]) -> None:
        super().__init__(message, **told)
        self.retry_after = retry_after


class TransportError(PerSQLError):
    """No answer came, or none that could be read, so a write may or may not have been carried out.

    Attributes:
        sent: False where the request certainly never reached the service (a refused connection).
    """

    def __init__(self, message: str, *, sent: bool = True, **told: Unpack[_Told]) -> None:
        super().__init__(message, **told)
        self.sent = sent


class SessionConflictError(SessionException):
    """Another writer changed this session, so nothing was written over it.

    Attributes:
        session_id: The session.
        agent_id: The agent or multi-agent orchestrator whose rows collided.
        message_id: The position of the first message that collided; None where only state did.
        expected_revision: The revision this writer last knew (0: none).
        stored_revision: The revision now in the database; None where the row is gone.
    """

    def __init__(
        self,
        message: str,
        *,
        session_id: str,
        agent_id: str,
        message_id: int | None = None,
        expected_revision: int | None = None,
        stored_revision: int | None = None,
    ) -> None:
        super().__init__(message)
        self.session_id = session_id
        self.agent_id = agent_id
        self.message_id = message_id
        self.expected_revision = expected_revision
        self.stored_revision = stored_revision

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is made anew of its message alone, which would lack the ids.
        return _remade, (type(self), self.args), vars(self)


def _remade(kind: type[SessionConflictError], args: tuple[Any, ...]) -> SessionConflictError:
    """An error as it came out of another process, or was copied; its attributes follow."""
    return kind.__new__(kind, *args)


class SessionDataError(SessionException):
    """Something that can't be stored as JSON, or a stored row that can't be read back."""


class EncryptionError(SessionDataError):
    """An encrypted session can't be opened: the key is missing or another, or a row was moved, swapped or changed."""
