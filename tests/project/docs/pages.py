"""Reads the pages of `docs/`: code blocks, headings, links. Enough of Markdown for how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>```+)(?P<language>[\w{}-]*) *(?P<argument>[^\n]*)$")
_NOTE = re.compile(r"<!--\s*(?P<name>[\w ]+?)(?::\s*(?P<value>.*?))?\s*-->$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: The word behind the fence; empty for none.
        code: What stands in it.
        line: The number of its first line in the page, from 1.
        notes: The comments right before it, `<!-- needs: strands.storage -->`, by name.
        output: What stands in the `text` block right behind it: what it prints.
        argument: What stands behind the language.
    """

    language: str
    code: str
    line: int
    notes: dict[str, str]
    output: str | None = None
    argument: str = ""


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found: list[Block] = []
    lines = text.splitlines()
    notes: dict[str, str] = {}
    adjacent = False  # only blank lines since the last block
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        note, fence = _NOTE.match(line), _FENCE.match(line)
        if note:
            notes[note["name"]] = note["value"] or ""
        elif not fence:
            if line.strip():
                notes, adjacent = {}, False
            continue
        if not fence:
            continue
        first = number
        while lines[number].strip() != fence["fence"]:
            number += 1
        code = "\n".join(each.removeprefix(fence["indent"]) for each in lines[first:number]) + "\n"
        number += 1
        block = Block(fence["language"], code, first + 1, notes, argument=fence["argument"])
        if block.language == "text" and adjacent and found[-1].language == "python":
            before = found[-1]
            found[-1] = Block(before.language, before.code, before.line, before.notes, code)
        else:
            found.append(block)
        notes, adjacent = {}, True
    return found


def prose(text: str) -> str:
    """Return a page without its fenced blocks and comments, line by line as it was."""
    inside = False
    kept: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
            kept.append("")
        else:
            kept.append("" if inside else re.sub(r"<!--.*?-->", "", line))
    return "\n".join(kept)


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings have, as GitHub and MyST make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,3} +(.+?) *$", prose(text), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        name, copy = slug, 0
        while name in found:
            copy += 1
            name = f"{slug}-{copy}"
        found.add(name)
    return found


def links(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and target of each link."""
    for number, line in enumerate(prose(text).splitlines(), 1):
        plain = re.sub(r"`[^`]*`", "", line)
        for target in re.findall(r"\]\(([^)\s]+)\)", plain) + re.findall(r"<(https?:[^>]+)>", plain):
            yield number, target
