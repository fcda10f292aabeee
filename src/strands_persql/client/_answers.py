"""What the service's answers mean: results, errors, and whether the same request may be sent again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from ..errors import (
    ApprovalRequiredError,
    AuthenticationError,
    BalanceExhaustedError,
    PermissionDeniedError,
    PerSQLError,
    RateLimitError,
    TransportError,
    brief,
)
from ._failures import LONGEST_TEXT, classify, is_sql_kind, quote_free, remedy, subject
from ._protocol import QueryResult
from ._retry import retry_after_seconds

_REQUEST_ID_HEADERS = ("x-request-id", "cf-ray")
_MISSING_DATABASE = re.compile(
    r"\b(?:database|namespace)\b.*\b(?:not found|not exist|unknown|missing)\b", re.I | re.DOTALL
)
# Answers of a gateway, or of a service that is starting, overloaded or being moved. PerSQL documents none of them; 520
# to 530 are Cloudflare's, in front of it.
_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504, *range(520, 528), 530})


class Received(NamedTuple):
    """What was received over HTTP, whole. Headers are asked for in lower case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Failure(NamedTuple):
    """A request that failed: what to raise, and whether sending it again may help."""

    error: PerSQLError
    again: bool
    retry_after: float | None = None


class Answer(NamedTuple):
    """A request that succeeded: the answer's `data`, and the cost envelope where it stands beside it."""

    data: Any
    meta: dict[str, Any] | None


def read_answer(response: Received, *, database: str, hide: Callable[[str], str]) -> Answer | Failure:
    """Read a whole answer; `hide` takes the token out of an error's text."""
    status = response.status_code
    body = as_object(_json(response, hide))
    if 200 <= status < 300 and body is not None and body.get("success") is True and "data" in body:
        return Answer(body["data"], as_object(body.get("meta")))
    found = next((response.headers[name] for name in _REQUEST_ID_HEADERS if name in response.headers), None)
    request_id = None if found is None else brief(found, 80)
    if 300 <= status < 400:
        host = _host_of(response.headers.get("location", ""))
        return Failure(
            PerSQLError(
                f"{status} redirect to {host}: redirects are not followed, since the token must not travel to another "
                f"address; set base_url to the service's own{_id_note(request_id)}",
                status=status,
                request_id=request_id,
            ),
            again=False,
        )
    if 200 <= status < 300 and (body is None or body.get("success") is not False):
        return unreadable(status, request_id)
    return _failure(response, body or {}, database, request_id)


def unreadable(status: int, request_id: str | None = None) -> Failure:
    """An answer that says "success" but can't be read: the request may have been carried out."""
    return Failure(
        TransportError(
            f"{status}: the service's answer could not be read, so a write may or may not have been carried out; "
            f"try again, and check base_url and any proxy in between{_id_note(request_id)}",
            status=status,
            request_id=request_id,
        ),
        again=True,
    )


def read_result(data: Any, meta: dict[str, Any] | None = None) -> QueryResult | None:
    """Turn a statement's positional answer into dict rows; None where it hasn't the documented shape."""
    found = as_object(data)
    if found is None:
        return None
    columns, rows = as_list(found.get("columns")), as_list(found.get("rows"))
    if columns is None or rows is None:
        return None
    width = len(columns)
    if not all(type(column) is str for column in columns):
        return None
    if any(type(row) is not list or len(row) != width for row in rows):
        return None
    result: QueryResult = {
        "data": list(map(dict, map(zip, repeat(columns), rows))),  # in C: a restore has thousands of rows
        "columns": columns,
        "rows": rows,
    }
    if type(rows_read := found.get("rowsRead")) is int:
        result["rows_read"] = rows_read
    if type(rows_written := found.get("rowsWritten")) is int:
        result["rows_written"] = rows_written
    # Documented to exist, but not where: inside the result, or beside it.
    meta = as_object(found.get("meta")) or meta
    if meta is not None:
        result["meta"] = meta
    return result


def read_results(answer: Answer, count: int) -> list[QueryResult] | None:
    """Turn a batch's answer into one result per statement; None where it hasn't the documented shape."""
    data = as_list(answer.data)
    if data is None or len(data) != count:
        return None
    results = [read_result(one, answer.meta) for one in data]
    whole = [result for result in results if result is not None]
    return whole if len(whole) == count else None


def as_object(value: Any) -> dict[str, Any] | None:
    """The value, if it is a JSON object."""
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] - JSON


def as_list(value: Any) -> list[Any] | None:
    """The value, if it is a JSON array."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType] - JSON


def _failure(response: Received, body: Mapping[str, Any], database: str, request_id: str | None) -> Failure:
    status = response.status_code
    text = body.get("error")
    text = text[:LONGEST_TEXT] if isinstance(text, str) else ""
    detail = _cut(as_object(body.get("errorDetail")))
    if detail is None and text:
        detail = classify(text)  # only SQLite's own wording is recognised
    kind = detail.get("kind") if detail else None
    kind = kind if isinstance(kind, str) and re.fullmatch(r"[a-z_]{1,40}", kind) else None
    known: dict[str, Any] = {"status": status, "kind": kind, "detail": detail, "request_id": request_id}
    wait = retry_after_seconds(response.headers.get("retry-after"))
    error: type[PerSQLError]
    if status == 403 and ("approvalToken" in body or "approvalUrl" in body):
        url = body.get("approvalUrl")
        known["approval_url"] = url if isinstance(url, str) else None
        known["detail"] = _cut({key: value for key, value in body.items() if key != "success"})
        place = "at the error's approval_url" if known["approval_url"] else "in PerSQL's console"
        error, words = ApprovalRequiredError, _APPROVAL + place
    elif status == 429:
        known["retry_after"] = wait
        again = "" if wait is None else f" in {wait:g} s"
        error, words = RateLimitError, f"{_reason(text)}: too many requests; try again{again}, and send fewer at once"
    else:
        error, words = _verdict(status, text, kind, detail or {}, database)
    label = f"{status} {kind}" if kind and kind != "unknown" else f"{status}"
    may_pass = (
        error is RateLimitError or kind == "database_locked" or (error is TransportError and status in _TRANSIENT)
    )
    return Failure(error(f"{label}{words}{_id_note(request_id)}", **known), may_pass, wait if may_pass else None)


_APPROVAL = ": a rule of the database holds this statement back until a person approves it; approve it "


def _verdict(
    status: int, text: str, kind: str | None, detail: dict[str, Any], database: str
) -> tuple[type[PerSQLError], str]:
    """The error for an answer that is neither a held-back statement nor a rate limit, and what to do about it."""
    if status == 401:
        words = ": the token is missing, malformed or revoked; create one in PerSQL's console and pass it as "
        return AuthenticationError, f"{_reason(text)}{words}PERSQL_TOKEN or token="
    if status == 402:
        words = ": the namespace's balance is used up; top it up in PerSQL's console"
        return BalanceExhaustedError, f"{_reason(text)}{words}"
    if status == 404 or _MISSING_DATABASE.search(text):
        reason = _reason(text) if status in (403, 404) else ""
        return PermissionDeniedError if status == 403 else PerSQLError, (
            f'{reason}: the database "{database}" was not found; create it (client.databases.create, or the console), '
            "and check its spelling, the token's namespace and base_url"
        )
    if status == 403:
        return PermissionDeniedError, (
            f"{_reason(text)}: the token's namespace, role or table scope does not allow this on {database}; use a "
            "token of that namespace whose role is readwrite, or admin to create tables"
        )
    if is_sql_kind(kind):
        return PerSQLError, f"{subject(detail)}: {remedy(detail)}"
    if kind == "database_locked":  # whatever its status: nothing was carried out
        return PerSQLError, f"{subject(detail)}: {remedy(detail)}"
    if status >= 500 or status in _TRANSIENT:
        return TransportError, (
            ": the service failed, so a write may or may not have been carried out; try again, and see PerSQL's "
            "status page if it lasts"
        )
    if status == 413:
        return PerSQLError, ": the request is too large for the service; write less at once"
    if detail and kind:
        return PerSQLError, f"{subject(detail)}: {remedy(detail)}"
    return PerSQLError, ": the service refused the request; look at the error's `detail`, if it has one"


def _cut(detail: dict[str, Any] | None) -> dict[str, Any] | None:
    """An `errorDetail` whose texts are not longer than anybody reads."""
    if detail is None:
        return None
    return {key: value[:LONGEST_TEXT] if isinstance(value, str) else value for key, value in detail.items()}


def _host_of(location: str) -> str:
    try:
        return brief(urlsplit(location).hostname or "", 80) or "another address"
    except ValueError:
        return "another address"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_refuse)
"""JSON, which has no NaN."""


def _reason(text: str) -> str:
    """The service's own words, for answers that were given before any SQL ran."""
    return f" ({quote_free(text)})" if text else ""


def _json(response: Received, hide: Callable[[str], str]) -> Any:
    """The answer's JSON; None where it is something else (a gateway's HTML, a body cut short)."""
    try:
        text = response.content.decode()
        parsed = _DECODER.decode(text)
        # Rows are the caller's own data. Of an error the text is kept, so the token is taken out of it.
        return parsed if (as_object(parsed) or {}).get("success") is True else _DECODER.decode(hide(text))
    except (ValueError, RecursionError):
        return None


def _id_note(request_id: str | None) -> str:
    return f" [request {request_id}]" if request_id else ""
