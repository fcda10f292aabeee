"""A page taken apart by the standard library's parser, for tests of its structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr"}


@dataclass
class Element:
    """An element of the page."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, with the white space that it has."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def words(self) -> str:
        """All text in it, white space folded; elements stand apart."""
        parts = (child if isinstance(child, str) else f" {child.words} " for child in self.children)
        return " ".join("".join(parts).split())

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    def all(self, tag: str = "", *classes: str) -> list[Element]:
        """The elements in it, at any depth, of this tag and with these classes."""
        return [each for each in self._walk() if tag in ("", each.tag) and set(classes) <= each.classes]

    def one(self, tag: str = "", *classes: str) -> Element:
        """The one such element."""
        found = self.all(tag, *classes)
        assert len(found) == 1, f"{len(found)} elements {tag} {classes}"
        return found[0]

    def _walk(self) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child._walk()


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute stands twice: {attrs}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1].tag == "pre" and not self.open[-1].children:
            data = data.removeprefix("\n")  # as browsers do
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    """The page as a tree; fails where elements are not closed in order."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert builder.open == [builder.root], f"left open: {[each.tag for each in builder.open]}"
    return builder.root


def entries(page: Element) -> list[Element]:
    """The messages on it."""
    return page.all("li", "entry")
