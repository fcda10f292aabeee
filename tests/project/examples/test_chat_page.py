"""The chat's page in a browser: clicked through as a user does, by keyboard too. Needs Playwright and a Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from .chats import Server, serving

sync_api: Any = pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
expect = sync_api.expect
PATIENCE = 60_000  # milliseconds, on a machine that is busy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a file."""
    with serving(tmp_path_factory.mktemp("chat"), "--pace", "0.005") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM)
        yield running
        running.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """A page of a new user's browser; whatever its console says is a fault."""
    context = browser.new_context(base_url=server.url)
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert said == []


def log_in(page: Any, name: str) -> None:
    page.goto("/")
    page.get_by_label("Your name").fill(name)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def ask(page: Any, prompt: str) -> None:
    page.get_by_label("Message", exact=True).fill(prompt)
    page.keyboard.press("Enter")


def settled(page: Any) -> None:
    """Wait until no answer is under way."""
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


def test_a_user_clicks_through_it(page: Any) -> None:
    """Asked, reloaded, stopped, edited, copied, renamed, deleted; what is said is text, whatever is in it."""
    log_in(page, "Ada")
    messages = page.get_by_role("log").locator("li")
    ask(page, "what is the weather in <b>Oslo</b>?")
    expect(messages.last).to_contain_text("I made that up")
    settled(page)
    expect(page.get_by_text("Used weather")).to_be_visible()
    expect(page.get_by_text('"celsius"')).to_be_hidden()
    page.get_by_text("Used weather").click()
    expect(page.get_by_text('"celsius"')).to_be_visible()
    expect(messages.first).to_contain_text("<b>Oslo</b>")
    expect(page.get_by_role("heading", level=1)).to_have_text("what is the weather in <b>Oslo</b>?")

    ask(page, "count, please")
    expect(messages.last).to_contain_text("1 2 3")
    page.reload()  # the answer goes on meanwhile
    expect(messages.last).to_contain_text("1 2 3")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    settled(page)
    expect(messages.last.get_by_text("stopped", exact=True)).to_be_visible()
    counted = messages.last.locator(".text").inner_text()
    page.reload()
    expect(messages.last.locator(".text")).to_have_text(counted)
    expect(messages).to_have_count(5)

    page.get_by_role("button", name="Edit this message").first.click()
    expect(page.get_by_text("You are editing a message")).to_be_visible()
    expect(messages.first).to_have_class("message user replaced")
    ask(page, "my name is Ada")
    expect(messages.last).to_contain_text("Nice to meet you, Ada.")
    settled(page)
    expect(messages).to_have_count(2)
    page.reload()
    expect(messages).to_have_count(2)

    conversations = page.get_by_role("navigation").locator("li")
    expect(conversations.first).to_contain_text("Nice to meet you, Ada.")
    page.get_by_role("button", name="Go on in a copy that ends here").click()
    expect(conversations).to_have_count(2)
    expect(conversations.first).to_contain_text("(copy)")
    ask(page, "what is my name?")
    expect(messages.last).to_contain_text("Your name is Ada.")
    settled(page)

    conversations.first.get_by_role("button", name="Rename").click()
    page.get_by_label("Title", exact=True).fill("Names")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Names")
    conversations.first.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Cancel").click()
    expect(conversations).to_have_count(2)
    conversations.first.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(conversations).to_have_count(1)
    expect(messages).to_have_count(0)
    page.get_by_role("button", name="Roll three dice").click()
    expect(messages.last).to_contain_text(" = ")
    settled(page)


def test_a_copy_from_before_an_edit(page: Any) -> None:
    """It shows what is asked in it: its messages have the positions of those that the edit took back."""
    log_in(page, "Cora")
    messages = page.get_by_role("log").locator("li")
    for prompt in ("my name is Cora", "what is my name?"):
        ask(page, prompt)
        settled(page)
    page.get_by_role("button", name="Edit this message").last.click()
    ask(page, "how many messages are there?")
    expect(messages.last).to_contain_text("I was given 3")
    settled(page)
    page.get_by_role("button", name="Go on in a copy that ends here").first.click()
    expect(messages).to_have_count(2)
    ask(page, "tell me my name")
    settled(page)
    expect(messages).to_have_count(4)
    page.reload()
    expect(messages.nth(2)).to_contain_text("tell me my name")
    expect(messages).to_have_count(4)
    expect(messages.last).to_contain_text("Your name is Cora.")


def test_a_reload_amid_an_answer(page: Any, server: Server) -> None:
    """What is stored of it already is not shown beside its events."""
    log_in(page, "Rita")
    tab = server.tab("Rita")
    session_id = tab.say(None, "my name is Rita")
    tab.say(session_id, "what is the weather in Oslo?")
    # As the server sends them, but for the end, whatever the pace.
    events: list[dict[str, Any]] = [
        {"type": "begin", "question": 2},
        {"type": "text", "text": "Let me see. "},
        {"type": "tool_call", "id": "call-3", "name": "weather", "input": {"place": "Oslo"}},
        {"type": "tool_result", "id": "call-3", "status": "success", "content": [{"sky": "clear"}]},
        {"type": "text", "text": "In Oslo it is clear. (I made that up.)"},
    ]
    sent = "retry: 3600000\n\n" + "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    page.route("**/api/answers/*", lambda route: route.fulfill(content_type="text/event-stream", body=sent))
    page.goto(f"/#{session_id}")
    page.reload()
    messages = page.get_by_role("log").locator("li")
    expect(messages.last).to_contain_text("I made that up")
    expect(page.get_by_text("Used weather")).to_have_count(1)
    expect(messages).to_have_count(4)


def test_an_answer_that_ends_while_a_page_is_opened(page: Any, server: Server) -> None:
    """It is shown, although there is nothing to follow any more."""
    log_in(page, "Lena")
    tab = server.tab("Lena")
    session_id = tab.say(None, "my name is Lena")

    def answer_first(route: Any) -> None:
        tab.say(session_id, "what is my name?")
        route.continue_()

    page.route("**/api/answers/*", answer_first, times=1)
    page.goto(f"/#{session_id}")
    page.reload()
    expect(page.get_by_role("log").locator("li").last).to_contain_text("Your name is Lena.")


def test_a_question_before_the_list_is_there(page: Any) -> None:
    """It begins a conversation, and what comes late does not leave it."""
    held: list[tuple[Any, Any]] = []
    page.route("**/api/sessions?*", lambda route: held.append((route, route.fetch())), times=1)
    log_in(page, "Quin")
    messages = page.get_by_role("log").locator("li")
    ask(page, "my name is Quin")
    expect(messages.last).to_contain_text("Nice to meet you, Quin.")
    settled(page)
    route, empty = held[0]
    route.fulfill(response=empty)
    page.wait_for_timeout(500)
    expect(page.get_by_role("navigation").locator("li")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("my name is Quin")
    ask(page, "what is my name?")
    expect(messages.last).to_contain_text("Your name is Quin.")


def test_on_a_phone(page: Any) -> None:
    """The conversations are behind a button; nothing is wider than the screen."""
    page.set_viewport_size({"width": 360, "height": 640})
    log_in(page, "Phil")
    ask(page, "tell me a story about " + "a" * 200)
    settled(page)
    navigation = page.get_by_role("navigation")
    expect(navigation).to_be_hidden()
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(navigation).to_be_visible()
    navigation.get_by_role("button", name="tell me").first.click()
    expect(navigation).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_two_users_of_one_browser(page: Any) -> None:
    """Who logs out takes the conversations along."""
    log_in(page, "Ann")
    ask(page, "my name is Ann")
    settled(page)
    address = page.url
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Your name").fill("Ben")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="New conversation")).to_be_visible()
    expect(page.get_by_role("navigation").locator("li")).to_have_count(0)
    expect(page.get_by_role("log").locator("li")).to_have_count(0)
    page.goto("about:blank")
    refused = page.context.request.get(f"/api/sessions/{address.partition('#')[2]}")
    assert refused.status == 404
