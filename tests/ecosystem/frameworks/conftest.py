"""A database in a file for each test, which other processes open as well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from strands_persql import PerSQL
from strands_persql.client import Database

pytest.register_assert_rewrite("tests.ecosystem.frameworks.elsewhere")

from ..needed import COMPLETE  # noqa: E402
from .elsewhere import DATABASE  # noqa: E402

if COMPLETE:  # what the processes of these tests import, once for all
    os.environ["STRANDS_PERSQL_PRELOADED"] = (
        "ag_ui_strands bedrock_agentcore flask gunicorn.app.wsgiapp strands.multiagent.a2a strands_harness uvicorn"
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "agents.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    """The database, open in this process."""
    with PerSQL(local=file) as client:
        yield client.database(DATABASE)
