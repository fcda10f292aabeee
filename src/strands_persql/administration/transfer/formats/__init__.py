"""The forms that a session is exported in for other programs and for people: a module for each. Pure: no I/O.

Each makes a text of a session's items, piece by piece. A message is exported as it was said; where it was redacted,
what the redaction has put in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

from .._items import Item
from . import _anthropic, _markdown, _openai, _otel
from ._content import Said, result_text
from ._turns import Call, Step, Turn, turns

Form: TypeAlias = Literal["openai", "anthropic", "markdown", "otel", "otel-events"]

FORMATS: dict[str, Callable[[Iterable[Item]], Iterator[str]]] = {
    "openai": _openai.chunks,
    "anthropic": _anthropic.chunks,
    "markdown": _markdown.chunks,
    "otel": _otel.with_attributes,
    "otel-events": _otel.with_events,
}

__all__ = ["FORMATS", "Call", "Form", "Said", "Step", "Turn", "result_text", "turns"]
