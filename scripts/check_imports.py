"""Fail where the package imports anything but the standard library, Strands and urllib3, which are what it installs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

# opentelemetry-api is a requirement of Strands.
ALLOWED = sys.stdlib_module_names | {"opentelemetry", "strands", "strands_persql", "urllib3"}
# What a module may import of an extra, where it says so when it is missing.
EXTRAS = {
    "administration/viewer": {"jinja2", "markdown_it"},
    "cli": {"typer", "rich", "uvicorn"},
    "encryption.py": {"cryptography"},
    "web": {"anyio", "jinja2", "starlette"},
}
SOURCE = Path(__file__).resolve().parent.parent / "src" / "strands_persql"


def main() -> int:
    """Print each import that isn't allowed; return how many there are, at most 1 as an exit code."""
    found = [
        f"{path.relative_to(SOURCE.parent)}:{line}: imports {name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line, name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if name.partition(".")[0] not in ALLOWED | extras_of(path.relative_to(SOURCE).as_posix())
    ]
    print("\n".join(found))
    return 1 if found else 0


def extras_of(module: str) -> set[str]:
    """Return what a module, or those of its folder, may import of an extra."""
    return {name for place, names in EXTRAS.items() if f"{module}/".startswith(f"{place}/") for name in names}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the module of each absolute import in `tree`, wherever it stands, but for those of types."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        return  # never run
    if isinstance(tree, ast.Import):
        for alias in tree.names:
            yield tree.lineno, alias.name
    elif isinstance(tree, ast.ImportFrom) and tree.level == 0 and tree.module:
        yield tree.lineno, tree.module
    for node in ast.iter_child_nodes(tree):
        yield from imported(node)


if __name__ == "__main__":
    sys.exit(main())
