"""The names and figures in the pages: those that stand there exist, and what is public stands there."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import strands_persql
import strands_persql.testing
from strands_persql import PerSQL, errors
from strands_persql.administration import records
from strands_persql.client import _bounds, _pool, _retry
from strands_persql.database.tables import MemoryTables, ObjectTables, Tables, Views
from strands_persql.engine.mirror import MAX_PENDING
from strands_persql.engine.threads import INTERRUPTED_SECONDS, MAX_WORKERS

from .pages import (
    DOCS,
    PAGES,
    ROOT,
    blocks,
    prose,
)

REFERENCE = (DOCS / "api.md").read_text("utf-8")


def documented() -> set[str]:
    """The names that the reference documents, in full."""
    module, found = "strands_persql", set[str]()
    for directive, name in re.findall(r"^\.\. (currentmodule|auto\w+):: ([\w.]+)", REFERENCE, re.MULTILINE):
        if directive == "currentmodule":
            module = name
        elif directive != "automodule":
            found.add(name if name.startswith("strands_persql.") else f"{module}.{name}")
    return found


NOT_OURS = {"ValueError", "TypeError", "ImportError", "ConnectionError", "StorageError"}


@pytest.mark.parametrize("module", [strands_persql, strands_persql.testing], ids=lambda module: module.__name__)
def test_all_public_names_are_documented(module: Any) -> None:
    """The reference names each public name."""
    assert {f"{module.__name__}.{name}" for name in module.__all__} <= documented()


def test_what_is_documented_exists() -> None:
    """Each name that the reference documents can be imported from where it says."""
    for name in documented():
        module, _, thing = name.rpartition(".")
        assert hasattr(importlib.import_module(module), thing), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_exist(page: Path) -> None:
    """Each class and error that a page names is public."""
    mentioned = set(re.findall(r"`(PerSQL\w*|\w+Error)\b[^`]*`", prose(page.read_text("utf-8")))) - NOT_OURS
    assert mentioned <= set(strands_persql.__all__)


ATTRIBUTES = {f"strands_persql.{name}" for name in ("session_id", "agent_ids", "rows", "bytes", "retries")}
"""What spans are described by."""


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_import_paths_are_reachable(page: Path) -> None:
    """Each module or name that a page writes with the package before it can be imported from there."""
    text = prose(page.read_text("utf-8"))
    for path in set(re.findall(r"`(strands_persql(?:\.\w+)+)[`(]", text)) - ATTRIBUTES:
        module, _, thing = path.rpartition(".")
        found = vars(importlib.import_module(module)).get(thing)
        assert found is not None or importlib.util.find_spec(path), path


def test_every_error_has_its_remedy() -> None:
    """The page on reliability lists each error."""
    listed = set(re.findall(r"^\| `(\w+Error)` \|", (DOCS / "reliability.md").read_text("utf-8"), re.MULTILINE))
    assert listed == set(errors.__all__)


def test_figures() -> None:
    """The limits that the pages name are those of the code."""
    reliability, hooks = ((DOCS / name).read_text("utf-8") for name in ("reliability.md", "hooks.md"))
    options = inspect.signature(PerSQL).parameters
    assert f"`max_retries` times, {options['max_retries'].default} by default" in reliability
    assert f"| `timeout` | {options['timeout'].default:g} seconds" in reliability
    assert f"later than {_retry.RETRY_SECONDS:g} seconds" in reliability
    assert f"0.25, 0.5, 1 … {_retry.LONGEST_BACKOFF:g} seconds" in reliability
    assert f"| connections of a client | {_pool.MAX_CONNECTIONS} |" in reliability
    assert f"more than {_bounds.MAX_ANSWER_BYTES >> 20} MB" in reliability and "four times as long" in reliability
    assert _bounds.ATTEMPT_TIMEOUTS == 4 and f"get {INTERRUPTED_SECONDS} more seconds" in reliability
    assert f"| worker threads of a process | {MAX_WORKERS}, " in reliability
    assert f"At most {MAX_PENDING:,} rows" in hooks and f"| {MAX_PENDING:,} |" in reliability


def test_tables_exist() -> None:
    """Each table or view that the pages and the README name is one that the package creates."""
    layouts = (Tables(), ObjectTables(), MemoryTables())
    created = {
        name
        for layout in layouts
        for statement in layout.lay_out()
        for name in re.findall(r"CREATE (?:VIRTUAL )?TABLE IF NOT EXISTS (\w+)", statement["sql"])
    }
    created |= set(Views("strands_").names)
    for page in [*PAGES, ROOT / "README.md"]:
        named = set(re.findall(r"`(strands_[a-z]+(?:_[a-z]+)*)`", page.read_text("utf-8"))) - {"strands_persql"}
        assert named <= created, page.name


def test_methods_of_the_administration_are_shown() -> None:
    """The pages show or name each method of `PerSQLSessions`."""
    sessions = getattr(strands_persql, "PerSQLSessions", None)
    if sessions is None:
        pytest.skip("not public yet")
    text = "".join(
        (DOCS / name).read_text("utf-8") for name in ("administration.md", "privacy.md", "moving.md", "data.md")
    )
    methods = {name for name in vars(sessions) if not name.startswith("_")}
    assert {name for name in methods if f".{name}(" not in text and f"`{name}(" not in text} == set()


@pytest.mark.parametrize(
    "kind",
    [
        each
        for each in vars(records).values()
        if dataclasses.is_dataclass(each) and isinstance(each, type) and each is not records.Joined  # has no JSON form
    ],
    ids=lambda kind: kind.__name__,
)
def test_fields_of_records_are_documented(kind: type[Any]) -> None:
    """The page on messages names each field that the JSON form of a record has, and each type of part."""
    text = (DOCS / "messages.md").read_text("utf-8")
    fields = {each.name for each in dataclasses.fields(kind) if each.metadata.get("json", True)} - {"messages"}
    assert {name for name in fields if f"`{name}`" not in text} == set()
    types = {getattr(kind, "type", None)} if isinstance(getattr(kind, "type", None), str) else set()
    assert {name for name in types if f"| `{name}` |" not in text} == set()


def test_code_is_formatted_like_code() -> None:
    """Blocks of Python are short enough to be read without scrolling, and end with their last line."""
    for page in PAGES:
        for block in blocks(page.read_text("utf-8")):
            where = f"{page.name}:{block.line}"
            assert block.language, f"{where}: name the block's language"
            assert max(map(len, block.code.splitlines()), default=0) <= 120, where
            assert block.code.strip("\n") + "\n" == block.code, where
