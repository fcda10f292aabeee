"""Texts of messages in one line: the title that a first prompt makes, the preview of a last message. Pure: no I/O."""

from __future__ import annotations

import json
import re

TITLE, PREVIEW = 80, 200
"""The most characters of either."""

_TEXT = re.compile(r'"text":"((?:[^"\\]|\\.)*)')

_AROUND = 5
"""How many times the characters of a preview its text has at most, marks included."""

_NESTED = 6
"""How deep marks in marks are taken out: nobody writes deeper, and a text made for it would fill the stack."""

_LINES = re.compile(
    # Fences, rules and a table's second line; then headings, quotations and lists, also in each other.
    r"^(?:[ \t]*(?:```|~~~).*|[-*_|: \t]+$|(?:[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+][ \t]+))+)",
    re.MULTILINE,
)
_INLINE = re.compile(
    r"(?P<ticks>`+)(?P<code>[^`\n]+)(?P=ticks)"
    r"|!?\[(?P<link>[^\[\]\n]*)\]\([^()\s]*\)"
    r"|(?<![0-9A-Za-z*_])(?P<mark>\*{1,3}|_{1,3}|~~)(?=\S)(?P<words>.+?)(?<=\S)(?P=mark)(?![0-9A-Za-z*_])"
    r"|^(?P<row>\|.*\|)[ \t]*$",
    re.MULTILINE,
)


def cut(text: str, most: int) -> str:
    """A text in one line, cut at a word where it is longer."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    head = line[: most - 1]
    # The character behind tells whether the last word is whole; a word of half the line is cut itself.
    end = most - 1 if line[most - 1] == " " else head.rfind(" ")
    return f"{head[:end] if end >= most // 2 else head}…"


def preview(text: str) -> str:
    """What a text begins with, in one line and without Markdown's marks, as words in a list."""
    text = text[: _AROUND * PREVIEW]
    return cut(_unmarked(_LINES.sub("", text)), PREVIEW) or cut(text, PREVIEW)  # a text of marks alone stays


def _unmarked(text: str, left: int = _NESTED) -> str:
    if not left:
        return text

    def words(found: re.Match[str]) -> str:
        if found["code"] is not None:
            return found["code"]
        if found["row"] is not None:
            return _unmarked(found["row"].replace("|", " ").strip(), left - 1)
        return _unmarked(found["link"] if found["link"] is not None else found["words"], left - 1)

    return _INLINE.sub(words, text)


def beginning(found: str) -> str:
    """The text in what `beginning_of` answers: itself, or what begins in the document of a message in parts."""
    if not found.startswith("p"):
        return found[1:]
    text = _TEXT.search(found)
    if text is None:
        return ""
    try:
        words = str(json.loads(f'"{text[1]}"', strict=False))
        return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except ValueError:  # half an escape stands where the beginning ends
        return ""
