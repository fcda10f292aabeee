"""What a request says beside its path: parameters, a body of JSON, the conditions in its headers."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from starlette.requests import Request

from ..administration.wording import Words, reworded
from ._problems import BAD_BODY, BAD_PARAMETER, BODY_TOO_LARGE, CHANGED, NOT_JSON, Kind, Problem
from ._router import Exchange

LARGEST_BODY = 512 * 1024
"""Bytes of a body. The largest that means anything holds 64 K characters of metadata."""

LONGEST_PARAMETER = 4000
"""Characters of a parameter."""

_WORDS: Words = (
    (r"^text (?=must|may)", "q "),
    (r"^after must be None, or what", "after must be what"),
    (r": leave order as it is$", ": leave out order=recent"),
)
"""The names of parameters, in place of Python's arguments."""


def text(request: Request, name: str) -> str | None:
    """A parameter that is text.

    Raises:
        Problem: It is there twice, too long, or holds what no text in a database may.
    """
    values = request.query_params.getlist(name)
    if not values:
        return None
    if len(values) > 1:
        raise Problem(BAD_PARAMETER, f"{name} is there {len(values)} times.")
    (value,) = values
    if len(value) > LONGEST_PARAMETER:
        raise Problem(BAD_PARAMETER, f"{name} is longer than {LONGEST_PARAMETER} characters.")
    return value


def number(request: Request, name: str, default: int, *, most: int) -> int:
    """A parameter that is a whole number from 1 to the most.

    Raises:
        Problem: It is something else.
    """
    value = text(request, name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= most):
        raise Problem(BAD_PARAMETER, f"{name} must be a whole number from 1 to {most}.")
    return int(value)


def choice(request: Request, name: str, choices: Sequence[str]) -> str:
    """A parameter that is one of a few words; the first where it is missing.

    Raises:
        Problem: It is something else.
    """
    value = choices[0] if (given := text(request, name)) is None else given
    if value not in choices:
        raise Problem(BAD_PARAMETER, f"{name} must be one of: {', '.join(choices)}.")
    return value


def media_type(request: Request) -> str:
    """What a request says its body is, in small letters and without parameters; empty where it says nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def received(request: Request, most: int) -> bytes | None:
    """The body of a request; None where it is larger than so many bytes, of which no more are read."""
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > most:
            return None
    return bytes(found)


async def body(request: Request, known: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """The body: a JSON object.

    Args:
        request: The request.
        known: The types of its fields, all of which may be missing.

    Raises:
        Problem: It is something else, or too large.
    """
    if media_type(request) != "application/json":
        raise Problem(NOT_JSON)  # a form of another site can't send one either
    raw = await received(request, LARGEST_BODY)
    if raw is None:
        raise Problem(BODY_TOO_LARGE, f"It is larger than {LARGEST_BODY} bytes.", headers={"Connection": "close"})
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Problem(BAD_BODY, "It must be a JSON object.")
    fields = cast("dict[str, Any]", value)
    for name, given in fields.items():
        if name not in known:
            raise Problem(BAD_BODY, f"Its fields may be: {', '.join(known)}.")
        if not isinstance(given, known[name]) or isinstance(given, bool):
            raise Problem(BAD_BODY, f"{name} is of the wrong type.")
    return fields


@contextmanager
def told_as(kind: Kind) -> Generator[None, None, None]:
    """Inside it, an argument that can't be used is the caller's mistake.

    Raises:
        Problem: One was.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise Problem(kind, reworded(str(error), _WORDS)) from error


async def unchanged(exchange: Exchange, *, writes: bool = True) -> str | None:
    """The version that the session must still have; None where the request names none.

    Args:
        exchange: The request.
        writes: Whether it goes on to write to the session; else the version is compared here.

    Raises:
        Problem: The session has none of the versions that the request names.
    """
    given = exchange.request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    names = etags(given)
    if writes and len(names) == 1:
        return names[0]  # compared in the transaction itself
    version = (await exchange.service.run(exchange.sessions.get, exchange.session_id)).version
    if version not in names:
        raise Problem(CHANGED)
    return version


def etags(header: str) -> list[str]:
    """The entity tags in a header, without their quotation marks; a weak one matches nothing."""
    found = (each.strip() for each in header.split(","))
    return [each[1:-1] for each in found if len(each) >= 2 and each[0] == each[-1] == '"']
