"""Records as a notebook shows them (`_repr_html_`): tables of escaped text. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ..database.encoding import mapping
from .values import sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; None is an empty cell."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, rows))}</tbody></table>"


def messages(rows: Iterable[tuple[int | None, str, str]]) -> str:
    """Messages: position, role and text of each; their line ends are kept."""
    return table(
        ("", "role", "text"), (("inline" if number is None else number, role, text) for number, role, text in rows)
    )


def words_of(message: Mapping[str, Any]) -> str:
    """A message of Strands' in words: its texts, and its tool calls and results by their names."""
    return "\n".join(_blocks(message))


def _blocks(message: Mapping[str, Any]) -> Iterator[str]:
    for block in sequence(message.get("content")):
        for kind, value in mapping(block).items():
            if kind == "text":
                yield str(value)
            elif kind == "toolUse":
                yield f"→ {mapping(value).get('name')}"
            elif kind == "toolResult":
                yield f"← {mapping(value).get('status', 'result')}"
            else:
                yield f"[{kind}]"


def _row(cells: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in cells)}</tr>"


def _cell(value: object) -> str:
    text = "" if value is None else str(value).encode("utf-8", "replace").decode()
    return escape(text).replace("\n", "<br>")
