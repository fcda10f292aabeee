"""Lay out the documentation of several versions as one site, which any web server can serve.

    python scripts/site.py build/site dev=build/docs/html 0.2.0=… 0.1.0=…

Each version gets a folder of its name; the newest release stands in `latest` too, where the first page leads to.
`versions.js` tells the pages' selector (docs/_static/versions.js) which versions there are.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

FIRST_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>strands-persql</title>
<meta http-equiv="refresh" content="0; url=latest/index.html">
<link rel="canonical" href="latest/index.html">
<a href="latest/index.html">The documentation of strands-persql</a>
"""


def lay_out(site: Path, built: dict[str, Path]) -> None:
    """Write the site anew from the folders that Sphinx has built.

    Args:
        site: Where it goes; what stands there is deleted.
        built: The folder of each version: `dev`, then the releases, the newest first.
    """
    shutil.rmtree(site, ignore_errors=True)
    latest = next((name for name in built if name != "dev"), "dev")
    for name, folder in built.items():
        shutil.copytree(folder, site / name)
    shutil.copytree(built[latest], site / "latest")
    versions = [
        {"name": name, "pages": sorted(page.relative_to(folder).as_posix() for page in folder.rglob("*.html"))}
        for name, folder in built.items()
    ]
    told = json.dumps({"latest": latest, "versions": versions})
    (site / "versions.js").write_text(f"window.docsVersions = {told};\n", encoding="utf-8")
    (site / "index.html").write_text(FIRST_PAGE, encoding="utf-8")
    (site / ".nojekyll").touch()  # GitHub's pages leave out folders such as _static otherwise


if __name__ == "__main__":
    target, *pairs = sys.argv[1:]
    lay_out(Path(target), {name: Path(folder) for name, _, folder in (pair.partition("=") for pair in pairs)})
    print(f"site: {', '.join(pair.partition('=')[0] for pair in pairs)}, {target}/index.html")
