"""The part of the administrative face that shows conversations to people: messages as records, in pages."""

from __future__ import annotations

from typing import Literal

from ..engine.options import checked_session_id
from . import arguments
from .encrypting import Sealable
from .history import Backwards
from .records import ConversationPage, MediaLink, MediaPart, link_of


class Conversations(Sealable):
    """A database of sessions, and what was said in them; see `PerSQLSessions`."""

    def messages(
        self,
        session_id: str,
        *,
        agent_id: str | None = None,
        before: str | None = None,
        limit: int = 50,
        media: Literal["link", "inline"] | MediaLink = "link",
    ) -> ConversationPage:
        """A page of an agent's messages as a chat shows them, from the newest backwards.

        One request, which reads some rows for each message of the page and no more, however long the transcript. Where
        a call and its result stand on two sides of the page's edge, and one of them is longer than a row may be, that
        is a request of its own. Pages of long messages (4 MB together) are shorter.

        Args:
            session_id: The session.
            agent_id: The agent; None where the session has one alone.
            before: `ConversationPage.before` of the page before, or the id of any record; None for the newest messages.
            limit: The most messages in the page, 1 to 1000.
            media: How the bytes of images and documents come: `"link"`, as addresses relative to the agent's, such as
                `messages/12/media/0.1`; `"inline"`, as `data:` URIs; or a callable that makes the address, given the
                id of the record of the message that holds the part, and the part.

        Raises:
            SessionException: There is no such session, no such agent in it, or it has several.
            SessionDataError: A stored row can't be read.
            ValueError: An argument can't be used.
        """
        limit = arguments.count("limit", limit)
        return self._backwards(session_id, agent_id, link_of(media)).page(before, limit)

    def media(self, session_id: str, record_id: str, place: str, *, agent_id: str | None = None) -> MediaPart:
        """An image, a document, a video or a sound of a message, with its bytes; one request.

        Args:
            session_id: The session.
            record_id: The id of the record of the message that holds it.
            place: `MediaPart.place`.
            agent_id: The agent; None where the session has one alone.

        Raises:
            SessionException: There is no such session, agent, or message, or it has no bytes at that place.
            SessionDataError: A stored row can't be read.
            ValueError: `record_id` is no id of a record.
        """
        return self._backwards(session_id, agent_id, link_of("link")).media(record_id, place)

    def _backwards(self, session_id: str, agent_id: str | None, link: MediaLink) -> Backwards:
        checked = checked_session_id(session_id)
        return Backwards(self._store, checked, None if agent_id is None else arguments.text("agent_id", agent_id), link)
