"""How Sphinx builds the documentation: see `scripts/docs`."""

from __future__ import annotations

import os
import re
from importlib import metadata
from typing import Any

project = "strands-persql"
author = "the strands-persql contributors"
copyright = "the strands-persql contributors"
version = release = metadata.version("strands-persql")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"strands-persql {release.partition('+')[0]}"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["_static"]
html_css_files = ["width.css"]
if named := os.environ.get("DOCS_VERSION"):  # one version of several in a site
    html_css_files.append("versions.css")
    html_js_files = [("versions.js", {"data-version": named})]
html_show_copyright = False
html_show_sphinx = False

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

# The docstrings' Google sections.
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False

# What signatures name beyond this package is documented elsewhere, and nothing is looked up on the network; what is
# private is not documented.
nitpick_ignore_regex = [(r"py:.*", r"(?!strands_persql\.).*|.*\._.*")]


def _rst(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring's Markdown (fenced code, single backticks) into what Sphinx reads."""
    out: list[str] = []
    fence: str | None = None
    for number, line in enumerate(lines):
        if number and lines[number - 1] == "Returns:":
            # Else napoleon takes what stands before a colon for a type; ours stand in the signature.
            line = re.sub(r"^( +)", r"\1: ", line)
        mark = re.match(r"( *)```(\w*)$", line)
        if mark and fence is None:
            fence = mark[1]
            out += ["", f"{fence}.. code-block:: {mark[2] or 'text'}", ""]
        elif mark:
            fence = None
            out.append("")
        elif fence is not None:
            out.append(f"   {line}" if line else "")
        else:
            out.append(re.sub(r"(?<![`:])`([^`]+)`(?!`)", r"``\1``", line))
    lines[:] = out


def setup(app: Any) -> None:
    """Connect the docstrings' translation, ahead of napoleon's."""
    app.connect("autodoc-process-docstring", _rst, priority=400)
