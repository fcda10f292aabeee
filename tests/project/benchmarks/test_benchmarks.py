"""The benchmarks at tiny sizes: every section gives its figures, and the results have their shape.

The other packages' managers are not needed; nothing is asserted of any time.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from benchmarks import report
from benchmarks.contenders import ALL, OURS, missing
from benchmarks.measure import Samples, ratio, summary
from benchmarks.run import TINY, Run

from ...processes import ROOT, python

NAMES = [
    name for name in ("none", "file", "snapshot", "snapshot-message", "repository", *OURS) if name not in missing()
]


RUN = """
import json, sys
from benchmarks.machine import machine
from benchmarks.run import TINY, Run
from benchmarks.sections import SECTIONS
from benchmarks.targets import targets

run = Run.of(TINY, sys.argv[1:], quiet=True)
with run.cleaned():
    sections = {name: section(run) for name, section in SECTIONS.items()}
assert not run.folder.exists()
print(json.dumps({"machine": machine(), "scale": "tiny", "sections": sections, "targets": targets(sections)}))
"""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """The results of one run of every section, in a process that has not imported all the tests."""
    ended = subprocess.run([*python(), "-c", RUN, *NAMES], cwd=ROOT, stdout=subprocess.PIPE, timeout=300, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
def test_everyone_takes_part_in_every_section(results: dict[str, Any]) -> None:
    """Each section has a record for each contender that it is about."""
    for name, records in results["sections"].items():
        expected = {
            "turns": {*NAMES, "hand-over"},
            "overlaps": {"none", "repository", "request", *OURS},
            "costs": {"repository", *OURS},
            "crowds": {*NAMES, "persql-apart"},
            "soak": {"none", *OURS},
            "slow_disk": {"none", *OURS} if records else set(),  # without strace there are none
            "requests": {"http.client", "persql"},
        }.get(name, set(NAMES))
        assert {record["contender"] for record in records} == expected, name


def test_turns(results: dict[str, Any]) -> None:
    """Every scenario at every history has a wall time and a CPU time, and managers the time in their callbacks."""
    records = results["sections"]["turns"]
    assert {(record["scenario"], record["history"]) for record in records} == {
        (scenario, history) for scenario in ("plain", "tools", "eight") for history in TINY.histories
    }
    for record in records:
        assert record["total"]["median"] > 0 and record["cpu_total"]["median"] > 0
        assert ("added" in record) == ("callbacks" in record) == (record["contender"] != "none")
        assert ("callbacks_ratio_to_file" in record) == (record["contender"] not in ("none", "file"))


def test_restores(results: dict[str, Any]) -> None:
    """Whole sessions and windows of every size are restored."""
    records = results["sections"]["restores"]
    assert {record["stored"] for record in records if record["kind"] == "whole"} == set(TINY.restores)
    assert {record["stored"] for record in records if record["kind"] == "window"} == set(TINY.windows)


def test_costs(results: dict[str, Any]) -> None:
    """A message is a request and a row; an invocation is one request."""
    bills = {(record["contender"], record["scenario"]): record for record in results["sections"]["costs"]}
    for scenario, messages in (("plain", 2), ("tools", 4), ("eight", 8)):
        assert bills["persql", scenario]["requests"] == messages
        assert bills["persql-invocation", scenario]["requests"] == 1
        assert {bills[name, scenario]["rows_written"] for name in OURS} == {messages}
    plain = bills["persql", "plain"]
    assert plain["bytes_sent"] > 0
    assert plain["dollars_per_million"] == pytest.approx(2 * 0.5 + 2 * 2 + plain["rows_read"] * 0.005)


def test_crowds_and_footprints(results: dict[str, Any]) -> None:
    """Threads, memory and disk are counted."""
    for record in results["sections"]["crowds"]:
        assert record["agents"] in TINY.crowds and record["threads"] >= 1 and record["ratio_to_none"]["ratio"] > 0
    for record in results["sections"]["footprints"]:
        assert record["memory_per_1000"] > 0
        assert (record["disk_per_1000"] > 0) == (record["contender"] != "none")


def test_targets(results: dict[str, Any]) -> None:
    """Every target is measured for the default durability, and the counts are reached."""
    default = {each["target"]: each for each in results["targets"] if each["contender"] == "persql"}
    # Of two turns, File's may by chance take no longer than one without a session: there is no ratio to it then.
    mine = [each for each in results["sections"]["turns"] if each["contender"] == "persql" and not each["history"]]
    without = sum(record.get("ratio_to_file") is None for record in mine if record["scenario"] in ("plain", "tools"))
    slow_disk = bool(results["sections"]["slow_disk"])
    assert len(default) == 5 + 4 + 1 + slow_disk + 3 + 7 + 1 - without
    for each in results["targets"]:
        assert each["passed"] == (
            each["measured"] == each["limit"] if each["exact"] else each["measured"] <= each["limit"]
        )
        assert each["passed"] or not each["target"].startswith(("requests", "rows")), each
    assert any(each["target"].startswith("turn with a model") for each in results["targets"])


def test_written_and_shown(results: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON file holds everything; the tables name everyone, the machine and the targets."""
    files = report.write(results, tmp_path / "out")
    assert json.loads(files[0].read_text(encoding="utf-8")) == json.loads(json.dumps(results))
    assert all(path.stat().st_size > 0 for path in files)
    report.show(results)
    shown = capsys.readouterr().out
    assert {"Targets", results["machine"]["date"], *NAMES} <= {word for word in shown.replace(",", " ").split()}


def test_the_named_alone() -> None:
    """Only those that are named take part, beside agents without a session; an unknown one is refused."""
    assert list(Run.of(TINY, ["persql"]).names) == ["none", "persql"]
    with pytest.raises(ValueError, match="no contender 'redis'; there are none, file"):
        Run.of(TINY, ["redis"])
    for name, lack in missing().items():
        with pytest.raises(ValueError, match=lack):
            Run.of(TINY, [name])
    assert len({each.name for each in ALL}) == len(ALL)


def test_medians() -> None:
    """Differences are taken within a round, and a ratio's interval holds the ratio."""
    samples = Samples()
    for number in range(20):
        samples.add("none", number, 100.0 * number)
        if number % 2:
            samples.add("file", number, 100.0 * number + 4)
            samples.add("ours", number, 100.0 * number + 1)
    assert samples.added("ours") == [1.0] * 10
    assert samples.record("ours", unit=1)["ratio_to_file"] == {"ratio": 0.25, "low": 0.25, "high": 0.25}
    assert summary([3.0, 1.0, 2.0], unit=1) == {"samples": 3, "median": 2.0, "low": 1.0, "high": 3.0, "p95": 3.0}
    found = ratio([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert found is not None and found["low"] <= found["ratio"] == 1.0 <= found["high"]
    assert ratio([1.0], [0.0]) is None
