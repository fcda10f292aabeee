"""What is checked of a statement before it is sent: its parameters, the limits, and whether it only reads.

The limits are PerSQL's: 100 statements a batch (docs.persql.com, platform/limits), 100 parameters a statement
(Cloudflare Durable Objects' SQLite). Local databases keep to them too, so what runs here runs there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from ..errors import PerSQLError

MAX_STATEMENTS = 100
"""Statements in one batch (PerSQL, "Platform limits")."""

MAX_PARAMS = 100
MAX_EXACT_INTEGER = 2**53 - 1
"""The service's integers are JavaScript numbers: a greater one would come back as another."""

Prepared: TypeAlias = "tuple[str, Sequence[str | int | float | None]]"
"""A statement that has passed the checks: its SQL and its parameters, as plain values."""

# What may stand before the first word. One piece at a time: as one pattern with a repetition, it could take exponential
# time on comments.
_GAP = re.compile(r"[\s\ufeff;]+|--[^\n]*|/\*.*?(?:\*/|$)", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_WRITING_WORD = re.compile(r"\b(?:insert|update|delete|replace)\b", re.IGNORECASE)
_READING_WORDS = frozenset({"SELECT", "VALUES", "EXPLAIN"})


def characters_of(params: Sequence[object]) -> int:
    """Characters of text in a statement's parameters."""
    return sum(len(value) for value in params if isinstance(value, str))


def first_words(sql: str) -> tuple[str, str]:
    """The statement's first two words in upper case, comments skipped: `("CREATE", "TABLE")`; empty where missing."""
    first, at = _word(sql, 0)
    return first, _word(sql, at)[0] if first else ""


def _word(sql: str, at: int) -> tuple[str, int]:
    while gap := _GAP.match(sql, at):
        at = gap.end()
    match = _WORD.match(sql, at)
    return (match.group().upper(), match.end()) if match else ("", at)


@lru_cache(maxsize=512)
def only_reads(sql: str) -> bool:
    """Whether a statement certainly writes nothing.

    `WITH` may lead to either, so it counts as a write as soon as a writing word stands anywhere in it.
    """
    word, _ = first_words(sql)
    return word in _READING_WORDS or (word == "WITH" and _WRITING_WORD.search(sql) is None)


def prepare(sql: str, params: Sequence[object] | None, index: int | None = None) -> Prepared:
    """Check one statement and make its parameters plain.

    Args:
        sql: The statement's text.
        params: Its positional parameters: None, str, int, float; a bool becomes 0 or 1.
        index: Its place in the batch, for error messages.

    Raises:
        TypeError: For a parameter of any other type; it names the position.
        ValueError: For text that isn't valid Unicode, a number that isn't finite, or an integer beyond 2^53 - 1.
        PerSQLError: With kind `too_many_params`, for more than 100 parameters.
    """
    if "\0" in sql:
        raise ValueError(f"the SQL{_of(index)} holds a NUL character; pass values as parameters")
    if not sql.isascii():
        _check_unicode(sql, f"the SQL{_of(index)}")
    if params is None:
        return sql, []
    # Characters, bytes, keys, or the members of a set in any order, would be sent as parameters.
    if isinstance(params, (str, bytes, bytearray)) or not isinstance(params, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"the parameters{_of(index)} must be a list or tuple of values by position, not {type(params).__name__}"
        )
    if len(params) > MAX_PARAMS:
        raise PerSQLError(
            f"too_many_params: the statement{_of(index)} has {len(params)} parameters and PerSQL takes {MAX_PARAMS}; "
            "split it, or pass one JSON parameter and expand it with json_each",
            kind="too_many_params",
        )
    return sql, [
        value if type(value) is str and value.isascii() else _plain(value, position, index)
        for position, value in enumerate(params)
    ]


def prepare_batch(statements: Sequence[Mapping[str, Any]]) -> list[Prepared]:
    """Check the statements of a batch, all of them before any is sent.

    Raises:
        TypeError: As `prepare`.
        ValueError: As `prepare`.
        PerSQLError: With kind `too_many_statements` or `too_many_params`, beyond PerSQL's limits.
    """
    if len(statements) > MAX_STATEMENTS:
        raise PerSQLError(
            f"too_many_statements: the batch has {len(statements)} statements and PerSQL takes {MAX_STATEMENTS}; "
            "split it into several batches",
            kind="too_many_statements",
        )
    return [prepare(statement["sql"], statement.get("params"), index) for index, statement in enumerate(statements)]


def _plain(value: object, position: int, index: int | None) -> str | int | float | None:
    if type(value) is int and -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER:
        return value
    if value is None:
        return None
    if isinstance(value, str):
        if not value.isascii():
            _check_unicode(value, f"parameter {position}{_of(index)}")
        # An enum of strings prints as something else than its value.
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, int):
        number = int(value)
        if not -MAX_EXACT_INTEGER <= number <= MAX_EXACT_INTEGER:
            raise ValueError(
                f"parameter {position}{_of(index)} is an integer beyond 2^53 - 1, which PerSQL would round; pass it as "
                "text"
            )
        return number
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(
                f"parameter {position}{_of(index)} is not a finite number, and JSON has no other; pass None"
            )
        return float(value)
    raise TypeError(
        f"parameter {position}{_of(index)} has the type {type(value).__name__}; PerSQL stores str, int, float, bool "
        "and None (encode bytes as base64 text, anything else as JSON)"
    )


def _of(index: int | None) -> str:
    return "" if index is None else f" of statement {index}"


def _check_unicode(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{what} holds half a surrogate pair at character {error.start}, which is no valid Unicode; "
            'replace it (text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))'
        ) from None
