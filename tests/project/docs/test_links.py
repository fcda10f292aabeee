"""The links of the pages, the README and the guides: each leads to a page, a heading, a file, or a well-known site."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .pages import (
    DOCS,
    PAGES,
    ROOT,
    anchors,
    blocks,
    links,
    prose,
)

SITES = {
    "cryptography.io",
    "datasette.io",
    "docs.persql.com",
    "github.com",
    "keepachangelog.com",
    "opentelemetry.io",
    "persql.com",
    "semver.org",
    "sqlite.org",
    "strandsagents.com",
}


FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md")]


@pytest.mark.parametrize("page", [*PAGES, *FRONT], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """Links inside the project resolve; those that leave it go to known sites, over HTTPS."""
    for number, target in links(page.read_text("utf-8")):
        where = f"{page.name}:{number} {target}"
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https" and parts.hostname in SITES, where
            continue
        other = (page.parent / parts.path).resolve() if parts.path else page
        assert other.is_file(), where
        assert not parts.fragment or parts.fragment in anchors(other.read_text("utf-8")), where


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_pictures(page: Path) -> None:
    """Each picture says in words what it shows, and is small; a drawing by hand has a title for screen readers."""
    for words, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", prose(page.read_text("utf-8"))):
        path = page.parent / target
        assert words.endswith("."), target
        assert path.stat().st_size < 100_000, target
        if path.suffix == ".svg":
            drawing = path.read_text("utf-8")
            assert "<title" in drawing or "Matplotlib" in drawing, target


def test_every_page_is_in_the_contents() -> None:
    """The index's tables of contents name every page once."""
    index = (DOCS / "index.md").read_text("utf-8")
    named = [
        line.strip()
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
        for line in tree.splitlines()
        if line.strip() and not line.startswith(":")
    ]
    assert sorted(named) == sorted(page.stem for page in PAGES if page.stem != "index")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_are_well_formed(page: Path) -> None:
    """A page has one title, headings that go down one level at a time, closed fences, lines of 120 characters."""
    text = page.read_text("utf-8")
    assert sum(line.startswith("```") for line in text.splitlines()) % 2 == 0
    levels = [len(marks) for marks in re.findall(r"^(#+) ", prose(text), re.MULTILINE)]
    if levels:  # the changelog's own stand in another file
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
    long = [n for n, line in enumerate(prose(text).splitlines(), 1) if len(line) > 120 and "|" not in line]
    assert not long


def test_included_code_is_there() -> None:
    """What a page includes from a file stands in that file, under the names that the page has for it."""
    included = [
        (page, block)
        for page in PAGES
        for block in blocks(page.read_text("utf-8"))
        if block.language == "{literalinclude}"
    ]
    assert included
    for page, block in included:
        text = (page.parent / block.argument).read_text("utf-8")
        options = dict(re.findall(r"^:([\w-]+): *(.*?) *$", block.code, re.MULTILINE))
        tree: ast.AST = ast.parse(text)
        for name in filter(None, options.get("pyobject", "").split(".")):
            tree = next(each for each in ast.walk(tree) if getattr(each, "name", None) == name)
        for mark in ("start-after", "end-before"):
            assert options.get(mark, "").strip('"') in text, f"{page.name}:{block.line}"
