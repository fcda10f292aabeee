"""What the installed Strands has of long-term memory."""

from __future__ import annotations

import importlib.util

from ...agents.features import needs

MEMORY = importlib.util.find_spec("strands.memory") is not None

needs_memory = needs(MEMORY, "memory stores")
