"""The results as tables on the terminal, and as a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Record = dict[str, Any]

TITLES = {"plain": "plain turn", "tools": "tool turn (3 calls)", "eight": "turn of 8 messages"}
WIDTH = 150
"""Columns where the output is no terminal."""


def show(results: dict[str, Any]) -> None:
    """Print every section that ran, and the targets."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    machine = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    console.print(
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, load {machine['load_before']}, "
        f"{machine['system']}, Python {machine['python']}, SQLite {machine['sqlite']}\n{packages}",
        highlight=False,
    )
    for name, records in results["sections"].items():
        for table in TABLES[name](records):
            console.print(table)
    if results["targets"]:
        console.print(_targets(results["targets"]))
        for line in _missed(results["targets"]):
            console.print(line, highlight=False)


def write(results: dict[str, Any], folder: Path) -> list[Path]:
    """Write the results, and the picture where matplotlib is installed; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    files = [path]
    try:
        from . import plot
    except ImportError:
        return files
    return files + plot.draw(results, folder)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    return table


def _groups(records: list[Record], *keys: str) -> dict[tuple[Any, ...], list[Record]]:
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    return groups


def _turns(records: list[Record]) -> list[Table]:
    tables: list[Table] = []
    for (scenario, history), group in _groups(records, "scenario", "history").items():
        table = _table(
            f"Added to a {TITLES[scenario]} after {history:,} messages, ms ('=': the turn itself)",
            *("contender", "median", "95 %", "p95", "of File's", "in callbacks", "of File's", "CPU", "of File's"),
        )
        for each in group:
            within, against = each.get("callbacks"), each.get("callbacks_ratio_to_file")
            median, _, _, share = _added(each, prefix="cpu_")
            table.add_row(
                each["contender"],
                *_added(each),
                f"{within['median']:.3f}" if within else "",
                f"{against['ratio']:.2f}" if against else "",
                median,
                share.partition(" ")[0],
            )
        tables.append(table)
    return tables


def _restores(records: list[Record]) -> list[Table]:
    tables: list[Table] = []
    for (kind, stored), group in _groups(records, "kind", "stored").items():
        words = f"{stored:,} messages" if kind == "whole" else f"a window of 40 out of {stored:,} messages"
        table = _table(f"Added by restoring {words}, ms", "contender", "median", "95 %", "p95", "of File's")
        for each in group:
            table.add_row(each["contender"], *_added(each))
        tables.append(table)
    return tables


def _stalls(records: list[Record]) -> list[Table]:
    tables: list[Table] = []
    for (scenario, request), group in _groups(records, "scenario", "request_ms").items():
        table = _table(
            f"The event loop in a {TITLES[scenario]}, {request:g} ms a request, ms ('=': the turn itself)",
            *("contender", "longest stall, added", "p95", "worst", "all time blocked, added", "p95", "processor time"),
        )
        for each in group:
            stall, _, late, _ = _added(each, prefix="stall_")
            blocked, _, most, _ = _added(each, prefix="blocked_")
            worked = _added(each, prefix="blocked_cpu_")[0]
            table.add_row(each["contender"], stall, late, f"{each['worst_stall_ms']:.2f}", blocked, most, worked)
        tables.append(table)
    return tables


def _soak(records: list[Record]) -> list[Table]:
    if not records:
        return []
    first = records[0]
    disk = f", {first['fsync_ms']:g} ms an fsync" if "fsync_ms" in first else ""
    table = _table(
        f"The event loop's longest stall in each of {first['turns']:,} local turns{disk}, ms",
        *("contender", "median", "99 %", "99.9 %", "worst", "99.9 %, above none", "longest log, MB"),
    )
    for each in records:
        figures = (each[key] for key in ("p50", "p99", "p99_9", "worst"))
        above = f"{each['above']['p99_9']:.2f}" if each["contender"] != "none" else ""
        table.add_row(
            each["contender"], *(f"{figure:.2f}" for figure in figures), above, f"{each['log_bytes'] / 1e6:.1f}"
        )
    return [table]


def _overlaps(records: list[Record]) -> list[Table]:
    if not records:
        return []
    first = records[0]
    table = _table(
        f"A plain turn, {first['request_ms']:g} ms a request, a model of {first['model_ms']:g} ms, ms",
        *("contender", "turn", "95 %", "p95", "of turn + request"),
    )
    for each in records:
        total = each["total"]
        table.add_row(
            each["contender"],
            f"{total['median']:.1f}",
            f"{total['low']:.1f}…{total['high']:.1f}",
            f"{total['p95']:.1f}",
            _ratio(each["ratio_to_turn_and_request"]),
        )
    return [table]


def _crowds(records: list[Record]) -> list[Table]:
    tables: list[Table] = []
    for (size,), group in _groups(records, "agents").items():
        table = _table(
            f"{size:,} agents at once, {group[0]['request_ms']:g} ms a request, a model of {group[0]['model_ms']:g} ms",
            *("contender", "wall time, s", "of that without", "CPU, s", "threads"),
        )
        for each in group:
            table.add_row(
                each["contender"],
                f"{each['total']['median'] / 1e3:.2f}",
                _ratio(each["ratio_to_none"]),
                f"{each['cpu']['median'] / 1e3:.2f}",
                str(each["threads"]),
            )
        tables.append(table)
    return tables


def _costs(records: list[Record]) -> list[Table]:
    tables: list[Table] = []
    for (scenario,), group in _groups(records, "scenario").items():
        table = _table(
            f"At the service: {TITLES.get(scenario, scenario)}",
            *("contender", "requests", "rows read", "rows written", "bytes sent", "$ a million"),
        )
        for each in group:
            table.add_row(
                each["contender"],
                *(f"{each[key]:g}" for key in ("requests", "rows_read", "rows_written")),
                f"{each['bytes_sent']:,}",
                f"{each['dollars_per_million']:.2f}",
            )
        tables.append(table)
    return tables


def _requests(records: list[Record]) -> list[Table]:
    if not records:
        return []
    table = _table(
        "Processor time of a request, the client alone, ms", "contender", "median", "95 %", "p95", "of http.client's"
    )
    for each in records:
        cpu = each["cpu"]
        interval = f"{cpu['low']:.3f}…{cpu['high']:.3f}"
        cells = (f"{cpu['median']:.3f}", interval, f"{cpu['p95']:.3f}", _ratio(each["ratio_to_bare"]))
        table.add_row(each["contender"], *cells)
    return [table]


def _footprints(records: list[Record]) -> list[Table]:
    if not records:
        return []
    table = _table(
        f"A thousand messages, of {records[0]['messages']:,} held, kB",
        *("contender", "in memory", "added by the manager", "on disk"),
    )
    for each in records:
        keys = ("memory_per_1000", "memory_added_per_1000", "disk_per_1000")
        table.add_row(each["contender"], *(f"{each[key] / 1e3:,.0f}" for key in keys))
    return [table]


def _targets(found: list[Record]) -> Table:
    """A row a target and a column a durability, then what stands behind each that was missed."""
    ours = list(dict.fromkeys(each["contender"] for each in found))
    table = _table("Targets", "what", "at most", *ours)
    table.columns[0].no_wrap = False
    for (target,), group in _groups(found, "target").items():
        cells = {each["contender"]: each for each in group}
        table.add_row(target, _limit(group[0]), *(_reached(cells[name]) if name in cells else "" for name in ours))
    return table


def _missed(found: list[Record]) -> list[str]:
    return [
        f"missed by {each['contender']}: {each['target']} ({each['measured']:g}, at most {each['limit']:g})"
        + (f": {each['note']}" if each["note"] else "")
        for each in found
        if not each["passed"]
    ]


def _limit(target: Record) -> str:
    # Requests under "overlap" are at most the messages, under the others exactly so many.
    return f"{'= ' if target['exact'] else ''}{target['limit']:g}"


def _reached(target: Record) -> str:
    interval = f" ({target['low']:.2f}…{target['high']:.2f})" if target["low"] is not None else ""
    words = f"{target['measured']:g}{interval}"
    return words if target["passed"] else f"[bold red]{words} MISSED"


def _added(record: Record, *, prefix: str = "") -> tuple[str, str, str, str]:
    """What a contender adds: median, interval, 95th percentile, ratio to File's; for none, its own times."""
    own = record.get(f"{prefix}added")
    found = own or record[f"{prefix}total"]
    return (
        f"{'' if own else '= '}{found['median']:.3f}",
        f"{found['low']:.3f}…{found['high']:.3f}",
        f"{found['p95']:.3f}",
        _ratio(record.get(f"{prefix}ratio_to_file")),
    )


def _ratio(found: Record | None) -> str:
    if found is None:
        return ""
    interval = f" ({found['low']:.2f}…{found['high']:.2f})" if "low" in found else ""
    return f"{found['ratio']:.2f}{interval}"


TABLES: dict[str, Callable[[list[Record]], list[Table]]] = {
    "turns": _turns,
    "restores": _restores,
    "stalls": _stalls,
    "soak": _soak,
    "slow_disk": _soak,
    "overlaps": _overlaps,
    "crowds": _crowds,
    "costs": _costs,
    "requests": _requests,
    "footprints": _footprints,
}
"""How each section is shown."""
