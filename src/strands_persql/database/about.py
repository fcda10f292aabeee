"""Whose a session is, and what people call it. Pure: no I/O, no agent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from ..errors import SessionDataError
from .encoding import encode, is_strict, mapping
from .retention import KEPT_FOR_EVER, Keeping, Retention

if TYPE_CHECKING:
    from datetime import timedelta

    from .query import Row

LONGEST_NAME, LONGEST_TITLE, LONGEST_TAG, LONGEST_METADATA = 500, 500, 100, 65_536
"""The most characters of a user's id, of a title, of a tag, and of metadata as JSON."""

MOST_TAGS = 50

LONGEST_ID = 1_000_000
"""The most characters of the id of a session that another says it is a copy of."""

DEEPEST_METADATA = 32
"""The most levels of metadata, its own one included: whoever shows it goes through all of them."""


@dataclass(frozen=True, slots=True)
class About:
    """Whose a session is, and what people call it.

    Attributes:
        user: The id of the user whose session it is; None for nobody's.
        title: Its title; None for the one that its first prompt makes.
        tags: Its tags, sorted, each once.
        metadata: Anything else: a JSON object.
        active: When a session with a user was last active, to within `TOUCHED_EVERY`; empty for now.
        keeping: How long it is kept; a fixed retention without its end begins now.
        origin: The session that it is a copy of; None for none.
    """

    user: str | None = None
    title: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=lambda: {})
    active: str = ""
    keeping: Keeping = KEPT_FOR_EVER
    origin: str | None = None

    @classmethod
    def of(
        cls,
        *,
        user: str | None = None,
        title: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        retention: timedelta | Retention | None = None,
    ) -> About:
        """From what somebody has given.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: It is blank, too long, no valid Unicode, nothing that JSON holds, or no such time.
        """
        return cls(
            None if user is None else checked_text("user", user, LONGEST_NAME),
            None if title is None else checked_text("title", title, LONGEST_TITLE),
            checked_tags(tags or ()),
            checked_metadata(metadata or {}),
            keeping=Keeping(Retention.of(retention)),
        )

    @classmethod
    def of_row(cls, row: Row) -> About:
        """From the columns of a session's row: what can't be read in them is left out."""
        tags = _decoded(row["tags"])
        known = cast("list[Any]", tags) if isinstance(tags, list) else []
        return cls(
            row["user"],
            row["title"],
            tuple(tag for tag in known if isinstance(tag, str)),
            mapping(_decoded(row["metadata"])),
            row["active"] or "",
            Keeping.of_columns(row["retention"], row["expires"]),
            row["origin"],
        )

    def columns(self, now: str) -> tuple[str | int | None, ...]:
        """The values of the columns `COLUMNS`."""
        active = None if self.user is None else self.active or now
        retention, expires = self.keeping.begun(now)
        kept = (None, None) if retention is None else (retention.seconds, expires or None)
        named = (self.user, active, self.title, tags_column(self.tags), metadata_column(self.metadata))
        return (*named, *kept, self.origin)

    @property
    def document(self) -> dict[str, Any]:
        """What is known, as a JSON object."""
        known = {
            "user": self.user,
            "active": self.active,
            "title": self.title,
            "tags": list(self.tags),
            "metadata": dict(self.metadata),
            "retention": self.keeping.retention and self.keeping.retention.seconds,
            "expires": self.keeping.expires,
            "origin": self.origin,
        }
        return {name: value for name, value in known.items() if value}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> About:
        """From what `document` made.

        Raises:
            TypeError, ValueError: It is something else.
        """
        about = cls.of(**{name: document.get(name) for name in ("user", "title", "tags", "metadata")})
        active = checked_text("active", document.get("active", ""), 40, blank=True)
        seconds, expires = document.get("retention"), document.get("expires")
        keeping = Keeping.of_columns(seconds, expires)
        if keeping.retention is None and (seconds is not None or expires is not None):
            raise ValueError("retention must be a number of seconds, and expires the time at which a fixed one ends")
        origin = document.get("origin")
        if origin is not None:
            origin = checked_text("origin", origin, LONGEST_ID, blank=True)
        return replace(about, active=active, keeping=keeping, origin=origin)


COLUMNS: tuple[str, ...] = ("user", "active", "title", "tags", "metadata", "retention", "expires", "origin")
"""The columns that hold it; each is NULL where nothing was given."""


def tags_column(tags: tuple[str, ...]) -> str | None:
    """Tags as they are stored."""
    return encode(list(tags), what="the tags of a session") if tags else None


def metadata_column(metadata: Mapping[str, Any]) -> str | None:
    """Metadata as it is stored."""
    return encode(dict(metadata), what="the metadata of a session") if metadata else None


def checked_text(name: str, value: object, most: int, *, blank: bool = False) -> str:
    """A text of a few characters.

    Raises:
        TypeError: It is none.
        ValueError: It is blank, too long, or no valid Unicode.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    if len(value) > most or not (blank or value.strip()):
        raise ValueError(f"{name} must be 1 to {most} characters that are not all blank, got {len(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} must be valid Unicode: it holds a lone surrogate") from error
    return value


def checked_tags(tags: object) -> tuple[str, ...]:
    """Tags, sorted, each once.

    Raises:
        TypeError: It is a text, or holds something else than texts.
        ValueError: They are too many, or one is blank, too long, or no valid Unicode.
    """
    if isinstance(tags, (str, bytes, Mapping)) or not isinstance(tags, Iterable):
        raise TypeError(
            f"tags must be several strings, such as ['work', 'draft'], got {type(cast('object', tags)).__name__}"
        )
    found = tuple(sorted({checked_text("each of tags", tag, LONGEST_TAG) for tag in cast("Iterable[object]", tags)}))
    if len(found) > MOST_TAGS:
        raise ValueError(f"tags must be {MOST_TAGS} at most, got {len(found)}")
    return found


def checked_metadata(metadata: object) -> dict[str, Any]:
    """A JSON object of moderate size.

    Raises:
        TypeError: It is no mapping.
        ValueError: It holds something that JSON does not, is too long, or nested too deep.
    """
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a dict, got {type(metadata).__name__}")
    try:
        text = encode(dict(cast("Mapping[str, Any]", metadata)), what="metadata")
    except SessionDataError as error:
        raise ValueError(str(error)) from None
    if len(text) > LONGEST_METADATA or not is_strict(text):
        raise ValueError(f"metadata must be at most {LONGEST_METADATA} characters of JSON, without NaN or infinities")
    checked = mapping(json.loads(text))
    level: list[Any] = [checked]
    for _ in range(DEEPEST_METADATA):
        level = [item for each in level for item in _items(each)]
    if level:
        raise ValueError(f"metadata must be nested at most {DEEPEST_METADATA} levels deep")
    return checked


def _items(value: Any) -> list[Any]:
    """What a list or an object holds that may hold something itself."""
    held = cast("dict[str, Any]", value).values() if isinstance(value, dict) else cast("list[Any]", value)
    return [item for item in held if isinstance(item, (dict, list))]


def _decoded(text: object) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
