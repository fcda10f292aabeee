"""Building a client: where it leads, what it refuses, and what it keeps to itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from strands_persql.client import PerSQL
from strands_persql.errors import PermissionDeniedError, PerSQLError

from ..emulator import Emulator
from ..processes import python
from .conftest import Place


@pytest.mark.parametrize("options", [{}, {"token": "t", "local": ":memory:"}])
def test_exactly_one_of_token_and_local(options: dict[str, str]) -> None:
    """None of them, or both, is told at once."""
    with pytest.raises(TypeError, match="exactly one"):
        PerSQL(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ["", "  ", "psql_live_a b", "psql_live_a\nb", "psql_lïve", "\x00"])
def test_a_token_that_can_t_be_one(token: str) -> None:
    """Told at once, without repeating it."""
    with pytest.raises(ValueError, match="token") as caught:
        PerSQL(token=token)
    assert not token.strip() or token.strip() not in str(caught.value)


def test_white_space_around_a_token_is_dropped(emulator: Emulator) -> None:
    """A token read from a file ends in a line end."""
    with PerSQL(f" {emulator.token()}\n", base_url=emulator.url) as client:
        assert client.database(emulator.name).query("SELECT 1 AS one")["data"] == [{"one": 1}]


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": -1}, {"max_retries": -1}, {"timeout": float("nan")}])
def test_numbers_out_of_range(options: dict[str, Any]) -> None:
    """Told at once."""
    with pytest.raises(ValueError, match=next(iter(options))):
        PerSQL("token", **options)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.persql.com",
        "http://10.0.0.1",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://[::2]",
        "http://0.0.0.0",
        "HTTP://api.persql.com",
        "ftp://api.persql.com",
        "api.persql.com",
        "",
        "https://",
        "https://user:secret@api.persql.com",
        "https://api.persql.com/?x=1",
        "https://api.persql.com:port",
    ],
)
def test_addresses_that_would_show_the_token(url: str) -> None:
    """Plain http leads to loopback alone; credentials don't belong in an address."""
    with pytest.raises(ValueError, match="base_url") as caught:
        PerSQL("psql_live_token", base_url=url)
    assert "secret" not in str(caught.value) and "psql_live_token" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.persql.com",
        "https://api-staging.persql.com/",
        "https://proxy.example.org/persql",
        "http://localhost:8787",
        "http://127.0.0.1",
        "http://127.9.9.9:1",
        "http://[::1]:8787",
    ],
)
def test_addresses_that_are_fine(url: str) -> None:
    """Building a client sends nothing, so any host will do here."""
    with PerSQL("token", base_url=url) as client:
        assert repr(client.database("a/b")).endswith(f"at {url.rstrip('/')}>")


def test_one_address_written_in_two_ways() -> None:
    """A scheme's own port, and the case of a host, make no other database."""
    written = ("https://api.persql.com", "HTTPS://API.persql.com:443/")
    first, second = (PerSQL("token", base_url=url).database("a/b") for url in written)
    assert first.identity == second.identity != PerSQL("token", base_url=f"{written[0]}:80").database("a/b").identity


def test_a_path_in_the_address_is_kept(emulator: Emulator) -> None:
    """The service may stand behind a gateway's prefix."""
    client = PerSQL(emulator.token(), base_url=f"{emulator.url}/prefix", max_retries=0)
    with client, pytest.raises(PerSQLError):
        client.databases.list()
    assert [record.path for record in emulator.log] == ["/prefix/v1/databases"]


def test_from_env(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """PerSQL's own variables; the address may be left out."""
    for name in ("PERSQL_TOKEN", "PERSQL_API_URL", "PERSQL_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="PERSQL_TOKEN"):
        PerSQL.from_env()
    monkeypatch.setenv("PERSQL_TOKEN", emulator.token())
    with PerSQL.from_env() as client:
        assert "https://api.persql.com" in repr(client)
    monkeypatch.setenv("PERSQL_API_URL", emulator.url)
    with PerSQL.from_env(timeout=5) as client:
        assert client.database(emulator.name).query("SELECT 1 AS one")["data"] == [{"one": 1}]


def test_from_env_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`PERSQL_LOCAL` takes the place of a token; beside one, nothing is opened: either may be a leftover."""
    monkeypatch.delenv("PERSQL_TOKEN", raising=False)
    monkeypatch.setenv("PERSQL_LOCAL", str(tmp_path / "agents.db"))
    with PerSQL.from_env() as client:
        client.database("a/b").query("CREATE TABLE t (a)")
    assert (tmp_path / "agents.db").is_file()
    monkeypatch.setenv("PERSQL_TOKEN", "psql_SECRET")
    with pytest.raises(ValueError, match="both set") as caught:
        PerSQL.from_env()
    assert "SECRET" not in str(caught.value)


def test_a_proxy_in_the_environment_is_not_told_the_token(emulator: Emulator) -> None:
    """Requests to loopback go straight there, past a proxy that would read them."""
    program = (
        "import sys; from strands_persql.client import PerSQL\n"
        "with PerSQL(sys.argv[1], base_url=sys.argv[2], max_retries=0) as client:\n"
        "    print(client.database(sys.argv[3]).query('SELECT 1 AS one')['data'])\n"
    )
    environment = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": ""}
    done = subprocess.run(
        [*python(), "-c", program, emulator.token(), emulator.url, emulator.name],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[{'one': 1}]\n"


def test_databases_can_be_created_and_listed(client: PerSQL, place: Place) -> None:
    """A slug is made of the name where none is given; what was created can be used."""
    created = client.databases.create("Agent State, No. 1")
    assert (created["slug"], created["name"]) == ("agent-state-no-1", "Agent State, No. 1")
    assert client.databases.create("Other", slug="other")["slug"] == "other"
    namespace = place.name.partition("/")[0]
    client.database(f"{namespace}/agent-state-no-1").query("CREATE TABLE t (a)")
    listed = {one["slug"] for one in client.databases.list()}
    assert listed >= (set() if place.kind == "file" else {"agent-state-no-1"})
    with pytest.raises(ValueError, match="slug="):
        client.databases.create("…")


def test_who_may_create_databases(emulator: Emulator) -> None:
    """An admin; the slug must be free."""
    with pytest.raises(PermissionDeniedError, match="403"):
        emulator.client(role="readwrite").databases.create("x")
    client = emulator.client()
    client.databases.create("x")
    with pytest.raises(PerSQLError, match="409") as caught:
        client.databases.create("x")
    assert caught.value.status == 409


def test_importing_opens_nothing(tmp_path: Path) -> None:
    """Neither does building a client, or asking for a handle: a file appears with the first call."""
    client = PerSQL(local=tmp_path / "agents.db")
    database = client.database("acme/agents")
    assert list(tmp_path.iterdir()) == []
    database.query("SELECT 1")
    assert (tmp_path / "agents.db").exists()
    client.close()


def test_a_client_that_was_not_built_has_a_repr() -> None:
    """A debugger shows it where an argument was refused."""
    assert repr(PerSQL.__new__(PerSQL)) == "<PerSQL (not built)>"
