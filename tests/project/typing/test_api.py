"""`api.py`, which type checkers read, uses everything that is public."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import strands_persql
from strands_persql import testing

API = ast.parse(Path(__file__).with_name("api.py").read_text("utf-8"))
CLASSES = [name for name in strands_persql.__all__ if inspect.isclass(getattr(strands_persql, name))]


def used() -> Iterator[tuple[str, str]]:
    """The classes and names of the attributes that are taken of a class, or of an argument annotated with one."""
    for function in ast.walk(API):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        classes = {each.arg: ast.unparse(each.annotation) for each in function.args.args if each.annotation is not None}
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield classes.get(node.value.id, node.value.id), node.attr


def public_methods(name: str) -> set[str]:
    """The public methods and properties of a class, those of this package's classes that it derives from included."""
    public: type = getattr(strands_persql, name)
    ours = [each for each in public.__mro__ if each.__module__.startswith("strands_persql")]
    return {method for each in ours for method in vars(each) if not method.startswith("_")}


@pytest.mark.parametrize("module", [strands_persql, testing], ids=lambda module: module.__name__)
def test_every_public_name_is_used(module: object) -> None:
    """Each name of `__all__` is imported, and stands somewhere in the code."""
    names = {node.id for node in ast.walk(API) if isinstance(node, ast.Name)}
    assert set(module.__all__) - names == set()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_is_used(name: str) -> None:
    """Of each public class, each public method."""
    assert public_methods(name) - {method for class_, method in used() if class_ == name} == set()
