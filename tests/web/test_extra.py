"""The extra: what is missing without it is named, and nothing else of the package needs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import strands_persql

from ..processes import python


def ended(code: str) -> str:
    """What a process of its own prints."""
    return subprocess.run([*python(), "-c", code], capture_output=True, encoding="utf-8", check=True).stdout.strip()


def test_the_package_needs_no_extra() -> None:
    """Importing it doesn't import the part that needs the extra, and no other module imports what is in it."""
    assert ended("import sys, strands_persql; print('strands_persql.web' in sys.modules)") == "False"
    source = Path(strands_persql.__file__).parent
    outside = [path for path in source.rglob("*.py") if "web" not in path.relative_to(source).parts]
    needs = re.compile(r"^\s*(import|from) (starlette|anyio|uvicorn)\b", re.MULTILINE)
    assert [path for path in outside if path.parent.name != "cli" and needs.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("missing", ["starlette", "anyio"])
def test_a_missing_extra_is_named(missing: str) -> None:
    """The error says what to install; another missing module is that module's own error."""
    code = f"""
import sys, strands_persql
for name in [name for name in sys.modules if name.partition(".")[0] == {missing!r}]:
    del sys.modules[name]
sys.modules[{missing!r}] = None
try:
    import strands_persql.web
except ModuleNotFoundError as error:
    print(error)
"""
    assert ended(code).endswith("is missing; install the extra: pip install 'strands-persql[web]'")
