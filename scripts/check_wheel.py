"""Check a built wheel: `contents WHEEL` looks into it, `import` imports each of its modules where it is installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re
import sys
import zipfile
from pathlib import Path

WEB = "strands_persql.web"
TEST_DEPENDENCIES = ("hypothesis", "pytest", "syrupy")


def contents(wheel: str) -> None:
    """Fail unless `wheel` holds the package with its type marker and its licence, and nothing else."""
    names = zipfile.ZipFile(wheel).namelist()
    info = [name for name in names if ".dist-info/" in name]
    metadata = zipfile.ZipFile(wheel).read(next(name for name in info if name.endswith("/METADATA"))).decode()
    extras = re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE)
    assert sorted(extras) == ["cli", "encryption", "persql", "web"], (
        f"extras that are nobody's who uses the package: {extras}"
    )
    relative = re.findall(r"\]\((?!https:)[^)]*\)", metadata)
    assert not relative, f"links of the README that lead nowhere from an index's page: {relative}"
    # What stands beside the package is where the command begins.
    modules = [name for name in names if name not in info]
    others = [name for name in modules if not name.startswith("strands_persql/") and name != "_strands_persql.py"]
    entry = next(name for name in info if name.endswith("/entry_points.txt"))
    command = zipfile.ZipFile(wheel).read(entry).decode()
    assert "strands-persql = _strands_persql:main" in command and "_strands_persql.py" in names, "no command"
    assert "strands_persql/py.typed" in names, "no py.typed: type checkers would take the package for untyped"
    assert any(name.endswith("licenses/LICENSE") for name in info), "no licence"
    assert not others, f"more than the package: {others}"
    package = Path(__file__).resolve().parent.parent / "src" / "strands_persql"
    assets = {
        path.relative_to(package.parent).as_posix()
        for folder in ("static", "templates")
        for path in package.rglob(f"{folder}/*")
        if path.is_file()
    }
    missing = assets - set(names)
    assert assets and not missing, f"no templates, so pages would fail: {missing}"
    odd = [name for name in names if name not in {*info, *assets} and not name.endswith((".py", "py.typed"))]
    assert not odd, f"files that are no modules: {odd}"


def import_all() -> None:
    """Import every module of the installed package, in an environment that holds only what it requires."""
    present = [name for name in TEST_DEPENDENCIES if importlib.util.find_spec(name)]
    assert not present, f"not an environment without extras, it has {present}"
    package = importlib.import_module("strands_persql")
    for module in pkgutil.walk_packages(package.__path__, "strands_persql."):
        # The command line's own modules need its extra; the package `cli` itself says so where that is missing.
        if not module.name.endswith(".__main__") and not module.name.startswith(("strands_persql.cli.", WEB)):
            importlib.import_module(module.name)
    try:
        importlib.import_module(WEB)
    except ModuleNotFoundError as error:
        assert "strands-persql[web]" in str(error), f"the error names no extra: {error}"
    for name in package.__all__:
        getattr(package, name)
    for script in importlib.metadata.distribution("strands-persql").entry_points:
        script.load()


if __name__ == "__main__":
    if sys.argv[1] == "contents":
        contents(sys.argv[2])
    else:
        import_all()
