"""Records and restores the Graphs and Swarms of a session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..database.encoding import encode
from ..database.tables import Document
from ..errors import SessionDataError
from .outgoing import MultiAgentRow

if TYPE_CHECKING:
    from strands.multiagent.base import MultiAgentBase

    from ..database.decoding import StoredMultiAgent
    from .opening import Opening
    from .options import Written
    from .writer import Writer

__all__ = ["MultiAgentRecorder"]

logger = logging.getLogger(__name__)


class MultiAgentRecorder:
    """The Graphs and Swarms of one session.

    Args:
        writer: Writes what is recorded.
        opening: Reads what is stored.
    """

    def __init__(self, writer: Writer, opening: Opening) -> None:
        self._writer = writer
        self._opening = opening
        self._recorded: dict[str, str] = {}  # the state of each, as last recorded

    def knows(self, source: MultiAgentBase) -> bool:
        """Whether a Graph or Swarm was restored or attached."""
        return getattr(source, "id", None) in self._recorded

    def restore(self, source: MultiAgentBase) -> None:
        """Bring a Graph or Swarm to where its stored session is; one request.

        Raises:
            SessionDataError: Its stored row can't be read.
        """
        stored = self._read(source.id)
        if stored is not None:
            logger.debug(
                "session_id=<%s>, multi_agent_id=<%s> | restoring multi-agent", self._writer.session_id, source.id
            )
            state = dict(stored.state)
            if not state.get("next_nodes_to_execute"):
                # Nothing is left to run. Early releases (1.42) take an empty list for a run to resume, at no node.
                state.pop("next_nodes_to_execute", None)
            try:
                source.deserialize_state(state)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise SessionDataError(
                    f"The row of multi-agent {source.id!r} can't be read as its state: {error}. Nothing was changed. "
                    "Look at the column data of that row, and mend it, delete it, or use another session id."
                ) from error
        self._go_on_with(source.id, stored)

    def attach(self, source: MultiAgentBase) -> None:
        """Go on from what is stored of a Graph or Swarm, and leave it as it is; one request."""
        self._go_on_with(source.id, self._read(source.id))

    def recorded(self, source: MultiAgentBase, *, last: bool) -> Written:
        """A node of a Graph or Swarm has run, or with `last` the whole of it."""
        with self._writer.lock:
            text = encode(source.serialize_state(), what=f"the state of multi-agent {source.id!r}")
            if text != self._recorded.get(source.id):
                self._writer.put([MultiAgentRow(source.id, Document.of(text))])
                self._recorded[source.id] = text
            return self._writer.send(last=last)

    def _read(self, multi_agent_id: str) -> StoredMultiAgent | None:
        return self._opening.multi_agent(multi_agent_id, again=multi_agent_id in self._recorded)

    def _go_on_with(self, multi_agent_id: str, stored: StoredMultiAgent | None) -> None:
        revision, in_parts = (0, False) if stored is None else (stored.revision, stored.in_parts)
        self._writer.known.go_on_from_multi_agent(multi_agent_id, revision, in_parts=in_parts)
        self._recorded[multi_agent_id] = "" if stored is None else stored.text
