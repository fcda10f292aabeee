"""The package as a whole: its public names, its layers, and what must not stand in it."""

from __future__ import annotations

import ast
import functools
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import strands_persql

from ...systems import needs_fork
from ...thorough import THOROUGH

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src" / "strands_persql"
MODULES = sorted(SOURCE.rglob("*.py"))

# From the bottom up: a wing imports from those below it, never from those above.
WINGS = [
    {"errors"},
    {"client", "encryption"},
    {"database"},
    {"engine"},
    {"manager", "hooks", "repository", "testing", "stores"},
    {"administration"},
    {"__init__"},
    {"web"},
    {"cli", "__main__"},
]

PURE = {
    "administration.blanking", "administration.nodes", "administration.notebooks", "administration.records",
    "administration.results", "administration.values", "database.about", "database.decoding", "database.encoding",
    "database.live_window",
    "database.query", "database.retention", "database.rewinds", "database.tables", "database.data_keys",
    "database.resealing", "database.sealing", "database.vault", "engine.copies", "engine.departed",
    "engine.entries",
    "engine.outgoing", "engine.planner", "engine.reader", "engine.repair", "engine.window", "stores.words",
}  # fmt: skip
IO = {
    "asyncio", "concurrent", "ftplib", "http", "io", "multiprocessing", "os", "pathlib", "shutil", "socket",
    "sqlite3", "ssl", "subprocess", "tempfile", "threading", "urllib", "urllib3",
}  # fmt: skip

SQL = re.compile(
    r"\bSELECT\s|\bINSERT\s+(OR|INTO)\b|\bUPDATE\s+\S+\s+SET\b|\bDELETE\s+FROM\b|\bON CONFLICT\s*(\(|DO\b)"
    r"|\bRETURNING\b|\b(CREATE|DROP|ALTER)\s+(TABLE|INDEX|VIEW|TRIGGER|TEMP)\b|\bPRAGMA\s"
    r"|^\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|VACUUM|REPLACE|ATTACH)\b"
)
# What the local engine says to its own connection, and the words it tells statements apart by.
ENGINE = re.compile(r"\s*(PRAGMA|BEGIN|COMMIT|ROLLBACK)\b|\s*\w+\s*$")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The syntax of a file, which many tests look at."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """Return the name of a module's room: `client/_local.py` is part of `client`, `engine/writer.py` is one itself."""
    return room_of(".".join(path.relative_to(SOURCE).with_suffix("").parts))


def room_of(module: str) -> str:
    """Return the room of a module or of a name in it, given what stands behind `strands_persql.`."""
    wing, *rest = module.split(".")
    return ".".join([wing, *rest[:1]]) if wing in {"administration", "database", "engine", "stores"} else wing


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Yield the modules that the file at `path` imports at run time, as full names, `from a import b` as `a.b`."""
    package = ["strands_persql", *path.relative_to(SOURCE).parent.parts]
    todo: list[ast.AST] = [tree_of(path)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo.extend(node.orelse)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and top_level_only:
            continue
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        else:
            todo.extend(ast.iter_child_nodes(node))


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string in the file at `path`, but for those that stand alone, as docstrings do.

    An f-string is one text, with `{}` where it has a value: `f"UPDATE {table} SET …"` is SQL only as a whole.
    """
    todo: list[ast.AST] = [tree_of(path)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.JoinedStr):
            texts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(texts)
            todo.extend(part for part in node.values if not isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        else:
            todo.extend(ast.iter_child_nodes(node))


def project_files() -> Iterator[Path]:
    """Yield the text files of the project: neither what tools leave behind, nor databases."""
    for top in sorted(ROOT.iterdir()):
        left_behind = top.name in {"benchmark-results", "build", "dist"}
        if left_behind or (top.name.startswith(".") and top.name not in {".ci", ".github"}):
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            generated = {"__pycache__", "node_modules"} & set(path.parts) or ".egg-info" in str(path)
            if path.is_file() and not generated and path.suffix not in {".db", ".pyc", ".sqlite"}:
                yield path


def test_version() -> None:
    """It is the installed one's, looked up when it is asked for."""
    assert strands_persql.__version__ == metadata.version("strands-persql")
    assert "__version__" not in vars(strands_persql)
    with pytest.raises(AttributeError, match="strands_persql"):
        strands_persql.nothing  # noqa: B018


def test_all_is_sorted_and_complete() -> None:
    """`__all__` is sorted, and holds the public names of the package and no others."""
    assert list(strands_persql.__all__) == sorted(strands_persql.__all__)
    submodules = {name_of(path).split(".")[0] for path in MODULES}
    public = {name for name in vars(strands_persql) if not name.startswith("_") and name not in submodules}
    assert public - {"annotations"} == {name for name in strands_persql.__all__ if not name.startswith("_")}


def test_names_say_where_they_are_public() -> None:
    """Every documented class is importable from the package itself."""
    documented = {
        "ApprovalRequiredError", "AuthenticationError", "BalanceExhaustedError", "PerSQL", "PerSQLError", "PerSQLHooks",
        "PerSQLMemoryStore", "PerSQLSessionManager", "PerSQLSessionRepository", "PerSQLSessions", "PerSQLStorage",
        "PermissionDeniedError", "RateLimitError", "SessionConflictError", "SessionDataError", "TransportError",
    }  # fmt: skip
    assert documented <= set(strands_persql.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["src", "tests", "examples", "benchmarks", "scripts"])
def test_modules_say_what_they_are(folder: str) -> None:
    """Every module that holds anything begins with a docstring."""
    silent = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (tree := tree_of(path)).body and not ast.get_docstring(tree)
    ]
    assert not silent


@pytest.mark.slow
def test_tests_say_what_they_prove() -> None:
    """Every test has a docstring."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_sql_stands_in_tables_alone() -> None:
    """No module but `tables` holds SQL; the local engine may steer its own connection."""
    engine = {SOURCE / "client" / f"{name}.py" for name in ("_checkpoints", "_gone", "_local", "_store")}
    found: dict[bool, list[str]] = {True: [], False: []}
    for path in MODULES:
        for line, text in strings(path):
            if SQL.search(text) and not (path in engine and ENGINE.match(text)):
                found[name_of(path) == "database.tables"].append(f"{path.relative_to(SOURCE)}:{line} {text}")
    assert found[True], "the pattern finds no SQL even where much of it stands"
    assert not found[False]


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_import_no_io(name: str) -> None:
    """The pure modules import neither I/O nor the agent, and inside the package nothing but pure modules."""
    paths = [path for path in MODULES if name_of(path) == name]
    assert paths
    for imported in (imported for path in paths for imported in imports(path)):
        top, _, rest = imported.partition(".")
        assert top not in IO, imported
        assert not (top == "strands" and not rest.startswith("types.")), imported
        assert not (top == "strands_persql" and room_of(rest) not in PURE | {"errors"}), imported


def test_no_experimental_import_at_the_top() -> None:
    """Modules of Strands that move from release to release are imported where they are used, not with ours."""
    moving = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in MODULES
        for name in imports(path, top_level_only=True)
        if re.match(r"strands\.(experimental|bidi)\b", name)
    ]
    assert not moving


def test_arrows_point_down() -> None:
    """A module imports only from its own wing and those below."""
    height = {name: number for number, wings in enumerate(WINGS) for name in wings}
    upward: list[str] = []
    for path in MODULES:
        mine = name_of(path).split(".")[0]
        assert mine in height, f"{mine} has no floor yet: give it one in WINGS"
        for imported in imports(path):
            top, _, rest = imported.partition(".")
            # `from strands_persql import X`, without a module, is the package itself.
            other = height.get(rest.split(".")[0], height["__init__"])
            if top == "strands_persql" and rest and other > height[mine]:
                upward.append(f"{path.relative_to(SOURCE)} imports {imported}")
    assert not upward


def test_no_cycles() -> None:
    """No room imports itself over others, inside a wing or across."""
    rooms = {name_of(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        names = {room_of(name.partition(".")[2]) for name in imports(path) if name.startswith("strands_persql.")}
        graph.setdefault(name_of(path), set()).update((names & rooms) - {name_of(path)})

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join([*trail, name])
        for other in sorted(graph.get(name, ())):
            walk(other, (*trail, name))

    for name in sorted(graph):
        walk(name, ())


IMPORTS = '''
import gc, importlib, os, sys, traceback, types
import strands_persql, strands_persql.administration.viewer, strands_persql.cli._app, strands_persql.web

# What is not this package's stays imported, and each process finds it there.
for name in [name for name in sys.modules if name.partition(".")[0] == "strands_persql"]:
    del sys.modules[name]
gc.freeze()
root, *names = sys.argv[1:]

# As if the package imported nothing itself: else every import would begin with all of its modules.
package = sys.modules["strands_persql"] = types.ModuleType("strands_persql")
package.__path__ = [root]


def import_each(package):
    """Import each module of a package in a process of its own, where Python has imported the package already."""
    for name in [name for name in names if name.rpartition(".")[0] == package]:
        if os.fork() == 0:
            try:
                importlib.import_module(name)
                import_each(name)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.wait()[1]:
            print(name, flush=True)


import_each("strands_persql")
'''


@pytest.mark.slow
@needs_fork
def test_every_module_imports_alone() -> None:
    """Every module of the package can be the first that a process imports."""
    root = Path(strands_persql.__file__).parent
    names = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in MODULES]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    if not THOROUGH:  # a different part in each run
        packages = {name.rpartition(".")[0] for name in names}
        names = [name for name in names if name in packages or random.random() < 0.2]
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(root), *[name for name in names if name != "strands_persql"]],
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


def test_no_file_names_a_machine() -> None:
    """No file holds a path of somebody's machine, or the host of a package registry."""
    # Character classes keep this file out of its own net.
    private = re.compile(
        r"(?<![\w.])/(?:wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+|tm[p]/la[b])/|[A-Z]:\\User[s]\\|pyp[i][.]org|pythonhoste[d]"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in project_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if private.search(line)
    ]
    assert not found
