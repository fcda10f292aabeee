"""The house stays readable: how long modules and functions are, how much a class and a call ask of a reader."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .test_package import tree_of

SOURCE = Path(__file__).resolve().parents[3] / "src" / "strands_persql"
MODULES = sorted(SOURCE.rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> list[Function]:
    """All functions and methods of a module."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, Function)]


def parameters(function: Function) -> list[str]:
    """A function's parameters, but for the object or class that it belongs to, and Strands' `**kwargs`."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [argument.arg for argument in given if argument.arg not in ("self", "cls")]


def is_public_constructor(path: Path, function: Function) -> bool:
    """Whether users call it with as many options as the thing they build has."""
    return path.parent in (
        SOURCE,
        SOURCE / "client",
        SOURCE / "stores",
        SOURCE / "administration",
        SOURCE / "web",
    ) and (function.name in ("__init__", "from_token", "open", "sessions_app"))


def test_the_top_is_a_table_of_contents() -> None:
    """The folder listing of the package fits a glance; `cli` and `web` are the two ways in for people."""
    assert len([path for path in SOURCE.iterdir() if path.name != "__pycache__"]) <= 16


def test_the_tests_mirror_the_wings() -> None:
    """A folder for each wing of the package, and for what there is beside it."""
    tests = Path(__file__).resolve().parents[2]
    folders = {path.name for path in tests.iterdir() if path.is_dir() and not path.name.startswith("__")}
    beside = {"agents", "ecosystem", "emulator", "crash", "project"}
    wings = {path.name for path in SOURCE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == wings | beside
    assert len(folders) == 12


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_are_short(path: Path) -> None:
    """No module is over 400 lines."""
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_functions_are_short(path: Path) -> None:
    """No function is over 60 lines; or has over 6 parameters, but constructors, `PerSQLSessions.list`, commands."""
    found = functions(path)
    long = [f"{f.lineno} {f.name}" for f in found if (f.end_lineno or f.lineno) - f.lineno + 1 > 60]
    assert not long
    wide = [f"{f.lineno} {f.name}" for f in found if len(parameters(f)) > 6 and not is_public_constructor(path, f)]
    if path.name == "sessions.py":  # each of its parameters is one more way to choose
        wide = [each for each in wide if not each.endswith(" list")]
    assert not wide or path.parent.name == "cli"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_classes_have_one_subject(path: Path) -> None:
    """No class has more than 15 public methods of its own."""
    crowded = [
        node.name
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(item, Function) and not item.name.startswith("_") for item in node.body) > 15
    ]
    assert not crowded
