"""What the tests of the ecosystem share."""

from __future__ import annotations
