"""What users choose for a session, and what an event is answered with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, cast, get_args

from ..errors import named

if TYPE_CHECKING:
    from datetime import timedelta

    from ..database.retention import Retention

Durability: TypeAlias = Literal["message", "overlap", "invocation"]
"""When a message is stored.

- `"message"`: before the agent goes on.
- `"overlap"`: while the model works; awaited at the next event and at the end of the invocation.
- `"invocation"`: at the end of the invocation, all in one batch.
"""


class SessionOptions(TypedDict, total=False):
    """What a session manager takes besides its session's id and database."""

    table_prefix: str
    durability: Durability
    create_tables: bool
    user: str | None
    title: str | None
    tags: Iterable[str] | None
    metadata: Mapping[str, Any] | None
    retention: timedelta | Retention | None


Written: TypeAlias = "Future[None] | None"
"""What to wait for before the agent goes on; None for nothing."""


def checked_session_id(session_id: object) -> str:
    """A session id: any text that is not blank.

    Raises:
        TypeError: It is no string.
        ValueError: It is blank, or no valid Unicode.
    """
    if not isinstance(session_id, str):
        raise TypeError(f"session_id must be a string such as 'user-42', got {type(session_id).__name__}")
    if not session_id.strip():
        raise ValueError("session_id must not be empty: name the session, for example 'user-42'")
    try:
        session_id.encode()
    except UnicodeEncodeError as error:
        raise ValueError("session_id must be valid Unicode: it holds a lone surrogate") from error
    return session_id


def checked_durability(durability: object) -> Durability:
    """One of the three durabilities.

    Raises:
        ValueError: It is none.
    """
    if durability not in get_args(Durability):
        raise ValueError(
            f"durability must be one of {', '.join(map(repr, get_args(Durability)))}, got {named(durability)}"
        )
    return cast("Durability", durability)
