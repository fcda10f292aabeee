"""What a model says, as Markdown: parsed for the page and the terminal, and made HTML for the page. Pure.

A safe subset: HTML in it stays text, a link is its words with the address behind them, and nothing is loaded. Line ends
and spaces stay as they were said. It is parsed by markdown-it-py, which comes with rich, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

LONGEST = 50_000
"""Characters of the longest text that is parsed; a longer one stands as it is."""

_DEEPEST = 50
"""Levels of lists and quotations in each other. The parser leaves out what is deeper: such a text stands as it is."""

_OFF = ("autolink", "entity", "html_block", "html_inline", "lheading", "newline", "reference")
"""Rules that would hide what was said, or change it."""

_TAGS = frozenset(
    ("blockquote", "em", "hr", "li", "ol", "p", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul")
)
"""The elements that are made, besides those of code: no other is, whatever the parser finds."""


def tokens(text: str) -> list[Token] | None:
    """A text as the parser's tokens, none of which is a link, an image or HTML; None where it is to stand as it is."""
    if len(text) > LONGEST:
        return None
    found = _parser().parse(text)
    if any(token.level >= _DEEPEST for token in found):
        return None
    for token in found:
        if token.children:
            token.children = list(_without_links(token.children))
    return found


def markdown_html(text: str) -> str:
    """A text as HTML, of the elements named above and no attribute but `class`, `dir` and `start`."""
    found = tokens(text)
    return escape(text) if found is None else "".join(map(_html, found))


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST + 2})
    return parser.enable(["table", "strikethrough"]).disable(list(_OFF))


def _without_links(children: Sequence[Token]) -> Iterator[Token]:
    address = ""
    for token in children:
        if token.type == "link_open":
            address = str(token.attrs.get("href", ""))
        elif token.type == "link_close":
            yield _words(token, f" ({address})")
        elif token.type == "image":
            yield _words(token, f"{token.content} ({token.attrs.get('src', '')})")
        else:
            yield token


def _words(like: Token, text: str) -> Token:
    words = like.copy(type="text", tag="", nesting=0, content=text, children=None)
    words.attrs = {}
    return words


def _html(token: Token) -> str:
    if token.type == "inline":
        return "".join(map(_html, token.children or ()))
    if token.type == "text":
        return escape(token.content)
    if token.type == "code_inline":
        return f"<code>{escape(token.content)}</code>"
    if token.type in ("fence", "code_block"):
        # A parser of HTML drops the first line end inside pre: this one.
        return f'{_language(token)}<pre class="code" dir="auto">\n{escape(token.content.removesuffix(chr(10)))}</pre>'
    if token.type == "hardbreak":
        return "\n"
    return "" if token.hidden else _tag(token)


def _language(token: Token) -> str:
    return f'<p class="what">{escape(token.info.strip())}</p>' if token.info.strip() else ""


def _tag(token: Token) -> str:
    """An element's beginning or end. A heading is a paragraph: the page has headings of its own."""
    is_heading = token.type.startswith("heading")
    name = "p" if is_heading else token.tag
    if name not in _TAGS:
        return escape(token.content)
    if token.nesting < 0:
        return f"</{name}>"
    attributes = ' class="heading"' if is_heading else ""
    if name == "ol" and str(token.attrs.get("start", "")).isdigit():
        attributes = f' start="{token.attrs["start"]}"'
    elif name in ("td", "th") and token.attrs.get("style") in ("text-align:right", "text-align:center"):
        attributes = f' class="{str(token.attrs["style"]).partition(":")[2]}"'  # a style attribute is forbidden
    return f"<{name}{attributes}>"
