"""The errors of this package, wherever they are taken: a copy, another process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from strands_persql import errors

EVERY: list[Any] = [getattr(errors, name) for name in errors.__all__]
PLACE = {"session_id": "s", "agent_id": "a", "message_id": 3, "expected_revision": 1, "stored_revision": 2}


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_can_be_copied_and_sent(kind: Any, again: Callable[[Exception], Exception]) -> None:
    """With its message and all that it knows: a pool whose parent can't load an error breaks as a whole."""
    error = kind("what is wrong; what to do", **(PLACE if kind is errors.SessionConflictError else {}))
    error.__dict__.update(status=409, detail={"kind": "unknown"}, sent=False, retry_after=5.0, __notes__=["a note"])
    other = again(error)
    assert (type(other), other.args, str(other)) == (kind, error.args, str(error))
    assert vars(other) == vars(error) and other is not error
