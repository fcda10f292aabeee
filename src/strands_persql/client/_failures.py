r"""The messages of errors, which are safe to log.

An error's message is written here, from a fixed vocabulary: status, kind, the names of the table, columns or constraint
concerned, what to do, and the request's id. The service's own text may quote the values that were sent. Of the answers
to a statement (400, 5xx) it is therefore never shown: only its kind and those names are taken, and a name only where it
looks like an identifier. Where the request was turned away before any SQL ran (401 to 404, 429) the text tells which of
several reasons applies, so it is shown, cut to 160 characters and without what stands in quotation marks. The whole
text stays at hand in `PerSQLError.detail`, for those who ask for it.
"""

from __future__ import annotations

import logging
import re
from typing import Any, cast

from ..errors import PerSQLError, brief

LONGEST_TEXT = 2_000
"""Characters of an error's text that are looked at and kept: patterns take long over long ones, and nobody reads on."""

_DOTTED = re.compile(r"[A-Za-z_][\w$]{0,63}(?:\.[A-Za-z_][\w$]{0,63})*", re.ASCII)

REMEDIES = {
    "unique_violation": "a row with this key exists already; write it with ON CONFLICT … DO UPDATE or DO NOTHING",
    "not_null_violation": "a value is needed where NULL was written",
    "fk_violation": "the row it refers to doesn't exist, or rows still refer to it",
    "check_violation": "the row breaks a CHECK constraint",
    "unknown_table": "create the table first, and check its spelling and the database's name",
    "unknown_column": "check the column's spelling, and that the table has the layout expected",
    "syntax_error": "correct the statement; the engine is SQLite",
    "type_mismatch": "the value's type does not fit the column",
    "database_locked": "another process holds the database; try again, and keep transactions short",
    "too_many_params": "pass at most 100 parameters a statement, or one JSON parameter expanded by json_each",
    "readonly": "the database may not be written to; use a token or a file with write access",
    "unknown": "look at the error's `detail` for the engine's own words",
}
KINDS = frozenset(REMEDIES)
"""The words of `errorDetail.kind` (docs.persql.com, agents/errors)."""

# Remedies for messages of no kind of their own, by a part of the message in lower case.
_PHRASES = [
    ("malformed json", "a value that a JSON function was given isn't JSON; test it with json_valid first"),
    ("too big", "a value or row is larger than 2 MB; split it into several rows"),
    ("one statement at a time", "one call takes one statement; send several as a batch"),
    ("bindings", "the statement has another number of placeholders than parameters were given"),
    ("not authorized", "the service does not run such statements (transactions, PRAGMA, temporary tables, ATTACH)"),
    ("statement too long", "the statement's text is longer than 100 KB; pass values as parameters, or split it"),
    ("too many statements", "send at most 100 statements in a batch"),
]

# The engine's own messages; the group, where there is one, names what it is about.
_PATTERNS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\bUNIQUE constraint failed: (?P<columns>[^:]+)", re.I), "unique_violation"),
    (re.compile(r"\bPRIMARY KEY must be unique", re.I), "unique_violation"),
    (re.compile(r"\bNOT NULL constraint failed: (?P<columns>[^:]+)", re.I), "not_null_violation"),
    (re.compile(r"\bFOREIGN KEY constraint failed", re.I), "fk_violation"),
    (re.compile(r"\bCHECK constraint failed(?:: (?P<constraint>[^:]+))?", re.I), "check_violation"),
    (re.compile(r"\bno such table: (?P<table>[^\s:]+)", re.I), "unknown_table"),
    (re.compile(r"\bno such column: (?P<column>[^\s:]+)", re.I), "unknown_column"),
    (re.compile(r"\btable (?P<table>\S+) has no column named (?P<column>[^\s:]+)", re.I), "unknown_column"),
    (re.compile(r"syntax error|incomplete input|unrecognized token", re.I), "syntax_error"),
    (re.compile(r"\bdatatype mismatch", re.I), "type_mismatch"),
    (re.compile(r"\b(?:database|table|schema)(?: \S+)? is locked", re.I), "database_locked"),
    (re.compile(r"\btoo many SQL variables", re.I), "too_many_params"),
    (re.compile(r"\bread-?only database", re.I), "readonly"),
]


def classify(text: str) -> dict[str, Any]:
    """Read SQLite's message into the shape of an `errorDetail`: `kind`, `message`, and the names it concerns."""
    text = text[:LONGEST_TEXT]
    detail: dict[str, Any] = {"kind": "unknown", "message": text}
    for pattern, kind in _PATTERNS:
        match = pattern.search(text)
        if match is None:
            continue
        detail["kind"] = kind
        found = {name: value.strip() for name, value in match.groupdict().items() if value}
        # A unique violation names its columns "t.a, t.b"; an index on an expression names the index.
        columns = [part.strip().rpartition(".") for part in found.pop("columns", "").split(",") if "." in part]
        if columns:
            detail["table"], detail["column"] = columns[0][0], columns[0][2]
        if len(columns) > 1:
            detail["columns"] = [{"table": table, "column": column} for table, _, column in columns]
        return detail | found
    return detail


def is_sql_kind(kind: object) -> bool:
    """Whether a kind says that the statement itself was refused, so sending it again would change nothing."""
    return isinstance(kind, str) and kind in KINDS and kind not in ("unknown", "database_locked")


def is_blameless(error: BaseException) -> bool:
    """Whether a request was turned away, or never arrived, for no fault of its own: nothing was carried out."""
    if not isinstance(error, PerSQLError):
        return False
    return error.status == 429 or error.kind == "database_locked" or not getattr(error, "sent", True)


def subject(detail: dict[str, Any]) -> str:
    """The names an error concerns, as ` on users.email`; empty where there are none that are certainly names."""
    columns = detail.get("columns")
    listed = cast("list[object]", columns) if isinstance(columns, list) else []
    if names := ", ".join(filter(None, map(_column, listed[:10]))):
        return f" on {names}"
    place, constraint = _column(detail), _name(detail.get("constraint"))
    if place and constraint:
        return f" on {place} ({constraint})"
    return f" on {place or constraint}" if place or constraint else ""


def remedy(detail: dict[str, Any]) -> str:
    """What to do about a SQL error."""
    kind, text = detail.get("kind"), detail.get("message")
    if kind in REMEDIES and kind != "unknown":
        return REMEDIES[cast("str", kind)]
    return next((words for phrase, words in _PHRASES if phrase in str(text).lower()), REMEDIES["unknown"])


def quote_free(text: str, longest: int = 160) -> str:
    """A text on one line, without what stands in quotation marks, and cut."""
    line = " ".join(text[:LONGEST_TEXT].split())
    line = re.sub(r"\"[^\"]*(?:\"|$)|'[^']*(?:'|$)|`[^`]*(?:`|$)", "…", line)
    return brief(line if len(line) <= longest else f"{line[: longest - 1]}…", longest)


class _OneLine(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(arg if isinstance(arg, (int, float)) else brief(arg) for arg in record.args)
        return True


def logger_of(module: str) -> logging.Logger:
    """A module's logger, in whose lines whatever is named is `brief`: an id with a line break would forge a line."""
    logger = logging.getLogger(module)
    logger.addFilter(_OneLine())
    return logger


def closed_error() -> PerSQLError:
    """What a call on a closed client raises."""
    return PerSQLError("the client is closed; build another PerSQL, or close it later", kind="closed")


def _column(named: object) -> str:
    """A column with its table, as far as an error names them: `users.email`."""
    if not isinstance(named, dict):
        return ""
    found = cast("dict[str, object]", named)
    return ".".join(filter(None, (_name(found.get("table")), _name(found.get("column")))))


def _name(value: object) -> str:
    return value if isinstance(value, str) and _DOTTED.fullmatch(value) else ""
