"""What went wrong, told from the error of any database handle."""

from __future__ import annotations

from collections.abc import Mapping

GUARDS = ("unique_violation", "not_null_violation")
"""How the database refuses a write that was built on a stale revision, or in a place that is taken."""

_WORDS = (
    ("unique_violation", "unique constraint failed"),
    ("not_null_violation", "not null constraint failed"),
    ("unknown_table", "no such table"),
)


def fault_of(error: BaseException) -> str | None:
    """What a database's error says went wrong, in the words of the service's `errorDetail.kind`; None where unknown.

    A handle of PerSQL's own SDK raises errors of its own, whose names and attributes are not documented: they are told
    by an attribute `kind` or `detail`, else by SQLite's words in their text.
    """
    for candidate in (error, getattr(error, "detail", None), getattr(error, "error_detail", None)):
        kind = candidate.get("kind") if isinstance(candidate, Mapping) else getattr(candidate, "kind", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(kind, str) and kind != "unknown":
            return kind
    text = str(error).lower()
    return next((kind for kind, words in _WORDS if words in text), None)
