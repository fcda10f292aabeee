"""Handles of the service: what they send, and what they make of its answers."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import shutil
import socket
import ssl
import subprocess
import threading
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPConnectionPool

from strands_persql.client import PerSQL, _environment, _pool
from strands_persql.client._pool import MAX_CONNECTIONS
from strands_persql.errors import (
    ApprovalRequiredError,
    AuthenticationError,
    BalanceExhaustedError,
    PermissionDeniedError,
    PerSQLError,
    RateLimitError,
    TransportError,
)

from ..emulator import (
    Emulator,
    Fault,
    Server,
    faults,
)
from ..emulator.control import Rule
from ..systems import needs_fork

SECRET = "correct horse battery staple"
RESULT = '{"columns":["a"],"rows":[[1]]}'


def answer(body: bytes, status: int = 200, **headers: str) -> Fault:
    """An answer of the service's that nobody documented."""
    return Fault("answer", "answer", runs=False, status=status, headers=tuple(headers.items()), body=body)


def test_what_a_query_sends(emulator: Emulator) -> None:
    """One POST with the SQL, its parameters if there are any, and no more headers than needed."""
    db = emulator.database()
    db.query("SELECT ? AS a", [True])
    db.query("SELECT 1")
    first, second = emulator.log
    assert (first.method, first.path) == ("POST", f"/v1/db/{emulator.name}/query")
    assert first.statements == [("SELECT ? AS a", [1])]
    assert set(first.headers) == {
        "host",
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "user-agent",
    }
    assert first.headers["content-type"] == "application/json"
    assert first.headers["user-agent"].startswith("strands-persql/")
    assert second.body == len('{"sql":"SELECT 1"}')


def test_what_a_batch_sends(emulator: Emulator) -> None:
    """One POST, whatever it holds."""
    db = emulator.database()
    statements = [{"sql": "CREATE TABLE t (a)"}, {"sql": "INSERT INTO t VALUES (?)", "params": ("é",)}]
    db.batch(statements, transaction=True)
    db.batch(statements[1:])
    first, second = emulator.log
    assert first.path == f"/v1/db/{emulator.name}/batch"
    assert first.statements == [("CREATE TABLE t (a)", []), ("INSERT INTO t VALUES (?)", ["é"])]
    assert (first.transaction, second.transaction) == (True, False)


def test_what_is_refused_beforehand_costs_no_request(emulator: Emulator) -> None:
    """The caller's mistakes, and an empty batch."""
    db = emulator.database()
    for params in ([b"x"], ["\ud800"], [1] * 101, [float("nan")]):
        with pytest.raises((TypeError, ValueError, PerSQLError)):
            db.batch([{"sql": "INSERT INTO t VALUES (1)"}, {"sql": "SELECT ?", "params": params}])
    with pytest.raises(PerSQLError):
        db.batch([{"sql": "SELECT 1"}] * 101)
    assert db.batch([]) == []
    assert emulator.requests == 0


@pytest.mark.parametrize("meta", ["absent", "inside", "beside"])
@pytest.mark.parametrize("call", ["query", "batch"])
def test_the_cost_envelope_wherever_it_stands(emulator: Emulator, meta: Any, call: str) -> None:
    """Its place isn't documented; it is found in each, and may be missing."""
    emulator.switches.meta = meta
    db = emulator.database()
    result = db.query("SELECT 1 AS one") if call == "query" else db.batch([{"sql": "SELECT 1 AS one"}])[0]
    assert result["data"] == [{"one": 1}]
    assert (result["rows_read"], result["rows_written"]) == (0, 0)
    assert result.get("meta", {}).get("statementCount") == (None if meta == "absent" else 1)


@pytest.mark.parametrize("detail", [True, False])
@pytest.mark.parametrize("status", [400, 409, 422, 500])
def test_sql_errors_under_any_status(emulator: Emulator, detail: bool, status: int) -> None:
    """Neither their status nor that they carry an `errorDetail` is certain; they are no reason to try again."""
    emulator.switches.detail, emulator.switches.sql_status = detail, status
    db = emulator.database()
    db.query("CREATE TABLE users (email UNIQUE)")
    db.query("INSERT INTO users VALUES (?)", [SECRET])
    emulator.reset()
    with pytest.raises(PerSQLError) as caught:
        db.query("INSERT INTO users VALUES (?)", [SECRET])
    assert (type(caught.value), caught.value.kind, caught.value.status) == (PerSQLError, "unique_violation", status)
    assert str(caught.value).startswith(f"{status} unique_violation on users.email: ")
    assert emulator.requests == 1


def test_every_error_names_the_request(emulator: Emulator) -> None:
    """The id is in the message and in an attribute, for support."""
    emulator.faults.next(
        answer(b'{"success":false,"error":"?"}', 400, **{"cf-ray": "ray-1"}),
        answer(b'{"success":false,"error":"?"}', 400, **{"cf-ray": "ray-1", "x-request-id": "req-1"}),
    )
    db = emulator.database()
    for expected in ("ray-1", "req-1"):
        with pytest.raises(PerSQLError, match=rf"\[request {expected}\]") as caught:
            db.query("SELECT 1")
        assert caught.value.request_id == expected


@pytest.mark.parametrize(
    ("prepare", "error", "status", "remedy"),
    [
        ("revoke", AuthenticationError, 401, r"Invalid token.*create one"),
        ("exhaust", BalanceExhaustedError, 402, r"top it up"),
        ("readonly", PermissionDeniedError, 403, r"Role readonly may not run INSERT.*readwrite"),
        ("elsewhere", PermissionDeniedError, 403, r"Token namespace mismatch.*namespace"),
        ("deny", PermissionDeniedError, 403, r"Denied by an approval rule"),
        ("missing", PerSQLError, 404, r"was not found; create it"),
    ],
)
def test_access_errors(
    emulator: Emulator, emulator_server: Server, prepare: str, error: type[PerSQLError], status: int, remedy: str
) -> None:
    """Each has its class, its status and its remedy, and is not tried again."""
    emulator.database().query("CREATE TABLE t (a)")
    token = emulator.token("readonly" if prepare == "readonly" else "admin")
    name = emulator.name
    if prepare == "revoke":
        emulator.revoke(token)
    elif prepare == "exhaust":
        emulator.switches.exhausted = True
    elif prepare == "elsewhere":
        name = emulator_server.namespace().name
    elif prepare == "deny":
        emulator.rules.append(Rule("t", "deny"))
    elif prepare == "missing":
        emulator.switches.auto_create = False
        name += "-missing"
    emulator.reset()
    with pytest.raises(error, match=remedy) as caught:
        emulator.client(token=token).database(name).query("INSERT INTO t VALUES (?)", [SECRET])
    assert (type(caught.value), caught.value.status) == (error, status)
    assert token not in str(caught.value) and SECRET not in str(caught.value)
    assert emulator.requests == (0 if prepare == "elsewhere" else 1)


@pytest.mark.parametrize(
    ("status", "text"),
    [(400, "Database 'agents' does not exist"), (403, "database not found"), (200, "Unknown database: not found")],
)
def test_a_missing_database_in_other_words(emulator: Emulator, status: int, text: str) -> None:
    """How the service says it is not documented; the remedy is the same."""
    emulator.faults.next(answer(f'{{"success":false,"error":"{text}"}}'.encode(), status))
    with pytest.raises(PerSQLError, match=f'the database "{emulator.name}" was not found; create it'):
        emulator.database().query("SELECT 1")


def test_approval_is_its_own_error(emulator: Emulator) -> None:
    """It says where to approve."""
    db = emulator.database()
    db.query("CREATE TABLE orders (a)")
    emulator.rules.append(Rule("orders"))
    with pytest.raises(ApprovalRequiredError, match="approval_url") as caught:
        db.query("DELETE FROM orders WHERE a = ?", [SECRET])
    assert caught.value.approval_url is not None
    assert caught.value.approval_url.startswith("https://console.persql.com/approvals/appr_")
    assert caught.value.status == 403 and caught.value.detail is not None and "hits" in caught.value.detail


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(emulator: Emulator, emulator_server: Server, status: int) -> None:
    """The token must not travel to wherever an answer points; the error says so."""
    other = emulator_server.namespace()
    emulator.faults.next(faults.redirect(f"{emulator.url}/v1/db/{other.name}/query?x={SECRET}", status))
    with pytest.raises(PerSQLError, match=f"{status} redirect to 127.0.0.1: redirects are not followed") as caught:
        emulator.database().query("SELECT 1")
    assert caught.value.status == status and SECRET not in str(caught.value)
    assert (emulator.requests, other.requests) == (1, 0)


@pytest.mark.parametrize("location", ["http://[", "//", "", "https://a\nb/", f"https://{SECRET * 99}/"])
def test_redirects_to_nowhere(emulator: Emulator, location: str) -> None:
    """An address that can't be read is no error of another kind."""
    emulator.faults.next(faults.redirect(location.replace("\n", ""), 307))
    with pytest.raises(PerSQLError, match="307 redirect to") as caught:
        emulator.database().query("SELECT 1")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "data",
    [
        "null", "1", '"x"', "true", "{}", "[]", "[[]]", "[null]", '{"columns":["a"]}', '{"rows":[]}',
        '{"columns":{"a":1},"rows":[]}', '{"columns":["a"],"rows":{}}', '{"columns":["a"],"rows":[1]}',
        '{"columns":["a"],"rows":[[1,2]]}', '{"columns":["a"],"rows":[{"a":1}]}', '{"columns":[null],"rows":[[1]]}',
        '{"columns":[{"name":"a"}],"rows":[[1]]}', '{"columns":[["a"]],"rows":[[1]]}',
        '{"columns":["a"],"rows":[[NaN]]}', '{"columns":["a"],"rows":[[-Infinity]]}',
        '{"columns":["a"],"rows":[[%s]]}' % ("9" * 5000),
        '{"columns":["a"],"rows":[[%s]]}' % ("[" * 10**5 + "]" * 10**5),
    ],
    ids=lambda data: data[:40],
)  # fmt: skip
@pytest.mark.parametrize("call", ["query", "batch", "batch of 2"])
@pytest.mark.usefixtures("no_collection")
def test_answers_of_another_shape(emulator: Emulator, data: str, call: str) -> None:
    """Whatever stands where the rows should: the answer can't be read, and the outcome is unknown."""
    data = f"[{data}]" if call == "batch" else f"[{data},{RESULT}]" if call == "batch of 2" else data
    emulator.faults.next(answer(f'{{"success":true,"data":{data}}}'.encode()))
    db = emulator.database(max_retries=0)
    with pytest.raises(TransportError, match="could not be read"):
        db.query("SELECT 1") if call == "query" else db.batch([{"sql": "SELECT 1"}] * (2 if call[-1] == "2" else 1))


def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says nothing of proxies and certificates."""
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080", "SOCKS"),
        ("ALL_PROXY", f"ftp://ada:{SECRET}@127.0.0.1:1080", "ALL_PROXY"),
        ("HTTPS_PROXY", f"http://ada:{SECRET[:7]}#{SECRET[8:]}@127.0.0.1:9", "HTTPS_PROXY"),
        ("HTTPS_PROXY", f"http://ada:1/{SECRET[:7]}@127.0.0.1:9", "HTTPS_PROXY"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem", "SSL_CERT_FILE"),
    ],
)
def test_settings_of_the_environment_that_can_not_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    """An error that names the variable and the remedy, each time anew, and nothing of the value."""
    without_settings(monkeypatch)
    monkeypatch.setenv(variable, value)
    with PerSQL("psql_test_x", base_url="https://persql.invalid", max_retries=0) as client:
        for _ in range(2):
            with pytest.raises(PerSQLError, match=named) as caught:
                client.database("acme/a").query("SELECT 1")
            shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
            assert caught.value.kind == "environment"
            assert "correct" not in shown and "battery" not in shown


def test_a_proxy_that_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent to the service; a password that is missing stays missing."""
    without_settings(monkeypatch)
    asked: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            asked.append(1)
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{SECRET.replace(' ', '')}@127.0.0.1:{listener.getsockname()[1]}")
        with (
            PerSQL("psql_test_x", base_url="https://persql.invalid") as client,
            pytest.raises(TransportError, match=r"refused by the proxy.*407.*nothing was sent") as caught,
        ):
            client.database("acme/a").query("SELECT 1")
        thread.join()
    assert caught.value.sent is False and asked == [1] and "correct" not in str(caught.value)


@pytest.mark.parametrize("excepted", ["", "persql.invalid", "localhost,.invalid", "fe80::/10,[::1],.invalid"])
def test_hosts_that_no_proxy_stands_before(monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    """`NO_PROXY` names hosts and their domains; what else stands in it is no error."""
    without_settings(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", excepted)
    with (
        PerSQL("psql_test_x", base_url="https://persql.invalid", max_retries=0) as client,
        pytest.raises(TransportError, match="could not be opened") as caught,
    ):
        client.database("acme/a").query("SELECT 1")
    assert isinstance(caught.value.__cause__, socket.gaierror if excepted else ConnectionRefusedError)


@pytest.fixture
def certified(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for `localhost` that nobody vouches for, and what a server needs to show it."""
    if shutil.which("openssl") is None:
        pytest.skip("nothing to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout {key}"
    command += f" -addext subjectAltName=DNS:localhost -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@pytest.mark.parametrize("proxied", [False, True])
def test_a_certificate_that_the_environment_vouches_for(
    monkeypatch: pytest.MonkeyPatch, certified: tuple[Path, ssl.SSLContext], proxied: bool
) -> None:
    """By `SSL_CERT_FILE`; a proxy passes on what it can't read, and is told its user and password alone."""
    without_settings(monkeypatch)
    certificate, context = certified
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", f"http://ada:p%40ss@127.0.0.1:{port}")
            monkeypatch.setattr(_environment, "is_loopback", lambda host: False)

        def serve() -> None:
            connection, _ = listener.accept()
            if proxied:
                heard.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with context.wrap_socket(connection, server_side=True) as encrypted:
                heard.append(encrypted.recv(65536))
                body = f'{{"success":true,"data":{RESULT}}}'.encode()
                encrypted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        thread = threading.Thread(target=serve)
        thread.start()
        with PerSQL("psql_test_x", base_url=f"https://localhost:{port}", max_retries=0) as client:
            assert client.database("acme/a").query("SELECT 1")["data"] == [{"a": 1}]
        thread.join()
    assert heard[-1].startswith(b"POST /v1/db/acme/a/query HTTP/1.1\r\n")
    assert heard[-1].endswith(b'{"sql":"SELECT 1"}'), "head and body are sent as one piece"
    if proxied:
        assert heard[0].startswith(f"CONNECT localhost:{port} HTTP/1.".encode())
        assert b"Proxy-Authorization: Basic YWRhOnBAc3M=\r\n" in heard[0]
        assert b"psql_test_x" not in heard[0] and b"Proxy-" not in heard[1]


def test_a_certificate_nobody_vouches_for_is_refused_once(
    monkeypatch: pytest.MonkeyPatch, certified: tuple[Path, ssl.SSLContext]
) -> None:
    """It would be refused the next time too; the remedy names the variable for a company's proxy."""
    without_settings(monkeypatch)
    _, context = certified
    asked: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            asked.append(1)
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            PerSQL("psql_test_x", base_url=f"https://localhost:{listener.getsockname()[1]}") as client,
            pytest.raises(TransportError, match=r"CERTIFICATE_VERIFY_FAILED.*SSL_CERT_FILE") as caught,
        ):
            client.database("acme/a").query("SELECT 1")
        thread.join()
    assert caught.value.sent is False and asked == [1]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, f'{{"success":false,"error":"bad value {SECRET}"}}'),
        (400, f'{{"success":false,"error":"x","errorDetail":{{"kind":"{SECRET}","message":"{SECRET}"}}}}'),
        (400, f'{{"success":false,"error":"CHECK constraint failed: {SECRET}"}}'),
        (400, f'{{"success":false,"error":"x","errorDetail":{{"kind":"unique_violation","table":"{SECRET}"}}}}'),
        (400, f'{{"success":false,"error":"x","errorDetail":{{"kind":"check_violation","columns":["{SECRET}",5]}}}}'),
        (400, f'{{"success":false,"error":"database {SECRET} not found"}}'),
        (403, f'{{"success":false,"error":"refused: INSERT \'{SECRET}\'"}}'),
        (404, f'{{"success":false,"error":"no route for \\"{SECRET}"}}'),
        (418, f'{{"success":false,"error":"{SECRET}"}}'),
        (500, f'{{"success":false,"error":"{SECRET}"}}'),
        (502, f"<html>{SECRET}</html>"),
        (200, f"<html>{SECRET}</html>"),
        (200, f'{{"success":false,"error":"{SECRET}"}}'),
        (200, f'{{"success":true,"data":"{SECRET}"}}'),
        (200, f'["{SECRET}"]'),
    ],
)
def test_answers_that_quote_what_was_sent(
    emulator: Emulator, status: int, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the service says, neither parameters nor tokens get into messages or the log."""
    caplog.set_level(logging.DEBUG, logger="strands_persql")
    token = emulator.token()
    emulator.faults.always(answer(body.replace("}", f',"t":"{token}"}}', 1).encode(), status))
    db = emulator.client(token=token, max_retries=1).database(emulator.name)
    with pytest.raises(PerSQLError) as caught:
        db.query("INSERT INTO t VALUES (?)", [SECRET])
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(caught.value)
    assert SECRET not in shown
    assert token not in shown + repr(caught.value.detail)


def test_the_token_is_nowhere_to_be_seen(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Not in reprs, not in what any library logs, not in errors."""
    caplog.set_level(logging.DEBUG)
    token = emulator.token()
    client = emulator.client(token=token, max_retries=1)
    db = client.database(emulator.name)
    db.query("SELECT 1")
    emulator.faults.next(faults.cut(), faults.cut())
    with pytest.raises(TransportError) as caught:
        db.query("SELECT 1")
    places = [repr(client), repr(db), repr(vars(client)), repr(vars(client._place)), repr(vars(db))]
    places += [caplog.text, repr(caught.value), "".join(traceback.format_exception(caught.value))]
    assert all(token not in place for place in places)


def test_roles_are_what_the_token_says(emulator: Emulator) -> None:
    """A readwrite token works on tables that exist, and may not create any."""
    emulator.database().query("CREATE TABLE t (a)")
    db = emulator.database(role="readwrite")
    db.query("INSERT INTO t VALUES (1)")
    with pytest.raises(PermissionDeniedError, match="admin to create tables"):
        db.query("CREATE TABLE IF NOT EXISTS t (a)")


@pytest.mark.slow
def test_all_handles_share_one_pool(emulator: Emulator) -> None:
    """Two handles, and one request after the other, need one connection; many threads at most 64."""
    client = emulator.client()
    for name in ("a", "b", "a"):
        client.database(f"{emulator.namespace}/{name}").query("SELECT 1")
    assert len({record.connection for record in emulator.log}) == 1
    emulator.faults.always(faults.latency(0.05))
    with ThreadPoolExecutor(MAX_CONNECTIONS + 16) as pool:
        list(pool.map(lambda _: client.database(emulator.name).query("SELECT 1"), range(160)))
    assert len({record.connection for record in emulator.log}) == MAX_CONNECTIONS == 64


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands between may have dropped it without a word."""
    db = emulator.database()
    db.query("SELECT 1")
    monkeypatch.setattr(_pool, "KEEPALIVE_SECONDS", 0.0)
    db.query("SELECT 1")
    assert len({record.connection for record in emulator.log}) == 2


def test_requests_pass_where_tracers_look(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What instruments urllib3 wraps this method: it sees each attempt, and may add headers of its own."""
    urlopen = HTTPConnectionPool.urlopen
    seen: list[tuple[str, int]] = []

    def traced(pool: Any, method: str, url: str, body: Any, headers: Any, **options: Any) -> Any:
        answer = urlopen(pool, method, url, body, {**headers, "traceparent": "00-1-2-01"}, **options)
        seen.append((url, answer.status))
        return answer

    monkeypatch.setattr(HTTPConnectionPool, "urlopen", traced)
    emulator.faults.next(faults.failing(503))
    emulator.database().query("SELECT 1")
    path = f"/v1/db/{emulator.name}/query"
    assert seen == [(path, 503), (path, 200)]
    assert {record.headers["traceparent"] for record in emulator.log} == {"00-1-2-01"}


@needs_fork
def test_a_child_process_opens_its_own_connections(emulator: Emulator) -> None:
    """Parent and child never read each other's answers."""
    db = emulator.database()
    db.query("CREATE TABLE t (a)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            db.query("INSERT INTO t VALUES ('child')")
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, code = os.waitpid(pid, 0)
    assert code == 0
    db.query("INSERT INTO t VALUES ('parent')")
    assert [row["a"] for row in db.query("SELECT a FROM t ORDER BY a")["data"]] == ["child", "parent"]
    first, child, *others = (record.connection for record in emulator.log)
    assert child != first and set(others) == {first}


@pytest.mark.usefixtures("no_collection")
def test_answers_without_the_documented_shape(emulator: Emulator) -> None:
    """They are tried again, then told as what they are: the write may have been carried out."""
    bodies = [
        b'{"success":true}',
        b'{"success":true,"data":{"columns":["a"]}}',
        b'{"success":true,"data":{"columns":["a"],"rows":[[1,2]]}}',
        b'{"success":true,"data":{"columns":["a"],"rows":[5]}}',
        b'{"success":true,"data":{"columns":[],"rows":[5]}}',
        b'{"success":true,"data":[]}',
        b'{"success":"yes","data":{}}',
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
    ]
    db = emulator.database(max_retries=0)
    for body in bodies:
        emulator.faults.next(answer(body))
        with pytest.raises(TransportError, match="could not be read") as caught:
            db.query("INSERT INTO t VALUES (1)")
        assert (caught.value.status, caught.value.sent) == (200, True)
    emulator.faults.next(answer(b'{"success":true,"data":[]}'))
    with pytest.raises(TransportError, match="could not be read"):
        db.batch([{"sql": "SELECT 1"}])


def test_rate_limits_tell_when_to_come_back(emulator: Emulator) -> None:
    """After all retries, the wait that the service asked for is an attribute."""
    emulator.faults.next(faults.rate_limited("7"))
    with pytest.raises(RateLimitError, match="try again in 7 s") as caught:
        emulator.database(max_retries=0).query("SELECT 1")
    assert (caught.value.retry_after, caught.value.status) == (7.0, 429)


def test_statements_are_not_changed_by_sending(emulator: Emulator) -> None:
    """What the caller passed stays as it was."""
    statements = [{"sql": "SELECT ?", "params": [True]}]
    before = copy.deepcopy(statements)
    emulator.database().batch(statements)
    assert statements == before


def test_a_client_of_another_service_is_not_confused(emulator: Emulator, emulator_server: Server) -> None:
    """Two clients with two tokens stay apart."""
    other = emulator_server.namespace()
    one, two = emulator.client(), PerSQL(other.token(), base_url=other.url)
    with two:
        one.database(emulator.name).query("CREATE TABLE t (a)")
        with pytest.raises(PermissionDeniedError):
            two.database(emulator.name).query("SELECT * FROM t")
    other.close()
