"""Forms and links act on what they name, whatever characters are in its id."""

from __future__ import annotations

from typing import Any

import pytest

from ...agents.scripted import text
from ...databases import local
from .conftest import ORIGIN, Page, Site

IDS = (" s", "s", "x\x01y", "x\u2401y", "..", "a\r\nb", "a\nb", "%20s", "s&id=s;#+?/\u00e9", "x\x85y", "s ")
"""Each like another once it is trimmed, escaped twice, or shown with signs for its controls."""


@pytest.fixture
def here() -> Site:
    """Pages over a local database."""
    return Site(local())


async def follow(site: Site, page: Page, link: str) -> Page:
    """The page behind a link."""
    answer = await site.client.get(page.links[link])
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


async def send(site: Site, page: Page, path: str, **typed: str) -> str:
    """Send a page's form as a browser does, with what somebody typed; answers where that leads."""
    action, fields = page.form(path)
    answer = await site.client.post(action, data={**fields, **typed}, headers={"origin": ORIGIN})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def state(site: Site) -> dict[str, Any]:
    """All that forms change, by session."""
    return {
        each.session_id: (
            each.title,
            each.tags,
            [
                (record.agent_id, record.in_window, record.text)
                for record in site.sessions.messages(each.session_id).messages
            ],
        )
        for each in site.sessions.list(limit=100).sessions
    }


@pytest.mark.slow
async def test_forms_change_what_their_page_shows(here: Site) -> None:
    """From the list by links and forms alone: each changes the session of its page, and no other."""
    for number, name in enumerate(IDS):
        agent = here.agent(name, text("a"), agent_id=name.replace("/", "|"), user=name)
        agent(f"session {number}")
    known = state(here)
    assert set(known) == set(IDS)

    def changed(name: str) -> Any:
        """What has become of a session, where it is the only one that has changed."""
        found = state(here)
        assert {**found, name: None} == {**known, name: None}
        return found.get(name)

    for number, name in enumerate(IDS):
        page = await follow(here, Page(await here.text("/")), f"session {number}")
        there = await send(here, page, "/rename", title=f"named {number}", tags=f"t\r\n{name.strip()}")
        assert changed(name)[0] == f"named {number}"
        page = Page((await here.client.get(there)).text)
        copy = Page((await here.client.get(await send(here, page, "/fork"))).text)
        await send(here, await follow(here, copy, "Delete \u2026"), "/delete", sure="yes")
        before = changed(name)
        await send(here, page, "/rewind")
        assert changed(name) != before
        await send(here, await follow(here, page, "Erase \u2026"), "/erase", sure="yes")
        assert "[erased]" in str(changed(name)[2])
        await send(here, await follow(here, page, "Delete \u2026"), "/delete", sure="yes")
        assert changed(name) is None
        del known[name]


async def test_links_lead_to_what_they_name(here: Site) -> None:
    """A session's own links, its stream's address, and the list of a user and of a tag."""
    for number, name in enumerate(IDS):
        here.agent(name, text(f"answer {number}"), agent_id=name.replace("/", "|"), user=name)("one")
        here.sessions.update(name, tags=[name], title=f"session {number}")
    for number, name in enumerate(IDS):
        page = Page(await here.text("/session", id=name))
        exported = await here.client.get(page.links["Export"])
        assert f"answer {number}" in exported.text and "attachment" in exported.headers["content-disposition"]
        for link in (page.links["Usage"], page.links["Look for new messages"]):
            assert f"session {number}<" in (await here.client.get(link)).text
        for listed in (await here.text("/", user=name), await here.text("/", tag=name)):
            assert listed.count('<li class="card">') == 1 and f"session {number}<" in listed


async def test_a_form_keeps_what_nobody_typed(here: Site) -> None:
    """To save tags stores no title, and to save a title changes no tag, whatever is in it."""
    here.agent("s", text("a"))("my password is hunter2")
    tags = ["a, b", " c", "x\x01y", "d\ne"]
    here.sessions.update("s", tags=tags)
    page = Page(await here.text("/session", id="s"))
    typed = page.form("/rename")[1]["tags"] + "new\r\n  \r\n"
    await send(here, page, "/rename", tags=typed)
    assert set(here.sessions.get("s").tags) == {*tags, "new"}
    here.sessions.erase("s", "default", 0)
    assert "hunter2" not in here.sessions.get("s").title
    await send(here, page, "/rename", tags=typed, title="mine")
    assert (here.sessions.get("s").title, set(here.sessions.get("s").tags)) == ("mine", {*tags, "new"})
    here.sessions.update("s", title="two\nlines")
    await send(here, Page(await here.text("/session", id="s")), "/rename", tags="")
    assert (here.sessions.get("s").title, here.sessions.get("s").tags) == ("two\nlines", ())


async def test_a_form_keeps_what_others_have_changed(here: Site) -> None:
    """Tags that came or went since the page was read stay so; nothing is saved of a form that can't be."""
    here.agent("s", text("a"))("one")
    here.sessions.update("s", tags=["old", "x\x01y", "gone"])
    page = Page(await here.text("/session", id="s"))
    here.sessions.update("s", tags=["old", "x\x01y", "theirs"])
    await send(here, page, "/rename", title="mine")
    assert here.sessions.get("s").tags == ("old", "theirs", "x\x01y")
    typed = page.form("/rename")[1]["tags"].replace("old", "new")
    await send(here, page, "/rename", tags=typed)
    assert here.sessions.get("s").tags == ("new", "theirs", "x\x01y")
    await here.send("/rename", 400, id="s", title="another", tags="t" * 101)
    assert here.sessions.get("s").title == "mine"


async def test_a_filter_that_no_field_can_hold(here: Site) -> None:
    """It is no other filter once the form is sent again."""
    here.agent("s", text("a"))("one")
    shown = Page(await here.text("/", user="x\x01y", tag="a b")).form("/")[1]
    assert (shown["user"], shown["tag"]) == ("", "a b")
