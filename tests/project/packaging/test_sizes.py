"""The house stays readable: how long modules and functions are, how much a class and a call ask of a reader."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .test_package import tree_of

SOURCE = Path(__file__).resolve().parents[3] / "src" / "strands_persql"
MODULES = sorted(SOURCE.rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> list[Function]:
    """All functions and methods of a module."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, Function)]


def told(path: Path, node: Function | ast.ClassDef) -> str:
    """Where a function or class stands, and its name."""
    return f"{path.relative_to(SOURCE).as_posix()}:{node.lineno} {node.name}"


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


def test_modules_are_short() -> None:
    """No module is over 400 lines."""
    lines = {str(path.relative_to(SOURCE)): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert not {name: count for name, count in lines.items() if count > 400}


def test_functions_are_short() -> None:
    """No function is over 60 lines."""
    found = [(path, function) for path in MODULES for function in functions(path)]
    assert not [told(path, f) for path, f in found if (f.end_lineno or f.lineno) - f.lineno + 1 > 60]


def test_functions_have_few_parameters() -> None:
    """No function has over 6 parameters, but public constructors, `PerSQLSessions.list`, and commands."""
    found = [(path, function) for path in MODULES for function in functions(path) if len(parameters(function)) > 6]
    wide = [told(path, f) for path, f in found if path.parent.name != "cli" and not is_public_constructor(path, f)]
    # Each of the parameters of `list` is one more way to choose.
    assert [each for each in wide if not re.fullmatch(r"administration/sessions\.py:\d+ list", each)] == []


def test_classes_have_one_subject() -> None:
    """No class has more than 15 public methods of its own."""
    crowded = [
        told(path, node)
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(item, Function) and not item.name.startswith("_") for item in node.body) > 15
    ]
    assert not crowded
