"""Which packages a module's tests need: skipped where one is missing, a failure where all should be there."""

from __future__ import annotations

import importlib
import os

import pytest

COMPLETE = os.environ.get("STRANDS_PERSQL_ECOSYSTEM") == "1"
"""Whether `scripts/ecosystem` runs the tests, in an environment that should have everything."""


def needed(*modules: str) -> None:
    """Import these modules, or skip the tests of the module that calls this, at its top.

    Raises:
        ImportError: One is missing, and `scripts/ecosystem` runs.
    """
    for module in modules:
        if COMPLETE:
            importlib.import_module(module)
        else:
            pytest.importorskip(module, reason=f"{module} is not installed", exc_type=ImportError)


def only_here() -> None:
    """Skip the tests of the module that imports what calls this, unless `scripts/ecosystem` runs."""
    if not COMPLETE:
        pytest.skip("scripts/ecosystem runs these", allow_module_level=True)
