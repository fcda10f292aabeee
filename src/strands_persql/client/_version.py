"""Which release of this package runs."""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata


@lru_cache(maxsize=1)
def installed_version() -> str:
    """The version that is installed; "0" where the sources are used without an installation."""
    try:
        return metadata.version("strands-persql")
    except metadata.PackageNotFoundError:
        return "0"
