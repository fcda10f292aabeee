"""Jupyter: the notebook of the page about notebooks, run by nbclient in a kernel of its own, with top-level await."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...project.docs.pages import ROOT, blocks
from ..needed import needed
from .elsewhere import said

needed("nbclient", "ipykernel")

BEFORE = "from strands_persql.testing import OfflineModel\nmodel = OfflineModel()"


class Notebook:
    """A notebook whose cells are run one after the other, as somebody does who tries things.

    Args:
        folder: Where its kernel runs.
    """

    def __init__(self, folder: Path) -> None:
        from nbclient import NotebookClient

        forms: Any = importlib.import_module("nbformat.v4")
        self._new_cell = forms.new_code_cell
        self._book = forms.new_notebook()
        self.client = NotebookClient(self._book, timeout=120, resources={"metadata": {"path": str(folder)}})

    def run(self, source: str) -> dict[str, str]:
        """Run a cell; what its last line is shown as, by the type of each form.

        Raises:
            CellExecutionError: It raised something.
        """
        cell = self._new_cell(source)
        self._book.cells.append(cell)
        self.client.execute_cell(cell, len(self._book.cells) - 1)
        shown: dict[str, str] = {}
        for output in cell.outputs:
            shown.update(output.get("data", {}))
        return shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook stands."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def notebook(folder: Path) -> Iterator[Notebook]:
    """A notebook with the model that the page takes for granted, and the page's first cell."""
    notebook = Notebook(folder)
    with notebook.client.setup_kernel():
        notebook.run(BEFORE)
        notebook.run(cells()[0])
        yield notebook


def cells() -> list[str]:
    """The page's cells."""
    page = ROOT / "docs" / "notebooks.md"
    return [block.code for block in blocks(page.read_text(encoding="utf-8")) if block.language == "python"]


def test_a_cell_that_is_run_again(notebook: Notebook, folder: Path) -> None:
    """It builds the agent anew, with a manager: that one goes on where the earlier one stopped, which is superseded."""
    _, agent, *_ = cells()
    for number in (1, 2, 3):
        notebook.run(agent)
        assert len(said(folder / "agents.db", "user-42")) == 2 * number
    notebook.run("earlier = agent\nagent = Agent(model=model, session_manager=PerSQLSessionManager('user-42', db))")
    assert notebook.run("str(agent('What is my name?')).strip()")["text/plain"] == "'Your name is Ada.'"
    with pytest.raises(Exception, match=r"SessionConflictError.*taken over"):
        notebook.run("await earlier.invoke_async('My name is Grace.')")
    assert said(folder / "agents.db", "user-42")[-1] == ("assistant", "Your name is Ada.")


def test_a_manager_in_a_cell_of_its_own(notebook: Notebook, folder: Path) -> None:
    """The agent's cell, run again, says what to do; done so, it works."""
    notebook.run("session = PerSQLSessionManager('two', db)")
    agent = (
        "agent = Agent(model=model, session_manager=session, callback_handler=None)\nawait agent.invoke_async('Hello.')"
    )
    notebook.run(agent)
    with pytest.raises(Exception, match=r"SessionException.*make its session manager anew"):
        notebook.run(agent)
    notebook.run("session = PerSQLSessionManager('two', db)")
    notebook.run(agent)
    assert len(said(folder / "agents.db", "two")) == 4


def test_a_stream_that_is_left(notebook: Notebook, folder: Path) -> None:
    """`async for` at the top level; a loop that is left, and a cell that is cancelled, leave a session that goes on."""
    build = "agent = Agent(model=model, session_manager=PerSQLSessionManager('three', db), callback_handler=None)\n"
    notebook.run(build + "async for event in agent.stream_async('My name is Ada.'):\n    if 'data' in event: break")
    notebook.run("import asyncio\nasyncio.ensure_future(agent.stream_async('Hello.').__anext__()).cancel()")
    shown = notebook.run(build + "str(await agent.invoke_async('What is my name?')).strip()")
    assert shown["text/plain"] == "'Your name is Ada.'"
    assert said(folder / "agents.db", "three")[0] == ("user", "My name is Ada.")


def test_what_is_shown(notebook: Notebook, folder: Path) -> None:
    """Sessions and messages are tables, and the whole page is a file."""
    _, agent, listed, one, messages, page, *_ = cells()
    notebook.run(agent)
    assert "<table" in notebook.run(listed)["text/html"]
    assert "user-42" in notebook.run(listed)["text/html"]
    assert "<table" in notebook.run(one)["text/html"]
    assert "My name is Ada." in notebook.run(messages)["text/html"]
    notebook.run(page)
    assert "My name is Ada." in (folder / "user-42.html").read_text(encoding="utf-8")
