"""Brings an agent to where its stored session is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from strands.agent import conversation_manager

from ..client import logger_of
from ..database.decoding import unreadable
from ..database.encoding import Message, copied, why
from ..database.live_window import LiveWindow
from ..errors import SessionDataError, named
from .agent_state import Restorable, is_stateful
from .reader import StoredAgent
from .repair import repair
from .window import Window

if TYPE_CHECKING:
    from strands import Agent

logger = logger_of(__name__)


def restored(agent: Agent, stored: StoredAgent, *, session_id: str) -> Window:
    """Give an agent its state and history back.

    Returns:
        Its live window, made of the agent's new messages. Where the history had to be mended, the window's next look
        compares it whole, so that the repair is stored.

    Raises:
        SessionDataError: A stored row can't be read.
    """
    what = f"agent {named(stored.agent_id)}"
    try:
        head = restore_state(agent, stored.document, session_id=session_id)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SessionDataError(unreadable(f"The row of {what}", f"it is no Strands agent's ({why(error)})")) from error
    stateful = is_stateful(agent)
    live = LiveWindow.of_row(stored.window, stored.agent_id)
    window, missing = Window.restored(
        live,
        stored.messages,
        what=what,
        next_id=stored.next_id,
        head=head if live is None else (),
        keeps_dropped=stateful,
    )
    if missing:
        logger.warning(
            "session_id=<%s>, agent_id=<%s>, missing=<%d> | the live window names messages that have no row",
            session_id,
            stored.agent_id,
            missing,
        )
    messages = window.messages
    try:
        mended = repair(messages)
    except (KeyError, TypeError) as error:
        raise SessionDataError(
            unreadable(f"The history of {what}", "a tool use or a tool result in it has no toolUseId")
        ) from error
    if mended:
        logger.warning(
            "session_id=<%s>, agent_id=<%s> | mended a history that no model accepts: tool uses and results that don't "
            "match, or empty messages",
            session_id,
            stored.agent_id,
        )
        window.forget_live()
    if not stateful:  # else the model's own server holds the history
        agent.messages = cast("Any", messages)
    return window


def restore_state(agent: Agent, document: Mapping[str, Any], *, session_id: str) -> list[Message]:
    """Give an agent its state back, its conversation manager's included.

    Returns:
        The messages that the conversation manager puts before the stored ones.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: The document is no `SessionAgent`; the agent is unchanged.
    """
    Restorable.of(copied(dict(document))).apply(agent)
    return _restore_conversation_manager(agent, document["conversation_manager_state"], session_id)


def _restore_conversation_manager(agent: Agent, state: Mapping[str, Any], session_id: str) -> list[Message]:
    """Restore the conversation manager's own state; the messages that it puts before the stored ones."""
    manager = getattr(agent, "conversation_manager", None)
    if manager is None:  # a BidiAgent
        return []
    try:
        return list(cast("list[Message]", manager.restore_from_session(copied(dict(state))) or []))
    except (ValueError, KeyError, TypeError):
        logger.warning(
            "session_id=<%s>, agent_id=<%s>, stored=<%s>, used=<%s> | the stored state is of another conversation "
            "manager: messages are restored, the conversation manager starts afresh",
            session_id,
            agent.agent_id,
            name if isinstance(name := state.get("__name__"), str) and hasattr(conversation_manager, name) else "…",
            type(manager).__name__,
        )
        return []
