"""Rewinds: what was taken back, what came before each message, whatever was set back when."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from strands_persql.database.live_window import Range
from strands_persql.database.rewinds import OPENING, Rewind, Rewinds

from ..thorough import tries

THREE = Rewinds((Rewind(3, 10), Rewind(11, 14), Rewind(-1, 16)))
"""4 to 9 were taken back, then 12 and 13, then all."""


def positions(ranges: list[Range]) -> list[int]:
    """The positions in ranges with both ends."""
    return [position for low, high in ranges for position in range(low, (high or 0) + 1)]


@pytest.mark.parametrize(
    ("last", "history"),
    [
        (-1, []),
        (5, [0, 1, 2, 3, 4, 5]),
        (9, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (10, [0, 1, 2, 3, 10]),
        (13, [0, 1, 2, 3, 10, 11, 12, 13]),
        (15, [0, 1, 2, 3, 10, 11, 14, 15]),
        (17, [16, 17]),
    ],
)
def test_what_came_before_a_message(last: int, history: list[int]) -> None:
    """Of one that was taken back too: what its history was when it was said."""
    assert positions(THREE.history(last)) == history


def test_what_stands() -> None:
    """All of the present history; amid a rewind after which nothing was said yet, what that has left."""
    assert positions(Rewinds().standing(2)) == [0, 1, 2]
    assert positions(Rewinds((Rewind(3, 10),)).standing(9)) == [0, 1, 2, 3]
    assert positions(Rewinds((Rewind(3, 10),)).standing(11)) == [0, 1, 2, 3, 10, 11]
    assert positions(Rewinds((Rewind(-1, 10),)).standing(9)) == []
    assert Rewinds().standing(-1) == []


def test_rewinds_are_made() -> None:
    """One takes the place of the last where nothing was said between them; none is made for the last message itself."""
    assert Rewinds().rewound(3, next_id=10) == Rewinds((Rewind(3, 10),))
    assert Rewinds().rewound(3, next_id=10, kept=False) == Rewinds((Rewind(2, 10),))
    assert Rewinds().rewound(0, next_id=10, kept=False) == Rewinds((Rewind(-1, 10),))
    assert Rewinds().rewound(9, next_id=10) == Rewinds()
    assert Rewinds((Rewind(3, 10),)).rewound(5, next_id=10) == Rewinds((Rewind(5, 10),))
    assert Rewinds((Rewind(3, 10),)).rewound(9, next_id=10) == Rewinds()
    # What precedes the first message after a rewind is the message that it follows.
    assert Rewinds((Rewind(3, 10),)).rewound(10, next_id=12, kept=False).items[-1] == Rewind(3, 12)
    assert THREE.cut(13) == Rewinds((Rewind(3, 10),))


def test_rewinds_are_stored() -> None:
    """With the positions at which the present history begins, where a title is looked for."""
    assert Rewinds().render() is None
    text = Rewinds((Rewind(1, 10),)).render()
    assert json.loads(text or "") == {"rewinds": [[1, 10]], "opening": [0, 1, 10, 11]}
    assert json.loads(THREE.render() or "")["opening"] == [16, 17, 18, 19]
    assert json.loads(Rewinds((Rewind(7, 10),)).render() or "")["opening"] == list(range(OPENING))
    assert Rewinds.of_row(THREE.render()) == THREE
    for junk in (None, "", "{", "[]", "7", '{"rewinds": 7}', '{"rewinds": [[5, 3]]}', "[" * 100_000):
        assert Rewinds.of_row(junk) == Rewinds()


@pytest.mark.parametrize(
    "value",
    [{}, 7, [7], [[1]], [[1, 2, 3]], [["1", 2]], [[True, 2]], [[-2, 1]], [[2, 2]], [[0, 5], [1, 5]], [[0, 1 << 60]]],
)
def test_what_is_no_rewinds(value: Any) -> None:
    """Anything but pairs of positions in the order in which they were made."""
    with pytest.raises(ValueError, match=r"it|pair"):
        Rewinds.parse(value)


def test_any_rewinds() -> None:
    """As a list of messages tells that each knows the one before it, whatever is said and set back."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    source = random.Random(seed)
    for _ in range(tries(20, 100)):
        before: list[int] = []  # of each message the one that it follows
        rewinds, head = Rewinds(), -1

        def history(position: int, follows: list[int]) -> list[int]:
            found: list[int] = []
            while position >= 0:
                found.append(position)
                position = follows[position]
            return found[::-1]

        for _ in range(source.randrange(1, 30)):
            if before and source.random() < 0.4:
                at, kept = source.randrange(len(before)), source.random() < 0.5
                rewinds = rewinds.rewound(at, next_id=len(before), kept=kept)
                head = at if kept else before[at]
            else:
                before.append(head)
                head = len(before) - 1
            last = len(before) - 1
            assert positions(rewinds.standing(last)) == history(head, before)
            for position in range(len(before)):
                assert positions(rewinds.history(position)) == history(position, before)
            assert Rewinds.of_row(rewinds.render()) == rewinds
            if rewinds.items and rewinds.items[-1].next > last:
                said = [*history(head, before), *range(last + 1, last + 9)][:OPENING]
                assert json.loads(rewinds.render() or "")["opening"] == said
