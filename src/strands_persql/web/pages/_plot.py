"""Tokens over time as a drawing: SVG that is made here, so that a page needs no script for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from ...administration.overall import Tokens
from ...administration.records import MessageRecord
from ...administration.values import many
from ...administration.viewer.parts import count, moment

WIDTH, HEIGHT = 720, 160
MOST_BARS = 60
_GAP = 0.2
"""Of a bar's place, how much is left free."""


class Amount(NamedTuple):
    """The tokens of an answer, or of a day; `time` is when, in words."""

    name: str
    into: int
    out: int
    time: str


class Bar(NamedTuple):
    """Some amounts that follow each other: how many tokens they are, and where the bar stands."""

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
    """Tokens by message. None where none tells of any."""
    told = [
        (each, each.usage) for each in records if each.usage and (each.usage.input_tokens or each.usage.output_tokens)
    ]
    return _plot([Amount(f"#{each.id}", use.input_tokens, use.output_tokens, _time_of(each)) for each, use in told])


def plot_by_day(days: Mapping[date, Tokens]) -> Plot | None:
    """Tokens by day, those between without any among them. None where there are none."""
    if not days:
        return None
    first, last = min(days), max(days)
    every = (first + timedelta(days=number) for number in range((last - first).days + 1))
    none = Tokens()
    found = ((day, days.get(day, none)) for day in every)
    return _plot([Amount(f"{day:%Y-%m-%d}", own.input_tokens, own.output_tokens, str(day)) for day, own in found])


def _plot(amounts: Sequence[Amount]) -> Plot | None:
    """A drawing of amounts in their order; where there are many, a bar is several. None where they are all nothing."""
    if not any(each.into or each.out for each in amounts):
        return None
    size = -(-len(amounts) // MOST_BARS)
    groups = [amounts[start : start + size] for start in range(0, len(amounts), size)]
    sums = [(sum(each.into for each in group), sum(each.out for each in group)) for group in groups]
    highest = max(into + out for into, out in sums)
    place = WIDTH / max(len(groups), 12)
    bars: list[Bar] = []
    for number, (group, (into, out)) in enumerate(zip(groups, sums, strict=True)):
        in_height, out_height = HEIGHT * into / highest, HEIGHT * out / highest
        what = group[0].name if len(group) == 1 else f"{group[0].name} to {group[-1].name}"
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
    return Plot(tuple(bars), many(highest, "token"), amounts[0].time, amounts[-1].time)


def _time_of(record: MessageRecord) -> str:
    at = moment(record.created_at)
    return at.full if at else ""
