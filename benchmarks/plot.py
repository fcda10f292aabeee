"""The picture: what a turn takes longer with a session, against the history before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from .contenders import OURS, TITLES
from .report import TITLES as SCENARIOS


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the turns; returns the file, or nothing where no turns were measured."""
    records = [each for each in results["sections"].get("turns", []) if each["contender"] != "none"]
    if not records:
        return []
    scenarios = list(dict.fromkeys(each["scenario"] for each in records))
    figure = Figure(figsize=(4.6 * len(scenarios) + 3.2, 4.4), layout="constrained")
    axes = figure.subplots(1, len(scenarios), sharey=True, squeeze=False)[0]
    for axis, scenario in zip(axes, scenarios, strict=True):
        for name in dict.fromkeys(each["contender"] for each in records):
            points = [each for each in records if (each["contender"], each["scenario"]) == (name, scenario)]
            axis.plot(
                [each["history"] for each in points],
                [each["callbacks"]["median"] for each in points],
                marker="o",
                linewidth=2.2 if name in OURS else 1.2,
                linestyle="-" if name in OURS else "--",
                label=TITLES[name],
            )
        axis.set_xscale("symlog", linthresh=100)
        axis.set_yscale("log")
        axis.set_xlim(left=0)
        axis.set_title(SCENARIOS[scenario])
        axis.set_xlabel("messages before the turn")
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0].set_ylabel("time in the session manager's callbacks, ms (median)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize="small", frameon=False)
    machine = results["machine"]
    figure.suptitle(
        f"{machine['date']} · strands-agents {machine['packages'].get('strands-agents', '?')} · Python "
        f"{machine['python']} · {machine['cores']} cores",
        fontsize="small",
    )
    path = folder / "turns.svg"
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "turns"}):
        figure.savefig(path, metadata={"Date": None})
    return [path]
