"""What memories are searched by: pure, no database."""

from __future__ import annotations

import random

import pytest

from strands_persql.stores.memory import MAX_QUERY_WORDS
from strands_persql.stores.words import words_of, words_to_find


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada's Café, 2nd floor", "adas cafe 2nd floor"),
        ('don\u2019t NEAR(this) "or" that*', "dont near this or that"),
        ("straße ﬁnd Ⅳ", "strasse find iv"),
        ("उसे हिन्दी पसंद है", "उसे हिन्दी पसंद है"),
        ("Ёлка", "елка"),
        ("co\u00adop\u200bt", "coopt"),
        ("東京都", "東 京 都 東京 京都"),
        ("iPhone手机 15", "iphone 手 机 手机 15"),
        ("ชา", "ช า ชา"),
        ("🙂 — …", ""),
        ("", ""),
        ("x" * 300, "x" * 100),
    ],
)
def test_words(text: str, words: str) -> None:
    """Words are parted, and lose case, accents and signs, in any script."""
    assert words_of(text) == words.split()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("What does the user like?", "user like"),
        ("who am I", "who am i"),
        ("mode mode MODE", "mode"),
        ("東京都", "東京 京都"),
        ("茶", "茶"),
        ("…", ""),
    ],
)
def test_words_to_find(query: str, words: str) -> None:
    """A query is its words, each once, common ones only where there are no others."""
    assert words_to_find(query, most=MAX_QUERY_WORDS) == words.split()


def test_a_long_query() -> None:
    """Of a long query the beginning and the end are searched for."""
    words = [f"w{number}" for number in range(1000)]
    found = words_to_find(" ".join(words), most=MAX_QUERY_WORDS)
    assert len(found) == MAX_QUERY_WORDS
    assert (found[0], found[-1]) == ("w0", "w999")


def test_no_word_is_syntax() -> None:
    """Whatever a text holds, its words are letters, digits and marks, without ASCII signs."""
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    rng = random.Random(seed)
    for _ in range(300):
        text = "".join(chr(rng.choice([rng.randrange(0x250), rng.randrange(0x11_0000)])) for _ in range(30))
        for word in [*words_of(text), *words_to_find(text, most=MAX_QUERY_WORDS)]:
            assert word
            assert all(char.isalnum() or ord(char) > 127 for char in word)
