"""The package's own page on an index: links of the README, and what the workflows and nox agree on."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


def description(root: Path, **metadata: Any) -> str:
    """What hatch_build.py makes of the README, given the rest of the metadata."""
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = {"version": "1.2.3", **metadata}
    module.ReadmeHook(str(root), {}).update(made)
    return str(made["readme"]["text"])


def test_links_lead_to_the_source() -> None:
    """Once the project's address is known, pages and pictures are those of the released version."""
    text = description(ROOT, urls={"Source": "https://example.com/acme/strands-persql"})
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all(link.startswith("https://") for link in links)
    assert "(https://example.com/acme/strands-persql/blob/v1.2.3/docs/quickstart.md)" in text
    assert "](https://example.com/acme/strands-persql/raw/v1.2.3/docs/_static/window.svg)" in text
    for path in re.findall(r"/(?:blob|raw)/v1\.2\.3/([^)#\s]+)", text):
        assert (ROOT / path).is_file(), path


def test_links_are_words_without_an_address() -> None:
    """Until then nothing leads nowhere."""
    assert not re.findall(r"\]\((?!https:)[^)]*\)", description(ROOT))


def test_the_night_runs_what_nox_knows() -> None:
    """The workflow names each release of Strands that noxfile.py does."""
    tree = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
    [releases] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RELEASES"
    ]
    [matrix] = re.findall(r"^ +strands: (\[.*\])$", (ROOT / ".github/workflows/nightly.yml").read_text("utf-8"), re.M)
    assert ast.literal_eval(matrix) == releases
