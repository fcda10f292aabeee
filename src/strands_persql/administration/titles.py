"""Texts of messages in one line: the title that a first prompt makes, the preview of a last message. Pure: no I/O."""

from __future__ import annotations

import json
import re

TITLE, PREVIEW = 80, 200
"""The most characters of either."""

_TEXT = re.compile(r'"text":"((?:[^"\\]|\\.)*)')


def cut(text: str, most: int) -> str:
    """A text in one line, cut at a word where it is longer."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    head = line[: most - 1]
    # The character behind tells whether the last word is whole; a word of half the line is cut itself.
    end = most - 1 if line[most - 1] == " " else head.rfind(" ")
    return f"{head[:end] if end >= most // 2 else head}…"


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
