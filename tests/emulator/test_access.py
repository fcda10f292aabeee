"""The emulator's tokens, roles, rules, balance and provisioning."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from . import Emulator, Server
from .control import Rule


def ask(emulator: Emulator, token: str | None, sql: str = "SELECT 1", name: str | None = None) -> httpx.Response:
    """Send one statement with one token."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return httpx.post(f"{emulator.url}/v1/db/{name or emulator.name}/query", json={"sql": sql}, headers=headers)


def test_tokens_nobody_issued(emulator: Emulator) -> None:
    """A token of another shape, an unknown one and a revoked one are 401, each with its words."""
    revoked = emulator.token()
    emulator.revoke(revoked)
    assert [(answer.status_code, answer.json()["error"]) for answer in (ask(emulator, None), ask(emulator, "x"))] == [
        (401, "Invalid token format")
    ] * 2
    assert ask(emulator, "psql_live_unknown").json() == {"success": False, "error": "Invalid token"}
    assert ask(emulator, revoked).status_code == 401


def test_a_name_that_comes_again_begins_empty(emulator_server: Server) -> None:
    """Of a namespace that was closed nothing is left, not for one of the same name either."""
    for _ in range(2):
        namespace = emulator_server.namespace("again")
        database = namespace.client().database("again/one")
        database.query("CREATE TABLE t (a)")
        namespace.close()


def test_a_token_of_another_namespace(emulator: Emulator, emulator_server: Server) -> None:
    """A token opens its own namespace alone."""
    other = emulator_server.namespace()
    answer = ask(emulator, other.token())
    assert (answer.status_code, answer.json()["error"]) == (403, "Token namespace mismatch")
    other.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("admin", {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "WITH", "WITH INSERT"}),
        ("readwrite", {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}),
        ("readonly", {"SELECT", "WITH"}),
    ],
)
def test_roles_go_by_the_first_word(emulator: Emulator, role: Any, allowed: set[str]) -> None:
    """A `readwrite` token may not run DDL, even DDL that would do nothing."""
    ask(emulator, emulator.token(), "CREATE TABLE t (a)")
    token = emulator.token(role)
    statements = {
        "SELECT": "/* any */ select * from t",
        "WITH": "WITH x AS (SELECT 1) SELECT * FROM x",
        "WITH INSERT": "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "INSERT": "INSERT INTO t VALUES (1)",
        "UPDATE": "UPDATE t SET a = 2",
        "DELETE": "DELETE FROM t WHERE a = 9",
        "CREATE": "CREATE TABLE IF NOT EXISTS t (a)",
        "ALTER": "ALTER TABLE t ADD COLUMN b",
        "DROP": "DROP TABLE IF EXISTS u",
    }
    answers = {word: ask(emulator, token, sql).status_code for word, sql in statements.items()}
    assert answers == {word: 200 if word in allowed else 403 for word in statements}


def test_an_approval_rule_holds_a_statement_back(emulator: Emulator) -> None:
    """The body names the rule and the place to approve."""
    token = emulator.token()
    ask(emulator, token, "CREATE TABLE orders (a)")
    emulator.rules.append(Rule("ord*", note="ask first"))
    answer = ask(emulator, token, "DELETE FROM orders WHERE a = 1")
    body = answer.json()
    assert answer.status_code == 403
    assert body["approvalToken"].startswith("appr_") and body["approvalUrl"].endswith(body["approvalToken"])
    assert body["hits"] == [
        {"tableGlob": "ord*", "action": "require_approval", "matchedTable": "orders", "note": "ask first"}
    ]
    emulator.rules[:] = [Rule("orders", "deny")]
    assert "approvalUrl" not in ask(emulator, token, "SELECT * FROM orders").json()


def test_an_exhausted_balance(emulator: Emulator) -> None:
    """Everything is 402 then."""
    emulator.switches.exhausted = True
    assert ask(emulator, emulator.token()).status_code == 402


def test_provisioning(emulator: Emulator) -> None:
    """Databases can be created, listed, and made for an end user, who gets the same one each time."""
    headers = {"authorization": f"Bearer {emulator.token()}"}
    with httpx.Client(base_url=emulator.url, headers=headers) as http:
        created = http.post("/v1/databases", json={"name": "Orders", "slug": "orders"}).json()["data"]
        assert (created["slug"], created["name"], created["status"]) == ("orders", "Orders", "active")
        assert http.post("/v1/databases", json={"name": "Orders", "slug": "orders"}).status_code == 409
        assert [one["slug"] for one in http.get("/v1/databases?pageSize=100").json()["data"]] == ["orders"]
        assert http.get("/v1/templates").json() == {"success": True, "data": []}
        assert http.get("/v1/me").json()["data"]["namespaceSlug"] == emulator.namespace
        first, second = (http.post("/v1/users", json={"subject": "ada", "role": "write"}).json()["data"] for _ in "12")
        assert (first["created"], second["created"]) == (True, False)
        assert first["database"] == second["database"]
        name = f"{emulator.namespace}/{first['database']}"
        assert ask(emulator, first["token"], "CREATE TABLE t (a)", name).status_code == 403
        for wrong in ({"subject": ""}, {"role": "admin"}, {"expiresIn": 59}, {"expiresIn": True}, {"ttl": 60}):
            assert http.post("/v1/users", json={"subject": "ada", **wrong}).status_code == 400
        assert ask(emulator, first["token"], "SELECT 1", name).status_code == 200
        assert ask(emulator, first["token"], "SELECT 1").status_code == 403
        emulator.advance(3600)
        assert ask(emulator, first["token"], "SELECT 1", name).status_code == 401
        assert http.get("/v1/nothing").status_code == 404
    headers["authorization"] = f"Bearer {emulator.token('readwrite')}"
    refused = httpx.post(f"{emulator.url}/v1/databases", json={"name": "x", "slug": "x"}, headers=headers, verify=False)
    assert refused.status_code == 403
    headers["authorization"] = f"Bearer {emulator.token(tables='orders_*')}"
    refused = httpx.post(f"{emulator.url}/v1/users", json={"subject": "ada"}, headers=headers, verify=False)
    assert refused.status_code == 403
