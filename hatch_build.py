"""What package indexes show of the README: their page lies elsewhere, so no link in it may be relative.

Where pyproject.toml names the project's `Source` under `project.urls`, links lead there, to the files of this version;
without one they, and pictures, are text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)\[([^\]]+)\]\((?!https:)([^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Gives the package its description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the README into the package's metadata."""
        source = metadata.get("urls", {}).get("Source")

        def absolute(link: re.Match[str]) -> str:
            mark, words, path = link.groups()
            return f"{mark}[{words}]({source}/{'raw' if mark else 'blob'}/v{metadata['version']}/{path})"

        text = RELATIVE.sub(absolute if source else r"\2", Path(self.root, "README.md").read_text("utf-8"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
