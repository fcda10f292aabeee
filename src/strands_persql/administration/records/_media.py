"""Bytes in messages: what kind of file they are, and how a page gets them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Literal, TypeAlias

from ._parts import MediaPart

MediaLink: TypeAlias = Callable[[str, MediaPart], str]
"""Makes the address of a part's bytes, given the id of the record of the message that holds it, and the part."""

# Recognised by their first bytes, not by the format that the message names. SVG is a document, with links and styles.
_RASTERS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
_OFFICE = "application/vnd.openxmlformats-officedocument."
_FORMATS = {
    "document": {
        "pdf": "application/pdf", "csv": "text/csv", "txt": "text/plain", "md": "text/markdown",
        "html": "text/plain",  # as its own type a browser would run what is in it
        "doc": "application/msword", "docx": f"{_OFFICE}wordprocessingml.document",
        "xls": "application/vnd.ms-excel", "xlsx": f"{_OFFICE}spreadsheetml.sheet",
    },
    "video": {
        "mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "mkv": "video/x-matroska",
        "mpeg": "video/mpeg", "mpg": "video/mpeg", "flv": "video/x-flv", "wmv": "video/x-ms-wmv",
        "three_gp": "video/3gpp",
    },
    "audio": {
        "mp3": "audio/mpeg", "mpeg": "audio/mpeg", "mpga": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac",
        "ogg": "audio/ogg", "opus": "audio/ogg", "aac": "audio/aac", "x-aac": "audio/aac", "mp4": "audio/mp4",
        "m4a": "audio/mp4", "webm": "audio/webm", "mka": "audio/x-matroska", "mkv": "audio/x-matroska",
    },
}  # fmt: skip
_UNKNOWN = "application/octet-stream"


def mime_type_of(kind: str, format_name: str, data: bytes | None) -> str:
    """The type of a part's bytes."""
    if kind == "image":
        return next((mime for begins, mime in _RASTERS if begins.match(data or b"")), _UNKNOWN)
    return _FORMATS.get(kind, {}).get(format_name, _UNKNOWN)


def default_link(record_id: str, part: MediaPart) -> str:
    """An address relative to the agent's: `"messages/12/media/0.1"`."""
    return f"messages/{record_id}/media/{part.place}"


def inline(record_id: str, part: MediaPart) -> str:
    """The bytes themselves, as a `data:` URI."""
    return f"data:{part.mime_type};base64,{base64.b64encode(part.data or b'').decode()}"


def link_of(media: Literal["link", "inline"] | MediaLink) -> MediaLink:
    """What makes the addresses: a user's callable, or one of the two by name.

    Raises:
        ValueError: It is another name.
    """
    if callable(media):
        return media
    if media in ("link", "inline"):
        return default_link if media == "link" else inline
    raise ValueError("media must be 'link', 'inline', or a callable that makes the link of a message's id and a part")
