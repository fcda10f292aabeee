"""The page on the architecture: what it names exists, no module is left out, and its layers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..packaging.test_package import WINGS
from .pages import (
    DOCS,
    ROOT,
    blocks,
)

SOURCE = ROOT / "src" / "strands_persql"
PAGE = (DOCS / "architecture.md").read_text("utf-8")
FIGURES = sorted((DOCS / "_static").glob("architecture-*.svg"))
TOP = {path.stem for path in SOURCE.iterdir() if not path.name.startswith(("_", "."))} - {"py"}
FOLDERS = sorted(path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__")
MODULE = re.compile(rf"(?:{'|'.join(FOLDERS)})/\w+")


def modules(folder: str) -> set[str]:
    """The modules and folders of a part of the package, as the page writes them."""
    return {f"{folder}/{path.stem}" for path in (SOURCE / folder).iterdir() if not path.name.startswith("_")}


@pytest.mark.parametrize("path", [DOCS / "architecture.md", *FIGURES], ids=lambda path: path.name)
def test_modules_exist(path: Path) -> None:
    """Each module that the page and its figures name is there."""
    named = set(MODULE.findall(path.read_text("utf-8").replace("tests/", "")))
    assert named or "window" in path.name
    assert not [name for name in sorted(named) if not ((SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file())]


@pytest.mark.parametrize("folder", ["engine", "database"])
def test_no_module_is_left_out(folder: str) -> None:
    """The page says of each module of the two inner parts what it does."""
    assert not modules(folder) - set(MODULE.findall(PAGE)), "say in docs/architecture.md what these do"


def test_no_part_is_left_out() -> None:
    """The page says of each entry of the package's folder what it does."""
    table = PAGE.split("| part of `src/strands_persql` |", 1)[1].split("\n\n", 1)[0]
    first = "".join(line.split("|")[1] for line in table.splitlines()[2:])
    assert set(re.findall(r"`(\w+)/?`", first)) == TOP


def test_layers() -> None:
    """The layers that the page draws are those that a test holds."""
    [drawn] = [block.code for block in blocks(PAGE) if block.code.startswith("cli\n")]
    layers = [set(line.split()) for line in drawn.splitlines()]
    tested = [{name for name in layer if not name.startswith("__")} for layer in reversed(WINGS)]
    assert layers == [layer for layer in tested if layer]


@pytest.mark.parametrize("path", [ROOT / "CONTRIBUTING.md", DOCS / "architecture.md"], ids=lambda path: path.name)
def test_paths_exist(path: Path) -> None:
    """Each file and folder of the repository that a newcomer is sent to is there."""
    named = set(re.findall(r"`((?:src|tests|docs|scripts|\.ci)/[\w./-]+)`", path.read_text("utf-8")))
    assert named
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_newcomers_are_sent_here(name: str) -> None:
    """The README and the guide for contributors lead to the page."""
    assert "](docs/architecture.md)" in (ROOT / name).read_text("utf-8")
