"""What this package is to reach, as ratios of one run, and what it reached."""

from __future__ import annotations

from typing import Any

from .agents import SCENARIOS, WINDOW
from .contenders import OURS, PEERS

Record = dict[str, Any]

ROWS = {name: 2 + 2 * len(rounds) for name, rounds in SCENARIOS.items()}
"""Messages of a turn, so rows written."""


def targets(sections: dict[str, list[Record]]) -> list[Record]:
    """Every target that the sections have figures for.

    Returns:
        For each: `target`, what is measured; `contender`; `limit`, the most it may be (or, `exact`, what it must be);
        `measured`; `low` and `high`, its 95 % interval where there is one; `passed`; `note`.
    """
    found: list[Record] = []
    for ours in OURS:
        found += _turns(ours, sections.get("turns", []))
        found += _restores(ours, sections.get("restores", []))
        found += _stalls(ours, sections.get("stalls", []))
        found += _soak(ours, sections.get("soak", []))
        found += _soak(ours, sections.get("slow_disk", []))
        if ours == "persql-overlap":
            found += _overlaps(ours, sections.get("overlaps", []))
        found += _crowds(ours, sections.get("crowds", []))
        found += _costs(ours, sections.get("costs", []))
        found += _requests(ours, sections.get("requests", []))
    return found


def _target(
    what: str, contender: str, limit: float, measured: float | Record | None, *, exact: bool = False, note: str = ""
) -> list[Record]:
    if measured is None:
        return []
    interval = measured if isinstance(measured, dict) else {"ratio": measured}
    value = interval["ratio"]
    return [
        {
            "target": what,
            "contender": contender,
            "limit": limit,
            "exact": exact,
            "measured": round(value, 3),
            "low": interval.get("low"),
            "high": interval.get("high"),
            "passed": value == limit if exact else value <= limit,
            "note": note,
        }
    ]


def _find(records: list[Record], contender: str, **keys: Any) -> Record | None:
    for record in records:
        if record["contender"] == contender and all(record[key] == value for key, value in keys.items()):
            return record
    return None


SHARES = {  # of what File's adds: of a plain turn, and of one that calls tools
    "persql": (0.4, 0.2),
    "persql-overlap": (0.4, 0.2),
    "persql-invocation": (0.3, 0.12),
}


def _turns(ours: str, records: list[Record]) -> list[Record]:
    found: list[Record] = []
    for scenario, words, limit in zip(("plain", "tools"), ("plain turn", "tool turn"), SHARES[ours], strict=True):
        record = _find(records, ours, scenario=scenario, history=0)
        if record is not None:
            found += _target(f"{words}, added, of File's", ours, limit, record.get("ratio_to_file"))
    for record in records:
        if record["contender"] == ours and record["scenario"] == "plain" and record["history"]:
            history = record["history"]
            note = (
                f"in its callbacks {record['callbacks']['median']:.2f} ms; Strands' own turn takes "
                f"{_own(records, history)} ms, and varies by more than that"
            )
            what = f"plain turn after {history:,} messages, in callbacks, of File's there"
            limit = 0.25 if history < 10_000 else 0.3
            found += _target(what, ours, limit, record.get("callbacks_ratio_to_file"), note=note)
    return found


def _own(records: list[Record], history: int) -> str:
    bare = _find(records, "none", scenario="plain", history=history)
    return "?" if bare is None else f"{bare['total']['median']:.0f}"


def _restores(ours: str, records: list[Record]) -> list[Record]:
    found: list[Record] = []
    whole = [record for record in records if record["kind"] == "whole"]
    size = max((record["stored"] for record in whole if record["stored"] <= 10_000), default=0)
    own = _find(whole, ours, stored=size)
    times = {
        name: record["added"]["median"]
        for name in PEERS
        if (record := _find(whole, name, stored=size)) is not None and "added" in record
    }
    if own is not None and times:
        fastest = min(times, key=lambda name: times[name])
        share = own["added"]["median"] / times[fastest]
        note = f"{own['added']['median']:.1f} ms; {fastest} {times[fastest]:.1f} ms"
        found += _target(f"restore of {size:,} messages, of the fastest peer's", ours, 0.7, share, note=note)
    windows = [record for record in records if record["kind"] == "window"]
    longest = max((record["stored"] for record in windows), default=0)
    short, long = _find(windows, ours, stored=WINDOW), _find(windows, ours, stored=longest)
    if short is not None and long is not None and longest > WINDOW:
        share = long["added"]["median"] / short["added"]["median"]
        note = f"{short['added']['median']:.2f} and {long['added']['median']:.2f} ms"
        what = f"restore of {WINDOW} messages out of {longest:,}, of that of {WINDOW} out of {WINDOW}"
        found += _target(what, ours, 1.2, share, note=note)
    return found


def _stalls(ours: str, records: list[Record]) -> list[Record]:
    found: list[Record] = []
    for record in records:
        if record["contender"] == ours and "stall_added" in record:
            words = {"plain": "plain turn", "tools": "tool turn"}[record["scenario"]]
            bare = _find(records, "none", scenario=record["scenario"])
            note = "" if bare is None else f"without a manager {bare['stall_total']['median']:.2f} ms"
            stall, blocked = record["stall_added"]["median"], record["blocked_added"]["median"]
            found += _target(f"longest stall of the loop, added, ms: {words}", ours, 2.0, stall, note=note)
            note = f"of it processor time of the loop's thread {record['blocked_cpu_added']['median']:.2f} ms"
            found += _target(f"all time blocked, added, ms: {words}", ours, 2.0, blocked, note=note)
    return found


def _soak(ours: str, records: list[Record]) -> list[Record]:
    record = _find(records, ours)
    if record is None:
        return []
    note = f"median {record['p50']:.2f}, worst {record['worst']:.2f} ms, log {record['log_bytes'] / 1e6:.1f} MB"
    disk = f", {record['fsync_ms']:g} ms an fsync" if "fsync_ms" in record else ""
    what = f"longest stall in each of {record['turns']:,} local turns{disk}, 99.9 %, above none, ms"
    return _target(what, ours, 2.0, record["above"]["p99_9"], note=note)


def _overlaps(ours: str, records: list[Record]) -> list[Record]:
    record = _find(records, ours)
    if record is None:
        return []
    what = f"turn with a model of {record['model_ms']:g} ms, of that without a manager and one request"
    return _target(what, ours, 1.05, record["ratio_to_turn_and_request"])


def _crowds(ours: str, records: list[Record]) -> list[Record]:
    size = max((record["agents"] for record in records), default=0)
    record = _find(records, ours, agents=size)
    bare = _find(records, "none", agents=size)
    if record is None or bare is None:
        return []
    note = (
        f"{record['total']['median'] / 1e3:.2f} s, CPU {record['cpu']['median'] / 1e3:.2f} s; without "
        f"{bare['total']['median'] / 1e3:.2f} s, CPU {bare['cpu']['median'] / 1e3:.2f} s"
    )
    apart = _find(records, "persql-apart", agents=size) if ours == "persql" else None
    return [
        *_target(f"{size:,} agents at once, of the time without", ours, 1.15, record["ratio_to_none"], note=note),
        *_target(
            f"{size:,} agents at once, a database each, of the time without",
            ours,
            1.5,
            None if apart is None else apart["ratio_to_none"],
        ),
        *_target(f"{size:,} agents at once, threads", ours, 64, record["threads"]),
    ]


def _costs(ours: str, records: list[Record]) -> list[Record]:
    found: list[Record] = []
    for scenario, rows in ROWS.items():
        record = _find(records, ours, scenario=scenario)
        if record is None:
            continue
        repository = _find(records, "repository", scenario=scenario)
        note = f"${record['dollars_per_million']:.2f} a million turns"
        if repository is not None:
            note += f"; the repository ${repository['dollars_per_million']:.2f}"
        requests = {"persql": rows, "persql-invocation": 1}.get(ours)
        if requests is not None:
            found += _target(f"requests, {scenario} turn", ours, requests, record["requests"], exact=True)
        else:
            found += _target(f"requests, {scenario} turn", ours, rows, record["requests"])
        found += _target(f"rows written, {scenario} turn", ours, rows, record["rows_written"], exact=True, note=note)
    record = _find(records, ours, scenario="restore window")
    if record is not None:
        found += _target("requests, restore", ours, 1, record["requests"], exact=True)
    return found


def _requests(ours: str, records: list[Record]) -> list[Record]:
    record, bare = _find(records, ours), _find(records, "http.client")
    if record is None or bare is None:
        return []
    note = f"{record['cpu']['median']:.2f} ms; http.client {bare['cpu']['median']:.2f} ms"
    return _target("processor time of a request, of http.client's", ours, 2.0, record["ratio_to_bare"], note=note)
