"""The page on troubleshooting: each message of the package's errors, its warnings and its command line has an entry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from strands_persql import errors
from strands_persql.client._failures import _PHRASES, REMEDIES

from .pages import DOCS, ROOT

PAGE = (DOCS / "troubleshooting.md").read_text("utf-8")
SOURCE = ROOT / "src" / "strands_persql"
GAP = "…"

TELLING = {*errors.__all__, "ImportError", "ModuleNotFoundError", "Problem", "SessionException"}
METHODS = {"critical", "error", "exception", "log", "warning", "_error", "_log"}
"""Of loggers; and what makes an error of Strands' in `stores`, and a line of the mirror's in `engine`."""
KEYWORDS = {"missing", "unique"}
"""Arguments of the repository's writes: what an error says if they are refused."""

# Errors of arguments are left out: each says what it wants, and the page has one entry for the kind. So are the reasons
# of an import that can't be made, which its error has whole.
OF_ARGUMENTS = {"BadParameter", "TypeError", "ValueError", "malformed"}
WORDING = {"_told", "unreadable"}
"""Functions that make the words of an error."""
NOT_TOLD = {
    "answer",
    "cast",
    "compile",
    "debug",
    "echo",
    "execute",
    "info",
    "isinstance",
    "issubclass",
    "line",
    "note",
    "partition",
}


class Message(NamedTuple):
    """What somebody may read: its literal words, with an ellipsis where a value goes; and where it stands."""

    words: str
    place: str


def literal(node: ast.expr) -> str | None:
    """The words of an expression that is a text; None of any other."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) or GAP for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = literal(node.left), literal(node.right)
        return None if sides == (None, None) else "".join(side or GAP for side in sides)
    return None


def normal(words: str) -> str:
    """A message as the page has it: without the fields of a log line, and each value an ellipsis."""
    words = words.rpartition("> | ")[2].replace("\n", " ").replace('"', "").replace("`", "")
    return re.sub(r"\{\w*(:\w+)?\}|%\w|<%\w>|'…'", GAP, words).strip()


def called(node: ast.AST) -> str:
    """The name of what is called, without what it belongs to; empty of anything but a call."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those below, but for annotations, errors that are caught, and calls that tell nobody anything."""
    if called(node) in OF_ARGUMENTS | NOT_TOLD or isinstance(node, ast.Compare):
        return
    yield node
    if isinstance(node, ast.JoinedStr):
        for child in node.values:
            if isinstance(child, ast.FormattedValue):
                yield from parts(child.value)
        return
    if isinstance(node, ast.expr) and literal(node) is not None:
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or (
            name == "type" and isinstance(node, ast.ExceptHandler)
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from parts(child)


def tells(node: ast.AST, kinds: set[str]) -> bool:
    """Whether a part of a function makes one of these errors, or writes to the log."""
    if isinstance(node, ast.keyword):
        return node.arg in KEYWORDS
    return called(node) in METHODS or (isinstance(node, ast.Name) and node.id in kinds)


def kinds_of(trees: Iterable[ast.Module]) -> set[str]:
    """The names of the errors that people see: the public ones, and those that derive from them."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found, before = set(TELLING), 0
    while len(found) > before:
        before = len(found)
        found |= {each.name for each in classes if found & {getattr(base, "id", "") for base in each.bases}}
    return found


def is_sentence(words: str) -> bool:
    """Whether a text is a message, or enough of one to be looked up by."""
    return len(words.split()) > 3 and len(re.findall(r"[A-Za-z']{2,}", words)) > 2


def body_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """A function without its docstring."""
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def told_in(path: Path, tree: ast.Module, kinds: set[str]) -> Iterator[Message]:
    """The messages of a module: texts in functions that tell, and in the constants that these use.

    What is no sentence is a part of another, or a line of the log.
    """
    assigned = [node for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None]
    constants = {
        target.id: node.value
        for node in assigned
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and node.value is not None
    }
    for unit in tree.body:
        functions = [node for node in ast.walk(unit) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        bodies = [(each.name, [part for node in body_of(each) for part in parts(node)]) for each in functions]
        telling = [body for name, body in bodies if name in WORDING or any(tells(part, kinds) for part in body)]
        used = {part.id for part in parts(unit) if isinstance(part, ast.Name)} & constants.keys() if telling else ()
        texts = [part for body in telling for part in body]
        texts += [part for name in used for part in parts(constants[name])]
        for part in texts:
            words = literal(part) if isinstance(part, ast.expr) else None
            if isinstance(part, ast.expr) and words and ("> | " in words or is_sentence(words)):
                yield Message(normal(words), f"{path.relative_to(SOURCE)}:{part.lineno}")


@cache
def told() -> list[Message]:
    """All messages that stand in the package's source; read when a test asks, not when pytest collects."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    kinds = kinds_of(trees.values())
    found: list[Message] = []
    for path, tree in trees.items():
        # The web service's problems have their own table, on its own page.
        in_web = path.is_relative_to(SOURCE / "web")
        found += told_in(path, tree, kinds - {"Problem"} if in_web else kinds)
    return [*found, *(Message(normal(words), "client/_failures.py") for _, words in _PHRASES)]


def entries() -> list[str]:
    """What the page's entries are looked up by: what stands as code in the terms of its lists."""
    terms = [line for line, after in pairwise(PAGE.splitlines()) if after.startswith(": ")]
    return [normal(phrase) for term in terms for phrase in re.findall(r"`([^`]+)`", term)]


def test_every_message_has_an_entry() -> None:
    """Whoever looks up a message finds it, by words that it has."""
    known = entries()
    lacking = [each for each in told() if not any(phrase in each.words for phrase in known)]
    lines = "\n".join(sorted({f"{each.place}: {each.words}" for each in lacking}))
    assert not lacking, f"say in docs/troubleshooting.md why these come, and what to do:\n{lines}"


def test_every_entry_is_of_a_message() -> None:
    """What the page lists is still what the package says, in words enough to be looked up by."""
    known = entries()
    assert not [phrase for phrase in known if not any(phrase in each.words for each in told())]
    assert not [phrase for phrase in known if len(phrase) < 9]
    assert len(known) == len(set(known))


def test_every_kind_has_an_entry() -> None:
    """The kinds of errors that a statement may have are listed with their remedies."""
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == set(REMEDIES)
