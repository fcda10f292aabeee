"""Tokens over time as a drawing: SVG that is made here, so that a page needs no script for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...administration.records import MessageRecord
from ...administration.values import many
from ...administration.viewer.parts import count, moment

WIDTH, HEIGHT = 720, 160
MOST_BARS = 60
_GAP = 0.2
"""Of a bar's place, how much is left free."""


class Bar(NamedTuple):
    """Some answers of the model, one after the other: how many tokens they took, and where the bar stands."""

    x: float
    width: float
    y_in: float
    in_height: float
    y_out: float
    out_height: float
    title: str


class Plot(NamedTuple):
    """A drawing, `WIDTH` by `HEIGHT`; `top` is what its highest bar stands for, in words."""

    bars: tuple[Bar, ...]
    top: str
    first: str
    last: str


def plot_of(records: Sequence[MessageRecord]) -> Plot | None:
    """Tokens by message; where there are many, a bar is several. None where none tells of any."""
    told = [each for each in records if each.usage and (each.usage.input_tokens or each.usage.output_tokens)]
    if not told:
        return None
    size = -(-len(told) // MOST_BARS)
    groups = [told[start : start + size] for start in range(0, len(told), size)]
    sums = [
        (
            sum(each.usage.input_tokens for each in group if each.usage),
            sum(each.usage.output_tokens for each in group if each.usage),
        )
        for group in groups
    ]
    highest = max(into + out for into, out in sums) or 1
    place = WIDTH / max(len(groups), 12)
    bars: list[Bar] = []
    for number, (group, (into, out)) in enumerate(zip(groups, sums, strict=True)):
        in_height, out_height = HEIGHT * into / highest, HEIGHT * out / highest
        what = f"#{group[0].id}" if len(group) == 1 else f"#{group[0].id} to #{group[-1].id}"
        bars.append(
            Bar(
                x=round(number * place, 2),
                width=round(place * (1 - _GAP), 2),
                y_in=round(HEIGHT - in_height, 2),
                in_height=round(in_height, 2),
                y_out=round(HEIGHT - in_height - out_height, 2),
                out_height=round(out_height, 2),
                title=f"{what}: {many(into, 'token')} in, {count(out)} out",
            )
        )
    return Plot(tuple(bars), many(highest, "token"), _time_of(told[0]), _time_of(told[-1]))


def _time_of(record: MessageRecord) -> str:
    at = moment(record.created_at)
    return at.full if at else ""
