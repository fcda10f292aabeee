"""Guessing the token: a few times at once, then ever more slowly, whichever way it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from strands_persql.web.pages import _guard
from strands_persql.web.pages._attempts import FREE, LONGEST_WAIT, MOST_KNOWN, Attempts

from ...databases import local
from .conftest import ORIGIN, Site
from .test_guard import TOKEN


class Clock:
    """A time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of all guards that are made from now on."""
    clock = Clock()
    monkeypatch.setattr(_guard, "Attempts", lambda: Attempts(clock))
    return clock


def of(host: str) -> dict[str, Any]:
    """The scope of a request from an address."""
    return {"client": (host, 1)}


async def test_whoever_guesses_has_to_wait(clock: Clock) -> None:
    """Also with the right token, or the wait would tell it; then that is let in, and nothing is held against it."""
    client = Site(local()).open(auth_token=TOKEN)

    async def log_in(token: str) -> tuple[int, str | None]:
        answer = await client.post("/login", data={"token": token}, headers={"origin": ORIGIN})
        return answer.status_code, answer.headers.get("retry-after")

    for _ in range(FREE):
        assert await log_in("wrong") == (403, None)
    for token in ("wrong", TOKEN):
        assert await log_in(token) == (429, "1")
    bearer = await client.get("/api/sessions", headers={"authorization": f"Bearer {TOKEN}"})
    assert (bearer.status_code, bearer.headers["retry-after"]) == (429, "1")
    assert (await client.get("/login")).status_code == 200
    clock.now += 1
    assert await log_in("wrong") == (403, None)
    assert await log_in(TOKEN) == (429, "2")
    clock.now += 2
    assert await log_in(TOKEN) == (303, None)
    assert await log_in("wrong") == (403, None)
    assert await log_in(TOKEN) == (303, None)


async def test_programs_guess_no_faster(clock: Clock) -> None:
    """A bearer's token counts like one of a form; whoever is logged in goes on."""
    site = Site(local())
    client = site.open(auth_token=TOKEN)
    await client.post("/login", data={"token": TOKEN}, headers={"origin": ORIGIN})
    wrong = {"authorization": "Bearer wrong"}
    for _ in range(FREE):
        assert (await client.get("/api/openapi.json", headers=wrong)).status_code == 200  # by its cookie
    refused = await client.get("/api/openapi.json", headers=wrong)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert (await client.get("/login")).status_code == 200
    assert (await client.get("/usage")).status_code == 404  # no sessions yet


def test_waits_grow_up_to_a_minute() -> None:
    """However often somebody guesses; each address by itself, of IPv6 each network."""
    clock = Clock()
    attempts = Attempts(clock)
    waits: list[int] = []
    for _ in range(FREE + 20):
        attempts.note(of("10.0.0.1"), is_right=False)
        waits.append(attempts.wait(of("10.0.0.1")))
        clock.now += waits[-1]
        assert attempts.wait(of("10.0.0.1")) == 0
    assert waits[: FREE + 3] == [*[0] * (FREE - 1), 1, 2, 4, 8] and waits[-1] == LONGEST_WAIT
    attempts.note(of("10.0.0.1"), is_right=False)
    assert attempts.wait(of("10.0.0.1")) == LONGEST_WAIT and attempts.wait(of("10.0.0.2")) == 0
    for number in range(FREE):
        attempts.note(of(f"2001:db8::{number}"), is_right=False)
    assert attempts.wait(of("2001:db8::ffff")) == 1 and attempts.wait(of("2001:db9::1")) == 0
    assert attempts.wait({}) == 0


def test_what_is_remembered_is_bounded() -> None:
    """Of very many addresses those that guessed last."""
    attempts = Attempts(Clock())
    for _ in range(FREE):
        attempts.note(of("10.0.0.1"), is_right=False)
    for number in range(MOST_KNOWN - 1):
        attempts.note(of(f"host{number}"), is_right=False)
    assert attempts.wait(of("10.0.0.1")) == 1
    attempts.note(of("another"), is_right=False)
    assert attempts.wait(of("10.0.0.1")) == 0
