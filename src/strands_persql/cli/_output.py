"""What commands print: tables and lines for people, one JSON document for programs, and a progress bar on stderr.

A stored message can't steer the terminal: control characters, and those that change the direction of text, are written
as escapes.
"""

import dataclasses
import io
import json
import math
import re
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Protocol, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..administration.values import many, time_of
from ..database.encoding import encode

_BIDI = "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]")
_LINE_CONTROLS = re.compile(f"[\x00-\x1f\x7f-\x9f{_BIDI}]")
_IN_JSON = re.compile(f"[\x7f-\x9f{_BIDI}]")
_READABLE = 12
"""Characters of a text that stand in a line of a table, at least."""
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def plain(text: str, *, lines: bool = False) -> str:
    """A text with its control characters as escapes, on one line unless it may have several `lines`."""
    if lines:
        text = text.replace("\r\n", "\n").expandtabs(4)
    return (_CONTROLS if lines else _LINE_CONTROLS).sub(_escape, text)


def in_utf8(stream: TextIO) -> TextIO:
    """Standard input or output, for what is UTF-8 whatever the terminal's encoding: an export, a page."""
    if isinstance(cast("object", stream), io.TextIOWrapper):
        cast("io.TextIOWrapper[Any]", stream).reconfigure(encoding="utf-8", errors="strict", newline="\n")
    return stream


def escape_what_cannot_be_shown() -> None:
    """Have standard output write a character that its encoding lacks as an escape, as standard error does."""
    if isinstance(stdout := cast("object", sys.stdout), io.TextIOWrapper):
        cast("io.TextIOWrapper[Any]", stdout).reconfigure(errors="backslashreplace")


class Report(Protocol):
    """Is told the progress: how much is done, and of how much, where that is known."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


class _PipeConsole(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Output:
    """The standard output of one command.

    Args:
        as_json: Whether it is one JSON document.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = _PipeConsole(highlight=False, markup=False, emoji=False, soft_wrap=False)

    @property
    def is_terminal(self) -> bool:
        """Whether a person is reading it."""
        return self.console.is_terminal

    def json(self, value: object) -> None:
        """Write a JSON document."""
        self.write(self.encoded(value) + "\n")

    def answer(self, document: object, line: str) -> None:
        """Write the answer: the document for programs, or the line for people."""
        if self.as_json:
            self.json(document)
        else:
            self.line(line)

    def encoded(self, value: object) -> str:
        """A value as JSON: records as objects, NaN and the infinities as null, bytes as Strands writes them."""
        text = encode(_plain_data(value), what="the answer")
        if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
            return json.dumps(json.loads(text), separators=(",", ":"))
        return _IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)

    def write(self, text: str) -> None:
        """Write a text as it is."""
        sys.stdout.write(text)

    def line(self, text: str | Text = "") -> None:
        """Write a line for people."""
        self.console.print(plain(text) if isinstance(text, str) else text, soft_wrap=True)

    def hanging(self, lead: str | Text, rest: str | Text) -> None:
        """Write a line for people; at a terminal, what it has no room for goes on below its second part."""
        first, second = (Text(plain(each)) if isinstance(each, str) else each for each in (lead, rest))
        if not self.is_terminal:
            self.line(Text.assemble(first, second))
            return
        grid = Table.grid()
        grid.add_column(width=first.cell_len, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(first, second)
        self.console.print(grid)

    def note(self, text: str) -> None:
        """Write a line to stderr, which is no part of the answer."""
        print(plain(text), file=sys.stderr)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Sequence[str] = (),
        head: bool = False,
    ) -> None:
        """Write a table: on a terminal aligned, without empty columns; else with tabs, and column names if `head`.

        At a terminal that is too narrow for the columns, each row is a block of lines, one for each of its cells.
        """
        if not self.is_terminal:
            if head:
                self.write("\t".join(columns) + "\n")
            for row in rows:
                self.write("\t".join(plain(cell) for cell in row) + "\n")
            return
        lines = [[plain(cell) for cell in row] for row in rows]
        # A column that is empty in all rows would take room from the others.
        shown = [place for place in range(len(columns)) if not lines or any(line[place] for line in lines)]
        columns = [columns[place] for place in shown]
        lines = [[line[place] for place in shown] for line in lines]
        # Numbers, and the words of a heading, stay whole; texts go on in the next line, but are not cut into shreds.
        least = [max(map(len, column.split())) for column in columns]
        for place, column in enumerate(columns):
            longest = max((len(line[place]) for line in lines), default=0)
            least[place] = max(least[place], longest if column in right else min(longest, _READABLE))
        if lines and sum(least) + len(least) - 1 > self.console.width:
            self._blocks(columns, lines)
            return
        table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
        for column, width in zip(columns, least, strict=True):
            if column in right:
                table.add_column("\n".join(column.split()), justify="right", no_wrap=True, min_width=width)
            else:
                table.add_column(column, overflow="fold", min_width=width)
        for line in lines:
            table.add_row(*map(Text, line))
        self.console.print(table)

    def _blocks(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        width = max(map(len, columns)) + 1
        for number, row in enumerate(rows):
            if number:
                self.line()
            for column, cell in zip(columns, row, strict=True):
                if cell:
                    self.hanging(Text(column.ljust(width), style="bold"), Text(cell))


def ago(time: str) -> str:
    """How long ago a stored time was, in words; the time itself where it can't be read."""
    moment = time_of(time)
    if moment is None:
        return time or "-"
    seconds = (datetime.now(timezone.utc) - moment).total_seconds()
    if seconds < 0:
        return time
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (86400 * 60, 86400, "d")):
        if seconds < limit:
            return f"{int(seconds // unit)} {name} ago"
    return time[:10]


def size(count: int | None) -> str:
    """A number of bytes in words."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def span(seconds: int) -> str:
    """A length of time in the largest unit that counts it whole."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % unit == 0:
            return many(seconds // unit, name)
    return many(seconds, "second")


@contextmanager
def progress(what: str, total: int | None = None) -> Generator[Report, None, None]:
    """A bar on stderr while something long goes on, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, of=None: None
        return
    columns = (
        SpinnerColumn("line"),  # of characters that every console has
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(plain(what), total=total)
        yield lambda done, of=None: bar.update(task, completed=done, total=total if of is None else of)


def _plain_data(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain_data(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain_data(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain_data(item) for item in cast("list[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
