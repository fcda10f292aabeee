"""Whatever a session holds is text on its page: nothing of it runs, loads, or styles anything."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from typing import Any

import pytest

from strands_persql.administration.results import MultiAgentSummary
from strands_persql.administration.viewer import session_html, write_session_html

from .pages import Element, parse
from .sessions import (
    Sessions,
    assistant,
    png,
    result,
    use,
    user,
)

HOSTILE = [
    "<script>document.title = 'ran'</script>",
    '"><img src=x onerror="document.title=\'ran\'">',
    "' onmouseover='alert(1)",
    "</style><style>body { display: none }</style>",
    "</pre></details></li></ol></main><h1>over</h1>",
    "javascript:alert(1)",
    "{{ 7*7 }} {% include 'page.css' %} {# gone #}",
    "<!-- <!--> <![CDATA[ ]]> &lt;b&gt; &amp; &#x3c;",
    "<a href='https://example.com/'>here</a>",
]
ALLOWED = {
    "a", "article", "bdi", "blockquote", "body", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "footer",
    "h1", "h2", "h3", "h4", "head", "header", "html", "img", "li", "link", "main", "meta", "nav", "ol", "p", "pre",
    "section", "small", "span", "style", "summary", "time", "title", "ul",
}  # fmt: skip


def everywhere(text: str) -> Sessions:
    """A session with a text wherever one can stand."""
    location = {"type": "s3", "uri": text}
    blocks: list[Any] = [
        {"text": text},
        {"reasoningContent": {"reasoningText": {"text": text, "signature": text}}},
        {"toolUse": {"name": text, "toolUseId": text, "input": {text: [text, {text: text}]}}},
        {"toolResult": {"toolUseId": f"other {text}", "status": text, "content": [{"text": text}, {"json": text}]}},
        {"image": {"format": text, "source": {"bytes": text.encode()}}},
        {"image": {"format": text, "source": {"location": location}}},
        {"document": {"name": text, "format": text, "context": text, "source": {"text": text, "location": location}}},
        {"video": {"format": text, "source": {"bytes": b"1"}}},
        {"audio": {"format": text, "source": {"location": {"type": text}}}},
        {"guardContent": {"text": {"text": text, "qualifiers": [text]}}},
        {
            "citationsContent": {
                "content": [{"text": text}],
                "citations": [
                    {"title": text, "location": {"web": {"url": text}}, "sourceContent": [{"text": text}]},
                    {"title": text, "location": {text: {text: text}}},
                ],
            }
        },
        {"cachePoint": {"type": text, "ttl": text}},
        {"interruptResponse": {"interruptId": text, "response": {text: text}}},
        {text: {text: text}},
        text,
    ]
    metadata = {"custom": {text: text}, "usage": {"inputTokens": text}, "metrics": {"latencyMs": text}}
    messages = [
        {"role": text, "content": blocks, "metadata": metadata},
        assistant(*blocks),
        user({"toolResult": {"toolUseId": text, "status": "error", "content": [{"text": text}, {text: text}]}}),
        {"role": "user", "content": text},
    ]
    interrupt = {"id": text, "name": text, "reason": {text: text}, "response": text}
    data = {
        "type": text,
        "current_task": text,
        "next_nodes_to_execute": [text],
        "node_results": {
            text: {"status": text, "result": {"type": "exception", "message": text}},
            "answered": {"status": text, "result": {"type": "agent_result", "message": assistant(*blocks)}},
        },
        "_internal_state": {"interrupt_state": {"interrupts": {text: interrupt}}},
    }
    return Sessions(
        {"default": messages},
        session_id=text,
        state={"default": {text: text}},
        multi_agents=(MultiAgentSummary(text, text, (text, "default", text), data),),
    )


def attributes(page: Element) -> list[tuple[str, str, str]]:
    """All attributes of a page: tag, name, value."""
    return [(each.tag, name, value) for each in page.all() for name, value in each.attributes.items()]


@pytest.mark.parametrize("text", HOSTILE)
def test_stays_text(text: str) -> None:
    """A hostile text adds no element and no attribute, wherever it stands, and can be read on the page."""
    html = session_html(everywhere(text), text)
    page = parse(html)
    harmless = parse(session_html(everywhere("harmless"), "harmless"))
    assert {each.tag for each in page.all()} <= ALLOWED
    assert sorted(each.tag for each in page.all()) == sorted(each.tag for each in harmless.all())
    names = {(tag, name) for tag, name, _ in attributes(page)}
    assert names == {(tag, name) for tag, name, _ in attributes(harmless)}
    assert page.one("h1").text == text
    assert page.one("title").text == f"Session {text}"
    assert page.text.count(text) >= 25
    assert any(json.dumps(text, ensure_ascii=False) in each.text for each in page.all("pre"))


def test_all_of_them_at_once() -> None:
    """No attribute runs or styles anything; nothing is loaded, and links lead into the page alone."""
    page = parse(session_html(everywhere("".join(HOSTILE)), "".join(HOSTILE)))
    for tag, name, value in attributes(page):
        assert not name.startswith("on")
        assert name not in {"style", "srcdoc", "srcset", "action", "background", "ping", "target"}
        if name in {"href", "src"}:
            assert value.startswith("#" if tag == "a" else "data:"), (tag, name, value)
    ids = [value for _, name, value in attributes(page) if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for tag, name, value in attributes(page) if (tag, name) == ("a", "href")} <= set(ids)


def test_policy() -> None:
    """The policy forbids all but data: images and the page's own style, by its hash, and stands before any content."""
    html = session_html(
        Sessions({"default": [user("a", {"image": {"format": "png", "source": {"bytes": png(2, 2)}}})]}), "user-42"
    )
    page = parse(html)
    metas = page.one("head").all("meta")
    policies = [each for each in metas if each.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert policies[0] in metas[:2]
    directives = dict(part.split(None, 1) for part in policies[0].attributes["content"].split("; "))
    digest = base64.b64encode(hashlib.sha256(page.one("style").text.encode()).digest()).decode()
    assert directives == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_style_loads_nothing() -> None:
    """The style sheet names no address, and can't end its element."""
    style = parse(session_html(Sessions({}), "user-42")).one("style").text
    assert not re.search(r"url\(|@import|@font-face|</|https?:", style)


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<html><script>1</script>",
        b"",
        b"GIF",
        b"\x89PN",
    ],
)
@pytest.mark.parametrize("claimed", ["png", "svg+xml", 'png;x="><script>'])
def test_what_only_claims_to_be_an_image(data: bytes, claimed: str) -> None:
    """What does not begin as a PNG, JPEG, GIF or WebP is named and not shown, whatever it says it is."""
    block = {"image": {"format": claimed, "source": {"bytes": data}}}
    page = parse(session_html(Sessions({"default": [user(block)]}), "user-42"))
    assert not page.all("img")
    assert "Image" in page.one("div", "media").text


def test_unprintable_characters() -> None:
    """Controls and lone surrogates get visible stand-ins, so that the page is UTF-8 and says that they are there."""
    text = "a\x00b\x1bc\x7fd\x85e\ud800f\tg\nh"
    sessions = Sessions({"default": [user(text), assistant(use(text, "1", **{text: text}))]}, session_id=text)
    html = session_html(sessions, text)
    html.encode("utf-8")
    page = parse(html)
    assert page.all("div", "prose")[0].text == "a\u2400b\u241bc\u2421d\ufffde\ufffdf\tg\nh"
    assert "\x00" not in html


@pytest.mark.slow
def test_written_as_returned() -> None:
    """The page that is streamed to a file is the page that is returned, in many pieces."""
    sessions = Sessions({"default": [user(f"{n}") for n in range(2000)]})
    written: list[str] = []

    class File(io.StringIO):
        def write(self, text: str, /) -> int:
            written.append(text)
            return len(text)

    write_session_html(sessions, "user-42", File())
    assert "".join(written) == session_html(sessions, "user-42")
    assert len(written) > 20


def test_no_tool_output_in_attributes() -> None:
    """An id, a class or a title is made by the page, never of a message's text."""
    messages = [assistant(use("NEEDLE", "NEEDLE", q="NEEDLE"), "NEEDLE"), user(result("NEEDLE", "NEEDLE"))]
    page = parse(session_html(Sessions({"NEEDLE": messages}), "user-42"))
    assert not [each for each in attributes(page) if "NEEDLE" in each[2]]
