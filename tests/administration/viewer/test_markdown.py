"""A model's Markdown on the page: a safe subset of elements, nothing loaded, nothing that was said lost."""

from __future__ import annotations

import os
import random
import re
from typing import Any

import pytest

from strands_persql.administration.viewer import session_html
from strands_persql.administration.viewer._markdown import LONGEST, markdown_html

from ...thorough import THOROUGH
from .pages import Element, parse
from .sessions import Sessions, assistant, user
from .test_safety import HOSTILE

SEED = int(os.environ.get("STRANDS_PERSQL_SEED", "0")) or random.SystemRandom().getrandbits(32)
ALLOWED = {
    "blockquote": set[str](),
    "code": set[str](),
    "em": set[str](),
    "hr": set[str](),
    "li": set[str](),
    "ol": {"start"},
    "p": {"class"},
    "pre": {"class", "dir"},
    "s": set[str](),
    "strong": set[str](),
    "table": set[str](),
    "tbody": set[str](),
    "td": {"class"},
    "th": {"class"},
    "thead": set[str](),
    "tr": set[str](),
    "ul": set[str](),
}


def checked(text: str) -> Element:
    """A text as HTML, taken apart; only allowed elements and attributes are in it."""
    html = markdown_html(text)
    page = parse(html)
    for each in page.all():
        assert set(each.attributes) <= ALLOWED[each.tag], (text, html)
        assert each.attributes.get("class", "") in ("", "code", "center", "heading", "right", "what")
        assert each.attributes.get("start", "0").isdigit() and each.attributes.get("dir", "auto") == "auto"
    return page


def test_what_is_shown() -> None:
    """Fences, tables, lists, emphasis, quotations, headings and rules; languages are named, and columns aligned."""
    page = checked(
        "# Trains\n\nTake *the* **night** ~~bus~~ `train`.\n\n1. one\n2. two\n   - in\n\n> said\n\n---\n\n"
        "```python\nif a < b:\n    run()\n```\n\n| a | b | c |\n| --- | ---: | :-: |\n| 1 | 2 | 3 |\n"
    )
    assert page.one("p", "heading").text == "Trains"
    assert [page.one(tag).text for tag in ("em", "strong", "s", "code", "blockquote")] == [
        "the",
        "night",
        "bus",
        "train",
        "said",
    ]
    assert page.one("pre", "code").text == "if a < b:\n    run()" and page.one("p", "what").text == "python"
    assert [each.text for each in page.one("ol").all("li")] == ["one", "twoin", "in"]
    assert [(each.text, each.classes) for each in page.all("td")] == [("1", set()), ("2", {"right"}), ("3", {"center"})]
    assert page.one("hr")
    assert checked("7. seven").one("ol").attributes == {"start": "7"}


def test_links_are_text() -> None:
    """The words, and the address behind them; images likewise, and nothing is loaded."""
    for text, shown in {
        "[the **docs**](https://a.example/x?y=1&z=2)": "the docs (https://a.example/x?y=1&z=2)",
        "![a cat](https://a.example/cat.png)": "a cat (https://a.example/cat.png)",
        "<https://a.example>": "<https://a.example>",
        "https://a.example": "https://a.example",
        "[a](javascript:alert(1))": "[a](javascript:alert(1))",
        "[a]: https://a.example": "[a]: https://a.example",
        "![a](data:image/svg+xml,x)": "![a](data:image/svg+xml,x)",
    }.items():
        assert checked(text).text == shown


def test_form_is_kept() -> None:
    """Line ends, indentation, entities and HTML stand as they were said."""
    for text in ("a\n    b\n\tc", "&lt;b&gt; &amp;", "<b>bold</b>\n<script>x</script>", "title\n===\nmore", "a\\\nb"):
        assert checked(text).text in (text, text.replace("\\\n", "\n"))


@pytest.mark.slow
def test_what_is_too_much_stands_as_it_is() -> None:
    """A text that is long, or nested deeper than the parser goes, is no Markdown: nothing of it is left out."""
    for text in ("**a** " * (LONGEST // 6 + 1), "> " * 400 + "said", "- " * 400 + "said", "**a" * 15_000, "[" * 40_000):
        page = checked(text)
        assert re.sub(r"\W", "", page.text) == re.sub(r"\W", "", text)


def test_users_and_tools_are_not_parsed() -> None:
    """What a person has typed stands as it was typed; a model's words do not hide behind HTML."""
    messages = [user("**not** bold"), assistant("**bold**", {"text": "<img src=x onerror=alert(1)>"})]
    page = parse(session_html(Sessions({"default": messages}), "user-42"))
    asked, *answered = page.all("div", "prose")
    assert asked.text == "**not** bold" and not asked.all("strong")
    assert answered[0].one("strong").text == "bold"
    assert answered[1].text == "<img src=x onerror=alert(1)>" and not page.all("img")


@pytest.mark.parametrize("text", [*HOSTILE, "[" + "".join(HOSTILE) + "](x)", "```" + "".join(HOSTILE) + "\n```"])
def test_hostile_texts(text: str) -> None:
    """In a text, a link, a table, a list, and as a fence's language."""
    for form in (
        "{}",
        "[{}]({})",
        "![{}]({} '{}')",
        "| {} |\n| --- |\n| {} |",
        "- {}\n  - {}",
        "```{}\n{}\n```",
        "`{}`",
    ):
        checked(form.replace("{}", text))


def test_random_texts() -> None:
    """Pieces of Markdown and of HTML in any order: no other element comes of it, and no letter is lost."""
    print(f"STRANDS_PERSQL_SEED={SEED}")
    chance = random.Random(SEED)
    pieces = [
        *("*", "**", "_", "`", "```", "~~", "[", "](", ")", "!", "<", ">", "<b onclick='x'>", "</pre>", '"', "'", "&"),
        *("\n", "\n\n", "- ", "1. ", "> ", "# ", "    ", "---", ":-:", "|", "\\", "javascript:", "x", "y z", "\u202e"),
    ]
    for _ in range(2000 if THOROUGH else 200):
        text = "".join(chance.choices(pieces, k=chance.randrange(1, 30)))
        page = checked(text)
        letters: Any = re.findall("[xyz]", text)
        assert len(re.findall("[xyz]", page.text)) >= len(letters), text
