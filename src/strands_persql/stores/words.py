"""The words of a text, as memories are found by them. Pure: no I/O, no agent."""

from __future__ import annotations

import re
import unicodedata

# Scripts that don't part words by spaces, or put so much into one word that only its parts are found again: Thai, Lao,
# Burmese, Khmer, Hangul, Kana, Han.
_UNPARTED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
_ACCENTS = re.compile("[\u0300-\u036f]")
# What stands inside a word without being part of it: joiners, soft hyphens, the apostrophe of "don't".
_INSIDE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]|(?<=\\w)['\u2019](?=\\w)")
_LONGEST_WORD = 100

# Words that say nothing of what an English query is about.
_COMMON = frozenset(
    re.findall(
        "[a-z]+",
        """a about am an and any are as at be been but by can could did do does for from had has have he her his how i
        if in into is it its me my no not of on or our she should so some than that the their them then there these they
        this those to too us was we were what when where which who whom whose why will with would you your""",
    )
)


def cleaned(text: str) -> str:
    """A text without lone surrogates, which don't survive the way to UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def has_unparted(text: str) -> bool:
    """Whether there are letters of scripts that don't part words by spaces."""
    return not text.isascii() and _UNPARTED.search(unicodedata.normalize("NFKD", text)) is not None


def words_of(text: str) -> list[str]:
    """The words of a text as memories are searched by them: letters and digits alone, without case and accents.

    Of scripts that don't part words, the single letters and the pairs of letters.
    """
    return [piece for word in _split(text) for piece in _pieces(word)]


def words_to_find(query: str, *, most: int) -> list[str]:
    """The words of a query that a search looks for, each once; of more than `most`, the first and the last."""
    found: dict[str, None] = {}
    for word in _split(query):
        pieces = _pieces(word)
        # A pair of letters says more than each of them; one letter is looked for where there is no pair.
        found.update(dict.fromkeys([piece for piece in pieces if len(piece) > 1] if _UNPARTED.match(word) else pieces))
        if _UNPARTED.match(word) and len(word) == 1:
            found[word] = None
    words = [word for word in found if word not in _COMMON] or list(found)
    if len(words) > most:
        words = [*words[: most // 2], *words[-most // 2 :]]
    return words


def _split(text: str) -> list[str]:
    """The words, and the runs of letters of scripts that don't part words."""
    folded = unicodedata.normalize("NFKD", cleaned(text)).casefold()
    folded = unicodedata.normalize("NFC", _INSIDE.sub("", _ACCENTS.sub("", folded)))
    if folded.isascii():
        return [word[:_LONGEST_WORD] for word in re.findall("[a-z0-9]+", folded)]
    # A vowel sign is a mark, no letter, and all the same a part of its word.
    spaced = "".join(char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in folded)
    return [
        run if _UNPARTED.match(run) else run[:_LONGEST_WORD]
        for word in spaced.split()
        for run in _UNPARTED.split(word)
        if run
    ]


def _pieces(word: str) -> list[str]:
    if not _UNPARTED.match(word):
        return [word]
    return [*word, *(word[place : place + 2] for place in range(len(word) - 1))]
