"""Turns in local files on a disk that takes 50 ms for each `fsync`: how long the event loop is kept.

It is the soak, in a process of its own whose `fsync` and `fdatasync` are held up by `strace`; without that program
nothing is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .run import Run

DELAY = 0.05
"""Seconds that each call takes longer."""

ROOT = Path(__file__).resolve().parents[1]


def run(run: Run) -> list[dict[str, Any]]:
    """One record a contender, as the soak's."""
    strace = shutil.which("strace")
    if strace is None:
        run.say("slow_disk: left out, since it needs strace")
        return []
    run.say(f"slow_disk: {run.scale.slow_disk_turns:,} turns each")
    with tempfile.TemporaryDirectory(dir=run.folder) as folder:
        command = [strace, "--follow-forks", "--seccomp-bpf", "--trace=fsync,fdatasync", "--output", os.devnull]
        command += [f"--inject=fsync,fdatasync:delay_enter={round(DELAY * 1e6)}", sys.executable, "-m", "benchmarks"]
        command += ["--only", "soak", "--rounds", str(run.scale.slow_disk_turns), "--out", folder]
        command += ["--contenders", ",".join(run.names)]
        subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        file = Path(folder) / "results.json"
        if not file.exists():
            run.say("slow_disk: left out, since strace can't hold up a process here")
            return []
        results = json.loads(file.read_text(encoding="utf-8"))
    records: list[dict[str, Any]] = results["sections"]["soak"]
    return [{**record, "fsync_ms": DELAY * 1e3} for record in records]
