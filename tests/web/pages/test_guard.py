"""Who is let in: hosts, origins, forms, tokens and cookies."""

from __future__ import annotations

import hmac

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from strands_persql.web.pages import is_loopback, pages_app

from ...agents.scripted import text
from ...databases import local
from .conftest import ORIGIN, Site, csrf_of

TOKEN = "a token of many characters"


@pytest.fixture
def here() -> Site:
    """Pages over a local database, with a session."""
    site = Site(local())
    site.agent("s", text("a"))("one")
    return site


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("[::1]:1", 200),
        ("LOCALHOST:80", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8765", 421),
        ("10.0.0.1", 421),
        ("127.0.0.1@evil.example", 421),
        ("", 421),
        ("[", 421),
        ("localhost:x", 421),
    ],
)
async def test_host(here: Site, host: str, status: int) -> None:
    """A name that somebody has pointed at this computer is refused, and so is the REST app under it."""
    for path in ("/", "/api/sessions", "/static/page.css"):
        assert (await here.client.get(path, headers={"host": host})).status_code == status


async def test_a_host_that_is_named_twice(here: Site) -> None:
    """Whichever of them a proxy looks at, the request is refused."""
    for other in ("127.0.0.1:8765", "evil.example"):
        headers = [("host", "127.0.0.1:8765"), ("host", other)]
        assert (await here.client.get("/", headers=headers)).status_code == 421


async def test_a_host_of_ones_own(here: Site) -> None:
    """A name that the server was told of is one of its own."""
    client = here.open(hosts=["agents.example"], auth_token=TOKEN)
    assert (await client.get("/login", headers={"host": "agents.example:8765"})).status_code == 200
    assert (await client.get("/login", headers={"host": "other.example"})).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8765.evil.example"},
        {"origin": "file://127.0.0.1:8765"},
        {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
    ],
)
async def test_origin(here: Site, headers: dict[str, str]) -> None:
    """No page of another origin changes anything, with a form or through REST."""
    fields = {"id": "s", "title": "stolen", "csrf": csrf_of(await here.text("/session", id="s"))}
    assert (await here.client.post("/rename", data=fields, headers=headers)).status_code == 403
    assert (await here.client.patch("/api/sessions/s", json={"title": "stolen"}, headers=headers)).status_code == 403
    assert here.sessions.get("s").title == "one"


async def test_forms_carry_a_token(here: Site) -> None:
    """Of this browser's pages: without it, with another's, or with another kind of body nothing is changed."""
    other = csrf_of((await here.open().get("/session", params={"id": "s"})).text)
    await here.text("/")
    for csrf in ("", "x", other, "\ud7ff"):
        await here.send("/rename", 403, id="s", title="stolen", csrf=csrf)
    mine = csrf_of(await here.text("/session", id="s"))
    for body in ({"json": {"id": "s", "title": "stolen", "csrf": mine}}, {"content": b"x" * 70_000}):
        answer = await here.client.post("/rename", headers={"origin": ORIGIN}, **body)
        assert answer.status_code == 400
    assert here.sessions.get("s").title == "one"
    await here.send("/rename", id="s", title="mine")
    assert here.sessions.get("s").title == "mine"


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_a_form_is_of_one_browser(here: Site, token: str | None) -> None:
    """What another browser of the same server was given with its forms counts for nothing in this one."""
    transport = httpx.ASGITransport(pages_app(here.database, auth_token=token))
    mine, others = (httpx.AsyncClient(transport=transport, base_url=ORIGIN) for _ in range(2))
    given: list[str] = []
    for browser in (mine, others):
        if token is not None:
            await browser.post("/login", data={"token": token}, headers={"origin": ORIGIN})
        given.append(csrf_of((await browser.get("/session", params={"id": "s"})).text))
    for csrf, status in zip(given, (303, 403), strict=True):
        fields = {"title": "mine", "csrf": csrf}
        answer = await mine.post("/rename", params={"id": "s"}, data=fields, headers={"origin": ORIGIN})
        assert answer.status_code == status


async def test_secrets_are_compared_in_constant_time(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token, the cookie and what forms carry: how long it takes tells nobody how much of a guess is right."""
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    client = here.open(auth_token=TOKEN)
    monkeypatch.setattr(hmac, "compare_digest", spy)
    await client.post("/login", data={"token": "guess"}, headers={"origin": ORIGIN})
    assert (b"guess", TOKEN.encode()) in compared
    await client.get("/api/sessions", headers={"authorization": "Bearer guessed"})
    assert (b"guessed", TOKEN.encode()) in compared
    await client.get("/", headers={"cookie": "strands_persql=x.guess"})
    assert any(one == b"guess" and len(other) == 64 for one, other in compared)
    await client.post("/login", data={"token": TOKEN}, headers={"origin": ORIGIN})
    await client.post("/rename", data={"csrf": "guessing"}, headers={"origin": ORIGIN})
    assert any(one == b"guessing" and len(other) == 64 for one, other in compared)


async def test_a_token(here: Site) -> None:
    """Nothing but the login is shown without it; the cookie holds nothing of it, and no script reads that."""
    client = here.open(auth_token=TOKEN)
    for path in ("/", "/session?id=s", "/export?id=s", "/doctor"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert (await client.get("/api/sessions")).status_code == 401
    assert (await client.post("/rename", headers={"origin": ORIGIN})).status_code == 401
    assert (await client.get("/static/page.css")).status_code == 200
    for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", "\u00e4" * 16):
        refused = await client.post("/login", data={"token": wrong}, headers={"origin": ORIGIN})
        assert refused.status_code == 403 and "set-cookie" not in refused.headers
    accepted = await client.post("/login", data={"token": TOKEN}, headers={"origin": ORIGIN})
    cookie = accepted.headers["set-cookie"]
    assert accepted.status_code == 303 and cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert TOKEN not in cookie and TOKEN not in str(accepted.headers["location"])
    assert (await client.get("/")).status_code == 200
    name, _, value = cookie.partition(";")[0].partition("=")
    for forged in ("", "x", value[:-1], f"x{value}", f"{value}.", "." + value.partition(".")[2]):
        answer = await here.open(auth_token=TOKEN).get("/", headers={"cookie": f"{name}={forged}"})
        assert answer.status_code == 303
    again = await here.open(auth_token=TOKEN).get("/", headers={"cookie": f"{name}={value}"})
    assert again.status_code == 303, "a cookie of another process"


async def test_nothing_leads_further_before_the_login(here: Site) -> None:
    """The login shows no pages to go to; those that are shown afterwards do."""
    client = here.open(auth_token=TOKEN)
    refused = await client.post("/login", data={"token": "x"}, headers={"origin": ORIGIN})
    for page in ((await client.get("/login")).text, refused.text):
        assert "<nav" not in page and 'href="/doctor"' not in page and "Log out" not in page
    await client.post("/login", data={"token": TOKEN}, headers={"origin": ORIGIN})
    page = (await client.get("/")).text
    assert '<nav aria-label="Pages">' in page and "Log out" in page


async def test_a_token_in_a_header(here: Site) -> None:
    """Programs send it as a bearer's."""
    client = here.open(auth_token=TOKEN)
    answer = await client.get("/api/sessions", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert (await client.get("/api/sessions", headers={"authorization": "Bearer x"})).status_code == 401
    assert (await client.get("/api/sessions", headers={"authorization": TOKEN})).status_code == 401
    for token, status in ((TOKEN, 200), ("x" * 16, 403)):
        headers = {"authorization": f"Bearer {token}"}
        changed = await client.patch("/api/sessions/s", json={"title": "mine"}, headers=headers)
        assert changed.status_code == status
    assert here.sessions.get("s").title == "mine"


async def test_headers(here: Site) -> None:
    """Every answer, refusals and REST among them, forbids what a page doesn't need."""
    for path, host in (("/", "localhost"), ("/nowhere", "localhost"), ("/api/sessions", "localhost"), ("/", "evil")):
        headers = (await here.client.get(path, headers={"host": host})).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert (await here.client.get("/")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("place", ["/login", "/loginx", "/static", "/static/web", "/web", "/api"])
async def test_mounted(here: Site, place: str) -> None:
    """Under no path is more open than the login and its style, and the way behind that path counts."""
    app = Starlette(routes=[Mount(place, pages_app(here.database, auth_token=TOKEN))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        for path in ("/", "/session?id=s", "/loginx", "/login/x", "/export?id=s"):
            assert (await client.get(place + path)).status_code == 303, path
        assert (await client.get(place + "/api/sessions")).status_code == 401
        for path in ("/login", "/static/page.css"):
            assert (await client.get(place + path)).status_code == 200


@pytest.mark.parametrize("other", ['p={"x":1}', "p=a b", "a@b=1", 'p="a', "p", "p=[1,2]", "strands_persqlx=1"])
async def test_cookies_of_others(here: Site, other: str) -> None:
    """Whatever else is served on this host may set its own."""
    client = here.open(auth_token=TOKEN)
    accepted = await client.post("/login", data={"token": TOKEN}, headers={"origin": ORIGIN})
    own = accepted.headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    for both in (f"{other}; {own}", f"{own}; {other}"):
        assert (await client.get("/", headers={"cookie": both})).status_code == 200


async def test_logging_out(here: Site) -> None:
    """Ends the session itself, so that a copy of the cookie is worth nothing; without a token there is none."""
    assert "Log out" not in await here.text("/")
    client = here.open(auth_token=TOKEN)
    assert "Log out" not in (await client.get("/login")).text
    accepted = await client.post("/login", data={"token": TOKEN}, headers={"origin": ORIGIN})
    own = accepted.headers["set-cookie"].partition(";")[0]
    page = (await client.get("/")).text
    assert "Log out" in page
    refused = await client.post("/logout", data={"csrf": "x"}, headers={"origin": ORIGIN})
    assert refused.status_code == 403 and (await client.get("/")).status_code == 200
    ended = await client.post("/logout", data={"csrf": csrf_of(page)}, headers={"origin": ORIGIN})
    assert (ended.status_code, ended.headers["location"]) == (303, "/login")
    assert (await client.get("/")).status_code == 303
    assert (await client.get("/", headers={"cookie": own})).status_code == 303


async def test_cookies_by_the_way_they_come(here: Site) -> None:
    """Over TLS they stay there; without a token a link on another site makes no new one."""
    app = pages_app(here.database, auth_token=TOKEN)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost") as client:
        sent = await client.post("/login", data={"token": TOKEN}, headers={"origin": "https://localhost"})
        assert "; Secure" in sent.headers["set-cookie"]
    assert "SameSite=Lax" in (await here.client.get("/")).headers["set-cookie"]


def test_others_take_a_token(here: Site) -> None:
    """A proxy on this computer would let them all in."""
    with pytest.raises(ValueError, match=r"others reach agents\.example, so it takes a token"):
        here.open(hosts=["localhost", "agents.example"])


def test_a_short_token_is_refused(here: Site) -> None:
    """It could be guessed."""
    with pytest.raises(ValueError, match="16 characters or more"):
        here.open(auth_token="short")


def test_loopback() -> None:
    """Which addresses are this computer alone."""
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.com", "")))
