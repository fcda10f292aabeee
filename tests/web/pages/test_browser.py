"""The pages in a real browser: nothing is blocked by their own policy, and what is stored runs nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from strands_persql import PerSQL
from strands_persql.web.pages import pages_app

from ...administration.viewer.sessions import png
from ...agents.scripted import text, tools, use
from .conftest import Site, served
from .test_guard import TOKEN
from .test_pages import HOSTILE

pytestmark = pytest.mark.slow

PAGES = (
    "/",
    "/?q=alert",
    "/session?id=s",
    "/session?id=s&agent=default&before=3",
    "/usage?id=s",
    "/usage",
    "/session?id=swarm",
    "/doctor",
    "/confirm?action=delete&id=s",
    "/login",
    "/session?id=none",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Pages over a local file."""
    with PerSQL(local=str(tmp_path_factory.mktemp("web") / "agents.db")) as client:
        site = Site(
            client.database("local/agents"),
        )
        agent = site.agent("s", tools(use("add", {"a": 1, "b": 2}, "u1"), use("picture", {}, "u2")), text(HOSTILE))
        agent([{"text": HOSTILE}, {"image": {"format": "png", "source": {"bytes": png(3, 2)}}}])
        for agent_id in ("a", "b", "c"):
            site.agent("swarm", text(f"answer of {agent_id}"), agent_id=agent_id)(HOSTILE)
        yield site


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    """Where they are served."""
    with served(pages_app(site.database)) as address:
        yield address


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of the browser's that collects in `complaints` what goes wrong on it."""
    context = browser.new_context()
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda said: page.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (page.complaints.append("a dialog"), dialog.dismiss()))
    yield page
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100])
def test_every_page(page: Any, address: str, width: int, scheme: str) -> None:
    """Nothing is refused, nothing stored runs, nothing is wider than the screen; all is named for a screen reader."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    for path in PAGES:
        page.goto(address + path, wait_until="load")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert page.locator("main").count() == 1 and page.locator("h1").count() == 1, path
        unnamed = page.locator("input:visible, button:visible, summary:visible, a:visible").evaluate_all(
            "all => all.filter(each => !(each.textContent.trim() || each.labels?.length)).map(each => each.outerHTML)"
        )
        assert unnamed == [], path
    refused = [each for each in page.complaints if "404" not in each]  # the page that is not there
    assert refused == []


def test_images_and_tools(page: Any, address: str) -> None:
    """Images are shown, and a tool's call unfolds by keyboard."""
    page.goto(address + "/session?id=s")
    image = page.locator("article img").first
    image.scroll_into_view_if_needed()
    assert image.evaluate("each => each.decode().then(() => each.naturalWidth)") == 3
    page.locator("details.tool > summary").first.focus()
    page.keyboard.press("Enter")
    page.locator("details.tool .result").first.wait_for(state="visible")


def test_a_table_on_a_phone(page: Any, site: Site, address: str) -> None:
    """No word of a table is broken; a table that is wider than its message is scrolled there. A heading is bold."""
    rows = "| Surname | Amount | A long heading of a column | Another long heading |\n| --- | --- | --- | --- |\n"
    site.agent("table", text(f"{rows}| Lovelace | 1,000,000 | x | {'u' * 80} |"))("go")
    page.set_viewport_size({"width": 375, "height": 800})
    page.goto(address + "/session?id=table")
    for word in ("Surname", "Amount", "Lovelace", "1,000,000"):
        cell = page.get_by_text(word, exact=True)
        all_of_it = "const all = document.createRange(); all.selectNodeContents(each)"
        assert cell.evaluate(f"each => {{{all_of_it}; return all.getClientRects().length}}") == 1, word
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.locator(".markdown table").evaluate("each => each.scrollWidth > each.clientWidth")
    assert int(page.locator(".markdown th").first.evaluate("each => getComputedStyle(each).fontWeight")) >= 600


def test_live(page: Any, site: Site, address: str) -> None:
    """New messages come in while the page is open."""
    agent = site.agent("live", text("first answer"), text("second answer"))
    agent("one")
    page.goto(address + "/session?id=live")
    page.get_by_text("first answer").wait_for()
    page.evaluate("window.mark = 1")
    agent("two")
    page.get_by_text("second answer").wait_for()
    assert page.evaluate("window.mark") == 1, "the page was not loaded anew"
    assert page.complaints == []


def test_live_of_several_agents(page: Any, site: Site, address: str) -> None:
    """What any of them says comes in, and so does an agent that was not there before; what was unfolded stays so."""
    first = site.agent(
        "several", text("first answer"), tools(use("add", {"a": 1, "b": 2}, "t")), text("3"), agent_id="a"
    )
    second = site.agent("several", text("second answer"), text("third answer"), agent_id="b")
    first("one")
    second("one")
    page.goto(address + "/session?id=several")
    page.evaluate("window.mark = 1")
    first("two")
    page.get_by_text("answer").first.wait_for()
    page.locator("details.tool > summary").click()
    page.evaluate("document.activeElement.blur()")
    second("three")
    page.get_by_text("third answer").wait_for()
    assert page.locator("details.tool[open]").count() == 1
    site.agent("several", text("fourth answer"), agent_id="c")("four")
    page.get_by_text("fourth answer").wait_for()
    assert page.locator("section.column").count() == 3
    assert page.evaluate("window.mark") == 1 and page.complaints == []


@pytest.mark.parametrize("agents", [1, 2])
def test_nothing_is_missed_before_the_stream_is_open(page: Any, site: Site, address: str, agents: int) -> None:
    """What is stored after a page was read comes in as soon as its stream begins."""
    session_id = f"early{agents}"
    writers = [
        site.agent(session_id, text("an answer"), text("a late answer"), agent_id=f"agent{number}")
        for number in range(agents)
    ]
    for writer in writers:
        writer("one")

    def write_first(route: Any) -> None:
        writers[0]("two")
        route.continue_()

    page.route("**/events?*", write_first, times=1)
    page.goto(address + f"/session?id={session_id}")
    page.get_by_text("a late answer").wait_for()
    assert page.complaints == []


def test_an_older_answer_is_not_the_last(page: Any, site: Site, address: str) -> None:
    """The page is read anew by one request at a time."""
    agent = site.agent("slow", text("first answer"), text("second answer"), text("third answer"))
    agent("one")
    page.goto(address + "/session?id=slow")
    held: list[tuple[Any, Any]] = []
    page.route("**/session?*", lambda route: held.append((route, route.fetch())), times=1)
    agent("two")
    while not held:
        page.wait_for_timeout(50)
    agent("three")
    page.wait_for_timeout(3000)  # more than the server waits before it asks again
    route, answer = held[0]
    route.fulfill(response=answer)
    page.get_by_text("second answer").wait_for()
    page.get_by_text("third answer").wait_for()


def test_a_page_that_cannot_be_read_anew(page: Any, site: Site, address: str) -> None:
    """It says that there is more, and links to it."""
    agent = site.agent("unread", text("first answer"), text("second answer"), text("third answer"))
    agent("one")
    page.goto(address + "/session?id=unread")
    page.route("**/session?*", lambda route: route.fulfill(status=503), times=1)
    agent("two")
    page.get_by_role("status").get_by_role("link").click()
    page.get_by_text("second answer").wait_for()
    page.route("**/session?*", lambda route: route.abort(), times=1)
    agent("three")
    page.get_by_role("status").get_by_role("link").click()
    page.get_by_text("third answer").wait_for()


def test_no_message_is_between_two_pages(page: Any, site: Site, address: str) -> None:
    """Those that new ones push off a page are on the page before it, to which the link then leads."""
    agent = site.agent("pushed", *(text(f"answer {number};") for number in range(30)))
    for number in range(24):
        agent(f"prompt {number};")
    page.goto(address + "/session?id=pushed")
    assert page.get_by_role("link", name="Older messages").count() == 0  # 48 fit on a page of 50
    for number in range(24, 27):
        agent(f"prompt {number};")
        page.get_by_text(f"answer {number};").wait_for()
    page.get_by_role("status").get_by_text("new message").wait_for()
    assert page.get_by_text("54 messages in 1 agent").count() == 1
    assert page.get_by_text("54 in the transcript").count() == 1
    page.get_by_role("link", name="Older messages").click()
    page.get_by_text("prompt 1;").wait_for()
    assert page.get_by_text("answer 1;").count() == 1 and page.get_by_text("prompt 2;").count() == 0


def test_a_link_to_what_is_new_at_an_anchor(page: Any, site: Site, address: str) -> None:
    """It reads the page anew although the address names a place in it, as after "To the newest"."""
    agent = site.agent("anchored", text("first answer"), text("second answer"))
    agent("one")
    page.goto(address + "/session?id=anchored#end")
    page.route("**/session?*", lambda route: route.fulfill(status=503), times=1)
    agent("two")
    page.get_by_role("status").get_by_role("link").click()
    page.get_by_text("second answer").wait_for()


def test_what_was_unfolded_stays_so(page: Any, site: Site, address: str) -> None:
    """In an agent's own head too, of one agent and of several."""
    for name, count in (("head1", 1), ("head2", 2)):
        agents = [
            site.agent(name, text("first answer"), text("second answer"), agent_id=f"a{number}", state={"n": 1})
            for number in range(count)
        ]
        for agent in agents:
            agent("one")
        page.goto(address + f"/session?id={name}")
        page.get_by_text("Agent state").first.click()
        page.evaluate("document.activeElement.blur()")
        agents[0]("two")
        page.get_by_text("second answer").wait_for()
        assert page.locator("section header details[open]").count() == 1


HIDE = "hidden => { Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true});"
HIDE += "document.dispatchEvent(new Event('visibilitychange')) }"


def test_a_hidden_page_holds_no_connection(page: Any, site: Site, address: str) -> None:
    """Its stream ends, and what has come in meanwhile is there once it is looked at again."""
    agent = site.agent("hidden", text("first answer"), text("second answer"), text("third answer"))
    agent("one")
    with page.expect_request("**/events?*"):
        page.goto(address + "/session?id=hidden")
    with page.expect_event("requestfailed", lambda request: "/events?" in request.url):
        page.evaluate(HIDE, True)
    agent("two")
    with page.expect_request("**/events?*"):
        page.evaluate(HIDE, False)
    page.get_by_text("second answer").wait_for()
    agent("three")
    page.get_by_text("third answer").wait_for()
    assert page.complaints == []


def test_a_stream_that_ended_is_told_of(page: Any, site: Site, address: str) -> None:
    """Where the server refuses it, and where the session is gone."""
    for name, words in (("refused", "no longer come in by themselves"), ("gone", "The session is gone")):
        site.agent(name, text("an answer"))("one")
        if name == "refused":
            page.route("**/events?*", lambda route: route.fulfill(status=429))
        page.goto(address + f"/session?id={name}")
        page.get_by_text("an answer").wait_for()
        if name == "gone":
            site.sessions.delete(name)
        page.get_by_role("status").get_by_text(words).wait_for()
        page.unroute("**/events?*")


def test_without_javascript(browser: Any, site: Site, address: str) -> None:
    """A session is renamed, set back and deleted with forms alone."""
    site.agent("plain", text("a"), text("b"))("one")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + "/session?id=plain")
    page.get_by_text("Rename, tag or copy").click()
    page.get_by_label("Title").fill("A title")
    page.get_by_role("button", name="Save").click()
    assert page.locator("h1").inner_text() == "A title"
    page.get_by_label("Actions on message 0").click()
    page.get_by_role("button", name="Rewind to here: message 0").click()
    assert [record.in_window for record in site.sessions.messages("plain").messages] == [True, False]
    page.get_by_role("link", name="Delete …").click()
    page.get_by_label("I am sure").check()
    page.get_by_role("button", name="Delete the session").click()
    assert page.url == address + "/"
    assert "plain" not in [each.session_id for each in site.sessions.list().sessions]
    context.close()


def test_login(page: Any, site: Site) -> None:
    """With the token in a form; it stands in no address."""
    with served(pages_app(site.database, auth_token=TOKEN)) as address:
        page.goto(address + "/session?id=s")
        assert page.url == address + "/login"
        page.get_by_label("The token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Sessions").wait_for()
        assert page.url == address + "/" and page.evaluate("document.cookie") == ""
        page.goto(address + "/session?id=s")
        assert "add" in page.locator("main").inner_text()
        page.goto("about:blank")
