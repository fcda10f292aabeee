"""Strands' own dataclasses as documents, and back: what its repositories are given, and give."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from strands.types.session import SessionMessage

from ..database.decoding import StoredMessage, unreadable
from ..database.encoding import Document, encode, is_message, why
from ..errors import SessionDataError, named

if TYPE_CHECKING:
    from strands.multiagent.base import MultiAgentBase

T = TypeVar("T")


def laid_out(fields: dict[str, Any], *, what: str) -> Document:
    """The document of an agent, or of a message."""
    return Document.of(encode(fields, what=what), created_at=str(fields["created_at"]))


def message_document(session_message: SessionMessage) -> Document:
    """The document of a message; of one with a `redact_message` only that.

    Raises:
        ValueError: It is no message.
    """
    fields = dict(vars(session_message))
    if session_message.redact_message is not None:
        fields["message"] = session_message.redact_message
    if not is_message(fields["message"]):
        raise ValueError(f"message {session_message.message_id} must have a role and a list of content blocks")
    return laid_out(fields, what=f"message {session_message.message_id}")


def checked_message_id(message_id: object) -> int:
    """A message's position.

    Raises:
        ValueError: It is no integer.
    """
    if isinstance(message_id, int) and not isinstance(message_id, bool):
        return message_id
    raise ValueError(f"message_id must be an integer, got {named(message_id)}")


def state_document(multi_agent: MultiAgentBase) -> Document:
    """The document of a Graph or Swarm."""
    return Document.of(encode(multi_agent.serialize_state(), what=f"the state of multi-agent {named(multi_agent.id)}"))


def session_message_of(stored: StoredMessage) -> SessionMessage:
    """A stored message as Strands has it.

    Raises:
        SessionDataError: It can't be read.
    """
    record = stored.record()
    known = {name: record[name] for name in SessionMessage.__dataclass_fields__ if name in record}
    return made(lambda fields: SessionMessage(**fields), {"message_id": stored.position, **known}, what=stored.what)


def made(make: Callable[[dict[str, Any]], T], fields: dict[str, Any], *, what: str) -> T:
    """What is made of a document's fields.

    Raises:
        SessionDataError: They are no such record.
    """
    try:
        return make(fields)
    except (TypeError, KeyError, ValueError) as error:
        raise SessionDataError(unreadable(what, f"it is no record of Strands' ({why(error)})")) from error
