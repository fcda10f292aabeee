"""The service's endpoints: what a request is answered that arrives whole and whose answer arrives whole."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .control import Cached, Emulator, Token
from .details import Refused, plain
from .engine import Engine, verb_of
from .faults import Fault

MAX_STATEMENTS = 100
MAX_KEY = 200

_READWRITE = {"SELECT", "INSERT", "UPDATE", "DELETE", "PRAGMA", "EXPLAIN", "VALUES"}
_READONLY = {"SELECT", "PRAGMA", "EXPLAIN", "VALUES"}
_WRITING = {"INSERT", "UPDATE", "DELETE", "REPLACE"}

Endpoint = Callable[[Request, Emulator, Token], Awaitable[Response]]


def service() -> Starlette:
    """The application. Each request's scope names its namespace (`emulator`) and the `fault` it meets."""
    return Starlette(
        routes=[
            Route("/v1/db/{namespace}/{slug}/query", _endpoint(_query), methods=["POST"]),
            Route("/v1/db/{namespace}/{slug}/batch", _endpoint(_batch), methods=["POST"]),
            Route("/v1/databases", _endpoint(_create), methods=["POST"]),
            Route("/v1/databases", _endpoint(_list), methods=["GET"]),
            Route("/v1/templates", _endpoint(_templates), methods=["GET"]),
            Route("/v1/me", _endpoint(_me), methods=["GET"]),
            Route("/v1/users", _endpoint(_user), methods=["POST"]),
            Route("/{path:path}", _endpoint(_unknown)),
        ]
    )


def _endpoint(inner: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """What all endpoints share: the token, the balance, and errors as JSON."""

    async def endpoint(request: Request) -> Response:
        emulator: Emulator | None = request.scope["emulator"]
        try:
            token = _authenticate(request, emulator)
            assert emulator is not None
            emulator.billing.requests += 1
            if emulator.switches.exhausted:
                raise plain(402, "Insufficient balance")
            return await inner(request, emulator, token)
        except Refused as refused:
            return _json(refused.body, refused.status, refused.headers)

    return endpoint


def _authenticate(request: Request, emulator: Emulator | None) -> Token:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token.startswith(("psql_live_", "psql_test_")):
        raise plain(401, "Invalid token format")
    tokens: dict[str, Emulator] = request.scope["tokens"]
    if token not in tokens:
        raise plain(401, "Invalid token")
    if emulator is None or tokens[token] is not emulator:
        raise plain(403, "Token namespace mismatch")
    rights = emulator.rights(token)
    if rights is None:
        raise plain(401, "Token expired")
    if rights.slug is not None and request.path_params.get("slug", rights.slug) != rights.slug:
        raise plain(403, "Token database mismatch")
    return rights


async def _query(request: Request, emulator: Emulator, token: Token) -> Response:
    payload = await _payload(request)
    statements = [_statement(payload)]
    return await _run(request, emulator, token, statements, transaction=False, single=True)


async def _batch(request: Request, emulator: Emulator, token: Token) -> Response:
    payload = await _payload(request)
    given: list[Any] = payload.get("statements") or []
    if not isinstance(given, list) or not given:  # pyright: ignore[reportUnnecessaryIsInstance] - JSON
        raise plain(400, "statements must be a non-empty array")
    if len(given) > MAX_STATEMENTS:
        raise plain(400, f"Too many statements: {len(given)} (maximum {MAX_STATEMENTS})")
    transaction = payload.get("transaction", False)
    if not isinstance(transaction, bool):
        raise plain(400, "transaction must be a boolean")
    statements = [_statement(each) for each in given]
    return await _run(request, emulator, token, statements, transaction=transaction, single=False)


async def _run(
    request: Request,
    emulator: Emulator,
    token: Token,
    statements: list[tuple[str, list[Any]]],
    *,
    transaction: bool,
    single: bool,
) -> Response:
    for sql, _ in statements:
        _check_role(sql, token.role)
    _check_rules(emulator, statements)
    slug = request.path_params["slug"]
    engine = emulator.engine(slug, create=emulator.switches.auto_create)
    if engine is None:
        raise plain(404, "Database not found")
    key, path = request.headers.get("idempotency-key"), request.url.path
    if key is not None:
        if not key or len(key) > MAX_KEY:
            raise plain(400, f"Idempotency-Key must be 1 to {MAX_KEY} characters")
        cached = emulator.replay(path, key)
        if cached is not None:
            request.scope["record"].replayed = True
            return Response(cached.body, cached.status, {"Idempotency-Replayed": "true"}, "application/json")
    fault: Fault | None = request.scope["fault"]
    # The answer is stored when it is ready, so a second request that comes before runs as well.
    await asyncio.sleep(fault.seconds if fault is not None else 0)
    response = _answer(emulator, engine, statements, transaction=transaction, single=single)
    if key is not None and (fault is None or fault.cached):
        emulator.replays[path, key] = Cached(emulator.now(), response.status_code, bytes(response.body))
    return response


def _answer(
    emulator: Emulator, engine: Engine, statements: list[tuple[str, list[Any]]], *, transaction: bool, single: bool
) -> Response:
    try:
        results = engine.run(statements, transaction=transaction)
    except Refused as refused:
        if not emulator.switches.detail:
            refused.body.pop("errorDetail", None)
        refused.status = emulator.switches.sql_status
        raise
    read = sum(result["rowsRead"] for result in results)
    written = sum(result["rowsWritten"] for result in results)
    emulator.billing.rows_read += read
    emulator.billing.rows_written += written
    if emulator.switches.meta == "inside":
        for result in results:
            result["meta"] = _meta(result["rowsRead"], result["rowsWritten"], 1)
    body: dict[str, Any] = {"success": True, "data": results[0] if single else results}
    if emulator.switches.meta == "beside":
        body["meta"] = _meta(read, written, len(results))
    return _json(body)


def _meta(read: int, written: int, statements: int) -> dict[str, Any]:
    cost = read * 0.005e-6 + written * 2e-6 + 0.5e-6
    return {
        "rowsRead": read,
        "rowsWritten": written,
        "durationMs": 1,
        "statementCount": statements,
        "costUsd": round(cost, 12),
    }


def _check_role(sql: str, role: str) -> None:
    """Refuse by the first word, as the documentation says the service does.

    What it makes of `WITH` it doesn't say: here one that reads passes, and one that writes is refused to all but admin.
    """
    verb = verb_of(sql)
    if verb == "WITH":
        verb = "SELECT" if not _WRITING & {word.upper() for word in sql.replace("(", " ").split()} else "WITH"
    allowed = {"readwrite": _READWRITE, "readonly": _READONLY}.get(role)
    if allowed is not None and verb not in allowed:
        raise plain(403, f"Role {role} may not run {verb} statements")


def _check_rules(emulator: Emulator, statements: list[tuple[str, list[Any]]]) -> None:
    hits = emulator.hits(statements)
    if any(hit["action"] == "deny" for hit in hits):
        raise plain(403, "Denied by an approval rule")
    if hits:
        token = f"appr_{secrets.token_hex(8)}"
        raise plain(
            403,
            "Approval required",
            approvalToken=token,
            approvalUrl=f"https://console.persql.com/approvals/{token}",
            hits=hits,
            expiresAt="2030-01-01T00:00:00.000Z",
        )


async def _create(request: Request, emulator: Emulator, token: Token) -> Response:
    payload = await _payload(request)
    _check_admin(token)
    name, slug = payload.get("name"), payload.get("slug")
    if not isinstance(name, str) or not isinstance(slug, str) or not slug.replace("-", "").isalnum():
        raise plain(400, "name and slug are required")
    if slug in emulator.databases:
        raise plain(409, "A database with this slug exists")
    return _json({"success": True, "data": emulator.create(slug, name)}, 201)


async def _list(request: Request, emulator: Emulator, token: Token) -> Response:
    size = int(request.query_params.get("pageSize", "20"))
    return _json({"success": True, "data": list(emulator.databases.values())[:size]})


async def _templates(request: Request, emulator: Emulator, token: Token) -> Response:
    return _json({"success": True, "data": []})


async def _me(request: Request, emulator: Emulator, token: Token) -> Response:
    data = {"namespaceSlug": emulator.namespace, "namespaceId": f"ns_{emulator.namespace}", "role": token.role}
    return _json({"success": True, "data": data})


async def _user(request: Request, emulator: Emulator, token: Token) -> Response:
    """A database for an end user: the same one for the same subject."""
    payload = await _payload(request)
    _check_admin(token)
    subject, expires = payload.get("subject"), payload.get("expiresIn", 3600)
    wanted = payload.get("role", "write")
    if payload.keys() - {"subject", "template", "role", "expiresIn"}:
        raise plain(400, "Unknown field")
    if not isinstance(subject, str) or not 1 <= len(subject) <= 256:
        raise plain(400, "subject must be 1 to 256 characters")
    if type(expires) is not int or not 60 <= expires <= 86400 or wanted not in ("write", "read"):
        raise plain(400, "expiresIn must be 60 to 86400 seconds, role write or read")
    created = subject not in emulator.users
    slug = emulator.users.setdefault(subject, f"user-{len(emulator.users) + 1}")
    if slug not in emulator.databases:
        emulator.create(slug, subject)
    given = emulator.token("readwrite" if wanted == "write" else "readonly", slug=slug, seconds=expires)
    data: dict[str, Any] = {"database": slug, "token": given, "created": created, "namespaceSlug": emulator.namespace}
    if emulator.switches.user == "name":
        data["database"] = f"{emulator.namespace}/{slug}"
        del data["namespaceSlug"]
    elif emulator.switches.user == "object":
        data["database"] = emulator.databases[slug]
        data["token"] = {"token": given, "expiresIn": expires}
    return _json({"success": True, "data": data})


async def _unknown(request: Request, emulator: Emulator, token: Token) -> Response:
    raise plain(404, "Not found")


def _check_admin(token: Token) -> None:
    if token.role != "admin":
        raise plain(403, "An admin token is required")
    if token.tables is not None:
        raise plain(403, "An unscoped admin token is required")


async def _payload(request: Request) -> dict[str, Any]:
    try:
        payload: dict[str, Any] = json.loads(await request.body(), parse_constant=_no_constant)
    except ValueError:
        raise plain(400, "Invalid JSON body") from None
    if not isinstance(payload, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - JSON
        raise plain(400, "The body must be a JSON object")
    return payload


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _statement(given: dict[str, Any]) -> tuple[str, list[Any]]:
    if not isinstance(given, dict) or not isinstance(given.get("sql"), str):  # pyright: ignore[reportUnnecessaryIsInstance] - JSON
        raise plain(400, "sql is required")
    params: list[Any] = given.get("params", [])
    if not isinstance(params, list):  # pyright: ignore[reportUnnecessaryIsInstance] - JSON
        raise plain(400, "params must be an array")
    return given["sql"], params


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(errors="replace"), status, headers, "application/json")
