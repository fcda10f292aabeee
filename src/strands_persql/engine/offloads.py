"""Gives a context manager back what it took out of messages, after a restart.

Strands' context manager keeps what it takes out of the history in a stash (`strands/_context_manager/stash.py`, 1.56 to
1.62), under references that stand in the history: the id of a tool use or the tracking id of a message, `_`, and the
number of a block. Unless it is told where to store that, it keeps it in memory: after a restart its stash is made of
the history, in which there are previews. The transcript has the originals.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..client import logger_of
from ..database.encoding import Message
from .threads import awaited, submit_call

if TYPE_CHECKING:
    from strands import Agent

    from .opening import Opening
    from .window import Window

logger = logger_of(__name__)

RETRIEVAL_TOOL = "retrieve_context"


class Offloads:
    """The restored agents whose stashes have lost what they held.

    Args:
        opening: Reads what is stored.
    """

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._given: WeakKeyDictionary[Agent, set[str]] = WeakKeyDictionary()  # the ids that were looked for

    def restored(self, agent: Agent, window: Window) -> None:
        """An agent was restored with this window."""
        if _lost_stash(agent) is not None and any(entry.said is not None for entry in window.entries):
            self._given[agent] = set()

    async def give_back(self, agent: Agent, reference: str = "") -> None:
        """Fill an agent's stash: with what a reference leads to, else with the newest originals, about 4 MB of them."""
        given = self._given.get(agent)
        wanted = reference.rpartition("_")[0]
        if given is None or wanted in given:
            return
        try:
            originals = await awaited(submit_call(lambda: self._opening.originals(agent.agent_id, wanted)))
        except Exception as error:  # no reason to fail a turn: it is tried again before the next call of the model
            logger.warning(
                "session_id=<%s>, agent_id=<%s>, error=<%s> | what was taken out of the history can't be read",
                self._opening.session_id,
                agent.agent_id,
                type(error).__name__,
            )
            return
        given.add(wanted)
        for message in originals:
            await _lost_stash(agent).store_message(message)
            given.update(_ids_of(message))


def _lost_stash(agent: Agent) -> Any:
    """The stash of an agent's context manager, if what it held before a restart is gone; else None."""
    manager: Any = getattr(agent, "context_manager", None)
    stash = getattr(manager, "stash", None)
    if stash is None:
        return None
    # Before Strands 1.58 what is stored for good is overwritten with previews after a restart.
    overwritten = "keep_existing" not in inspect.signature(stash.store_message).parameters
    return stash if overwritten or not manager.stash_is_durable else None


def _ids_of(message: Message) -> list[str]:
    results = [block["toolResult"] for block in message["content"] if "toolResult" in block]
    return [message.get("tracking_id", ""), *(str(result.get("toolUseId")) for result in results)]
