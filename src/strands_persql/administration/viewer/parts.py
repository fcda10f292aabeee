"""What other pages have in common with the viewer's: its templates, its style, and messages as it shows them."""

from __future__ import annotations

from ._conversation import LARGEST_IMAGE, shown
from ._markdown import tokens
from ._page import page_environment, page_style
from ._session import figures_of, kept_of, multi_agent, reported_of, result_facts, window_in_words
from ._text import Shown, count, moment, visible

__all__ = [
    "LARGEST_IMAGE",
    "Shown",
    "count",
    "figures_of",
    "kept_of",
    "moment",
    "multi_agent",
    "page_environment",
    "page_style",
    "reported_of",
    "result_facts",
    "shown",
    "tokens",
    "visible",
    "window_in_words",
]
